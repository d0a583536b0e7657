"""Ranks, places and paired tests: by hand, against scipy, and what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrilib.metrics import leaderboard


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
