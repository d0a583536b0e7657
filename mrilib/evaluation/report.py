"""Scores as text: CSV, JSON, and tables for a person."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable

from mrilib.errors import UsageError
from mrilib.store import csv_text


def text_of(value) -> str:
    """A value as a field of a CSV; an undefined number is empty."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def short(value: float) -> str:
    """A number in as many digits as a person reads."""
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def csv_of(rows: list[list]) -> str:
    """Rows of values as CSV."""
    return csv_text([[text_of(value) for value in row] for row in rows])


def as_csv(columns: Iterable[str], rows: list[dict]) -> str:
    """Rows by column as CSV, with a header."""
    columns = list(columns)
    return csv_of([columns, *([row.get(column) for column in columns] for row in rows)])


def as_json(whole: dict) -> str:
    """JSON in which numbers that are not finite are null."""
    return json.dumps(_finite(whole), indent=1, allow_nan=False) + "\n"


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def drawn(tables: list, styled: bool = True) -> str:
    """Tables of rich as text as wide as the terminal. styled: with bold letters and colours, unless NO_COLOR is set."""
    import os
    import shutil

    from rich.console import Console

    screen = Console(file=io.StringIO(), force_terminal=styled and "NO_COLOR" not in os.environ, highlight=False,
                     width=shutil.get_terminal_size((100, 24)).columns)
    for one in tables:
        screen.print(one)
    return screen.file.getvalue()


def table(title: str, columns: Iterable[str], caption: str | None = None):
    """An empty table of rich; the columns of names are aligned left, those of numbers right."""
    from rich.table import Table

    empty = Table(title=title, caption=caption)
    for name in columns:
        empty.add_column(name, justify="left" if name in ("metric", "part", "class", "submission", "") else "right")
    return empty


def limits(asked: Iterable[str], metrics: Iterable[str], example: str) -> dict[str, float]:
    """METRIC=VALUE of each --fail-under. Raises UsageError for another form or an unknown metric."""
    least, metrics = {}, list(metrics)
    for text in asked:
        name, _, value = text.partition("=")
        if name not in metrics:
            raise UsageError(f"--fail-under {text}: unknown metric", remedy=f"known: {' '.join(metrics)}")
        try:
            least[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--fail-under {text}: not METRIC=VALUE", remedy=f"such as {example}") from error
    return least


def below(rows: list[dict], least: dict[str, float], of: str) -> list[str]:
    """A line for each metric of all cases under its limit; an undefined one is under it. of: the column that tells what
    a metric is of, a part or a class. Of a metric with a mean over the classes, the mean alone counts."""
    lines = []
    for name, limit in least.items():
        own = [row for row in rows if row["metric"] == name and row["cases"] == "all"]
        for row in [row for row in own if not row[of]] or own:
            if not row["value"] >= limit:
                who = f"{row['submission']}: " if row.get("submission") else ""
                what = f" of {row[of]}" if row[of] else ""
                lines.append(f"{who}{name}{what} is {text_of(row['value']) or 'undefined'}, under {limit:g}")
    return lines


def leaderboard(board: list[dict]):
    """The leaderboard as a table of rich: places with their intervals, and the test against the next one."""
    places = [row for row in board if row["metric"] == "place"]
    of = {(row["metric"], row["submission"]): row["value"] for row in board if "against" not in row}
    first, pairs = places[0], [row for row in board if "against" in row]
    tests = {frozenset((row["submission"], row["against"])): row["value"] for row in pairs
             if (row["metric"], row.get("part")) == (pairs[0]["metric"], pairs[0].get("part"))}
    columns = ("place", "submission", "mean rank", f"{first['level']:g} % of places", "first in", "missing",
               f"{pairs[0]['metric']}, to the next")
    shown = table("leaderboard", columns, f"{first['rules']}; places of {first['resamples']} bootstrap resamples by "
                  f"{first['resampled']}, seed {first['seed']}")
    for row, after in zip(places, [*places[1:], None], strict=True):
        name = row["submission"]
        p = tests[frozenset((name, after["submission"]))] if after else None
        shown.add_row(f"{row['value']:.0f}", name, short(of["rank", name]), f"{row['low']:.0f} to {row['high']:.0f}",
                      f"{100 * of['first', name]:.0f} %", str(row["missing"]),
                      "" if p is None else "< 0.001" if p < 0.001 else text_of(round(p, 3)))
    return shown


def sets_of(rows: list[dict]) -> list[tuple[str | None, str, list[dict]]]:
    """(submission, set of cases, its rows) of rows, in order."""
    keys = dict.fromkeys((row.get("submission"), row["cases"]) for row in rows)
    return [(*key, [row for row in rows if (row.get("submission"), row["cases"]) == key]) for key in keys]


def tables_of(rows: list[dict]) -> list:
    """Metrics of all cases together as tables of rich: one for each submission and set of cases."""
    tables = []
    for submission, cases, own in sets_of(rows):
        first = own[0]
        about = {"all": "", "unseen": " that the model has not seen (unseen)"}
        title = f"{submission + ': ' if submission else ''}{first['n']} cases{about.get(cases, f': {cases}')}"
        tables.append(table(title, ("metric", "class", "value", "low", "high"),
                            f"{first['level']:g} % interval: BCa bootstrap over each {first['resampled']}, "
                            f"{first['resamples']} resamples, seed {first['seed']}"))
        for row in own:
            if "low" in row:
                places = 1 if row["unit"] == "%" else 3
                numbers = ["–" if math.isnan(row[c]) else f"{row[c]:.{places}f}" for c in ("value", "low", "high")]
                unit = " %" if row["unit"] == "%" else ""
                tables[-1].add_row(row["metric"].replace("_", " "), row["class"], numbers[0] + unit, *numbers[1:])
    return tables


def confusion(rows: list[dict]):
    """The rows `predicted <class>` of one set of cases as a confusion matrix; None without any."""
    cells = [row for row in rows if row["metric"].startswith("predicted ")]
    if not cells:
        return None
    matrix = table("true class, by predicted class", ["", *dict.fromkeys(row["metric"] for row in cells)])
    for true in dict.fromkeys(row["class"] for row in cells):
        matrix.add_row(true, *(f"{row['value']:.0f}" for row in cells if row["class"] == true))
    return matrix
