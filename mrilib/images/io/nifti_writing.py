"""Writing NIfTI-1: qform and sform both, compressed by ISA-L, which takes a fifth of zlib's time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrilib.images.grid import Grid, Image

LEVEL = 1  # of ISA-L's 0 to 3
CODES = {"uint8": 2, "int16": 4, "float32": 16}  # what files.compact makes


def writes(array: np.ndarray, grid: Grid) -> bool:
    """Whether `write` takes this: one channel of a volume, of a type of CODES, its axes within 16-bit sizes."""
    return array.ndim == grid.dimension == 3 and array.dtype.name in CODES and max(array.shape) < 1 << 15


def header(image: Image, note: str = "") -> bytes:
    """The 352 bytes before the voxels of a volume, (z, y, x), of a type of CODES; note, ASCII, goes into descrip."""
    from scipy.spatial.transform import Rotation

    grid = image.grid
    matrix = np.asarray(grid.direction)[::-1, ::-1]
    flip = np.diag([-1.0, -1.0, 1.0])  # ITK's world runs to the left and back, NIfTI's to the right and front
    turn = flip @ matrix
    offset = flip @ np.asarray(grid.origin)[::-1]
    spacing = np.asarray(grid.spacing)[::-1]
    handed = 1.0 if np.linalg.det(turn) > 0 else -1.0
    x, y, z, w = Rotation.from_matrix(turn * [1, 1, handed]).as_quat(canonical=True)
    head = np.zeros(352, np.uint8)

    def put(place, kind, values):
        data = np.atleast_1d(np.asarray(values, kind)).view(np.uint8).ravel()
        head[place : place + data.size] = data

    put(0, "<i4", 348)
    put(38, "u1", ord("r"))
    put(40, "<i2", [3, *grid.size[::-1], 1, 1, 1, 1])
    put(70, "<i2", [CODES[image.array.dtype.name], image.array.dtype.itemsize * 8])
    put(76, "<f4", [handed, *spacing, 0, 0, 0, 0])
    put(108, "<f4", [352, 1, 0])
    put(123, "u1", 2)  # millimetres
    put(148, "u1", np.frombuffer(note.encode("ascii")[:79], np.uint8) if note else 0)
    put(252, "<i2", [1, 1])
    put(256, "<f4", [x, y, z, *offset])
    put(280, "<f4", np.column_stack([turn * spacing, offset]).ravel())
    put(344, "u1", np.frombuffer(b"n+1\0", np.uint8))
    return head.tobytes()


def write(path: Path, image: Image, note: str = "") -> None:
    """Write a volume of a type of CODES as `.nii`, or `.nii.gz` by the suffix; the same bytes on every run."""
    from isal import igzip_lib

    voxels = np.ascontiguousarray(image.array).astype(image.array.dtype.newbyteorder("<"), copy=False)
    with open(path, "wb") as file:
        if str(path).endswith(".gz"):
            data = bytearray(header(image, note)) + voxels.data.cast("B")
            file.write(igzip_lib.compress(data, LEVEL, igzip_lib.COMP_GZIP))
        else:
            file.write(header(image, note))
            file.write(voxels.data.cast("B"))
