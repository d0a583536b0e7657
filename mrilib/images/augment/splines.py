"""Smooth fields: uniform cubic B-splines over an image, with control points placed as in ITK's BSplineTransform."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def basis(size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The control points of each voxel of an axis and their weights: (first (size,) int64, weights (size, 4)).

    The axis is divided into `cells` equal parts between its first and last voxel, which need cells + 3 control points.
    The value at voxel i is the sum of weights[i] times the points first[i] .. first[i] + 3. An axis of one voxel puts
    all weight on the first point. The arrays are cached: do not write to them.
    """
    if size == 1:
        return np.zeros(1, np.int64), np.array([[1, 0, 0, 0]], np.float32)
    place = np.arange(size) * (cells / (size - 1))
    first = np.minimum(place.astype(np.int64), cells - 1)
    t = place - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], -1) / 6
    return first, weights.astype(np.float32)


def control_shape(size, cells) -> tuple[int, ...]:
    """The number of control points along each axis."""
    return tuple(4 if n == 1 else c + 3 for n, c in zip(size, cells, strict=True))


def field(controls: np.ndarray, size) -> np.ndarray:
    """The field of control points (*control_shape, k) over an image of this size: (*size, k) float64."""
    result = np.asarray(controls, float)
    for axis, n in enumerate(size):
        first, weights = basis(n, max(1, controls.shape[axis] - 3))
        taken = np.take(result, first[:, None] + np.arange(4), axis)
        shape = [1] * taken.ndim
        shape[axis], shape[axis + 1] = weights.shape
        result = (taken * weights.reshape(shape)).sum(axis + 1)
    return result
