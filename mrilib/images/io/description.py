"""The description in a picture that this suite wrote: its recipe, grid, channels and scale, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io.colours import grey_if_grey


def parse(text: str | None) -> dict:
    """The JSON that this suite writes into a picture's description; empty for anything else."""
    if not text or not text.startswith('{"mri-suite"'):
        return {}
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {}


def image(array: np.ndarray, note: dict, path: Path, grey: bool) -> Image:
    """A picture's array (y, x[, channel]) and its note as an image. grey: make one channel of colours that are grey."""
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
