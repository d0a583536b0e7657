"""Reading and writing NIfTI. nibabel reads the header; the stream, its checks and the voxels are read here.

ITK silently reads a cut file as zeros and NaN as 0, and mixes qform and sform where they disagree; nibabel reads a gzip
file with zlib. On 155x240x240 voxels, 2 cores under load, reading takes (ITK with our checks before ·
nibabel · here) 117 · 87 · 45 ms of int16 and 259 · 240 · 108 ms of float32, both .nii.gz; writing float32 takes
(nibabel · here) 309 · 124 ms as .nii.gz.
"""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import itk, placement

GZIP = b"\x1f\x8b"
HEAD = 544  # bytes that hold the header of NIfTI-1 or NIfTI-2
BLOCK = 1 << 22  # bytes read at a time
SPARE = 1 << 20  # bytes before the voxels of an exact file
LEVEL = 1  # of ISA-L's 0 to 3
NUMBERS = {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280}  # datatype codes; others are complex, or colours
WRITTEN = ("uint8", "int16", "float32")  # what files.compact makes
COPY = "copy it again"


def header(head: bytes):
    """nibabel's header of a NIfTI file by its first HEAD bytes; None for any other file."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    for kind, size in ((Nifti1Header, 348), (Nifti2Header, 540)):
        for order in "<>":
            if len(head) >= size and int(np.frombuffer(head, f"{order}i4", 1)[0]) == size:
                fields = kind(head[:size], endianness=order, check=False)
                sizes = fields["dim"][1 : fields["dim"][0] + 1] if 1 <= fields["dim"][0] <= 7 else np.zeros(1)
                return fields if sizes.min() >= 1 and np.isfinite(float(fields["vox_offset"])) else None
    return None


def shape(fields) -> tuple[int, ...]:
    """The voxels along x, y, z and further axes, at least three."""
    sizes = [int(n) for n in fields["dim"][1 : fields["dim"][0] + 1]]
    return tuple(sizes + [1] * (3 - len(sizes)))


def length(fields) -> int:
    """The number of bytes of a NIfTI file by its header."""
    bits = 8 * fields.get_data_dtype().itemsize if int(fields["datatype"]) in NUMBERS else int(fields["bitpix"])
    return _start(fields) + int(np.prod([float(n) for n in shape(fields)])) * bits // 8


def size(path: Path, suffix: str) -> tuple[tuple[int, ...], int]:
    """(voxels along x, y, z and a fourth axis if there is one, components of a voxel), by the header alone."""
    sizes = shape(_head(path, suffix))
    return (sizes[:3], int(np.prod(sizes[4:]))) if sizes[3:4] == (1,) else (sizes, 1)


def grid(path: Path, suffix: str, fix: bool = False) -> Grid:
    """The grid of a NIfTI file by its header alone, that of a single slice in 2D. Raises CaseError as read does."""
    fields = _head(path, suffix)
    if not fix and (wrong := placement.wrong(placement.of(fields))):
        raise CaseError(wrong[0], where=path, remedy=wrong[1])
    return _grid(path, fields, fix)


def _head(path: Path, suffix: str):
    """The header of a NIfTI file, whose suffix is checked."""
    if wrong := misnamed(path, suffix):
        raise CaseError(wrong[0], where=path, remedy=wrong[1])
    with _opened(path, suffix) as file:
        fields = header(file.read(HEAD))
        if fields is None:
            _drain(file)  # a damaged file is no less likely than another kind
            raise CaseError("is not a NIfTI file", where=path, remedy="check what it holds")
    return fields


def _grid(path: Path, fields, fix: bool) -> Grid:
    """The grid of a header that is sound, or is to be fixed."""
    place = placement.of(fields)
    grid = placement.own_grid(place, fix)
    if grid is None:
        grid = placement.grid(place) if int(fields["sizeof_hdr"]) == 540 else itk.grid(path, "NiftiImageIO")
    return grid.flattened()


@contextlib.contextmanager
def _opened(path: Path, suffix: str) -> Iterator[BinaryIO]:
    """A NIfTI file to read, decompressed by ISA-L. A broken stream is a CaseError."""
    from isal import igzip, isal_zlib

    try:
        with (igzip.open if suffix == ".nii.gz" else open)(path, "rb") as file:
            yield file
    except (EOFError, isal_zlib.error, gzip.BadGzipFile) as error:
        raise CaseError(f"is damaged or cut short: {error}", where=path, remedy=COPY) from error


def _start(fields) -> int:
    """The first byte of the voxels; if the file names one within the header, the byte behind the header, as in ITK."""
    return max(int(fields["vox_offset"]), int(fields["sizeof_hdr"]))


def misnamed(path: Path, suffix: str) -> tuple[str, str] | None:
    """(what is wrong with the suffix of a NIfTI file, what to do); None when the suffix fits the bytes."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    zipped = head[:2] == GZIP
    if suffix == ".nii" and zipped:
        return "is compressed by gzip, which its name does not say", f"rename it to {path.name}.gz"
    if suffix != ".nii.gz" or zipped:
        return None
    if header(head) is None:
        return "cannot be read: it is not compressed by gzip, though its name says so", "check what it holds"
    return "is not compressed, though its name says so", f"rename it to {path.name[:-3]}"


def read(path: Path, suffix: str, grey: bool = True, several: bool = False, fix: bool = False,
         exact: bool = False) -> Image:  # fmt: skip
    """Read a NIfTI file; grey, several and fix as in files.read.

    exact: refuse a file that holds more than its header says, such as one that unpacks without end.
    Raises CaseError for a file that is cut short, damaged or placed in two ways, or holds NaN or infinite values.
    """
    fields = _head(path, suffix)
    data = _voxels(path, suffix, fields, exact)
    place = placement.of(fields)
    kind = fields.get_data_dtype() if int(fields["datatype"]) in NUMBERS else None
    scale = _scale(fields)
    if kind is not None and (scale is None or not _all_finite(data, kind)):
        raise CaseError("holds NaN or infinite values", where=path, remedy="mend the file it comes from")
    if not fix and (wrong := placement.wrong(place)):
        raise CaseError(wrong[0], where=path, remedy=wrong[1])
    sizes = shape(fields)
    if kind is None or int(fields["dim"][0]) < 3 or np.prod(sizes[4:]) > 1:
        return itk.read(path, suffix, grey, several)  # colours, one or two axes, vectors
    itk.check_size(path, sizes, 1, several)
    grid = _grid(path, fields, fix)
    array = data.view(kind).reshape(sizes[::-1]).astype(kind.newbyteorder("="), copy=False)
    if scale != (1.0, 0.0):
        array = _scaled(array, *scale)
    array = np.ascontiguousarray(np.moveaxis(array.reshape(-1, *sizes[2::-1]), 0, -1))
    array = array.reshape(*grid.size, *array.shape[3:]) if array.shape[-1] > 1 else array.reshape(grid.size)
    return Image(array, grid, tuple(f"c{i}" for i in range(array.shape[-1])) if array.ndim > grid.dimension else ())


def _voxels(path: Path, suffix: str, fields, exact: bool) -> np.ndarray:
    """The bytes of the voxels of a file, which is read to its end, so that a damaged one is noticed."""
    start, need = _start(fields), length(fields)
    if np.prod([float(n) for n in shape(fields)]) > itk.LARGEST or (exact and start > SPARE):
        raise CaseError(f"is too large: {'x'.join(map(str, shape(fields)))}, from byte {start}", where=path)
    data = np.empty(need - start, np.uint8)
    with _opened(path, suffix) as file:
        count = _drain(file, start)
        count += _fill(file, data)
        more = _drain(file, 1) if exact else _drain(file)
    if count < need:
        raise CaseError(f"is cut short: {count} of {need} bytes", where=path, remedy=COPY)
    if exact and more:
        raise CaseError("holds more than its header says", where=path, remedy=COPY)
    return data


def _drain(file: BinaryIO, count: int = sys.maxsize) -> int:
    """Skip up to `count` bytes; returns the number skipped."""
    total = 0
    while total < count and (block := file.read(min(BLOCK, count - total))):
        total += len(block)
    return total


def _fill(file: BinaryIO, data: np.ndarray) -> int:
    """Read bytes into an array until it is full or the file ends; returns the number read."""
    total, view = 0, memoryview(data)
    while total < len(data) and (count := file.readinto(view[total : total + BLOCK])):
        total += count
    return total


def _all_finite(data: np.ndarray, kind: np.dtype) -> bool:
    """Whether all values are finite, a block at a time. kind: their type."""
    if kind.kind != "f":
        return True
    values = data.view(kind)
    step = BLOCK // kind.itemsize
    return all(np.isfinite(values[k : k + step]).all() for k in range(0, len(values), step))


def _scale(fields) -> tuple[float, float] | None:
    """(slope, intercept) of a header; a slope of 0, NaN or infinity means no scaling. None for an intercept that is NaN
    or infinite, which ITK ignores."""
    slope, shift = float(fields["scl_slope"]), float(fields["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return (slope, shift) if np.isfinite(shift) else None


def _scaled(array: np.ndarray, slope: float, shift: float) -> np.ndarray:
    """slope * array + shift as ITK rounds it: float32, of float64 float64."""
    result = np.empty(array.shape, array.dtype if array.dtype == np.float64 else np.float32)
    for part, out in zip(array, result, strict=True):
        with np.errstate(over="ignore"):  # files.read_channels refuses infinity
            np.add(part.astype(result.dtype).astype(np.float64) * slope, shift, out=out, casting="same_kind")
    return result


def writes(array: np.ndarray, grid: Grid) -> bool:
    """Whether `write` takes this: one channel of a volume, of a type of WRITTEN, its axes within 16-bit sizes."""
    return array.ndim == grid.dimension == 3 and array.dtype.name in WRITTEN and max(array.shape) < 1 << 15


def header_bytes(image: Image, note: str = "") -> bytes:
    """The 352 bytes before the voxels of a volume, (z, y, x), of a type of WRITTEN; note, ASCII, goes into descrip."""
    from nibabel.nifti1 import Nifti1Header

    affine = placement.affine(image.grid)
    fields = Nifti1Header(endianness="<")
    fields.set_data_dtype(image.array.dtype)
    fields.set_data_shape(image.grid.size[::-1])
    fields.set_qform(affine, 1)
    fields.set_sform(affine, 1)
    fields.set_xyzt_units("mm")
    fields.set_slope_inter(1, 0)
    fields["pixdim"][4:] = 0
    fields["regular"], fields["magic"], fields["vox_offset"] = b"r", b"n+1", 352
    fields["descrip"] = note.encode("ascii")[:79]
    return fields.binaryblock + bytes(4)


def write(path: Path, image: Image, note: str = "") -> None:
    """Write a volume of a type of WRITTEN as `.nii`, or `.nii.gz` by the suffix; the same bytes on every run."""
    from isal import igzip_lib

    head = header_bytes(image, note)
    voxels = np.ascontiguousarray(image.array).astype(image.array.dtype.newbyteorder("<"), copy=False)
    with open(path, "wb") as file:
        if str(path).endswith(".gz"):
            data = bytearray(head) + voxels.data.cast("B")
            file.write(igzip_lib.compress(data, LEVEL, igzip_lib.COMP_GZIP))
        else:
            file.write(head)
            file.write(voxels.data.cast("B"))
