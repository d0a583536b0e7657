"""Size, spacing and cropping. World positions stay: every step returns the grid its result lies on.

Sizes and spacings here are in array order, (z, y, x) or (y, x).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample, same_axes
from mrilib.images.steps.foreground import border, box_of, finite, flat_outside, opened, otsu, tenth

HEAD_SIDE = 256  # crop_to_head looks at every k-th voxel, so that no axis has more than this
FRAME = 6  # how many such voxels thick a frame drawn around a picture may be
HEAD_PART = 0.05  # pieces smaller than this share of the largest are text or noise


def resize(image: Image, *, mask=None, rng=None, size, fit: str = "pad") -> tuple[Image, dict]:
    """Scale to exactly `size` voxels with the aspect kept, then pad or crop what the aspect leaves over.

    size: voxels in array order, or one number for all axes. fit: "pad" shows the whole image, the rest filled
    with the border's lowest value of each channel; "crop" fills all of size and cuts what overhangs. The aspect
    is that of millimetres, so pixels that were not square become so, to within the rounding of a side to whole voxels.
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
    return same_axes(image, result), {"spacing": list(result.grid.spacing)}


def spacing(image: Image, *, mask=None, rng=None, spacing) -> tuple[Image, dict]:
    """Resample to voxels of `spacing` mm, over the same extent and about the same centre.

    spacing: in array order, or one number for all axes. Each axis gets as many voxels as fill its extent
    best, at least one. Linear; a Gaussian before, when shrinking (see resample). Measured: size of the result.
    Raises CaseError for a spacing of another dimension, NaN, an empty image.
    """
    grid = image.grid
    wanted = _for_axes(spacing, grid, "spacing")
    if not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise UsageError(f"spacing {', '.join(f'{v:g}' for v in wanted)} is not above 0 mm")
    ratio = np.divide(wanted, grid.spacing)
    size = np.maximum(np.rint(np.divide(grid.size, ratio)).astype(int), 1)
    start = (np.subtract(grid.size, 1) - (size - 1) * ratio) / 2
    result = resample(image, grid.moved(start, size, tuple(wanted)))
    return result, {"size": size.tolist()}


def reorient(image: Image, *, mask=None, rng=None, orientation: str = "RAS") -> tuple[Image, dict]:
    """Turn and flip the axes of a volume by whole quarters so that x, y, z run towards `orientation`; no new values.

    orientation: three letters for x, y, z, one each of R or L, A or P, S or I (nibabel's axis codes: "RAS" runs to
    the right, to the front, upwards). An oblique volume takes the nearest axes and stays oblique. A 2D image says
    nothing of where its patient lay and comes back as it is. Measured: given, the orientation that it had ("" in 2D).
    Raises UsageError for other letters.
    """
    sides = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "S": (2, 1), "I": (2, -1)}  # of ITK's world, LPS
    wanted = [sides.get(letter) for letter in orientation.upper()]
    if len(wanted) != 3 or None in wanted or sorted(axis for axis, _ in wanted) != [0, 1, 2]:
        raise UsageError(f"orientation {orientation} is not of one letter each of RL, AP, SI", remedy="such as RAS")
    if image.grid.dimension == 2:
        return image, {"given": ""}
    direction = np.asarray(image.grid.direction)[::-1, ::-1]  # world x, y, z by index x, y, z
    best = max(permutations(range(3)), key=lambda order: sum(abs(direction[w, order[w]]) for w in range(3)))
    names = {side: letter for letter, side in sides.items()}
    given = [""] * 3
    for world, axis in enumerate(best):
        given[axis] = names[world, 1 if direction[world, axis] > 0 else -1]
    order = [2 - best[world] for world, _ in wanted][::-1]  # array axes of the result, z first
    flips = [(1 if direction[world, best[world]] > 0 else -1) != sign for world, sign in wanted][::-1]
    array = image.array.transpose(*order, *range(3, image.array.ndim))
    array = array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    start = np.zeros(3)
    columns = np.asarray(image.grid.direction)[:, order]
    for axis, flip in zip(order, flips, strict=True):
        start[axis] = image.grid.size[axis] - 1 if flip else 0
    columns = columns * [-1.0 if flip else 1.0 for flip in flips]
    grid = Grid.of(array.shape[:3], tuple(image.grid.spacing[a] for a in order), tuple(image.grid.to_world(start)),
                   columns + 0.0)
    return image.with_array(array, grid), {"given": "".join(given)}


def crop_to_head(image: Image, *, mask=None, rng=None, margin: float = 0) -> tuple[Image, dict]:
    """Cut away the air around the head: the bounding box of the head, with `margin` mm around it.

    The head is what stands out from the air in any channel (see above_air), less specks, thin lines and the
    pieces smaller than HEAD_PART of the largest, such as text in a corner. A mask, bool on the grid, takes its
    place. Measured: box, [start, stop) in voxels of the image as it came, array order. Raises CaseError for
    NaN, or when the image is one value.
    """
    from scipy import ndimage

    array = finite(image)
    n = image.grid.dimension
    stride = np.maximum(-(-np.asarray(image.grid.size) // HEAD_SIDE), 1)
    seen = array[tuple(slice(None, None, k) for k in stride)]
    if mask is not None:
        head, stride = np.asarray(mask, bool), np.ones(n, int)
    else:
        head = np.any([above_air(seen[..., i]) for i in range(seen.shape[-1])], 0)
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
    """What is not air in one channel, (z, y, x) or (y, x): bool.

    Of a volume with nothing around it, such as a skull-stripped one, all that is not this nothing. Else:
    Air is the 10th percentile of the border, for a head that is cut off may fill the most of it. A frame drawn
    around the image, if even its dimmest part is far from the air just inside, is air too. The threshold is
    that between the two darker of three classes where a bright lesion has pushed up that between two, within
    a quarter and a half of the latter.
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
    """Halfway between the means of the two classes that Otsu's threshold parts, where it lies itself unless there is
    nothing between them: then it stands anywhere there."""
    level = otsu(values)
    upper = values > level
    if not upper.any():
        return level
    return float(values[upper].mean(dtype=np.float64) + values[~upper].mean(dtype=np.float64)) / 2


def pad_or_crop(image: Image, *, mask=None, rng=None, size) -> tuple[Image, dict]:
    """Pad or crop each axis about the centre to exactly `size` voxels, without resampling.

    size: voxels in array order, or one number for all axes.
    Padding is the lowest value on each channel's border. Measured: start, the index in the image as it came
    of the result's first voxel. Raises CaseError for a size of another dimension, NaN, an empty image.
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
    """A number for each axis of the grid; a single one stands for all."""
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
