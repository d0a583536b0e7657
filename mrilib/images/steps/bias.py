"""Bias-field correction by N4: the slow change of brightness that the receiving coils leave."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.steps.blocks import block_means, stretched
from mrilib.images.steps.foreground import finite, foreground

VOXEL = 3.0  # mm: width of the blocks whose means N4 fits; means hold less noise than voxels
APART = 9.0  # mm: distance of the blocks that N4 fits
INSIDE = 0.75  # share of a block that must be head
ENOUGH = 100  # blocks that a fit needs
FINE = {2: 48, 3: 16}  # least number of blocks along a side, where it has as many voxels


def n4(image: Image, *, mask=None, iterations: int = 50, levels: int = 3) -> tuple[Image, dict]:
    """Divide each channel by the bias field that SimpleITK's N4 (Tustison et al. 2010) fits to means over blocks.

    iterations: on each level. levels: resolutions; the last has 2^(levels - 1) spline pieces per side. mask: where to
    fit; the foreground without one. Voxels of 0 and below are left out of the fit, but divided like the others. The
    geometric mean of the field over the mask is 1. N4 runs in one thread, because its result depends on their number.
    Measured, one value per channel: low and high, the range of the field over the mask.
    Raises CaseError for NaN, and if too few voxels are above 0.
    """
    field, measured = n4_field(image, mask=mask, iterations=iterations, levels=levels)
    return divided(image, field), measured


def n4_field(image: Image, *, mask=None, iterations: int = 50, levels: int = 3) -> tuple[Image, dict]:
    """The field that `n4` divides by, float32 on the grid of the image, and what it measured."""
    array = finite(image)
    fields, measured = np.empty_like(array, np.float32), {"low": [], "high": []}
    for i in range(array.shape[-1]):
        channel = np.ascontiguousarray(array[..., i])
        inside = (foreground(channel) if mask is None else np.asarray(mask, bool)) & (channel > 0)
        logs = _log_field(channel, inside, image.grid.spacing, [int(iterations)] * int(levels))
        fields[..., i] = field = np.exp(logs - logs[inside].mean(dtype=np.float64).astype(np.float32))
        measured["low"].append(round(float(field[inside].min()), 5))
        measured["high"].append(round(float(field[inside].max()), 5))
    return image.with_array(fields.reshape(image.array.shape)), measured


def divided(image: Image, field: Image) -> Image:
    """The image divided by the field, float32."""
    return image.with_array(finite(image).reshape(image.array.shape) / field.array)


def _log_field(channel: np.ndarray, inside: np.ndarray, spacing, iterations: list[int]) -> np.ndarray:
    """The logarithm of the field of one channel, float32, that N4 fits to the voxels of the mask `inside`."""
    import SimpleITK as sitk

    def every(mm, steps, counts):
        """The number of steps that make up a length in mm, within the limits of FINE."""
        return [max(min(round(mm / s), n // FINE[channel.ndim]), 1) for s, n in zip(steps, counts, strict=True)]

    block = every(VOXEL, spacing, channel.shape)
    share = block_means(inside.astype(np.float32), block)
    value = block_means(np.where(inside, channel, 0), block) / np.maximum(share, 1e-6)
    wide = [float(k * s) for k, s in zip(block, spacing, strict=True)]
    whole, where = (sitk.GetImageFromArray(a) for a in (value, (share > INSIDE).astype(np.uint8)))
    for picture in (whole, where):
        picture.SetSpacing(wide[::-1])
    few, where = (sitk.Shrink(picture, every(APART, wide, share.shape)[::-1]) for picture in (whole, where))
    if sitk.GetArrayViewFromImage(where).sum() < ENOUGH:
        raise CaseError("too little above 0 to find a bias field", remedy="leave --bias out")
    search = sitk.N4BiasFieldCorrectionImageFilter()
    search.SetNumberOfThreads(1)
    search.SetMaximumNumberOfIterations(iterations)
    try:
        search.Execute(few, where)
    except RuntimeError as error:
        raise CaseError("N4 cannot fit a field to this image", remedy="leave --bias out") from error
    return stretched(sitk.GetArrayFromImage(search.GetLogBiasFieldAsImage(whole)), block, channel.shape)
