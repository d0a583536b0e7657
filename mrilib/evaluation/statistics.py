"""Confidence intervals of metrics over few cases, and the summary of metrics that each case has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np

NORMAL = NormalDist()
JACKKNIFE = 200  # more estimate the skewness no better
CELLS = 1 << 16  # weights held at once, so that memory stays flat
SPREAD = ("sd", "median", "q1", "q3")
FEW = 4  # units up to which the interval of a mean is Student's: no resample leaves the range of so few values


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


def bootstrap(metrics: Callable[[np.ndarray], dict[str, np.ndarray]], units: np.ndarray, *, level: float = 95,
              count: int = 2000, seed: int = 0,
              expand: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Value and BCa bootstrap interval (Efron 1987) of each metric: name -> (value, low, high).

    metrics: weights (r, n) -> {name: (r, …)}. units: (n,), what is drawn: subjects or groups, so that copies do not
    count as evidence. level: percent. expand: of means, whose interval is widened as Student's widens the normal one
    (Hesterberg 2015): of 20 values of a beta distribution 95 % held the truth in 91 of 100 runs without it, in 95 with
    it. Of up to FEW units it is Student's own, with the standard error of the jackknife: of 2, 3 and 4 such values it
    held the truth in 94, 93 and 93 of 100 runs, the expanded one in 50, 73 and 85. A resample in which a metric is
    undefined (NaN) is left out of its interval; a metric that is the same in all of them has no interval (NaN): that
    nothing varied is no certainty.
    """
    plain = metrics(np.ones((1, len(units))))
    tail, n = NORMAL.inv_cdf((1 - level / 100) / 2), len(np.unique(units))
    few = expand and n <= FEW
    if expand and n > 1:
        tail = student((1 - level / 100) / 2, n - 1) * math.sqrt(1 if few else n / (n - 1))
    drawn = [] if few else [metrics(weights) for weights in resamples(units, count, seed)]
    left_out = [metrics(weights) for weights in _jackknife(units)]
    result = {}
    for name, value in plain.items():
        values, without = (np.concatenate([value[:0], *(d[name] for d in many)]) for many in (drawn, left_out))
        ends = [_student(v, without[:, *i], tail) if few else _bca(v, values[:, *i], without[:, *i], tail)
                for i, v in np.ndenumerate(value[0])]
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


def student(share: float, freedom: int) -> float:
    """The quantile of Student's distribution: scipy.stats.t.ppf, without the 0.6 s of its import."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def _student(value: float, without: np.ndarray, tail: float) -> tuple[float, float]:
    """Student's interval from the values with each unit left out (j,), between the quantiles `tail` and -tail."""
    without = without[~np.isnan(without)]
    if math.isnan(value) or len(without) < 2 or without.min() == without.max():
        return math.nan, math.nan
    half = -tail * math.sqrt((len(without) - 1) * np.mean((without - without.mean()) ** 2))
    return value - half, value + half


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

    For shares of exactly 0 or 1, where a bootstrap has nothing to vary and would claim certainty. It is the interval of
    scipy.stats.binomtest(...).proportion_ci("wilson"), without the 0.6 s of its import.
    """
    if n == 0:
        return 0.0, 1.0
    z = NORMAL.inv_cdf(0.5 + level / 200)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def summary(values: np.ndarray, units: np.ndarray, *, skip_nan: bool = True, level: float = 95, count: int = 2000,
            seed: int = 0) -> dict[str, np.ndarray]:
    """Mean, low, high, n and SPREAD, each (m,), of the columns of (n cases, m metrics).

    units: (n,) what the bootstrap draws (subjects). skip_nan: leave a NaN out of its column, else the column is NaN.
    sd is that of a sample (n - 1). low and high: the interval of the mean by `bootstrap` with `expand`.
    """
    present = ~np.isnan(values)
    result = {name: np.full(values.shape[1], np.nan) for name in ("mean", "low", "high", *SPREAD)}
    for rows in np.unique(present[:, present.any(0)], axis=1).T:  # columns with values in the same cases
        columns = np.flatnonzero((present == rows[:, None]).all(0))
        chosen = values[np.ix_(rows, columns)]
        means = bootstrap(lambda weights, chosen=chosen: {"mean": weights @ chosen / weights.sum(1, keepdims=True)},
                          units[rows], level=level, count=count, seed=seed, expand=True)["mean"]
        result["mean"][columns], result["low"][columns], result["high"][columns] = means
    for i, (column, rows) in enumerate(zip(values.T, present.T, strict=True)):
        if rows.any() and (skip_nan or rows.all()):
            column = column[rows]
            result["sd"][i] = column.std(ddof=1) if len(column) > 1 else np.nan
            result["median"][i] = np.median(column)
            result["q1"][i], result["q3"][i] = np.percentile(column, (25, 75))
        elif rows.any():
            for name in ("mean", "low", "high"):
                result[name][i] = np.nan
    return result | {"n": present.sum(0)}
