"""Several submissions in order: mean of ranks, how sure the order is, and which differences are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mrilib.metrics.statistics import resamples


@dataclass(frozen=True)
class Ranking:
    """Of s submissions: mean_rank (s,), place (s,) from 1 on (equal ones share the better place), low and high place
    (s,) of the bootstrap's interval, first (s,) the share of resamples that it won, by_case (s, n) mean rank a case."""

    mean_rank: np.ndarray
    place: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    by_case: np.ndarray


def rank(values: np.ndarray, better: Sequence[int], units: np.ndarray, *, level: float = 95, count: int = 2000,
         seed: int = 0) -> Ranking:
    """Rank submissions on every figure of every case and average, as the BraTS challenge does (Bakas 2018).

    values: (s, n cases, m figures), NaN is the worst. better: (m,) 1 where higher is better, -1 where lower is. Equal
    values share the mean of their ranks. units: (n,) what the bootstrap draws. A figure that is NaN for all of a case
    says nothing of it and is left out.
    """
    each = ranks(values * np.asarray(better, float))
    silent = np.isnan(values).all(0)
    each = np.where(silent, np.nan, each)
    counted = (~silent).sum(1)
    by_case = np.where(counted, np.nansum(each, 2) / np.maximum(counted, 1), (len(values) + 1) / 2)
    mean = by_case.mean(1)
    places = []
    for weights in resamples(units, count, seed):
        drawn = (weights.astype(float) @ by_case.T) / weights.sum(1, keepdims=True, dtype=float)
        places.append(placed(drawn))
    places = np.concatenate(places)
    tail = (100 - level) / 2
    low, high = np.percentile(places, [tail, 100 - tail], axis=0, method="nearest")
    return Ranking(mean, placed(mean[None])[0], low, high, (places == 1).mean(0), by_case)


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each along the first axis, 1 for the highest; equal ones share the mean; NaN is below all."""
    filled = np.where(np.isnan(values), -np.inf, values)
    above = (filled[None] > filled[:, None]).sum(1)
    equal = (filled[None] == filled[:, None]).sum(1)
    return above + (equal + 1) / 2


def placed(mean_ranks: np.ndarray) -> np.ndarray:
    """The place of each of (r, s) mean ranks in its row, 1 for the lowest; equal ones share the better place."""
    close = mean_ranks[:, :, None] - mean_ranks[:, None, :] > 1e-9
    return close.sum(2) + 1


@dataclass(frozen=True)
class Test:
    """One pair of submissions, by their numbers. p: two-sided, of Wilcoxon's signed ranks; holm: after correction."""

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
    found = []
    for i, j in combinations(range(len(values)), 2):
        away = means[i] - means[j]
        away = away[~np.isnan(away)]
        p = float(wilcoxon(away).pvalue) if np.any(away) else 1.0
        found.append((i, j, float(away.mean()) if len(away) else np.nan, p))
    corrected = holm([p for *_, p in found])
    return [Test(*one, float(p)) for one, p in zip(found, corrected, strict=True)]


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values after Holm's correction (1979), in the order given."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    result = np.empty(len(p))
    result[order] = np.minimum(stepped, 1)
    return result
