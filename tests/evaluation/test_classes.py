"""Metrics of classes against scikit-learn, weighted and plain, and what is said where a metric is not defined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from mrilib.evaluation.metrics.classes import all_metrics, ranking

POINTWISE = settings(max_examples=25, deadline=None)


def draw(seed, n=60, k=3, ties=True):
    """Truth, prediction, probabilities (with ties) and integer weights; every class occurs with a weight."""
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    z = rng.normal(0, 1, (n, k)) + np.eye(k)[truth]
    p = np.exp(z)
    p = np.round(p / p.sum(1, keepdims=True), 1 if ties else 6) + 1e-3
    p /= p.sum(1, keepdims=True)
    weights = rng.integers(0, 4, (3, n))
    weights[:, :k] += 1
    return truth, p.argmax(1), p, weights.astype(np.float32)


def reference(truth, predicted, p, w):
    """The same metrics by scikit-learn."""
    k = p.shape[1]
    labels = list(range(k))
    options = {"sample_weight": w, "labels": labels, "zero_division": np.nan}
    hot = np.eye(k)[truth]
    multilabel = metrics.multilabel_confusion_matrix(truth, predicted, sample_weight=w, labels=labels)
    return {
        "accuracy": metrics.accuracy_score(truth, predicted, sample_weight=w),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted, sample_weight=w),
        "sensitivity": metrics.recall_score(truth, predicted, average=None, **options),
        "specificity": multilabel[:, 0, 0] / multilabel[:, 0].sum(1),
        "precision": metrics.precision_score(truth, predicted, average=None, **options),
        "f1": metrics.f1_score(truth, predicted, average=None, **options),
        "f1_macro": metrics.f1_score(truth, predicted, average="macro", **options),
        "f1_weighted": metrics.f1_score(truth, predicted, average="weighted", **options),
        "mcc": metrics.matthews_corrcoef(truth, predicted, sample_weight=w),
        "kappa": metrics.cohen_kappa_score(truth, predicted, sample_weight=w),
        "roc_auc": [metrics.roc_auc_score(truth == c, p[:, c], sample_weight=w) for c in labels],
        "average_precision": [metrics.average_precision_score(truth == c, p[:, c], sample_weight=w) for c in labels],
        "log_loss": metrics.log_loss(truth, p, sample_weight=w, labels=labels),
        "brier": (metrics.brier_score_loss(truth, p[:, 1], sample_weight=w) if k == 2
                  else np.average(((p - hot) ** 2).sum(1), weights=w)),
        **({"roc_auc_macro": metrics.roc_auc_score(truth, p, multi_class="ovr", sample_weight=w)} if k > 2 else {}),
    }  # fmt: skip


@POINTWISE
@given(st.integers(0, 10**6), st.integers(2, 5), st.booleans(), st.integers(10, 160))
def test_figures_are_those_of_scikit_learn(seed, k, ties, n):
    truth, predicted, p, weights = draw(seed, n, k, ties)
    predicted[:k] = np.arange(k)  # so that none is 0 / 0
    found = all_metrics(truth, predicted, p, k)(weights)
    for row, w in enumerate(weights):
        for name, value in reference(truth, predicted, p, w).items():
            np.testing.assert_allclose(found[name][row], value, rtol=2e-5, atol=2e-6, err_msg=name)
    plain = all_metrics(truth, predicted, p, k)(np.ones((1, n)))
    for name, value in reference(truth, predicted, p, np.ones(n)).items():
        np.testing.assert_allclose(plain[name][0], value, rtol=1e-6, err_msg=name)


def test_weights_are_repetitions():
    truth, predicted, p, weights = draw(5, 80, 3)
    found = all_metrics(truth, predicted, p, 3)(weights)
    for row, w in enumerate(weights):
        i = np.repeat(np.arange(80), w.astype(int))
        one = all_metrics(truth[i], predicted[i], p[i], 3)(np.ones((1, len(i))))
        for name in one:
            np.testing.assert_allclose(found[name][row], one[name][0], rtol=3e-5, err_msg=name)


def test_calibration_error_by_hand():
    p = np.array([[0.95, 0.05], [0.91, 0.09], [0.3, 0.7], [0.28, 0.72]])
    truth = np.array([0, 1, 1, 1])
    found = all_metrics(truth, p.argmax(1), p, 2)(np.ones((1, 4)))["calibration_error"][0]
    assert found == pytest.approx((abs(1 - 0.95 - 0.91) + abs(2 - 0.7 - 0.72)) / 4)


def test_a_missing_prediction_is_wrong_everywhere():
    truth, predicted, p, _ = draw(1, 40, 3, ties=False)
    plain = all_metrics(truth, predicted, p, 3)(np.ones((1, 40)))
    right = np.flatnonzero(truth == predicted)[0]
    gone = predicted.copy()
    gone[right] = -1
    found = all_metrics(truth, gone, p, 3)(np.ones((1, 40)))
    assert found["accuracy"][0] == pytest.approx(plain["accuracy"][0] - 1 / 40)
    assert all(np.isfinite(v).all() for v in found.values())
    for name in ("balanced_accuracy", "f1_macro", "mcc", "kappa", "roc_auc_macro"):
        assert found[name][0] < plain[name][0], name
    for name in ("log_loss", "brier"):
        assert found[name][0] > plain[name][0], name
    nothing = all_metrics(truth, np.full(40, -1), p, 3)(np.ones((1, 40)))
    assert nothing["accuracy"][0] == 0 and nothing["roc_auc_macro"][0] == pytest.approx(0)


def test_where_a_figure_is_not_defined_it_is_nan_and_means_leave_it_out():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    p = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1]])
    found = {name: v[0] for name, v in all_metrics(truth, predicted, p, 3)(np.ones((1, 4))).items()}
    assert np.isnan(found["sensitivity"][2]) and np.isnan(found["precision"][2]) and np.isnan(found["f1"][2])
    assert np.isnan(found["roc_auc"][2]) and np.isnan(found["average_precision"][2])
    assert found["specificity"][2] == 1
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert found["f1_weighted"] == pytest.approx(metrics.f1_score(truth, predicted, average="weighted"))
    assert found["roc_auc_macro"] == pytest.approx(1)
    constant = all_metrics(truth, np.zeros(4, int), None, 2)(np.ones((1, 4)))
    assert np.isnan(constant["mcc"][0]) and constant["kappa"][0] == 0 and constant["balanced_accuracy"][0] == 0.5
    alone = all_metrics(np.zeros(3, int), np.zeros(3, int), np.ones((3, 1)), 1)(np.ones((1, 3)))
    assert alone["accuracy"][0] == 1 and np.isnan(alone["kappa"][0]) and np.isnan(alone["specificity"][0, 0])


@pytest.mark.parametrize("n", [1, 2, 49, 50, 51, 333])
def test_ranking_of_any_length(n):
    rng = np.random.default_rng(n)
    positive, score = rng.random(n) < 0.5, rng.integers(0, 5, n) / 5
    area, average = ranking(positive, score)(np.ones((1, n)))
    if 0 < positive.sum() < n:
        assert area[0] == pytest.approx(metrics.roc_auc_score(positive, score))
        assert average[0] == pytest.approx(metrics.average_precision_score(positive, score))
    else:
        assert np.isnan(area[0])
