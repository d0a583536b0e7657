"""The table of a split, `case,subject,group,fold,part`: reading, writing, and the cases of each part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from mrilib import tables
from mrilib.cases import Case
from mrilib.cases.given import PARTS
from mrilib.errors import CaseError, UsageError
from mrilib.splits.given import EXCLUDED
from mrilib.splits.stratify import SHARE, Row, make
from mrilib.store import csv_text

HEADER = ("case", "subject", "group", "fold", "part")


def parts(rows: list[Row], fold: int | None = None, validation: float = SHARE, seed: int = 0,
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
    cases = [Case(r.case, Path(), {}, subject=r.subject or None, class_name=(classes or {}).get(r.case)) for r in rest]
    inner = make(cases, [r.group for r in rest], validation=validation, test=0, seed=seed)
    chosen = {p: [r.case for r in inner if r.part == p] for p in ("train", "validation")}
    return {**chosen, "test": [r.case for r in rows if r.fold == fold]}


def write(rows: list[Row]) -> str:
    """The split as CSV text: case,subject,group,fold,part."""
    return csv_text([HEADER, *((r.case, r.subject, r.group, r.fold, r.part) for r in rows)])


def read(path: str | Path) -> dict[str, Row]:
    """The rows of a split file by case id, in order.

    Raises UsageError if the file is no split, names a case twice, or divides a group or a subject.
    """
    columns, lines = tables.read(path, HEADER)
    if not {"case", "part"} <= set(columns):
        raise UsageError(f"is no split: its columns are not {','.join(HEADER)}", where=path)
    rows: dict[str, Row] = {}
    places = defaultdict(set)
    for number, line in lines:
        where = f"{path}, line {number}"
        fold, part = line.get("fold") or None, line.get("part")
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
