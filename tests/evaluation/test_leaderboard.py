"""Ranks, places and paired tests: by hand, against scipy, and what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrilib.evaluation import leaderboard


def test_mean_of_ranks_by_hand():
    dice = np.array([[0.9, 0.8, 0.7], [0.8, 0.8, np.nan], [0.1, 0.9, 0.2]])
    distance = np.array([[2.0, 3, 4], [1, 5, np.nan], [9, 2, 5]])
    board = leaderboard.rank(np.stack([dice, distance], 2), (1, -1), np.arange(3))
    by_hand = np.array([[(1 + 2) / 2, (2.5 + 2) / 2, (1 + 1) / 2], [(2 + 1) / 2, (2.5 + 3) / 2, 3],
                        [3, 1, 2]])
    assert np.allclose(board.by_case, by_hand) and np.allclose(board.mean_rank, by_hand.mean(1))
    assert board.place.tolist() == [1, 3, 2]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_ranks_are_scipy_s(seed):
    values = np.random.default_rng(seed).integers(0, 4, (5, 6, 2)).astype(float)
    assert np.allclose(leaderboard.ranks(values), stats.rankdata(-values, axis=0))


def test_a_clear_winner_is_sure_and_equal_submissions_share_a_place():
    rng = np.random.default_rng(0)
    base = rng.random((1, 40, 2))
    values = np.concatenate([base + 0.2, base, base, base - 0.1])
    board = leaderboard.rank(values, (1, 1), np.arange(40))
    assert board.place.tolist() == [1, 2, 2, 4] and board.first.tolist() == [1, 0, 0, 0]
    assert (board.low == board.place).all() and (board.high == board.place).all()
    close = leaderboard.rank(rng.random((2, 12, 1)), (1,), np.arange(12))
    assert close.low.tolist() == [1, 1] and close.high.tolist() == [2, 2] and 0.02 < close.first[0] < 0.98


def test_a_figure_nobody_has_says_nothing():
    values = np.array([[[0.5, np.nan], [0.4, 0.3]], [[0.4, np.nan], [0.5, 0.2]]])
    board = leaderboard.rank(values, (1, 1), np.arange(2))
    assert np.allclose(board.by_case, [[1, 1.5], [2, 1.5]])


def test_paired_tests_are_wilcoxon_s_by_subject_with_holm():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 30)) + np.array([[0], [0.2], [1.5]])
    found = leaderboard.compare(values, np.arange(30))
    p = [stats.wilcoxon(values[i], values[j]).pvalue for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [test.p for test in found] == pytest.approx(p)
    assert [test.holm for test in found] == pytest.approx(leaderboard.holm(p))
    twice = leaderboard.compare(np.repeat(values, 2, 1), np.repeat(np.arange(30), 2))
    assert [test.p for test in twice] == pytest.approx(p)
    assert leaderboard.compare(values[[0, 0]], np.arange(30))[0].p == 1


def test_holm_by_hand():
    assert leaderboard.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert leaderboard.holm([0.9, 0.8]).tolist() == [1, 1]


def test_figures_of_all_cases_are_ranked_on_shared_resamples():
    rng = np.random.default_rng(0)
    each = rng.random((3, 30)) + np.array([[0.5], [0], [0]])
    each[2] = each[1]
    units = np.arange(30)
    metrics = [lambda w, v=v: np.stack([w @ v / w.sum(1), -(w @ v)], 1) for v in each]
    values, drawn = leaderboard.draw(metrics, units, count=400)
    assert np.allclose(values[:, 0], each.mean(1)) and drawn.shape == (400, 3, 2)
    board = leaderboard.rank_together(values, drawn, (1, -1))
    assert board.place.tolist() == [1, 2, 2] and board.mean_rank.tolist() == [1, 2.5, 2.5]
    clear, _, same = leaderboard.compare_together(values[:, 0], drawn[:, :, 0], 30)
    t = stats.ttest_rel(each[0], each[1])  # of means, the test is Student's paired one but for the bootstrap's chance
    assert clear.p == pytest.approx(t.pvalue, rel=1) and clear.difference == pytest.approx(each[0].mean() -
                                                                                           each[1].mean())
    assert same.p == same.holm == 1
    undefined = leaderboard.compare_together(np.array([0.5, np.nan]), np.full((9, 2), np.nan), 30)
    assert undefined[0].p == 1


def test_the_paired_bootstrap_test_rejects_as_often_as_it_says():
    """Of 400 pairs of equally good predictions tried here, 2 to 8 of 100 differ at p < 0.05."""
    rng = np.random.default_rng(5)
    both = rng.normal(size=(400, 40, 1)) + 0.7 * rng.normal(size=(400, 40, 2))
    right = (both < 0.8).astype(float)
    weights = np.concatenate(list(leaderboard.resamples(np.arange(40), 300, 0)))
    rejected = sum(leaderboard.compare_together(r.mean(0), weights @ r / 40, 40)[0].p < 0.05 for r in right)
    assert 0.02 <= rejected / 400 <= 0.08
