"""Classification figures, from weighted counts, so that one call does all resamples of a bootstrap at once.

Weights say how often each case counts: (r, n), one row a resample; a row of ones is the plain figure. Every function
gives (r,) or (r, classes). Definitions are scikit-learn's; where a figure is 0 / 0 (no case of the class, none
predicted) it is NaN, never a made-up 0 or 1. Multi-class figures without a class are means over the classes.
"""

from __future__ import annotations

import numpy as np

BINS = 10  # of the calibration error


def confusion(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray, classes: int) -> np.ndarray:
    """Counts (r, classes, classes + 1): true class, then predicted class; the last column counts no prediction.

    truth: (n,) 0 to classes - 1. predicted: (n,), -1 for a missing one.
    """
    cell = truth * (classes + 1) + np.where(predicted < 0, classes, predicted)
    hit = np.zeros((len(truth), classes * (classes + 1)), weights.dtype)
    hit[np.arange(len(truth)), cell] = 1
    return (weights @ hit).reshape(len(weights), classes, classes + 1)


def from_confusion(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of confusion counts (r, k, k + 1): each class's own as (r, k), those of all classes as (r,).

    accuracy is a share, 0 to 1: correct / total. balanced_accuracy: mean sensitivity. mcc: Gorodkin 2004.
    kappa: Cohen 1960. A missing prediction is wrong in all of them.
    """
    counts = counts.astype(float)
    k = counts.shape[1]
    total = counts.sum((1, 2))
    right = np.diagonal(counts[:, :, :k], axis1=1, axis2=2)
    true, called = counts.sum(2), counts.sum(1)
    wrongly = called[:, :k] - right
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity = right / true
        specificity = (total[:, None] - true - wrongly) / (total[:, None] - true)
        precision = right / called[:, :k]
        f1 = 2 * right / (true + called[:, :k])
        agree = right.sum(1)
        chance = (true * called[:, :k]).sum(1)
        spread = np.sqrt((total**2 - (called**2).sum(1)) * (total**2 - (true**2).sum(1)))
        return {
            "accuracy": agree / total,
            "balanced_accuracy": sensitivity.mean(1),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": precision,
            "f1": f1,
            "f1_macro": f1.mean(1),
            "f1_weighted": (f1 * true).sum(1) / total,
            "mcc": (agree * total - chance) / spread,
            "kappa": (agree * total - chance) / (total**2 - chance),
        }


def ranked(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve and average precision, each (r,). positive: (n,) bool; score: (n,), ties are ties."""
    order = np.argsort(-score, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    sorted_weights = weights[:, order]
    up = np.add.reduceat(sorted_weights * positive[order], first, 1)
    down = np.add.reduceat(sorted_weights, first, 1) - up
    above = np.cumsum(up, 1)
    positives, negatives = above[:, -1], down.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (down * (above - up / 2)).sum(1) / (positives * negatives)
        precision = above / (above + np.cumsum(down, 1))
        average = np.where(up > 0, up * precision, 0).sum(1) / positives
    return area, average


def probabilistic(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray,
                  curves: list[int] | None = None) -> dict[str, np.ndarray]:
    """Figures of the probabilities themselves, each (r,) but roc_auc and average_precision, which are (r, curves).

    probability: (n, k), rows sum to 1. curves: the classes, each against the rest, that these are for; all unless
    given. log_loss: natural logarithm, clipped at the type's smallest step as
    scikit-learn does. brier: sum over classes of squared errors, halved for two classes (Brier's own for one).
    calibration_error: expected, over BINS equal bins of the largest probability (Guo 2017).
    """
    n, k = probability.shape
    total = weights.sum(1)
    own = probability[np.arange(n), truth]
    tiny = np.finfo(probability.dtype).eps
    loss = -np.log(np.clip(own, tiny, 1 - tiny))
    target = np.zeros((n, k))
    target[np.arange(n), truth] = 1
    square = ((probability - target) ** 2).sum(1) / (2 if k == 2 else 1)
    sure = probability.max(1)
    right = (probability.argmax(1) == truth).astype(float)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    inside = np.zeros((n, BINS))
    inside[np.arange(n), place] = right - sure
    ranks = [ranked(truth == c, probability[:, c], weights) for c in (range(k) if curves is None else curves)]
    sums = weights @ np.column_stack([loss, square, inside]).astype(weights.dtype)
    return {
        "roc_auc": np.stack([area for area, _ in ranks], 1),
        "average_precision": np.stack([average for _, average in ranks], 1),
        "log_loss": sums[:, 0] / total,
        "brier": sums[:, 1] / total,
        "calibration_error": np.abs(sums[:, 2:]).sum(1) / total,
    }


def all_figures(truth: np.ndarray, predicted: np.ndarray, probability: np.ndarray | None, weights: np.ndarray,
                classes: int, curves: list[int] | None = None) -> dict[str, np.ndarray]:
    """Every figure of this module, `curves` as in probabilistic.

    A case without prediction (-1) has probability 0 for its own class, the others sharing what there is.
    """
    figures = from_confusion(confusion(truth, predicted, weights, classes))
    if probability is None:
        return figures
    missing = predicted < 0
    if missing.any():
        probability = probability.copy()
        probability[missing] = 1 / max(classes - 1, 1)
        probability[missing, truth[missing]] = 0
    return {**figures, **probabilistic(truth, probability, weights, curves)}
