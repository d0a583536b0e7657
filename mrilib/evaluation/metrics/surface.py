"""How far two surfaces lie apart: Hausdorff distance, its percentile, the mean, and the share within a tolerance.

The surface is made of elements between voxels, each weighted by its area (Nikolov 2018, as DeepMind's surface-distance
has it), or of the voxels of the object that touch the background (as MedPy has it). Distances are exact, in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mrilib.evaluation.metrics import surfels

NEAR = 260  # neighbours looked at one by one before a search for the nearest begins
REACH = 8  # voxels, how far these may lie
BY_TREE, BY_MAP = 6.0, 0.07  # microseconds of a far point by tree, of a voxel by distance map: what is faster is taken


@dataclass(frozen=True)
class Distances:
    """From each point of one surface to the other, both ways: distances in mm and the size of each element."""

    to_reference: np.ndarray
    to_prediction: np.ndarray
    prediction_sizes: np.ndarray
    reference_sizes: np.ndarray


def between(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float],
            elements: bool = True) -> Distances:
    """The distances between the surfaces of two uint8 masks of 0 and 1, (z, y, x) or (y, x), of one shape.

    elements: surface elements with their areas (mm2; in 2D lengths, mm), else voxels of the object, each of size 1.
    What lies at the border of the array is surface too. Raises ValueError when a mask is empty.
    """
    if not (prediction.any() and reference.any()):
        raise ValueError("an empty mask has no surface")
    spacing = tuple(float(s) for s in spacing)
    if elements:
        size = surfels.sizes(spacing)
        codes = [surfels.codes(mask) for mask in (prediction, reference)]
        surfaces = [surfels.is_surface(code) for code in codes]
        sizes = [size[code[surface]] for code, surface in zip(codes, surfaces, strict=True)]
    else:
        surfaces = [_outermost(mask) for mask in (prediction, reference)]
        sizes = [np.ones(np.count_nonzero(surface)) for surface in surfaces]
    first, second = surfaces
    return Distances(nearest(first, second, spacing), nearest(second, first, spacing), *sizes)


def _outermost(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask that share a face with the background or lie at the array's border."""
    padded = np.pad(mask, 1)
    middle = tuple(slice(1, -1) for _ in mask.shape)
    inner = padded[middle].copy()
    for axis in range(mask.ndim):
        for shift in (slice(0, -2), slice(2, None)):
            inner &= padded[(*middle[:axis], shift, *middle[axis + 1 :])]
    return (mask ^ inner).astype(bool)


def nearest(points: np.ndarray, targets: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The distance (mm) from each True of `points` to the nearest True of `targets`, in array order.

    Both are bool arrays of one shape. Near neighbours are looked up one distance after the other, which is all that
    most points of two similar surfaces need; the few others are searched for.
    """
    shells = _shells(spacing)
    pad = [(r, r) for r in shells.reach]
    field = np.pad(targets, pad)
    places = np.argwhere(points)
    strides = np.array(field.strides)
    flat = (places + shells.reach) @ strides
    field = field.ravel()
    result = np.zeros(len(places))
    left = np.flatnonzero(~field[flat])
    here = flat[left]
    for distance, steps in zip(shells.distances, shells.steps, strict=True):
        if not len(left):
            break
        hit = field[here + int(steps[0] @ strides)]
        for step in steps[1:]:
            hit |= field[here + int(step @ strides)]
        result[left[hit]] = distance
        miss = ~hit
        left, here = left[miss], here[miss]
    if len(left):
        result[left] = _far(places[left], targets, spacing)
    return result


def _far(places: np.ndarray, targets: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    if len(places) * BY_TREE < targets.size * BY_MAP:
        from scipy.spatial import cKDTree

        tree = cKDTree(np.argwhere(targets) * np.array(spacing), balanced_tree=False, compact_nodes=False)
        return tree.query(places * np.array(spacing))[0]
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~targets, sampling=spacing)[tuple(places.T)]


@dataclass(frozen=True)
class Shells:
    """Neighbours by distance: reach (voxels) in each axis, distances (mm) in order, and the steps of each."""

    reach: np.ndarray
    distances: list[float]
    steps: list[np.ndarray]


@lru_cache(maxsize=64)
def _shells(spacing: tuple[float, ...]) -> Shells:
    """The nearest neighbours, in whole shells, for one spacing."""
    axis = np.arange(-REACH, REACH + 1)
    steps = np.stack(np.meshgrid(*[axis] * len(spacing), indexing="ij"), -1).reshape(-1, len(spacing))
    squares = (np.multiply(steps, spacing) ** 2).sum(1)
    order = np.argsort(squares, kind="stable")
    steps, squares = steps[order], squares[order]
    complete = squares < ((REACH + 1) * min(spacing)) ** 2  # farther ones are not all here
    steps, squares = steps[complete][1 : NEAR + 40], squares[complete][1 : NEAR + 40]
    starts = np.flatnonzero(np.r_[True, np.diff(squares) > 1e-9 * squares[1:]])
    ends = [int(end) for end in starts[1:] if end <= NEAR] or [len(squares)]
    groups = [steps[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return Shells(np.abs(np.concatenate(groups)).max(0), [float(np.sqrt(squares[b - 1])) for b in ends], groups)


def percentile(distances: Distances, percent: float) -> float:
    """The larger of the two directed percentiles, each weighted by the sizes of the elements; 100 gives Hausdorff's."""
    return max(_weighted(distances.to_reference, distances.prediction_sizes, percent),
               _weighted(distances.to_prediction, distances.reference_sizes, percent))


def _weighted(distances: np.ndarray, sizes: np.ndarray, percent: float) -> float:
    if percent >= 100:
        return float(distances.max())
    values, place = np.unique(distances, return_inverse=True)
    reached = np.cumsum(np.bincount(place, sizes)) / sizes.sum()
    if np.abs(reached - percent / 100).min() < 1e-9:  # rounding decides: add up as surface-distance does
        order = np.lexsort((sizes, distances))
        values, sizes = distances[order], sizes[order]
        reached = np.cumsum(sizes) / np.sum(sizes)
    return float(values[min(np.searchsorted(reached, percent / 100), len(values) - 1)])


def pooled_percentile(distances: Distances, percent: float) -> float:
    """The percentile of the distances of both directions together, without weights, as MedPy's hd95 has it."""
    return float(np.percentile(np.concatenate([distances.to_reference, distances.to_prediction]), percent))


def pooled_mean(distances: Distances) -> float:
    """The mean of the distances of both directions together, without weights, as MedPy's assd has it."""
    return float(np.concatenate([distances.to_reference, distances.to_prediction]).mean())


def mean(distances: Distances) -> float:
    """The mean of the two directed means (ASSD), each weighted by the sizes of the elements."""
    return float(np.average(distances.to_reference, weights=distances.prediction_sizes)
                 + np.average(distances.to_prediction, weights=distances.reference_sizes)) / 2


def within(distances: Distances, tolerance: float) -> float:
    """The share of both surfaces that lies within a tolerance (mm) of the other: surface Dice, NSD (Nikolov 2018)."""
    near = (distances.prediction_sizes[distances.to_reference <= tolerance].sum()
            + distances.reference_sizes[distances.to_prediction <= tolerance].sum())
    return float(near / (distances.prediction_sizes.sum() + distances.reference_sizes.sum()))
