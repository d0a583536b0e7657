"""Overlap of label maps against scikit-learn, and what is agreed for empty parts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from mrilib.errors import CaseError
from mrilib.evaluation.metrics import overlap

PARTS = {"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}


def maps(seed, shape=(6, 7, 8)):
    rng = np.random.default_rng(seed)
    reference = rng.choice(np.array([0, 1, 2, 4], np.uint8), shape)
    prediction = np.where(rng.random(shape) < 0.6, reference, rng.choice(np.array([0, 1, 2, 4], np.uint8), shape))
    return prediction, reference


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(4, 5), (3, 4, 5), (1, 9, 2)]))
def test_figures_are_those_of_scikit_learn(seed, shape):
    prediction, reference = maps(seed, shape)
    for name, numbers in PARTS.items():
        p, r = np.isin(prediction, numbers).ravel(), np.isin(reference, numbers).ravel()
        if not (p.any() and r.any() and not r.all()):
            continue
        found = overlap.metrics(*overlap.counts(prediction, reference, PARTS)[name])
        assert found["dice"] == pytest.approx(metrics.f1_score(r, p), abs=1e-12)
        assert found["iou"] == pytest.approx(metrics.jaccard_score(r, p), abs=1e-12)
        assert found["sensitivity"] == pytest.approx(metrics.recall_score(r, p), abs=1e-12)
        assert found["specificity"] == pytest.approx(metrics.recall_score(~r, ~p), abs=1e-12)
        assert found["precision"] == pytest.approx(metrics.precision_score(r, p), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_swapped_maps_swap_sensitivity_and_precision_and_counts_fill_the_map(seed):
    prediction, reference = maps(seed)
    there, back = overlap.counts(prediction, reference, PARTS), overlap.counts(reference, prediction, PARTS)
    for name in PARTS:
        assert sum(there[name]) == prediction.size
        one, other = overlap.metrics(*there[name]), overlap.metrics(*back[name])
        assert one["dice"] == other["dice"] and one["sensitivity"] == other["precision"]


def test_empty_parts():
    empty, full = np.zeros((5, 5), np.uint8), np.full((5, 5), 4, np.uint8)

    def metrics(prediction, reference):
        return list(overlap.metrics(*overlap.counts(prediction, reference, PARTS)["core"], 8.0).values())

    assert overlap.counts(empty, empty, PARTS)["core"] == (0, 0, 0, 25)
    assert metrics(empty, empty) == [1] * 5 + [0] * 3
    assert metrics(empty, full) == pytest.approx([0, 0, 0, math.nan, math.nan, 0, 200, -1], nan_ok=True)
    assert metrics(full, empty) == pytest.approx([0, 0, math.nan, 0, 0, 200, 0, math.nan], nan_ok=True)


def test_parts_may_have_other_numbers_in_the_prediction():
    prediction, reference = maps(3)
    other = np.array([0, 2, 1, 0, 3], np.uint8)[prediction]  # 1 and 2 swapped, 4 is 3
    theirs = {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert overlap.counts(other, reference, PARTS, theirs) == overlap.counts(prediction, reference, PARTS)


@pytest.mark.parametrize(("prediction", "reference"), [
    (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)),
    (np.zeros((2, 3), np.int16), np.zeros((2, 3), np.uint8)),
])
def test_what_cannot_be_compared_is_refused(prediction, reference):
    with pytest.raises(ValueError, match="label maps of"):
        overlap.counts(prediction, reference, PARTS)


def test_numbers_are_counted_wherever_they_lie():
    for array in (maps(5)[0], np.zeros((3, 4), np.uint8), np.full((2, 2, 2), 9, np.uint8)):
        assert (overlap.numbers_of(array) == np.bincount(array.ravel(), minlength=256)).all()


def test_numbers_of_an_unknown_scheme_are_those_of_the_prediction():
    from mrilib import labels
    from mrilib.evaluation.pairs import in_scheme, parts_of

    unknown = labels.of_values([0, 1, 2, 3])
    parts = parts_of(unknown)
    assert in_scheme(parts, unknown, labels.SCHEMES["brats2023"]) == {"1": (1,), "2": (2,), "3": (3,)}
    with pytest.raises(CaseError, match="scheme brats2020 has no"):
        in_scheme(parts, unknown, labels.SCHEMES["brats2020"])


def test_a_region_of_ones_own_is_its_labels_whatever_another_scheme_calls_so():
    from mrilib.evaluation.pairs import in_scheme
    from mrilib.labels import SCHEMES

    brats, msd, binary = (SCHEMES[name] for name in ("brats2023", "msd", "binary"))
    assert in_scheme({"TC": (1,), "core": (1,)}, brats, msd) == {"TC": (2,), "core": (2,)}
    assert in_scheme({"TC": (3, 1), "WT": (1, 2, 3)}, brats, msd) == {"TC": (2, 3), "WT": (1, 2, 3)}
    assert in_scheme({"WT": (1,)}, binary, msd) == {"WT": (1, 2, 3)}
    with pytest.raises(CaseError, match=r"binary has no WT, which scheme brats2023 of the reference has \(2\)"):
        in_scheme({"WT": (2,)}, brats, binary)
