"""Figures of label maps as rows: CSV, JSON, or a table to read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mri_tools.common import score_text
from mri_tools.common.score_text import console, short, text_of
from mrilib.store import csv_text

COLUMNS = ("metric", "part", "value", "low", "high", "unit", "n", "cases", "level", "resamples", "seed", "resampled",
           "case", "sd", "median", "q1", "q3", "both_empty", "one_empty", "missing", "submission", "rules", "against")


@dataclass(frozen=True)
class About:
    """What a table must say of itself."""

    rules: object
    figures: tuple[str, ...]
    allow_missing: bool
    level: float
    resamples: int
    seed: int

    def text(self) -> str:
        settings = self.rules.settings
        empty = {"worst": "both empty 1, one empty 0", "skip": "empty left out", "nan": "empty undefined"}
        said = [f"scheme {self.rules.scheme}", empty[settings.empty],
                f"missing: {'left out' if self.allow_missing else 'worst value'}"]
        if settings.surfaces:
            said.append(f"hd95 {settings.hd95}")
        if settings.lesions is not None and any(name.startswith("lesion") for name in self.figures):
            rule = settings.lesions
            said.append(f"lesions: {rule.connectivity} neighbours, dilation {rule.dilation}, over {rule.min_volume:g} "
                        f"mm3, penalty {rule.penalty:g} mm")
        return "; ".join(said)


def unit_of(metric: str) -> str:
    from mrilib.evaluation.metrics.segmentation import known

    return known(metric).unit


def case_rows(entry, about: About, several: bool) -> list[dict]:
    """A row for each case, part and figure."""
    units = {name: unit_of(name) for name in about.figures}
    named = {"submission": entry.name} if several else {}
    return [{"metric": metric, "part": part, "value": figures[metric], "unit": units[metric], "case": name,
             **_state(figures), **named}
            for name, one in entry.results.items() for part, figures in one.parts.items() for metric in about.figures]


def _state(figures: dict) -> dict:
    state = figures["state"]
    one = state in ("reference_empty", "prediction_empty")
    return {"both_empty": int(state == "both_empty"), "one_empty": int(one), "missing": int(state == "missing")}


def summary_rows(results: dict, units, resampled: str, cases: str, about: About, missing: int) -> list[dict]:
    """A row for each figure and part over these cases. units: (n,) what the bootstrap draws."""
    import numpy as np

    from mrilib.evaluation.metrics.summary import SPREAD, summary

    parts = list(next(iter(results.values())).parts)
    places = [(metric, part) for metric in about.figures for part in parts]
    values = np.array([[one.parts[part][metric] for metric, part in places] for one in results.values()])
    made = summary(values, units, skip_nan=about.rules.settings.empty != "nan", level=about.level,
                   count=about.resamples, seed=about.seed)
    counted = {part: [_state(one.parts[part]) for one in results.values()] for part in parts}
    rows = []
    for i, (metric, part) in enumerate(places):
        states = {name: sum(state[name] for state in counted[part]) for name in ("both_empty", "one_empty")}
        rows.append({"metric": metric, "part": part, "value": float(made["mean"][i]), "low": float(made["low"][i]),
                     "high": float(made["high"][i]), "unit": unit_of(metric), "n": int(made["n"][i]), "cases": cases,
                     "level": about.level, "resamples": about.resamples, "seed": about.seed, "resampled": resampled,
                     **{name: float(made[name][i]) for name in SPREAD}, **states, "missing": missing,
                     "rules": about.text()})
    return rows


def case_table(entries: list, about: About, several: bool) -> str:
    """CSV with a row for each case and part: [submission,]case,part,<figures>,state,seen,problem."""
    rows = [[*(["submission"] * several), "case", "part", *about.figures, "state", "seen", "problem"]]
    for entry in entries:
        for name, one in entry.results.items():
            problem = one.error.what if one.error is not None else ""
            rows += [[*([entry.name] * several), name, part, *(text_of(figures[n]) for n in about.figures),
                      figures["state"], one.seen, problem] for part, figures in one.parts.items()]
    return csv_text(rows)


def as_json(entries: list, table: list[dict], board: list[dict], about: About) -> str:
    def of(entry):
        results = entry.results.items()
        return {
            "cases": {name: {part: {n: figures[n] for n in (*about.figures, "state")}
                             for part, figures in one.parts.items()} for name, one in results},
            "missing": entry.missing,
            "problems": {name: str(one.error) for name, one in results if one.error is not None},
            "seen": {name: one.seen for name, one in results if one.seen},
        }

    whole = {"rules": about.text(), "figures": table}
    if len(entries) == 1:
        whole |= of(entries[0])
    else:
        whole |= {"leaderboard": board, "submissions": {entry.name: of(entry) for entry in entries}}
    return score_text.as_json(whole)


def show(table: list[dict], about: About, write, several: bool) -> None:
    """A table for a person: a line for each figure and part; of several submissions one table each."""
    from rich.table import Table

    screen = console()
    for submission, cases in dict.fromkeys((row["submission"], row["cases"]) for row in table):
        mine = [row for row in table if (row["submission"], row["cases"]) == (submission, cases)]
        first = mine[0]
        title = {"all": "all cases", "unseen": "cases the model never saw"}.get(cases, cases)
        shown = Table(title=f"{submission}: {title}" if several else title,
                      caption=f"{about.text()}; {first['level']:g} % interval of the mean: BCa bootstrap, "
                      f"{first['resamples']} resamples by {first['resampled']}, seed {first['seed']} (up to 4: "
                      "Student's t); "
                      f"{first['missing']} missing")
        for name in ("figure", "part", "mean", f"{first['level']:g} % interval", "sd", "median", "quartiles", "cases",
                     "empty: both", "one"):
            shown.add_column(name, justify="left" if name in ("figure", "part") else "right")
        last = None
        for row in mine:
            if last not in (None, row["metric"]):
                shown.add_section()
            name = row["metric"].replace("_", " ") + (f" ({row['unit']})" if row["unit"] else "")
            interval = "" if math.isnan(row["low"]) else f"{short(row['low'])} to {short(row['high'])}"
            shown.add_row(name if row["metric"] != last else "", row["part"], short(row["value"]), interval,
                          short(row["sd"]), short(row["median"]), f"{short(row['q1'])} to {short(row['q3'])}",
                          str(row["n"]), str(row["both_empty"]), str(row["one_empty"]))
            last = row["metric"]
        screen.print(shown)
    write(screen.file.getvalue())
