"""The result of scoring, and the one road to it: match, measure, summarise, rank."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mrilib.errors import UsageError
from mrilib.evaluation import pairing, report
from mrilib.evaluation.reference import Reference, units_of, unseen
from mrilib.evaluation.scorer import Entry, Scorer
from mrilib.evaluation.submissions import Submission
from mrilib.results import Silent

log = logging.getLogger("mrilib")


@dataclass
class Scores(Sequence):
    """The result of scoring: rows of metrics with their intervals.

    leaderboard: rows of ranks and paired tests of several submissions. entries: what was found of each submission.
    failed: a line for each metric under its limit. complete: every case has a prediction and nothing is wrong.
    """

    scorer: Scorer
    rows: list[dict]
    leaderboard: list[dict]
    entries: list[Entry]
    failed: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

    def __iter__(self) -> Iterator[dict]:
        return iter(self.rows)

    @property
    def several(self) -> bool:
        return len(self.entries) > 1

    @property
    def complete(self) -> bool:
        allowed = self.scorer.settings_used.allow_missing
        return not any(entry.faults or (entry.missing and not allowed) for entry in self.entries)

    def value(self, metric: str, of: str = "", cases: str = "all") -> float:
        """The value of a metric, of a part or class where there are several."""
        for row in self.rows:
            if (row["metric"], row[self.scorer.OF], row["cases"]) == (metric, of, cases):
                return row["value"]
        raise KeyError(f"{metric} {of} {cases}")

    def __repr__(self) -> str:
        return f"<{len(self.rows)} rows of scores; print shows them>"

    def __str__(self) -> str:
        return self.text()

    def csv(self) -> str:
        """The table as CSV."""
        columns = (*self.scorer.columns, *(self.scorer.columns_of_several if self.several else ()))
        return report.as_csv(columns, self.scorer.case_metrics(self.entries, self.several) + self.rows
                             + self.leaderboard)

    def json(self) -> str:
        """The table and what is known of each case as JSON."""
        whole = {**self.scorer.header(), "figures": self.rows}
        told = {entry.name: self.scorer.as_json(entry) for entry in self.entries}
        whole |= {"leaderboard": self.leaderboard, "submissions": told} if self.several else told[self.entries[0].name]
        return report.as_json(whole)

    def per_case(self) -> str:
        """A table of cases as CSV."""
        return report.csv_of(self.scorer.case_table(self.entries, self.several))

    def text(self) -> str:
        """Tables for a person, as wide as the terminal."""
        board = [report.leaderboard(self.leaderboard)] if self.leaderboard else []
        return report.drawn(board + self.scorer.view(self.rows, self.several))

    def below(self, limits: dict[str, float]) -> list[str]:
        """A line for each metric of all cases that is under its limit. An undefined one is under it."""
        return report.below(self.rows, limits, self.scorer.OF)


def run(scorer: Scorer, submissions: list[Submission], reference: Reference, *,
        groups: dict[str, list[str]] | None = None, seen: dict[str, str] | None = None, limits: Iterable[str] = (),
        jobs=None, progress=None) -> Scores:
    """Score submissions against a reference that the scorer accepted (`Scorer.reference`).

    groups: more sets of cases whose metrics are given. seen: where models had cases, {case: part}. limits: metrics that
    the caller needs. jobs: number of workers, or an executor. progress: as of mrilib.score. Raises UsageError.
    """
    several, allowed = len(submissions) > 1, scorer.settings_used.allow_missing
    entries = [scorer.entry(submission, reference, several) for submission in submissions]
    scorer.begin(entries, reference, limits)
    scorer.measure(entries, reference, jobs, progress or Silent)
    rows = []
    for entry in entries:
        prefix = f"{entry.name}: " if several else ""
        if missing := [case for case in entry.missing if case not in entry.refused or not several]:
            log.warning("%s%d cases have no prediction%s and are %s: %s", prefix, len(missing),
                        " that can be scored" if scorer.has_workers else "",
                        "left out" if allowed else scorer.MISSING, pairing.some(missing))
        left_out = set(entry.missing) if allowed else set()
        entry.cases = [case for case in reference.chosen if case not in left_out]
        if not entry.cases and not several:
            raise UsageError("no case is left to score")
        entry.seen = {case: min({(seen or {}).get(case, ""), entry.seen[case]} - {""}, default="")
                      for case in entry.cases}
        rows += _rows(scorer, entry, reference, groups or {}, prefix, several)
    board = scorer.leaderboard(entries, reference) if several else []
    return Scores(scorer, rows, board, entries)


def _rows(scorer: Scorer, entry: Entry, reference: Reference, groups: dict[str, list[str]], prefix: str,
          several: bool) -> list[dict]:
    """Rows over all cases, over those that the model never saw, and over each group."""
    own = set(entry.cases)
    sets = {"all": entry.cases, "unseen": unseen(entry.seen, prefix)}
    sets |= {group: [name for name in names if name in own] for group, names in groups.items()}
    rows = []
    for cases, names in sets.items():
        if names:
            units, resampled = units_of(names, reference)
            rows += scorer.rows(entry, names, units, scorer.about(names, cases, resampled))
    return [{**row, "submission": entry.name, "missing": row.get("missing", len(entry.missing))} for row in rows] if (
        several) else rows
