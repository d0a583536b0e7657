"""How far two surfaces lie apart: Hausdorff distance, its percentile, the mean, and the share within a tolerance.

The surface is made of elements between voxels, each weighted by its area (Nikolov 2018, as DeepMind's surface-distance
has it), or of the voxels of the object that touch the background (as MedPy has it). Distances are exact, in mm.

The area of each element is that of marching cubes (Lorensen and Cline 1987) halfway between the voxel centres: at a
face with two corners inside across from each other these are parted, and with more than four corners inside the outside
is cut. Of the ways to cut a polygon into triangles, the one with the largest area is taken. So the areas are those of
DeepMind's surface-distance, which a test compares code by code. A code says which of the eight voxels around an element
are inside: 128 for (0, 0, 0), 64 for (0, 0, 1), … 1 for (1, 1, 1), axes in array order; in 2D 8, 4, 2, 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

NEAR = 260  # neighbours looked at one by one before a search for the nearest begins
REACH = 8  # voxels, how far these may lie
CORNERS = tuple(product((0, 1), repeat=3))
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
        area = areas(spacing)
        both = [codes(mask) for mask in (prediction, reference)]
        surfaces = [is_surface(code) for code in both]
        sizes = [area[code[surface]] for code, surface in zip(both, surfaces, strict=True)]
    else:
        surfaces = [_outermost(mask) for mask in (prediction, reference)]
        sizes = [np.ones(np.count_nonzero(surface)) for surface in surfaces]
    first, second = surfaces
    return Distances(nearest(first, second, spacing), nearest(second, first, spacing), *sizes)


def _outermost(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask that share a face with the background or lie at the array's border."""
    from scipy.ndimage import binary_erosion

    return mask.astype(bool) & ~binary_erosion(mask)


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


def pooled(distances: Distances) -> np.ndarray:
    """The distances of both directions together, without weights: MedPy's hd95 and assd are those of them."""
    return np.concatenate([distances.to_reference, distances.to_prediction])


def mean(distances: Distances) -> float:
    """The mean of the two directed means (ASSD), each weighted by the sizes of the elements."""
    return float(np.average(distances.to_reference, weights=distances.prediction_sizes)
                 + np.average(distances.to_prediction, weights=distances.reference_sizes)) / 2


def within(distances: Distances, tolerance: float) -> float:
    """The share of both surfaces that lies within a tolerance (mm) of the other: surface Dice, NSD (Nikolov 2018)."""
    near = (distances.prediction_sizes[distances.to_reference <= tolerance].sum()
            + distances.reference_sizes[distances.to_prediction <= tolerance].sum())
    return float(near / (distances.prediction_sizes.sum() + distances.reference_sizes.sum()))


@lru_cache(maxsize=64)
def areas(spacing: tuple[float, ...]) -> np.ndarray:
    """The area (mm2) of each of 256 codes for a spacing (z, y, x) in mm; of 16 codes the length (mm) for (y, x)."""
    if len(spacing) == 2:
        return _lengths(*spacing)
    normals, owner = _normals()
    z, y, x = spacing
    return np.bincount(owner, np.linalg.norm(normals * (y * x, z * x, z * y), axis=1), 256)


def _lengths(y: float, x: float) -> np.ndarray:
    corner = np.hypot(y, x) / 2
    straight = {0b0011: x, 0b1100: x, 0b0101: y, 0b1010: y}
    return np.array([0, *(corner if code.bit_count() in (1, 3) else straight.get(code, 2 * corner)
                          for code in range(1, 15)), 0])


@lru_cache(maxsize=1)
def _normals() -> tuple[np.ndarray, np.ndarray]:
    """Area vectors (n, 3) of all triangles, for unit spacing, and the code (n,) that each belongs to."""
    normals, owner = [], []
    for code in (code for code in range(1, 255) if code.bit_count() <= 4):
        inside = {corner for bit, corner in enumerate(reversed(CORNERS)) if code >> bit & 1}
        for loop in _loops(inside):
            middles = np.array([np.add(a, b) / 2 for a, b in loop])
            cuts = middles[np.array(_triangulations(0, len(loop) - 1))]  # (ways, triangles, 3 corners, 3)
            areas = np.cross(cuts[:, :, 1] - cuts[:, :, 0], cuts[:, :, 2] - cuts[:, :, 0]) / 2
            best = areas[np.linalg.norm(areas, axis=2).sum(1).argmax()]
            for same in {code, 255 - code} if code.bit_count() < 4 else {code}:
                normals += list(best)
                owner += [same] * len(best)
    return np.array(normals), np.array(owner)


def _loops(inside: set) -> Iterator[list]:
    """The closed lines, as lists of the cube's edges that they cross, that part these corners from the others."""
    next_to: dict[tuple, list] = {}
    for axis, side in product(range(3), (0, 1)):
        around = [tuple(np.insert(p, axis, side).tolist()) for p in ((0, 0), (0, 1), (1, 1), (1, 0))]
        edges = [tuple(sorted((around[i], around[(i + 1) % 4]))) for i in range(4)]
        crossed = [e for e in edges if (e[0] in inside) != (e[1] in inside)]
        if len(crossed) == 2:
            pairs = [tuple(crossed)]
        else:  # none, or four: each inside corner is cut off by itself
            pairs = [(edges[i - 1], edges[i]) for i in range(4) if crossed and around[i] in inside]
        for one, other in pairs:
            next_to.setdefault(one, []).append(other)
            next_to.setdefault(other, []).append(one)
    while next_to:
        loop = [min(next_to)]
        while onward := [edge for edge in next_to.pop(loop[-1]) if edge in next_to]:
            loop.append(onward[0])
        yield loop


def _triangulations(first: int, last: int) -> list[tuple]:
    """Every way to cut the polygon first, …, last into triangles of its corners."""
    if last - first < 2:
        return [()]
    return [left + right + ((first, k, last),) for k in range(first + 1, last)
            for left in _triangulations(first, k) for right in _triangulations(k, last)]


def codes(mask: np.ndarray) -> np.ndarray:
    """The code at each corner of the voxels of a uint8 mask of 0 and 1, (z, y, x) or (y, x): one more in each axis."""
    padded = np.pad(mask, 1)
    row = padded[..., :-1] << 1 | padded[..., 1:]
    plane = row[..., :-1, :] << 2 | row[..., 1:, :]
    return plane if mask.ndim == 2 else plane[:-1] << 4 | plane[1:]


def is_surface(code: np.ndarray) -> np.ndarray:
    """Where some but not all of the corners are inside."""
    return code - np.uint8(1) < np.uint8(2 ** (2**code.ndim) - 2)
