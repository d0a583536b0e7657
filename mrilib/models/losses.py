"""Losses for classes: one-hot target (batch, class), logits (batch, class), one number for each case.

Each maker returns `loss(target, logits) -> (batch,)` in float32, made of Keras functions, so that it runs on any Keras
backend and never gets into a model file. Logits, not probabilities: a probability that float32 rounds to 0 or 1 has no
gradient left. smoothing s turns the target into (1 - s) target + s / classes (Szegedy et al. 2016). An empty batch
gives an empty result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mrilib.errors import UsageError
from mrilib.models import registry


def make(name: str, **settings) -> Callable:
    """The loss of a registry name. settings: smoothing, class_weights, gamma; None means its default.

    Raises UsageError for an unknown name or a setting that this loss does not have.
    """
    maker = registry.function_of("loss", name)
    settings = {key: value for key, value in settings.items() if value is not None}
    if unknown := sorted(set(settings) - set(maker.__kwdefaults__ or {})):
        raise UsageError(f"the loss {name} has no {unknown[0].replace('_', ' ')}")
    return maker(**settings)


def cross_entropy(*, smoothing: float = 0.0) -> Callable:
    """Cross-entropy in nats: -sum over classes of target * log(probability)."""
    return _loss(smoothing, None, 0.0)


def weighted_cross_entropy(*, smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> Callable:
    """Cross-entropy times the weight of the true class. class_weights: one positive number for each class, in order.

    Raises UsageError without weights: the loss would be plain cross-entropy under another name.
    """
    if class_weights is None:
        raise UsageError("weighted-ce needs class weights", remedy="--class-weights balanced, or the numbers")
    return _loss(smoothing, class_weights, 0.0)


def focal(*, smoothing: float = 0.0, class_weights: Sequence[float] | None = None, gamma: float = 2.0) -> Callable:
    """Focal loss (Lin et al. 2017): each class' term of the cross-entropy times (1 - probability) ** gamma.

    gamma 0 is cross-entropy; class_weights are the paper's alpha, one number for each class.
    """
    return _loss(smoothing, class_weights, gamma)


def check_weights(class_weights: Sequence[float] | None) -> None:
    """Raises UsageError for class weights that are not positive numbers."""
    if class_weights is not None and not all(0 < weight < math.inf for weight in class_weights):
        raise UsageError("class weights must be above 0")


def weights_of(class_weights: Sequence[float], target):
    """Class weights as a tensor. Raises UsageError when their number is not that of the target's classes."""
    from keras import ops

    if len(class_weights) != target.shape[-1]:
        raise UsageError(f"{len(class_weights)} class weights for {target.shape[-1]} classes")
    return ops.convert_to_tensor(list(class_weights), "float32")


def _loss(smoothing: float, class_weights: Sequence[float] | None, gamma: float) -> Callable:
    if not 0 <= smoothing < 1:
        raise UsageError(f"label smoothing {smoothing:g} is not in 0 to 1")
    if not 0 <= gamma < math.inf:
        raise UsageError(f"gamma {gamma:g} is not 0 or more")
    check_weights(class_weights)

    def loss(target, logits):
        from keras import losses, ops

        target, logits = ops.cast(target, "float32"), ops.cast(logits, "float32")
        if gamma:  # not Keras' own focal loss: it clips probabilities at 1e-7, below which a mistake has no gradient
            smooth = (1 - smoothing) * target + smoothing / target.shape[-1]
            log_p = ops.log_softmax(logits)
            each = -ops.sum(smooth * log_p * (1 - ops.exp(log_p)) ** gamma, axis=-1)
        else:
            each = losses.categorical_crossentropy(target, logits, from_logits=True, label_smoothing=smoothing)
        if class_weights is not None:
            each = each * ops.sum(target * weights_of(class_weights, target), axis=-1)
        return each

    return loss
