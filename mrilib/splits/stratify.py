"""Stratified parts and folds of a set of cases, without dividing a group.

A group is a set of cases that stay together: the cases of one subject, and copies of one image.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from mrilib.cases import Case
from mrilib.duplicates import groups
from mrilib.errors import UsageError

SHARE = 0.15  # of the cases, that validate and that test, unless stated
FINEST = 25  # largest number of equal pieces that make up the fractions


@dataclass(frozen=True)
class Row:
    """One case of a split. subject: empty if unknown. fold: None if the split has no folds."""

    case: str
    subject: str
    group: str
    fold: int | None
    part: str


def grouping(cases: list[Case], copies=()) -> list[str]:
    """The group of each case, which joins subjects and copies (i, j, …).

    Its name is the first subject or case in alphabetical order, so that the order of the cases does not matter.
    """
    linked = [(i, j) for i, j, *_ in copies]
    first: dict[str, int] = {}
    for i, case in enumerate(cases):
        if case.subject:
            linked.append((first.setdefault(case.subject, i), i))
    labels = groups(len(cases), linked)
    members: dict[int, list[tuple[bool, str]]] = defaultdict(list)
    for case, label in zip(cases, labels, strict=True):
        members[int(label)].append((not case.subject, case.subject or case.id))
    names = {label: min(names_of_group)[1] for label, names_of_group in members.items()}
    return [names[int(label)] for label in labels]


def make_some(ids: Collection[str], cases: list[Case], group: list[str], **options) -> dict[str, Row]:
    """`make` for the cases of these ids alone: id -> row."""
    pool = [(case, name) for case, name in zip(cases, group, strict=True) if case.id in ids]
    return {row.case: row for row in make([case for case, _ in pool], [name for _, name in pool], **options)}


def make(cases: list[Case], group: list[str], *, folds: int | None = None, validation: float | None = None,
         test: float | None = None, seed: int = 0) -> list[Row]:
    """A split into `folds`, or into train, validation and test by fractions of the cases, stratified by class.

    group: of each case, as from `grouping`. validation, test: SHARE by default. With folds every part is "train" and a
    fold is chosen in use (`parts`). Raises UsageError for two cases of one id, more folds than groups, or fractions
    that leave nothing to train on.
    """
    if not cases:
        raise UsageError("no case to split")
    if twice := [name for name, n in Counter(c.id for c in cases).items() if n > 1]:
        raise UsageError(f"two cases are called {twice[0]}", remedy="count ids from one root")
    if folds is not None:
        fold = _stratified(cases, group, folds, seed)
        return [Row(c.id, c.subject or "", g, int(f), "train") for c, g, f in zip(cases, group, fold, strict=True)]
    validation, test = (SHARE if share is None else share for share in (validation, test))
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UsageError(f"validation {validation:g} and test {test:g} leave nothing to train on")
    fractions = {name: f for name, f in (("test", test), ("validation", validation)) if f}
    part = ["train"] * len(cases)
    if fractions:
        have, largest = len(set(group)), max(Counter(c.class_name for c in cases).values())
        if have <= len(fractions):
            raise UsageError(f"{len(fractions) + 1} parts cannot be made of {have} group{'s' * (have > 1)}",
                             remedy="subjects and near-duplicates stay together")
        counts, pieces = _pieces(list(fractions.values()), max(min(have, largest), len(fractions) + 1))
        piece = _stratified(cases, group, pieces, seed)
        first = 0
        for name, count in zip(fractions, counts, strict=True):
            for i in np.flatnonzero((piece >= first) & (piece < first + count)):
                part[i] = name
            first += count
    return [Row(c.id, c.subject or "", g, None, p) for c, g, p in zip(cases, group, part, strict=True)]


def _pieces(fractions: list[float], most: int) -> tuple[list[int], int]:
    """The number of equal pieces, at most `most`, whose multiples approximate the fractions best.

    Returns the number of pieces of each fraction, at least 1, and the number of all pieces, which is larger than their
    sum.
    """
    def counts(n):
        return [max(round(f * n), 1) for f in fractions]

    def off(n):
        return max(abs(c / n - f) for c, f in zip(counts(n), fractions, strict=True))

    enough = [n for n in range(len(fractions) + 1, min(FINEST, most) + 1) if sum(counts(n)) < n]
    best = min(enough, key=lambda n: (round(off(n), 6), n), default=None)
    if best is None:
        raise UsageError(f"fractions {' and '.join(f'{f:g}' for f in fractions)} leave nothing to train on: "
                         f"there are only {most} groups", remedy="choose smaller ones")
    return counts(best), best


def _stratified(cases: list[Case], group: list[str], count: int, seed: int) -> np.ndarray:
    """The fold, 0 to count - 1, of each case."""
    from sklearn.model_selection import StratifiedGroupKFold

    have = len(set(group))
    if count < 2 or count > have:
        raise UsageError(f"{count} folds cannot be made of {have} groups", remedy="choose 2 folds up to that number")
    order = np.argsort([c.id for c in cases], kind="stable")  # the result must not depend on the order of the files
    names = np.array([c.class_name or "" for c in cases])[order]
    fold = np.empty(len(cases), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a rare class missing in a fold: the summary shows it
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        try:
            parted = list(splitter.split(np.zeros(len(cases)), names, np.array(group)[order]))
        except ValueError as error:
            largest = max(Counter(names.tolist()).values())
            raise UsageError(f"{count} parts cannot be stratified: no class has more than {largest} cases") from error
    for i, (_, inside) in enumerate(parted):
        fold[order[inside]] = i
    return fold
