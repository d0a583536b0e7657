"""The cases of a report with what was predicted for each: a row of the table, and overlays for the viewer."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

import numpy as np

from mrilib.cases import Case
from mrilib.evaluation.pairing import pair
from mrilib.reporting.experiment import Experiment

MEAN = ("dice",)  # metrics of cases by which they are ordered


@dataclass
class Judged:
    """A case, its row by column, and how good its prediction is (larger is better; None: unknown). map: the predicted
    label map. boxes: (x0, y0, x1, y1, kind)."""

    case: Case
    row: dict[str, object]
    text: str = ""
    goodness: float | None = None
    wrong: bool = False
    map: Case | None = None
    boxes: list[tuple] = field(default_factory=list)


def judged(parts: Experiment) -> list[Judged]:
    """All cases of an experiment in their order."""
    by_id = {case.id: Judged(case, {"case": case.id, "subject": case.subject or "", "class": case.class_name or ""},
                             boxes=[(*box[:4], "reference") for box in case.boxes]) for case in parts.cases}
    for row in parts.split:
        if row["case"] in by_id:
            fold = row.get("fold") or ""
            by_id[row["case"]].row["part"] = f"fold {fold}" if fold else row["part"]
    if parts.classes:
        _add_classes(parts, by_id)
    if parts.boxes:
        _add_boxes(parts, by_id)
    for predicted, name in _paired({one.id: one for one in parts.maps}, by_id):
        by_id[name].map = predicted
        by_id[name].text = "predicted label map"
    _add_scores(parts, by_id)
    return list(by_id.values())


def _paired(predictions: dict, by_id: dict) -> list[tuple]:
    pairs = pair(predictions, by_id) if predictions else {}
    return [(predictions[name], case) for name, case in pairs.items()]


def _read(texts: list[str], kind):
    from mrilib.evaluation.tables import read

    values = kind()
    for text in texts:
        read(text, "the table of predictions", values)
    return values


def _add_classes(parts: Experiment, by_id: dict[str, Judged]) -> None:
    from mrilib.evaluation.tables import ClassTable

    values = _read(parts.classes, ClassTable)
    for (predicted, probabilities), name in _paired(values.of, by_id):
        one, probability = by_id[name], probabilities.get(predicted)
        true = one.case.class_name
        one.row |= {"predicted": predicted, "probability": probability}
        one.text = f"{true or '?'}: predicted {predicted}" + ("" if probability is None else f" {probability:.2f}")
        if true is not None:
            one.wrong = true != predicted
            one.goodness = probabilities.get(true, float(not one.wrong))
            one.row["correct"] = "no" if one.wrong else "yes"


def _add_boxes(parts: Experiment, by_id: dict[str, Judged]) -> None:
    from mrilib.drawing.boxes import matched
    from mrilib.evaluation.metrics import boxes as metrics
    from mrilib.evaluation.tables import Boxes

    values = _read(parts.boxes, Boxes)
    predictions = {name: (name, boxes) for name, boxes in values.of.items()}
    of = {case: boxes for (_, boxes), case in _paired(predictions, by_id)}
    kinds = sorted({box[4] or "" for one in by_id.values() for box in one.case.boxes})
    told_apart = kinds if len(kinds) > 1 and {box[4] for boxes in of.values() for box in boxes} - {""} else []
    for name, one in by_id.items():
        predicted = sorted(of.get(name, []), key=lambda box: -box[5])
        if not predicted and not metrics.to_find(one.case.boxes):
            continue
        verdicts, taken = matched(predicted, one.case.boxes, told_apart)
        missed = [not is_taken and not metrics.mark_of(box)
                  for box, is_taken in zip(one.case.boxes, taken, strict=True)]
        one.boxes = [(*box[:4], "missed" if is_missed else "reference")
                     for box, is_missed in zip(one.case.boxes, missed, strict=True)]
        one.boxes += [(*box[:4], verdict) for box, verdict in zip(predicted, verdicts, strict=True)]
        false = [box for box, verdict in zip(predicted, verdicts, strict=True) if verdict == "false"]
        overlap = metrics.top_iou(predicted, one.case.boxes) if metrics.to_find(one.case.boxes) else None
        one.row |= {"boxes": len(predicted), "hits": verdicts.count("hit"), "missed": sum(missed), "false": len(false),
                    "IoU": None if overlap is None or np.isnan(overlap) else float(overlap)}
        one.text = f"{sum(missed)} missed, {len(false)} false of {len(predicted)} predicted"
        one.wrong = bool(sum(missed) or any(box[5] >= 0.5 for box in false))
        one.goodness = -float(sum(missed)) - (false[0][5] if false else 0.0)


def _add_scores(parts: Experiment, by_id: dict[str, Judged]) -> None:
    """The metrics of single cases from mri-score's tables of label maps."""
    of: dict[str, list[float]] = {}
    several = len({row.get("submission") for text in parts.scores.values() for row in _rows(text)}) > 1
    for text in parts.scores.values():
        for row in _rows(text):
            if not (row.get("metric") and row.get("case") in by_id and row.get("part")) or row["metric"][:2] == "p ":
                continue
            name = " ".join(filter(None, (row["metric"].replace("_", " "), row["part"],
                                          row.get("submission") if several else "")))
            value = float(row["value"]) if row["value"] else None
            by_id[row["case"]].row[name] = value
            if row["metric"] in MEAN and value is not None:
                of.setdefault(row["case"], []).append(value)
    for name, values in of.items():
        one = by_id[name]
        one.goodness = sum(values) / len(values)
        one.wrong = one.goodness < 0.5
        one.text = f"mean Dice {one.goodness:.3f}"


def _rows(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text, newline="")))
