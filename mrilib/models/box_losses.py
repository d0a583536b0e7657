"""Losses of a detector: boxes (batch, box, 5) against what it gives for each cell, (batch, cell, 4 + classes).

A box is x0 y0 x1 y1 in pixels and the number of its class, -1 where there is none. Each maker returns
`loss(target, predicted) -> number`, made of Keras functions, so that it runs on any Keras backend and never gets into
a model file. predicted: distances in pixels and logits; see models.detector.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mrilib.models.detector import SIDES

TINY = 1e-7
LEAST = 0.75  # strides: half side from which a box reaches at least one centre of a cell
SPREAD = 6 / 0.54  # sides of a box for each deviation of its peak (TTFNet, Liu et al. 2020)


def aligned(places: np.ndarray, stride: int, classes: int, *, overlap: str = "ciou", weight: float = 5.0,
            top: int = 10, score_power: float = 0.5, overlap_power: float = 6.0) -> Callable:
    """Task-aligned assignment (TOOD, Feng et al. 2021): a box trains the `top` cells within it whose score and overlap,
    each to its power, have the largest product; the score learns the overlap.

    places: (cell, 2) of detector.cells. overlap: giou or ciou. weight: of the boxes, relative to the scores.
    """
    from keras import ops

    def loss(target, predicted):
        boxes, exists, kinds = _split(target, classes)
        own, logits = _boxes_of(predicted, places), predicted[..., SIDES:]
        inside = _inside(boxes, places, stride) * exists[..., None]
        overlaps = ops.stop_gradient(iou(boxes[:, :, None], own[:, None]))
        scores = ops.stop_gradient(ops.einsum("bmk,bnk->bmn", kinds, ops.sigmoid(logits)))
        metric = (scores + TINY) ** score_power * (overlaps + TINY) ** (overlap_power) * inside
        least = ops.top_k(metric, min(top, len(places)))[0][..., -1:]
        chosen = inside * ops.cast(metric >= least, "float32")
        chosen = chosen * _owner(ops.where(chosen > 0, overlaps, -1.0))
        metric, reached = metric * chosen, overlaps * chosen
        share = metric / (ops.max(metric, -1, keepdims=True) + 1e-30) * ops.max(reached, -1, keepdims=True)
        wanted = ops.einsum("bmn,bmk->bnk", share, kinds)
        part = ops.sum(share, 1)
        nearest = ops.einsum("bmn,bmj->bnj", chosen, boxes)
        lost = part * (1 - OVERLAPS[overlap](nearest, own)) * ops.max(chosen, 1)
        total = ops.maximum(ops.sum(part), 1.0)
        return (weight * ops.sum(lost) + ops.sum(_cross_entropy(logits, wanted))) / total

    return loss


def centre(places: np.ndarray, stride: int, classes: int, *, overlap: str = "ciou", weight: float = 5.0) -> Callable:
    """The heat map of box centres (CenterNet, Zhou et al. 2019): a peak as wide as the box for each, the focal loss
    reduced around it; the cells below the peak learn the box, weighted by it (TTFNet, Liu et al. 2020).

    See `aligned` for the arguments.
    """
    from keras import ops

    def loss(target, predicted):
        boxes, exists, kinds = _split(target, classes)
        own, logits = _boxes_of(predicted, places), predicted[..., SIDES:]
        middle = (boxes[..., :2] + boxes[..., 2:]) / 2
        away = (places[None, None] - middle[:, :, None]) / ops.maximum(
            (boxes[..., 2:] - boxes[..., :2]) / SPREAD, stride / 3)[:, :, None]
        peak = ops.exp(-0.5 * ops.sum(away**2, -1)) * exists[..., None]  # (batch, box, cell)
        summit = ops.cast(peak >= ops.max(peak, -1, keepdims=True), "float32") * exists[..., None]
        heat = ops.max(peak[..., None] * kinds[:, :, None], 1)
        top = ops.max(summit[..., None] * kinds[:, :, None], 1)
        p = ops.clip(ops.sigmoid(logits), TINY, 1 - TINY)
        scores = -top * (1 - p) ** 2 * ops.log(p) - (1 - top) * (1 - heat) ** 4 * p**2 * ops.log(1 - p)
        near = peak * ops.cast(peak > math.exp(-0.5 * 2**2), "float32")
        near = near * _owner(near)
        near = near / (ops.sum(near, -1, keepdims=True) + TINY)
        mine = ops.einsum("bmn,bmj->bnj", ops.cast(near > 0, "float32"), boxes)
        lost = ops.sum(near, 1) * (1 - OVERLAPS[overlap](mine, own))
        return (weight * ops.sum(lost) + ops.sum(scores)) / ops.maximum(ops.sum(exists), 1.0)

    return loss


def iou(one, other):
    """Intersection over union of boxes (..., 4), as broadcast."""
    from keras import ops

    shared, union = _areas(one, other)
    return shared / ops.maximum(union, TINY)


def giou(one, other):
    """Generalised IoU (Rezatofighi et al. 2019): less the share of the box around both that neither covers."""
    from keras import ops

    shared, union = _areas(one, other)
    around = ops.prod(_around(one, other), -1)
    return shared / ops.maximum(union, TINY) - (around - union) / ops.maximum(around, TINY)


def ciou(one, other):
    """Complete IoU (Zheng et al. 2020): less the distance of the centres and the difference of the aspect ratios."""
    from keras import ops

    value = iou(one, other)
    diagonal = ops.sum(_around(one, other) ** 2, -1)
    apart = ops.sum((one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) ** 2, -1) / 4
    (w, h), (v, g) = (_size(box) for box in (one, other))
    shape = 4 / math.pi**2 * (ops.arctan2(w, h) - ops.arctan2(v, g)) ** 2
    share = ops.stop_gradient(shape / (1 - value + shape + TINY))
    return value - apart / ops.maximum(diagonal, TINY) - share * shape


OVERLAPS = {"giou": giou, "ciou": ciou}
ASSIGNMENTS = {"aligned": aligned, "centre": centre}


def _split(target, classes: int):
    """(boxes (batch, box, 4), 1 where there is one (batch, box), its class (batch, box, classes)) of a target."""
    from keras import ops

    exists = ops.cast(target[..., 4] >= 0, "float32")
    kinds = ops.one_hot(ops.cast(ops.maximum(target[..., 4], 0), "int32"), classes, dtype="float32")
    return target[..., :4], exists, kinds * exists[..., None]


def _boxes_of(predicted, places: np.ndarray):
    """The box of each cell, (batch, cell, 4), of distances to its sides."""
    from keras import ops

    return ops.concatenate([places - predicted[..., :2], places + predicted[..., 2:SIDES]], -1)


def _inside(boxes, places: np.ndarray, stride: int):
    """1 for each cell whose centre lies in a box, (batch, box, cell); a small box counts as larger than a cell."""
    from keras import ops

    middle, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    away = ops.abs(places[None, None] - middle[:, :, None]) - ops.maximum(half, LEAST * stride)[:, :, None]
    return ops.cast(ops.max(away, -1) < 0, "float32")


def _owner(values):
    """1 for the box (axis 1) with the largest value at each cell, (batch, box, cell)."""
    from keras import ops

    return ops.moveaxis(ops.one_hot(ops.argmax(values, 1), values.shape[1], dtype="float32"), -1, 1)


def _areas(one, other):
    from keras import ops

    low, high = ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    shared = ops.prod(ops.maximum(high - low, 0.0), -1)
    areas = [ops.prod(ops.maximum(box[..., 2:] - box[..., :2], 0.0), -1) for box in (one, other)]
    return shared, areas[0] + areas[1] - shared


def _around(one, other):
    """Width and height of the box around both."""
    from keras import ops

    return ops.maximum(one[..., 2:], other[..., 2:]) - ops.minimum(one[..., :2], other[..., :2])


def _size(box):
    from keras import ops

    return box[..., 2] - box[..., 0], ops.maximum(box[..., 3] - box[..., 1], TINY)


def _cross_entropy(logits, wanted):
    from keras import ops

    return ops.maximum(logits, 0.0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
