"""Figures of label maps as rows: CSV, JSON, or a table to read."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass

from mrilib.errors import UsageError
from mrilib.records import csv_text

COLUMNS = ("metric", "part", "value", "low", "high", "unit", "n", "cases", "level", "resamples", "seed", "resampled",
           "case", "sd", "median", "q1", "q3", "both_empty", "one_empty", "missing", "rules")


@dataclass(frozen=True)
class About:
    """What a table must say of itself. missing: how many cases have no prediction."""

    rules: object
    allow_missing: bool
    missing: int
    level: float
    resamples: int
    seed: int

    def text(self) -> str:
        empty = {"worst": "both empty 1, one empty 0", "skip": "empty left out", "nan": "empty undefined"}
        missing = "left out" if self.allow_missing else "worst value"
        return f"scheme {self.rules.scheme}; {empty[self.rules.empty]}; missing: {missing}"


def case_rows(results: dict) -> list[dict]:
    """A row for each case, part and figure."""
    return [{"metric": metric, "part": part, "value": value, "unit": _unit(metric), "case": name, **_state(figures)}
            for name, one in results.items() for part, figures in one.parts.items()
            for metric, value in figures.items() if metric != "state"]


def _state(figures: dict) -> dict:
    state = figures["state"]
    one = state in ("reference_empty", "prediction_empty")
    return {"both_empty": int(state == "both_empty"), "one_empty": int(one), "missing": int(state == "missing")}


def _unit(metric: str) -> str:
    from mrilib.metrics.segmentation import known

    return known(metric).unit


def summary_rows(results: dict, units, resampled: str, cases: str, about: About) -> list[dict]:
    """A row for each figure and part over all cases. units: (n,) what the bootstrap draws."""
    import numpy as np

    from mrilib.metrics.summary import SPREAD, summary

    first = next(iter(results.values()))
    places = [(part, metric) for part, figures in first.parts.items() for metric in figures if metric != "state"]
    values = np.array([[one.parts[part][metric] for part, metric in places] for one in results.values()])
    made = summary(values, units, skip_nan=about.rules.empty != "nan", level=about.level, count=about.resamples,
                   seed=about.seed)
    counted = {part: [_state(one.parts[part]) for one in results.values()] for part in first.parts}
    rows = []
    for i, (part, metric) in enumerate(places):
        states = {name: sum(state[name] for state in counted[part]) for name in ("both_empty", "one_empty")}
        rows.append({"metric": metric, "part": part, "value": float(made["mean"][i]), "low": float(made["low"][i]),
                     "high": float(made["high"][i]), "unit": _unit(metric), "n": int(made["n"][i]), "cases": cases,
                     "level": about.level, "resamples": about.resamples, "seed": about.seed, "resampled": resampled,
                     **{name: float(made[name][i]) for name in SPREAD}, **states, "missing": about.missing,
                     "rules": about.text()})
    order = list(dict.fromkeys(metric for _, metric in places))
    return sorted(rows, key=lambda row: order.index(row["metric"]))


def _text(value) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def as_csv(table: list[dict]) -> str:
    return csv_text([COLUMNS, *([_text(row.get(c)) for c in COLUMNS] for row in table)])


def case_table(results: dict) -> str:
    """CSV with a row for each case and part: case,part,<figures>,state,seen,problem."""
    first = next(iter(next(iter(results.values())).parts.values()))
    names = [name for name in first if name != "state"]
    rows = [["case", "part", *names, "state", "seen", "problem"]]
    for name, one in results.items():
        for part, figures in one.parts.items():
            rows.append([name, part, *(_text(figures[n]) for n in names), figures["state"], one.seen,
                         one.error.what if one.error is not None else ""])
    return csv_text(rows)


def as_json(table: list[dict], results: dict, missing: list[str], about: About) -> str:
    def plain(value):
        return None if isinstance(value, float) and not math.isfinite(value) else value

    cases = {name: {part: {key: plain(value) for key, value in figures.items()} for part, figures in one.parts.items()}
             for name, one in results.items()}
    figures = [{key: plain(value) for key, value in row.items()} for row in table]
    problems = {name: str(one.error) for name, one in results.items() if one.error is not None}
    seen = {name: one.seen for name, one in results.items() if one.seen}
    return json.dumps({"rules": about.text(), "figures": figures, "cases": cases, "missing": missing,
                       "problems": problems, "seen": seen}, indent=1, allow_nan=False) + "\n"


def show(table: list[dict], about: About, write) -> None:
    """A table for a person: a line for each figure and part."""
    import os
    import shutil

    from rich.console import Console
    from rich.table import Table

    console = Console(file=io.StringIO(), force_terminal="NO_COLOR" not in os.environ,
                      width=shutil.get_terminal_size((100, 24)).columns)
    for cases in dict.fromkeys(row["cases"] for row in table):
        mine = [row for row in table if row["cases"] == cases]
        first = mine[0]
        title = "all cases" if cases == "all" else "cases the model never saw"
        shown = Table(title=title, caption=f"{about.text()}; {first['level']:g} % interval of the mean: BCa bootstrap, "
                      f"{first['resamples']} resamples by {first['resampled']}, seed {first['seed']}")
        for name in ("figure", "part", "mean", f"{first['level']:g} % interval", "sd", "median", "quartiles", "cases",
                     "empty: both", "one"):
            shown.add_column(name, justify="left" if name in ("figure", "part") else "right")
        last = None
        for row in mine:
            shown.add_section() if last not in (None, row["metric"]) else None
            name = row["metric"].replace("_", " ") + (f" ({row['unit']})" if row["unit"] else "")
            shown.add_row(name if row["metric"] != last else "", row["part"], _short(row["value"]),
                          f"{_short(row['low'])} to {_short(row['high'])}" if not math.isnan(row["low"]) else "",
                          _short(row["sd"]), _short(row["median"]), f"{_short(row['q1'])} to {_short(row['q3'])}",
                          str(row["n"]), str(row["both_empty"]), str(row["one_empty"]))
            last = row["metric"]
        console.print(shown)
    write(console.file.getvalue())


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(
        value) < 1000 else f"{value:.0f}"


def limit(text: str) -> tuple[str, float]:
    """METRIC=VALUE of --fail-under. Raises UsageError for another form or an unknown metric."""
    from mrilib.metrics.segmentation import OVERLAP

    name, _, value = text.partition("=")
    if name not in OVERLAP:
        raise UsageError(f"--fail-under {text}: unknown figure", remedy=f"known: {' '.join(OVERLAP)}")
    try:
        return name, float(value)
    except ValueError as error:
        raise UsageError(f"--fail-under {text}: not METRIC=VALUE", remedy="such as dice=0.8") from error


def below(table: list[dict], limits: dict[str, float]) -> list[str]:
    """A line for each mean of all cases under its limit; one that is undefined is under it."""
    return [f"{name} of {row['part']} is {_text(row['value']) or 'undefined'}, under {least:g}"
            for name, least in limits.items() for row in table
            if row["metric"] == name and row["cases"] == "all" and not row["value"] >= least]
