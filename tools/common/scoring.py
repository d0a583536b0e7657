"""What mri-score makes of matched classes: rows of figures with intervals, as CSV, JSON or a table to read."""

from __future__ import annotations

import csv
import io
import json
import math

COLUMNS = ("metric", "class", "value", "low", "high", "unit", "n", "cases", "level", "resamples", "seed", "resampled")
OVERALL = ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc", "kappa", "log_loss", "brier",
           "calibration_error")
EACH = ("sensitivity", "specificity", "precision", "f1", "roc_auc", "average_precision")
SHARES = ("accuracy", "sensitivity", "specificity", "precision")
POSITIVE = ("yes", "tumour", "tumor", "positive", "1", "malignant")


def positive_class(classes: list[str], chosen: str | None) -> str | None:
    """The class that sensitivity is about when there are two; None for more, or when no name tells."""
    from mrilib.errors import UsageError

    if chosen is not None and chosen not in classes:
        raise UsageError(f"--positive {chosen} is none of the classes {' '.join(classes)}")
    if chosen is not None or len(classes) != 2:
        return chosen
    named = [c for c in classes if c.lower() in POSITIVE]
    return named[0] if len(named) == 1 else None


def rows(matched, units, positive: str | None, cases: str, level: float, resamples: int, seed: int,
         resampled: str) -> list[dict]:
    """Every figure with its interval. units: (n,) group of each case; cases: `all` or `unseen`, for the table."""
    import numpy as np

    from mrilib.metrics.classes import all_figures, confusion
    from mrilib.metrics.statistics import bootstrap, wilson

    k = len(matched.classes)
    shown = [matched.classes.index(positive)] if positive else list(range(k))

    def figures(weights):
        found = all_figures(matched.truth, matched.predicted, matched.probability, weights, k, shown)
        return {name: v[:, shown] if v.ndim == 2 and v.shape[1] == k else v for name, v in found.items()}

    made = bootstrap(figures, units, level=level, count=resamples, seed=seed)
    groups = len(np.unique(units))
    about = {"n": len(matched.ids), "cases": cases, "level": level, "resamples": resamples, "seed": seed,
             "resampled": resampled}
    table = []
    for name in (*OVERALL, *EACH):
        if name not in made:
            continue
        values, lows, highs = (np.atleast_1d(v) for v in made[name])
        names = [""] if name in OVERALL else [matched.classes[i] for i in shown]
        for kind, value, low, high in zip(names, values, lows, highs, strict=True):
            if name in SHARES and value in (0, 1) and low == high:  # nothing varied: that is no certainty
                low, high = wilson(float(value), groups, level)
            times, unit = (100, "%") if name == "accuracy" else (1, "")
            table.append({"metric": name, "class": kind, "value": value * times, "low": low * times,
                          "high": high * times, "unit": unit, **about})
    counts = confusion(matched.truth, matched.predicted, np.ones((1, len(units))), k)[0]
    for i, true in enumerate(matched.classes):
        for j, called in enumerate([*matched.classes, "nothing"]):
            if called != "nothing" or counts[:, j].any():
                table.append({"metric": f"predicted {called}", "class": true, "value": counts[i, j], "unit": "cases",
                              **{key: about[key] for key in ("n", "cases")}})
    return table


def _text(value) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def as_csv(table: list[dict]) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(COLUMNS)
    out.writerows([_text(float(v) if hasattr(v := row.get(c), "dtype") else v) for c in COLUMNS] for row in table)
    return text.getvalue()


def as_json(table: list[dict], missing: list[str], seen: list[str]) -> str:
    def plain(value):
        value = float(value) if hasattr(value, "dtype") else value
        return None if isinstance(value, float) and math.isnan(value) else value

    figures = [{key: plain(value) for key, value in row.items()} for row in table]
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
        title = f"{first['n']} cases" + ("" if cases == "all" else f" that the model has not seen ({cases})")
        view = Table(title=title, caption=f"{first['level']:g} % interval: percentile bootstrap over each "
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
    from mrilib.errors import UsageError

    name, _, value = text.partition("=")
    if name not in (*OVERALL, *EACH):
        raise UsageError(f"--fail-under {text}: unknown figure", remedy=f"known: {' '.join((*OVERALL, *EACH))}")
    try:
        return name, float(value)
    except ValueError as error:
        raise UsageError(f"--fail-under {text}: not METRIC=VALUE", remedy="such as accuracy=90") from error


def below(table: list[dict], limits: dict[str, float]) -> list[str]:
    """A line for each figure under its limit; one that is undefined is under it."""
    from mrilib.errors import UsageError

    lines = []
    for name, least in limits.items():
        mine = [row for row in table if row["metric"] == name and row["cases"] == "all"]
        if not mine:
            raise UsageError(f"--fail-under {name}: needs probabilities, which the table lacks")
        lines += [f"{name}{row['class'] and ' of '}{row['class']} is {_text(float(row['value'])) or 'undefined'}, "
                  f"under {least:g}" for row in mine if not row["value"] >= least]
    return lines


def case_table(matched) -> str:
    """CSV case,truth,prediction,right[,p_…],seen of every case."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    with_p = matched.probability is not None
    out.writerow(["case", "truth", "prediction", "right", *(f"p_{c}" for c in matched.classes if with_p), "seen"])
    for i, name in enumerate(matched.ids):
        true, called = int(matched.truth[i]), int(matched.predicted[i])
        out.writerow([name, matched.classes[true], matched.classes[called] if called >= 0 else "", int(true == called),
                      *([f"{p:.6f}" for p in matched.probability[i]] if with_p else ()), matched.seen[i]])
    return text.getvalue()
