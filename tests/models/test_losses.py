import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models import losses

TRUTH = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
PREDICTED = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.98, 0.01, 0.01], [0.0, 1.0, 0.0]], np.float32)
OF_TRUE = np.array([0.7, 0.4, 0.01, 1.0])


def value(name, **settings):
    logits = np.log(np.maximum(PREDICTED, 1e-30)) + 3  # any constant is the same to softmax
    return np.asarray(losses.make(name, **settings)(TRUTH, logits))


def test_cross_entropy_is_minus_the_log_of_the_true_class():
    assert value("ce") == pytest.approx(-np.log(OF_TRUE), abs=1e-5)


def test_smoothing_shares_the_truth_among_all_classes():
    smooth = 0.9 * TRUTH + 0.1 / 3
    expected = -(smooth * np.log(np.clip(PREDICTED, 1e-30, 1))).sum(-1)
    assert value("ce", smoothing=0.1) == pytest.approx(expected, rel=1e-5)


def test_weights_multiply_the_loss_of_their_true_class():
    weights = np.array([2.0, 0.5, 1.0])
    expected = -np.log(OF_TRUE) * weights[[0, 1, 2, 1]]
    assert value("weighted-ce", class_weights=list(weights)) == pytest.approx(expected, abs=1e-5)


def test_focal_is_the_formula_of_its_paper():
    expected = -((1 - OF_TRUE) ** 2) * np.log(OF_TRUE)
    assert value("focal") == pytest.approx(expected, abs=1e-5)
    alpha = np.array([1.0, 3.0, 1.0])[[0, 1, 2, 1]]
    assert value("focal", class_weights=[1, 3, 1]) == pytest.approx(expected * alpha, abs=1e-5)


@pytest.mark.parametrize("name", ["ce", "focal"])
def test_a_mistake_costs_as_much_as_it_is_sure(name):
    loss = losses.make(name)(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 500.0], [0.0, 500.0]]))
    assert np.asarray(loss) == pytest.approx([500, 0])


def test_smoothing_acts_on_focal_too():
    smooth = 0.9 * TRUTH + 0.1 / 3
    expected = -(smooth * np.log(np.clip(PREDICTED, 1e-30, 1)) * (1 - PREDICTED) ** 2).sum(-1)
    assert value("focal", smoothing=0.1) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("name", "settings"), [
    ("hinge", {}), ("ce", {"class_weights": [1, 2]}), ("weighted-ce", {}), ("focal", {"class_weights": [0, 1, 1]}),
    ("focal", {"class_weights": [1, float("nan"), 1]}), (["ce"], {}),
])  # fmt: skip
def test_what_a_loss_does_not_have_is_refused(name, settings):
    with pytest.raises(UsageError):
        losses.make(name, **settings)


def test_weights_for_another_number_of_classes_are_refused():
    with pytest.raises(UsageError, match="2 class weights for 3 classes"):
        value("weighted-ce", class_weights=[1, 2])
