"""From what a detector gives for each cell to boxes, and boxes of several predictions made one list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrilib.evaluation.metrics.boxes import iou
from mrilib.models.detector import SIDES, cells

FLOOR = 0.01  # score below which a cell gives no box
MOST = 100  # boxes of an image, as COCO's metrics take
CELLS = 1000  # surest cells of an image that are looked at
OVERLAP = 0.5  # IoU from which two boxes of a class are one
VOTE = 0.65  # IoU from which a box has a say in the sides of a surer one; measured, docs/experiments/localise.md


def mirrored(values: np.ndarray, shape, stride: int, axis: int) -> np.ndarray:
    """What a detector gave for mirrored images, (n, cell, 4 + classes), as of the images themselves. axis: 1, y, or 2,
    x, of the batch."""
    rows, columns = (side // stride for side in shape[:2])
    maps = np.flip(values.reshape(len(values), rows, columns, -1), axis)
    order = [2, 1, 0, 3] if axis == 2 else [0, 3, 2, 1]
    order += range(SIDES, maps.shape[-1])
    return np.ascontiguousarray(maps[..., order]).reshape(values.shape)


def decode(values: np.ndarray, shape, stride: int, floor: float = FLOOR) -> np.ndarray:
    """The boxes of one image, surest first: (n, 6) of x0 y0 x1 y1 in pixels, clipped to the image, class, score.

    values: (cell, 4 + classes) of a detector. floor: score from which a cell gives a box.
    """
    places, scores = cells(shape, stride), values[:, SIDES:]
    cell, kind = np.nonzero(scores >= floor)
    score = scores[cell, kind]
    order = np.argsort(-score, kind="stable")[:CELLS]
    cell, kind, score = cell[order], kind[order], score[order]
    corners = np.concatenate([places[cell] - values[cell, :2], places[cell] + values[cell, 2:SIDES]], 1)
    corners = corners.clip(0, [shape[1], shape[0]] * 2)
    boxes = np.column_stack([corners, kind, score]).astype(np.float64)
    return boxes[((boxes[:, 2:4] - boxes[:, :2]) > 0).all(1)]


def scores(values: np.ndarray, shape, stride: int) -> np.ndarray:
    """The largest score of each cell as a map (y, x)."""
    return values[:, SIDES:].max(1).reshape([side // stride for side in shape[:2]])


def suppress(boxes: np.ndarray, overlap: float = OVERLAP, soft: bool = False, floor: float = FLOOR,
             most: int = MOST) -> np.ndarray:
    """Boxes (n, 6) of `decode` without duplicates, surest first.

    The sides of each are the mean over the boxes of its class that overlap it by VOTE or more, weighted by their score
    and this overlap (box voting, Gidaris and Komodakis 2015).

    overlap: IoU from which a less sure box of the same class is left out (non-maximum suppression). soft: lower its
    score instead, by a Gaussian of the IoU (Soft-NMS, Bodla et al. 2017, its deviation 0.5 squared), and leave out what
    falls below the floor.
    """
    left, kept = boxes.copy(), []
    while len(left) and len(kept) < most:
        best = int(left[:, 5].argmax())
        box = left[best]
        kept.append(_voted(box, boxes))
        left = np.delete(left, best, 0)
        shared = iou(box[None, :4], left[:, :4])[0] * (left[:, 4] == box[4])
        if soft:
            left[:, 5] *= np.exp(-(shared**2) / 0.5)
            left = left[left[:, 5] >= floor]
        else:
            left = left[shared < overlap]
    return np.array(kept).reshape(-1, 6)


def _voted(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """A box with the mean sides of those (n, 6) that overlap it."""
    shared = iou(box[None, :4], boxes[:, :4])[0] * (boxes[:, 4] == box[4])
    voters = shared >= VOTE
    return np.append(np.average(boxes[voters, :4], axis=0, weights=(boxes[:, 5] * shared)[voters]), box[4:])


def fuse(lists: Sequence[np.ndarray], overlap: float = OVERLAP) -> np.ndarray:
    """The boxes (n, 6) of several models as one list, surest first: weighted box fusion (Solovyev et al. 2021).

    Boxes of a class that overlap become their mean, weighted by score; the score is the mean over the models, 0 of a
    model without such a box.
    """
    every = np.concatenate([np.asarray(one, np.float64).reshape(-1, 6) for one in lists])
    groups: list[np.ndarray] = []
    merged = np.zeros((0, 6))
    for box in every[np.argsort(-every[:, 5], kind="stable")]:
        shared = iou(box[None, :4], merged[:, :4])[0] * (merged[:, 4] == box[4])
        place = int(shared.argmax()) if len(shared) else -1
        if place < 0 or shared[place] < overlap:
            groups.append(box[None])
            merged = np.concatenate([merged, box[None]])
            continue
        groups[place] = np.concatenate([groups[place], box[None]])
        merged[place, :4] = np.average(groups[place][:, :4], axis=0, weights=groups[place][:, 5])
    for place, group in enumerate(groups):
        merged[place, 5] = group[:, 5].sum() / max(len(lists), len(group))
    return merged[np.argsort(-merged[:, 5], kind="stable")][:MOST]
