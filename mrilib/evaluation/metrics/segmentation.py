"""Every metric of one pair of label maps, and what is agreed where a part is missing from one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mrilib.evaluation.metrics import lesions, overlap, surface
from mrilib.images.steps.foreground import box_of

DIAGONAL, PENALTY = "diagonal", "penalty"


@dataclass(frozen=True)
class Metric:
    """better: 1 higher, -1 lower, 0 neither. best, worst: values of a part that both or one lack; `diagonal` is the
    image's, `penalty` the lesions'."""

    unit: str
    better: int
    best: float
    worst: float | str


METRICS = {
    "dice": Metric("", 1, 1, 0),
    "iou": Metric("", 1, 1, 0),
    "sensitivity": Metric("", 1, 1, 0),
    "specificity": Metric("", 1, 1, 0),
    "precision": Metric("", 1, 1, 0),
    "volume": Metric("mm3", 0, 0, 0),
    "reference_volume": Metric("mm3", 0, 0, math.nan),
    "volume_difference": Metric("", 0, 0, math.nan),
    "hd95": Metric("mm", -1, 0, DIAGONAL),
    "hd": Metric("mm", -1, 0, DIAGONAL),
    "assd": Metric("mm", -1, 0, DIAGONAL),
    "nsd": Metric("", 1, 1, 0),
    "lesion_dice": Metric("", 1, 1, 0),
    "lesion_hd95": Metric("mm", -1, 0, PENALTY),
    "lesion_f1": Metric("", 1, 1, 0),
    "lesions_found": Metric("lesions", 0, 0, 0),
    "lesions_missed": Metric("lesions", 0, 0, math.nan),
    "lesions_made_up": Metric("lesions", 0, 0, math.nan),
}
COUNTED = ("volume", "reference_volume", "volume_difference", "lesions_found", "lesions_missed", "lesions_made_up")


@dataclass(frozen=True)
class Settings:
    """How label maps are measured. empty, what a part gets that a map lacks: "worst", the best value where both lack
    it, else the worst (distance: the image's diagonal); "skip", the case is left out; "nan", neither the case nor the
    mean has a value. hd95: "directed", the larger of the two directed percentiles of the surface elements, weighted by
    area; "pooled", the percentile of the distances of the border voxels both ways together. tolerances: mm, of the
    surface Dice. lesions: None leaves them out. surfaces: whether distances are measured at all."""

    empty: str = "worst"
    hd95: str = "directed"
    tolerances: tuple[float, ...] = (1.0,)
    surfaces: bool = True
    lesions: lesions.Settings | None = field(default_factory=lesions.Settings)

    @property
    def metrics(self) -> list[str]:
        """The names of what is measured, in order."""
        names = list(METRICS)[: list(METRICS).index("hd95")]
        if self.surfaces:
            names += ["hd95", "hd", "assd", *(f"nsd_{t:g}mm" for t in self.tolerances)]
        return names + [n for n in METRICS if n.startswith("lesion") and self.lesions is not None]


def metric(name: str) -> Metric:
    """The description of a metric by its name."""
    return METRICS["nsd" if name.startswith("nsd_") else name]


def measure(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float],
            parts: Mapping[str, Sequence[int]], predicted_parts: Mapping[str, Sequence[int]] | None = None,
            settings: Settings = Settings(), ignored: np.ndarray | None = None) -> dict[str, dict]:
    """All metrics of each part: {part: {metric: value, "state": "", "both_empty", "reference_empty" or
    "prediction_empty"}}.

    prediction, reference: uint8 label maps of one shape, (z, y, x) or (y, x). spacing: mm, in that order. parts: name
    -> label numbers, predicted_parts the prediction's where they differ. ignored: bool, voxels that nobody labelled:
    they count for nothing and are background to surfaces and lesions of both maps. Under another empty rule than
    `worst` a part that either lacks is NaN but for volumes and counts of lesions.
    """
    scored = reference.size
    if ignored is not None:
        prediction, reference = (np.where(ignored, np.uint8(0), array) for array in (prediction, reference))
        scored -= np.count_nonzero(ignored)
    box = box_of(prediction, reference)
    inside = prediction[box], reference[box]
    table = overlap.histogram(*inside)
    table[0, 0] += scored - inside[1].size
    voxel, diagonal, result = float(np.prod(spacing)), _diagonal(reference.shape, spacing), {}
    for part, counts in overlap.from_histogram(table, parts, predicted_parts).items():
        metrics = overlap.metrics(*counts, voxel)
        state = _state(*counts)
        masks = (_mask(inside[0], (predicted_parts or parts)[part]), _mask(inside[1], parts[part]))
        directed = None
        if settings.surfaces:
            distances, directed = _distances(*masks, spacing, settings, state)
            metrics |= distances
        if settings.lesions is not None:
            metrics |= lesions.lesion_wise(*masks, spacing, settings.lesions, directed)
        result[part] = {**ruled(metrics, state, settings, diagonal), "state": state}
    return result


def _state(tp: int, fp: int, fn: int, tn: int) -> str:
    if tp + fn and tp + fp:
        return ""
    return "prediction_empty" if fn else "reference_empty" if fp else "both_empty"


def _mask(array: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    chosen = np.zeros(256, np.uint8)
    chosen[list(numbers)] = 1
    return chosen[array]


def _distances(prediction: np.ndarray, reference: np.ndarray, spacing, settings: Settings, state: str):
    """The metrics of the surfaces of two masks, NaN where one has none, and their directed hd95."""
    tolerances = [f"nsd_{t:g}mm" for t in settings.tolerances]
    if state:
        return dict.fromkeys(["hd95", "hd", "assd", *tolerances], math.nan), None
    box = box_of(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    apart = surface.between(prediction, reference, spacing)
    directed = surface.percentile(apart, 95)
    if settings.hd95 == "directed":
        metrics = {"hd95": directed, "hd": surface.percentile(apart, 100), "assd": surface.mean(apart)}
    else:
        voxels = surface.between(prediction, reference, spacing, elements=False)
        pooled = surface.pooled(voxels)
        metrics = {"hd95": float(np.percentile(pooled, 95)), "hd": surface.percentile(voxels, 100),
                   "assd": float(pooled.mean())}
    near = {n: surface.within(apart, t) for n, t in zip(tolerances, settings.tolerances, strict=True)}
    return metrics | near, directed


def ruled(metrics: dict[str, float], state: str, settings: Settings, diagonal: float) -> dict[str, float]:
    """Metrics of a part that one map or both lack, by the rule; others as they are."""
    if not state:
        return metrics
    if settings.empty != "worst":
        return {name: value if name in COUNTED else math.nan for name, value in metrics.items()}
    result = {}
    for name, value in metrics.items():
        if name in COUNTED or name == "specificity" or name.startswith("lesion"):
            result[name] = value
        else:
            result[name] = metric(name).best if state == "both_empty" else worst(name, settings, diagonal)
    return result


def worst(name: str, settings: Settings, diagonal: float) -> float:
    """The worst value of a metric on an image of that diagonal (mm)."""
    value = metric(name).worst
    return diagonal if value == DIAGONAL else settings.lesions.penalty if value == PENALTY else float(value)


def missing(parts: Mapping[str, Sequence[int]], reference: np.ndarray, spacing: Sequence[float],
            settings: Settings = Settings()) -> dict[str, dict]:
    """What a case without prediction gets: the worst value of each metric, and the reference's own volume."""
    voxel, diagonal = float(np.prod(spacing)), _diagonal(reference.shape, spacing)
    count = overlap.numbers_of(reference)
    result = {}
    for part, numbers in parts.items():
        metrics = {name: worst(name, settings, diagonal) for name in settings.metrics}
        volume = float(count[list(numbers)].sum()) * voxel
        metrics |= {"reference_volume": volume, "volume_difference": -1.0 if volume else math.nan}
        result[part] = {**metrics, "state": "missing"}
    return result


def _diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Length of a grid's diagonal in mm, from the outer corners of its voxels."""
    return float(np.linalg.norm(np.multiply(shape, spacing)))
