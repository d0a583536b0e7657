"""Tiles: pictures of cases with captions, side by side on one sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrilib.cases import names
from mrilib.errors import UsageError
from mrilib.images.grid import Image

OUTLINE_COLOURS = ((230, 60, 60), (70, 170, 250), (250, 200, 60), (90, 210, 110), (200, 110, 230), (250, 140, 60))
MISSED, FOUND = (250, 140, 60), (90, 210, 110)  # boxes; those of the reference are of BOX_COLOUR, false ones of WRONG
BOX_COLOUR = OUTLINE_COLOURS[2]
WRONG, PLAIN, PAPER, INK = (220, 40, 40), (60, 60, 60), (24, 24, 24), (235, 235, 235)
TEXT = 12  # pixels, height of a caption's letters
BAR = 3  # pixels, width of a frame
LARGEST = 1 << 27  # pixels of a sheet: 400 MB of memory


@dataclass(frozen=True)
class Marked:
    """A box (x0, y0, x1, y1) in pixels of the image, and how it is drawn. text: at its upper left corner."""

    box: tuple[float, float, float, float]
    colour: tuple[int, int, int] = BOX_COLOUR
    text: str = ""
    width: int = 1


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet. picture: (y, x, 3) uint8. caption: lines below it. wrong: frame it in red."""

    picture: np.ndarray
    caption: tuple[str, ...] = ()
    wrong: bool = False


def picture(image: Image, size: int, label: np.ndarray | None = None, boxes=(), window=None) -> np.ndarray:
    """An image as (size, size, 3) uint8, aspect kept, grey from the 0.5th to the 99.5th percentile, or over window.

    Of a volume the axial slice with most label, else the middle one; of several channels the first, but three of a
    2D image are its colours. label: on the image's grid, drawn as outlines, a colour each number. boxes: x0 y0 x1 y1
    in pixels, or Marked. NaN is black.
    """
    from PIL import Image as Picture
    from PIL import ImageDraw

    array, spacing = np.nan_to_num(image.by_channel().astype(np.float32)), image.grid.spacing
    coloured = image.grid.dimension == 2 and image.channels == names.COLOURS
    if image.grid.dimension == 3:
        counts = np.count_nonzero(label, axis=(1, 2)) if label is not None else np.zeros(1)
        place = int(counts.argmax()) if counts.any() else array.shape[0] // 2
        array, spacing = array[place], spacing[1:]
        label = None if label is None else label[place]
    if not coloured:
        array = array[..., :1]
    low, high = window or np.percentile(array, (0.5, 99.5))
    grey = (np.clip((array - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    extent = np.multiply(array.shape[:2], spacing)
    height, width = np.maximum(np.rint(extent / extent.max() * size).astype(int), 1)
    shown = Picture.fromarray(np.broadcast_to(grey, (*grey.shape[:2], 3)).copy())
    shown = shown.resize((width, height), Picture.Resampling.BILINEAR)
    if label is not None:
        shown = Picture.fromarray(_outlined(np.asarray(shown), label))
    draw = ImageDraw.Draw(shown)
    sx, sy = width / array.shape[1], height / array.shape[0]
    marked = [box if isinstance(box, Marked) else Marked(tuple(box[:4])) for box in boxes]
    for one in marked:
        x0, y0, x1, y1 = one.box[0] * sx, one.box[1] * sy, one.box[2] * sx - 1, one.box[3] * sy - 1
        draw.rectangle((x0, y0, max(x1, x0), max(y1, y0)), outline=one.colour, width=one.width)
    _write_texts(draw, [(one.box[0] * sx, one.box[1] * sy, one) for one in marked if one.text], width)
    sheet = np.zeros((size, size, 3), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    sheet[top : top + height, left : left + width] = np.asarray(shown)
    return sheet


def _write_texts(draw, places: list[tuple[float, float, Marked]], width: int) -> None:
    """Write the texts of boxes above their upper left corners, or below where there is no room above."""
    from PIL import ImageFont

    font = ImageFont.load_default(TEXT - 2)
    for x, y, one in places:
        x = max(0.0, min(x, width - font.getlength(one.text)))
        draw.text((x, y - TEXT if y >= TEXT else y + 1), one.text, fill=one.colour, font=font, stroke_width=1,
                  stroke_fill=PAPER)


def _outlined(shown: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(y, x, 3) uint8 with the outlines of a label map that covers the same field of view."""
    rows = (np.arange(shown.shape[0]) + 0.5) * label.shape[0] / shown.shape[0]
    columns = (np.arange(shown.shape[1]) + 0.5) * label.shape[1] / shown.shape[1]
    near = label[rows.astype(int)][:, columns.astype(int)].astype(int)
    edge = np.zeros(near.shape, bool)
    edge[:-1] |= near[:-1] != near[1:]
    edge[:, :-1] |= near[:, :-1] != near[:, 1:]
    shown = shown.copy()
    around = np.maximum(near, np.maximum(np.roll(near, -1, 0), np.roll(near, -1, 1)))
    shown[edge] = np.array(OUTLINE_COLOURS, np.uint8)[(around[edge] - 1) % len(OUTLINE_COLOURS)]
    return shown


def check_sheet(count: int, columns: int, size: int) -> None:
    """Raise UsageError when a sheet of `count` pictures of size x size pixels is too large for memory."""
    columns = min(columns, count)
    if columns * -(-count // columns) * (size + 2 * BAR) ** 2 > LARGEST:
        raise UsageError(f"{count} pictures of {size} pixels make too large a sheet", remedy="lower --count or --size")


def save(tiles: list[Tile], columns: int, path) -> None:
    """Write tiles row by row on one sheet as a PNG."""
    from PIL import Image as Picture

    Picture.fromarray(montage(tiles, columns)).save(path, format="PNG")


def montage(tiles: list[Tile], columns: int) -> np.ndarray:
    """Tiles row by row on one sheet, (y, x, 3) uint8. Raises ValueError for none."""
    from PIL import Image as Picture
    from PIL import ImageDraw, ImageFont

    if not tiles:
        raise ValueError("no tile to show")
    size = tiles[0].picture.shape[0]
    columns = min(columns, len(tiles))
    lines = max(len(tile.caption) for tile in tiles)
    wide, high = size + 2 * BAR, size + 2 * BAR + lines * (TEXT + 3)
    sheet = Picture.new("RGB", (columns * wide, -(-len(tiles) // columns) * high), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for i, tile in enumerate(tiles):
        x, y = i % columns * wide, i // columns * high
        frame = WRONG if tile.wrong else PLAIN
        draw.rectangle((x, y, x + wide - 1, y + size + 2 * BAR - 1), fill=frame if tile.wrong else PAPER)
        sheet.paste(Picture.fromarray(tile.picture), (x + BAR, y + BAR))
        for j, line in enumerate(tile.caption):
            place = (x + BAR, y + size + 2 * BAR + j * (TEXT + 3))
            draw.text(place, _fitting(line, font, size), fill=WRONG if tile.wrong and j else INK, font=font)
    return np.asarray(sheet)


def _fitting(text: str, font, width: int) -> str:
    """The text, its beginning left out where it is too wide: the end of an id tells more."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
