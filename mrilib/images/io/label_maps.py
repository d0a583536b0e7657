"""Label maps stored in other ways than one number for each voxel: segments of 3D Slicer, one-hot channels."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mrilib import labels as schemes
from mrilib.cases import suffix_of
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import itk
from mrilib.images.resampling import resample

MOST = 256  # label numbers, the background among them


class Segment(NamedTuple):
    """A segment of a 3D Slicer segmentation: the layer (channel of the file) that holds it and its number there."""

    name: str
    layer: int
    value: int


@functools.cache
def say(text: str) -> None:
    """Log a message about a file once, however often the file is read."""
    logging.getLogger("mrilib").warning(text)


def segments(path: Path) -> list[Segment] | None:
    """The segments that a file of 3D Slicer (`.seg.nrrd`) lists in its header; None for any other file."""
    if suffix_of(path) != ".nrrd":
        return None
    reader = itk.header(path)
    header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys() if key.startswith("Segment")}
    if not header:
        return None
    layers = reader.GetNumberOfComponents()
    numbers = sorted({int(match[1]) for key in header if (match := re.match(r"Segment(\d+)_", key))})

    def whole(key: str, default: int) -> int:
        try:
            return int(header.get(key, default))
        except ValueError as error:
            raise CaseError(f"its header has {key}:={header[key]}, which is no number", where=path,
                            remedy="save the segmentation again") from error

    parts = []
    for place, n in enumerate(numbers):  # Slicer before 4.11 gave each segment a layer and no number
        layer = whole(f"Segment{n}_Layer", place if layers > 1 else 0)
        value = whole(f"Segment{n}_LabelValue", 1 if layers > 1 else place + 1)
        if not 0 <= layer < layers or value < 1:
            raise CaseError(f"its header puts segment {n} into layer {layer} of {layers} as number {value}", where=path,
                            remedy="save the segmentation again")
        parts.append(Segment(header.get(f"Segment{n}_Name") or header.get(f"Segment{n}_ID") or str(n), layer, value))
    return parts


def merged(layers: np.ndarray, parts: Sequence[Segment], scheme: str | None = None) -> np.ndarray:
    """The segments in an array (…, layer) as one label map (…), uint8.

    The number of a segment is the one that the scheme gives its name, if the scheme names all of them; else the one
    that Slicer gave it; else, where two segments in different layers have the same number, its place in the list.
    Raises CaseError when two segments share a voxel.
    """
    result = np.zeros(layers.shape[:-1], np.uint8)
    numbers = _numbers(parts, scheme)
    for part, number in zip(parts, numbers, strict=True):
        inside = layers[..., part.layer] == part.value
        if (numbered := result[inside]).any():
            earlier = parts[numbers.index(int(numbered[numbered > 0][0]))]
            raise CaseError(f"its segments {earlier.name} and {part.name} overlap in "
                            f"{np.count_nonzero(numbered)} voxels",
                            remedy="a voxel has one label: in Slicer, let segments not overlap (Masking), save again")
        result[inside] = number
    return result


def _numbers(parts: Sequence[Segment], scheme: str | None) -> list[int]:
    if scheme:
        by_name = {name: value for value, name in schemes.scheme(scheme).labels.items()}
        numbers = [by_name.get(part.name, by_name.get(schemes.our_word(part.name), 0)) for part in parts]
        if all(numbers) and len(set(numbers)) == len(numbers):
            return numbers
    numbers = [part.value for part in parts]
    if len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(parts) + 1))
    if max(numbers, default=0) >= MOST:
        raise CaseError(f"holds a segment with the number {max(numbers)}, labels are 0 to {MOST - 1}")
    return numbers


def placed(image: Image, grid: Grid) -> Image:
    """A segmentation that was cropped to its segments, on the grid of its image, with background elsewhere.

    Raises CaseError when part of a segment lies outside the image.
    """
    label_grid, image_grid = image.grid.volume or image.grid, grid.volume or grid
    if label_grid.dimension != image_grid.dimension:
        label_grid, image_grid = image.grid, grid
    if label_grid.dimension != image_grid.dimension:
        raise CaseError(f"is {label_grid.dimension}D, its image {image_grid.dimension}D",
                        remedy="give the label map of this image")
    whole = Image(image.array.reshape(label_grid.size), label_grid)
    index = image_grid.to_index(label_grid.to_world(np.argwhere(whole.array)))
    outside = ((index < -0.51) | (index > np.asarray(image_grid.size) - 0.49)).any(-1)
    if outside.any():
        raise CaseError(f"{-(-100 * int(outside.sum()) // len(outside))} % of its voxels lie outside its image",
                        remedy="give the segmentation of this image")
    return Image(resample(whole, image_grid, order=0).array.reshape(grid.size), grid)


def from_one_hot(array: np.ndarray) -> np.ndarray | None:
    """A label map, uint8, of one-hot channels on the last axis, the first of them the background.

    None when the channels are not one-hot: of 0 and 1 (or 255), exactly one of them set in every voxel.
    """
    if not (1 < array.shape[-1] <= MOST and array.size) or array.max() not in (1, 255):
        return None
    if not (np.count_nonzero(array, axis=-1) == 1).all() or not np.isin(array, (0, array.max())).all():
        return None
    return array.argmax(-1).astype(np.uint8)


def single(image: Image, grid: Grid | None, where: object) -> Image:
    """The label map that an image with one-hot channels, last or first, stands for.

    grid: of the image that the label map belongs to. Channels that come first, as PyTorch saves arrays, are recognised
    by that grid and lie on it. A message says what was done. Raises CaseError for channels that are not one-hot.
    """
    count = image.array.shape[-1]
    if (label := from_one_hot(image.array)) is not None:
        say(f"{where}: holds {count} one-hot channels: the number of the channel is taken as the label")
        return Image(label, image.grid)
    channels_last = np.moveaxis(image.array, -1, 0)  # of a file that keeps its channels first
    if grid is not None and image.array.ndim == 4 and channels_last.shape[:3] == grid.size:
        if channels_last.shape[-1] == 1:
            say(f"{where}: holds its one channel first: it is taken to lie on the grid of its image")
            return Image(channels_last[..., 0], grid)
        count = channels_last.shape[-1]
        if (label := from_one_hot(channels_last)) is not None:
            say(f"{where}: holds {count} one-hot channels first: the number of the channel is taken as the label, on "
                "the grid of its image")
            return Image(label, grid)
    raise CaseError(f"is no label map: it holds {count} channels, which are not one-hot", where=where,
                    remedy="save one number for each voxel")
