"""Back to the native grid: probabilities resampled in world space, and the label map they mean there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample
from mrilib.images.steps.foreground import box_of
from mrilib.inference.segment import decode
from mrilib.models.record import MapRecord

EXACT = 1e-3  # voxels of distance between two grids that still share their voxels


def label_map(probabilities: np.ndarray, grid: Grid, native: Grid, record: MapRecord) -> np.ndarray:
    """The label map on the native grid: uint8, of the native grid's size.

    probabilities: float32 (*grid.size, k), on `grid`. They are resampled class by class, linearly, and then
    decoded; where the two grids share their voxels nothing is resampled. Background outside of `grid`. Only the part
    that can hold labels is resampled: where all voxels around are background, so is any mean of them.
    """
    here = decode(probabilities, record)
    result = np.zeros(native.size, np.uint8)
    shared = _shared(grid, native)
    if shared is not None:
        return _placed(here, shared, result)
    if not here.any():
        return result
    low, high = _box(here, 1 + _reach(grid, native))
    part = probabilities[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    own = grid.moved(low, high - low)
    corners = np.stack(np.meshgrid(*[(a - 0.5, b - 0.5) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    index = native.to_index(grid.to_world(corners.reshape(-1, grid.dimension)))
    first = np.maximum(np.floor(index.min(0)).astype(int), 0)
    last = np.minimum(np.ceil(index.max(0)).astype(int) + 1, native.size)
    if not (last > first).all():
        return result
    there = native.moved(first, last - first)
    moved = np.stack([_moved(part, i, own, there, record) for i in range(part.shape[-1])], -1)
    result[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = decode(moved, record)
    return result


def each_output(probabilities: np.ndarray, grid: Grid, native: Grid, record: MapRecord) -> Iterator[np.ndarray]:
    """Each output's probabilities on the native grid, float32 of its size, one at a time; outside of `grid` 1
    for the background of labels, 0 for everything else."""
    shared = _shared(grid, native)
    for i in range(probabilities.shape[-1]):
        if shared is not None:
            yield _placed(probabilities[..., i], shared, np.full(native.size, _outside(i, record), np.float32))
        else:
            yield _moved(probabilities, i, grid, native, record)


def _outside(i: int, record: MapRecord) -> float:
    return float(i == 0 and not record.regions)


def _moved(probabilities: np.ndarray, i: int, grid: Grid, native: Grid, record: MapRecord) -> np.ndarray:
    image = Image(np.ascontiguousarray(probabilities[..., i]), grid)
    return np.clip(resample(image, native, outside=_outside(i, record)).array, 0, 1)


def _reach(grid: Grid, native: Grid) -> np.ndarray:
    """How many voxels of `grid` away a voxel still counts when resample smooths (its Gaussian is cut at 4 sigma)."""
    factor = np.abs(np.linalg.inv(grid.matrix()) @ native.matrix()).max(1)
    return np.ceil(4 * np.maximum((factor - 1) / 2, 0) + 0.5).astype(int)


def _box(mask: np.ndarray, margin) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([(part.start, part.stop) for part in box_of(mask)]).T
    return np.maximum(low - margin, 0), np.minimum(high + margin, mask.shape)


def _shared(grid: Grid, native: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(order of axes, signs, first native index) when each voxel of `grid` is one of `native`, else None.

    Axis i of the native grid is axis order[i] of `grid`, running the same way where the sign is 1.
    """
    step = np.linalg.inv(native.matrix()) @ grid.matrix()  # native voxels for each step along an axis of grid
    signs = np.rint(step)
    extent = np.subtract(grid.size, 1)
    start = native.to_index(np.array(grid.origin))
    whole = (np.abs(signs).sum(0) == 1).all() and (np.abs(signs).sum(1) == 1).all()
    if not whole or (np.abs(step - signs) @ extent).max() > EXACT or np.abs(start - np.rint(start)).max() > EXACT:
        return None
    order = np.abs(signs).argmax(1)
    return order, signs[np.arange(len(order)), order].astype(int), np.rint(start).astype(int)


def _placed(array: np.ndarray, shared, result: np.ndarray) -> np.ndarray:
    """Copy an array to its place in `result`, what lies outside of it cut off; returns result."""
    order, signs, start = shared
    array = array.transpose(order)[tuple(slice(None, None, s) for s in signs)]
    start = np.where(signs < 0, start - np.subtract(array.shape, 1), start)
    low, high = np.maximum(start, 0), np.minimum(start + array.shape, result.shape)
    if (high > low).all():
        result[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = array[
            tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))]
    return result
