"""What tasks.localise needs beside the fit loop: targets, network and validation of a detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mrilib.errors import UsageError
from mrilib.evaluation.metrics import boxes as metrics_of_boxes
from mrilib.inference import boxes as predicted_boxes
from mrilib.training.images import ImageData
from mrilib.training.localise_settings import LocaliseSettings

NONE = -1  # class of a target that is no box
FIXED = 8  # pixels for each value of the first maps whose layers learn, where weights are given: those before see edges
KEPT = 0.999  # share of the AP50 of all boxes that the default of --min-score keeps


def classes_of(cases: Sequence, one_class: bool) -> list[str]:
    """The names of the classes of boxes, sorted; empty where boxes have no class, or all count as one."""
    return [] if one_class else sorted({box[4] for case in cases for box in case.boxes if box[4]})


def targets(cases: Sequence, classes: Sequence[str]) -> np.ndarray:
    """The boxes of each case, (n, box, 5) float32: x0 y0 x1 y1 in pixels and the place of the class, -1 for none.

    Marked regions (crowd, ignore) are left out. Raises UsageError for a box without a class where others have one.
    """
    wanted = [metrics_of_boxes.to_find(case.boxes) for case in cases]
    result = np.zeros((len(cases), max([1, *map(len, wanted)]), 5), np.float32)
    result[..., 4] = NONE
    for place, (case, boxes) in enumerate(zip(cases, wanted, strict=True)):
        for i, (*corners, kind) in enumerate(box[:5] for box in boxes):
            if classes and kind not in classes:
                raise UsageError("has a box without a class, others have one", where=case.path,
                                 remedy="name the class of every box, or --one-class")
            result[place, i] = *corners, classes.index(kind) if classes else 0
    return result


def half_side(target: np.ndarray) -> float:
    """Half the median side of the boxes of targets (n, box, 5), in pixels. Raises UsageError without a box."""
    boxes = target[target[..., 4] >= 0]
    if not len(boxes):
        raise UsageError("no case with a box is left to train on", remedy="another split, or more cases")
    return float(np.median(np.sqrt((boxes[:, 2:4] - boxes[:, :2]).prod(1)))) / 2


def network(data: ImageData, settings: LocaliseSettings) -> tuple[object, object, Callable, dict]:
    """(the network to train, that to keep, the loss, the record) of complete settings."""
    from mrilib.models import backbones, box_losses
    from mrilib.models.detector import cells, detector, with_logits

    s, shape, count = settings, data.images.shape[1:], max(1, len(data.outputs))
    half = half_side(data.targets[data.places("train")])
    kept = detector(s.backbone, shape, count, width=s.width, weights=s.weights, stride=s.stride, filters=s.filters,
                    dropout=s.dropout, half=half, low=data.low, high=data.high)  # fmt: skip
    first = None
    if s.weights is not None:
        first = None if s.freeze else s.unfreeze_from or backbones.first_at(kept, FIXED)
        backbones.freeze(kept, first)
        backbones.adapt_statistics(kept)
    loss = box_losses.ASSIGNMENTS[s.assignment](cells(shape, s.stride), s.stride, count, overlap=s.box_loss,
                                                weight=s.box_weight)
    record = {"classes": data.outputs, "shape": list(shape), "spacing": list(data.spacing), "stride": s.stride,
              "min_score": 0.05,
              "architecture": {"backbone": s.backbone, "width": s.width, "filters": s.filters, "half": half,
                               "dropout": s.dropout, "low": data.low, "high": data.high,
                               **({"unfreeze_from": first} if first else {})}}  # fmt: skip
    return with_logits(kept), kept, loss, record


def validation_boxes(values: np.ndarray, shape, stride: int) -> dict[int, list[tuple]]:
    """The boxes of validation images, without classes: place -> [(x0, y0, x1, y1, "", score)]."""
    return {place: [(*box[:4], "", box[5]) for box in predicted_boxes.suppress(
        predicted_boxes.decode(one, shape, stride)).tolist()] for place, one in enumerate(values)}


def true_boxes(target: np.ndarray) -> dict[int, list[tuple]]:
    """The boxes of targets (n, box, 5), without classes: place -> [(x0, y0, x1, y1, "")]."""
    return {place: [(*box[:4], "") for box in boxes[boxes[:, 4] >= 0].tolist()] for place, boxes in enumerate(target)}


def metrics(true: dict, predicted: dict) -> dict[str, float]:
    """AP50, AP50:95 and the mean sensitivity of the FROC, whatever the classes; 0 where no case has a box."""
    values = metrics_of_boxes.all_metrics(predicted, true, [""])(np.ones((1, len(true))))
    return {f"validation_{name}": float(np.nan_to_num(values[name][0])) for name in ("ap50", "ap", "froc")}


def values_of_cases(true: dict, predicted: dict) -> list[float]:
    """The AP50 of each image alone; of an image without a box, one minus the highest score."""
    values = []
    for place, boxes in true.items():
        found = predicted[place]
        values.append(metrics({0: boxes}, {0: found})["validation_ap50"] if boxes else
                      1 - max((box[5] for box in found), default=0.0))
    return values


def least_score(true: dict, predicted: dict) -> tuple[float, float]:
    """(score below which boxes add nothing to AP50, score of the best F1 at an IoU of 0.5)."""
    whole = metrics(true, predicted)["validation_ap50"]
    scores = sorted({round(box[5], 3) for boxes in predicted.values() for box in boxes})
    low, high = 0, len(scores)  # AP50 falls with the score: the last that keeps it is searched for by halves
    while high - low > 1:
        middle = (low + high) // 2
        kept = metrics(true, above(predicted, scores[middle]))["validation_ap50"]
        low, high = (middle, high) if kept >= KEPT * whole else (low, middle)
    return (scores[low] if scores else 0.0), _best_f1(true, predicted)


def above(predicted: dict, score: float) -> dict:
    """The boxes of a score or more."""
    return {name: [box for box in boxes if box[5] >= score] for name, boxes in predicted.items()}


def _best_f1(true: dict, predicted: dict) -> float:
    rows = []
    for name, boxes in predicted.items():
        ranked = sorted(boxes, key=lambda box: -box[5])
        hits, _ = metrics_of_boxes.matches(np.array([box[:4] for box in ranked]),
                                           np.array([box[:4] for box in true[name]]), metrics_of_boxes.THRESHOLDS[:1])
        rows += zip((box[5] for box in ranked), hits[0].tolist(), strict=True)
    if not rows:
        return 0.0
    rows.sort(key=lambda row: -row[0])
    hits = np.cumsum([hit for _, hit in rows])
    f1 = 2 * hits / (np.arange(1, len(rows) + 1) + sum(map(len, true.values())))
    return float(rows[int(f1.argmax())][0])
