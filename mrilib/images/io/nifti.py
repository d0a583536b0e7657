"""What a NIfTI header says that ITK passes over: whether the file is whole, and where it puts the image.

ITK reads a cut file as zeros and NaN as 0, and where qform and sform disagree it mixes the two, all without a word.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid

APART = 0.05  # of a voxel's edge, in which the two ways of a header to place an image may differ: writers round
RIGHT = 1e-3  # what the cosine between two axes may be off from a right angle
ITK_RIGHT = 1e-5  # from where on ITK may not read an image that its sform alone places: it stops short of 3e-4
ROUNDING = 1.2e-7  # of the sum of squares of a quaternion's three numbers, which are float32
HOW = "--fix-orientation"
GZIP = b"\x1f\x8b"
FLOATS = {16: "f4", 64: "f8"}  # datatype codes of a header
BLOCK = 1 << 22  # bytes read at a time


@dataclass(frozen=True)
class Header:
    """order: of bytes. size: voxels in x, y, z. qform, sform: (4, 4) from voxel x, y, z to RAS mm, None when not set.
    codes: where in the header the codes of the two stand, and the type to write them in. below: whether one of
    these stands beside a voxel's length below 0, which means nothing, but ITK mirrors the axis."""

    order: str
    size: tuple[int, int, int]
    qform: np.ndarray | None
    sform: np.ndarray | None
    codes: tuple[int, str]
    below: bool = False


def check(path: Path, suffix: str, fix: bool = False) -> Header:
    """Look at a NIfTI file before ITK reads it; returns what its header says of its place.

    fix: let an image pass that is placed in two ways or whose axes are not at right angles. Raises CaseError for
    those, and for a file that is cut short or holds NaN or infinite values.
    """
    from isal import igzip, isal_zlib

    if wrong := misnamed(path, suffix):
        raise CaseError(wrong[0], where=path, remedy=wrong[1])
    try:
        with (igzip.open if suffix == ".nii.gz" else open)(path, "rb") as file:
            head = file.read(544)
            need, voxels = length(head), _float_voxels(head)
            have, finite = _finite(file, head, voxels)
    except (EOFError, isal_zlib.error, gzip.BadGzipFile) as error:
        raise CaseError(f"is damaged or cut short: {error}", where=path, remedy="copy it again") from error
    if need is None:
        raise CaseError("is not a NIfTI file", where=path, remedy="check what it holds")
    if have < need:
        raise CaseError(f"is cut short: {have} of {need} bytes", where=path, remedy="copy it again")
    if not finite or _scales_to_nan(head):
        raise CaseError("holds NaN or infinite values", where=path, remedy="mend the file it comes from")
    found = header(head)
    if not fix and (wrong := misplaced(found)):
        raise CaseError(wrong[0], where=path, remedy=wrong[1])
    return found


def header(head: bytes) -> Header:
    """The place of an image by the first 544 bytes of its file, which must be NIfTI-1 or -2 (see length)."""
    order = _order(head)
    if int(np.frombuffer(head, f"{order}i4", 1)[0]) == 348:
        dims, real, at = np.frombuffer(head, f"{order}i2", 8, 40), f"{order}f4", (76, 252, 256, 280)
        codes = (252, f"{order}i2")
    else:
        dims, real, at = np.frombuffer(head, f"{order}i8", 8, 16), f"{order}f8", (104, 344, 352, 400)
        codes = (344, f"{order}i4")
    size = tuple(int(dims[i]) if i <= dims[0] else 1 for i in (1, 2, 3))
    edges = np.frombuffer(head, real, 4, at[0]).astype(float)
    qcode, scode = np.frombuffer(head, codes[1], 2, at[1])
    qform = _of_quaternion(np.frombuffer(head, real, 6, at[2]).astype(float), edges) if qcode > 0 else None
    sform = np.vstack([np.frombuffer(head, real, 12, at[3]).astype(float).reshape(3, 4), (0, 0, 0, 1)])
    sform = sform if scode > 0 and np.linalg.det(sform) else None
    return Header(order, size, qform, sform, codes, (qform is not None or sform is not None) and edges[1:].min() < 0)


def _order(head: bytes) -> str:
    return next(o for o in "<>" if int(np.frombuffer(head, f"{o}i4", 1)[0]) in (348, 540))


def _scales_to_nan(head: bytes) -> bool:
    """Whether a header adds NaN or infinity to every voxel, which ITK leaves out; a slope of those scales nothing."""
    order = _order(head)
    first = int(np.frombuffer(head, f"{order}i4", 1)[0]) == 348
    slope, shift = np.frombuffer(head, f"{order}f4", 2, 112) if first else np.frombuffer(head, f"{order}f8", 2, 176)
    return bool(np.isfinite(slope) and slope != 0 and not np.isfinite(shift))


def _of_quaternion(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The (4, 4) matrix of qform's b, c, d, x, y, z; edges: pixdim 0 to 3, the first of which tells a flip of z."""
    b, c, d = numbers[:3]
    a = np.sqrt(max(1 - b * b - c * c - d * d, 0.0))
    if a * a < 1e-7:  # half a turn, as everybody has it who reads NIfTI: `a` is what rounding has left
        a, (b, c, d) = 0.0, numbers[:3] / np.linalg.norm(numbers[:3])
    turn = np.array([[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                     [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                     [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]])
    made = np.eye(4)
    made[:3, :3] = turn * np.abs(edges[1:]) * (1, 1, -1 if edges[0] < 0 else 1)
    made[:3, 3] = numbers[3:]
    return made


def misplaced(found: Header) -> tuple[str, str] | None:
    """(what is wrong with the place of an image, what to do); None when nothing is."""
    for name, matrix in (("sform", found.sform), ("qform", found.qform)):
        if matrix is not None and (turn := _skew(matrix, found.size)) > RIGHT:
            angle = np.degrees(np.arcsin(min(turn, 1.0)))
            return (f"the axes of its {name} are {angle:.2g} degrees off a right angle",
                    f"{HOW} takes the nearest that are not")
    if found.sform is None or found.qform is None:
        return None
    ends = np.array([(x, y, z, 1) for x in (0, found.size[0] - 1) for y in (0, found.size[1] - 1)
                     for z in (0, found.size[2] - 1)])
    apart = np.abs(ends @ (found.sform - found.qform).T).max()
    edges = np.linalg.norm(found.sform[:3, :3], axis=0)
    if apart <= APART * edges.min() + _unsure(found.qform) * np.linalg.norm(edges * found.size):
        return None
    return f"its qform and sform put it in two places, up to {apart:.3g} mm apart", f"{HOW} takes the sform"


def _unsure(qform: np.ndarray) -> float:
    """The angle (radians) that a qform may be off for the rounding of its quaternion: near half a turn, as of coronal
    volumes, far more than float32 of its numbers."""
    axes = qform[:3, :3] / np.maximum(np.linalg.norm(qform[:3, :3], axis=0), 1e-12)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    a = np.sqrt(max(1 + np.trace(axes), 0.0)) / 2
    return ROUNDING / max(a, np.sqrt(ROUNDING) / 2)


def _skew(matrix: np.ndarray, size: tuple[int, ...]) -> float:
    """The largest cosine between two of the axes along which an image has more than one voxel."""
    axes = matrix[:3, :3] / np.maximum(np.linalg.norm(matrix[:3, :3], axis=0), 1e-12)
    kept = [i for i in range(3) if size[i] > 1]
    cosines = np.abs(axes.T @ axes - np.eye(3))[np.ix_(kept, kept)]
    return float(cosines.max()) if kept else 0.0


def own_place(found: Header, fix: bool) -> Grid | None:
    """The grid to take where ITK's reading will not do, None elsewhere: of a header that is misplaced, if that is to be
    fixed, of one without qform whose axes are off a right angle by no more than rounding makes them, and of one with
    lengths below 0."""
    rounded = found.qform is None and found.sform is not None and _skew(found.sform, found.size) > ITK_RIGHT
    return place(found) if rounded or found.below or fix and misplaced(found) else None


def place(found: Header) -> Grid:
    """The grid that the sform gives (the qform without one), its axes brought to the nearest right angles.

    Spacings stay the lengths of the axes, and the centre of the image where it was.
    """
    matrix = next((m for m in (found.sform, found.qform) if m is not None), np.diag((-1.0, -1.0, 1.0, 1.0)))
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / spacing)
    turn = left @ right
    centre = (np.array(found.size) - 1) / 2
    origin = matrix[:3, :3] @ centre + matrix[:3, 3] - turn * spacing @ centre
    to_lps = np.diag((-1.0, -1.0, 1.0))
    return Grid.of(found.size[::-1], tuple(spacing[::-1]), tuple((to_lps @ origin)[::-1]), (to_lps @ turn)[::-1, ::-1])


def without_place(path: Path, suffix: str, found: Header, target: Path) -> None:
    """Write a copy of a NIfTI file, uncompressed, whose header gives no place, which ITK then reads whatever it was."""
    with (gzip.open if suffix == ".nii.gz" else open)(path, "rb") as file, open(target, "wb") as copy:
        head = bytearray(file.read(544))
        at, kind = found.codes
        head[at : at + 2 * np.dtype(kind).itemsize] = np.zeros(2, kind).tobytes()
        copy.write(head)
        while block := file.read(1 << 22):
            copy.write(block)


def misnamed(path: Path, suffix: str) -> tuple[str, str] | None:
    """(what is wrong with the suffix of a NIfTI file, what to do); None when its bytes are what the suffix says."""
    with open(path, "rb") as file:
        head = file.read(544)
    zipped = head[:2] == GZIP
    if suffix == ".nii" and zipped:
        return "is compressed by gzip, which its name does not say", f"rename it to {path.name}.gz"
    if suffix == ".nii.gz" and not zipped and length(head) is not None:
        return "is not compressed, though its name says so", f"rename it to {path.name[:-3]}"
    return None


def _finite(file: BinaryIO, head: bytes, voxels: tuple[int, np.dtype] | None) -> tuple[int, bool]:
    """Read a file to its end: (number of its bytes, whether all floating-point voxels are finite).

    head: the bytes that were read already. voxels: where the voxels begin and their type; None for integers.
    """
    count, finite, rest = len(head), True, b""
    start, kind = voxels or (0, np.dtype("u1"))
    block = head
    while block:
        if voxels and finite and count > start:
            block = rest + block[max(0, start - (count - len(block))) :]
            whole = len(block) // kind.itemsize * kind.itemsize
            finite, rest = bool(np.isfinite(np.frombuffer(block[:whole], kind)).all()), block[whole:]
        block = file.read(BLOCK)
        count += len(block)
    return count, finite


def _float_voxels(head: bytes) -> tuple[int, np.dtype] | None:
    """Where the voxels of a NIfTI file begin and their type, by its first 544 bytes; None unless they are floats."""
    if length(head) is None:
        return None
    order = _order(head)
    if int(np.frombuffer(head, f"{order}i4", 1)[0]) == 348:
        code, start = np.frombuffer(head, f"{order}i2", 1, 70)[0], np.frombuffer(head, f"{order}f4", 1, 108)[0]
    else:
        code, start = np.frombuffer(head, f"{order}i2", 1, 12)[0], np.frombuffer(head, f"{order}i8", 1, 168)[0]
    return (max(int(start), 348), np.dtype(f"{order}{FLOATS[int(code)]}")) if int(code) in FLOATS else None


def length(head: bytes) -> int | None:
    """How many bytes a NIfTI file must have by its header (its first 352 bytes); None when it is no NIfTI-1 or -2."""
    if len(head) < 348:
        return None
    for order in "<>":
        kind = int(np.frombuffer(head, f"{order}i4", 1)[0])
        if kind == 348:
            dims = np.frombuffer(head, f"{order}i2", 8, 40).astype(np.int64)
            bits = int(np.frombuffer(head, f"{order}i2", 1, 72)[0])
            offset = float(np.frombuffer(head, f"{order}f4", 1, 108)[0])
        elif kind == 540:
            dims = np.frombuffer(head, f"{order}i8", 8, 16)
            bits = int(np.frombuffer(head, f"{order}i2", 1, 14)[0])
            offset = float(np.frombuffer(head, f"{order}i8", 1, 168)[0])
        else:
            continue
        if not 1 <= dims[0] <= 7 or (dims[1 : dims[0] + 1] < 1).any() or not np.isfinite(offset):
            return None
        return int(offset) + int(np.prod(dims[1 : dims[0] + 1].astype(float))) * bits // 8
    return None
