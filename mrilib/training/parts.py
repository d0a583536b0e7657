"""Which cases train and which validate: by a split file, the split of the data set, or a split made here."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrilib import duplicates, splits
from mrilib.errors import CaseError, UsageError
from mrilib.recipe import source_record
from mrilib.results import of_case
from mrilib.store import content_hash
from mrilib.training.settings import VALIDATION, TrainSettings, needs_validation

log = logging.getLogger("mrilib")
TRAIN, HELD_OUT, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Parts:
    """The part (train or validation) of each case id that takes part, and the origin of the split for the record."""

    of: dict[str, str]
    origin: dict

    @property
    def validated(self) -> bool:
        """Whether there are validation cases."""
        return HELD_OUT in self.of.values()


def choose(cases: Sequence, settings: TrainSettings, *, split: Path | None = None, fold: int | None = None,
           rows: dict | None = None, jobs: int = 1, fail: Callable = lambda error: None) -> Parts:
    """The parts of the cases.

    split: path of a split file. rows: its rows by case id, to use instead of reading the file. fold: the
    fold that is held out. jobs: number of workers that compare images. fail(error): takes the errors of damaged cases,
    which have no row in a split. Raises UsageError for a split that does not fit the cases or the settings.
    """
    fraction = settings.validation
    if fraction is None:
        fraction = VALIDATION if needs_validation(settings) else 0.0
    if split is not None or rows is not None:
        return _of_split(cases, settings, split, fold, rows, fraction, fail)
    if fold is not None:
        raise UsageError("--fold needs --split", remedy="mri-split --folds 5 makes one")
    stated = splits.given_parts(cases)
    if set(stated.values()) == {TRAIN}:
        log.info("only the given train part has classes, label maps or boxes: the other %d cases are left out",
                 len(cases) - len(stated))
        return _own([case for case in cases if case.id in stated], fraction, settings.seed, jobs)
    if stated:
        return _stated(cases, stated, settings, fraction, jobs)
    return _own(cases, fraction, settings.seed, jobs)


def of_folds(cases: Sequence, folds: int, seed: int, jobs: int) -> list:
    """The rows of a cross-validation of the cases; a test part that the data set states is left out."""
    if stated := splits.given_parts(cases):
        pool = [case for case in cases if stated.get(case.id) not in (None, TEST)]
        log.info("the data set states a split: %d cases, of its test part or of none, are left out, the others make "
                 "the folds", len(cases) - len(pool))
        cases = pool
    return splits.make(*grouped(cases, jobs), folds=folds, seed=seed)


def _of_split(cases, settings, split, fold, rows, fraction, fail) -> Parts:
    """The parts that a split file gives. Copies made by mri-augment follow the case they were made from."""
    content = content_hash([split]) if rows is None else None
    rows = splits.read(split) if rows is None else rows
    if fold is None and any(row.part == HELD_OUT for row in rows.values()):
        if settings.validation is not None:
            raise UsageError("--validation has no effect: the split has validation cases already", where=split,
                             remedy="leave it out")
        fraction = 0.0
    by_id = {case.id: case for case in cases}
    copies = _copies([case for case in cases if case.id not in rows], rows, split, fail)
    classes = {case.id: case.class_name for case in cases}
    chosen = splits.parts(list(rows.values()), fold=fold, validation=fraction, seed=settings.seed, classes=classes)
    if fold is None and fraction:
        pool = [by_id[i] for i in chosen[TRAIN] if i in by_id]
        inner = splits.make(pool, [rows[c.id].group for c in pool], validation=fraction, test=0, seed=settings.seed)
        chosen |= {part: [row.case for row in inner if row.part == part] for part in (TRAIN, HELD_OUT)}
    part_of = {i: part for part in (TRAIN, HELD_OUT) for i in chosen[part]}
    if missing := sorted(set(part_of) - set(by_id)):
        log.info("%d case%s of %s not among the input, the first %s", len(missing), "s" * (len(missing) > 1),
                 split or "the split", missing[0])
    part_of |= {i: TRAIN for i, source in copies.items() if part_of.get(source) == TRAIN}
    origin = {"file": split and Path(split).name, "content": content, "fold": fold, "validation": fraction}
    return Parts({i: part for i, part in part_of.items() if i in by_id}, origin)


def _copies(cases, rows: dict, split: Path | None, fail) -> dict[str, str]:
    """The source of each of these cases, which have no row: copies made by mri-augment have none of their own.

    Damaged cases, which mri-split left out, are reported and left out, too. Raises UsageError for any other case.
    """
    source = {case.id: source_record(case).get("augmented", {}).get("of") for case in cases}
    unknown = sorted((case for case in cases if source[case.id] not in rows), key=lambda case: case.id)
    for i, case in enumerate(unknown):
        try:
            duplicates.fingerprint(case)
        except CaseError as error:
            fail(of_case(case, error))
            continue
        more = f" and {len(unknown) - i - 1} more" if unknown[i + 1 :] else ""
        raise UsageError(f"has no row for {case.id}{more}", where=split or "the split",
                         remedy="make the split from these cases: mri-split")
    return source


def _own(cases, fraction: float, seed: int, jobs: int) -> Parts:
    """Without a split: all cases train, or a part that shares no subject and no picture with the rest validates."""
    if not fraction:
        log.info("no --split: all %d cases train, none is held out", len(cases))
        return Parts({case.id: TRAIN for case in cases}, {"made": "all", "validation": 0.0})
    rows = splits.make(*grouped(cases, jobs), validation=fraction, test=0, seed=seed)
    part_of = {row.case: row.part for row in rows}
    validating = sum(part == HELD_OUT for part in part_of.values())
    groups = len({row.group for row in rows})
    log.info("no --split: made one of %d groups (subjects and near-duplicates kept together): %d train, %d validation",
             groups, len(part_of) - validating, validating)
    return Parts(part_of, {"made": "groups", "validation": fraction, "seed": seed, "groups": groups})


def _stated(cases, stated_parts: dict[str, str], settings, fraction: float, jobs: int) -> Parts:
    """The train and validation parts that the data set states, and never its test part. Leaks are reported first.

    Raises UsageError for a fraction of validation cases where the data set states them.
    """
    if settings.validation is not None and HELD_OUT in stated_parts.values():
        raise UsageError("--validation has no effect: the data set states its validation part",
                         remedy="leave it out, or make another split: mri-split --given ignore")
    every, copies = compared(cases, jobs)
    group = splits.grouping(every, copies)
    leaks = splits.leaks(every, stated_parts, group, copies)
    if leaks.lines:
        log.info("the given split leaks: %s", "; ".join(leaks.lines))
        log.info("the %d cases concerned are trained on all the same; mri-split excludes them: "
                 "mri-split DATA -o split.csv, then --split split.csv", len(leaks.cases))
    part_of = {name: part for name, part in stated_parts.items() if part != TEST}
    stated = HELD_OUT in part_of.values()
    if fraction and not stated:
        rows = splits.make_some(part_of, every, group, validation=fraction, test=0, seed=settings.seed)
        part_of = {name: row.part for name, row in rows.items()}
    counts = Counter(part_of.values())
    log.info("no --split: the given split: %d cases train, %s validate, %d are left out", counts[TRAIN],
             counts[HELD_OUT] or "none", len(cases) - len(part_of))
    return Parts(part_of, {"made": "given", "validation": 0.0 if stated else fraction, "seed": settings.seed})


def compared(cases, jobs: int) -> tuple[list, list]:
    """(the cases, damaged ones last; pairs (i, j, kind) of copies among them)."""
    readable, copies = duplicates.find(cases, jobs)
    read = {case.id for case in readable}
    return [*readable, *(case for case in cases if case.id not in read)], copies  # damaged: reported when it is read


def grouped(cases, jobs: int) -> tuple[list, list[str]]:
    """(the cases, damaged ones last; the group of each): subjects and near-duplicates stay together."""
    every, copies = compared(cases, jobs)
    return every, splits.grouping(every, copies)
