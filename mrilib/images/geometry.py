"""Size, spacing and cropping. World positions stay: every step returns the grid its result lies on.

Sizes and spacings here are in array order, (z, y, x) or (y, x).
"""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError, UsageError
from mrilib.images.foreground import border, finite
from mrilib.images.grid import Grid, Image

HEAD_SIDE = 256  # crop_to_head looks at a picture of at most this many voxels a side
HEAD_PART = 0.1  # pieces smaller than this share of the largest are text, noise or eyes of a ghost


def resize(image: Image, *, mask=None, rng=None, size, fit: str = "pad") -> tuple[Image, dict]:
    """Scale to exactly `size` voxels with the aspect kept, then pad or crop what the aspect leaves over.

    size: voxels in array order. fit: "pad" shows the whole image, the rest filled with the border's lowest
    value of each channel; "crop" fills all of size and cuts what overhangs. The aspect is that of
    millimetres, so pixels that were not square become so, to within the rounding of a side to whole voxels.
    Linear, with a triangle filter as wide as the step when shrinking (Pillow's BILINEAR), so that nothing
    aliases. Measured: spacing (mm) of the result. Raises CaseError for a size of another dimension, NaN, an
    empty image.
    """
    grid = image.grid
    size = _counts(size, grid, "size")
    if fit not in ("pad", "crop"):
        raise UsageError(f"unknown fit {fit}", remedy="choose from pad crop")
    array = finite(image)
    extent = np.multiply(grid.size, grid.spacing)
    step = (extent / size).max() if fit == "pad" else (extent / size).min()
    inner = np.maximum(np.rint(extent / step).astype(int), 1)
    factor = np.divide(grid.size, inner)
    small = np.stack([_stretch(array[..., i], inner) for i in range(array.shape[-1])], -1)
    start = grid.to_index(grid.to_world(0.5 * factor - 0.5))
    scaled = Image(small, grid.moved(start, inner, tuple(np.multiply(grid.spacing, factor))), image.channels)
    result = _window(scaled, -((size - inner) // 2), size)
    return _like(image, result), {"spacing": list(result.grid.spacing)}


def _stretch(array: np.ndarray, size) -> np.ndarray:
    """One channel, (z, y, x) or (y, x) float32, scaled to `size`; linear, antialiased when shrinking."""
    from PIL import Image as Picture

    def plane(values, height, width):
        if values.shape == (height, width):
            return values
        picture = Picture.fromarray(np.ascontiguousarray(values, np.float32))
        return np.asarray(picture.resize((width, height), Picture.Resampling.BILINEAR))

    height, width = int(size[-2]), int(size[-1])
    if array.ndim == 2:
        return plane(array, height, width)
    slices = np.stack([plane(values, height, width) for values in array])
    depth = int(size[0])
    return plane(slices.reshape(len(slices), -1), depth, height * width).reshape(depth, height, width)


def _window(image: Image, start, size) -> Image:
    """The part of an image (with channel axis) from array index `start`, of `size`; background outside."""
    array, start = image.array, np.asarray(start)
    low, high = np.maximum(start, 0), np.minimum(start + size, image.grid.size)
    result = np.empty((*size, array.shape[-1]), array.dtype)
    if not (np.all(start >= 0) and np.all(start + size <= image.grid.size)):
        for i in range(array.shape[-1]):
            result[..., i] = border(array[..., i]).min()
    if np.all(high > low):
        inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        result[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return image.with_array(result, image.grid.moved(start, size))


def _like(image: Image, result: Image) -> Image:
    """The result without the channel axis that the image came without."""
    return result if image.has_channels else result.with_array(np.ascontiguousarray(result.array[..., 0]))


def _counts(size, grid: Grid, what: str) -> np.ndarray:
    values = np.asarray(size, float).ravel()
    if values.size != grid.dimension:
        raise CaseError(f"{what} has {values.size} numbers, the image {grid.dimension} axes")
    if not (np.all(values >= 1) and np.all(values == np.rint(values))):
        raise UsageError(f"{what} {', '.join(f'{v:g}' for v in values)} is not of whole numbers above 0")
    return values.astype(int)
