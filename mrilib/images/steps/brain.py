"""The brain within a head that has its skull, found without weights: a surface grows until it meets the skull."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample
from mrilib.images.steps.foreground import finite, flat_outside
from mrilib.images.steps.geometry import spacing

HEAD = 95.0  # mm: radius of the ball that a grown head would fill; all lengths here are of such a head
VOXEL = 2.0  # mm: what the surface looks at
TALL, CUT = 165.0, 148.0  # mm: a head that is taller and does not end shows a neck; it is cut so far from its top
NARROW = 0.1  # of its largest cross-section, what a head that ends has at its end
UPPER = 135.0  # mm: the middle of so much of a head, from its top, lies deep in the brain
SPECK = 0.002  # share of the head that a millimetre of its height has at least
INNER, START = 40.0, 45.0  # mm: radius of the ball whose brightness is the brain's, and of that which grows
ROUNDS = 700  # how often the surface moves
BALANCE = 0.55  # how dark, between air and brain, is outside; the larger, the smaller the brain
TISSUE = 0.5  # the same, for what is tidied
SMOOTH = (3.33, 10.0)  # mm: curvatures that are left, and that are smoothed away
DEEP, NEAR = 20.0, 10.0  # mm below the surface in which the darkest and the brightest are looked for
BRIGHT = (98, 1.25)  # percentile of the inner brain, and times that: what is brighter is fat
NECK = 6.0  # mm: half as wide a bridge to the eyes, the scalp and the like is cut
GAP = 6.0  # mm: half as wide a furrow is filled
SHARES = (0.15, 0.85)  # of the head, between which lies what can be a brain with its skull around
WIDE = 0.77  # of the head: more was found only with scalp in it, as where channels do not lie on each other
DOUBT = "its brain is {:.0f} % of the head, so it may hold scalp or eyes (look with mri-view; --align rigid may help)"


def brain(image: Image, *, mask=None) -> tuple[Image, dict]:
    """Set to 0 what is not brain, in a volume of a head: one mask for all channels.

    A ball grows from the middle of the head until it meets dark bone or bright fat (BET, Smith 2002); bridges to eyes
    and scalp are then cut, furrows filled. Channels count alike, so they must lie on each other. Lengths scale with the
    head, whose top is where the grid says it is. mask, bool on the grid, takes the place of all this. A brain that has
    been stripped already comes back as it is. Measured: brain (ml), and share, that of the head above its neck; doubt,
    a line to be read by the user, where share is above WIDE.

    Meant for whole heads. Dice with the mask by which a T1 head of 1 mm was stripped elsewhere: 0.97. Where slices are
    5 mm thick, some of the eyes, the skull's base and the scalp of the topmost slices stays. Bone that is not dark, as
    in means over many heads, lets the surface through to the face and neck: 0.8.
    Raises CaseError for NaN, an image in 2D, or when what was found is no brain by its share of the head.
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
    """(mask, share): the brain, bool (z, y, x), of a volume with a channel axis, and what share of the head it is."""
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
    """Values along one of three axes, to be spread over the others."""
    return values.reshape([-1 if axis == other else 1 for other in range(3)])


def _even(channel: np.ndarray) -> np.ndarray:
    """A channel with its air at 0 and the middle of its head at 1, so that channels count alike."""
    low, high = (float(v) for v in np.percentile(channel, (2, 98)))
    head = channel[channel > low + 0.1 * (high - low)]
    middle = float(np.median(head)) if head.size else low
    return np.maximum((channel - np.float32(low)) / np.float32(max(middle - low, 1e-30)), 0)


def _radius(mask: np.ndarray, steps) -> float:
    return float((3 * mask.sum() * np.prod(steps) / (4 * np.pi)) ** (1 / 3))


def _grown(values: np.ndarray, steps: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The brain, bool (z, y, x), in float32 values steps mm apart, of which that at index `middle` lies deep in it."""
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
    """A ball of triangles, an icosahedron halved so many times: its points, faces (outwards), two sparse matrices that
    give the mean of each point's neighbours and the sum over its faces, and the edges."""
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
    """The voxels within a closed surface, bool of `shape`: lines along x that have gone in and not yet out.

    points: in voxels, (n, 3), nudged off the lattice so that no line meets an edge.
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
    """The mask less what hangs on its tissue by a bridge thinner than twice NECK, its furrows filled."""
    from scipy import ndimage

    def far(where):
        """mm from each voxel to the next outside `where`; what lies beyond the image counts as it does at its rim."""
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
