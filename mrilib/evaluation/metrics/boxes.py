"""Metrics of boxes, from weighted cases, so that one call does many resamples of a bootstrap.

Average precision is COCO's: greedy matches from the surest box on, 101 recall points, at most 100 boxes a case.
Boxes are (x0, y0, x1, y1, class, score or mark) in pixels; one of a volume has z0 and z1 behind these, and all overlaps
are of volumes then. A true box may be marked: a `crowd` (COCO's iscrowd) or `ignore` region is neither
to be found nor counted against a model that predicts a box there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
FALSE_PER_CASE = (0.125, 0.25, 0.5, 1, 2, 4, 8)  # of the FROC
MOST = 100
SIDES = (32.0, 96.0)  # pixels: a box of a smaller area than the square is small, then medium, then large (COCO)
SIZES = ("small", "medium", "large")
CROWD = "crowd"


def iou(one: np.ndarray, other: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4), or (n, 6) and (m, 6) as of `corners`: (n, m).

    crowd: (m,) bool, where the share of the first box that lies in the second is asked for instead.
    """
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    one, other = np.asarray(one, float), np.asarray(other, float)
    n = one.shape[1] // 2
    low, high = np.maximum(one[:, None, :n], other[None, :, :n]), np.minimum(one[:, None, n:], other[None, :, n:])
    shared = np.clip(high - low, 0, None).prod(2)
    area = [(b[:, n:] - b[:, :n]).prod(1) for b in (one, other)]
    union = area[0][:, None] + area[1][None] - shared
    return shared / (union if crowd is None else np.where(crowd, area[0][:, None], union))


def corners(boxes: Iterable[Sequence]) -> np.ndarray:
    """The sides of boxes, (n, 4): x0 y0 x1 y1; of boxes of volumes (n, 6): x0 y0 z0 x1 y1 z1."""
    return np.array([(*box[:2], *box[6:7], *box[2:4], *box[7:8]) for box in boxes], float)


def matches(predicted: np.ndarray, true: np.ndarray, thresholds: Sequence[float] = THRESHOLDS,
            marks: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes, `corners` from the surest on, take a true box, and which do not count: two (thresholds, n) bool.

    Each takes the free true box that it overlaps most, else a marked region, as COCO's evaluation has it: a crowd
    region takes any number of boxes, each by the share of it that lies inside. marks: of each true box, "" for none.
    """
    hits = np.zeros((len(thresholds), len(predicted)), bool)
    ignored = hits.copy()
    if not len(predicted) or not len(true):
        return hits, ignored
    marks = np.array(marks or [""] * len(true))
    crowd, counts = marks == CROWD, marks == ""
    overlap = iou(predicted, true, crowd)
    if len(true) == 1 and not crowd[0]:  # the first box that overlaps it enough takes it
        enough = overlap[:, 0] >= np.minimum(thresholds, 1 - 1e-10)[:, None]
        (hits if counts[0] else ignored)[np.flatnonzero(enough.any(1)), enough.argmax(1)[enough.any(1)]] = True
        return hits, ignored
    for t, least in enumerate(thresholds):
        free = np.ones(len(true), bool)
        for i, row in enumerate(overlap):
            possible = (free | crowd) & (row >= min(least, 1 - 1e-10))
            for wanted, result in ((counts, hits), (~counts, ignored)):
                if (possible & wanted).any():
                    # of equal ones the last, as there
                    best = len(true) - 1 - int(np.where(possible & wanted, row, -1)[::-1].argmax())
                    result[t, i], free[best] = True, False
                    break
    return hits, ignored


def mark_of(box: Sequence) -> str:
    """Of a true box (x0, y0, x1, y1, class[, mark]): `crowd`, `ignore`, or empty for one that is to be found."""
    return box[5] if len(box) > 5 else ""


def to_find(boxes: Iterable[Sequence]) -> list[Sequence]:
    """The true boxes without a mark."""
    return [box for box in boxes if not mark_of(box)]


def all_metrics(predicted: Mapping[str, Iterable], true: Mapping[str, Iterable], classes: Sequence[str],
                sizes: Sequence[float] = SIDES) -> Callable[[np.ndarray], dict]:
    """Metrics as a function of weights (r, n), how often each of the n cases of `true` counts.

    predicted: case -> [(x0, y0, x1, y1, class, score)]; true: case -> [(x0, y0, x1, y1, class[, mark])]; classes:
    those that are told apart, [""] for none. sizes: pixels, the sides of the squares that divide small from medium and
    medium from large boxes. Each metric is (r,), NaN where no case has a true box that counts:

    `ap` (mean over IoU 0.5 to 0.95), `ap50`, `ap75`: mean over the classes that have a true box; (name, class) for each
    class where several are told apart; with `_agnostic` of all boxes as one class; with `_small`, `_medium` or `_large`
    of true boxes of this size, others being ignored, as in COCO's evaluation. The FROC (IoU 0.5, all as one class):
    `sensitivity_at_0.125` to `sensitivity_at_8` false boxes a case (FALSE_PER_CASE), and `froc`, their mean. `iou`: of
    the surest box of a case with the true box nearest to it, 0 without one. `hit_rate`: the share of cases with a true
    box in which that is 0.5 or more.
    """
    names = list(true)
    kinds = [None if kind == "" else kind for kind in classes]
    by_class = [_of_class(predicted, true, names, kind) for kind in kinds]
    every = by_class[0] if kinds == [None] else _of_class(predicted, true, names, None)
    by_size = {size: [_of_class(predicted, true, names, kind, area) for kind in kinds]
               for size, area in areas_of(sizes).items()}
    has = np.array([len(to_find(true[name])) > 0 for name in names])
    top = np.array([top_iou(predicted.get(name, ()), true[name]) for name in names])

    def metrics(weights):
        weights = weights.astype(float)
        each = [_average_precision(weights, *one) for one in by_class]
        agnostic = each[0] if every is by_class[0] else _average_precision(weights, *every)
        measured = {**_named(_mean(each)), **_named(agnostic, "_agnostic")}
        for size, of_size in by_size.items():
            measured |= _named(_mean([_average_precision(weights, *one) for one in of_size]), f"_{size}")
        if len(classes) > 1:
            measured |= {(name, kind): values for kind, one in zip(classes, each, strict=True)
                         for name, values in _named(one).items()}
        found = _froc(weights, *every)
        at = {f"sensitivity_at_{false:g}": found[:, i] for i, false in enumerate(FALSE_PER_CASE)}
        with np.errstate(divide="ignore", invalid="ignore"):
            total = weights @ has
            return {**measured, "froc": found.mean(1), **at, "iou": weights @ (top * has) / total,
                    "hit_rate": weights @ ((top >= 0.5) & has) / total}

    return metrics


def areas_of(sides: Sequence[float]) -> dict[str, tuple[float, float]]:
    """The smallest and largest area of small, medium and large boxes."""
    bounds = (0.0, *(side**2 for side in sides), np.inf)
    return dict(zip(SIZES, zip(bounds, bounds[1:], strict=False), strict=True))


def _named(precise: np.ndarray, ending: str = "") -> dict[str, np.ndarray]:
    """ap, ap50 and ap75 of average precisions (r, thresholds)."""
    return {f"ap{ending}": precise.mean(1), f"ap50{ending}": precise[:, 0], f"ap75{ending}": precise[:, 5]}


def _mean(each: list[np.ndarray]) -> np.ndarray:
    """The mean of arrays of one shape without NaN; NaN where all are."""
    stacked = np.stack(each)
    counted = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(counted, stacked, 0).sum(0) / counted.sum(0)


def _of_class(predicted, true, names, kind: str | None, area: tuple[float, float] | None = None):
    """Case number (d,), hits and what does not count (thresholds, d) of the boxes of a class, surest first; true boxes
    to be found in each case (n,). area: true boxes of another area are ignored, and so are the predicted boxes of
    another area that take none."""
    owner, score, hits, ignored, number = [], [], [], [], []
    for i, name in enumerate(names):
        reference = [b for b in true[name] if kind is None or b[4] == kind]
        ranked = sorted((b for b in predicted.get(name, ()) if kind is None or b[4] == kind), key=lambda b: -b[5])
        ranked = ranked[:MOST]
        marks = [mark_of(b) or ("" if _has_area(b, area) else "ignore") for b in reference]
        number.append(marks.count(""))
        owner += [i] * len(ranked)
        score += [b[5] for b in ranked]
        hit, left_out = matches(corners(ranked), corners(reference), marks=marks)
        hits.append(hit)
        ignored.append(left_out | ~(hit | np.array([_has_area(b, area) for b in ranked], bool)))
    order = np.argsort(-np.array(score), kind="stable")
    return (np.array(owner, int)[order], np.concatenate(hits, 1)[:, order], np.concatenate(ignored, 1)[:, order],
            np.array(number))


def _has_area(box: Sequence, area: tuple[float, float] | None) -> bool:
    return area is None or area[0] <= (box[2] - box[0]) * (box[3] - box[1]) <= area[1]


def _running(weights, owner, hits, ignored):
    """True and false boxes from the surest on, (r, thresholds, d)."""
    each = weights[:, owner][:, None]
    return np.cumsum(each * hits, 2), np.cumsum(each * ~(hits | ignored), 2)


def _average_precision(weights, owner, hits, ignored, number) -> np.ndarray:
    """(r, thresholds); NaN where no true box counts.

    The precision at a recall is the largest from there on. False boxes only lower it, so that those of the hits do.
    """
    total = weights @ number
    result = np.zeros((len(weights), len(hits)))
    each, counted = weights[:, owner], ~ignored
    always = counted.all(0)
    common = np.cumsum(each * always, 1)
    for t, row in enumerate(hits):
        places = np.flatnonzero(row)
        if not len(places):
            continue
        right, seen = np.cumsum(each[:, places], 1), common[:, places]
        if len(others := np.flatnonzero(counted[t] & ~always)):
            before = np.searchsorted(others, places, side="right")
            seen = seen + np.where(before > 0, np.cumsum(each[:, others], 1)[:, np.maximum(before - 1, 0)], 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = right / total[:, None]
        precision = right / np.maximum(seen, np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        for r in range(len(weights)):
            at = np.searchsorted(recall[r], RECALLS, side="left")
            result[r, t] = np.where(at < len(places), precision[r][np.minimum(at, len(places) - 1)], 0).mean()
    result[total == 0] = np.nan
    return result


def _froc(weights, owner, hits, ignored, number) -> np.ndarray:
    """Sensitivity at each of FALSE_PER_CASE, IoU 0.5: (r, points)."""
    total, cases = weights @ number, weights.sum(1)
    result = np.zeros((len(weights), len(FALSE_PER_CASE)))
    if len(owner):
        right, wrong = (running[:, 0] for running in _running(weights, owner, hits[:1], ignored[:1]))
        for r in range(len(weights)):
            place = np.searchsorted(wrong[r], np.array(FALSE_PER_CASE) * cases[r] + 1e-9, side="right")
            result[r] = np.where(place > 0, right[r][np.maximum(place - 1, 0)], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return result / total[:, None]


def top_iou(predicted, true) -> float:
    """The overlap of the surest box with the true box nearest to it; 0 without either. A box that takes a marked
    region at an overlap of 0.5 is not the surest."""
    predicted, wanted = sorted(predicted, key=lambda b: -b[5]), to_find(true)
    if not predicted or not wanted:
        return 0.0
    true = list(true)
    _, ignored = matches(corners(predicted), corners(true), THRESHOLDS[:1], [mark_of(b) for b in true])
    if ignored[0].all():
        return 0.0
    surest = predicted[int(ignored[0].argmin())]
    return float(iou(corners([surest]), corners(wanted)).max())
