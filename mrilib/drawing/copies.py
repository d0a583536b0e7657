"""A contact sheet of augmentation: copies of one case, each with the numbers that were drawn for it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from mrilib.cases import Case
from mrilib.drawing import montage
from mrilib.images.io import files
from mrilib.recipe import augmentation
from mrilib.store import whole

COUNT, COLUMNS, SIZE = 12, 4, 256
WINDOW = (0.5, 99.5)  # percentiles of the case itself that are black and white on every tile
LETTERS = 40  # of a line of a caption


def write_sheet(path: Path, case: Case, settings: dict, seed: int) -> None:
    """Write the first COUNT copies of a case as a PNG. settings: those of images.augment, as text by name."""
    image = files.read_case(case)
    label = files.read_label(case, image.grid)
    draws = augmentation.draws(case, image, {"settings": settings, "seed": seed, "copies": ()})
    window = tuple(np.percentile(image.by_channel()[..., 0], WINDOW))
    tiles = []
    for copy in range(1, COUNT + 1):
        drawn = draws(copy)
        changed, moved, boxes = augmentation.apply(image, label, case.boxes, drawn)
        shown = montage.picture(changed, SIZE, moved.array if moved else None, boxes, window)
        tiles.append(montage.Tile(shown, (augmentation.copy_id(case.id, copy), *_caption(drawn))))
    with whole(path, suffix=".png") as temporary:
        montage.save(tiles, COLUMNS, temporary)


def _caption(drawn: dict) -> list[str]:
    words = []
    for name, value in drawn.items():
        if name != "seed":
            values = value if isinstance(value, list) else [value]
            words.append(f"{name}=" + ",".join(v if isinstance(v, str) else f"{v:.3g}" for v in values))
    return textwrap.wrap(" ".join(words) or "unchanged", LETTERS, break_on_hyphens=False)
