"""Tables of predictions: read row by row, and predicted classes beside the reference."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation.pairing import pair, some

SEEN = ("", "train", "validation")
NUMBERS = ("x0", "y0", "x1", "y1", "score")
DEPTH = ("z0", "z1")  # of boxes of volumes, beside them
TOLERANCE = 0.01  # by which probabilities, rounded for print, may miss a sum of 1


@dataclass
class Values:
    """The prediction of each case by its id. seen: where the model has seen the case: train, validation or empty.
    parse: row by column -> prediction, or ValueError or KeyError."""

    of: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    parse: Callable[[dict[str, str]], Any] | None = None

    def check(self, header: list[str], place: str) -> None:
        """Raise UsageError for the columns of a table that does not fit."""
        if "case" not in header:
            raise UsageError("has no column case", where=place, remedy="give mri-predict's table")

    def has(self, case: str) -> bool:
        """Whether a further row of a case would be one too many."""
        return case in self.of

    def add(self, row: dict[str, str], place: str) -> None:
        """Add the prediction of a row. Raises UsageError."""
        try:
            self.of[row["case"]], self.seen[row["case"]] = self.parse(row), row.get("seen", "")
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"cannot be read: {error}", where=place, remedy="give mri-predict's table") from error

    def leave_out(self, ids: Iterable[str]) -> None:
        """Remove the predictions of these cases."""
        for name in ids:
            self.of.pop(name, None)
            self.seen.pop(name, None)


def read(text: str, where: object, predictions: Values, problems: list[MriError] | None = None) -> Values:
    """Add the predictions of a CSV to others, and return all.

    A second table may follow in the text, with the columns in another order. problems: takes the error of a row, whose
    case is then left out; without it the error is raised. Raises UsageError, with the line, for what cannot be right,
    CaseError for an empty text.
    """
    header, refused = None, set()
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for values in reader:
            place = f"{where}, line {reader.line_num}"
            if not values:
                continue
            if header is None or values == header or values[:2] == header[:2] == ["case", "class"]:
                header = values
                predictions.check(header, place)
                continue
            row = dict(zip(header, values, strict=False))
            try:
                if len(values) != len(header):
                    raise UsageError(f"has {len(values)} fields, not {len(header)}", where=place)
                if predictions.has(row["case"]):
                    raise UsageError(f"names {row['case']} a second time", where=place,
                                     remedy="give one prediction a case")
                predictions.add(row, place)
            except UsageError as error:
                if problems is None:
                    raise
                problems.append(error)
                refused.add(row.get("case"))
    except csv.Error as error:
        raise UsageError(f"is not a table: {error}", where=f"{where}, line {reader.line_num}") from error
    if header is None:
        raise CaseError("nothing to do (no line came)", where=where)
    predictions.leave_out(refused)
    return predictions


@dataclass
class ClassTable(Values):
    """Predictions of a table `case,class[,p_<class>…][,seen]`: case -> (class, {class: probability}), the probabilities
    empty where the table has none."""

    header: list[str] | None = None

    def check(self, header: list[str], place: str) -> None:
        """Raise UsageError for columns that are not those of a table of classes, or of the tables before."""
        if "case" not in header or "class" not in header or len(set(header)) < len(header):
            raise UsageError(f"does not begin with the line case,class… but with {','.join(header)[:60]!r}",
                             where=place, remedy="give mri-predict's table")
        self.header = self.header or header
        if set(header) != set(self.header):
            raise UsageError("a second table has other columns than the first", where=place,
                             remedy="score tables of different classes one by one")

    def add(self, row: dict[str, str], place: str) -> None:
        """Add the prediction of a row. Raises UsageError for a wrong probability or sum."""
        case, predicted = row["case"], row["class"]
        if not predicted:
            raise UsageError(f"gives {case} no class", where=place, remedy="leave the row out to count it as missing")
        seen = _seen(row, place)
        probabilities = {name[2:]: _probability(text, name, place) for name, text in row.items()
                         if name.startswith("p_")}
        total = sum(probabilities.values())
        if probabilities and abs(total - 1) > TOLERANCE:
            raise UsageError(f"its probabilities sum to {total:g}, not 1", where=place)
        if probabilities and predicted not in probabilities:
            raise UsageError(f"class {predicted} has no column p_{predicted}", where=place)
        self.of[case] = predicted, {name: p / total for name, p in probabilities.items()}
        self.seen[case] = seen


def _probability(text: str, name: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:  # NaN fails too
        raise UsageError(f"{name} is {text!r}, not a probability", where=place)
    return value


@dataclass
class Boxes(Values):
    """Predicted boxes of a table `case,x0,y0[,z0],x1,y1[,z1],class,score[,seen]`: case -> [(x0, y0, x1, y1, class,
    score[, z0, z1])]. A row without numbers says that a case has no box."""

    earlier: set[str] = field(default_factory=set)  # the cases of tables before this one

    def check(self, header: list[str], place: str) -> None:
        """Raise UsageError for columns that are not those of a table of boxes."""
        if lacking := [name for name in ("case", *NUMBERS) if name not in header]:
            raise UsageError(f"has no column {lacking[0]}", where=place, remedy="give case,x0,y0,x1,y1,class,score")
        if len({*DEPTH} & {*header}) == 1:
            raise UsageError("has only one of the columns z0 and z1", where=place, remedy="give both, or none")
        self.earlier = set(self.of)

    def has(self, case: str) -> bool:
        return case in self.earlier

    def add(self, row: dict[str, str], place: str) -> None:
        """Add the box of a row. Raises UsageError for a wrong number, or no area."""
        case = row["case"]
        self.seen[case], boxes = _seen(row, place), self.of.setdefault(case, [])
        if not any(row[name] for name in NUMBERS):
            return
        try:
            *box, score = (float(row[name]) for name in NUMBERS)
            depth = [float(row[name]) for name in DEPTH if name in row]
        except ValueError:
            box, score, depth = [], math.nan, []
        if not np.isfinite([*box, score, *depth]).all():
            raise UsageError(f"{' '.join(name for name in (*NUMBERS, *DEPTH) if name in row)} are not all numbers",
                             where=place)
        if box[2] <= box[0] or box[3] <= box[1] or depth and depth[1] <= depth[0]:
            raise UsageError("its box has no area", where=place,
                             remedy="x0 < x1 and y0 < y1" + (" and z0 < z1" if depth else ""))
        boxes.append((*box, row.get("class", ""), score, *depth))


def _seen(row: dict[str, str], place: str) -> str:
    if (seen := row.get("seen", "")) not in SEEN:
        raise UsageError(f"seen is {seen!r}", where=place, remedy="it is train, validation or empty")
    return seen


@dataclass
class Matched:
    """Predictions beside the reference: ids, truth (n,) and predicted (n,) as places in classes (-1: none),
    probability (n, classes) or None, seen as in tables.Values."""

    ids: list[str]
    classes: list[str]
    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray | None
    seen: list[str]

    @cached_property
    def place(self) -> dict[str, int]:
        """The row of each case."""
        return {name: i for i, name in enumerate(self.ids)}

    def only(self, ids: Iterable[str]) -> Matched:
        """These cases, in this order."""
        keep = [self.place[name] for name in ids]
        probability = None if self.probability is None else self.probability[keep]
        return Matched([self.ids[i] for i in keep], self.classes, self.truth[keep], self.predicted[keep], probability,
                       [self.seen[i] for i in keep])


def match(table: ClassTable, reference: dict[str, str], pairs: dict[str, str] | None = None) -> Matched:
    """The predictions beside the reference {case id: class}, in its order; a missing prediction is -1.

    A case of the reference with an empty class is paired, too; its class is -1. pairs: {case id: predicted id}; by
    default those of pairing.pair. Raises UsageError for predictions of unknown cases, or where no predicted class is
    one of the reference's.
    """
    if pairs is None:
        pairs = {case: name for name, case in pair(table.of, reference).items()}
    reference_classes = set(reference.values()) - {""}
    predicted_classes = {name for predicted, probability in table.of.values() for name in (predicted, *probability)}
    if predicted_classes and not predicted_classes & reference_classes:
        raise UsageError(f"the classes predicted ({some(sorted(predicted_classes))}) are none of the reference's "
                         f"({some(sorted(reference_classes))})", remedy="give both the same names")
    classes = sorted(reference_classes | predicted_classes)
    place = {name: i for i, name in enumerate(classes)}
    nothing = (None, {})
    predictions = [table.of[pairs[case]] if case in pairs else nothing for case in reference]
    probability = None
    if any(probabilities for _, probabilities in table.of.values()):
        probability = np.array([[p.get(name, 0.0) for name in classes] if p else [1 / len(classes)] * len(classes)
                                for _, p in predictions])
    return Matched(list(reference), classes, np.array([place.get(name, -1) for name in reference.values()]),
                   np.array([place.get(predicted, -1) for predicted, _ in predictions]), probability,
                   [table.seen.get(pairs.get(case, ""), "") for case in reference])
