"""Resampling of an image onto another grid, in world space."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import itk
from mrilib.images.steps.foreground import border, finite


def resample(image: Image, grid: Grid, order: int = 1, outside: float | None = None) -> Image:
    """The image on another grid of the same dimension, every voxel at its place in the world.

    order: 1 linear, float32, with a Gaussian of (factor - 1) / 2 voxels before where the new voxels are larger
    by `factor`, against aliasing (as scikit-image does); 0 nearest, for label maps, of the image's own type.
    outside: the value beyond the image; by default 0 with order 0, else the lowest on each channel's border.
    Raises CaseError for another dimension; with order 1 also for NaN or an empty image.
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
        beyond = outside if outside is not None else float(border(channel).min()) if order else 0
        if order:
            channel = _smooth(channel, np.maximum((factor - 1) / 2, 0))
        moving = itk.to_itk(Image(channel, image.grid))
        kind = sitk.sitkLinear if order else sitk.sitkNearestNeighbor
        moved = sitk.Resample(moving, target, sitk.Transform(), kind, beyond, moving.GetPixelID())
        result[..., i] = sitk.GetArrayViewFromImage(moved)
    return same_axes(image, Image(result, grid, image.channels))


def _smooth(array: np.ndarray, sigma) -> np.ndarray:
    from scipy import ndimage

    return ndimage.gaussian_filter(array, sigma, mode="nearest") if np.any(sigma > 0) else array


def same_axes(image: Image, result: Image) -> Image:
    """The result, which has a channel axis, without it where the image has none."""
    return result if image.has_channels else result.with_array(np.ascontiguousarray(result.array[..., 0]))
