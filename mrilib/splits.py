"""Splits: which cases are trained on, validated with and tested on, so that no group is ever parted.

A group is what must stay together: the cases of one subject, and copies of one image.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrilib.cases import Case
from mrilib.duplicates import groups
from mrilib.errors import UsageError
from mrilib.store import csv_text, read_csv

HEADER = ("case", "subject", "group", "fold", "part")
PARTS = ("train", "validation", "test")
FINEST = 25  # fractions are made of at most as many equal pieces


@dataclass(frozen=True)
class Row:
    """One case of a split. subject: empty when not known. fold: None where the split has no folds."""

    case: str
    subject: str
    group: str
    fold: int | None
    part: str


def grouping(cases: list[Case], copies=()) -> list[str]:
    """The group of each case: subjects and copies (i, j, …) joined.

    Named for its subject or its case, the first by name, so that the order of the cases does not matter.
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
    names = {label: min(known)[1] for label, known in members.items()}
    return [names[int(label)] for label in labels]


def make(cases: list[Case], group: list[str], *, folds: int | None = None, validation: float = 0.15,
         test: float = 0.15, seed: int = 0) -> list[Row]:
    """A split into `folds`, or into train, validation and test by fractions of the cases, stratified by class.

    group: of each case, as from `grouping`. With folds every part is "train" and a fold is chosen in use (`parts`).
    Raises UsageError for two cases of one id, more folds than groups, or fractions that leave nothing to train on.
    """
    if not cases:
        raise UsageError("no case to split")
    if twice := [name for name, n in Counter(c.id for c in cases).items() if n > 1]:
        raise UsageError(f"two cases are called {twice[0]}", remedy="count ids from one root")
    if folds is not None:
        fold = _stratified(cases, group, folds, seed)
        return [Row(c.id, c.subject or "", g, int(f), "train") for c, g, f in zip(cases, group, fold, strict=True)]
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
    """Into how many equal pieces, at most `most`, to cut so that whole ones make up the fractions best.

    Returns how many go to each fraction, at least 1, and how many there are, at least one more than that.
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
    order = np.argsort([c.id for c in cases], kind="stable")  # the result must not hang on the order of files
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


def parts(rows: list[Row], fold: int | None = None, validation: float = 0.15, seed: int = 0,
          classes: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Case ids of train, validation and test, in the order of the rows.

    fold: that fold is the test, and a share `validation` of the rest, by whole groups, validates; without it the
    parts are those of the rows. classes: of each case id, to stratify by. Raises UsageError for a fold that the
    split does not have, or folds when none is chosen.
    """
    have = sorted({r.fold for r in rows if r.fold is not None})
    if fold is None:
        if have:
            raise UsageError(f"the split has folds {have[0]} to {have[-1]}", remedy="choose one with --fold")
        return {p: [r.case for r in rows if r.part == p] for p in PARTS}
    if fold not in have:
        text = f"folds {have[0]} to {have[-1]}" if have else "no folds"
        raise UsageError(f"fold {fold} is not in the split, which has {text}")
    rest = [r for r in rows if r.fold != fold]
    known = [Case(r.case, Path(), {}, subject=r.subject or None, class_name=(classes or {}).get(r.case)) for r in rest]
    inner = make(known, [r.group for r in rest], validation=validation, test=0, seed=seed)
    chosen = {p: [r.case for r in inner if r.part == p] for p in ("train", "validation")}
    return {**chosen, "test": [r.case for r in rows if r.fold == fold]}


def write(rows: list[Row]) -> str:
    """The split as CSV text: case,subject,group,fold,part."""
    return csv_text([HEADER, *((r.case, r.subject, r.group, r.fold, r.part) for r in rows)])


def read(path: Path) -> dict[str, Row]:
    """The rows of a split file by case id, in order.

    Raises UsageError when it is no split, names a case twice, or parts a group or subject between folds or parts.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_csv(path), newline=""))
        if not {"case", "part"} <= set(reader.fieldnames or ()):
            raise UsageError(f"is no split: its columns are not {','.join(HEADER)}", where=path)
        lines = list(reader)
    except (OSError, csv.Error) as error:
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=path) from error
    rows: dict[str, Row] = {}
    places = defaultdict(set)
    for number, line in enumerate(lines, 2):
        where = f"{path}, line {number}"
        fold, part = line.get("fold") or None, line["part"]
        if line["case"] in rows:
            raise UsageError(f"names {line['case']} a second time", where=where)
        if part not in PARTS:
            raise UsageError(f"part {part!r} is none of {' '.join(PARTS)}", where=where)
        if fold is not None and not fold.isdigit():
            raise UsageError(f"fold {fold!r} is not a number", where=where)
        group = line.get("group") or line.get("subject") or line["case"]
        row = Row(line["case"], line.get("subject") or "", group, None if fold is None else int(fold), part)
        rows[row.case] = row
        places["group", group].add((fold, part))
        if row.subject:
            places["subject", row.subject].add((fold, part))
    if not rows:
        raise UsageError("names no case", where=path)
    if parted := sorted(what for what, where in places.items() if len(where) > 1):
        more = f" and {len(parted) - 1} more" if parted[1:] else ""
        raise UsageError(f"parts {' '.join(parted[0])}{more}: its cases are in {len(places[parted[0]])} places",
                         where=path, remedy="keep each subject and its copies in one part")
    return rows
