"""How much surface passes between eight voxels (or line between four pixels), by which of them are inside.

The surface is that of marching cubes (Lorensen and Cline 1987) halfway between the voxel centres: at a face with two
corners inside across from each other these are parted, with more than four corners inside it is the outside that is
cut. Of the ways to cut a polygon into triangles the one with the largest area is taken. With this the areas are those
of DeepMind's surface-distance, which a test compares code by code.

A code has a bit for each corner: 128 for (0, 0, 0), 64 for (0, 0, 1), … 1 for (1, 1, 1), axes in array order; in 2D
8, 4, 2, 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np

CORNERS = tuple(product((0, 1), repeat=3))


@lru_cache(maxsize=64)
def sizes(spacing: tuple[float, ...]) -> np.ndarray:
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
