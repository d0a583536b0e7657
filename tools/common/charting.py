"""mri-view of a table of mri-score: which charts its rows make."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from mrilib.errors import CaseError

FROC = "sensitivity_at_"  # false boxes a case
SHOWN = ("dice", "hd95", "nsd_1mm", "lesion_dice")  # box plots, of those that the table has
OF_SCORES = ("metric,", "case,reference,prediction", "submission,case,reference,prediction")


def is_scores(text: str) -> bool:
    """Whether a table is mri-score's: of figures, or of cases as --per-case writes it for classes."""
    return text.startswith(OF_SCORES)


def draw(text: str, output: Path) -> int:
    """Draw the charts of a table of mri-score; returns how many. Raises CaseError when it holds nothing to draw."""
    from PIL import Image as Picture

    from mrilib.store import whole
    from mrilib.view import charts

    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    if not text.startswith("metric,"):
        made = _of_classes(rows)
    else:
        made = _of_maps(rows) + _of_counts(rows) + _of_boxes(rows)
    if not made:
        raise CaseError("nothing to show (the table has no row that makes a chart)",
                        remedy="give mri-score's table of figures; of classes --per-case's for the ROC")
    with whole(output, suffix=".png") as temporary:
        Picture.fromarray(charts.sheet(made)).save(temporary)
    return len(made)


def _number(text: str | None) -> float:
    return float(text) if text else math.nan


def _of_maps(rows: list[dict]) -> list:
    """Box plots of the figures of cases, Bland-Altman of the volumes of each part."""
    from mrilib.view import charts

    cases = [row for row in rows if row.get("case") and row.get("part") and not row["metric"].startswith("p ")]
    many = len({row["submission"] for row in cases}) > 1
    made = []
    for metric in SHOWN:
        groups: dict[str, list[float]] = {}
        for row in cases:
            if row["metric"] == metric:
                name = f"{row['submission']} {row['part']}" if many else row["part"]
                groups.setdefault(name, []).append(_number(row["value"]))
        if any(not math.isnan(v) for values in groups.values() for v in values):
            unit = next(row["unit"] for row in cases if row["metric"] == metric)
            made.append(charts.box_plot(metric.replace("_", " "), groups, unit))
    of = {(r["submission"], r["part"], r["case"], r["metric"]): _number(r["value"]) for r in cases}
    for submission, part in dict.fromkeys((row["submission"], row["part"]) for row in cases):
        names = [c for s, p, c, m in of if (s, p, m) == (submission, part, "volume")]
        volumes = [of[submission, part, name, "volume"] for name in names]
        truth = [of.get((submission, part, name, "reference_volume"), math.nan) for name in names]
        if any(not math.isnan(v + t) for v, t in zip(volumes, truth, strict=True)):
            title = f"volume of {part}{submission and f', {submission}'}: predicted - reference"
            made.append(charts.bland_altman(title, volumes, truth, "mm3"))
    return made


def _of_counts(rows: list[dict]) -> list:
    """The confusion matrix of a table of classes, of each submission where there are several."""
    import numpy as np

    from mrilib.view import charts

    every = [r for r in rows if r["metric"].startswith("predicted ") and r["cases"] == "all"]
    made = []
    for submission in dict.fromkeys(r.get("submission") for r in every):
        cells = [r for r in every if r.get("submission") == submission]
        true = list(dict.fromkeys(r["class"] for r in cells))
        called = list(dict.fromkeys(r["metric"].removeprefix("predicted ") for r in cells))
        counts = np.zeros((len(true), len(called)))
        for r in cells:
            counts[true.index(r["class"]), called.index(r["metric"].removeprefix("predicted "))] = float(r["value"])
        made.append(charts.confusion(_titled("confusion matrix", submission), counts, true, called))
    return made


def _titled(title: str, submission: str | None) -> str:
    return f"{title}, {submission}" if submission else title


def _of_boxes(rows: list[dict]) -> list:
    """The FROC of a table of boxes, a curve for each submission."""
    from mrilib.view import charts

    curves: dict[str, list] = {}
    for r in rows:
        if r["metric"].startswith(FROC) and r["cases"] == "all" and r["value"]:
            point = (float(r["metric"].removeprefix(FROC)), *(_number(r[name]) for name in ("value", "low", "high")))
            curves.setdefault(r.get("submission") or "mean", []).append(point)
    return [charts.froc("FROC, with its mean and intervals", curves)] if curves else []


def _of_classes(rows: list[dict]) -> list:
    """Confusion matrix and ROC of the cases of a table of classes; of several submissions a matrix each, and of two
    classes a curve each in one ROC."""
    from mrilib.view import charts

    made, together = [], {}
    for submission in dict.fromkeys(r.get("submission") for r in rows):
        matrix, curves = _of_submission([r for r in rows if r.get("submission") == submission], submission)
        made.append(matrix)
        if submission and len(curves) == 1:
            together[submission] = next(iter(curves.values()))
        elif curves:
            made.append(charts.roc(_titled("ROC, with the area under the curve", submission), curves))
    return made + ([charts.roc("ROC, with the area under the curve", together)] if together else [])


def _of_submission(rows: list[dict], submission: str | None):
    """The confusion matrix, and what makes a ROC: class -> (positive, score), of two classes the second alone."""
    import numpy as np

    from mrilib.view import charts

    true = sorted({r["reference"] for r in rows})
    called = [*sorted({r["prediction"] for r in rows if r["prediction"]} | set(true)),
              *(["nothing"] if any(not r["prediction"] for r in rows) else [])]
    counts = np.zeros((len(true), len(called)))
    for r in rows:
        counts[true.index(r["reference"]), called.index(r["prediction"] or "nothing")] += 1
    curves = {}
    for name in true:
        if not any(r.get(f"p_{name}") for r in rows):
            continue
        others = 1 / max(sum(column.startswith("p_") for column in rows[0]) - 1, 1)  # a missing one is wrong, as in AUC
        given = [(r["reference"] == name, float(r[f"p_{name}"] or (0 if r["reference"] == name else others)))
                 for r in rows]
        if 0 < sum(positive for positive, _ in given) < len(given):
            curves[name] = tuple(np.array(v) for v in zip(*given, strict=True))
    if len(true) == 2 and len(curves) == 2:
        curves.pop(true[0])  # the other one mirrored
    return charts.confusion(_titled("confusion matrix", submission), counts, true, called), curves
