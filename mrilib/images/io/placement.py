"""The position of an image by its NIfTI header: qform and sform, which may disagree or have skewed axes.

The grid of a sound header comes from ITK, whose rounding earlier versions of the suite have in their records.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mrilib.images.grid import Grid

APART = 0.05  # of a voxel's edge: the most by which qform and sform may differ, because writers round
RIGHT = 1e-3  # largest cosine between two axes that count as perpendicular
ITK_RIGHT = 1e-5  # cosine above which ITK may refuse an image that has a sform only (it refuses 3e-4)
ROUNDING = 1.2e-7  # of the sum of squares of a quaternion's three numbers, which are float32
HALF_TURN = 1e-7  # square of a quaternion's first number that is left by rounding, as every reader of NIfTI has it
HOW = "--fix-orientation"
TO_RAS = np.diag((-1.0, -1.0, 1.0))  # from ITK's world, left and back, to NIfTI's, right and front; or the other way


class Place(NamedTuple):
    """What a header says. size: voxels in x, y, z. qform, sform: (4, 4) from voxel x, y, z to RAS mm, None when not
    set. negative: whether a spacing is below 0 beside one of them, which has no meaning, but makes ITK mirror the
    axis."""

    size: tuple[int, ...]
    qform: np.ndarray | None
    sform: np.ndarray | None
    negative: bool = False


def of(header) -> Place:
    """The place of an image by nibabel's header of its file."""
    dims, edges = header["dim"], header["pixdim"].astype(float)
    size = tuple(int(dims[i]) if i <= dims[0] else 1 for i in (1, 2, 3))
    qform = _of_quaternion(header, edges) if header["qform_code"] > 0 else None
    sform = header.get_sform(coded=True)[0]
    sform = sform if sform is not None and np.linalg.det(sform) else None
    return Place(size, qform, sform, (qform is not None or sform is not None) and edges[1:4].min() < 0)


def _of_quaternion(header, edges: np.ndarray) -> np.ndarray:
    """The (4, 4) matrix of a qform. nibabel's own refuses a quaternion that was rounded, and a length of 0.

    edges: pixdim, whose first number is negative for a flip of z.
    """
    from nibabel.quaternions import quat2mat

    rest = np.array([header[f"quatern_{name}"] for name in "bcd"], float)
    square = 1 - rest @ rest
    result = np.eye(4)
    result[:3, :3] = quat2mat([np.sqrt(square) if square >= HALF_TURN else 0.0, *rest])
    result[:3, :3] *= np.abs(edges[1:4]) * (1, 1, -1 if edges[0] < 0 else 1)
    result[:3, 3] = [float(header[f"qoffset_{name}"]) for name in "xyz"]
    return result


def wrong(place: Place) -> tuple[str, str] | None:
    """(what is wrong with the position of an image, what to do); None when nothing is wrong."""
    for name, matrix in (("sform", place.sform), ("qform", place.qform)):
        if matrix is not None and (skew := _skew(matrix, place.size)) > RIGHT:
            angle = np.degrees(np.arcsin(min(skew, 1.0)))
            return (f"the axes of its {name} are {angle:.2g} degrees off a right angle",
                    f"{HOW} takes the nearest that are not")
    if place.sform is None or place.qform is None:
        return None
    ends = np.array([(x, y, z, 1) for x in (0, place.size[0] - 1) for y in (0, place.size[1] - 1)
                     for z in (0, place.size[2] - 1)])
    apart = np.abs(ends @ (place.sform - place.qform).T).max()
    edges = np.linalg.norm(place.sform[:3, :3], axis=0)
    if apart <= APART * edges.min() + _uncertainty(place.qform) * np.linalg.norm(edges * place.size):
        return None
    return f"its qform and sform put it in two places, up to {apart:.3g} mm apart", f"{HOW} takes the sform"


def _uncertainty(qform: np.ndarray) -> float:
    """The error (radians) of a qform due to the rounding of its quaternion; near half a turn, as in coronal volumes, it
    is far larger than that of its float32 numbers."""
    axes = qform[:3, :3] / np.maximum(np.linalg.norm(qform[:3, :3], axis=0), 1e-12)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    first = np.sqrt(max(1 + np.trace(axes), 0.0)) / 2
    return ROUNDING / max(first, np.sqrt(ROUNDING) / 2)


def _skew(matrix: np.ndarray, size: tuple[int, ...]) -> float:
    """The largest cosine between two of the axes along which an image has more than one voxel."""
    axes = matrix[:3, :3] / np.maximum(np.linalg.norm(matrix[:3, :3], axis=0), 1e-12)
    long = [i for i in range(3) if size[i] > 1]
    cosines = np.abs(axes.T @ axes - np.eye(3))[np.ix_(long, long)]
    return float(cosines.max()) if long else 0.0


def own_grid(place: Place, fix: bool) -> Grid | None:
    """The grid of a header that ITK reads wrongly, None for any other: of one with a wrong position, with `fix`; of one
    without qform whose axes are skewed by rounding alone; and of one with spacings below 0."""
    rounded = place.qform is None and place.sform is not None and _skew(place.sform, place.size) > ITK_RIGHT
    return grid(place) if rounded or place.negative or (fix and wrong(place)) else None


def grid(place: Place) -> Grid:
    """The grid that the sform gives (the qform without one), its axes brought to the nearest right angles.

    Spacings stay the lengths of the axes, and the centre of the image where it was.
    """
    matrix = next((m for m in (place.sform, place.qform) if m is not None), np.diag((-1.0, -1.0, 1.0, 1.0)))
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / spacing)
    direction = left @ right
    centre = (np.array(place.size) - 1) / 2
    origin = matrix[:3, :3] @ centre + matrix[:3, 3] - direction * spacing @ centre
    return Grid.of(place.size[::-1], tuple(spacing[::-1]), tuple((TO_RAS @ origin)[::-1]),
                   (TO_RAS @ direction)[::-1, ::-1])


def affine(grid: Grid) -> np.ndarray:
    """The (4, 4) matrix from voxel x, y, z to RAS mm of a volume's grid."""
    result = np.eye(4)
    result[:3, :3] = TO_RAS @ np.asarray(grid.direction)[::-1, ::-1] * np.asarray(grid.spacing)[::-1]
    result[:3, 3] = TO_RAS @ np.asarray(grid.origin)[::-1]
    return result
