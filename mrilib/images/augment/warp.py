"""Spatial transforms of an image and its label map, composed into one resampling, in mm and degrees of the world.

A draw (augment.draw) is applied in this order: elastic deformation, flip, stretch and scale, shear, rotate, shift
(augment.affine), perspective.
"""

from __future__ import annotations

import numpy as np

from mrilib.images.augment import affine, splines
from mrilib.images.grid import Grid

SLACK = 1e-6  # pixels: rounding of a position
BENDING = ("elastic", "perspective")  # transforms that are not affine
FOLDS = 0.4  # share of the distance of control points: a B-spline moved further may fold (Choi and Lee 2000)


def moves(drawn: dict) -> bool:
    """Whether a draw holds a spatial transform."""
    return any(name in drawn for name in (*affine.SPATIAL, *BENDING))


def index_map(drawn: dict, grid: Grid) -> np.ndarray:
    """(n + 1, n + 1) homogeneous matrix from index in the result to index in the image, without elastic."""
    matrix, offset = affine.index_map(drawn, grid)
    n = grid.dimension
    whole = np.eye(n + 1)
    whole[:n, :n], whole[:n, n] = matrix, offset
    return whole @ _homography(drawn["perspective"], grid) if "perspective" in drawn else whole


def _homography(corners, grid: Grid) -> np.ndarray:
    """(3, 3) matrix that moves each corner of a picture by the given mm (y, x)."""
    away = np.linalg.solve(grid.matrix(), np.reshape(corners, (4, 2)).T).T
    rows, values = [], []
    for corner, (y, x) in enumerate((i, j) for i in (0.0, grid.size[0] - 1.0) for j in (0.0, grid.size[1] - 1.0)):
        v, u = (y, x) + away[corner]
        rows += [[y, x, 1, 0, 0, 0, -v * y, -v * x], [0, 0, 0, y, x, 1, -u * y, -u * x]]
        values += [v, u]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


def controls(drawn: dict, grid: Grid) -> np.ndarray:
    """Control points of the elastic deformation: (*points, n) float32, displacement in voxels of the image.

    Each moves by up to `elastic` mm along each axis of the world, in a direction drawn from `seed`; they lie
    `elastic_width` mm apart.
    """
    n = grid.dimension
    cells = [max(1, round((size - 1) * s / drawn["elastic_width"]))
             for size, s in zip(grid.size, grid.spacing, strict=True)]  # fmt: skip
    shape = splines.control_shape(grid.size, cells)
    away = np.random.default_rng([drawn["seed"], 1]).uniform(-1, 1, (*shape, n)) * drawn["elastic"]
    away[..., [size == 1 for size in grid.size]] = 0
    return (away @ np.linalg.inv(grid.matrix()).T).astype(np.float32)


def places(drawn: dict, grid: Grid) -> np.ndarray:
    """Index in the image of each voxel of the result: (*size, n), with fractions."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1)
    matrix, n = index_map(drawn, grid), grid.dimension
    index_in_image = index @ matrix[:n, :n].T + matrix[:n, n]
    if "perspective" in drawn:
        index_in_image = index_in_image / (index @ matrix[n, :n] + matrix[n, n])[..., None]
    return index_in_image + splines.field(controls(drawn, grid), grid.size) if "elastic" in drawn else index_in_image


def warp(array: np.ndarray | None, label: np.ndarray | None, drawn: dict, grid: Grid) -> tuple:
    """Apply the spatial transforms of a draw: (array, label), new arrays of the same shapes; None stays None.

    array: (z, y, x, c) or (y, x, c) float32; beyond its border it has the lowest border value of each channel. The
    draw's `interpolation` is linear, or cubic (Keys 1981, clipped to the range of each channel). label: (z, y, x) or
    (y, x) of whole numbers, 0 beyond its border; it takes the value of the nearest voxel, or with `labels` smooth the
    label with the largest share under linear interpolation. Flips, quarter turns and whole shifts do not interpolate.
    """
    matrix, n = index_map(drawn, grid), grid.dimension
    if not any(name in drawn for name in BENDING) and affine.is_lattice(matrix[:n, :n], matrix[:n, n]):
        return _each(array, label, matrix[:n, :n], matrix[:n, n])
    from mrilib.images import compiled
    from mrilib.images.augment.warp_loops import COMMON, warp_loop

    flat = grid.dimension == 2
    size = (1, *grid.size) if flat else grid.size
    source = np.empty((*size, 0), np.float32) if array is None else np.ascontiguousarray(array, np.float32)
    source = source.reshape(*size, source.shape[-1])
    codes = np.empty((0, 0, 0), np.uint8) if label is None else _codes(label).reshape(size)
    result, moved = np.empty_like(source), np.empty_like(codes)
    if flat:
        of_slice, matrix = matrix, np.eye(4)
        matrix[1:, 1:] = of_slice
    points, cells = np.empty((0, 4, 4, 3), np.float32), (1, 1, 1)
    if "elastic" in drawn:
        points = controls(drawn, grid)
        if flat:
            points = np.pad(points[None], [(0, 3), (0, 0), (0, 0), (1, 0)])
        cells = [max(1, k - 3) for k in points.shape[:3]]
    bases = [part for n, k in zip(size, cells, strict=True) for part in splines.basis(n, k)]
    beyond = _beyond(source)
    cubic = drawn.get("interpolation") == "cubic"
    # by planes first: reducing over the last axis directly is thirty times as slow in numpy
    ends = [source.min(0).min((0, 1)), source.max(0).max((0, 1))] if cubic and source.size else [beyond, beyond]
    kernel, count = "cubic" if cubic else "bilinear" if flat else "linear", source.shape[-1]
    loop = warp_loop(kernel, drawn.get("labels") == "smooth", count if count in COMMON else 0)
    compiled.over(size[0], source.size + codes.size, lambda start, stop: loop(
        source, result, codes, moved, matrix, points, *bases, beyond, *ends, start, stop))
    return (None if array is None else result.reshape(array.shape),
            None if label is None else moved.reshape(label.shape).astype(label.dtype))


def _beyond(array: np.ndarray) -> np.ndarray:
    """The lowest border value of each channel, (c,) float32."""
    *size, channels = array.shape
    if not channels:
        return np.empty(0, np.float32)
    faces = [face for axis, n in enumerate(size) if n > 1
             for face in (array[(slice(None),) * axis + (end,)] for end in (0, -1))] or [array]  # fmt: skip
    return np.min([face.reshape(-1, channels).min(0) for face in faces], axis=0).astype(np.float32)


def _each(array, label, matrix, offset) -> tuple:
    if array is not None:
        shape, one = array.shape, np.dtype((np.void, array.shape[-1] * array.itemsize))  # a voxel moves as one
        voxels = np.ascontiguousarray(array).view(one)[..., 0]
        beyond = _beyond(array).astype(array.dtype).view(one)[0]
        array = affine.moved(voxels, matrix.astype(int), offset.astype(int), beyond).view(array.dtype).reshape(shape)
    return array, None if label is None else affine.moved(label, matrix.astype(int), offset.astype(int), 0)


def _codes(label: np.ndarray) -> np.ndarray:
    """The label map as uint8, or int32 if its numbers do not fit: the two types that the loop is compiled for."""
    if label.dtype == np.uint8:
        return np.ascontiguousarray(label)
    fits = label.dtype == bool or not label.size or (label.min() >= 0 and label.max() <= 255)
    return np.ascontiguousarray(label, np.uint8 if fits else np.int32)


def boxes(boxes_before, drawn: dict, grid: Grid) -> list[list]:
    """Boxes (x0, y0, x1, y1, class) in pixels of a 2D grid, after the transform.

    The new box holds the moved corners, or the moved area under a transform that is not affine. It is extended to whole
    pixels, so that it keeps every pixel, and clipped to the image. A box outside the image is left out. Without a
    spatial transform all boxes stay as they are.
    """
    if not moves(drawn):
        return [list(box) for box in boxes_before]
    if not any(name in drawn for name in BENDING):
        return affine.moved_boxes(boxes_before, drawn, grid)
    at, boxes_after = places(drawn, grid), []
    for x0, y0, x1, y1, *rest in boxes_before:
        inside = ((at >= (y0 - 0.5 - SLACK, x0 - 0.5 - SLACK)) & (at <= (y1 - 0.5 + SLACK, x1 - 0.5 + SLACK))).all(-1)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if rows.size:
            boxes_after.append([float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1), *rest])
    return boxes_after


def ellipses(boxes_before, drawn: dict, grid: Grid) -> list[list]:
    """Boxes (x0, y0, x1, y1, ...) around the ellipses that touch the sides of boxes, after the transform.

    A lesion fills its box much as an ellipse does: the box of a turned ellipse is that of the turned lesion, while
    `boxes`, which keeps every pixel, grows by a fifth at 15 degrees. Not extended to whole pixels; clipped to the
    image. A box whose middle leaves the image is left out. Without a spatial transform all boxes stay as they are.
    """
    if not moves(drawn):
        return [list(box) for box in boxes_before]
    bent = any(name in drawn for name in BENDING)
    at = places(drawn, grid) if bent else None
    matrix, offset = affine.index_map(drawn, grid)
    inverse, boxes_after = np.linalg.inv(matrix), []
    for x0, y0, x1, y1, *rest in boxes_before:
        middle, half = np.array([y0 + y1, x0 + x1]) / 2 - 0.5, np.array([y1 - y0, x1 - x0]) / 2
        if bent:
            y, x = np.nonzero((((at - middle) / half) ** 2).sum(-1) <= 1)
            low, high = (np.array([y.min(), x.min()]), np.array([y.max(), x.max()]) + 1) if y.size else (0, 0)
        else:
            new, reach = inverse @ (middle - offset) + 0.5, np.sqrt(inverse**2 @ half**2)
            low, high = new - reach, new + reach
        middle = np.add(low, high) / 2
        low, high = np.clip(low, 0, grid.size), np.clip(high, 0, grid.size)
        if (high > low).all() and (middle > 0).all() and (middle < grid.size).all():
            boxes_after.append([float(low[1]), float(low[0]), float(high[1]), float(high[0]), *rest])
    return boxes_after
