"""Edge strength as additional channels."""

from __future__ import annotations

import numpy as np

from mrilib.images.grid import Image
from mrilib.images.steps.foreground import finite


def sobel(image: Image, *, mask=None) -> tuple[Image, dict]:
    """Add for each channel another one: the magnitude of its gradient by Sobel's filter.

    The unit is intensity per smallest side of a voxel. Borders are mirrored. An image with one channel gets the
    channels "image" and "image-sobel". Raises CaseError for NaN and for an empty image.
    """
    from scipy import ndimage

    array = finite(image)
    n = image.grid.dimension
    total = np.zeros(array.shape, np.float32)
    shortest = min(image.grid.spacing)
    for axis in range(n):
        slope = array
        for other in range(n):
            kernel = [-0.5, 0, 0.5] if other == axis else [0.25, 0.5, 0.25]
            slope = ndimage.correlate1d(slope, kernel, other, mode="reflect")
        total += (slope * np.float32(shortest / image.grid.spacing[axis])) ** 2
    names = image.channels or ("image",)
    joined = np.concatenate([array, np.sqrt(total)], -1)
    return image.with_array(joined, channels=(*names, *(f"{name}-sobel" for name in names))), {}
