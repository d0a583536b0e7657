"""Every figure of one pair of label maps, and what is agreed where a part is missing from one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrilib.metrics import overlap

EMPTY = {
    "worst": "both empty: the best value; one empty: the worst (distance: the image's diagonal)",
    "skip": "a case in which either is empty is left out",
    "nan": "a case in which either is empty has no value, nor has the mean",
}
STATES = ("both_empty", "reference_empty", "prediction_empty", "missing")


@dataclass(frozen=True)
class Metric:
    """better: 1 higher, -1 lower, 0 nearer to 0. best, worst: values for an empty part; `diagonal` is the image's."""

    unit: str
    better: int
    best: float
    worst: float | str


OVERLAP = {
    "dice": Metric("", 1, 1, 0),
    "iou": Metric("", 1, 1, 0),
    "sensitivity": Metric("", 1, 1, 0),
    "specificity": Metric("", 1, 1, 0),
    "precision": Metric("", 1, 1, 0),
    "volume": Metric("mm3", 0, math.nan, 0),
    "reference_volume": Metric("mm3", 0, math.nan, math.nan),
    "volume_difference": Metric("", 0, 0, math.nan),
}


def known(name: str) -> Metric:
    """What is known of a figure by its name."""
    return OVERLAP[name]


def measure(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float],
            parts: Mapping[str, Sequence[int]], predicted_parts: Mapping[str, Sequence[int]] | None = None,
            empty: str = "worst") -> dict[str, dict]:
    """All figures of each part: {part: {figure: value, "state": "" or one of STATES}}.

    prediction, reference: uint8 label maps of one shape, (z, y, x) or (y, x). spacing: mm, in that order. parts: name
    -> label numbers, predicted_parts the prediction's where they differ. empty: a name of EMPTY; but for `worst`, a
    part that either lacks is NaN throughout.
    """
    found = overlap.counts(prediction, reference, parts, predicted_parts)
    voxel, result = float(np.prod(spacing)), {}
    for part, (tp, fp, fn, tn) in found.items():
        figures = {name: getattr(overlap, name)(tp, fp, fn, tn)
                   for name in ("dice", "iou", "sensitivity", "specificity", "precision")}
        names = ("volume", "reference_volume", "volume_difference")
        figures |= dict(zip(names, overlap.volumes(tp, fp, fn, tn, voxel), strict=True))
        state = ("" if tp else "both_empty" if not (fp or fn) else "reference_empty" if not tp + fn
                 else "prediction_empty" if not tp + fp else "")
        result[part] = {**ruled(figures, state, empty, _diagonal(reference.shape, spacing)), "state": state}
    return result


def ruled(figures: dict[str, float], state: str, empty: str, diagonal: float) -> dict[str, float]:
    """Figures of a part that one map or both lack, by the rule; others as they are. Volumes stay what they are."""
    if not state:
        return figures
    result = {}
    for name, value in figures.items():
        metric = known(name)
        if metric.unit == "mm3":
            result[name] = value
        elif empty != "worst":
            result[name] = math.nan
        elif math.isnan(value) or state != "both_empty":
            worst = diagonal if metric.worst == "diagonal" else metric.worst
            result[name] = metric.best if state == "both_empty" else value if name == "specificity" else worst
        else:
            result[name] = value
    return result


def missing(parts: Mapping[str, Sequence[int]], reference: np.ndarray, spacing: Sequence[float]) -> dict[str, dict]:
    """What a case without prediction gets: the worst value of each figure, and the reference's own volume."""
    voxel, diagonal = float(np.prod(spacing)), _diagonal(reference.shape, spacing)
    seen = np.bincount(reference.ravel(), minlength=256)
    result = {}
    for part, numbers in parts.items():
        figures = {name: diagonal if metric.worst == "diagonal" else metric.worst for name, metric in OVERLAP.items()}
        volume = float(seen[list(numbers)].sum()) * voxel
        figures["reference_volume"] = volume
        figures["volume_difference"] = -1.0 if volume else math.nan
        result[part] = {**figures, "state": "missing"}
    return result


def _diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Length of a grid's diagonal in mm, from the outer corners of its voxels."""
    return float(np.linalg.norm(np.multiply(shape, spacing)))
