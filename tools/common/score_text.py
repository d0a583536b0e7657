"""What every table of mri-score has in common: numbers as text, CSV, JSON, a terminal, limits on figures."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable

from mri_tools.cli.output import to_terminal, write
from mrilib.errors import UsageError
from mrilib.store import csv_text, write_text


def text_of(value) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def short(value: float) -> str:
    """A figure in as many digits as a person reads."""
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def as_csv(columns: Iterable[str], table: list[dict]) -> str:
    columns = list(columns)
    return csv_text([columns, *([text_of(row.get(c)) for c in columns] for row in table)])


def plain(value):
    """A value for JSON, in which numbers are finite."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(whole: dict) -> str:
    return json.dumps(plain(whole), indent=1, allow_nan=False) + "\n"


def console():
    """A terminal's width and colours, written to a text that is then given out whole."""
    import os
    import shutil

    from rich.console import Console

    return Console(file=io.StringIO(), force_terminal="NO_COLOR" not in os.environ, highlight=False,
                   width=shutil.get_terminal_size((100, 24)).columns)


def to_person(o) -> bool:
    """Whether the results are read by a person: on a terminal, with no file and no JSON asked for."""
    return not o.output and not o.as_json and to_terminal()


def give(text: str, o) -> None:
    """A table where the options want it."""
    if o.output:
        write_text(o.output, text)
    else:
        write(text)


def limits(asked: Iterable[str], figures: Iterable[str], such_as: str) -> dict[str, float]:
    """METRIC=VALUE of each --fail-under. Raises UsageError for another form or an unknown metric."""
    found = {}
    for text in asked:
        name, _, value = text.partition("=")
        if name not in figures:
            raise UsageError(f"--fail-under {text}: unknown figure", remedy=f"known: {' '.join(figures)}")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--fail-under {text}: not METRIC=VALUE", remedy=f"such as {such_as}") from error
    return found


def below(table: list[dict], least: dict[str, float], of: str) -> list[str]:
    """A line for each figure of all cases under its limit; one that is undefined is under it. of: the column that
    says what a figure is of, a part or a class."""
    lines = []
    for name, limit in least.items():
        for row in table:
            if row["metric"] == name and row["cases"] == "all" and not row["value"] >= limit:
                who = f"{row['submission']}: " if row.get("submission") else ""
                what = f" of {row[of]}" if row[of] else ""
                lines.append(f"{who}{name}{what} is {text_of(row['value']) or 'undefined'}, under {limit:g}")
    return lines
