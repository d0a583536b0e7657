"""Intervals: how far a figure could be off for want of cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

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
              count: int = 2000, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Value and percentile bootstrap interval (Efron 1979) of each figure: name -> (value, low, high).

    figures: weights (r, n) -> {name: (r, …)}. units: (n,), what is drawn: subjects or groups, so that copies do not
    count as evidence. level: percent. A resample in which a figure is undefined (NaN) is left out of its interval; a
    figure that is the same in all of them has no interval (NaN): that nothing varied is no certainty.
    """
    plain = figures(np.ones((1, len(units))))
    drawn = [figures(weights) for weights in resamples(units, count, seed)]
    tail = (100 - level) / 2
    result = {}
    for name, value in plain.items():
        values = np.concatenate([d[name] for d in drawn])
        undefined = np.isnan(values).all(0) | np.isnan(value[0])
        values = np.where(undefined, 0.0, values)
        percentile = np.nanpercentile if np.isnan(values).any() else np.percentile  # the first is 100 times slower
        low, high = percentile(values, (tail, 100 - tail), axis=0)
        undefined |= low == high
        low, high = (np.where(undefined, np.nan, v) for v in (low, high))
        result[name] = (value[0], low, high)
    return result


def wilson(share: float, n: int, level: float = 95) -> tuple[float, float]:
    """The interval of a share of n independent trials (Wilson 1927), both ends 0 to 1; (0, 1) for n = 0.

    For shares of exactly 0 or 1, where a bootstrap has nothing to vary and would claim certainty.
    """
    from statistics import NormalDist

    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 200)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)
