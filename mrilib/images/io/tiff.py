"""Reading and writing TIFF, which holds several float channels in one picture.

tifffile reads and writes it. Pillow reads colours and compressions for which tifffile needs further packages.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.io import description, pictures
from mrilib.images.io.colours import inverted, on_black, visible

LARGEST = 1 << 29  # values in one picture
PLAIN = (1, 8, 32946)  # compressions that tifffile reads without further packages: none and deflate
# errors that tifffile raises when the directory of a file is damaged
BROKEN = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, struct.error)


def read(path: Path, grey: bool = True, labels: bool = False) -> Image:
    """Read a TIFF as (y, x) or (y, x, channel), grey and labels as in pictures.read.

    Raises CaseError for a TIFF that is damaged, cut short or has several pages.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            pages = len(file.pages)
            page = file.pages.first
            if pages > 1:
                raise CaseError(f"has {pages} pages", where=path, remedy="save a volume as NIfTI, a picture alone")
            last = max(o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=True))
            if last > path.stat().st_size or sum(page.databytecounts) == 0:
                raise CaseError("is cut short", where=path, remedy="copy it again")
            if page.size > LARGEST:
                raise CaseError(f"is too large: {page.shape}", where=path)
            if page.compression not in PLAIN or page.photometric not in (0, 1, 2):
                if page.bitspersample > 8 and page.samplesperpixel > 1:
                    raise CaseError(f"holds colours of {page.bitspersample} bit in a compression not read here",
                                    where=path, remedy="save it without compression")  # Pillow would cut them to 8
                return pictures.read(path, grey, labels)
            note = description.parse(page.description)
            array = page.asarray()
            if page.photometric == 0:  # white is zero
                array = inverted(array)
            if page.planarconfig == 2 and array.ndim == 3:
                array = np.moveaxis(array, 0, -1)
            if array.ndim == 3 and array.dtype.kind == "u" and {int(e) for e in page.extrasamples} & {1, 2}:
                array = visible(array) if labels else on_black(array, np.iinfo(array.dtype).max).astype(array.dtype)
                array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    except tifffile.TiffFileError as error:
        raise CaseError(f"is not a TIFF image: {error}", where=path, remedy="check what it holds") from error
    except (zlib.error, *BROKEN) as error:
        raise CaseError(f"is damaged or of an unknown kind: {error}", where=path, remedy="copy it again") from error
    if array.ndim not in (2, 3):
        raise CaseError(f"has {array.ndim} axes", where=path, remedy="save a volume as NIfTI")
    return description.image(array, note, path, grey)


def recipe_hash(path: Path) -> str:
    """The recipe hash in the description of a TIFF; empty for a file that has none or is damaged."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return description.parse(file.pages.first.description).get("mri-suite", "")
    except (OSError, zlib.error, *BROKEN):
        return ""


def write(path: Path, array: np.ndarray, note: dict) -> None:
    """Write a 2D image, (y, x) or (y, x, channel), as it is, with `note` in its description."""
    import tifffile

    tifffile.imwrite(path, array, photometric="minisblack", planarconfig="contig" if array.ndim == 3 else None,
                     description=json.dumps(note), metadata=None, software="mri-suite")
