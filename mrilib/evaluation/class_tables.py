"""A table of predicted classes, read with care, and set against its reference."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation.pairing import pair, some

TOLERANCE = 0.01  # by which probabilities, rounded for print, may miss a sum of 1
SEEN = ("", "train", "validation")


@dataclass
class ClassTable:
    """Predictions by case id, in order. probability: {case: {class: p}}, empty where the table has none."""

    classes: dict[str, str] = field(default_factory=dict)
    probability: dict[str, dict[str, float]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    header: list[str] | None = None

    @property
    def ids(self) -> Iterable[str]:
        return self.classes

    def leave_out(self, ids: Iterable[str]) -> None:
        """Forget these predictions."""
        for name in ids:
            for of in (self.classes, self.probability, self.seen):
                of.pop(name, None)


def read(lines: Iterable[str], where: object, before: ClassTable | None = None,
         problems: list[MriError] | None = None) -> ClassTable:
    """The predictions of CSV lines `case,class[,p_<class>…][,seen]`; several tables may follow one another.

    before: what was read from other files, to add to. problems: takes what is wrong with a row, which is then left
    out (of a case named twice, both are); without it that is raised.

    Raises UsageError, with the line, for a missing column, a case named twice, a probability that is none, a row
    whose probabilities do not sum to 1, and tables that do not have the same columns; CaseError for no line at all.
    """
    result, header, refused = before or ClassTable(), None, set()
    reader = csv.reader(lines)
    try:
        for row in reader:
            place = f"{where}, line {reader.line_num}"
            if not row:
                continue
            if header is None or row == header or row[:2] == header[:2] == ["case", "class"]:
                header = _header(row, result.header, place)
                result.header = result.header or header
            else:
                try:
                    _add(result, row, header, place)
                except UsageError as error:
                    if problems is None:
                        raise
                    problems.append(error)
                    refused.update(name for name, column in zip(row, header, strict=False) if column == "case")
    except csv.Error as error:
        raise UsageError(f"is not a table: {error}", where=f"{where}, line {reader.line_num}") from error
    if header is None:
        raise CaseError("nothing to do (no line came)", where=where)
    result.leave_out(refused)
    return result


def _header(row: list[str], before: list[str] | None, place: str) -> list[str]:
    if "case" not in row or "class" not in row or len(set(row)) < len(row):
        raise UsageError(f"does not begin with the line case,class… but with {','.join(row)[:60]!r}", where=place,
                         remedy="give mri-predict's table")
    if before is not None and set(row) != set(before):
        raise UsageError("a second table has other columns than the first", where=place,
                         remedy="score tables of different classes one by one")
    return row


def _add(result: ClassTable, row: list[str], header: list[str], place: str) -> None:
    if len(row) != len(header):
        raise UsageError(f"has {len(row)} fields, not {len(header)}", where=place)
    values = dict(zip(header, row, strict=True))
    case, kind, seen = values["case"], values["class"], values.get("seen", "")
    if case in result.classes:
        raise UsageError(f"names {case} a second time", where=place, remedy="give one prediction a case")
    if not kind:
        raise UsageError(f"gives {case} no class", where=place, remedy="leave the row out to count it as missing")
    if seen not in SEEN:
        raise UsageError(f"seen is {seen!r}", where=place, remedy="it is train, validation or empty")
    probabilities = {name[2:]: _probability(text, name, place) for name, text in values.items()
                     if name.startswith("p_")}
    total = sum(probabilities.values())
    if probabilities and abs(total - 1) > TOLERANCE:
        raise UsageError(f"its probabilities sum to {total:g}, not 1", where=place)
    if probabilities and kind not in probabilities:
        raise UsageError(f"class {kind} has no column p_{kind}", where=place)
    result.classes[case], result.seen[case] = kind, seen
    if probabilities:
        result.probability[case] = {name: p / total for name, p in probabilities.items()}


def _probability(text: str, name: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:  # NaN fails too
        raise UsageError(f"{name} is {text!r}, not a probability", where=place)
    return value


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

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each case stands."""
        return {name: i for i, name in enumerate(self.ids)}

    def only(self, ids: Iterable[str]) -> Matched:
        """These cases, in this order."""
        keep = [self.place[name] for name in ids]
        probability = None if self.probability is None else self.probability[keep]
        return Matched([self.ids[i] for i in keep], self.classes, self.truth[keep], self.predicted[keep], probability,
                       [self.seen[i] for i in keep])


def match(submission: ClassTable, reference: dict[str, str], pairs: dict[str, str] | None = None) -> Matched:
    """The predictions beside the reference {case id: class}, in its order; a missing prediction is -1.

    A case of the reference with an empty class is paired, too; its class is -1. pairs: {case id: predicted id} where
    these are known. Raises UsageError for predictions of unknown cases, or where no predicted class is one of the
    reference's.
    """
    if pairs is None:
        pairs = {ref: pred for pred, ref in pair(submission.classes, reference).items()}
    reference_classes = set(reference.values()) - {""}
    predicted_classes = set(submission.classes.values()) | {c for p in submission.probability.values() for c in p}
    if predicted_classes and not predicted_classes & reference_classes:
        raise UsageError(f"the classes predicted ({some(sorted(predicted_classes))}) are none of the reference's "
                         f"({some(sorted(reference_classes))})", remedy="give both the same names")
    classes = sorted(reference_classes | predicted_classes)
    place = {name: i for i, name in enumerate(classes)}
    ids = list(reference)
    predicted = np.array([place[submission.classes[pairs[i]]] if i in pairs else -1 for i in ids])
    probability = None
    if submission.probability:
        probability = np.full((len(ids), len(classes)), 1 / len(classes))
        for row, name in zip(probability, ids, strict=True):
            if probabilities := submission.probability.get(pairs.get(name, "")):
                row[:] = [probabilities.get(kind, 0.0) for kind in classes]
    seen = [submission.seen.get(pairs.get(i, ""), "") for i in ids]
    truth = np.array([place.get(reference[i], -1) for i in ids])
    return Matched(ids, classes, truth, predicted, probability, seen)
