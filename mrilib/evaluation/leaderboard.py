"""The leaderboard of several submissions: mean ranks, how certain the order is, and tests of every two submissions.

Metrics that each case has (Dice) are ranked case by case and compared by Wilcoxon's signed ranks: `rank`, `compare`.
Metrics of all cases together (accuracy, AUC, AP) have no value for one case: they are ranked as they are and compared
by a bootstrap in which all submissions are scored on the same resamples: `draw`, `rank_together`, `compare_together`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mrilib.errors import UsageError
from mrilib.evaluation.statistics import resamples

log = logging.getLogger("mrilib")
MOST_PAIRS = 190  # of twenty submissions; of more, only the first metric is tested


class Ranking(NamedTuple):
    """Ranks of s submissions. mean_rank (s,). place (s,) from 1 on; equal submissions share the better place. low, high
    (s,): interval of the place. first (s,): share of resamples in which a submission is first. by_case (s, n): mean
    rank in each case, if cases are ranked."""

    mean_rank: np.ndarray
    place: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    by_case: np.ndarray | None = None


def rank(values: np.ndarray, better: Sequence[int], units: np.ndarray, *, level: float = 95, count: int = 2000,
         seed: int = 0) -> Ranking:
    """Rank submissions on every metric of every case and average, as the BraTS challenge does (Bakas 2018).

    values: (s, n cases, m metrics), NaN is the worst. better: (m,) 1 where higher is better, -1 where lower is. Equal
    values share the mean of their ranks. units: (n,) what the bootstrap draws. A metric that is NaN for all
    submissions is left out of the ranks of the case.
    """
    each = ranks(values * np.asarray(better, float))
    silent = np.isnan(values).all(0)
    each = np.where(silent, np.nan, each)
    counted = (~silent).sum(1)
    by_case = np.where(counted, np.nansum(each, 2) / np.maximum(counted, 1), (len(values) + 1) / 2)
    drawn = [(weights.astype(float) @ by_case.T) / weights.sum(1, keepdims=True, dtype=float)
             for weights in resamples(units, count, seed)]
    return _ranking(by_case.mean(1), np.concatenate(drawn), level, by_case)


def _ranking(mean: np.ndarray, drawn: np.ndarray, level: float, by_case: np.ndarray | None = None) -> Ranking:
    """From mean ranks (s,) and those of each resample (r, s)."""
    places = placed(drawn)
    tail = (100 - level) / 2
    low, high = np.percentile(places, [tail, 100 - tail], axis=0, method="nearest")
    return Ranking(mean, placed(mean[None])[0], low, high, (places == 1).mean(0), by_case)


def draw(metrics: Sequence[Callable[[np.ndarray], np.ndarray]], units: np.ndarray, *, count: int = 2000,
         seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Metrics of s submissions, (s, m), and of resamples that all of them share, (r, s, m).

    metrics: of each submission, weights (r, n) -> (r, m). units: (n,) what is drawn, cases with their unit.
    """
    drawn = [np.stack([of(weights) for of in metrics], 1) for weights in resamples(units, count, seed)]
    return np.stack([of(np.ones((1, len(units))))[0] for of in metrics]), np.concatenate(drawn)


def rank_together(values: np.ndarray, drawn: np.ndarray, better: Sequence[int], *, level: float = 95) -> Ranking:
    """Rank submissions on each metric of all cases together and average the ranks; values, drawn: as `draw` gives.

    better: (m,) as in `rank`. Equal values share the mean of their ranks, NaN is the worst.
    """
    signs = np.asarray(better, float)
    return _ranking(ranks(values * signs).mean(1), ranks(np.moveaxis(drawn, 1, 0) * signs).mean(2).T, level)


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each along the first axis, 1 for the highest; equal ones share the mean; NaN is below all.

    Of 10 submissions it takes half the time of scipy.stats.rankdata, whose import takes 0.6 s.
    """
    filled = np.where(np.isnan(values), -np.inf, values)
    above = (filled[None] > filled[:, None]).sum(1)
    equal = (filled[None] == filled[:, None]).sum(1)
    return above + (equal + 1) / 2


def placed(mean_ranks: np.ndarray) -> np.ndarray:
    """The place of each of (r, s) mean ranks in its row, 1 for the lowest; equal ones share the better place."""
    close = mean_ranks[:, :, None] - mean_ranks[:, None, :] > 1e-9
    return close.sum(2) + 1


class Test(NamedTuple):
    """One pair of submissions, by their numbers. p: two-sided; holm: after correction."""

    first: int
    second: int
    difference: float
    p: float
    holm: float


def compare(values: np.ndarray, units: np.ndarray) -> list[Test]:
    """Paired Wilcoxon tests of every two of (s, n) values, with Holm's correction over all of them.

    The values of one unit (a subject) are averaged first, so that copies are no evidence; a pair of which either is
    NaN is left out. No difference at all is p = 1.
    """
    from scipy.stats import wilcoxon

    _, place = np.unique(units, return_inverse=True)
    weight = np.zeros((int(place.max()) + 1, values.shape[1]))
    weight[place, np.arange(values.shape[1])] = 1
    means = values @ (weight / weight.sum(1, keepdims=True)).T
    tested = []
    for i, j in combinations(range(len(values)), 2):
        away = means[i] - means[j]
        away = away[~np.isnan(away)]
        p = float(wilcoxon(away).pvalue) if np.any(away) else 1.0
        tested.append((i, j, float(away.mean()) if len(away) else np.nan, p))
    return _corrected(tested)


def compare_together(values: np.ndarray, drawn: np.ndarray, units: int) -> list[Test]:
    """Paired tests of every two of s values of one metric, with Holm's correction over all of them.

    values: (s,); drawn: (r, s) of shared resamples; units: how many are drawn. The difference over its bootstrap
    standard error against Student's distribution (Efron and Tibshirani 1993, 16.4), which has no smallest p but one:
    that of exchanging the two in each unit, 2 / 2^units. No difference, or none that is defined, is p = 1.
    """
    from scipy.special import stdtr

    tested = []
    for i, j in combinations(range(len(values)), 2):
        away, resampled = float(values[i] - values[j]), drawn[:, i] - drawn[:, j]
        resampled = resampled[~np.isnan(resampled)]
        error = float(resampled.std()) if len(resampled) > 1 else 0.0
        p = 1.0
        if away and not np.isnan(away) and units > 1:
            p = max(2 * float(stdtr(units - 1, -abs(away) / error)) if error else 0.0, 2.0 ** (1 - units))
        tested.append((i, j, away, p))
    return _corrected(tested)


def _corrected(tested: list[tuple[int, int, float, float]]) -> list[Test]:
    return [Test(*one, float(p)) for one, p in zip(tested, holm([p for *_, p in tested]), strict=True)]


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values after Holm's correction (1979), in the same order."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    result = np.empty(len(p))
    result[order] = np.minimum(stepped, 1)
    return result


def ranked_metrics(asked: tuple[str, ...] | None, default: list[str], metrics: Sequence[str],
                   better: Callable[[str], int]) -> tuple[str, ...]:
    """The metrics that are ranked: those asked for, else the default ones.

    better: name -> 1, -1, or 0 for neither. Raises UsageError for a metric that is not measured, or not ordered.
    """
    chosen = asked or [name for name in default if name in metrics]
    for name in chosen:
        if name not in metrics:
            raise UsageError(f"--rank-by {name}: is not among the metrics", remedy=f"known: {' '.join(metrics)}")
        if not better(name):
            raise UsageError(f"--rank-by {name}: neither a high nor a low value is better")
    if not chosen:
        raise UsageError("no metric to rank by is measured", remedy="name some with --rank-by")
    return tuple(chosen)


def by_cases(entries: list, values: np.ndarray, places: list[tuple[str, str]], better: Sequence[int], units: np.ndarray,
             about: dict) -> list[dict]:
    """The leaderboard by ranks in each case. values: (submissions, cases, metrics); places: (metric, part) of each
    metric; better: (metrics,); about: the columns that all rows share."""
    ranking = rank(values, better, units, level=about["level"], count=about["resamples"], seed=about["seed"])
    tested = [("rank", "", ranking.by_case),
              *((metric, part, values[:, :, k]) for k, (metric, part) in enumerate(places))]
    tests = [(metric, part, compare(of, units)) for metric, part, of in _few(tested, entries)]
    ranked = ", ".join(dict.fromkeys(metric for metric, _ in places))
    about = {**about, "rules": f"{about['rules']}; each case ranked by {ranked}; p: paired Wilcoxon test, Holm's "
                               "correction"}
    return _rows(entries, ranking, tests, about)


def by_metrics(entries: list, functions: list[Callable], metrics: tuple[str, ...], better: Sequence[int],
               units: np.ndarray, about: dict) -> list[dict]:
    """The leaderboard by metrics of all cases together. functions: of each submission, weights (r, n) -> (r, metrics).
    The others are those of by_cases."""
    values, drawn = draw(functions, units, count=about["resamples"], seed=about["seed"])
    ranking = rank_together(values, drawn, better, level=about["level"])
    count = len(np.unique(units))
    tests = [(metric, "", compare_together(values[:, k], drawn[:, :, k], count))
             for metric, k in _few([(metric, k) for k, metric in enumerate(metrics)], entries)]
    about = {**about, "rules": f"ranked by {', '.join(metrics)}; p: paired bootstrap test, Holm's correction"}
    return _rows(entries, ranking, tests, about)


def _few(tested: list, entries: list) -> list:
    if len(entries) * (len(entries) - 1) // 2 <= MOST_PAIRS:
        return tested
    if tested[1:]:
        log.info("%d submissions: they are compared in pairs by %s alone, not by each metric", len(entries),
                 tested[0][0])
    return tested[:1]


def _rows(entries: list, ranking, tests: list, about: dict) -> list[dict]:
    """Rows of `rank` (value: mean rank), `place` (low, high: its interval), `first` (share of resamples won), then of
    the paired tests: metric `p <metric>`, a submission against another, value p after Holm, low p as it is, high the
    difference of the two."""
    rows = []
    for i in np.argsort(ranking.place, kind="stable"):
        own = {**about, "submission": entries[i].name, "missing": len(entries[i].missing)}
        rows += [{"metric": "rank", "value": float(ranking.mean_rank[i]), **own},
                 {"metric": "place", "value": float(ranking.place[i]), "low": float(ranking.low[i]),
                  "high": float(ranking.high[i]), **own},
                 {"metric": "first", "value": float(ranking.first[i]), **own}]
    for metric, part, pairs in tests:
        rows += [{"metric": f"p {metric}", "part": part, "value": test.holm, "low": test.p, "high": test.difference,
                  "submission": entries[test.first].name, "against": entries[test.second].name, **about}
                 for test in pairs]
    return rows
