"""Losses of label maps against numpy, and their limits."""

import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models import losses, voxel_losses
from mrilib.models.voxel_losses import VOXEL_LOSSES

RNG = np.random.default_rng(0)
TRUTH = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, (2, 4, 5))]
P = RNG.dirichlet([1, 1, 1], (2, 4, 5)).astype(np.float32)


def value(text, truth=TRUTH, predicted=P, **more):
    exclusive = more.pop("exclusive", True)
    predicted = np.clip(predicted, 1e-9, 1 - 1e-7)
    logits = np.log(predicted) if exclusive else np.log(predicted) - np.log1p(-predicted)
    return float(voxel_losses.make(text, exclusive=exclusive, **more)(truth, logits))


def test_each_is_what_its_formula_says():
    tp = (TRUTH * P).sum((0, 1, 2))[1:]
    fp, fn = P.sum((0, 1, 2))[1:] - tp, TRUTH.sum((0, 1, 2))[1:] - tp
    assert value("ce") == pytest.approx(-(TRUTH * np.log(P)).sum(-1).mean(), rel=1e-4)
    assert value("dice") == pytest.approx(1 - ((2 * tp + 1) / (2 * tp + fp + fn + 1)).mean(), rel=1e-5)
    assert value("iou") == pytest.approx(1 - ((tp + 1) / (tp + fp + fn + 1)).mean(), rel=1e-5)
    assert value("tversky") == pytest.approx(1 - ((tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)).mean(), rel=1e-5)
    assert value("focal") == pytest.approx(-(TRUTH * (1 - P) ** 2 * np.log(P)).sum(-1).mean(), rel=1e-4)
    weights = [0.5, 1, 2]
    assert value("weighted-ce", class_weights=weights) == pytest.approx(-(TRUTH * weights * np.log(P)).sum(-1).mean(),
                                                                        rel=1e-4)  # fmt: skip
    assert value("dice+0.5*ce") == pytest.approx(value("dice") + 0.5 * value("ce"), rel=1e-6)


def test_regions_count_every_output():
    truth, predicted = (TRUTH[..., :2] > 0).astype(np.float32), P[..., :2]
    bce = -(truth * np.log(predicted) + (1 - truth) * np.log(1 - predicted)).mean()
    assert value("ce", truth, predicted, exclusive=False) == pytest.approx(bce, rel=1e-4)
    tp = (truth * predicted).sum((0, 1, 2))
    dice = (2 * tp + 1) / (predicted.sum((0, 1, 2)) + truth.sum((0, 1, 2)) + 1)
    assert value("dice", truth, predicted, exclusive=False) == pytest.approx(1 - dice.mean(), rel=1e-5)


@pytest.mark.parametrize("name", [n for n in VOXEL_LOSSES if n != "weighted-ce"])
def test_perfect_is_next_to_nothing_and_worse_is_more(name):
    assert value(name, TRUTH, TRUTH) < 1e-3 < value(name) < value(name, TRUTH, np.roll(TRUTH, 1, -1))


@pytest.mark.parametrize("loss", [voxel_losses.make("ce", exclusive=True), losses.make("ce"), losses.make("focal")])
def test_a_mistake_is_learned_from_however_sure_it_is(loss):
    from mrilib.gpu.gradients import gradient

    truth = np.array([[0, 1]], np.float32)
    slope = gradient(lambda logits: loss(truth, logits), np.array([[300, 0]], np.float32))
    assert slope[0] == pytest.approx([1, -1], abs=1e-3)


@pytest.mark.parametrize(("name", "weight"), [("ce", 1), ("weighted-ce", 3), ("focal", 1)])
def test_a_missed_region_is_learned_from_however_sure_the_mistake_is(name, weight):
    from mrilib.gpu.gradients import gradient

    more = {"class_weights": [1, weight]} if weight > 1 else {}
    loss = voxel_losses.make(name, exclusive=False, **more)
    slope = gradient(lambda logits: loss(np.array([[0, 1]], np.float32), logits), np.array([[-300, -300]], np.float32))
    assert slope[0] == pytest.approx([0, -0.5 * weight], abs=1e-3)


def test_a_right_answer_that_is_sure_has_no_gradient_and_no_nan():
    from mrilib.gpu.gradients import gradient

    for name in VOXEL_LOSSES:
        for exclusive in (True, False):
            more = {"class_weights": [1.0, 2.0]} if name == "weighted-ce" else {}
            loss = voxel_losses.make(name, exclusive=exclusive, **more)
            slope = gradient(lambda logits, loss=loss: loss(np.array([[0, 1]], np.float32), logits),
                             np.array([[-300, 300]], np.float32))  # fmt: skip
            assert slope[0] == pytest.approx([0, 0], abs=1e-6), (name, exclusive)


@pytest.mark.parametrize(("weights", "what"), [([1, 2], "2 class weights for 3 classes"), ([1], "1 class weights"),
                                               ([1, -1, 1], "above 0"), ([1, float("nan"), 1], "above 0")])  # fmt: skip
@pytest.mark.parametrize("name", ["weighted-ce", "focal"])
def test_weights_that_do_not_fit_are_refused(name, weights, what):
    with pytest.raises(UsageError, match=what):
        value(name, class_weights=weights)


@pytest.mark.parametrize(("text", "what"), [("dyce", "unknown loss"), ("dice+dice", "twice"), ("0*ce", "unknown loss"),
                                            ("weighted-ce", "needs class weights")])  # fmt: skip
def test_wrong_names_are_said(text, what):
    with pytest.raises(UsageError, match=what):
        voxel_losses.make(text, exclusive=True)
    if text == "dyce":
        with pytest.raises(UsageError, match="no effect"):
            voxel_losses.make("dice", exclusive=True, class_weights=[1, 1])
