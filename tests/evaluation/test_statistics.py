"""Intervals: against SciPy, over groups, and honest where nothing varies."""

import math

import numpy as np
import pytest

from mrilib.evaluation.statistics import bootstrap, resamples, student, summary, wilson


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(1)}


def test_the_interval_is_scipys():
    from scipy import stats

    values = np.random.default_rng(3).exponential(size=80)
    value, low, high = bootstrap(mean_of(values), np.arange(80), count=20000, seed=1)["mean"]
    other = stats.bootstrap((values,), np.mean, n_resamples=20000, method="BCa", rng=2, vectorized=True)
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(tuple(other.confidence_interval), abs=0.01)
    narrow = bootstrap(mean_of(values), np.arange(80), level=50, count=2000, seed=1)["mean"]
    assert low < narrow[1] < value < narrow[2] < high


def test_many_units_are_left_out_together():
    values = np.random.default_rng(4).exponential(size=1500)
    _, low, high = bootstrap(mean_of(values), np.arange(1500), count=4000)["mean"]
    half = 1.96 * values.std() / math.sqrt(1500)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    assert (high + low) / 2 > values.mean()  # skewed to the right, as exponentials are


def test_whole_groups_are_drawn():
    units = np.array([7, 7, 7, -1, 3, 3])
    drawn = np.concatenate(list(resamples(units, 50, 0)))
    assert drawn.shape == (50, 6)
    for unit in (7, 3):
        assert (np.ptp(drawn[:, units == unit], 1) == 0).all()
    assert (drawn[:, 0] + drawn[:, 3] + drawn[:, 4] == 3).all()
    again = np.concatenate(list(resamples(units, 50, 0)))
    assert (drawn == again).all() and (drawn != np.concatenate(list(resamples(units, 50, 1)))).any()


def test_copies_are_no_evidence():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random(40) < 0.7, 10).astype(float)
    widths = [np.subtract(*bootstrap(mean_of(values), units, seed=1)["mean"][:0:-1])
              for units in (np.arange(400), np.repeat(np.arange(40), 10))]
    assert widths[1] > 2.5 * widths[0]


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    held = 0
    for i in range(300):
        size = rng.integers(1, 4, 60)
        values = np.repeat(rng.random(60) < 0.8, size).astype(float)  # copies share their outcome
        _, low, high = bootstrap(mean_of(values), np.repeat(np.arange(60), size), count=500, seed=i)["mean"]
        held += low <= 0.8 <= high
    assert 0.91 <= held / 300 <= 0.98


def test_nothing_varies():
    value, low, high = bootstrap(mean_of(np.ones(20)), np.arange(20))["mean"]
    assert value == 1 and np.isnan([low, high]).all()
    value, low, high = bootstrap(mean_of(np.array([1.0, 0, 0])), np.zeros(3))["mean"]  # one unit
    assert value == pytest.approx(1 / 3) and np.isnan([low, high]).all()
    value, low, high = bootstrap(lambda weights: {"x": np.full(len(weights), np.nan)}, np.arange(20))["x"]
    assert np.isnan([value, low, high]).all()


def test_undefined_resamples_are_left_out():
    values = np.array([1.0, 2.0, 3.0, 4.0])

    def metrics(weights):
        means = weights @ values / weights.sum(1)
        return {"pair": np.stack([means, np.where(weights[:, 0] > 0, means, np.nan)], 1)}

    value, low, high = bootstrap(metrics, np.arange(4), count=500)["pair"]
    assert value.tolist() == [2.5, 2.5] and np.isfinite([low, high]).all() and high[1] <= high[0]


def test_wilson():
    from scipy import stats

    assert wilson(0.5, 100) == pytest.approx((0.4038315, 0.5961685), abs=1e-6)  # Wilson 1927, z = 1.959964
    assert wilson(1, 20) == pytest.approx((0.8388749, 1), abs=1e-6)
    assert wilson(0, 20, 90)[0] == 0 and wilson(0, 20, 90)[1] < wilson(0, 20, 99)[1]
    assert wilson(0.3, 0) == (0, 1)
    for right, n, level in ((0, 7, 95), (7, 7, 90), (3, 9, 99)):
        wanted = stats.binomtest(right, n).proportion_ci(level / 100, "wilson")
        assert wilson(right / n, n, level) == pytest.approx((wanted.low, wanted.high))


def test_student_s_quantiles():
    from scipy.stats import t

    assert [round(-student(0.025, freedom), 2) for freedom in (1, 2, 3)] == [12.71, 4.3, 3.18]
    for level in (0.8, 0.95, 0.99):
        for freedom in (1, 2, 3, 4, 7, 19, 200):
            assert student((1 - level) / 2, freedom) == pytest.approx(t.ppf((1 - level) / 2, freedom))


@pytest.mark.parametrize("level", [80, 95])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_interval_of_a_mean_of_2_to_4_is_student_s(count, level):
    from scipy.stats import t

    values = np.random.default_rng(count).beta(8, 2, (count, 3))
    made = summary(values, np.arange(count), level=level)
    for i, column in enumerate(values.T):
        wanted = t.interval(level / 100, count - 1, column.mean(), column.std(ddof=1) / math.sqrt(count))
        assert (made["low"][i], made["high"][i]) == pytest.approx(wanted)


def test_the_units_that_count_are_those_with_a_value():
    """Of 12 subjects only 3 have the part: 2 degrees of freedom. Two scans of a subject are one unit."""
    from scipy.stats import t

    values = np.full((12, 2), np.nan)
    values[:, 0] = np.linspace(0.2, 0.9, 12)
    values[[1, 5, 8], 1] = 0.6, 0.9, 0.7
    made = summary(values, np.arange(12))
    wanted = t.interval(0.95, 2, 2.2 / 3, np.std([0.6, 0.9, 0.7], ddof=1) / math.sqrt(3))
    assert (made["low"][1], made["high"][1]) == pytest.approx(wanted) and made["n"].tolist() == [12, 3]
    assert 0.2 < made["low"][0] < made["high"][0] < 0.9
    twice = summary(np.repeat([[0.6], [0.9], [0.7]], 2, 0), np.repeat(np.arange(3), 2))
    assert (twice["low"][0], twice["high"][0]) == pytest.approx(wanted)
    alone = summary(np.array([[0.5]]), np.arange(1))
    assert alone["mean"][0] == 0.5 and np.isnan([alone["low"][0], alone["high"][0]]).all()


def test_the_interval_of_a_mean_of_2_to_4_holds_the_truth_as_often_as_it_says():
    for count in (2, 3, 4):
        samples = np.random.default_rng(count).beta(8, 2, (count, 1000))
        made = summary(samples, np.arange(count))
        assert 0.91 <= np.mean((made["low"] <= 0.8) & (made["high"] >= 0.8)) <= 0.98


def test_the_interval_of_a_mean_of_few_holds_the_truth_as_often_as_it_says():
    """On the 400 samples of 25 values tried here, 93 to 97 of 100."""
    rng = np.random.default_rng(0)
    samples = rng.beta(8, 2, (25, 400))
    made = summary(samples, np.arange(25), count=600)
    assert 0.93 <= np.mean((made["low"] <= 0.8) & (made["high"] >= 0.8)) <= 0.97
