"""Denoising and bias fields, own and peer side by side in one run: quality, processor time, clock, memory, ratio.

    PEERS=other/bin/python python tests/bench_prepare.py [SHARE ...]

SHARE: noise, of the brightest voxel; 0.03 and 0.09 unless given. Every figure comes from a process of its own, with all
cores. Memory is the peak above what the process held with the image read and everything imported. Own methods
estimate the noise; peers are told it. A peer (dipy, ANTs, scikit-image, SimpleITK) that neither this Python nor PEERS
has is left out and named. The phantom is none of a person; FILE in the environment variable TRUTH, any volume with
nothing around the head, is taken as the truth instead.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

OWN = ("nlm", "median", "bilateral", "curvature", "tv", "wavelet")
DENOISERS = {"dipy nlmeans": "dipy", "ANTs DenoiseImage": "ants", "scikit-image nlm": "skimage",
             "scikit-image tv": "skimage", "SimpleITK curvature": "SimpleITK"}  # fmt: skip
FIELDS = {"ANTs N4": "ants", "SimpleITK N4": "SimpleITK"}


def truth() -> np.ndarray:
    """(z, y, x) float32, 0 to 255, 0 around the head."""
    from scipy.ndimage import gaussian_filter

    from mrilib import phantom
    from mrilib.images.io import files

    if name := os.environ.get("TRUTH"):
        array = np.maximum(files.read(name).array.astype(np.float32), 0)
        return np.minimum(array / np.percentile(array[array > 0], 99.9) * 255, 255).astype(np.float32)
    tissue, depth, _ = phantom.head(1, 1, (96, 116, 96), tumour=True)
    clean = gaussian_filter(np.array(phantom.LOOKS["t1"], np.float32)[tissue] * 255, 0.5)
    return np.where(depth < 1, clean, 0).astype(np.float32)


def call_of(name: str, array: np.ndarray, sigma: float):
    """A function that does it once and gives the array denoised, or without its bias field."""
    who, what = name.split(" ", 1)
    if who == "own":
        from mrilib.images.grid import Grid, Image
        from mrilib.images.steps import bias, denoise

        step = {**{n: getattr(denoise, n) for n in OWN[1:]}, "nlm": denoise.nonlocal_means, "n4": bias.n4}[what]
        step(Image(array[40:56, 40:80, 40:80] + 1, Grid.of((16, 40, 40))))  # compiles, or loads what was compiled
        image = Image(array, Grid.of(array.shape))
        return lambda: step(image)[0].array
    if who == "dipy":
        from dipy.denoise.nlmeans import nlmeans

        return lambda: nlmeans(array.astype(float), sigma=sigma, patch_radius=1, block_radius=2, rician=True)
    if who == "ANTs":
        import ants

        image = ants.from_numpy(array)
        if what == "N4":
            mask = ants.from_numpy((array > 0).astype(np.float32))
            return lambda: ants.n4_bias_field_correction(image, mask, shrink_factor=4).numpy()
        return lambda: ants.denoise_image(image, noise_model="Rician").numpy()
    if who == "scikit-image":
        from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

        if what == "tv":
            return lambda: denoise_tv_chambolle(array / 255, weight=0.5 * sigma / 255) * 255
        return lambda: denoise_nl_means(array, patch_size=3, patch_distance=3, h=0.8 * sigma, sigma=sigma)
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    if what == "curvature":
        return lambda: sitk.GetArrayFromImage(sitk.CurvatureAnisotropicDiffusion(image, 0.0625, 3.0, 1, 5))

    def n4():
        search, small = sitk.N4BiasFieldCorrectionImageFilter(), sitk.Shrink(image, [4] * 3)
        search.Execute(small, sitk.Cast(small > 0, sitk.sitkUInt8))
        return array / np.exp(sitk.GetArrayFromImage(search.GetLogBiasFieldAsImage(image)))

    return n4


def serve(name: str, given: str, sigma: str, made: str) -> None:
    """In a process of its own: do it once; processor seconds, clock seconds, and MiB, on a line of standard output."""
    import resource

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    call = call_of(name, np.load(given), float(sigma))
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    start, clock = time.process_time(), time.perf_counter()
    result = call()
    spent = time.process_time() - start, time.perf_counter() - clock
    np.save(made, np.asarray(result, np.float32))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(*spent, max(peak - held, 0), file=answers)


def pythons() -> dict[str, str]:
    """package: the Python that has it; `own` for the suite's own."""
    found, peers = {"own": sys.executable}, os.environ.get("PEERS")
    for package in {*DENOISERS.values(), *FIELDS.values()}:
        asked = [peers, "-c", f"import importlib.util as u, sys; sys.exit(u.find_spec('{package}') is None)"]
        if peers and not subprocess.run(asked).returncode:
            found[package] = peers
        elif find_spec(package):
            found[package] = sys.executable
        else:
            print(f"{package} is not installed: left out")
    for package, python in sorted(found.items()):
        name = {"own": "numpy", "ants": "antspyx", "skimage": "scikit-image"}.get(package, package)
        asked = [python, "-c", f"from importlib.metadata import version as v; print(v('{name}'))"]
        print(f"{name} {subprocess.run(asked, capture_output=True, text=True).stdout.strip()}", end="  ")
    print()
    return found


def main() -> None:
    clean, python = truth(), pythons()
    inside = clean > 0
    print(f"{'x'.join(map(str, clean.shape))}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}; s of processor time and on the clock, x own's processor time, MiB")
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.npy"), Path(folder, "made.npy")

        def compare(names: dict, kind: str, quality, sigma: float = 0.0) -> None:
            own = None
            for name, package in names.items():
                if package not in python:
                    continue
                ran = subprocess.run([python[package], __file__, name, given, str(sigma), made],
                                     capture_output=True, text=True)
                if ran.returncode:
                    print(f"{kind} {name:22s} failed: {ran.stderr.splitlines()[-1:]}", flush=True)
                    continue
                spent, clock, memory = map(float, ran.stdout.split())
                own = own or spent
                print(f"{kind} {name:22s} {quality(np.load(made))} {spent:8.2f} s {clock:8.2f} s  x {spent / own:5.1f} "
                      f"{memory:6.0f} MiB", flush=True)

        def psnr(array) -> str:
            return f"{10 * np.log10(255**2 / ((array[inside] - clean[inside]) ** 2).mean()):6.2f} dB"

        rng = np.random.default_rng(0)
        for share in [float(word) for word in sys.argv[1:]] or [0.03, 0.09]:
            sigma = 255 * share
            noise = (sigma * rng.standard_normal(clean.shape) for _ in range(2))
            noisy = np.hypot(clean + next(noise), next(noise)).astype(np.float32)
            np.save(given, noisy)
            print(f"noise {share:4.2f} {'as given':20s} {psnr(noisy)}")
            compare({**{f"own {name}": "own" for name in OWN}, **DENOISERS}, f"noise {share:4.2f}", psnr, sigma)
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in clean.shape), indexing="ij")
        field = np.exp(0.25 * z - 0.2 * y * y + 0.2 * x * y + 0.1 * x)
        image = clean * field
        np.save(given, image)

        def error(array) -> str:
            found = image[inside] / np.maximum(array[inside], 1e-6) / field[inside]
            return f"{100 * found.std() / found.mean():6.2f} % "

        compare({"own n4": "own", **FIELDS}, "bias      ", error)


if __name__ == "__main__":
    serve(*sys.argv[1:]) if len(sys.argv) == 5 and sys.argv[2].endswith(".npy") else main()
