"""Skull stripping without a trained network: a surface grows inside the head until it meets the skull."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample
from mrilib.images.steps.foreground import finite, flat_outside
from mrilib.images.steps.geometry import spacing

HEAD = 95.0  # mm: radius of the ball with the volume of an adult head; all lengths below refer to such a head
VOXEL = 2.0  # mm: voxels that the surface samples
TALL, CUT = 165.0, 148.0  # mm: a taller head that does not narrow shows a neck; it is cut this far below its top
NARROW = 0.1  # share of the largest cross-section that a head without a neck has at its end
UPPER = 135.0  # mm from the top of the head: the centre of this part lies deep in the brain
SPECK = 0.002  # least share of the head per millimetre of height
INNER, START = 40.0, 45.0  # mm: radius of the ball that gives the intensity of brain, and of the initial surface
ROUNDS = 700  # moves of the surface
BALANCE = 0.55  # intensity between air (0) and brain (1) below which is outside; larger gives a smaller brain
TISSUE = 0.5  # the same, for tidying
SMOOTH = (3.33, 10.0)  # mm: radii of curvature: below the first is smoothed, above the second is not
DEEP, NEAR = 20.0, 10.0  # mm below the surface in which the darkest and the brightest intensity are taken
BRIGHT = (98, 1.25)  # percentile of the inner brain, and its multiple above which voxels are fat
NECK = 6.0  # mm: bridges to eyes and scalp up to twice as wide are cut
GAP = 6.0  # mm: sulci up to twice as wide are filled
SHARES = (0.15, 0.85)  # shares of the head between which a result can be a brain within a skull
WIDE = 0.77  # share of the head: larger results contained scalp, for example where channels are not aligned
DOUBT = "its brain is {:.0f} % of the head, so it may hold scalp or eyes (look with mri-view; --align rigid may help)"


def brain(image: Image, *, mask=None) -> tuple[Image, dict]:
    """Set every voxel of a head that is not brain to 0, with one mask for all channels.

    A ball grows from the centre of the head until it meets dark bone or bright fat (BET, Smith 2002). Then bridges to
    eyes and scalp are cut and sulci filled. All channels weigh the same, so they must be aligned. Lengths scale with
    the head; its top is where the grid says. A mask, bool on the grid, replaces all this. A stripped brain is returned
    as it is. Measured: brain (ml); share of the head above the neck; doubt, a line for the user, where that share is
    above WIDE.

    Meant for whole heads. Dice with the published mask of a T1 head of 1 mm: 0.97. With slices of 5 mm, parts of the
    eyes, the base of the skull and the scalp of the topmost slices remain. Bone that is not dark, as in averages over
    many heads, lets the surface through to the face and neck: Dice 0.8.
    Raises CaseError for NaN, a 2D image, and a result whose share of the head no brain has.
    """
    array = finite(image)
    if image.grid.dimension != 3:
        raise CaseError("is no volume, in which alone a brain can be found", remedy="leave --brain out")
    if mask is not None:
        inside, share, doubt = np.asarray(mask, bool), 1.0, {}
    else:
        inside, share = brain_mask(Image(array, image.grid))
        empty = [flat_outside(array[..., i]) for i in range(array.shape[-1])]
        if share > SHARES[1] and None not in empty:
            volume = float((array != np.float32(empty)).any(-1).sum() * np.prod(image.grid.spacing) / 1000)
            return image.with_array(array.reshape(image.array.shape)), {"brain": round(volume, 1), "share": 1.0}
        if not SHARES[0] <= share <= SHARES[1]:
            raise CaseError(f"no brain found: what was is {100 * share:.0f} % of the head",
                            remedy="leave --brain out, or strip it with another tool")
        doubt = {"doubt": DOUBT.format(100 * share)} if share > WIDE else {}
    volume = float(inside.sum() * np.prod(image.grid.spacing) / 1000)
    result = np.where(inside[..., None], array, np.float32(0)).reshape(image.array.shape)
    return image.with_array(result), {"brain": round(volume, 1), "share": round(share, 4), **doubt}


def brain_mask(image: Image) -> tuple[np.ndarray, float]:
    """(mask, share): the brain of a volume with a channel axis, bool (z, y, x), and its share of the head."""
    grid, array = image.grid, image.array
    one = sum(_even(array[..., i]) for i in range(array.shape[-1])) / np.float32(array.shape[-1])
    head = one > 0.1 * np.percentile(one, 98)
    if not head.any():
        raise CaseError("no head found, the image is one value", remedy="leave this case out")
    unit = _radius(head, grid.spacing) / HEAD
    up = np.asarray(grid.direction)[0] * grid.spacing  # mm towards the top of the head, a step along each axis
    height = sum(_along(a, np.arange(n) * up[a]) for a, n in enumerate(grid.size))
    area = np.bincount(np.rint((height[head] - height.min()) / unit).astype(int))  # for each mm of its height
    low, top = np.flatnonzero(area > SPECK * area.sum())[[0, -1]]
    if top - low > TALL and area[low : low + 5].mean() > NARROW * area.max():
        low = top - CUT
    low, top = (height.min() + unit * mm for mm in (low - 1, top))
    head &= height >= low
    unit = _radius(head, grid.spacing) / HEAD
    weight = np.where(head & (height >= top - UPPER * unit), np.minimum(one, 2), 0)
    middle = np.array([(s * np.arange(len(s))).sum() / s.sum() for s in (
        weight.sum(tuple({0, 1, 2} - {axis}), dtype=np.float64) for axis in range(3))])
    fine = Grid.of(grid.size, tuple(np.divide(grid.spacing, unit)))
    one[height < low] = 0
    small, _ = spacing(Image(one, fine), spacing=[max(VOXEL, s) for s in fine.spacing])
    inside = _grown(small.array, np.asarray(small.grid.spacing), small.grid.to_index(fine.to_world(middle)))
    inside = resample(Image(inside.astype(np.float32), small.grid), fine, outside=0.0).array > 0.5
    return inside, float(inside.sum() / head.sum())


def _along(axis: int, values: np.ndarray) -> np.ndarray:
    """Values along one of three axes, shaped to broadcast over the others."""
    return values.reshape([-1 if axis == other else 1 for other in range(3)])


def _even(channel: np.ndarray) -> np.ndarray:
    """A channel scaled to 0 in air and 1 at the median of the head, so that channels weigh the same."""
    low, high = (float(v) for v in np.percentile(channel, (2, 98)))
    head = channel[channel > low + 0.1 * (high - low)]
    middle = float(np.median(head)) if head.size else low
    return np.maximum((channel - np.float32(low)) / np.float32(max(middle - low, 1e-30)), 0)


def _radius(mask: np.ndarray, steps) -> float:
    return float((3 * mask.sum() * np.prod(steps) / (4 * np.pi)) ** (1 / 3))


def _grown(values: np.ndarray, steps: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Grow the surface: the brain, bool (z, y, x), in float32 values `steps` mm apart. middle: an index deep in it."""
    middle = middle * steps
    away = sum(_along(a, (np.arange(n) * steps[a] - middle[a]) ** 2) for a, n in enumerate(values.shape))
    air = float(np.percentile(values, 2))
    least = air + 0.1 * (float(np.percentile(values, 98)) - air)
    inner = values[(away < INNER**2) & (values > least)]
    if not inner.size:
        return np.zeros(values.shape, bool)
    median, bright = float(np.median(inner)), BRIGHT[1] * float(np.percentile(inner, BRIGHT[0]))
    values = np.where(values > bright, np.maximum(3 * bright - 2 * values, air), values)  # fat is as dark as bone
    points, faces, mean, corners, edges = _ball(3)
    points = points * START + middle
    padded = np.pad(values, 1, constant_values=air)
    depths = np.arange(0, DEEP + 1, VOXEL)
    bend, slope = (1 / SMOOTH[0] + 1 / SMOOTH[1]) / 2, 6 / (1 / SMOOTH[0] - 1 / SMOOTH[1])
    for turn in range(ROUNDS):
        a, b, c = (points[faces[:, k]] for k in range(3))
        normal = corners @ np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        if turn % 50 == 0:
            length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1).mean()
        pull = mean @ points - points
        out = (pull * normal).sum(1, keepdims=True)
        stiff = (1 + np.tanh(slope * (2 * np.abs(out) / length**2 - bend))) / 2
        place = np.rint((points[:, None] - depths[:, None] * normal[:, None]) / steps).astype(np.int32) + 1
        z, y, x = np.moveaxis(np.clip(place, 0, np.array(padded.shape) - 1), -1, 0)
        line = padded[z, y, x]
        dark = np.maximum(air, np.minimum(median, line.min(1)))
        light = np.minimum(median, np.maximum(least, line[:, depths <= NEAR].max(1)))
        grow = 2 * (dark - air - BALANCE * (light - air)) / (light - air)
        points = points + (pull - out * normal) / 2 + (stiff * out) * normal + (0.05 * length * grow)[:, None] * normal
    mask = _within(points / steps, faces, values.shape)
    return _tidied(mask, mask & (values > air + TISSUE * (median - air)), steps)


@lru_cache(maxsize=1)
def _ball(times: int):
    """A ball of triangles, an icosahedron subdivided `times` times: points, faces (outwards), two sparse matrices (mean
    over the neighbours of each point, sum over its faces), and edges."""
    from scipy.sparse import coo_matrix, diags
    from scipy.spatial import ConvexHull

    golden = (1 + 5**0.5) / 2
    points = np.array([(i, j * golden, 0) for i in (-1, 1) for j in (-1, 1)])
    points = np.concatenate([np.roll(points, k, 1) for k in range(3)]) / np.hypot(1, golden)
    faces = ConvexHull(points).simplices
    a, b, c = (points[faces[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    for _ in range(times):
        sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
        sides, index = np.unique(sides, axis=0, return_inverse=True)
        ab, bc, ca = len(points) + index.reshape(3, -1)
        a, b, c = faces.T
        faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
        between = points[sides].mean(1)
        points = np.concatenate([points, between / np.linalg.norm(between, axis=1, keepdims=True)])
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    n = len(points)
    near = coo_matrix((np.ones(len(edges)), edges.T), (n, n)).tocsr()
    mean = (diags(1 / np.asarray(near.sum(1)).ravel()) @ near).tocsr()
    corners = coo_matrix((np.ones(faces.size), (faces.T.ravel(), np.tile(np.arange(len(faces)), 3))),
                         (n, len(faces))).tocsr()  # fmt: skip
    return points, faces, mean, corners, edges


def _within(points: np.ndarray, faces: np.ndarray, shape) -> np.ndarray:
    """The voxels within a closed surface, bool of `shape`, by counting crossings along x.

    points: in voxels, (n, 3); they are moved slightly off the lattice, so that no line along x meets an edge.
    """
    points = points + (1e-4, 2.3e-4, 0)
    crossings = np.zeros((*shape[:2], shape[2] + 1), np.int16)
    for corner in points[faces]:
        low = np.maximum(np.ceil(corner[:, :2].min(0)), 0).astype(int)
        high = np.minimum(np.floor(corner[:, :2].max(0)), np.subtract(shape[:2], 1)).astype(int)
        (p, q), (u, v) = corner[1, :2] - corner[0, :2], corner[2, :2] - corner[0, :2]
        area = p * v - u * q
        if (high < low).any() or area == 0:
            continue
        z, y = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1]
        dz, dy = z - corner[0, 0], y - corner[0, 1]
        second, third = (dz * v - u * dy) / area, (p * dy - dz * q) / area
        hit = (second >= 0) & (third >= 0) & (second + third <= 1)
        x = corner[0, 2] + second * (corner[1, 2] - corner[0, 2]) + third * (corner[2, 2] - corner[0, 2])
        x = np.clip(np.ceil(x), 0, shape[2]).astype(int)
        crossings[z[hit], y[hit], x[hit]] += 1 if area > 0 else -1
    return crossings.cumsum(2)[..., :-1] != 0


def _tidied(mask: np.ndarray, tissue: np.ndarray, steps) -> np.ndarray:
    """The mask without parts that a bridge thinner than twice NECK connects to its tissue, with sulci filled."""
    from scipy import ndimage

    def far(where):
        """mm from each voxel to the next one outside `where`; beyond the image the rim continues."""
        return np.full(where.shape, np.inf) if where.all() else ndimage.distance_transform_edt(where, sampling=steps)

    thick = far(tissue) > NECK
    pieces, count = ndimage.label(thick)
    if not count:
        return thick
    thick = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    kept = mask & (far(~thick) <= NECK + VOXEL)
    room = [int(GAP / s) + 2 for s in steps]
    wide = far(~np.pad(kept, [(k, k) for k in room])) <= GAP
    closed = (far(wide) > GAP)[tuple(slice(k, -k) for k in room)]
    return ndimage.binary_fill_holes(closed | kept)
