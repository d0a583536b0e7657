"""Predicted boxes and the reference on one picture: misses and false boxes first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrilib.cases import Case
from mrilib.drawing.contents import Shown
from mrilib.drawing.montage import BOX_COLOUR, FOUND, MISSED, WRONG, Marked
from mrilib.errors import UsageError
from mrilib.evaluation import tables
from mrilib.evaluation.metrics import boxes as metrics
from mrilib.evaluation.pairing import pair

IOU = 0.5  # from here on a predicted box takes a reference box


def is_boxes(table: str) -> bool:
    """Whether a table of predictions is one of boxes."""
    columns = table.lstrip("\r\n").split("\n", 1)[0].strip().split(",")
    return {"case", *tables.NUMBERS} <= {*columns}


def of_boxes(table: str, cases: list[Case], mistakes: bool, min_score: float = 0.0) -> list[Shown]:
    """The cases that a table of boxes is about, and those with a reference box that it lacks: first those with missed
    boxes, then those with false ones, the surest first. mistakes: those alone. min_score: leave out predicted boxes of
    a lower score. Raises UsageError for a wrong table."""
    by_id = {case.id: case for case in cases}
    read = tables.read(table, "the table", tables.Boxes()).of
    if any(len(box) > 6 for boxes in read.values() for box in boxes):
        raise UsageError("the boxes are of volumes, and boxes are drawn on images",
                         remedy="show the label maps, or the slices: --as slices")
    predicted = {by_id[case].id: [box for box in read[name] if box[5] >= min_score]
                 for name, case in pair(read, by_id).items()}
    kinds = sorted({box[4] or "" for case in cases for box in case.boxes})
    if len(kinds) < 2 or not {box[4] for listed in predicted.values() for box in listed} - {""}:
        kinds = []
    rows = []
    for case in cases:
        if case.id in predicted or metrics.to_find(case.boxes):
            rows.append(_judged(case, predicted.get(case.id, []), kinds))
    rows.sort(key=lambda row: row[0])
    return [shown for _, shown in rows if shown.wrong or not mistakes]


def _judged(case: Case, predicted: list[tuple], kinds: Sequence[str]) -> tuple[tuple, Shown]:
    """The place of a case in the order, and how it is shown. kinds: classes that are told apart; empty for none."""
    predicted = sorted(predicted, key=lambda box: -box[5])
    verdicts, taken = matched(predicted, case.boxes, kinds)
    wanted = [box for box in case.boxes if not metrics.mark_of(box)]
    missed = [box for box, is_taken in zip(case.boxes, taken, strict=True) if not is_taken and not metrics.mark_of(box)]
    false = [box for box, verdict in zip(predicted, verdicts, strict=True) if verdict == "false"]
    marked = [Marked(tuple(box[:4]), MISSED if box in missed else BOX_COLOUR, "", 2 if box in missed else 1)
              for box in wanted]
    marked += [Marked(tuple(box[:4]), WRONG if verdict == "false" else FOUND, _text(box, kinds))
               for box, verdict in zip(predicted, verdicts, strict=True)]
    caption = (case.id, _caption(case, predicted, len(missed), len(false)))
    order = (-len(missed), -(false[0][5] if false else 0.0) if not missed else 0.0, -len(false))
    return order, Shown(case, caption, bool(missed or false), tuple(marked))


def matched(predicted: Sequence[tuple], reference: Sequence[tuple], kinds: Sequence[str]
            ) -> tuple[list[str], list[bool]]:
    """`hit`, `false` or `ignored` of each predicted box (surest first), and whether each reference box is taken."""
    verdicts, taken = ["false"] * len(predicted), [False] * len(reference)
    for kind in kinds or [None]:
        own = [i for i, box in enumerate(predicted) if kind is None or box[4] == kind]
        true = [i for i, box in enumerate(reference) if kind is None or (box[4] or "") == kind]
        boxes, marks = [reference[i] for i in true], [metrics.mark_of(reference[i]) for i in true]
        one = np.array([predicted[i][:4] for i in own]).reshape(-1, 4)
        other = np.array([box[:4] for box in boxes]).reshape(-1, 4)
        hits, ignored = metrics.matches(one, other, (IOU,), marks)
        overlap = metrics.iou(one, other)
        for n, i in enumerate(own):
            verdicts[i] = "hit" if hits[0, n] else "ignored" if ignored[0, n] else "false"
            if hits[0, n]:
                free = [m for m, j in enumerate(true) if not taken[j] and not marks[m]]
                taken[true[max(free, key=lambda m: (overlap[n, m], m))]] = True
    return verdicts, taken


def _text(box: tuple, kinds: Sequence[str]) -> str:
    return f"{box[4]} {box[5]:.2f}" if kinds else f"{box[5]:.2f}"


def _caption(case: Case, predicted: list[tuple], missed: int, false: int) -> str:
    words = [f"{missed} missed" if missed else "", f"{false} false" if false else ""]
    if metrics.to_find(case.boxes):
        words.append(f"IoU {metrics.top_iou(predicted, case.boxes):.2f}")
    return ", ".join(word for word in words if word) or "no box"
