"""Which charts the rows of a table of mri-score make."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import numpy as np

from mrilib.drawing import charts
from mrilib.errors import CaseError

FROC = "sensitivity_at_"  # false boxes a case
SHOWN = ("dice", "hd95", "nsd_1mm", "lesion_dice")  # box plots, of those that the table has
STARTS = ("metric,", "case,reference,prediction", "submission,case,reference,prediction")
ROC = "ROC, with the area under the curve"


def is_scores(text: str) -> bool:
    """Whether a table is mri-score's: of metrics, or of cases as --per-case writes it for classes."""
    return text.startswith(STARTS)


def charts_of(text: str) -> list[Callable]:
    """The charts that a table of mri-score makes, each a function of the axes to draw on.

    Raises CaseError when the table holds nothing to draw.
    """
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    if text.startswith("metric,"):
        plots = _of_maps(rows) + _of_counts(rows) + _of_boxes(rows)
    else:
        plots = _of_classes(rows)
    if not plots:
        raise CaseError("nothing to show (the table has no row that makes a chart)",
                        remedy="give mri-score's table of metrics; of classes --per-case's for the ROC")
    return plots


def _number(text: str | None) -> float:
    return float(text) if text else math.nan


def _titled(title: str, submission: str | None) -> str:
    return f"{title}, {submission}" if submission else title


def _of_maps(rows: list[dict]) -> list[Callable]:
    """Box plots of the metrics of cases, and Bland-Altman of the volumes of each part."""
    cases = [row for row in rows if row.get("case") and row.get("part") and not row["metric"].startswith("p ")]
    several = len({row["submission"] for row in cases}) > 1
    plots: list[Callable] = []
    for metric in SHOWN:
        groups: dict[str, list[float]] = defaultdict(list)
        for row in cases:
            if row["metric"] == metric:
                name = f"{row['submission']} {row['part']}" if several else row["part"]
                groups[name].append(_number(row["value"]))
        if any(not math.isnan(value) for values in groups.values() for value in values):
            unit = next(row["unit"] for row in cases if row["metric"] == metric)
            plots.append(partial(charts.box_plot, title=metric.replace("_", " "), groups=groups, unit=unit))
    values = {(r["submission"], r["part"], r["case"], r["metric"]): _number(r["value"]) for r in cases}
    for submission, part in dict.fromkeys((row["submission"], row["part"]) for row in cases):
        names = [c for s, p, c, m in values if (s, p, m) == (submission, part, "volume")]
        predicted = [values[submission, part, name, "volume"] for name in names]
        reference = [values.get((submission, part, name, "reference_volume"), math.nan) for name in names]
        if any(not math.isnan(p + r) for p, r in zip(predicted, reference, strict=True)):
            title = f"volume of {part}{submission and f', {submission}'}: predicted - reference"
            plots.append(partial(charts.bland_altman, title=title, predicted=predicted, reference=reference,
                                 unit="mm3"))
    return plots


def _of_counts(rows: list[dict]) -> list[Callable]:
    """The confusion matrix of a table of classes, of each submission where there are several."""
    cells = [row for row in rows if row["metric"].startswith("predicted ") and row["cases"] == "all"]
    plots: list[Callable] = []
    for submission in dict.fromkeys(row.get("submission") for row in cells):
        own = [(row["class"], row["metric"].removeprefix("predicted "), float(row["value"]))
               for row in cells if row.get("submission") == submission]
        plots.append(_confusion(submission, own))
    return plots


def _confusion(submission: str | None, cells: list[tuple[str, str, float]], reference=(), predicted=()) -> Callable:
    """A confusion matrix of cells (reference class, predicted class, count). reference, predicted: the order of
    classes, by default that of the cells."""
    rows = list(reference or dict.fromkeys(cell[0] for cell in cells))
    columns = list(predicted or dict.fromkeys(cell[1] for cell in cells))
    counts = np.zeros((len(rows), len(columns)))
    for one, other, count in cells:
        counts[rows.index(one), columns.index(other)] += count
    title = _titled("confusion matrix", submission)
    return partial(charts.confusion, title=title, counts=counts, reference=rows, predicted=columns)


def _of_boxes(rows: list[dict]) -> list[Callable]:
    """The FROC of a table of boxes, a curve for each submission."""
    curves: dict[str, list] = defaultdict(list)
    for row in rows:
        if row["metric"].startswith(FROC) and row["cases"] == "all" and row["value"]:
            values = (_number(row[name]) for name in ("value", "low", "high"))
            curves[row.get("submission") or "mean"].append((float(row["metric"].removeprefix(FROC)), *values))
    return [partial(charts.froc, title="FROC, with its mean and intervals", curves=curves)] if curves else []


def _of_classes(rows: list[dict]) -> list[Callable]:
    """Confusion matrix and ROC of a table of cases; of several submissions a matrix each, and for two classes one ROC
    with a curve of each submission."""
    plots: list[Callable] = []
    together = {}
    for submission in dict.fromkeys(row.get("submission") for row in rows):
        own = [row for row in rows if row.get("submission") == submission]
        classes = sorted({row["reference"] for row in own})
        predicted = sorted({row["prediction"] for row in own if row["prediction"]} | set(classes))
        missing = ["nothing"] if any(not row["prediction"] for row in own) else []
        cells = [(row["reference"], row["prediction"] or "nothing", 1.0) for row in own]
        plots.append(_confusion(submission, cells, classes, [*predicted, *missing]))
        curves = _curves(own, classes)
        if submission and len(curves) == 1:
            together[submission] = next(iter(curves.values()))
        elif curves:
            plots.append(partial(charts.roc, title=_titled(ROC, submission), curves=curves))
    return plots + ([partial(charts.roc, title=ROC, curves=together)] if together else [])


def _curves(rows: list[dict], classes: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What makes a ROC: class -> (positive, score), of two classes the second alone."""
    curves = {}
    for name in classes:
        if not any(row.get(f"p_{name}") for row in rows):
            continue
        others = 1 / max(sum(column.startswith("p_") for column in rows[0]) - 1, 1)  # a missing one is wrong, as in AUC
        positive = np.array([row["reference"] == name for row in rows])
        score = np.array([float(row[f"p_{name}"] or (0 if is_it else others))
                          for row, is_it in zip(rows, positive, strict=True)])
        if positive.any() and not positive.all():
            curves[name] = positive, score
    if len(classes) == 2 and len(curves) == 2:
        curves.pop(classes[0])  # the mirror image of the other
    return curves
