"""What many cases say together: mean with its interval, spread, and how many cases were empty or missing."""

from __future__ import annotations

import numpy as np

from mrilib.evaluation.statistics import bootstrap

SPREAD = ("sd", "median", "q1", "q3")


def summary(values: np.ndarray, units: np.ndarray, *, skip_nan: bool = True, level: float = 95, count: int = 2000,
            seed: int = 0) -> dict[str, np.ndarray]:
    """Of columns of metrics, (n cases, m): mean, low, high, n and SPREAD, each (m,).

    units: (n,) what the bootstrap draws (subjects). skip_nan: a NaN is left out of its column, else the column is NaN.
    sd is that of a sample (n - 1). The interval is BCa's of the mean, expanded for few units, Student's for up to 4.
    """
    here = ~np.isnan(values)
    result = {name: np.full(values.shape[1], np.nan) for name in ("mean", "low", "high")} | {"n": here.sum(0)}
    for defined in np.unique(here[:, here.any(0)], axis=1).T:  # columns with values in the same cases
        columns = np.flatnonzero((here == defined[:, None]).all(0))
        means = _means(values[np.ix_(defined, columns)], units[defined], level, count, seed)
        for name, found in zip(("mean", "low", "high"), means, strict=True):
            result[name][columns] = found
    for name, function in (("sd", _sd), ("median", np.median), ("q1", _q1), ("q3", _q3)):
        result[name] = np.array([function(c[h]) if h.any() else np.nan for c, h in zip(values.T, here.T, strict=True)])
    if not skip_nan:
        broken = ~here.all(0)
        for name in ("mean", "low", "high", *SPREAD):
            result[name] = np.where(broken, np.nan, result[name])
    return result


def _means(values: np.ndarray, units: np.ndarray, level: float, count: int, seed: int):
    """Mean, low and high end of each column (n, m): each (m,)."""
    def means(weights):
        return {"mean": (weights @ values) / weights.sum(1, keepdims=True)}

    return bootstrap(means, units, level=level, count=count, seed=seed, expand=True)["mean"]


def _sd(column: np.ndarray) -> float:
    return float(column.std(ddof=1)) if len(column) > 1 else np.nan


def _q1(column: np.ndarray) -> float:
    return float(np.percentile(column, 25))


def _q3(column: np.ndarray) -> float:
    return float(np.percentile(column, 75))
