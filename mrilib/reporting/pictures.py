"""Pictures of cases for the page: cropped, 8 bit, all slices on one sprite that a browser decodes."""

from __future__ import annotations

import base64
import io
import math

import numpy as np

from mrilib.cases import names
from mrilib.images.grid import Image

SIDE = 256  # pixels, the longest side of a 2D image on the page
VOXELS = 1 << 21  # of a volume on the page
MARGIN = 4  # voxels around the head
FACTORS = (1, 2, 3, 4, 6, 8)  # of downsampling
QUALITY = 70  # of JPEG


def encoded(image: Image, predicted: np.ndarray | None, reference: np.ndarray | None, boxes, limit: int) -> dict:
    """A case as the page's viewer reads it: sprites as data URIs, at most `limit` bytes where downsampling by 8 allows.

    image: 2D or 3D with channels. predicted, reference: label maps on its grid, or None. boxes: (x0, y0, x1, y1, kind)
    in pixels of the image.
    """
    array = np.nan_to_num(image.by_channel().astype(np.float32))
    coloured = image.grid.dimension == 2 and image.channels == names.COLOURS
    spacing = tuple(image.grid.spacing)
    labels = [None if one is None else np.asarray(one) for one in (predicted, reference)]
    if image.grid.dimension == 2:
        array, spacing, labels = array[None], (1.0, *spacing), [None if one is None else one[None] for one in labels]
    box = _head(array, labels) if image.grid.dimension == 3 else tuple(slice(0, size) for size in array.shape[:3])
    array, labels = _eight_bit(array[box], coloured), [None if one is None else one[box] for one in labels]
    shown: dict = {}
    for factor in FACTORS:
        step = (1 if array.shape[0] == 1 else factor, factor, factor)
        longest, voxels = max(array.shape[1:3]) / factor, array[..., 0].size / np.prod(step)
        fits = longest <= SIDE * 1.5 if array.shape[0] == 1 else voxels <= VOXELS
        if not fits and factor != FACTORS[-1]:
            continue
        shown = _sprites(_means(array, step), [None if one is None else one[tuple(slice(s // 2, n - n % s, s) for s, n
                         in zip(step, one.shape, strict=True))] for one in labels], coloured)
        if sum(map(len, shown["sprites"])) + len(shown["label"] or "") <= limit:
            break
    shown["spacing"] = [float(one * by) for one, by in zip(spacing, step, strict=True)]
    shown["channels"] = ["colour"] if coloured else list(image.channels or [str(n + 1) for n in range(array.shape[3])])
    shown["boxes"] = [[(x0 - box[2].start) / factor, (y0 - box[1].start) / factor, (x1 - box[2].start) / factor,
                       (y1 - box[1].start) / factor, kind] for x0, y0, x1, y1, kind in boxes]
    shown["compared"] = predicted is not None and reference is not None
    return shown


def _head(array: np.ndarray, labels: list) -> tuple[slice, ...]:
    """Where a volume differs from its background, the value of its corner, with a margin; labels are kept whole."""
    inside = np.zeros(array.shape[:3], bool)
    for channel in np.moveaxis(array, -1, 0):
        inside |= np.abs(channel - channel[0, 0, 0]) > 0.05 * (np.percentile(channel, 99.5) - channel.min())
    for one in labels:
        if one is not None:
            inside |= one > 0
    if not inside.any():
        return tuple(slice(0, size) for size in array.shape[:3])
    places = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(max(0, int(p[0]) - MARGIN), int(p[-1]) + 1 + MARGIN) for p in places)


def _eight_bit(array: np.ndarray, coloured: bool) -> np.ndarray:
    """(z, y, x, channel) uint8, from the 0.5th to the 99.5th percentile of each channel; of a colour image of all."""
    axes = None if coloured else (0, 1, 2)
    low, high = np.percentile(array, (0.5, 99.5), axis=axes)
    return (np.clip((array - low) / np.maximum(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def _means(array: np.ndarray, step: tuple[int, ...]) -> np.ndarray:
    """Means of blocks of `step` voxels; an incomplete block at the end is left out."""
    if set(step) == {1}:
        return array
    z, y, x = (n - n % s for n, s in zip(array.shape[:3], step, strict=True))
    blocks = array[:z, :y, :x].reshape(z // step[0], step[0], y // step[1], step[1], x // step[2], step[2], -1)
    return blocks.mean((1, 3, 5), dtype=np.float32).astype(np.uint8)


def _sprites(array: np.ndarray, labels: list, coloured: bool) -> dict:
    depth = array.shape[0]
    columns = math.ceil(math.sqrt(depth))
    channels = [array] if coloured else [array[..., n] for n in range(array.shape[3])]
    shown = {"size": list(array.shape[:3]), "columns": columns, "label": None,
             "sprites": [_uri(_tiled(one, columns), "JPEG") for one in channels],
             "places": [n // 2 for n in array.shape[:3]]}
    if any(one is not None for one in labels):
        both = np.zeros((*array.shape[:3], 3), np.uint8)
        for n, one in enumerate(labels):
            if one is not None:
                both[..., n] = one
        shown["label"] = _uri(_tiled(both, columns), "PNG")
        marked = both.any(-1)
        if marked.any():
            shown["places"] = [int(marked.sum(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3)]
    return shown


def _tiled(slices: np.ndarray, columns: int) -> np.ndarray:
    """Slices (z, y, x[, 3]) side by side, row by row."""
    depth, high, wide = slices.shape[:3]
    rows = -(-depth // columns)
    padded = np.zeros((rows * columns, *slices.shape[1:]), np.uint8)
    padded[:depth] = slices
    return (padded.reshape(rows, columns, *slices.shape[1:]).swapaxes(1, 2)
            .reshape(rows * high, columns * wide, *slices.shape[3:]))


def _uri(picture: np.ndarray, kind: str) -> str:
    from PIL import Image as Picture

    data = io.BytesIO()
    options = {"quality": QUALITY} if kind == "JPEG" else {"optimize": True}
    Picture.fromarray(picture).save(data, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"
