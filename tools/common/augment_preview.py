"""The contact sheet of mri-augment: twelve copies of one case, with what was drawn for each."""

from __future__ import annotations

import textwrap
from pathlib import Path

from mri_tools.cli import stream
from mri_tools.cli.output import describe, give_results
from mrilib.errors import CaseError, UsageError
from mrilib.targets import is_direct

COUNT, COLUMNS, SIZE = 12, 4, 256
WINDOW = (0.5, 99.5)  # percentiles of the case itself that are black and white on every tile
LETTERS = 40  # of a caption's line


def sheet(paths, settings: dict, output: Path, keep, *, seed, null, root, layout) -> int:
    """Write the sheet of the first case to `output`, a PNG; returns the exit code."""
    if output.suffix.lower() != ".png" and (output.suffix or not is_direct(output)):
        raise UsageError("is no .png", where=output, remedy="name a .png after --preview")
    for case in stream.each(paths, null=null, root=root, layout=layout):
        if isinstance(case, CaseError):
            raise case
        if keep is None or keep(case):
            return give_results(_made(case, settings, output, seed), "sheet")
    raise UsageError("no case for training to show")


def _made(case, settings: dict, output: Path, seed: int):
    import numpy as np
    from PIL import Image as Picture

    from mrilib.drawing import montage
    from mrilib.images.io import files
    from mrilib.recipe import augmented
    from mrilib.store import whole

    try:
        image = files.read_case(case)
        label = files.read_label(case, image.grid)
        draws = augmented.draws(case, image, {"settings": settings, "seed": seed, "copies": ()})
        window = tuple(np.percentile(image.by_channel()[..., 0], WINDOW))
        tiles = []
        for copy in range(1, COUNT + 1):
            drawn = draws(copy)
            made, moved, boxes = augmented.apply(image, label, case.boxes, drawn)
            shown = montage.picture(made, SIZE, moved.array if moved else None, boxes, window)
            tiles.append(montage.Tile(shown, (augmented.copy_id(case.id, copy), *_caption(drawn))))
        with whole(output, suffix=".png") as temporary:
            Picture.fromarray(montage.montage(tiles, COLUMNS)).save(temporary)
    except CaseError as error:
        yield case, CaseError(describe(case, error))
        return
    yield case, output


def _caption(drawn: dict) -> list[str]:
    words = []
    for name, value in drawn.items():
        if name != "seed":
            values = value if isinstance(value, list) else [value]
            words.append(f"{name}=" + ",".join(v if isinstance(v, str) else f"{v:.3g}" for v in values))
    return textwrap.wrap(" ".join(words) or "unchanged", LETTERS, break_on_hyphens=False)
