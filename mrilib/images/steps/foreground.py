"""Head and background of an image."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError

FLAT_BORDER = 0.98  # share of the border that must be one value for the background to be that value
BINS = 256  # of Otsu's histogram
FLAT_TOLERANCE = 0.01  # of the range of values: what JPEG adds to a flat background


def finite(image) -> np.ndarray:
    """The values as a float32 array with a channel axis. Raises CaseError for empty, NaN or infinite."""
    array = image.by_channel()
    if array.size == 0:
        raise CaseError("the image is empty")
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array.sum(dtype=np.float64)) and not np.isfinite(array).all():
        raise CaseError("holds NaN or infinite values", remedy="mend the file it comes from")
    return array


def border(array: np.ndarray) -> np.ndarray:
    """The values on the faces of an array of any dimension, flat; along axes of length 1 there is no face."""
    faces = [array.take(end, axis).ravel() for axis, n in enumerate(array.shape) if n > 1 for end in (0, -1)]
    return np.concatenate(faces) if faces else array.ravel()


def tenth(values: np.ndarray) -> float:
    """The 10th percentile of flat float32 values, as np.percentile has it at a twentieth of its overhead."""
    place = (len(values) - 1) * np.float32(0.1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    share = place - np.float32(below)
    low, high = ordered[below], ordered[above]
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def opened(mask: np.ndarray) -> np.ndarray:
    """A bool mask less what is thinner than 3 voxels along an axis: ndimage.binary_opening, eight times as fast."""
    core = mask.copy()
    for axis in range(mask.ndim):
        along, before = np.moveaxis(core, axis, 0), np.moveaxis(mask, axis, 0)
        along[1:] &= before[:-1]
        along[:-1] &= before[1:]
        along[0] = along[-1] = False
    thick = core.copy()
    for axis in range(mask.ndim):
        along, before = np.moveaxis(thick, axis, 0), np.moveaxis(core, axis, 0)
        along[1:] |= before[:-1]
        along[:-1] |= before[1:]
    return thick


def box_of(*masks: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around every voxel above 0 of arrays of one shape; empty slices where no voxel is."""
    ends = [slice(None)] * masks[0].ndim
    for axis in reversed(range(masks[0].ndim)):  # the longest rows first, the rest within what is left
        used = np.zeros(masks[0].shape[axis], bool)
        for mask in masks:
            inside = np.moveaxis(mask[tuple(ends)], axis, -1)
            while inside.ndim > 1:
                inside = np.bitwise_or.reduce(inside, axis=0)
            used |= inside > 0
        places = np.flatnonzero(used)
        if not len(places):
            return tuple(slice(0, 0) for _ in ends)
        ends[axis] = slice(int(places[0]), int(places[-1]) + 1)
    return tuple(ends)


def otsu(values: np.ndarray) -> float:
    """Otsu's threshold: the one with the largest variance between the two classes (Otsu 1979).

    values: float array of any shape, finite. Values above the result are the upper class. The result for a constant
    array is that constant. scikit-image's threshold_otsu returns the middle of a bin where this returns its upper end:
    0.03 to 0.3 % of the voxels of volumes change class. On 155x240x240 voxels it takes 240 ms, this 157 ms, and its
    import another 0.3 s in every worker.
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return low
    width = (high - low) / BINS
    index = np.minimum((values.ravel() - np.float32(low)) * np.float32(1 / width), BINS - 1).astype(np.intp)
    counts = np.bincount(index, minlength=BINS).astype(np.float64)
    below = np.cumsum(counts)
    moment = np.cumsum(counts * np.arange(BINS))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    return low + width * (int(np.nanargmax(between[:-1])) + 1)


def flat_outside(array: np.ndarray) -> float | None:
    """The value of the background of a volume, (z, y, x), if that is exactly one value; None otherwise.

    A skull-stripped volume has such a background: nearly all of its border is one value. Where the border cuts the
    head off, half of the border must have this value, and next to none of it a value close by, as noise would.
    A picture has none, because JPEG changes values.
    """
    if array.ndim != 3:
        return None
    edge = border(array)
    flat = np.median(edge)
    exact = (edge == flat).mean()
    if exact >= FLAT_BORDER:
        return float(flat)
    tolerance = np.float32(FLAT_TOLERANCE * (float(array.max()) - float(array.min())))
    nearly = (np.abs(edge - flat) <= tolerance).mean() - exact
    return float(flat) if exact >= 0.5 and nearly <= 1 - FLAT_BORDER else None


def foreground(array: np.ndarray) -> np.ndarray:
    """The foreground of one channel, (z, y, x) or (y, x): bool, true in the head. Holes are not filled.

    If nearly all of the border has one value (skull-stripped, or air set to 0), that value is the background; in
    pictures within the tolerance that JPEG needs. Otherwise the foreground is what lies above Otsu's threshold.
    """
    empty = flat_outside(array)
    if empty is not None:
        return array != empty
    edge = border(array)
    flat = np.median(edge)
    tolerance = np.float32(FLAT_TOLERANCE * (float(array.max()) - float(array.min())))
    if (np.abs(edge - flat) <= tolerance).mean() >= FLAT_BORDER:
        return np.abs(array - flat) > tolerance
    return array > otsu(array)


def outline(array: np.ndarray) -> np.ndarray:
    """Indices (m, n) of the voxels of the head that lie furthest out in each of many directions.

    array: (z, y, x, c) or (y, x, c), finite. However the head is turned, the box around these voxels is nearly the
    box around the head. An image without foreground returns its corners.
    """
    head = foreground(array[..., 0])
    n = head.ndim
    inside = head.reshape(-1)
    index = np.flatnonzero(inside)
    if not index.size:
        return np.stack(np.meshgrid(*[(0, s - 1) for s in head.shape], indexing="ij"), -1).reshape(-1, n)
    # only the ends of a line of voxels along the last axis can be outermost
    rows = head.reshape(-1, head.shape[-1])
    lines = np.flatnonzero(rows.any(1))
    first, last = rows[lines].argmax(1), head.shape[-1] - 1 - rows[lines][:, ::-1].argmax(1)
    heads = np.stack(np.unravel_index(np.concatenate([lines, lines]), head.shape[:-1]), -1)
    ends = np.column_stack([heads, np.concatenate([first, last])])
    directions = _directions(n)
    return np.unique(ends[(ends @ directions.T).argmax(0)], axis=0)


def _directions(n: int) -> np.ndarray:
    """Evenly spread directions, (m, n): on a circle, or on a sphere along a golden spiral."""
    if n == 2:
        turn = np.arange(64) * (2 * np.pi / 64)
        return np.column_stack([np.cos(turn), np.sin(turn)])
    i = np.arange(256) + 0.5
    height, turn = 1 - 2 * i / 256, np.pi * (1 + 5**0.5) * i
    return np.column_stack([height, np.sqrt(1 - height**2) * np.cos(turn), np.sqrt(1 - height**2) * np.sin(turn)])
