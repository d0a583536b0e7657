"""Removing noise: filters of SimpleITK and SciPy, and how much noise there is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mrilib.images.foreground import finite, foreground
from mrilib.images.grid import Image

ENOUGH = 64  # voxels of foreground that an estimate of noise needs; with fewer, the whole image serves
# What was best on slices of T1, T1ce, T2 and FLAIR with noise of 3 to 15 % added, by PSNR in the head:
RANGE = 2.5  # bilateral: how many noise deviations still count as the same tissue
REACH = 1.2  # bilateral: default reach, in voxels
CONDUCTANCE = 2.0  # curvature: ITK's, in units of the image's mean gradient
TIME = 5.6  # curvature: how long to diffuse, in squared voxels, for noise as large as the spread of the values


def noise_level(array: np.ndarray) -> float:
    """The standard deviation of the noise of one channel, (y, x) or (z, y, x) float32, finite.

    The second difference along both last axes (Immerkaer 1996) takes away what is flat or a slope; the median
    of its size over the foreground (Donoho 1995) bears with edges. In-plane only, so that thick slices do not
    pass for noise. Of white noise; what interpolation or JPEG has smoothed is underestimated. 0 for an image
    smaller than 3 voxels in either axis.
    """
    if min(array.shape[-2:]) < 3:
        return 0.0
    rows = array[..., :-2, :] - 2 * array[..., 1:-1, :] + array[..., 2:, :]
    both = np.abs(rows[..., :-2] - 2 * rows[..., 1:-1] + rows[..., 2:])
    inside = foreground(array)[..., 1:-1, 1:-1]
    values = both[inside] if inside.sum() >= ENOUGH else both
    return float(np.median(values)) / (0.6745 * 6)


def median(image: Image, *, mask=None, rng=None, radius: int = 1) -> tuple[Image, dict]:
    """The middle value of the box of 2 * radius + 1 voxels a side around each voxel; borders repeat."""
    import SimpleITK as sitk

    return _each_channel(image, lambda p, _: (sitk.Median(p, [int(radius)] * p.GetDimension()), {}))


def gaussian(image: Image, *, mask=None, rng=None, width: float | None = None) -> tuple[Image, dict]:
    """Smooth with a Gaussian of standard deviation `width` mm; None: the smallest side of a voxel.

    Borders repeat. Measured: width, in mm.
    """
    from scipy import ndimage

    width = float(width or min(image.grid.spacing))
    array = finite(image)
    sigma = [*np.divide(width, image.grid.spacing), 0]
    result = ndimage.gaussian_filter(array, sigma, mode="nearest")
    return image.with_array(result.reshape(image.array.shape)), {"width": width}


def bilateral(image: Image, *, mask=None, rng=None, sigma: float | None = None,
              width: float | None = None) -> tuple[Image, dict]:  # fmt: skip
    """Smooth over `width` mm, but only among values within some RANGE * sigma of each other (Tomasi and Manduchi 1998).

    sigma: standard deviation of the noise; None: estimated, each channel alone (see noise_level). width: None
    is REACH times the smallest side of a voxel. An image without noise comes back as it is. Measured: width,
    and a list with sigma for each channel.
    """
    import SimpleITK as sitk

    width = float(width or REACH * min(image.grid.spacing))

    def work(picture, array):
        level = sigma or noise_level(array)
        return (sitk.Bilateral(picture, width, RANGE * level) if level else picture), {"sigma": level}

    made, measured = _each_channel(image, work)
    return made, {"width": width, **measured}


def curvature(image: Image, *, mask=None, rng=None, sigma: float | None = None) -> tuple[Image, dict]:
    """Anisotropic diffusion by the curvature of level sets, which keeps edges (ITK's modified curvature diffusion).

    sigma: standard deviation of the noise; None: estimated, each channel alone (see noise_level). It sets how
    long to diffuse: TIME * sigma / (99th - 1st percentile). An image with noise below 1 % of that spread comes
    back as it is. Measured, a list with a value a channel: sigma, iterations.
    """
    import SimpleITK as sitk

    def work(picture, array):
        level = sigma or noise_level(array)
        low, high = np.percentile(array, (1, 99))
        step = 0.9 / 2 ** (array.ndim + 1)  # ITK is not stable above 1 / 2^(n+1) of the smallest side
        rounds = int(np.clip(np.rint(TIME * level / (high - low) / step), 0, 50)) if high > low else 0
        if rounds:
            picture.SetSpacing([s / min(picture.GetSpacing()) for s in picture.GetSpacing()])
            picture = sitk.CurvatureAnisotropicDiffusion(picture, step, CONDUCTANCE, 1, rounds)
        return picture, {"sigma": level, "iterations": rounds}

    return _each_channel(image, work)


def _each_channel(image: Image, work: Callable) -> tuple[Image, dict]:
    """work(SimpleITK image with the image's spacing, array) -> (result, noted) on every channel."""
    import SimpleITK as sitk

    array = finite(image)
    result = np.empty_like(array, np.float32)
    measured: dict[str, list] = {}
    for i in range(array.shape[-1]):
        channel = np.ascontiguousarray(array[..., i])
        picture = sitk.GetImageFromArray(channel)
        picture.SetSpacing(image.grid.spacing[::-1])
        done, noted = work(picture, channel)
        result[..., i] = sitk.GetArrayFromImage(done)
        for key, value in noted.items():
            measured.setdefault(key, []).append(value)
    return image.with_array(result.reshape(image.array.shape)), measured
