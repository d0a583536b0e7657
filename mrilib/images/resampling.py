"""Resampling of an image onto another grid, in world space."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import itk
from mrilib.images.steps.foreground import border, finite


def resample(image: Image, grid: Grid, order: int = 1, outside: float | None = None) -> Image:
    """Resample an image onto another grid of the same dimension, in world space.

    order: 1 is linear and returns float32; where the new voxels are larger by a factor, a Gaussian of (factor - 1) / 2
    voxels comes first, against aliasing (as in scikit-image). 0 is nearest neighbour, for label maps, and keeps the
    type. outside: the value beyond the image; by default 0 with order 0, else the lowest border value of each channel.
    Raises CaseError for another dimension; with order 1 also for NaN and an empty image.
    """
    import SimpleITK as sitk

    if grid.dimension != image.grid.dimension:
        raise CaseError(f"has {image.grid.dimension} axes, the grid to bring it to {grid.dimension}")
    if order not in (0, 1):
        raise ValueError(f"order {order} is neither 0 nor 1")
    array = finite(image) if order else image.by_channel()
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if grid.same_as(image.grid, 1e-6):
        return same_axes(image, image.with_array(array.copy()))
    target = itk.to_itk(Image(np.empty(grid.size, np.uint8), grid))
    factor = np.abs(np.linalg.inv(image.grid.matrix()) @ grid.matrix()).max(1)
    result = np.empty((*grid.size, array.shape[-1]), array.dtype)
    for i in range(array.shape[-1]):
        channel = array[..., i]
        outside_value = outside if outside is not None else float(border(channel).min()) if order else 0
        if order:
            channel = _smooth(channel, np.maximum((factor - 1) / 2, 0))
        moving = itk.to_itk(Image(channel, image.grid))
        kind = sitk.sitkLinear if order else sitk.sitkNearestNeighbor
        resampled = sitk.Resample(moving, target, sitk.Transform(), kind, outside_value, moving.GetPixelID())
        result[..., i] = sitk.GetArrayViewFromImage(resampled)
    return same_axes(image, Image(result, grid, image.channels))


def _smooth(array: np.ndarray, sigma) -> np.ndarray:
    from scipy import ndimage

    return ndimage.gaussian_filter(array, sigma, mode="nearest") if np.any(sigma > 0) else array


def same_axes(image: Image, result: Image) -> Image:
    """The result, which has a channel axis, without it where the image has none."""
    return result if image.has_channels else result.with_array(np.ascontiguousarray(result.array[..., 0]))
