"""What mri-score makes of matched classes: rows of figures with intervals, as CSV, JSON or a table to read."""

from __future__ import annotations

import io
import json
import math

from mri_tools.common.run import say
from mrilib.errors import UsageError
from mrilib.records import csv_text

COLUMNS = ("metric", "class", "value", "low", "high", "unit", "n", "cases", "level", "resamples", "seed", "resampled")
OVERALL = ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc", "kappa", "roc_auc_macro",
           "average_precision_macro", "log_loss", "brier", "calibration_error")
EACH = ("sensitivity", "specificity", "precision", "f1", "roc_auc", "average_precision")
OF_PROBABILITIES = {"roc_auc_macro", "average_precision_macro", "log_loss", "brier", "calibration_error", "roc_auc",
                    "average_precision"}
NO_INTERVAL = {"calibration_error"}  # resamples are less calibrated than the cases: 95 % held the truth 80 times of 100
POSITIVE = ("yes", "tumour", "tumor", "positive", "1", "malignant")


def positive_class(matched, chosen: str | None) -> str | None:
    """The class that sensitivity is about when there are two; None for more, or when no name tells (said)."""
    classes = matched.classes
    if chosen is not None and chosen not in classes:
        raise UsageError(f"--positive {chosen} is none of the classes {' '.join(classes)}")
    if chosen is not None and len(classes) != 2:
        raise UsageError(f"--positive has no effect with {len(classes)} classes", remedy="each has its own figures")
    if chosen is None and len(classes) == 2:
        named = [c for c in classes if c.lower() in POSITIVE]
        chosen = named[0] if len(named) == 1 else None
        if chosen is None:
            say(f"neither {classes[0]} nor {classes[1]} is plainly the class to be found: figures of both follow "
                "(--positive)")
    return chosen


def check_limits(limits: dict[str, float], matched) -> None:
    """Raises UsageError for a limit on a figure that these predictions do not have."""
    for name in limits:
        if name in OF_PROBABILITIES and matched.probability is None:
            raise UsageError(f"--fail-under {name}: needs probabilities, which the table lacks")
        if name in ("roc_auc_macro", "average_precision_macro") and len(matched.classes) < 3:
            raise UsageError(f"--fail-under {name}: is for three classes and more")


def rows(matched, units, positive: str | None, cases: str, level: float, resamples: int, seed: int,
         resampled: str) -> list[dict]:
    """Every figure with its interval. units: (n,) group of each case; cases: `all` or `unseen`, for the table."""
    import numpy as np

    from mrilib.metrics.classes import all_figures, confusion
    from mrilib.metrics.statistics import bootstrap, wilson

    k = len(matched.classes)
    shown = [matched.classes.index(positive)] if positive else list(range(k))
    curves = shown if k == 2 else list(range(k))
    made = bootstrap(all_figures(matched.truth, matched.predicted, matched.probability, k, curves), units, level=level,
                     count=resamples, seed=seed)
    about = {"n": len(matched.ids), "cases": cases, "level": level, "resamples": resamples, "seed": seed,
             "resampled": resampled}
    # of how many units each share is one, where it is 0 or 1 in all resamples
    of = {"accuracy": lambda _: units >= 0, "sensitivity": lambda c: matched.truth == c,
          "specificity": lambda c: matched.truth != c, "precision": lambda c: matched.predicted == c}
    table = []
    for name in (name for name in (*OVERALL, *EACH) if name in made):
        overall = name in OVERALL
        for c in [0] if overall else shown:
            place = () if overall else (curves if name in OF_PROBABILITIES else range(k)).index(c)
            value, low, high = (float(v[place]) for v in made[name])
            if name in NO_INTERVAL:
                low = high = math.nan
            if name in of and value in (0, 1) and math.isnan(low):
                low, high = wilson(value, len(np.unique(units[of[name](c)])), level)
            times, unit = (100, "%") if name == "accuracy" else (1, "")
            table.append({"metric": name, "class": "" if overall else matched.classes[c], "value": value * times,
                          "low": low * times, "high": high * times, "unit": unit, **about})
    counts = confusion(matched.truth, matched.predicted, k)(np.ones((1, len(units))))[0]
    for i, true in enumerate(matched.classes):
        for j, called in enumerate([*matched.classes, "nothing"]):
            if called != "nothing" or counts[:, j].any():
                table.append({"metric": f"predicted {called}", "class": true, "value": float(counts[i, j]),
                              "unit": "cases", "n": about["n"], "cases": cases})
    return table


def _text(value) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def as_csv(table: list[dict]) -> str:
    return csv_text([COLUMNS, *([_text(row.get(c)) for c in COLUMNS] for row in table)])


def as_json(table: list[dict], missing: list[str], matched) -> str:
    def plain(value):
        return None if isinstance(value, float) and math.isnan(value) else value

    figures = [{key: plain(value) for key, value in row.items()} for row in table]
    seen = {name: part for name, part in zip(matched.ids, matched.seen, strict=True) if part}
    return json.dumps({"figures": figures, "missing": missing, "seen": seen}, indent=1, allow_nan=False) + "\n"


def show(table: list[dict], write) -> None:
    """Tables for a person: the figures with their intervals, then the confusion matrix."""
    import os
    import shutil

    from rich.console import Console
    from rich.table import Table

    console = Console(file=io.StringIO(), force_terminal="NO_COLOR" not in os.environ,
                      width=shutil.get_terminal_size((100, 24)).columns)
    for cases in dict.fromkeys(row["cases"] for row in table):
        mine = [row for row in table if row["cases"] == cases]
        first = mine[0]
        about = {"all": "", "unseen": " that the model has not seen (unseen)"}
        title = f"{first['n']} cases" + about.get(cases, f": {cases}")
        view = Table(title=title, caption=f"{first['level']:g} % interval: BCa bootstrap over each "
                                          f"{first['resampled']}, {first['resamples']} resamples, seed {first['seed']}")
        for name in ("figure", "class", "value", "low", "high"):
            view.add_column(name, justify="left" if name in ("figure", "class") else "right")
        for row in mine:
            if "low" in row:
                places = 1 if row["unit"] == "%" else 3
                numbers = ["–" if math.isnan(row[c]) else f"{row[c]:.{places}f}" for c in ("value", "low", "high")]
                unit = " %" if row["unit"] == "%" else ""
                view.add_row(row["metric"].replace("_", " "), row["class"], numbers[0] + unit, *numbers[1:])
        console.print(view)
        cells = [row for row in mine if row["metric"].startswith("predicted ")]
        if not cells:
            continue
        matrix = Table(title="true class, by predicted class")
        matrix.add_column("")
        for called in dict.fromkeys(row["metric"] for row in cells):
            matrix.add_column(called, justify="right")
        for true in dict.fromkeys(row["class"] for row in cells):
            matrix.add_row(true, *(f"{row['value']:.0f}" for row in cells if row["class"] == true))
        console.print(matrix)
    write(console.file.getvalue())


def limit(text: str) -> tuple[str, float]:
    """METRIC=VALUE of --fail-under. Raises UsageError for another form or an unknown metric."""
    name, _, value = text.partition("=")
    if name not in (*OVERALL, *EACH):
        raise UsageError(f"--fail-under {text}: unknown figure", remedy=f"known: {' '.join((*OVERALL, *EACH))}")
    try:
        return name, float(value)
    except ValueError as error:
        raise UsageError(f"--fail-under {text}: not METRIC=VALUE", remedy="such as accuracy=90") from error


def below(table: list[dict], limits: dict[str, float]) -> list[str]:
    """A line for each figure of all cases under its limit; one that is undefined is under it."""
    lines = []
    for name, least in limits.items():
        mine = [row for row in table if row["metric"] == name and row["cases"] == "all"]
        lines += [f"{name}{row['class'] and ' of '}{row['class']} is {_text(row['value']) or 'undefined'}, "
                  f"under {least:g}" for row in mine if not row["value"] >= least]
    return lines


def case_table(matched) -> str:
    """CSV case,reference,prediction,correct[,p_…],seen of every case."""
    with_p = matched.probability is not None
    rows = [["case", "reference", "prediction", "correct", *(f"p_{c}" for c in matched.classes if with_p), "seen"]]
    for i, name in enumerate(matched.ids):
        true, called = int(matched.truth[i]), int(matched.predicted[i])
        given = with_p and called >= 0
        rows.append([name, matched.classes[true], matched.classes[called] if called >= 0 else "", int(true == called),
                     *([f"{p:.6f}" for p in matched.probability[i]] if given else [""] * (with_p and len(
                         matched.classes))), matched.seen[i]])
    return csv_text(rows)
