"""Losses for classes: truth one-hot (batch, class), predicted probabilities (batch, class), one number a case.

Each maker returns `loss(truth, predicted) -> (batch,)` in float32, made of keras.ops, so that it runs on any
Keras backend and never gets into a model file. smoothing s turns the truth into (1 - s) truth + s / classes
(Szegedy et al. 2016). An empty batch gives an empty result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pkgutil import resolve_name

from mrilib.errors import UsageError
from mrilib.models.registry import LOSSES

EPSILON = 1e-20  # probabilities are kept this far from 0, so that a sure mistake has a finite loss, and a gradient


def make(name: str, **settings) -> Callable:
    """The loss of a registry name. settings: smoothing, class_weights, gamma; None means its default.

    Raises UsageError for an unknown name or a setting that this loss does not have.
    """
    if name not in LOSSES:
        raise UsageError(f"unknown loss {name!r}", remedy=f"one of {' '.join(LOSSES)}")
    made = resolve_name(LOSSES[name])
    settings = {key: value for key, value in settings.items() if value is not None}
    if strange := sorted(set(settings) - set(made.__kwdefaults__ or {})):
        raise UsageError(f"the loss {name} has no {strange[0].replace('_', ' ')}")
    return made(**settings)


def cross_entropy(*, smoothing: float = 0.0) -> Callable:
    """Cross-entropy in nats: -sum over classes of truth * log(predicted)."""
    return _loss(smoothing, None, 0.0)


def weighted_cross_entropy(*, smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> Callable:
    """Cross-entropy times the weight of the true class. class_weights: one positive number a class, in order.

    Raises UsageError without weights: with none it would be plain cross-entropy under another name.
    """
    if class_weights is None:
        raise UsageError("weighted-ce needs class weights", remedy="--class-weights balanced, or the numbers")
    return _loss(smoothing, class_weights, 0.0)


def focal(*, smoothing: float = 0.0, class_weights: Sequence[float] | None = None, gamma: float = 2.0) -> Callable:
    """Focal loss (Lin et al. 2017): each class' term of the cross-entropy times (1 - predicted) ** gamma.

    gamma 0 is cross-entropy; class_weights are the paper's alpha, one number a class.
    """
    return _loss(smoothing, class_weights, gamma)


def _loss(smoothing: float, class_weights: Sequence[float] | None, gamma: float) -> Callable:
    if not 0 <= smoothing < 1:
        raise UsageError(f"label smoothing {smoothing:g} is not in 0 to 1")
    if gamma < 0:
        raise UsageError(f"gamma {gamma:g} is below 0")
    if class_weights is not None and min(class_weights) <= 0:
        raise UsageError("class weights must be above 0")

    def loss(truth, predicted):
        from keras import ops

        truth = ops.cast(truth, "float32")
        predicted = ops.clip(ops.cast(predicted, "float32"), EPSILON, 1.0)
        target = (1 - smoothing) * truth + smoothing / truth.shape[-1] if smoothing else truth
        terms = -target * ops.log(predicted)
        if gamma:
            terms = terms * (1 - predicted) ** gamma
        each = ops.sum(terms, axis=-1)
        if class_weights is not None:
            if len(class_weights) != truth.shape[-1]:
                raise UsageError(f"{len(class_weights)} class weights for {truth.shape[-1]} classes")
            each = each * ops.sum(truth * ops.convert_to_tensor(list(class_weights), "float32"), axis=-1)
        return each

    return loss
