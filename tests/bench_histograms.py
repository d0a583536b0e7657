"""How far apart the histograms of subjects stay after each way of scaling, own and peer on the same voxels in one run.

    python tests/bench_histograms.py [FOLDER ...]     a table for each folder of cases; for made-up heads unless given
    PEERS=other/bin/python python tests/bench_histograms.py    beside intensity-normalization, where that has it

CHANNELS=t1,flair,t1ce names the channels of files that hold several. The brain is what is not empty where nothing is
around it, else what lies EDGE mm inside the head; tumours are left out. Its tissues are found once for each subject,
the same for all methods: three classes by fuzzy c-means in t1, else in the first channel, whatever its scale (of
made-up heads they are known); in that channel this favours what scales by such a class. The distance of two subjects
is Wasserstein's, between their values of one tissue ("tissue") or of the whole brain ("brain"), over the distance of
the quartiles of all subjects' brains together, so that no scale is at an advantage; the mean over pairs. What learns,
learns from all subjects, here and there. Of volumes above LARGE voxels every second one along each axis is taken.
"""

import os
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from mrilib import cases, phantom
from mrilib.cases import Reading
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.images.steps import intensity, landmarks, tissue
from mrilib.images.steps.foreground import finite, flat_outside
from mrilib.images.steps.geometry import above_air

EDGE = 15.0  # mm
LARGE = 1e6
RANKS = np.linspace(0.005, 0.995, 100)
LARGEST = {"t2": "largest", "flair": "largest"}  # the peak of a white stripe
PEER = """
import sys, time
import numpy as np
from intensity_normalization import (FCMNormalizer, Modality, NyulNormalizer, WhiteStripeNormalizer, ZScoreNormalizer,
                                     create_image)
from intensity_normalization.domain.exceptions import NormalizationError
given = np.load(sys.argv[1])
count, channels = int(given["count"]), [str(name) for name in given["channels"]]
made, spent = {}, {}
def note(method, i, k, call):
    start = time.process_time()
    try:
        made[f"{method}|{i}|{k}"] = call().get_data()[given[f"mask{i}"]].astype(np.float32)
    except NormalizationError:
        pass
    spent[method] = spent.get(method, 0) + time.process_time() - start
masks = [create_image(given[f"mask{i}"].astype(np.float32)) for i in range(count)]
for k, channel in enumerate(channels):
    images = [create_image(given[f"image{i}"][k]) for i in range(count)]
    kind = {"t2": Modality.T2, "flair": Modality.FLAIR}.get(channel, Modality.T1)
    start = time.process_time()
    nyul = NyulNormalizer().fit_population(images, masks)
    spent["nyul"] = spent.get("nyul", 0) + time.process_time() - start
    for i, (image, mask) in enumerate(zip(images, masks)):
        guide = create_image(given[f"image{i}"][channels.index("t1")]) if "t1" in channels else image
        note("zscore", i, k, lambda: ZScoreNormalizer().fit_transform(image, mask))
        note("whitestripe", i, k, lambda: WhiteStripeNormalizer(modality=kind).fit_transform(image, mask))
        note("fcm", i, k, lambda: FCMNormalizer().fit(guide, mask).transform(image, mask))
        note("nyul", i, k, lambda: nyul.transform(image, mask))
np.savez(sys.argv[2], **made, **{f"seconds|{method}": s for method, s in spent.items()})
"""


def made_up() -> list[tuple]:
    """Eight heads of as many scanners: (image, brain, tissue in it, 0 to 2)."""
    found = []
    for number in range(8):
        kinds, depth, rng = phantom.head(5, number, (64, 80, 64), tumour=number % 2 == 1)
        kind = np.select([kinds == phantom.FLUID, np.isin(kinds, (phantom.GREY, phantom.NUCLEI)),
                          kinds == phantom.WHITE], [0, 1, 2], -1)  # fmt: skip
        looks = [np.array(phantom.LOOKS[name]) * rng.normal(1, 0.08, 10) for name in phantom.CHANNELS]
        array = np.stack([look[kinds] + rng.normal(0, 0.03, kinds.shape) for look in looks], -1)
        array = np.maximum(array, 0.01) * rng.uniform(50, 2000, len(looks))
        brain = (depth < 1) & ~np.isin(kinds, (phantom.AIR, phantom.SCALP, phantom.SKULL))
        image = Image(array.astype(np.float32), Grid.of(kinds.shape), phantom.CHANNELS)
        found.append((image, brain, kind[brain]))
    return found


def subjects(folder: Path) -> list[tuple]:
    """The cases of a folder as made_up gives them; those whose channels are copies of one another are left out."""
    from scipy import ndimage

    found = []
    names = tuple(filter(None, os.environ.get("CHANNELS", "").split(",")))
    for case in cases.find([folder], Reading(channels=names)):
        image = files.read_case(case)
        label = files.read_label(case, image.grid)
        step = 2 if np.prod(image.grid.size) > LARGE else 1
        thin = (slice(None, None, step),) * image.grid.dimension
        array = finite(image)[thin]
        tumour = np.zeros(array.shape[:-1], bool) if label is None else label.array[thin] > 0
        if any(np.array_equal(array[..., i], array[..., j]) for i, j in combinations(range(array.shape[-1]), 2)):
            print(f"{case.id}: left out, one channel is a copy of another")
            continue
        head = np.mean([above_air(array[..., i]) for i in range(array.shape[-1])], 0) >= 0.5
        if flat_outside(array[..., 0]) is None:
            whole = np.stack([np.pad(ndimage.binary_fill_holes(part), 1) for part in head])
            head = ndimage.distance_transform_edt(whole, sampling=np.multiply(image.grid.spacing, step))
            head = head[:, 1:-1, 1:-1] > EDGE
        low = array[head].min(0)  # as scanned, nothing is below 0; what was z-scored is brought back above it
        array = np.where(low < 0, array - low + 0.01 * np.ptp(array[head], 0), array)
        image = Image(array, Grid.of(head.shape), image.channels)
        found.append((image, head, classes(array, head, tumour, image.channels)))
    return found


def classes(array: np.ndarray, head: np.ndarray, tumour: np.ndarray, names) -> np.ndarray:
    """The tissue of each voxel of the head, 0 to 2 as they brighten in T1, -1 in a tumour."""
    guide = names.index("t1") if "t1" in names else 0
    healthy = array[..., guide][head & ~tumour]
    kind = np.full(head.shape, -1)
    kind[head & ~tumour] = np.argmax([tissue.membership(healthy, place) for place in range(3)], 0)
    return kind[head]


def own(found: list[tuple]) -> tuple[dict, dict]:
    """{(method, subject, channel): scaled values of the brain} and the CPU seconds of each method."""
    learned, spent = {}, {}
    for name, look, put, given in (
            ("nyul", landmarks.nyul_landmarks, landmarks.nyul_standard, {"low": 1, "high": 99}),
            ("histogram", landmarks.histogram_quantiles, landmarks.histogram_standard, {})):
        start = time.process_time()
        learned[name] = put([look(inside(image, brain), region="image", **given) for image, brain, _ in found])
        spent[name] = time.process_time() - start

    def stripes(image, brain):
        names, array = image.channels or ("",), image.by_channel()
        made = [intensity.whitestripe(Image(array[..., k], image.grid), mask=brain, peak=LARGEST.get(name, "last"))
                for k, name in enumerate(names)]  # fmt: skip
        return Image(np.stack([one.array for one, _ in made], -1), image.grid, names)

    methods = {
        "as given": lambda image, brain: image,
        "zscore": lambda image, brain: intensity.zscore(image, mask=brain)[0],
        "robust": lambda image, brain: intensity.robust(image, mask=brain)[0],
        "whitestripe": stripes,
        "tissue": lambda image, brain: tissue.tissue(image, mask=brain)[0],
        "nyul": lambda image, brain: landmarks.nyul(image, mask=brain, **learned["nyul"])[0],
        "histogram": lambda image, brain: landmarks.histogram(image, mask=brain, **learned["histogram"])[0],
    }
    made = {}
    for method, call in methods.items():
        for i, (image, brain, _) in enumerate(found):
            start = time.process_time()
            values = call(image, brain).by_channel()[brain]
            spent[method] = spent.get(method, 0) + time.process_time() - start
            made |= {(method, i, k): values[:, k] for k in range(values.shape[1])}
    return made, spent


def inside(image: Image, brain: np.ndarray) -> Image:
    """The brain's voxels alone, as an image of one row: what a mask makes of learning."""
    values = image.by_channel()[brain]
    return Image(values[None], Grid.of((1, len(values))), image.channels or ("image",))


def peer(found: list[tuple]) -> tuple[dict, dict]:
    """The same of intensity-normalization; empty where PEERS has none of it."""
    python = os.environ.get("PEERS")
    if not python:
        print("intensity-normalization: left out, PEERS names no Python that has it")
        return {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {"count": len(found), "channels": found[0][0].channels or ("image",)}
        for i, (image, brain, _) in enumerate(found):
            arrays |= {f"image{i}": np.moveaxis(image.by_channel(), -1, 0).astype(np.float32), f"mask{i}": brain}
        np.savez(folder / "in.npz", **arrays)
        words = [python, "-c", PEER, folder / "in.npz", folder / "out.npz"]
        ran = subprocess.run(words, capture_output=True, text=True)
        if ran.returncode:
            print(f"intensity-normalization: left out, {(ran.stderr.strip().splitlines() or ['failed'])[-1]}")
            return {}, {}
        made, spent = {}, {}
        for key, value in np.load(folder / "out.npz").items():
            method, *place = key.split("|")
            if method == "seconds":
                spent[f"peer {place[0]}"] = float(value)
            else:
                if np.isfinite(value).all():  # tied landmarks make NaN
                    made[f"peer {method}", int(place[0]), int(place[1])] = value
        return made, spent


def distances(values: list[np.ndarray], kinds: list[np.ndarray]) -> tuple[float, float]:
    """Mean distance over pairs of subjects, of the tissues and of the brain, tumours left out of both."""
    healthy = [np.quantile(v[k >= 0], RANKS) for v, k in zip(values, kinds, strict=True)]
    width = np.subtract(*np.percentile(np.concatenate(healthy), (75, 25)))

    def apart(curves):
        return float(np.mean([np.abs(a - b).mean() for a, b in combinations(curves, 2)])) / width

    each = [apart([np.quantile(v[k == tissue], RANKS) for v, k in zip(values, kinds, strict=True)])
            for tissue in range(3)]  # fmt: skip
    return float(np.mean(each)), apart(healthy)


def report(title: str, found: list[tuple]) -> None:
    names = found[0][0].channels or ("image",)
    print(f"\n{title}: {len(found)} subjects; distance of tissue, brain; mean of channels, then {' '.join(names)}; "
          "CPU seconds")  # fmt: skip
    made, spent = own(found)
    theirs, seconds = peer(found)
    made, spent = made | theirs, spent | seconds
    for method in dict.fromkeys([*(method for method, _, _ in made), *spent]):
        done = [i for i in range(len(found)) if all((method, i, k) in made for k in range(len(names)))]
        if len(done) < len(found):
            print(f"{method:18s} fails on {len(found) - len(done)} subjects, left out of its row")
        if len(done) < 2:
            continue
        each = [distances([made[method, i, k] for i in done], [found[i][2] for i in done]) for k in range(len(names))]
        cells = "   ".join(f"{t:.3f} {b:.3f}" for t, b in [np.mean(each, 0), *each])
        print(f"{method:18s} {cells}   {spent[method]:6.1f} s", flush=True)


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in sys.argv[1:]:
        report(name, subjects(Path(name)))
    if not sys.argv[1:]:
        report("made-up heads", made_up())


if __name__ == "__main__":
    main()
