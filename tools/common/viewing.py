"""What mri-view shows: cases or predictions, from folders, names or tables, as tiles."""

from __future__ import annotations

import codecs
import io
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from mri_tools.cli import stream
from mri_tools.cli.output import describe
from mrilib import cases
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.store import read_csv

TABLES = ("case,", "metric,", "submission,case,")  # how a table begins, of predictions or of scores


@dataclass(frozen=True)
class Shown:
    """A case and what to write below it."""

    case: Case
    caption: tuple[str, ...]
    wrong: bool = False


def given(paths: tuple[Path, ...], null: bool):
    """(names of cases, None) or ((), lines of a table of predictions): whatever came, on the command line or not."""
    if stream.from_stdin(paths):
        data = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
        if data.startswith(tuple(start.encode() for start in TABLES)):
            return (), list(io.StringIO(data.decode("utf-8", "surrogateescape"), newline=""))
        return [Path(os.fsdecode(name)) for name in data.split(b"\0" if null else b"\n") if name], None
    if len(paths) == 1 and paths[0].suffix.lower() == ".csv" and paths[0].is_file():
        try:
            text = read_csv(paths[0])
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=paths[0]) from error
        if text.startswith(TABLES):
            return (), list(io.StringIO(text, newline=""))
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError("no such file or folder", where=path, remedy="check the name")
    return paths, None


def listed(names, layout, root) -> tuple[list[Shown], list[CaseError]]:
    """Cases with their class as they come."""
    failed: list[CaseError] = []
    found = cases.find(names, layout, root, on_error=failed.append)
    return [Shown(case, tuple(t for t in (case.id, case.class_name) if t)) for case in found], failed


def predicted(table: list[str], folder: Path, layout, root, mistakes: bool) -> tuple[list[Shown], list[CaseError]]:
    """Predictions, mistakes first and the surest of them first, with true class, called class and probability."""
    from mrilib.evaluation import submission

    if not folder.exists():
        raise UsageError("no such file or folder", where=folder, remedy="check the name after --cases")
    found, failed = listed([folder], layout, root)
    by_id = {one.case.id: one.case for one in found}
    told = submission.read(table, "the table")
    rows = []
    for name, ref in submission.pair(told.classes, by_id).items():
        case, called = by_id[ref], told.classes[name]
        p = told.probability.get(name, {}).get(called)
        wrong = case.class_name is not None and case.class_name != called
        text = f"{case.class_name or '?'}: {called}" + ("" if p is None else f" {100 * p:.0f} %")
        rows.append((not wrong, -(p or 0), Shown(case, (case.id, text), wrong)))
    rows.sort(key=lambda row: row[:2])
    return [shown for right, _, shown in rows if not (mistakes and right)], failed


def overlaid(names, folder: Path, layout, root) -> tuple[list[Shown], list[CaseError]]:
    """The cases that predicted label maps are about, each with its prediction in the place of its own label map."""
    from mrilib.evaluation.pairing import pair

    if not folder.exists():
        raise UsageError("no such file or folder", where=folder, remedy="check the name after --cases")
    maps, failed = listed(names, None, root)
    found, others = listed([folder], layout, None)
    by_id, path_of = {one.case.id: one.case for one in found}, {one.case.id: one.case.path for one in maps}
    shown = []
    for name, ref in pair(path_of, by_id).items():
        case = by_id[ref]
        slices = {channel: paths for channel, paths in case.slices.items() if channel != "label"}
        shown.append(Shown(replace(case, label=path_of[name], slices=slices), (case.id, "predicted")))
    return shown, [*failed, *others]


def choose(wanted: list[Shown], count: int, seed: int | None) -> list[Shown]:
    """At most so many of them in their order: evenly taken, or by chance from a seed."""
    if len(wanted) <= count:
        return wanted
    if seed is None:
        return [wanted[i * len(wanted) // count] for i in range(count)]
    import numpy as np

    places = np.random.default_rng(seed).choice(len(wanted), count, replace=False)
    return [wanted[i] for i in sorted(places)]


def tile(shown: Shown, size: int):
    """The tile of a case, or the CaseError that says why there is none."""
    from mrilib.images.io import files
    from mrilib.view import plots

    case = shown.case
    try:
        image = files.read_case(case)
        label = files.read_label(case, image.grid)
        return plots.Tile(plots.picture(image, size, label and label.array, case.boxes), shown.caption, shown.wrong)
    except CaseError as error:
        return CaseError(describe(case, error))


def write(output: Path, tiles: list, columns: int) -> None:
    from PIL import Image as Picture

    from mrilib.store import whole
    from mrilib.view import plots

    with whole(output, suffix=".png") as temporary:
        Picture.fromarray(plots.montage(tiles, columns)).save(temporary)
