"""How fast label maps are scored: own time beside surface-distance, MedPy and SimpleITK, in turn on each pair.

    python tests/bench_score.py [FOLDER]     FOLDER holds label maps; default: the shared real ones, else a made-up one

Seconds of CPU of one process, for load on the machine spoils the clock; peers that are not installed are left out.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(name, "1")
SHARED = Path(__file__).parents[2] / "shared/data/labelmaps/msd-brain-tumour"
REGIONS = {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}
CASES = int(os.environ.get("CASES", "6"))
PAIRS = int(os.environ.get("PAIRS", "0"))  # of the executable


def made_up(path: Path) -> None:
    import SimpleITK as sitk

    z, y, x = np.indices((155, 240, 240), np.float32)
    away = np.sqrt((z - 80) ** 2 + (y - 120) ** 2 + (x - 100) ** 2) + 3 * np.sin(x / 5) * np.sin(y / 7)
    sitk.WriteImage(sitk.GetImageFromArray(sum((away < r).astype(np.uint8) for r in (35, 22, 14))), str(path), True)


def changed(path: Path, target: Path, seed: int) -> None:
    """A prediction: the label map moved by up to three voxels, with holes."""
    import SimpleITK as sitk

    rng = np.random.default_rng(seed)
    image = sitk.ReadImage(str(path))
    array = np.roll(sitk.GetArrayFromImage(image), rng.integers(-3, 4, 3), (0, 1, 2))
    array[(rng.random(array.shape) < 0.002) & (array > 0)] = 0
    made = sitk.GetImageFromArray(array)
    made.CopyInformation(image)
    sitk.WriteImage(made, str(target), True)


def own(prediction: Path, truth: Path) -> tuple[float, float]:
    from mrilib.cases import Case
    from mrilib.evaluation import foreign, pairs
    from mrilib.evaluation.metrics import segmentation
    from mrilib.labels import SCHEMES

    start = time.process_time()
    case = Case("a", truth.parent, {"image": truth}, label=truth)
    reference = pairs.reference_of(case, False)
    called = foreign.read(prediction, [reference.grid])
    read = time.process_time()
    segmentation.measure(called.array, reference.array, reference.grid.spacing, pairs.parts_of(SCHEMES["msd"]))
    return read - start, time.process_time() - read


def arrays(*paths):
    import SimpleITK as sitk

    return [sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in paths]


def by_surface_distance(prediction, truth):
    import surface_distance as peer
    from scipy import ndimage

    for name in ("filters", "morphology"):
        if not hasattr(ndimage, name):
            setattr(ndimage, name, ndimage)
    for numbers in REGIONS.values():
        one, other = np.isin(prediction, numbers), np.isin(truth, numbers)
        found = peer.compute_surface_distances(other, one, (1, 1, 1))
        peer.compute_robust_hausdorff(found, 95)
        peer.compute_surface_dice_at_tolerance(found, 1)
        peer.compute_dice_coefficient(other, one)


def by_medpy(prediction, truth):
    from medpy.metric import binary as peer

    for numbers in REGIONS.values():
        one, other = np.isin(prediction, numbers), np.isin(truth, numbers)
        peer.hd95(one, other), peer.assd(one, other), peer.dc(one, other)


def by_simpleitk(prediction, truth):
    import SimpleITK as sitk

    for numbers in REGIONS.values():
        one, other = (sitk.GetImageFromArray(np.isin(a, numbers).astype(np.uint8)) for a in (prediction, truth))
        sitk.HausdorffDistanceImageFilter().Execute(one, other)
        sitk.LabelOverlapMeasuresImageFilter().Execute(one, other)


def timed(peer, prediction, truth) -> float | None:
    try:
        start = time.process_time()
        peer(prediction, truth)
        return time.process_time() - start
    except ImportError:
        return None


def main() -> None:
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = sorted(given.glob("*.nii.gz"))[:CASES] if given.is_dir() else []
        if not truth:
            made_up(folder / "made-up.nii.gz")
            truth = [folder / "made-up.nii.gz"]
        (folder / "p").mkdir()
        for i, path in enumerate(truth):
            changed(path, folder / "p" / path.name, i)
        own(folder / "p" / truth[0].name, truth[0])  # tables, imports
        peers = {"surface-distance: HD95, NSD, Dice": by_surface_distance, "MedPy: HD95, ASSD, Dice": by_medpy,
                 "SimpleITK: HD, overlap": by_simpleitk}
        times: dict[str, list] = {}
        for path in truth:
            prediction = folder / "p" / path.name
            read, measured = own(prediction, path)
            times.setdefault("mri-score: reading both", []).append(read)
            times.setdefault("mri-score: everything, without reading", []).append(measured)
            both = arrays(prediction, path)
            for what, peer in peers.items():
                if peer is by_medpy and path != truth[0]:
                    continue  # some ten seconds a pair
                if (took := timed(peer, *both)) is not None:
                    times.setdefault(f"{what}, without reading", []).append(took)
        print(f"{len(truth)} pairs, three regions; seconds of CPU, median (range); load {os.getloadavg()[0]:.1f}")
        for what, some in times.items():
            print(f"{what:52s} {statistics.median(some):7.3f} ({min(some):.3f} to {max(some):.3f})")
        if PAIRS:
            many(folder, truth)


def many(folder: Path, truth: list[Path]) -> None:
    """The executable on many pairs, which are the few under many names."""
    for kind, source in (("t", truth), ("s", [folder / "p" / path.name for path in truth])):
        (folder / kind).mkdir()
        for i in range(PAIRS):
            shutil.copyfile(source[i % len(source)], folder / kind / f"{i:04d}.nii.gz")
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    tool = Path(sys.executable).parent / "mri-score"
    subprocess.run([tool, folder / "s", "-r", folder / "t", "--scheme", "msd", "-q", "-o", folder / "s.csv"],
                   check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"mri-score, {PAIRS} pairs on {os.cpu_count()} cores: {used:.1f} s of CPU, "
          f"{time.perf_counter() - start:.1f} by the clock at load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
