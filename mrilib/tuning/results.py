"""What the trials of a study say: each with its interval and its paired difference to the best, and how optimistic
the best is because it was chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrilib.evaluation.statistics import bootstrap, resamples
from mrilib.tuning.study import COMPLETE, FAILED, Trial

LEVEL = 95
RESAMPLES = 1000
FEWEST = 6  # differences that Wilcoxon's test needs to reach p = 0.05


@dataclass(frozen=True)
class Result:
    """One row of the table: a trial, or settings that are compared over several seeds. value: mean over the cases;
    low, high: its interval. difference: paired, to the best, over the cases that both have. p: of Wilcoxon's test."""

    name: str
    trials: tuple[Trial, ...]
    values: dict[str, float]
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    best: bool

    @property
    def state(self) -> str:
        """Of its trials: the first that is not complete, else complete."""
        return next((trial.state for trial in self.trials if trial.state != COMPLETE), COMPLETE)

    @property
    def verdict(self) -> str:
        """The difference in words."""
        if self.best:
            return "best"
        if self.state == FAILED:
            return self.trials[0].reason
        if math.isnan(self.difference_low) or self.difference_low <= 0 <= self.difference_high:
            return "cannot be told apart"
        return "worse" if self.difference < 0 else "better"


def results_of(trials: Sequence[Trial], groups: dict[str, str]) -> list[Result]:
    """The results, the best first, those that failed last. groups: the group of each case, which is drawn as a whole.

    Trials with one name are the same settings with several seeds: the value of a case is the mean over these.
    """
    together: dict[str, list[Trial]] = {}
    for trial in trials:
        together.setdefault(trial.name or str(trial.number), []).append(trial)
    values = {name: mean_of([trial.values for trial in own]) for name, own in together.items()}
    best = best_of({name: values[name] for name, own in together.items() if all(t.state == COMPLETE for t in own)})
    rows = [_result(name, tuple(own), values[name], values.get(best, {}), groups, name == best)
            for name, own in together.items()]
    return sorted(rows, key=lambda row: (not row.best, row.state == FAILED, row.state != COMPLETE,
                                         -row.value if not math.isnan(row.value) else 0.0))


def mean_of(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of the values of each case that all have."""
    shared = [case for case in values[0] if all(case in each for each in values)]
    return {case: float(np.mean([each[case] for each in values])) for case in shared}


def best_of(values: dict) -> object:
    """The name of the highest mean, the first of equals; None of none."""
    return max(values, key=lambda name: np.mean(list(values[name].values())), default=None) if values else None


def _result(name, trials, values, of_best, groups, best) -> Result:
    value, low, high = interval(values, groups)
    shared = {case: values[case] - of_best[case] for case in values if case in of_best}
    difference = (0.0, 0.0, 0.0) if best else interval(shared, groups)
    p = 1.0 if best else worse(shared, groups, two_sided=True)
    return Result(name, trials, values, value, low, high, *difference, p, best)


def interval(values: dict[str, float], groups: dict[str, str]) -> tuple[float, float, float]:
    """(mean, low, high) of values by case; NaN of none."""
    if not values:
        return math.nan, math.nan, math.nan
    array, units = np.array(list(values.values())), _units(values, groups)
    mean, low, high = bootstrap(lambda weights: {"mean": weights @ array / weights.sum(1)}, units, level=LEVEL,
                                count=RESAMPLES, expand=True)["mean"]
    return float(mean), float(low), float(high)


def worse(differences: dict[str, float], groups: dict[str, str], two_sided: bool = False) -> float:
    """The p of Wilcoxon's test that differences by case are below 0, or that they are not 0; cases of one group count
    as one. 1 for fewer than FEWEST that are not 0."""
    from scipy.stats import wilcoxon

    if not differences:
        return 1.0
    units = _units(differences, groups)
    sums = np.bincount(units, list(differences.values())) / np.bincount(units)
    sums = sums[sums != 0]
    if len(sums) < FEWEST:
        return 1.0
    return float(wilcoxon(sums, alternative="two-sided" if two_sided else "less").pvalue)


def corrected(trials: Sequence[Trial], groups: dict[str, str], seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) of the best trial's value corrected for having been chosen among so many.

    In each resample the trial that is best on the cases drawn is judged by those that were not (Tsamardinos et al.
    2018, BBC-CV). NaN with fewer than two complete trials.
    """
    complete = [trial.values for trial in trials if trial.state == COMPLETE]
    shared = [case for case in complete[0] if all(case in each for each in complete)] if complete else []
    if len(complete) < 2 or len(shared) < 2:
        return math.nan, math.nan, math.nan
    matrix = np.array([[values[case] for case in shared] for values in complete])
    units, outside = _units(dict.fromkeys(shared, 0.0), groups), []
    for weights in resamples(units, RESAMPLES, seed):
        chosen = (weights @ matrix.T).argmax(1)
        for row, drawn in zip(chosen, weights > 0, strict=True):
            if not drawn.all():
                outside.append(matrix[row, ~drawn].mean())
    if not outside:
        return math.nan, math.nan, math.nan
    low, high = np.percentile(outside, ((100 - LEVEL) / 2, (100 + LEVEL) / 2))
    return float(np.mean(outside)), float(low), float(high)


def comparable(trials: Sequence[Trial]) -> list[tuple[dict[str, str], float]]:
    """(parameters, value) of each trial that was judged, to learn from. A trial that was stopped early has the value
    of the first complete one and its difference to that on the cases of both."""
    first = next((trial.values for trial in trials if trial.state == COMPLETE), None)
    if first is None:
        return []
    whole = float(np.mean(list(first.values())))
    found = []
    for trial in trials:
        shared = [case for case in trial.values if case in first]
        if shared and trial.state != FAILED:
            found.append((trial.parameters, whole + float(np.mean([trial.values[c] - first[c] for c in shared]))))
    return found


def _units(values: dict[str, float], groups: dict[str, str]) -> np.ndarray:
    return np.unique([groups[case] for case in values], return_inverse=True)[1]
