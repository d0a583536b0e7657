"""Denoising and bias fields, own and peer side by side on one phantom in one run: quality, CPU time, ratio.

    python tests/bench_prepare.py [SHARE ...]     SHARE: noise, of the brightest voxel; 0.03 and 0.09 unless given

A peer (dipy, antspyx, scikit-image, SimpleITK) that is not installed is named and left out. The phantom is none of a
person; FILE in the environment variable TRUTH, any volume with nothing around the head, is taken as the truth instead.
"""

import os
import sys
import time
from importlib.util import find_spec

import numpy as np

from mrilib import phantom
from mrilib.images import bias, denoise, files
from mrilib.images.grid import Grid, Image


def truth() -> np.ndarray:
    """(z, y, x) float32, 0 to 255, 0 around the head."""
    if name := os.environ.get("TRUTH"):
        array = np.maximum(files.read(name).array.astype(np.float32), 0)
        return np.minimum(array / np.percentile(array[array > 0], 99.9) * 255, 255).astype(np.float32)
    from scipy.ndimage import gaussian_filter

    tissue, depth, _ = phantom.head(1, 1, (96, 116, 96), tumour=True)
    clean = gaussian_filter(np.array(phantom.LOOKS["t1"], np.float32)[tissue] * 255, 0.5)
    return np.where(depth < 1, clean, 0).astype(np.float32)


def denoisers(image: Image, sigma: float):
    """(name, package, call that gives an array) of own and peers."""
    array = image.array

    def dipy():
        from dipy.denoise.nlmeans import nlmeans

        return nlmeans(array.astype(float), sigma=sigma, patch_radius=1, block_radius=2, rician=True)

    def ants():
        import ants

        return ants.denoise_image(ants.from_numpy(array), noise_model="Rician").numpy()

    yield "own nlm", "mrilib", lambda: denoise.nonlocal_means(image)[0].array
    for name in ("median", "bilateral", "curvature", "tv", "wavelet"):
        yield f"own {name}", "mrilib", lambda name=name: getattr(denoise, name)(image)[0].array
    yield "dipy nlmeans", "dipy", dipy
    yield "ANTs DenoiseImage", "ants", ants


def main() -> None:
    clean = truth()
    inside, grid = clean > 0, Grid.of(clean.shape)
    print(f"{'x'.join(map(str, clean.shape))}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; CPU seconds")
    rng = np.random.default_rng(0)
    warm = Image(clean[:16, :32, :32] + 1, Grid.of((16, 32, 32)))
    denoise.nonlocal_means(warm, sigma=1)  # compiles, or loads what was compiled
    for share in [float(word) for word in sys.argv[1:]] or [0.03, 0.09]:
        sigma = 255 * share
        noise = (sigma * rng.standard_normal(clean.shape) for _ in range(2))
        image = Image(np.hypot(clean + next(noise), next(noise)).astype(np.float32), grid)
        own = None
        for name, package, call in denoisers(image, sigma):
            if find_spec(package) is None:
                print(f"{share:5.2f} {name:20s} not installed")
                continue
            start = time.process_time()
            made = call()
            spent = time.process_time() - start
            own = own or spent
            psnr = 10 * np.log10(255**2 / ((made[inside] - clean[inside]) ** 2).mean())
            print(f"{share:5.2f} {name:20s} {psnr:6.2f} dB {spent:8.2f} s  x {spent / own:.1f}", flush=True)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in clean.shape), indexing="ij")
    field = np.exp(0.25 * z - 0.2 * y * y + 0.2 * x * y + 0.1 * x)
    image = Image(clean * field, grid)
    for name, step in (("own mixture", bias.mixture), ("N4 of SimpleITK", bias.n4)):
        start = time.process_time()
        found = image.array[inside] / step(image)[0].array[inside] / field[inside]
        print(f"bias  {name:20s} {100 * found.std() / found.mean():6.2f} % {time.process_time() - start:8.2f} s")


if __name__ == "__main__":
    main()
