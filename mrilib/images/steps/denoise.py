"""Denoising: non-local means with sliding cosine blocks, and filters of SimpleITK, SciPy and scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.grid import Image
from mrilib.images.steps.foreground import box_of, finite, flat_outside
from mrilib.images.steps.noise import NOISES, inhomogeneity, level, noise_level, without_bias

# the best values by PSNR in the head, on slices of T1, T1ce, T2 and FLAIR with 3 to 15 % of noise added
RANGE = 2.5  # bilateral: noise deviations within one tissue
REACH = 1.2  # bilateral: default reach, in voxels
CONDUCTANCE = 2.0  # curvature: ITK's, in units of the image's mean gradient
TV_WEIGHT = {2: 0.7, 3: 0.5}  # tv: in noise deviations
WAVELET = "sym4"
AROUND = 8  # voxels of margin around a stripped head: more than the reach of nlm
TIME = 5.6  # curvature: diffusion time in squared voxels, for noise as large as the spread of the values


def median(image: Image, *, mask=None, radius: int = 1) -> tuple[Image, dict]:
    """Replace each voxel by the median of the 2 * radius + 1 voxels per side around it; border voxels repeat."""
    import SimpleITK as sitk

    return _each_channel(image, lambda p, _: (sitk.Median(p, [int(radius)] * p.GetDimension()), {}))


def gaussian(image: Image, *, mask=None, width: float | None = None) -> tuple[Image, dict]:
    """Smooth with a Gaussian of standard deviation `width` mm; None: the smallest side of a voxel.

    Border voxels repeat. Measured: width, in mm.
    """
    from scipy import ndimage

    width = float(width or min(image.grid.spacing))
    array = finite(image)
    sigma = [*np.divide(width, image.grid.spacing), 0]
    result = ndimage.gaussian_filter(array, sigma, mode="nearest")
    return image.with_array(result.reshape(image.array.shape)), {"width": width}


def bilateral(image: Image, *, mask=None, sigma: float | None = None,
              width: float | None = None) -> tuple[Image, dict]:  # fmt: skip
    """Smooth over `width` mm, but only among values within RANGE * sigma of each other (Tomasi and Manduchi 1998).

    sigma: standard deviation of the noise; None: estimated for each channel (see noise_level). width: None stands for
    REACH times the smallest side of a voxel. An image without noise is returned as it is. Measured: width, and a list
    with sigma for each channel.
    """
    import SimpleITK as sitk

    width = float(width or REACH * min(image.grid.spacing))

    def work(picture, array):
        level = sigma or noise_level(array)
        return (sitk.Bilateral(picture, width, RANGE * level) if level else picture), {"sigma": level}

    result, measured = _each_channel(image, work)
    return result, {"width": width, **measured}


def curvature(image: Image, *, mask=None, sigma: float | None = None) -> tuple[Image, dict]:
    """Anisotropic diffusion by the curvature of level sets, which keeps edges (ITK's modified curvature diffusion).

    sigma: standard deviation of the noise; None: estimated for each channel (see noise_level). It sets the diffusion
    time: TIME * sigma / (99th - 1st percentile). An image with noise below 1 % of that spread is returned as it is.
    Measured, a list with one value per channel: sigma, iterations.
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


def nonlocal_means(image: Image, *, mask=None, sigma: float | None = None, noise: str = "rician",
                   varying: bool = False) -> tuple[Image, dict]:  # fmt: skip
    """Denoise in three passes: thresholded cosine blocks, means of similar voxels, Wiener-weighted cosine blocks.

    The first pass is the guide of the second (PRI-NLM, Manjon et al. 2012), the second the pilot of the third, an
    empirical Wiener filter. noise: "rician" removes the bias that magnitude images have where the signal is weak,
    "gaussian" does not. sigma: standard deviation of the noise; None: estimated for each channel (see noise.level).
    varying: if the noise varies slowly across the image (see noise.inhomogeneity), divide the image by that field
    first, and multiply by it last. Blocks and neighbourhoods are shorter along thick slices. The background of a
    stripped head keeps its value, and so do voxels outside a mask, bool on the grid. An image without noise, or with
    fewer than 4 voxels along an axis of its planes, is returned as it is. Measured, one value per channel: sigma (its
    median), and with varying spread, its 95th over its 5th percentile.
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
        unit = size if size and not 1e-9 < size < 1e9 else 1.0  # their squares exceed float32
        scale = np.float32(unit)
        if varying:
            field, spread = inhomogeneity(channel / scale, image.grid.spacing)
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
    """The slices around a stripped head with a margin of AROUND voxels; the whole channel if there is air."""
    everything = (slice(None),) * channel.ndim
    empty = flat_outside(channel)
    if empty is None or not (head := channel != empty).any():
        return everything
    box = tuple(slice(max(part.start - AROUND, 0), part.stop + AROUND) for part in box_of(head))
    return box if flat_outside(channel[box]) == empty else everything


def _three_passes(channel: np.ndarray, spacing, sigma: float, noise: str, mask) -> np.ndarray:
    from mrilib.images.kernels import like_means, shrink

    if min(channel.shape[-2:]) < 4 or not sigma > 1e-6 * max(float(np.abs(channel).max()), 1e-30):
        return channel
    flat = channel.ndim == 2
    volume, spacing = (channel[None], (1e9, *spacing)) if flat else (channel, spacing)
    ratio = np.minimum(1.0, min(spacing) / np.asarray(spacing))  # fewer voxels are alike along thick slices

    def sides(n):
        return [int(min(max(round(n * r), 1), size)) for r, size in zip(ratio, volume.shape, strict=True)]

    empty = flat_outside(channel)
    inside = volume != empty if empty is not None else np.ones(volume.shape, bool)
    if mask is not None:
        inside &= np.asarray(mask, bool).reshape(volume.shape)
    short, long, radius = (8, 8, 5) if flat else (4, 6, 3)
    guide = shrink(volume, sigma, inside, sides(short))
    reach = [int(round(radius * r)) for r in ratio]
    pilot = like_means(volume, guide, sigma, inside, reach)
    step = (1, 1) if flat else (2 if ratio[0] > 0.5 else 1, 2)
    result = shrink(volume, sigma, inside, sides(long), step, pilot=pilot)
    result = (result + pilot) / 2  # their errors differ, so their mean is better than either
    if noise == "rician":
        result = without_bias(result, sigma)
    if empty is not None:
        result[volume == empty] = empty
    if mask is not None:
        result = np.where(np.asarray(mask, bool).reshape(volume.shape), result, volume)
    return result.reshape(channel.shape)


def tv(image: Image, *, mask=None, sigma: float | None = None) -> tuple[Image, dict]:
    """Total variation (Rudin, Osher and Fatemi 1992, by Chambolle 2004): flat areas with sharp edges.

    sigma: standard deviation of the noise; None: estimated (see noise.level). Spacing has no effect. An image without
    noise is returned as it is. Measured: sigma, one value per channel.
    """
    from skimage.restoration import denoise_tv_chambolle

    def work(channel, strength):
        return denoise_tv_chambolle(channel, weight=TV_WEIGHT[channel.ndim] * strength)

    return _by_strength(image, sigma, work)


def wavelet(image: Image, *, mask=None, sigma: float | None = None) -> tuple[Image, dict]:
    """Soft thresholding of wavelet coefficients, by scale (BayesShrink, Chang et al. 2000).

    sigma: standard deviation of the noise; None: estimated (see noise.level). Spacing has no effect. An image without
    noise is returned as it is. Measured: sigma, one value per channel.
    """
    from skimage.restoration import denoise_wavelet

    def work(channel, strength):
        return denoise_wavelet(channel, sigma=strength, wavelet=WAVELET, method="BayesShrink", rescale_sigma=False)

    return _by_strength(image, sigma, work)


def _by_strength(image: Image, sigma: float | None, work: Callable) -> tuple[Image, dict]:
    """Call work(channel, sigma) -> channel for every channel with noise, scaled to 0 to 1 for the call."""
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
    """Call work(SimpleITK image with the spacing, array) -> (result, measured) for every channel."""
    import SimpleITK as sitk

    array = finite(image)
    result = np.empty_like(array, np.float32)
    measured: dict[str, list] = {}
    for i in range(array.shape[-1]):
        channel = np.ascontiguousarray(array[..., i])
        picture = sitk.GetImageFromArray(channel)
        picture.SetSpacing(image.grid.spacing[::-1])
        filtered, values = work(picture, channel)
        result[..., i] = sitk.GetArrayFromImage(filtered)
        for key, value in values.items():
            measured.setdefault(key, []).append(value)
    return image.with_array(result.reshape(image.array.shape)), measured
