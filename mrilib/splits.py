"""Splits: which cases are for training, validation and test, without dividing a group.

A group is a set of cases that stay together: the cases of one subject, and copies of one image.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrilib.cases import Case
from mrilib.cases.given import PARTS
from mrilib.duplicates import groups
from mrilib.errors import CaseError, UsageError
from mrilib.leaks import copies_across
from mrilib.store import csv_text, read_csv

HEADER = ("case", "subject", "group", "fold", "part")
EXCLUDED = "excluded"  # the part of a case that must not be used for training: its group is in the given test part
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
    names = {label: min(known)[1] for label, known in members.items()}
    return [names[int(label)] for label in labels]


def given_parts(cases: list[Case]) -> dict[str, str]:
    """Case id -> part, where the data set states a split. Empty for a data set that states none.

    Parts without a class, a label map or a box are left out if another case has one: nothing can be trained on them
    or scored by them. The result may then be the train part alone.
    """
    def has_target(case):
        return case.class_name is not None or case.label is not None or bool(case.boxes)

    some = any(map(has_target, cases))
    stated = {case.part for case in cases if case.part}
    usable = {case.part for case in cases if has_target(case) or not some}
    if "train" not in usable or len(stated) < 2 or (usable == {"train", None}):
        return {}
    return {case.id: case.part for case in cases if case.part and case.part in usable}


@dataclass(frozen=True)
class Leaks:
    """Groups that lie in several parts of a given split. cases: id -> part of its group, for cases that lie in another
    part (test comes before validation before train). lines: the report; empty without a leak."""

    cases: dict[str, str]
    lines: list[str]


def leaks(cases: list[Case], part_of: dict[str, str], group: list[str], copies=()) -> Leaks:
    """The groups of a given split that lie in more than one part.

    part_of: as from `given_parts`. group: of each case, as from `grouping`. copies: pairs (i, j, kind) of cases.
    """
    best: dict[str, int] = defaultdict(int)
    for case, name in zip(cases, group, strict=True):
        if case.id in part_of:
            best[name] = max(best[name], PARTS.index(part_of[case.id]))
    crossing = {case.id: PARTS[best[name]] for case, name in zip(cases, group, strict=True)
                if case.id in part_of and PARTS.index(part_of[case.id]) < best[name]}
    lines = []
    for upper, part in [(2, "test"), (1, "validation")]:
        others = PARTS[:upper]
        copied = copies_across([part_of.get(case.id) for case in cases], copies, part, others)
        subjects = {case.subject for case in cases if case.subject and part_of.get(case.id) == part} & {
            case.subject for case in cases if case.subject and part_of.get(case.id) in others}
        shared = sum(case.subject in subjects for case in cases if part_of.get(case.id) == part)
        count = sum(p == part for p in part_of.values())
        where = "training" if upper == 1 or "validation" not in part_of.values() else "training or validation"
        if copied:
            kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(kind for _, kind in copied.values()).items()))
            lines.append(f"{len(copied)} of {count} {part} cases are copies of {where} cases ({kinds})")
        if subjects:
            lines.append(f"{len(subjects)} subject{'s' * (len(subjects) > 1)} ({shared} of {count} {part} cases) "
                         f"{'are' if subjects and len(subjects) > 1 else 'is'} among the {where} cases, too")
    return Leaks(crossing, lines)


def make_given(cases: list[Case], group: list[str], part_of: dict[str, str], *, validation: float | None = None,
               test: float | None = None, seed: int = 0) -> list[Row]:
    """Make the split that a data set states. A missing part is taken from the train part, by fractions as in `make`.

    A group that crosses parts belongs to its test cases, else to its validation cases; its other cases are excluded, so
    that the test part stays as stated and none of its cases is trained on. Cases of no part are excluded, too.
    Raises UsageError where no case is left to train on.
    """
    have = set(part_of.values())
    crossing = leaks(cases, part_of, group).cases
    part = {case.id: EXCLUDED if case.id in crossing or case.id not in part_of else part_of[case.id] for case in cases}
    pool = [(case, name) for case, name in zip(cases, group, strict=True) if part[case.id] == "train"]
    if not pool:
        raise UsageError("every training case is in a group of the given test or validation part",
                         remedy="make a new split of all cases with --given ignore")
    lacking = {name: 0.15 if fraction is None else fraction
               for name, fraction in (("validation", validation), ("test", test)) if name not in have}
    if any(lacking.values()):
        inner = make([case for case, _ in pool], [name for _, name in pool],
                     validation=lacking.get("validation", 0.0), test=lacking.get("test", 0.0), seed=seed)
        part.update((row.case, row.part) for row in inner)
    return [Row(c.id, c.subject or "", g, None, part[c.id]) for c, g in zip(cases, group, strict=True)]


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


def parts(rows: list[Row], fold: int | None = None, validation: float = 0.15, seed: int = 0,
          classes: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Case ids of train, validation and test, in the order of the rows.

    fold: this fold is the test set, and the fraction `validation` of the other groups is the validation set. Without it
    the parts are those of the rows. classes: class of each case id, for stratification. Raises UsageError for a fold
    that the split lacks, and for a split into folds without a chosen fold.
    """
    rows = [r for r in rows if r.part != EXCLUDED]
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


def read(path: str | Path) -> dict[str, Row]:
    """The rows of a split file by case id, in order.

    Raises UsageError if the file is no split, names a case twice, or divides a group or a subject.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_csv(Path(path)), newline=""))
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
        if part not in (*PARTS, EXCLUDED):
            raise UsageError(f"part {part!r} is none of {' '.join((*PARTS, EXCLUDED))}", where=where)
        if fold is not None and not fold.isdigit():
            raise UsageError(f"fold {fold!r} is not a number", where=where)
        group = line.get("group") or line.get("subject") or line["case"]
        row = Row(line["case"], line.get("subject") or "", group, None if fold is None else int(fold), part)
        rows[row.case] = row
        if part == EXCLUDED:
            continue
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


def training_cases(split: Path | None, fold: int | None = None) -> Callable[[Case], bool] | None:
    """Whether a case is for training by a split file: a function that raises CaseError for a case it does not name.

    With a fold, all cases but those of the fold are for training: mri-train chooses its validation cases later.
    None without a split.
    """
    if split is None:
        if fold is not None:
            raise UsageError("--fold has no effect without --split")
        return None
    rows = read(split)
    by_part = parts(list(rows.values()), fold=fold)
    training = set(by_part["train"]) | (set(by_part["validation"]) if fold is not None else set())

    def keep(case: Case) -> bool:
        if case.id not in rows:
            raise CaseError(f"{case.id} is not in {split}", where=case.path, remedy="split these cases first")
        return case.id in training

    return keep
