"""Which cases a prediction is for: all that come, or those of a part of a split."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mrilib import splits
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.inference.models import Models
from mrilib.store import content_hash

log = logging.getLogger("mrilib")


def ids_of(split: object, fold: int | None, part: str | None, models: Models) -> set[str] | None:
    """The ids of a part of a split file, or of the rows of one, the test part unless said; None without a split: see
    `chosen`."""
    if split is None:
        if fold is not None:
            raise UsageError("--fold has no effect without --split")
        return None
    part = part or "test"
    path = Path(split) if isinstance(split, str | os.PathLike) else None
    rows = list(splits.read(path).values() if path else getattr(split, "rows", split))
    ids = splits.parts(rows, fold=fold)[part]
    if fold is not None and part != "test":  # which of the other folds' cases validated, only the models tell
        if path is None:
            raise UsageError(f"part {part} of a fold needs the split file", remedy="save the split, and train with it")
        ids = _trained(path, fold, part, models)
    if not ids:
        raise UsageError(f"has no case of part {part}", where=path or "split")
    return set(ids)


def _trained(split: Path, fold: int, part: str, models: Models) -> list[str]:
    name, record = next(iter(models.records.items()))
    origin = record.training.get("split", {})
    if len(models.names) > 1 or (origin.get("content"), origin.get("fold")) != (content_hash([split]), fold):
        raise UsageError(f"is not one model trained with --split {split} --fold {fold}", where=name,
                         remedy=f"part {part} of a fold is what a model made of it; --part test needs no model")
    return [case for case, seen in record.cases.items() if seen["part"] == part]


def chosen(cases: Iterable[Case | CaseError], ids: set[str] | None,
           part: str | None = None) -> Iterator[Case | CaseError]:
    """Cases as they come, or those with these ids, of which each one that never came is an error at the end.

    part: without ids, only cases of this part of the split that the data set states.
    """
    missing, others = set(ids or ()), 0
    for case in cases:
        if ids is None and part is not None and isinstance(case, Case) and case.part != part:
            others += 1
        elif ids is None or isinstance(case, CaseError):
            yield case
        elif case.id in ids:
            missing.discard(case.id)
            yield case
    if others:
        log.info("--part %s: %d cases of other parts, or of none, are left out", part, others)
    for name in sorted(missing):
        yield CaseError("is in the split, but was not given", where=name)
