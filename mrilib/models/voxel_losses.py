"""Losses for label maps: target (batch, ..., class) of 0 and 1, logits of the same shape, one number.

Classes are exclusive (softmax, the background first) or regions that overlap (sigmoid). The cross-entropies take the
logits themselves, because a probability that float32 rounds to 0 or 1 has no gradient left. The overlap losses take
probabilities. They are computed over all voxels of a batch together, for each class, and averaged over classes without
the background: so no patch has an overlap of 0 because of one voxel of a small structure. Where a class is absent from
target and prediction they are 0. Made of Keras functions in float32, so that they run on any Keras backend
and never get into a model file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mrilib.errors import UsageError
from mrilib.models.losses import check_weights, weights_of

SMOOTH = 1.0  # voxels added above and below an overlap, so that an absent class is no 0 / 0
GAMMA = 2.0  # of focal


def parse(text: str) -> list[tuple[float, str]]:
    """(weight, name) of each term of a sum such as `dice+ce` or `dice+0.5*focal`. Raises UsageError."""
    terms = []
    for part in str(text).split("+"):
        match = re.fullmatch(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?([a-z-]+)\s*", part)
        if match is None or match[2] not in VOXEL_LOSSES or (match[1] and float(match[1]) <= 0):
            raise UsageError(f"unknown loss {text!r}", remedy=f"a sum of {' '.join(VOXEL_LOSSES)}, such as dice+0.5*ce")
        terms.append((float(match[1] or 1), match[2]))
    if len({name for _, name in terms}) < len(terms):
        raise UsageError(f"the loss {text!r} names a term twice")
    return terms


def make(text: str, *, exclusive: bool, class_weights: Sequence[float] | None = None) -> Callable:
    """The sum of losses that `text` names (see `parse`): a function (target, logits) -> number.

    exclusive: softmax over classes, the first of which is background; else regions. class_weights: of each class,
    the background included, for weighted-ce and focal. Raises UsageError for weights that no term takes.
    """
    terms = parse(text)
    weighted = {"weighted-ce", "focal"} & {name for _, name in terms}
    if class_weights is not None and not weighted:
        raise UsageError(f"class weights have no effect on the loss {text}", remedy="weighted-ce or focal")
    if "weighted-ce" in weighted and class_weights is None:
        raise UsageError("weighted-ce needs class weights", remedy="--class-weights balanced, or the numbers")
    check_weights(class_weights)

    def loss(target, logits):
        from keras import ops

        target, logits = ops.cast(target, "float32"), ops.cast(logits, "float32")
        return sum(weight * VOXEL_LOSSES[name](target, logits, exclusive, class_weights) for weight, name in terms)

    return loss


def cross_entropy(target, logits, exclusive: bool, _weights=None):
    """Mean cross-entropy in nats; of regions the mean over them of the binary one."""
    from keras import losses, ops

    function = losses.categorical_crossentropy if exclusive else losses.binary_crossentropy
    return ops.mean(function(target, logits, from_logits=True))


def weighted_cross_entropy(target, logits, exclusive: bool, class_weights: Sequence[float] | None, gamma: float = 0.0):
    """Cross-entropy, each class' term times its weight and (1 - probability) ** gamma. Keras' losses do not give the
    terms of each class, and its focal ones clip probabilities at 1e-7."""
    from keras import ops

    log_p = ops.log_softmax(logits) if exclusive else ops.log_sigmoid(logits)
    p = ops.exp(log_p)
    terms = -target * log_p * ((1 - p) ** gamma if gamma else 1.0)
    if not exclusive:
        terms = terms - (1 - target) * ops.log_sigmoid(-logits) * (p**gamma if gamma else 1.0)
    if class_weights is not None:
        terms = terms * weights_of(class_weights, target)
    return ops.mean(ops.sum(terms, -1) if exclusive else terms)


def focal(target, logits, exclusive: bool, class_weights: Sequence[float] | None):
    """Focal loss (Lin et al. 2017): voxels that are predicted with confidence weigh little."""
    return weighted_cross_entropy(target, logits, exclusive, class_weights, GAMMA)


def _overlap(ratio: Callable) -> Callable:
    """1 - the mean over classes of ratio(true positive, false positive, false negative), soft counts of a batch."""

    def loss(target, logits, exclusive: bool, _weights=None):
        from keras import ops

        predicted = ops.softmax(logits) if exclusive else ops.sigmoid(logits)
        if exclusive:
            target, predicted = target[..., 1:], predicted[..., 1:]
        axes = list(range(len(target.shape) - 1))
        both = ops.sum(target * predicted, axes)
        return 1 - ops.mean(ratio(both, ops.sum(predicted, axes) - both, ops.sum(target, axes) - both))

    return loss


VOXEL_LOSSES = {  # name -> function (target, logits, exclusive, class weights) -> number
    "ce": cross_entropy,
    "weighted-ce": weighted_cross_entropy,
    "dice": _overlap(lambda tp, fp, fn: (2 * tp + SMOOTH) / (2 * tp + fp + fn + SMOOTH)),  # Milletari et al. 2016
    "iou": _overlap(lambda tp, fp, fn: (tp + SMOOTH) / (tp + fp + fn + SMOOTH)),  # Rahman & Wang 2016
    "focal": focal,
    "tversky": _overlap(lambda tp, fp, fn: (tp + SMOOTH) / (tp + 0.3 * fp + 0.7 * fn + SMOOTH)),  # Salehi et al. 2017
}
