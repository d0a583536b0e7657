"""Removing noise, with the filters of SimpleITK."""

from __future__ import annotations

import numpy as np

from mrilib.images.foreground import finite
from mrilib.images.grid import Image


def median(image: Image, *, mask=None, rng=None, radius: int = 1) -> tuple[Image, dict]:
    """The middle value of the box of 2 * radius + 1 voxels a side around each voxel; borders repeat."""
    import SimpleITK as sitk

    return _each_channel(image, lambda p: sitk.Median(p, [int(radius)] * p.GetDimension()), {})


def _each_channel(image: Image, work, measured: dict) -> tuple[Image, dict]:
    """`work` on every channel as a SimpleITK image with the image's spacing."""
    import SimpleITK as sitk

    array = finite(image)
    result = np.empty(array.shape, np.float32)
    for i in range(array.shape[-1]):
        picture = sitk.GetImageFromArray(np.ascontiguousarray(array[..., i]))
        picture.SetSpacing(image.grid.spacing[::-1])
        result[..., i] = sitk.GetArrayFromImage(work(picture))
    return image.with_array(result.reshape(image.array.shape)), measured
