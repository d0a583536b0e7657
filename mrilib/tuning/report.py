"""The results of a study as CSV, JSON and tables for a person."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mrilib.evaluation import report
from mrilib.tuning import results, sampling, space
from mrilib.tuning.results import Result
from mrilib.tuning.study import COMPLETE, FAILED, PRUNED, Study

COLUMNS = ("trial", "state", "value", "low", "high", "difference", "difference_low", "difference_high", "p",
           "verdict", "cases", "seconds", "memory_mb")  # fmt: skip


@dataclass(frozen=True)
class Findings:
    """What a study found. judged: the value in words. rows: the trials, the best first. importance: share of each
    dimension, by name. corrected: (mean, low, high) of the best, corrected for the choice. fixed: parameters that all
    trials share."""

    judged: str
    folds: int
    rows: list[Result]
    importance: dict[str, float]
    corrected: tuple[float, float, float]
    fixed: dict[str, str]
    compared: bool

    @property
    def best(self) -> Result | None:
        """The best of the complete trials."""
        return next((row for row in self.rows if row.best), None)

    def table(self) -> list[dict]:
        """A row for each trial, the parameters in columns of their own."""
        return [{"trial": row.name, **_parameters(row, self.fixed, self.compared), "state": row.state,
                 "value": row.value, "low": row.low, "high": row.high, "difference": row.difference,
                 "difference_low": row.difference_low, "difference_high": row.difference_high, "p": row.p,
                 "verdict": row.verdict, "cases": len(row.values), "seconds": sum(t.seconds for t in row.trials),
                 "memory_mb": max(t.memory for t in row.trials) / 1e6} for row in self.rows]  # fmt: skip

    def csv(self) -> str:
        """The table as CSV."""
        rows = self.table()
        names = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
        return report.as_csv([COLUMNS[0], *names, *COLUMNS[1:]], rows)

    def json(self) -> str:
        """Everything as JSON."""
        return report.as_json({"judged": self.judged, "folds": self.folds, "trials": self.table(),
                               "importance": self.importance, "corrected": list(self.corrected)})  # fmt: skip

    def text(self, styled: bool = True) -> str:
        """Tables for a person."""
        parameters = {row.name: _parameters(row, self.fixed, self.compared) for row in self.rows}
        names = dict.fromkeys(name for own in parameters.values() for name in own)
        shown = report.table(
            f"{len(self.rows)} {'settings' if self.compared else 'trials'}: {self.judged}, {self.folds} folds",
            ("settings" if self.compared else "trial", *names, self.judged, "to the best", "", "time"), self._caption())
        for row in (row for row in self.rows if row.state != FAILED):
            shown.add_row(row.name, *(parameters[row.name].get(name, "–") for name in names),
                          f"{row.value:.3f} ({row.low:.3f}–{row.high:.3f})",
                          "" if row.best else f"{row.difference:+.3f} ({row.difference_low:+.3f} to "
                          f"{row.difference_high:+.3f})",
                          f"stopped after {len(row.values)}" if row.state == PRUNED else row.verdict,
                          _time(sum(t.seconds for t in row.trials)))
        tables = [shown]
        if self.importance:
            tables.append(report.table("what made a good trial", ("setting", "share"), "PED-ANOVA"))
            for name, share in self.importance.items():
                tables[-1].add_row(space.flag(name), f"{100 * share:.0f} %")
        return report.drawn(tables, styled)

    def _caption(self) -> str:
        states = [row.state for row in self.rows]
        lines = [f"{states.count(COMPLETE)} complete, {states.count(PRUNED)} stopped early, {states.count(FAILED)} "
                 f"failed; intervals: bootstrap over groups of cases; differences: paired, case by case"]
        if self.fixed:
            lines.append("all with " + ", ".join(f"{space.flag(n)}={v}" for n, v in self.fixed.items()))
        lines += [f"trial {row.name} failed: {row.trials[0].reason}" for row in self.rows if row.state == FAILED]
        mean, low, high = self.corrected
        if not math.isnan(mean) and self.best is not None:
            chosen = f"{report.short(mean)} ({report.short(low)} to {report.short(high)})"
            lines.append(f"the best reaches {report.short(self.best.value)}; corrected for being chosen among "
                         f"{states.count(COMPLETE)}: {chosen}")
        return "\n".join(lines)


def findings(folder: Study) -> Findings:
    """What the trials of a study say. Raises UsageError where there is no study."""
    about, trials = folder.about, folder.trials()
    rows = results.results_of(trials, groups_of(folder))
    compared = "compared" in about
    importance, fixed = {}, {}
    if not compared:
        dimensions = [_dimension(each) for each in about["space"]]
        fixed = {d.name: d.values[0] for d in dimensions if len(d.values) == 1}
        importance = sampling.importance(dimensions, results.comparable(trials)) if len(trials) > 4 else {}
    corrected = (math.nan,) * 3 if compared else results.corrected(trials, groups_of(folder), about["seed"])
    return Findings(about["judged"], len(set(about["folds"])), rows, importance, corrected, fixed, compared)


def groups_of(folder: Study) -> dict[str, str]:
    """The group of each case of a study."""
    from mrilib import splits

    return {case: row.group for case, row in splits.read(folder.folder / "split.csv").items()}


def _dimension(values: dict):
    return space.Dimension(**{**values, "values": tuple(values["values"])})


def _parameters(row: Result, fixed: dict, compared: bool) -> dict[str, str]:
    if compared:
        return {}
    return {space.flag(name): value for name, value in row.trials[0].parameters.items() if name not in fixed}


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
