"""The slow brightening and darkening across an image that the receiving coils leave, found and divided out."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.steps.blocks import means, stretched
from mrilib.images.steps.foreground import finite, foreground

VOXEL = 3.0  # mm: N4 looks at means over blocks about this wide, which hold less noise than voxels do,
APART = 9.0  # mm: of which it takes those that lie about so far apart
INSIDE = 0.75  # share of a block that must be head for it to be looked at
ENOUGH = 100  # blocks
FINE = {2: 48, 3: 16}  # a side is parted into so many blocks at least, where it has as many voxels


def n4(image: Image, *, mask=None, rng=None, iterations: int = 50, levels: int = 3) -> tuple[Image, dict]:
    """Divide by the field that N4 finds (Tustison et al. 2010, SimpleITK's) on means over blocks that lie apart.

    Each channel alone, one thread, for the result hangs on their number. iterations on each of levels; the last has
    2^(levels - 1) pieces of spline a side. The mask is the foreground where it is above 0, or what is given. Voxels of
    0 and below have no say and are divided like the rest. The geometric mean of the field over the mask is 1. Measured,
    a value a channel: low and high, the field's range over the mask.
    Raises CaseError for NaN, or where too little is above 0 to fit.
    """
    field, measured = n4_field(image, mask=mask, iterations=iterations, levels=levels)
    return divided(image, field), measured


def n4_field(image: Image, *, mask=None, rng=None, iterations: int = 50, levels: int = 3) -> tuple[Image, dict]:
    """The field that `n4` divides by, float32 on the image's grid, and what it measured."""
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
    """The image over the field, float32: times the field, it is the image again, to rounding."""
    return image.with_array(finite(image).reshape(image.array.shape) / field.array)


def _log_field(channel: np.ndarray, inside: np.ndarray, spacing, iterations: list[int]) -> np.ndarray:
    """The logarithm of one channel's field, of its shape, float32, as N4 finds it where `inside`."""
    import SimpleITK as sitk

    def every(mm, steps, counts):
        """How many steps make so many mm, as far as FINE lets them."""
        return [max(min(round(mm / s), n // FINE[channel.ndim]), 1) for s, n in zip(steps, counts, strict=True)]

    block = every(VOXEL, spacing, channel.shape)
    share = means(inside.astype(np.float32), block)
    value = means(np.where(inside, channel, 0), block) / np.maximum(share, 1e-6)
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
