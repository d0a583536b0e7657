"""A table of predicted classes, read with care, and set against its reference."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mrilib.cases import MASK_ENDINGS, suffix_of
from mrilib.errors import UsageError

TOLERANCE = 1e-3  # by which probabilities, rounded for print, may miss a sum of 1


@dataclass
class Submission:
    """Predictions by case id, in order. probability: {case: {class: p}}, empty where the table has none."""

    classes: dict[str, str] = field(default_factory=dict)
    probability: dict[str, dict[str, float]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)


def read(lines: Iterable[str], where: object) -> Submission:
    """The predictions of CSV lines `case,class[,p_<class>…][,seen]`; several tables may follow one another.

    Raises UsageError, with the line, for a missing column, a case named twice, a probability that is none, a row
    whose probabilities do not sum to 1, and tables that do not have the same columns.
    """
    result, header = Submission(), None
    for number, row in enumerate(csv.reader(lines), 1):
        place = f"{where}, line {number}"
        if not row:
            continue
        if row[0] == "case":
            if header is not None and row != header:
                raise UsageError("a second table has other columns than the first", where=place)
            if "class" not in row or len(set(row)) < len(row):
                raise UsageError(f"not a table of classes: its columns are {','.join(row)}", where=place,
                                 remedy="it needs case,class and may have p_<class> and seen")
            header = row
            continue
        if header is None:
            raise UsageError("does not begin with the line case,class…", where=place, remedy="give mri-predict's table")
        if len(row) != len(header):
            raise UsageError(f"has {len(row)} fields, not {len(header)}", where=place)
        values = dict(zip(header, row, strict=True))
        case = values["case"]
        if case in result.classes:
            raise UsageError(f"names {case} a second time", where=place)
        result.classes[case] = values["class"]
        result.seen[case] = values.get("seen", "")
        given = {name[2:]: _probability(text, name, place) for name, text in values.items() if name.startswith("p_")}
        if given:
            if abs(sum(given.values()) - 1) > TOLERANCE:
                raise UsageError(f"its probabilities sum to {sum(given.values()):g}, not 1", where=place)
            if values["class"] not in given:
                raise UsageError(f"class {values['class']} has no column p_{values['class']}", where=place)
            result.probability[case] = given
    if header is None:
        raise UsageError("is empty", where=where, remedy="give mri-predict's table")
    return result


def _probability(text: str, name: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:  # NaN fails too
        raise UsageError(f"{name} is {text!r}, not a probability", where=place)
    return value


def pair(predicted: Iterable[str], reference: Iterable[str]) -> dict[str, str]:
    """Predicted id -> reference id: by id, else all by their last part without suffix and known endings.

    Raises UsageError, listing what is left over, when a prediction fits no case of the reference.
    """
    predicted, reference = list(predicted), list(reference)
    known = set(reference)
    left = [name for name in predicted if name not in known]
    if not left:
        return {name: name for name in predicted}
    short = Counter(map(_stem, reference))
    by_stem = {_stem(name): name for name in reference if short[_stem(name)] == 1}
    stems = [_stem(name) for name in predicted]
    if len(set(stems)) == len(stems) and all(s in by_stem for s in stems):
        return {name: by_stem[s] for name, s in zip(predicted, stems, strict=True)}
    unused = [name for name in reference if name not in set(predicted)]
    raise UsageError(f"{len(left)} predictions are of no case in the reference: {_some(left)}; "
                     f"cases without prediction: {_some(unused)}",
                     remedy="is it the right reference, and the folder that the ids are counted from?")


def _stem(name: str) -> str:
    last = name.split("/")[-1]
    last = last[: len(last) - len(suffix_of(last))] if suffix_of(last) else last
    return next((last[: -len(e)] for e in MASK_ENDINGS if last.lower().endswith(e)), last)


def _some(names: list[str], most: int = 5) -> str:
    return (", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")) or "none"


@dataclass
class Matched:
    """Predictions beside the truth: ids, truth (n,) and predicted (n,) as places in classes (-1 missing),
    probability (n, classes) or None, seen: where the model had the case (train, validation or empty)."""

    ids: list[str]
    classes: list[str]
    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray | None
    seen: list[str]

    def only(self, chosen: np.ndarray) -> Matched:
        """The cases where `chosen`, (n,) bool, holds."""
        keep = np.flatnonzero(chosen)
        probability = None if self.probability is None else self.probability[keep]
        return Matched([self.ids[i] for i in keep], self.classes, self.truth[keep], self.predicted[keep], probability,
                       [self.seen[i] for i in keep])


def match(submission: Submission, reference: dict[str, str]) -> Matched:
    """The submission against the truth {case id: class}, in the reference's order; a missing prediction is -1.

    Raises UsageError for predictions of unknown cases, or of classes of which the reference has none at all.
    """
    pairs = {ref: pred for pred, ref in pair(submission.classes, reference).items()}
    called = set(submission.classes.values()) | {c for p in submission.probability.values() for c in p}
    classes = sorted(set(reference.values()) | called)
    if called and not called & set(reference.values()):
        raise UsageError(f"the classes predicted ({_some(sorted(called))}) are none of the reference's "
                         f"({_some(sorted(set(reference.values())))})", remedy="give both the same names")
    place = {name: i for i, name in enumerate(classes)}
    ids = list(reference)
    predicted = np.array([place[submission.classes[pairs[i]]] if i in pairs else -1 for i in ids])
    probability = None
    if submission.probability:
        probability = np.zeros((len(ids), len(classes)))
        for row, name in zip(probability, ids, strict=True):
            for kind, value in submission.probability.get(pairs.get(name, ""), {}).items():
                row[place[kind]] = value
        total = probability.sum(1, keepdims=True)
        probability = np.divide(probability, total, out=np.full_like(probability, 1 / len(classes)), where=total > 0)
    seen = [submission.seen.get(pairs.get(i, ""), "") for i in ids]
    return Matched(ids, classes, np.array([place[reference[i]] for i in ids]), predicted, probability, seen)
