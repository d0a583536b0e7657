"""The affine transform of an image about its centre, in mm and degrees of the world.

Arrays, matrices and vectors are in array order, (z, y, x) or (y, x). A draw (augment.draw) is applied in this order:
flip, stretch and scale, shear, rotate, shift. A missing transform does nothing. augment.warp resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from mrilib.images.grid import Grid

SPATIAL = ("flip", "rotate", "shear", "scale", "stretch", "shift")
FLIPS = {"lr": -1, "ud": 0, "ap": 1}  # array axis: lr along x; ud along y of a picture, z of a volume; ap along y
EXACT = 1e-9  # voxels: a position this close to a voxel is that voxel


def planes(dimension: int) -> list[tuple[int, int]]:
    """The array axes (i, j) of each rotation, in the order of `rotate`: about x, y and z; in 2D about z alone."""
    return [(0, 1)] if dimension == 2 else [(0, 1), (0, 2), (1, 2)]


def world_matrix(drawn: dict, dimension: int) -> np.ndarray:
    """The (n, n) matrix from offsets in mm to offsets in mm, without the shift.

    rotate: degrees in each of planes(); in 2D positive is counter-clockwise as shown (numpy.rot90). shear:
    degrees for each ordered pair of axes. scale: above 1 enlarges; stretch: the same for each axis. flip: names of
    FLIPS.
    """
    matrix = np.eye(dimension)
    for (i, j), angle in zip(planes(dimension), drawn.get("rotate", ()), strict=False):
        turn = np.eye(dimension)
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        turn[i, i] = turn[j, j] = c
        turn[i, j], turn[j, i] = -s, s
        matrix = matrix @ turn
    for (i, j), angle in zip(permutations(range(dimension), 2), drawn.get("shear", ()), strict=False):
        lean = np.eye(dimension)
        lean[i, j] = np.tan(np.deg2rad(angle))
        matrix = matrix @ lean
    matrix = matrix * drawn.get("scale", 1.0) * np.asarray(drawn.get("stretch", (1.0,) * dimension))
    for name in drawn.get("flip", ()):
        mirror = np.eye(dimension)
        mirror[FLIPS[name], FLIPS[name]] = -1
        matrix = matrix @ mirror
    return matrix


def index_map(drawn: dict, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(matrix, offset): voxel `i` of the result is taken from the place matrix @ i + offset of the image."""
    to_world = grid.matrix()
    forward = np.linalg.solve(to_world, world_matrix(drawn, grid.dimension) @ to_world)
    matrix = np.linalg.inv(forward)
    shift = np.linalg.solve(to_world, np.asarray(drawn.get("shift", (0.0,) * grid.dimension), float))
    centre = np.subtract(grid.size, 1) / 2
    offset = centre - matrix @ (centre + shift)
    return _snapped(matrix, 1e-12), _snapped(offset, EXACT)


def _snapped(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Round values to multiples of 0.5 that differ only by rounding, so that 90 degrees are exact."""
    whole = np.rint(values * 2) / 2
    return np.where(np.abs(values - whole) <= tolerance, whole, values)


def is_lattice(matrix: np.ndarray, offset: np.ndarray) -> bool:
    """Whether matrix @ index + offset maps voxels to voxels: flips, quarter turns, whole shifts."""
    ones = np.abs(matrix)
    return bool(np.isin(ones, (0, 1)).all() and (ones.sum(0) == 1).all() and (ones.sum(1) == 1).all()
                and (offset == np.rint(offset)).all())


def moved(array: np.ndarray, matrix: np.ndarray, offset: np.ndarray, outside) -> np.ndarray:
    """The values at matrix @ index + offset, for a signed permutation and a whole offset."""
    order = np.abs(matrix).argmax(1)  # image axis i runs along result axis order[i]
    turned = array.transpose(np.argsort(order))
    result = np.empty(array.shape, array.dtype)
    target, source = [], []
    for axis in range(array.ndim):
        i = int(np.flatnonzero(order == axis)[0])
        sign, start, length = int(matrix[i, axis]), int(offset[i]), array.shape[i]
        places = np.arange(array.shape[axis]) * sign + start
        inside = np.flatnonzero((places >= 0) & (places < length))
        if inside.size == 0:
            result[...] = outside
            return result
        target.append(slice(int(inside[0]), int(inside[-1]) + 1))
        first, last = int(places[inside[0]]), int(places[inside[-1]])
        source.append(slice(first, last + 1) if sign > 0 else slice(first, last - 1 if last else None, -1))
    if result[tuple(target)].size < result.size:
        result[...] = outside
    result[tuple(target)] = turned[tuple(source)]
    return result


def moved_boxes(boxes: Sequence, drawn: dict, grid: Grid) -> list[list]:
    """Boxes (x0, y0, x1, y1, class) in pixels of a 2D grid, after the transform.

    The new box holds the moved corners and is extended to whole pixels, so that it keeps every pixel; it is clipped to
    the image. A box outside the image is left out. Without a spatial transform all boxes stay as they are.
    """
    if not any(name in drawn for name in SPATIAL):
        return [list(box) for box in boxes]
    matrix, offset = index_map(drawn, grid)
    boxes_after = []
    for x0, y0, x1, y1, *rest in boxes:
        corners = np.array([[y, x] for y in (y0, y1) for x in (x0, x1)]) - 0.5  # pixel edges to centres
        places = np.round(np.linalg.solve(matrix, (corners - offset).T).T + 0.5, 6)
        low, high = np.floor(places.min(0)).clip(0, grid.size), np.ceil(places.max(0)).clip(0, grid.size)
        if (high > low).all():
            boxes_after.append([float(low[1]), float(low[0]), float(high[1]), float(high[0]), *rest])
    return boxes_after
