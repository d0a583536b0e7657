"""Losses for classes: one-hot target (batch, class), logits (batch, class), one number for each case.

They are made of Keras functions in float32, so that they run on any Keras backend and never get into a model file.
Logits, not probabilities: a probability that float32 rounds to 0 or 1 has no gradient left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mrilib.errors import UsageError

LOSSES = ("ce", "weighted-ce", "focal")
GAMMA = 2.0  # of focal


def make(name: str, *, smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> Callable:
    """The loss of a name in LOSSES: a function (target, logits) -> (batch,).

    ce: cross-entropy in nats, -sum over classes of target * log(probability). weighted-ce: the same times the weight of
    the true class. focal (Lin et al. 2017): each class' term times (1 - probability) ** GAMMA; class_weights are the
    paper's alpha. smoothing s turns the target into (1 - s) target + s / classes (Szegedy et al. 2016). class_weights:
    one positive number for each class, in order. Raises UsageError for weights that do not suit the loss.
    """
    if name not in LOSSES:
        raise UsageError(f"unknown loss {name!r}", remedy=f"one of {' '.join(LOSSES)}")
    if name == "ce" and class_weights is not None:
        raise UsageError("the loss ce has no class weights")
    if name == "weighted-ce" and class_weights is None:
        raise UsageError("weighted-ce needs class weights", remedy="--class-weights balanced, or the numbers")
    check_weights(class_weights)

    def loss(target, logits):
        from keras import losses, ops

        target, logits = ops.cast(target, "float32"), ops.cast(logits, "float32")
        if name == "focal":  # not Keras' own: it clips probabilities at 1e-7, below which a mistake has no gradient
            smooth = (1 - smoothing) * target + smoothing / target.shape[-1]
            log_p = ops.log_softmax(logits)
            each = -ops.sum(smooth * log_p * (1 - ops.exp(log_p)) ** GAMMA, axis=-1)
        else:
            each = losses.categorical_crossentropy(target, logits, from_logits=True, label_smoothing=smoothing)
        if class_weights is not None:
            each = each * ops.sum(target * weights_of(class_weights, target), axis=-1)
        return each

    return loss


def check_weights(class_weights: Sequence[float] | None) -> None:
    """Raise UsageError for class weights that are not positive numbers."""
    if class_weights is not None and not all(0 < weight < math.inf for weight in class_weights):
        raise UsageError("class weights must be above 0")


def weights_of(class_weights: Sequence[float], target):
    """Class weights as a tensor. Raises UsageError when their number is not that of the target's classes."""
    from keras import ops

    if len(class_weights) != target.shape[-1]:
        raise UsageError(f"{len(class_weights)} class weights for {target.shape[-1]} classes")
    return ops.convert_to_tensor(list(class_weights), "float32")
