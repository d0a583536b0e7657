"""Reading and writing pictures: PNG, JPEG, WebP, BMP, GIF and TIFF as 2D images.

Pillow reads them, for it notices a cut file, where ITK fills the rest in silence; tifffile holds several float
channels in one TIFF. What we write carries its grid, channels and recipe as JSON in the description.
"""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image

GREY_TOLERANCE = 4.0  # mean difference between the colours, of 255, that JPEG alone makes in a grey image
GREY_CORRELATION = 0.995  # three MRI sequences stored as colours differ little too, but not in step
LARGEST = 1 << 29  # values in one picture
# what tifffile comes to when a TIFF's directory is damaged
BROKEN = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, struct.error)
PLAIN = (1, 8, 32946)  # TIFF compressions that tifffile reads without further libraries: none and deflate


def read(path: Path, grey: bool = True, labels: bool = False) -> Image:
    """Read a picture as (y, x) or (y, x, channel), by Pillow. grey: make one channel of colours that are none.

    labels: the picture is a label map: read its numbers (see _numbers), not its colours.

    Raises CaseError for one that is not whole.
    """
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
        try:
            with Picture.open(path) as picture:
                frames = getattr(picture, "n_frames", 1)
                if frames > 1:
                    raise CaseError(f"is animated or has {frames} pages", where=path,
                                    remedy="save the one picture that is meant, or a volume as NIfTI")
                picture.load()
                note = description(picture.info.get("Description"))
                array = _numbers(picture, path) if labels else _array(picture)
        except UnidentifiedImageError as error:
            raise CaseError("is not an image of any known kind", where=path, remedy="check what it holds") from error
        except Picture.DecompressionBombError as error:
            raise CaseError(f"is too large: {error}", where=path, remedy="make it smaller") from error
        except (OSError, SyntaxError, ValueError, zlib.error, EOFError, IndexError, struct.error) as error:
            if isinstance(error, PermissionError | FileNotFoundError):
                raise
            raise CaseError(f"is damaged or cut short: {error}", where=path, remedy="copy it again") from error
    return _image(array, note, path, grey)


def is_deep_colour(path: Path) -> bool:
    """Whether a file is a PNG of 16 bit with more than one channel, which Pillow would cut down to 8 bit."""
    with open(path, "rb") as file:
        head = file.read(26)
    return len(head) == 26 and head[:4] == b"\x89PNG" and head[24] == 16 and head[25] in (2, 4, 6)


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


def visible(array: np.ndarray) -> np.ndarray:
    """Colours or grey (y, x[, n - 1]) of an array whose last channel is opacity, 0 where that is 0."""
    colour = np.where(array[..., -1:] > 0, array[..., :-1], 0).astype(array.dtype)
    return colour[..., 0] if colour.shape[-1] == 1 else colour


def is_lossy(path: Path) -> bool:
    """Whether a picture is compressed in a way that changes its values: JPEG, or WebP unless it is lossless."""
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return b"VP8L" not in head
    return head[:3] == b"\xff\xd8\xff"


def on_black(array: np.ndarray, full: int) -> np.ndarray:
    """Colours or grey (y, x, n - 1) of an integer array whose last channel is opacity, laid on black, as air is."""
    colour, opacity = array[..., :-1].astype(np.int64), array[..., -1:].astype(np.int64)
    return (colour * opacity + full // 2) // full


def _image(array: np.ndarray, note: dict, path: Path, grey: bool) -> Image:
    if array.ndim == 3 and array.shape[-1] in (3, 4) and not note and grey:
        array = grey_if_grey(array[..., :3])
    try:
        grid = Grid.from_dict(note["grid"]) if "grid" in note else Grid.of(array.shape[:2])
        low, high = note.get("scale", (None, None))
    except (KeyError, TypeError, ValueError) as error:
        raise CaseError("its description is not the one this suite wrote", where=path,
                        remedy="make it again") from error
    if grid.size != array.shape[: grid.dimension]:
        raise CaseError("was changed after this suite wrote it: its size is not the recorded one", where=path)
    if low is not None:
        array = (array.astype(np.float64) / 65535 * (high - low) + low).astype(np.float32)
    names = tuple(note.get("channels", ()))
    if array.ndim == 3 and len(names) != array.shape[-1]:
        names = COLOURS if array.shape[-1] == 3 else tuple(f"c{i}" for i in range(array.shape[-1]))
    return Image(array, grid, names)


def grey_if_grey(array: np.ndarray) -> np.ndarray:
    """One channel (y, x) when the colours (y, x, 3) differ by no more than compression makes them, else as it is.

    Sequences stored as colours stay apart: of 43 slices of a set that does so, 16 differ less than GREY_TOLERANCE,
    but correlate at 0.52 to 0.986; grey JPEGs do at more than 0.999.
    """
    first = array[..., 0]
    if all(np.array_equal(first, array[..., i]) for i in (1, 2)):
        return first
    limit = GREY_TOLERANCE * (np.iinfo(array.dtype).max / 255 if array.dtype.kind in "ui" else 1 / 255)
    wide = array.astype(np.float32)
    if np.abs(wide - wide.mean(-1, keepdims=True)).mean() <= limit and _in_step(wide):
        grey = luminance(wide)
        return (np.rint(grey) if array.dtype.kind in "ui" else grey).astype(array.dtype)
    return array


def luminance(colours: np.ndarray) -> np.ndarray:
    """How bright colours, (..., 3) float32, are by ITU-R BT.601: (...) float32."""
    return colours @ np.array([0.299, 0.587, 0.114], np.float32)


def _in_step(array: np.ndarray) -> bool:
    """Whether each two of the three channels, (y, x, 3), correlate as copies of one picture do."""
    flat = array.reshape(-1, 3)
    if not flat.std(0).all():
        return False  # a flat channel beside others that are not
    return bool(np.corrcoef(flat.T).min() >= GREY_CORRELATION)


def read_tiff(path: Path, grey: bool = True, labels: bool = False) -> Image:
    """Read a TIFF as (y, x) or (y, x, channel), grey and labels as in read.

    Raises CaseError for one that is not whole or has several pages.
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
                return read(path, grey, labels)
            note = description(page.description)
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
    return _image(array, note, path, grey)


def inverted(array: np.ndarray) -> np.ndarray:
    """The values upside down within their range: for pictures in which low is bright."""
    if array.dtype == bool:
        return ~array
    wide = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return (wide.max() + wide.min() - wide).astype(array.dtype)


def description(text: str | None) -> dict:
    """The JSON that write() puts into a picture's description; empty for anything else."""
    if not text or not text.startswith('{"mri-suite"'):
        return {}
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {}


def recipe_hash(path: Path, suffix: str) -> str:
    """The recipe hash in the description of a TIFF or PNG; empty for a file that has none or is damaged."""
    import tifffile
    from PIL import Image as Picture

    try:
        if suffix == ".png":
            with Picture.open(path) as picture:
                return description(picture.info.get("Description")).get("mri-suite", "")
        with tifffile.TiffFile(path) as file:
            return description(file.pages.first.description).get("mri-suite", "")
    except (OSError, SyntaxError, Picture.DecompressionBombError, zlib.error, *BROKEN):
        return ""


def write(path: Path, array: np.ndarray, note: dict, suffix: str) -> None:
    """Write a 2D image, (y, x) or (y, x, channel), with `note` in its description.

    `.tif` holds any number of channels as they are; `.png` one, scaled to 16 bit unless it is of 8 bit already,
    with the scale in the note. Raises CaseError for more channels in a PNG.
    """
    if suffix != ".png":
        import tifffile

        tifffile.imwrite(path, array, photometric="minisblack", planarconfig="contig" if array.ndim == 3 else None,
                         description=json.dumps(note), metadata=None, software="mri-suite")
        return
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
