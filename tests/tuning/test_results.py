"""What trials say, compared with the truth of made-up ones."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from mrilib.tuning import results
from mrilib.tuning.study import COMPLETE, FAILED, PRUNED, Trial

N = 60
GROUPS = {f"c{i}": f"g{i // 2}" for i in range(N)}


def trial(number, values, state=COMPLETE, **more):
    values = {f"c{i}": float(v) for i, v in enumerate(values)}
    return Trial(number, state, {"epochs": str(number)}, 0, values=values, folds=dict.fromkeys(values, 0), **more)


@pytest.fixture(scope="module")
def trials():
    chance = np.random.default_rng(0)
    base = chance.uniform(0.5, 0.9, N)
    return [trial(0, base), trial(1, base + chance.normal(0.05, 0.02, N)), trial(2, base - 0.1),
            trial(3, (base - 0.2)[:20], PRUNED), trial(4, [], FAILED, reason="too small"),
            trial(5, base + chance.normal(0.05, 0.05, N))]  # fmt: skip


def test_the_best_comes_first_and_the_failed_last(trials):
    rows = results.results_of(trials, GROUPS)
    assert rows[0].best and {row.name for row in rows[:2]} == {"1", "5"} and rows[-1].name == "4"
    verdicts = {row.name: row.verdict for row in rows}
    assert verdicts["0"] == verdicts["2"] == verdicts["3"] == "worse" and verdicts["4"] == "too small"
    assert rows[1].verdict == "cannot be told apart"
    by_name = {row.name: row for row in rows}
    assert by_name["2"].difference == pytest.approx(by_name["2"].value - rows[0].value)
    assert by_name["3"].difference == pytest.approx(-0.25, abs=0.03)  # paired on its twenty cases


def test_wilcoxon_is_that_of_scipy_over_groups(trials):
    differences = {case: trials[0].values[case] - trials[5].values[case] for case in trials[0].values}
    means = np.array(list(differences.values())).reshape(-1, 2).mean(1)
    assert results.worse(differences, GROUPS) == pytest.approx(wilcoxon(means, alternative="less").pvalue)
    assert results.worse({}, GROUPS) == results.worse({"c0": -1.0}, GROUPS) == 1


def test_seeds_of_one_name_are_averaged():
    rows = results.results_of([trial(0, [0, 1], name="a"), trial(1, [1, 1], name="a"), trial(2, [0, 0], name="b")],
                              GROUPS)
    assert [(row.name, row.value, len(row.trials)) for row in rows] == [("a", 0.75, 2), ("b", 0.0, 1)]


def test_the_correction_undoes_the_luck_of_the_best():
    """Forty trials that are all worth 0.5: the best seems better, the corrected value does not."""
    chance = np.random.default_rng(1)
    lucky = [trial(i, chance.uniform(size=N) < 0.5) for i in range(40)]
    best = results.results_of(lucky, {case: case for case in GROUPS})[0].value
    mean, low, high = results.corrected(lucky, {case: case for case in GROUPS})
    assert best > 0.6 and low < 0.5 < high and abs(mean - 0.5) < 0.1 < best - 0.5 + 0.02


def test_the_correction_of_one_trial_is_undefined(trials):
    assert np.isnan(results.corrected(trials[:1], GROUPS)).all()


def test_what_was_stopped_is_comparable(trials):
    values = {parameters["epochs"]: value for parameters, value in results.comparable(trials)}
    assert set(values) == {"0", "1", "2", "3", "5"}
    assert values["3"] == pytest.approx(values["0"] - 0.2)
