"""Removing noise: non-local means with sliding cosine blocks, and filters of SimpleITK, SciPy and scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.grid import Image
from mrilib.images.steps.foreground import box_of, finite, flat_outside
from mrilib.images.steps.noise import NOISES, level, noise_level, unevenness, without_bias

# What was best on slices of T1, T1ce, T2 and FLAIR with noise of 3 to 15 % added, by PSNR in the head:
RANGE = 2.5  # bilateral: how many noise deviations still count as the same tissue
REACH = 1.2  # bilateral: default reach, in voxels
CONDUCTANCE = 2.0  # curvature: ITK's, in units of the image's mean gradient
TV_WEIGHT = {2: 0.7, 3: 0.5}  # tv: in noise deviations
WAVELET = "sym4"
AROUND = 8  # voxels: further than any step of nlm looks
TIME = 5.6  # curvature: how long to diffuse, in squared voxels, for noise as large as the spread of the values


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


def nonlocal_means(image: Image, *, mask=None, rng=None, sigma: float | None = None, noise: str = "rician",
                   varying: bool = False) -> tuple[Image, dict]:  # fmt: skip
    """Denoise by likeness: cosine blocks cut off, means of like voxels, cosine blocks weighted.

    The first gives the guide of the second (PRI-NLM, Manjon et al. 2012), the second the pilot of the third, an
    empirical Wiener filter. noise: "rician" takes away what the magnitude of a scanner adds to weak signals, "gaussian"
    leaves it. sigma: standard deviation of the noise; None: estimated, each channel alone (see noise.level). varying:
    where the estimate varies slowly by much (see noise.unevenness), the image is divided by how it varies first and
    multiplied last. Blocks and windows are shorter along thick slices. Nothing around a stripped head stays nothing; a
    mask, bool on the grid, is kept to likewise. An image without noise, or of under 4 voxels in a plane, comes back as
    it is. Measured, a value a channel: sigma (its median), and with varying spread, 95th over 5th percentile of it.
    """
    if noise not in NOISES:
        raise UsageError(f"unknown noise {noise}", remedy=f"choose from {' '.join(NOISES)}")
    if varying and sigma:
        raise UsageError("a given sigma is one for the whole image", remedy="leave out one of sigma and varying")
    array = finite(image)
    result, levels, spreads = np.empty_like(array, np.float32), [], []
    for i in range(array.shape[-1]):
        result[..., i] = array[..., i]
        box = _filled(array[..., i])
        channel = np.ascontiguousarray(array[(*box, i)])
        size = float(np.abs(channel).max())
        unit = size if size and not 1e-9 < size < 1e9 else 1.0  # squares of huge and tiny values have no float32
        scale = np.float32(unit)
        if varying:
            field, spread = unevenness(channel / scale, image.grid.spacing)
            scale = scale if field is None else scale * field
            spreads.append(round(spread, 4))
        channel = channel / scale
        strength = sigma / unit if sigma else level(channel, image.grid.spacing, noise)
        levels.append(strength * unit)
        within = None if mask is None else np.asarray(mask, bool)[box]
        result[(*box, i)] = _three_passes(channel, image.grid.spacing, strength, noise, within) * scale
    measured = {"sigma": levels, **({"spread": spreads} if varying else {})}
    return image.with_array(result.reshape(image.array.shape)), measured


def _filled(channel: np.ndarray) -> tuple[slice, ...]:
    """The part of a channel that holds a stripped head and AROUND voxels about it; all of one with its air."""
    everything = (slice(None),) * channel.ndim
    empty = flat_outside(channel)
    if empty is None or not (held := channel != empty).any():
        return everything
    box = tuple(slice(max(part.start - AROUND, 0), part.stop + AROUND) for part in box_of(held))
    return box if flat_outside(channel[box]) == empty else everything


def _three_passes(channel: np.ndarray, spacing, sigma: float, noise: str, mask) -> np.ndarray:
    from mrilib.images.kernels import like_means, shrink

    if min(channel.shape[-2:]) < 4 or not sigma > 1e-6 * max(float(np.abs(channel).max()), 1e-30):
        return channel
    flat = channel.ndim == 2
    volume, spacing = (channel[None], (1e9, *spacing)) if flat else (channel, spacing)
    ratio = np.minimum(1.0, min(spacing) / np.asarray(spacing))  # along thick slices fewer voxels belong together

    def sides(n):
        return [int(min(max(round(n * r), 1), size)) for r, size in zip(ratio, volume.shape, strict=True)]

    empty = flat_outside(channel)
    wanted = volume != empty if empty is not None else np.ones(volume.shape, bool)
    if mask is not None:
        wanted &= np.asarray(mask, bool).reshape(volume.shape)
    short, long, radius = (8, 8, 5) if flat else (4, 6, 3)
    guide = shrink(volume, sigma, wanted, sides(short))
    reach = [int(round(radius * r)) for r in ratio]
    pilot = like_means(volume, guide, sigma, wanted, reach, width=0.4)
    step = (1, 1) if flat else (2 if ratio[0] > 0.5 else 1, 2)
    made = shrink(volume, sigma, wanted, sides(long), step, pilot=pilot)
    made = (made + pilot) / 2  # they err in unlike ways: their mean is nearer than either
    if noise == "rician":
        made = without_bias(made, sigma)
    if empty is not None:
        made[volume == empty] = empty
    if mask is not None:
        made = np.where(np.asarray(mask, bool).reshape(volume.shape), made, volume)
    return made.reshape(channel.shape)


def tv(image: Image, *, mask=None, rng=None, sigma: float | None = None) -> tuple[Image, dict]:
    """Total variation (Rudin, Osher and Fatemi 1992, by Chambolle 2004): flat pieces with sharp edges.

    sigma: standard deviation of the noise; None: estimated (see noise.level). Blind to spacing. An image without
    noise comes back as it is. Measured: sigma, a value a channel.
    """
    from skimage.restoration import denoise_tv_chambolle

    def work(channel, strength):
        return denoise_tv_chambolle(channel, weight=TV_WEIGHT[channel.ndim] * strength)

    return _by_strength(image, sigma, work)


def wavelet(image: Image, *, mask=None, rng=None, sigma: float | None = None) -> tuple[Image, dict]:
    """Soft thresholds on wavelet coefficients, chosen for each scale (BayesShrink, Chang et al. 2000).

    sigma: standard deviation of the noise; None: estimated (see noise.level). Blind to spacing. An image without
    noise comes back as it is. Measured: sigma, a value a channel.
    """
    from skimage.restoration import denoise_wavelet

    def work(channel, strength):
        return denoise_wavelet(channel, sigma=strength, wavelet=WAVELET, method="BayesShrink", rescale_sigma=False)

    return _by_strength(image, sigma, work)


def _by_strength(image: Image, sigma: float | None, work: Callable) -> tuple[Image, dict]:
    """work(channel, sigma) -> channel on every channel that has noise, scaled to lie within 0 and 1 meanwhile."""
    array = finite(image)
    result, levels = np.empty_like(array, np.float32), []
    for i in range(array.shape[-1]):
        channel = np.ascontiguousarray(array[..., i])
        strength = sigma or level(channel, image.grid.spacing, "gaussian")
        low, wide = float(channel.min()), float(channel.max()) - float(channel.min())
        if strength and wide:
            channel = work((channel - np.float32(low)) / np.float32(wide), strength / wide) * wide + low
        levels.append(strength)
        result[..., i] = channel
    return image.with_array(result.reshape(image.array.shape)), {"sigma": levels}


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
