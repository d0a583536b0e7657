"""The result of scoring, and the one road to it: match, measure, summarise, rank."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mrilib.errors import MriError, UsageError
from mrilib.evaluation import pairing, report
from mrilib.evaluation.reference import Reference, units_of, unseen
from mrilib.evaluation.scorer import Entry, Scorer, paired
from mrilib.evaluation.submissions import Submission
from mrilib.results import Silent

log = logging.getLogger("mrilib")


@dataclass
class Scores(Sequence):
    """The result of scoring: rows of metrics with their intervals.

    leaderboard: rows of ranks and paired tests of several submissions. entries: the submissions.
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
        return self.text(styled=False)

    def csv(self) -> str:
        """The table as CSV."""
        columns = (*self.scorer.columns, *(self.scorer.columns_of_several if self.several else ()))
        return report.as_csv(columns, self.scorer.case_metrics(self.entries, self.several) + self.rows
                             + self.leaderboard)

    def json(self) -> str:
        """The table, and each case of each submission, as JSON."""
        whole = {**self.scorer.header(), "figures": self.rows}
        by_name = {entry.name: self.scorer.as_json(entry) for entry in self.entries}
        if not self.several:
            return report.as_json(whole | by_name[self.entries[0].name])
        return report.as_json(whole | {"leaderboard": self.leaderboard, "submissions": by_name})

    def per_case(self) -> str:
        """A table of cases as CSV."""
        return report.csv_of(self.scorer.case_table(self.entries, self.several))

    def text(self, styled: bool = True) -> str:
        """Tables for a person, as wide as the terminal. styled: with bold letters and colours."""
        board = [report.leaderboard(self.leaderboard)] if self.leaderboard else []
        return report.drawn(board + self.scorer.view(self.rows, self.several), styled)


def run(scorer: Scorer, submissions: list[Submission], reference: Reference, *,
        groups: dict[str, list[str]] | None = None, seen: dict[str, str] | None = None,
        limits: dict[str, float] | None = None, jobs=None, progress=None) -> Scores:
    """Score submissions against a reference that the scorer accepted (`Scorer.reference`).

    groups: more sets of cases that get metrics. seen: case -> the part in which models had it. limits: metric -> its
    least value, for Scores.failed. jobs: number of workers, or an executor. progress: as of mrilib.score. Raises
    UsageError.
    """
    several, allowed = len(submissions) > 1, scorer.settings_used.allow_missing
    entries = [scorer.entry(submission, reference, several) for submission in submissions]
    scorer.begin(entries, reference, limits or {})
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
    return Scores(scorer, rows, board, entries, report.below(rows, limits or {}, scorer.OF))


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


class Checked(NamedTuple):
    """The check of one submission: how many predictions are well formed, of how many cases."""

    name: str
    well_formed: int
    cases: int
    fine: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.well_formed} of {self.cases} predictions are well formed"


def check(scorer: Scorer, submissions: list[Submission], like: Reference, jobs=None, progress=None) -> list[Checked]:
    """Check whether submissions are complete and well formed, without their reference; errors are logged.

    like: the cases. jobs, progress: as of mrilib.score.
    """
    several = len(submissions) > 1
    return [_checked(scorer, submission, like, several, jobs, progress or Silent) for submission in submissions]


def _checked(scorer: Scorer, submission: Submission, like: Reference, several: bool, jobs, progress) -> Checked:
    from mrilib.parallel import cores, ordered

    prefix, wrong = f"{submission.name}: " if several else "", 0
    predictions, problems = scorer.read_whole(submission, like)
    pairs, faults = paired(submission.name, predictions.of, problems, like, False, several)
    function, calls = scorer.checks(predictions, pairs, like)
    jobs = min(cores(), len(calls) or 1) if jobs is None else jobs
    with progress("check", len(calls)) as bar:
        for case, result in ordered(f"mrilib.evaluation.pairs:{function}", calls, jobs):
            if isinstance(result, MriError):
                log.warning("%s%s", prefix, result)
                wrong += 1
            elif isinstance(result, BaseException):
                raise RuntimeError(f"{case}: {result!r}")
            bar.step()
    if missing := [case for case in like.chosen if case not in pairs]:
        log.warning("%s%d cases have no prediction: %s", prefix, len(missing), pairing.some(missing))
    return Checked(submission.name, len(pairs) - wrong, len(like.chosen), not (faults or missing or wrong))
