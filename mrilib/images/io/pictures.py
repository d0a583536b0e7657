"""Reading and writing pictures: PNG, JPEG, WebP, BMP and GIF as 2D images.

Pillow reads them, because it reports a cut file, which ITK fills up silently. A PNG that this suite wrote carries its
grid, channels and recipe in its description.
"""

from __future__ import annotations

import io
import json
import logging
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.io import description
from mrilib.images.io.colours import on_black, visible

log = logging.getLogger("mrilib")


def read(path: Path, grey: bool = True, labels: bool = False) -> Image:
    """Read a picture as (y, x) or (y, x, channel), by Pillow. grey: make one channel of colours that are grey.

    labels: the picture is a label map: read its numbers (see _numbers), not its colours. Raises CaseError for a picture
    that is damaged or cut short.
    """
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    deep = is_deep_grey_with_opacity(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
        try:
            with Picture.open(_as_bytes(path) if deep else path) as picture:
                frames = getattr(picture, "n_frames", 1)
                if frames > 1:
                    raise CaseError(f"is animated or has {frames} pages", where=path,
                                    remedy="save the one picture that is meant, or a volume as NIfTI")
                picture.load()
                note = description.parse(picture.info.get("Description"))
                if deep:
                    array = _without_opacity(np.asarray(picture).view(">u2"), labels, path)
                else:
                    array = _numbers(picture, path) if labels else _array(picture)
        except UnidentifiedImageError as error:
            raise CaseError("is not an image of any known kind", where=path, remedy="check what it holds") from error
        except Picture.DecompressionBombError as error:
            raise CaseError(f"is too large: {error}", where=path, remedy="make it smaller") from error
        except (OSError, SyntaxError, ValueError, zlib.error, EOFError, IndexError, struct.error) as error:
            if isinstance(error, PermissionError | FileNotFoundError):
                raise
            raise CaseError(f"is damaged or cut short: {error}", where=path, remedy="copy it again") from error
    return description.image(array, note, path, grey)


def is_deep_colour(path: Path) -> bool:
    """Whether a file is a PNG of 16 bit in colours, which Pillow would cut down to 8 bit."""
    return _depth_and_kind(path) in ((16, 2), (16, 6))


def is_deep_grey_with_opacity(path: Path) -> bool:
    """Whether a file is a PNG of 16 bit with grey and opacity, which Pillow would cut down and ITK does not know."""
    return _depth_and_kind(path) == (16, 4)


def _depth_and_kind(path: Path) -> tuple[int, int] | None:
    """Bits of a channel and colour type in the header of a PNG; None for another file."""
    with open(path, "rb") as file:
        head = file.read(26)
    return (head[24], head[25]) if len(head) == 26 and head[:4] == b"\x89PNG" else None


def _as_bytes(path: Path) -> io.BytesIO:
    """A PNG of 16-bit grey and opacity as one of four channels of 8 bit: the same bytes under another header."""
    data = bytearray(path.read_bytes())
    data[24:26] = bytes((8, 6))
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))  # of the chunk IHDR
    return io.BytesIO(data)


def _without_opacity(array: np.ndarray, labels: bool, path: Path) -> np.ndarray:
    """Grey (y, x) uint16 of grey and opacity (y, x, 2). Opacity that varies is a message, because it darkens grey."""
    if (array[..., 1] == 65535).all():
        return array[..., 0].astype(np.uint16)
    if labels:
        return visible(array).astype(np.uint16)
    log.warning("%s: its opacity varies: what is not opaque is laid on black (save it without an alpha channel to keep "
                "its values)", path)
    return on_black(array, 65535)[..., 0].astype(np.uint16)


def _array(picture) -> np.ndarray:
    mode = picture.mode
    if mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        return np.asarray(picture).astype(np.uint16)
    if mode in ("L", "RGB", "F", "I"):
        return np.asarray(picture)
    if mode == "1":
        return np.asarray(picture.convert("L"))
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or (mode == "P" and "transparency" in picture.info):
        array = np.asarray(picture.convert("RGBA")).astype(np.uint16)
        return on_black(array, 255).astype(np.uint8)
    return np.asarray(picture.convert("RGB"))


def _numbers(picture, path: Path) -> np.ndarray:
    """The numbers of a label map: the indices of a palette of colours, the grey values of any other picture.

    A grey palette only compresses grey values. Transparent pixels are 0, others keep their number: opacity is for
    display. A grey PNG of 2 or 4 bit is not scaled to 8.
    """
    if picture.mode in ("P", "PA") and not _grey_palette(picture):
        return np.asarray(picture if picture.mode == "P" else picture.getchannel(0))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or (picture.mode == "P" and "transparency" in picture.info):
        return visible(np.asarray(picture.convert("LA" if picture.mode in ("LA", "La") else "RGBA")))
    array = _array(picture)
    bits = _png_bits(path) if picture.format == "PNG" and picture.mode == "L" else 8
    return array // (255 // ((1 << bits) - 1)) if bits in (2, 4) else array


def _grey_palette(picture) -> bool:
    colours = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _png_bits(path: Path) -> int:
    with open(path, "rb") as file:
        return file.read(25)[24]


def is_lossy(path: Path) -> bool:
    """Whether a picture is compressed in a way that changes its values: JPEG, or WebP unless it is lossless."""
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return b"VP8L" not in head
    return head[:3] == b"\xff\xd8\xff"


def recipe_hash(path: Path) -> str:
    """The recipe hash in the description of a PNG; empty for a file that has none or is damaged."""
    from PIL import Image as Picture

    try:
        with Picture.open(path) as picture:
            return description.parse(picture.info.get("Description")).get("mri-suite", "")
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError, zlib.error, struct.error):
        return ""


def write(path: Path, array: np.ndarray, note: dict) -> None:
    """Write one channel, (y, x), as a PNG with `note` in its description.

    Scaled to 16 bit unless it is of 8 bit already, with the scale in the note. Raises CaseError for more channels.
    """
    from PIL import Image as Picture
    from PIL.PngImagePlugin import PngInfo

    if array.ndim == 3:
        raise CaseError("a .png holds one channel, or colours", where=path, remedy="use --suffix .tif")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        note = {**note, "scale": [low, high]}
        array = np.rint((array.astype(np.float64) - low) / max(high - low, 1e-30) * 65535).astype(np.uint16)
    info = PngInfo()
    info.add_text("Description", json.dumps(note))
    Picture.fromarray(array).save(path, pnginfo=info, compress_level=1)
