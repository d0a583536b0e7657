"""How one kind of predictions is read, measured and reported; `scores.run` is the same for all kinds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation import pairing, report, tables
from mrilib.evaluation.reference import Reference, units_of
from mrilib.evaluation.settings import ScoreSettings
from mrilib.evaluation.statistics import bootstrap
from mrilib.evaluation.submissions import Submission, Tables

log = logging.getLogger("mrilib")


@dataclass
class Entry:
    """One submission. predictions: as Scorer.match returns them. pairs: {case: id of its prediction}. faults: number of
    its errors. missing: scored cases without a prediction. cases: the cases of its metrics. seen: where the model has
    seen each case (train, validation or empty). refused: cases whose prediction is wrong."""

    name: str
    predictions: Any
    pairs: dict[str, str]
    faults: int = 0
    missing: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


class Scorer:
    """How one kind of predictions is read, measured and reported. A task has one: see Task.scorer.

    The defaults suit tables with a row for each case whose metrics are computed from all cases together: such a scorer
    gives METRICS, `takes`, `value`, `measures` and `case_row`.
    """

    KIND = "tables"  # in messages
    METRICS: tuple[str, ...] = ()
    LOWER: frozenset[str] = frozenset()  # metrics of which a low value is better
    OF = "class"  # the column that tells what a metric is of
    EXAMPLE = "mae=2"  # of --fail-under
    MISSING = "counted as wrong"
    settings: type[ScoreSettings] = ScoreSettings
    columns: tuple[str, ...] = ("metric", "class", "value", "low", "high", "unit", "n", "cases", "level", "resamples",
                                "seed", "resampled")
    columns_of_several: tuple[str, ...] = ("submission", "against", "missing", "rules")
    has_workers = False  # whether cases are measured by workers (--jobs)

    def __init__(self, settings: ScoreSettings):
        self.settings_used = settings

    @classmethod
    def takes(cls, submission: Submission) -> bool:
        """Whether a submission is of this kind."""
        raise NotImplementedError

    # reading and matching ---------------------------------------------------------------------------------------------

    def reference(self, reference: Reference) -> Reference:
        """The reference with the cases that can be scored. Raises UsageError when it does not suit."""
        return reference

    def value(self, row: dict[str, str]) -> object:
        """The prediction in a row, by column. Raises ValueError or KeyError for a row without one."""
        raise NotImplementedError

    def strange(self, predictions, reference: Reference) -> dict[str, list[str]]:
        """Ids of predictions that do not suit the reference, by what is wrong with them."""
        return {}

    def match(self, entry: Entry, reference: Reference) -> object:
        """The predictions of an entry as `measures` needs them. By default {case: value}."""
        return {case: entry.predictions.of[name] for case, name in entry.pairs.items()}

    def entry(self, submission: Tables, reference: Reference, several: bool) -> Entry:
        """A submission with its pairs. Errors in one of several submissions are logged and the rest is scored; an error
        in a single submission is raised."""
        if several:
            predictions, problems = self.read_whole(submission, reference)
            pairs, faults = paired(submission.name, predictions.of, problems, reference, strict=False)
        else:
            predictions, faults = self.nothing(), 0
            for table in submission.tables:
                tables.read(table.text, table.where, predictions)
            pairs = {case: name for name, case in pairing.pair(predictions.of, reference.cases).items()}
            if others := len(set(pairs) - set(reference.chosen)):
                log.info("%d predictions are of cases that are not to be scored", others)
        entry = Entry(submission.name, predictions, pairs, faults)
        entry.missing = [case for case in reference.chosen if case not in pairs]
        entry.seen = {case: predictions.seen.get(pairs.get(case), "") for case in reference.chosen}
        entry.predictions = self.match(entry, reference)
        return entry

    def read_whole(self, submission: Tables, reference: Reference):
        """All predictions of a submission that are well formed, and what is wrong with the others."""
        predictions, problems = self.nothing(), list[CaseError]()
        for table in submission.tables:
            try:
                tables.read(table.text, table.where, predictions, problems)
            except MriError as error:
                problems.append(error.as_kind(CaseError))
        for what, cases in self.strange(predictions, reference).items():
            predictions.leave_out(cases)
            problems.append(CaseError(f"{len(cases)} predictions {what}: {pairing.some(cases)}"))
        return predictions, problems

    def checks(self, predictions, pairs: dict[str, str], like: Reference) -> tuple[str, list[tuple]]:
        """What --check runs for single cases: a function of mrilib.evaluation.pairs by name, and its calls (case,
        arguments). pairs: {case: id of its prediction}."""
        return "", []

    def nothing(self):
        """Predictions of no case, which tables.read adds to: Values, or a class below it."""
        return tables.Values(parse=self.value)

    # metrics ----------------------------------------------------------------------------------------------------------

    def begin(self, entries: list[Entry], reference: Reference, asked: Iterable[str]) -> None:
        """Settle what depends on the cases. asked: metrics that --fail-under names. Raises UsageError."""

    def measure(self, entries: list[Entry], reference: Reference, jobs, progress) -> None:
        """Measure each case, where that takes work of its own. jobs, progress: as of `run`."""

    def measures(self, entry: Entry, names: Sequence[str]) -> Callable:
        """The metrics of some cases as a function: weights (r, n) -> {metric: (r,)}."""
        raise NotImplementedError

    def unit(self, metric: str) -> str:
        return ""

    def better(self, metric: str) -> int:
        """1 where a higher value is better, -1 where a lower one is, 0 for neither."""
        return -1 if metric in self.LOWER else 1

    def rows(self, entry: Entry, names: Sequence[str], units, about: dict) -> list[dict]:
        """A row for each metric over some cases, with its interval. units: (n,) what the bootstrap draws; about: what
        every row tells."""
        measured = bootstrap(self.measures(entry, names), units, level=about["level"], count=about["resamples"],
                             seed=about["seed"])
        return [{"metric": name, self.OF: "", "value": float(measured[name][0]), "low": float(measured[name][1]),
                 "high": float(measured[name][2]), "unit": self.unit(name), **about} for name in self.METRICS]

    def about(self, names: Sequence[str], cases: str, resampled: str) -> dict:
        """What every row tells of itself."""
        used = self.settings_used
        return {"n": len(names), "cases": cases, "level": used.level, "resamples": used.resamples, "seed": used.seed,
                "resampled": resampled}

    def ranked(self, entry: Entry, reference: Reference, metrics: Sequence[str]) -> Callable:
        """The metrics that submissions are ranked by, weights (r, n) -> (r, metrics); NaN where one is undefined."""
        measures = self.measures(entry, reference.chosen)

        def chosen(weights):
            measured = measures(weights)
            return np.stack([measured[name] for name in metrics], 1)

        return chosen

    def default_ranking(self, entries: list[Entry]) -> list[str]:
        """The metrics that submissions are ranked by, unless the user names some."""
        return list(self.METRICS[:1])

    def leaderboard(self, entries: list[Entry], reference: Reference) -> list[dict]:
        """Rows of the leaderboard, a missing prediction counted as wrong."""
        from mrilib.evaluation import leaderboard

        metrics = leaderboard.ranked_metrics(self.settings_used.rank_by, self.default_ranking(entries), self.METRICS,
                                             self.better)
        units, resampled = units_of(reference.chosen, reference)
        functions = [self.ranked(entry, reference, metrics) for entry in entries]
        return leaderboard.by_metrics(entries, functions, metrics, [self.better(name) for name in metrics], units,
                                      self.about(reference.chosen, "all", resampled))

    # what is written --------------------------------------------------------------------------------------------------

    def case_row(self, entry: Entry, name: str) -> dict:
        """A row of the table of cases: case and what was predicted."""
        raise NotImplementedError

    def case_table(self, entries: list[Entry], several: bool) -> list[list]:
        """The table of cases, its header first: [submission,]case,…,seen."""
        lines = [{**({"submission": entry.name} if several else {}), **self.case_row(entry, name),
                  "seen": entry.seen[name]} for entry in entries for name in entry.cases]
        columns = list(dict.fromkeys(name for line in lines for name in line if name != "seen")) + ["seen"]
        return [columns, *([line.get(name, "") for name in columns] for line in lines)]

    def case_metrics(self, entries: list[Entry], several: bool) -> list[dict]:
        """Rows of each case and metric that come before those of all cases; none where metrics are of all together."""
        return []

    def as_json(self, entry: Entry) -> dict:
        """What the JSON tells of a submission beside its metrics."""
        return {"missing": entry.missing, "seen": {name: part for name, part in entry.seen.items() if part}}

    def header(self) -> dict:
        """What the JSON begins with."""
        return {}

    def view(self, rows: list[dict], several: bool) -> list:
        """Tables of rich for a person."""
        return report.tables_of(rows)


def paired(name: str, ids: Iterable[str], problems: list, reference: Reference, strict: bool,
           named: bool | None = None) -> tuple[dict[str, str], int]:
    """Which id of a submission belongs to which case that is scored, {case: id}, and the number of faults, each logged.

    named: whether messages begin with the submission's name (default: unless strict). Raises UsageError, when strict,
    for ids of which none belongs to a case.
    """
    prefix, ids = f"{name}: " if (not strict if named is None else named) else "", list(ids)
    for error in problems:
        log.warning("%s%s", prefix, error)
    try:
        pairs, left = pairing.pair_some(ids, reference.cases)
    except UsageError as error:
        if strict:
            raise
        log.warning("%s%s", prefix, error)
        return {}, len(problems) + len(ids)
    if left:
        log.warning("%s%d predictions are of no case in the reference: %s", prefix, len(left), pairing.some(left))
    chosen = set(reference.chosen)
    if others := len(set(pairs.values()) - chosen):
        log.info("%s%d predictions are of cases that are not to be scored", prefix, others)
    return {case: name for name, case in pairs.items() if case in chosen}, len(problems) + len(left)
