"""Intervals: how far a figure could be off for want of cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np

NORMAL = NormalDist()
JACKKNIFE = 200  # more estimate the skewness no better
CELLS = 1 << 16  # weights made at once, so that memory stays flat


def resamples(units: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """Bootstrap weights (r, n), in portions of rows: whole units are drawn with replacement, their cases with them.

    units: (n,) the unit of each case, any integers. As many units are drawn as there are.
    """
    _, place = np.unique(units, return_inverse=True)
    n = int(place.max()) + 1
    rng = np.random.default_rng(seed)
    portion = max(CELLS // len(units), 1)
    for start in range(0, count, portion):
        rows = min(portion, count - start)
        chosen = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        drawn = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n)
        yield drawn[:, place].astype(np.float32)


def bootstrap(figures: Callable[[np.ndarray], dict[str, np.ndarray]], units: np.ndarray, *, level: float = 95,
              count: int = 2000, seed: int = 0,
              expand: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Value and BCa bootstrap interval (Efron 1987) of each figure: name -> (value, low, high).

    figures: weights (r, n) -> {name: (r, …)}. units: (n,), what is drawn: subjects or groups, so that copies do not
    count as evidence. level: percent. expand: widen the interval as Student's widens the normal one (Hesterberg
    2015), which the mean of few units needs: of 20 values of a beta distribution 95 % held the truth in 91 of 100
    runs without it, in 95 with it. A resample in which a figure is undefined (NaN) is left out of its interval; a
    figure that is the same in all of them has no interval (NaN): that nothing varied is no certainty.
    """
    plain = figures(np.ones((1, len(units))))
    tail = NORMAL.inv_cdf((1 - level / 100) / 2)
    if expand and (n := len(np.unique(units))) > 1:
        tail = student(tail, n - 1) * math.sqrt(n / (n - 1))
    drawn = [figures(weights) for weights in resamples(units, count, seed)]
    left_out = [figures(weights) for weights in _jackknife(units)]
    result = {}
    for name, value in plain.items():
        values, without = (np.concatenate([value[:0], *(d[name] for d in many)]) for many in (drawn, left_out))
        ends = [_bca(v, values[:, *i], without[:, *i], tail) for i, v in np.ndenumerate(value[0])]
        low, high = (np.array(end).reshape(value[0].shape) for end in zip(*ends, strict=True))
        result[name] = (value[0], low, high)
    return result


def _jackknife(units: np.ndarray) -> Iterator[np.ndarray]:
    """Weights (r, n), each row without one unit, or without several where that would be more than JACKKNIFE rows."""
    _, place = np.unique(units, return_inverse=True)
    block = place % min(int(place.max()) + 1, JACKKNIFE)
    if not block.any():
        return  # one unit: nothing would be left
    rows = max(CELLS // len(units), 1)
    for start in range(0, int(block.max()) + 1, rows):
        some = np.arange(start, min(start + rows, int(block.max()) + 1))
        yield (block != some[:, None]).astype(np.float32)


def student(z: float, freedom: int) -> float:
    """The quantile of Student's distribution where the normal one's is z (Fisher and Cornish 1960), to 2 % from 4
    degrees of freedom on; below, where the series breaks off too early, that of 4."""
    n = max(freedom, 4)
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return z + sum(term / n**i for i, term in enumerate(terms, 1))


def _bca(value: float, values: np.ndarray, without: np.ndarray, tail: float) -> tuple[float, float]:
    """The interval from the resampled values (r,) and those with some units left out (j,), between the normal quantiles
    `tail` (below 0) and -tail."""
    values, without = values[~np.isnan(values)], without[~np.isnan(without)]
    if math.isnan(value) or len(values) < 2 or values.min() == values.max():
        return math.nan, math.nan
    share = (np.sum(values < value) + np.sum(values == value) / 2) / len(values)
    bias = NORMAL.inv_cdf(min(max(share, 1 / (len(values) + 1)), len(values) / (len(values) + 1)))
    away = without.mean() - without if len(without) else np.zeros(1)
    spread = np.sum(away**2) ** 1.5
    skew = float(np.sum(away**3) / (6 * spread)) if spread > 0 else 0.0
    points = [bias + (bias + z) / (1 - skew * (bias + z)) for z in (tail, -tail)]
    low, high = np.percentile(values, [100 * NORMAL.cdf(p) for p in points])
    return float(low), float(high)


def wilson(share: float, n: int, level: float = 95) -> tuple[float, float]:
    """The interval of a share of n independent trials (Wilson 1927), both ends 0 to 1; (0, 1) for n = 0.

    For shares of exactly 0 or 1, where a bootstrap has nothing to vary and would claim certainty.
    """
    if n == 0:
        return 0.0, 1.0
    z = NORMAL.inv_cdf(0.5 + level / 200)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)
