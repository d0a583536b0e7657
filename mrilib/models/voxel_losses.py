"""Losses for label maps: target (batch, ..., class) of 0 and 1, logits of the same shape, one number.

Classes are exclusive (softmax, the background first) or regions that overlap (sigmoid). The cross-entropies take the
logits themselves, for a probability that float32 rounds to 0 or 1 has no gradient left. The overlap losses take
probabilities. They are taken over all voxels of a batch together, for each class alone, and averaged over classes, the
background left out: small structures then have no patch in which their overlap is 0 by one voxel. Where a class is
absent from target and prediction they are 0. Made of Keras functions in float32, so that they run on any Keras backend
and never get into a model file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mrilib.errors import UsageError
from mrilib.models import registry
from mrilib.models.losses import check_weights, weights_of

KIND = "loss of label maps"
SMOOTH = 1.0  # voxels added above and below an overlap, so that an absent class is no 0 / 0


def parse(text: str) -> list[tuple[float, str]]:
    """(weight, name) of each term of a sum such as `dice+ce` or `dice+0.5*focal`. Raises UsageError."""
    known = registry.KINDS[KIND]
    terms = []
    for part in str(text).split("+"):
        match = re.fullmatch(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?([a-z-]+)\s*", part)
        if match is None or match[2] not in known or (match[1] and float(match[1]) <= 0):
            raise UsageError(f"unknown loss {text!r}", remedy=f"a sum of {' '.join(known)}, such as dice+0.5*ce")
        terms.append((float(match[1] or 1), match[2]))
    if len({name for _, name in terms}) < len(terms):
        raise UsageError(f"the loss {text!r} names a term twice")
    return terms


def make(text: str, *, exclusive: bool, class_weights: Sequence[float] | None = None) -> Callable:
    """The sum of losses that `text` names (see `parse`).

    exclusive: softmax over classes, the first of which is background; else regions. class_weights: of each class,
    the background included, for weighted-ce and focal. Raises UsageError for weights that no term takes.
    """
    terms = parse(text)
    weighted = [name for _, name in terms if name in ("weighted-ce", "focal")]
    if class_weights is not None and not weighted:
        raise UsageError(f"class weights have no effect on the loss {text}", remedy="weighted-ce or focal")
    if "weighted-ce" in weighted and class_weights is None:
        raise UsageError("weighted-ce needs class weights", remedy="--class-weights balanced, or the numbers")
    check_weights(class_weights)
    losses = []
    for weight, name in terms:
        options = {"class_weights": class_weights} if name in weighted else {}
        losses.append((weight, registry.function_of(KIND, name)(exclusive, **options)))

    def loss(target, logits):
        from keras import ops

        target, logits = ops.cast(target, "float32"), ops.cast(logits, "float32")
        return sum(weight * term(target, logits) for weight, term in losses)

    return loss


def cross_entropy(exclusive: bool) -> Callable:
    """Mean cross-entropy in nats; of regions the mean over them of the binary one."""

    def loss(target, logits):
        from keras import losses, ops

        function = losses.categorical_crossentropy if exclusive else losses.binary_crossentropy
        return ops.mean(function(target, logits, from_logits=True))

    return loss


def weighted_cross_entropy(exclusive: bool, class_weights: Sequence[float] | None = None) -> Callable:
    """Cross-entropy, each class' term times the weight of the class."""
    return _weighted(exclusive, class_weights, 0.0)


def focal(exclusive: bool, class_weights: Sequence[float] | None = None) -> Callable:
    """Focal loss (Lin et al. 2017) of gamma 2: sure voxels weigh little."""
    return _weighted(exclusive, class_weights, 2.0)


def _weighted(exclusive: bool, class_weights: Sequence[float] | None, gamma: float) -> Callable:
    """Terms by class, which Keras' losses do not give, and its focal ones clip probabilities at 1e-7."""

    def loss(target, logits):
        from keras import ops

        log_p = ops.log_softmax(logits) if exclusive else ops.log_sigmoid(logits)
        p = ops.exp(log_p)
        terms = -target * log_p * ((1 - p) ** gamma if gamma else 1.0)
        if not exclusive:
            terms = terms - (1 - target) * ops.log_sigmoid(-logits) * (p**gamma if gamma else 1.0)
        if class_weights is not None:
            terms = terms * weights_of(class_weights, target)
        return ops.mean(ops.sum(terms, -1) if exclusive else terms)

    return loss


def _overlap(exclusive: bool, ratio: Callable) -> Callable:
    """1 - the mean over classes of ratio(true positive, false positive, false negative), soft counts of a batch."""

    def loss(target, logits):
        from keras import ops

        predicted = ops.softmax(logits) if exclusive else ops.sigmoid(logits)
        if exclusive:
            target, predicted = target[..., 1:], predicted[..., 1:]
        axes = list(range(len(target.shape) - 1))
        both = ops.sum(target * predicted, axes)
        return 1 - ops.mean(ratio(both, ops.sum(predicted, axes) - both, ops.sum(target, axes) - both))

    return loss


def dice(exclusive: bool) -> Callable:
    """Soft Dice (Milletari et al. 2016, with plain sums below)."""
    return _overlap(exclusive, lambda tp, fp, fn: (2 * tp + SMOOTH) / (2 * tp + fp + fn + SMOOTH))


def iou(exclusive: bool) -> Callable:
    """Soft Jaccard (Rahman & Wang 2016)."""
    return _overlap(exclusive, lambda tp, fp, fn: (tp + SMOOTH) / (tp + fp + fn + SMOOTH))


def tversky(exclusive: bool) -> Callable:
    """Tversky loss (Salehi et al. 2017): a missed voxel weighs 0.7, a false one 0.3."""
    return _overlap(exclusive, lambda tp, fp, fn: (tp + SMOOTH) / (tp + 0.3 * fp + 0.7 * fn + SMOOTH))
