"""What a sheet of pictures shows: cases, predicted classes with mistakes first, or predicted label maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mrilib.cases import Case, find
from mrilib.errors import UsageError

if TYPE_CHECKING:
    from mrilib.drawing.montage import Marked


@dataclass(frozen=True)
class Shown:
    """A case and the caption below it. wrong: its prediction is a mistake. marked: boxes in place of the case's."""

    case: Case
    caption: tuple[str, ...]
    wrong: bool = False
    marked: tuple[Marked, ...] | None = None


def of_cases(cases: list[Case]) -> list[Shown]:
    """Cases with their classes."""
    return [Shown(case, tuple(text for text in (case.id, case.class_name) if text)) for case in cases]


def of_folder(folder: Path, layout, root, fail) -> list[Case]:
    """The cases that predictions belong to. Raises UsageError for a folder that does not exist."""
    if not folder.exists():
        raise UsageError("no such file or folder", where=folder, remedy="check the name after --cases")
    return list(find([folder], layout, root, on_error=fail))


def of_predictions(table: str, cases: list[Case], mistakes: bool) -> list[Shown]:
    """Predicted classes of a table: mistakes first (or alone), the most probable first."""
    from mrilib.evaluation.pairing import pair
    from mrilib.evaluation.tables import ClassTable, read

    by_id = {case.id: case for case in cases}
    predictions = read(table, "the table", ClassTable()).of
    rows = []
    for name, reference in pair(predictions, by_id).items():
        case, (predicted, probabilities) = by_id[reference], predictions[name]
        probability = probabilities.get(predicted)
        wrong = case.class_name is not None and case.class_name != predicted
        percent = "" if probability is None else f" {100 * probability:.0f} %"
        shown = Shown(case, (case.id, f"{case.class_name or '?'}: {predicted}{percent}"), wrong)
        rows.append((not wrong, -(probability or 0), shown))
    rows.sort(key=lambda row: row[:2])
    return [shown for right, _, shown in rows if not (mistakes and right)]


def of_maps(maps: list[Case], cases: list[Case]) -> list[Shown]:
    """The cases of predicted label maps, each with its prediction in the place of its own label map."""
    from mrilib.evaluation.pairing import pair

    by_id, path_of = {case.id: case for case in cases}, {one.id: one.path for one in maps}
    shown = []
    for name, reference in pair(path_of, by_id).items():
        case = by_id[reference]
        slices = {channel: paths for channel, paths in case.slices.items() if channel != "label"}
        shown.append(Shown(replace(case, label=path_of[name], slices=slices), (case.id, "predicted")))
    return shown


def choose(wanted: list[Shown], count: int, seed: int | None) -> list[Shown]:
    """At most `count` of them in their order: evenly chosen, or at random from a seed."""
    if len(wanted) <= count:
        return wanted
    if seed is None:
        return [wanted[i * len(wanted) // count] for i in range(count)]
    import numpy as np

    places = np.random.default_rng(seed).choice(len(wanted), count, replace=False)
    return [wanted[i] for i in sorted(places)]


def tile_of(shown: Shown, size: int):
    """The tile of a case. Raises CaseError when it cannot be read."""
    from mrilib.drawing import montage
    from mrilib.images.io import files

    image = files.read_case(shown.case)
    label = files.read_label(shown.case, image.grid)
    boxes = shown.case.boxes if shown.marked is None else shown.marked
    picture = montage.picture(image, size, None if label is None else label.array, boxes)
    return montage.Tile(picture, shown.caption, shown.wrong)
