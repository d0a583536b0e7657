"""Size, spacing, orientation and cropping. Every step returns the grid of its result, so world positions stay.

Sizes and spacings are in array order, (z, y, x) or (y, x).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample, same_axes
from mrilib.images.steps.foreground import border, box_of, finite, flat_outside, opened, otsu, tenth

HEAD_SIDE = 256  # most voxels per axis in which crop_to_head looks for the head
FRAME = 6  # of these voxels: greatest thickness of a frame drawn around a picture
HEAD_PART = 0.05  # connected components smaller than this share of the largest are text or noise


def resize(image: Image, *, mask=None, size, fit: str = "pad") -> tuple[Image, dict]:
    """Scale to `size` voxels keeping the aspect ratio, then pad or crop to exactly that size.

    size: voxels in array order, or one number for all axes. fit: "pad" keeps the whole image and fills the rest with
    the lowest border value of each channel; "crop" fills the whole size and cuts the overhang off. The aspect ratio is
    in millimetres, so anisotropic pixels become square, up to rounding to whole voxels. Interpolation is linear, with a
    triangle filter as wide as the step when shrinking (Pillow's BILINEAR), against aliasing. Measured: spacing (mm) of
    the result. Raises CaseError for a size of another dimension, NaN, and an empty image.
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
    return same_axes(image, result), {"spacing": list(result.grid.spacing)}


def spacing(image: Image, *, mask=None, spacing) -> tuple[Image, dict]:
    """Resample to voxels of `spacing` mm, with the same extent and centre.

    spacing: in array order, or one number for all axes. Each axis gets the number of voxels that fits its extent best,
    at least one. Interpolation is linear, after a Gaussian when shrinking (see resample). Measured: size of the result.
    Raises CaseError for a spacing of another dimension, NaN, and an empty image.
    """
    grid = image.grid
    new_spacing = _for_axes(spacing, grid, "spacing")
    if not (np.isfinite(new_spacing).all() and (new_spacing > 0).all()):
        raise UsageError(f"spacing {', '.join(f'{v:g}' for v in new_spacing)} is not above 0 mm")
    ratio = np.divide(new_spacing, grid.spacing)
    size = np.maximum(np.rint(np.divide(grid.size, ratio)).astype(int), 1)
    start = (np.subtract(grid.size, 1) - (size - 1) * ratio) / 2
    result = resample(image, grid.moved(start, size, tuple(new_spacing)))
    return result, {"size": size.tolist()}


def reorient(image: Image, *, mask=None, orientation: str = "RAS") -> tuple[Image, dict]:
    """Permute and flip the axes of a volume so that x, y, z run towards `orientation`; no new values.

    orientation: three letters for x, y, z, one each of R or L, A or P, S or I (axis codes of nibabel: "RAS" runs to the
    right, to the front, upwards). An oblique volume takes the nearest axes and stays oblique. A 2D image has no
    orientation and is returned as it is. Measured: given, the orientation before ("" in 2D). Raises UsageError for
    other letters.
    """
    sides = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "S": (2, 1), "I": (2, -1)}  # in LPS
    sides_wanted = [sides.get(letter) for letter in orientation.upper()]
    if len(sides_wanted) != 3 or None in sides_wanted or sorted(axis for axis, _ in sides_wanted) != [0, 1, 2]:
        raise UsageError(f"orientation {orientation} is not of one letter each of RL, AP, SI", remedy="such as RAS")
    if image.grid.dimension == 2:
        return image, {"given": ""}
    direction = np.asarray(image.grid.direction)[::-1, ::-1]  # world x, y, z by index x, y, z
    best = max(permutations(range(3)), key=lambda order: sum(abs(direction[w, order[w]]) for w in range(3)))
    names = {side: letter for letter, side in sides.items()}
    letters = [""] * 3
    for world, axis in enumerate(best):
        letters[axis] = names[world, 1 if direction[world, axis] > 0 else -1]
    order = [2 - best[world] for world, _ in sides_wanted][::-1]  # array axes of the result, z first
    flips = [(1 if direction[world, best[world]] > 0 else -1) != sign for world, sign in sides_wanted][::-1]
    array = image.array.transpose(*order, *range(3, image.array.ndim))
    array = array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    start = np.zeros(3)
    columns = np.asarray(image.grid.direction)[:, order]
    for axis, flip in zip(order, flips, strict=True):
        start[axis] = image.grid.size[axis] - 1 if flip else 0
    columns = columns * [-1.0 if flip else 1.0 for flip in flips]
    grid = Grid.of(array.shape[:3], tuple(image.grid.spacing[a] for a in order), tuple(image.grid.to_world(start)),
                   columns + 0.0)
    return image.with_array(array, grid), {"given": "".join(letters)}


def crop_to_head(image: Image, *, mask=None, margin: float = 0) -> tuple[Image, dict]:
    """Crop to the bounding box of the head, with `margin` mm around it.

    The head is what stands out from the air in any channel (see above_air), without specks, thin lines and connected
    components smaller than HEAD_PART of the largest, such as text in a corner. A mask, bool on the grid, replaces it.
    Measured: box, [start, stop) in voxels of the input, array order. Raises CaseError for NaN and for an image with a
    single value.
    """
    from scipy import ndimage

    array = finite(image)
    n = image.grid.dimension
    stride = np.maximum(-(-np.asarray(image.grid.size) // HEAD_SIDE), 1)
    sample = array[tuple(slice(None, None, k) for k in stride)]
    if mask is not None:
        head, stride = np.asarray(mask, bool), np.ones(n, int)
    else:
        head = np.any([above_air(sample[..., i]) for i in range(sample.shape[-1])], 0)
        thick = opened(head)
        head = thick if thick.any() else head
        pieces, count = ndimage.label(head)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        sizes[0] = 0
        head = (sizes >= HEAD_PART * max(sizes.max(), 1))[pieces]
    if not head.any():
        raise CaseError("no head found, the image is one value", remedy="leave this case out")
    first, last = np.array([(part.start, part.stop) for part in box_of(head)]).T
    room = np.rint(margin / np.asarray(image.grid.spacing)).astype(int)
    low, high = (first - 1) * stride + 1 - room, last * stride + room
    low, high = np.maximum(low, 0), np.minimum(high, image.grid.size)
    result = _window(image.with_array(array), low, high - low)
    return same_axes(image, result), {"box": [low.tolist(), high.tolist()]}


def above_air(array: np.ndarray) -> np.ndarray:
    """The voxels of one channel, (z, y, x) or (y, x), that are not air: bool.

    In a skull-stripped volume, every voxel that differs from its background. In any other image air is the 10th
    percentile of the border, because a head that is cut off may fill most of the border. A frame drawn around the image
    counts as air if even its dimmest part is far from the air just inside. The threshold lies between the two darker of
    three classes, because a bright lesion raises the threshold between two; it stays within a quarter and a half of the
    latter.
    """
    empty = flat_outside(array)
    if empty is not None:
        return array != empty

    def within(k):
        return tuple(slice(k, n - k) for n in array.shape)

    deep = max(0, min(FRAME, (min(array.shape) - 3) // 2))
    airs = [tenth(border(array[within(k)])) for k in range(deep + 1)]
    inner = min(airs)
    distance = np.abs(array - np.float32(airs[0]))
    level = _middle(distance)
    if airs[0] - inner > level / 2:
        distance = np.abs(array - np.float32(inner))
        level = _middle(distance)
        depth = next(k for k, air in enumerate(airs) if air - inner <= level / 4)
        framed = np.zeros_like(distance)
        framed[within(depth)] = distance[within(depth)]
        distance = framed
    return distance > np.clip(_middle(distance[distance <= level]), level / 4, level / 2)


def _middle(values: np.ndarray) -> float:
    """Halfway between the means of the two classes of Otsu's threshold, which itself may lie anywhere in a gap."""
    level = otsu(values)
    upper = values > level
    if not upper.any():
        return level
    return float(values[upper].mean(dtype=np.float64) + values[~upper].mean(dtype=np.float64)) / 2


def pad_or_crop(image: Image, *, mask=None, size) -> tuple[Image, dict]:
    """Pad or crop each axis about the centre to exactly `size` voxels, without resampling.

    size: voxels in array order, or one number for all axes. The padding is the lowest border value of each channel.
    Measured: start, the index in the input of the first voxel of the result. Raises CaseError for a size of another
    dimension, NaN, and an empty image.
    """
    size = _counts(size, image.grid, "size")
    start = -((size - image.grid.size) // 2)
    return same_axes(image, _window(image.with_array(finite(image)), start, size)), {"start": start.tolist()}


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


def _for_axes(numbers, grid: Grid, what: str) -> np.ndarray:
    """A number for each axis of the grid; a single number stands for all axes."""
    values = np.asarray(numbers, float).ravel()
    if values.size == 1:
        return values.repeat(grid.dimension)
    if values.size != grid.dimension:
        raise CaseError(f"{what} has {values.size} numbers, the image {grid.dimension} axes")
    return values


def _counts(size, grid: Grid, what: str) -> np.ndarray:
    values = _for_axes(size, grid, what)
    if not (np.all(values >= 1) and np.all(values == np.rint(values))):
        raise UsageError(f"{what} {', '.join(f'{v:g}' for v in values)} is not of whole numbers above 0")
    return values.astype(int)
