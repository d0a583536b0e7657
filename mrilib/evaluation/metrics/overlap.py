"""How well two label maps overlap: every count from one confusion histogram of the two.

A part is what is scored as one: a label, or a region that unites several. All metrics are 0 to 1. Where both maps
lack a part, dice and iou are 1; where one of them does, they are 0. What is 0 / 0 otherwise (the sensitivity of a
part that the reference lacks) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mrilib.images.steps.foreground import box_of

Counts = tuple[int, int, int, int]  # true positive, false positive, false negative, true negative voxels


def numbers_of(array: np.ndarray) -> np.ndarray:
    """How many voxels of a uint8 label map have each number: (256,)."""
    inside = array[box_of(array)]  # what lies outside is background, and counting it takes longest
    count = np.bincount(inside.ravel(), minlength=256)
    count[0] += array.size - inside.size
    return count


def histogram(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Voxels by (reference number, predicted number): (256, 256) of uint8 label maps of one shape.

    Raises ValueError for maps of other types or of different shapes.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"label maps of shapes {prediction.shape} and {reference.shape}")
    if prediction.dtype != np.uint8 or reference.dtype != np.uint8:
        raise ValueError(f"label maps of {prediction.dtype} and {reference.dtype}, not uint8")
    inside = box_of(prediction, reference)  # outside of it both are background, and most of a head is
    pairs = reference[inside].astype(np.uint16) << 8 | prediction[inside]
    table = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
    table[0, 0] += prediction.size - pairs.size
    return table


def counts(prediction: np.ndarray, reference: np.ndarray, parts: Mapping[str, Sequence[int]],
           predicted_parts: Mapping[str, Sequence[int]] | None = None) -> dict[str, Counts]:
    """True and false, positive and negative voxels of each part: {name: (tp, fp, fn, tn)}.

    prediction, reference: uint8 label maps of one shape, any number of axes. parts: name -> label numbers.
    predicted_parts: the same names -> the numbers that the prediction has for them, where those differ.
    """
    return from_histogram(histogram(prediction, reference), parts, predicted_parts)


def from_histogram(table: np.ndarray, parts: Mapping[str, Sequence[int]],
                   predicted_parts: Mapping[str, Sequence[int]] | None = None) -> dict[str, Counts]:
    """`counts` of a histogram as `histogram` makes it."""
    total, result = int(table.sum()), {}
    for name in parts:
        rows, columns = list(parts[name]), list((predicted_parts or parts)[name])
        both = int(table[np.ix_(rows, columns)].sum())
        true, predicted = int(table[rows].sum()), int(table[:, columns].sum())
        result[name] = (both, predicted - both, true - both, total - true - predicted + both)
    return result


def metrics(tp: int, fp: int, fn: int, tn: int, voxel: float = 1.0) -> dict[str, float]:
    """Dice (1945), IoU (Jaccard 1912) and the other metrics of the counts of one part. voxel: the volume of one.

    specificity is NaN where the part fills the whole reference. volume_difference is (predicted - reference) /
    reference: 0 where both maps lack the part, NaN where the reference alone does.
    """
    one_empty = math.nan if tp + fp + fn else 1.0
    volume, reference_volume = (tp + fp) * voxel, (tp + fn) * voxel
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn, 1.0),
        "iou": _ratio(tp, tp + fp + fn, 1.0),
        "sensitivity": _ratio(tp, tp + fn, one_empty),
        "specificity": _ratio(tn, tn + fp, math.nan),
        "precision": _ratio(tp, tp + fp, one_empty),
        "volume": volume,
        "reference_volume": reference_volume,
        "volume_difference": _ratio(volume - reference_volume, reference_volume, math.nan if volume else 0.0),
    }


def _ratio(part: float, whole: float, otherwise: float) -> float:
    return part / whole if whole else otherwise
