"""Losses for label maps: truth (batch, ..., class) of 0 and 1, predicted probabilities of the same shape, one number.

Classes are exclusive (softmax, the background first) or regions that overlap (sigmoid). The overlap losses are taken
over all voxels of a batch together, each class alone, and averaged over classes, the background left out: small
structures then have no window in which their overlap is 0 by one voxel. Where a class is absent from both they
are 0. Made of keras.ops in float32, so that they run on any Keras backend and never get into a model file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pkgutil import resolve_name

from mrilib.errors import UsageError
from mrilib.models.registry import VOXEL_LOSSES

EPSILON = 1e-20  # probabilities are kept this far from 0: below it a mistake has no gradient and is never mended
NEAREST = 1e-7  # and this far from 1, about as near as float32 comes to it
SMOOTH = 1.0  # voxels added above and below an overlap, so that an absent class is no 0 / 0


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
    """The sum of losses that `text` names (see `parse`).

    exclusive: softmax over classes, the first of which is background; else regions. class_weights: of each class,
    background and all, for weighted-ce and focal. Raises UsageError for weights that nothing takes.
    """
    terms = parse(text)
    weighted = [name for _, name in terms if name in ("weighted-ce", "focal")]
    if class_weights is not None and not weighted:
        raise UsageError(f"class weights have no effect on the loss {text}", remedy="weighted-ce or focal")
    if "weighted-ce" in weighted and class_weights is None:
        raise UsageError("weighted-ce needs class weights", remedy="--class-weights balanced, or the numbers")
    made = []
    for weight, name in terms:
        more = {"class_weights": class_weights} if name in weighted else {}
        made.append((weight, resolve_name(VOXEL_LOSSES[name])(exclusive, **more)))

    def loss(truth, predicted):
        from keras import ops

        truth, predicted = ops.cast(truth, "float32"), ops.cast(predicted, "float32")
        return sum(weight * term(truth, predicted) for weight, term in made)

    return loss


def cross_entropy(exclusive: bool, class_weights: Sequence[float] | None = None, gamma: float = 0.0) -> Callable:
    """Mean cross-entropy in nats; of regions the mean over them of the binary one. gamma > 0 is focal loss."""

    def loss(truth, predicted):
        from keras import ops

        p, other = ops.maximum(predicted, EPSILON), ops.maximum(1 - predicted, NEAREST)
        terms = -truth * ops.log(p) * (other**gamma if gamma else 1.0)
        if not exclusive:
            terms = terms - (1 - truth) * ops.log(other) * (p**gamma if gamma else 1.0)
        if class_weights is not None:
            terms = terms * ops.convert_to_tensor(list(class_weights), "float32")
        return ops.mean(ops.sum(terms, -1) if exclusive else terms)

    return loss


def weighted_cross_entropy(exclusive: bool, class_weights: Sequence[float]) -> Callable:
    """Cross-entropy times the weight of the class."""
    return cross_entropy(exclusive, class_weights)


def focal(exclusive: bool, class_weights: Sequence[float] | None = None) -> Callable:
    """Focal loss (Lin et al. 2017) of gamma 2: sure voxels weigh little."""
    return cross_entropy(exclusive, class_weights, gamma=2.0)


def _overlap(exclusive: bool, ratio: Callable) -> Callable:
    """1 - the mean over classes of ratio(true positive, false positive, false negative), soft counts of a batch."""

    def loss(truth, predicted):
        from keras import ops

        if exclusive:
            truth, predicted = truth[..., 1:], predicted[..., 1:]
        axes = list(range(len(truth.shape) - 1))
        both = ops.sum(truth * predicted, axes)
        return 1 - ops.mean(ratio(both, ops.sum(predicted, axes) - both, ops.sum(truth, axes) - both))

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
