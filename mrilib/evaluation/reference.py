"""The reference (ground truth) of a score, and which of its cases belong together."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mrilib import cases, tables
from mrilib.cases import Case, Reading
from mrilib.errors import CaseError, UsageError
from mrilib.evaluation.pairing import pair_some, some
from mrilib.unused import tell

log = logging.getLogger("mrilib")


class Reference(NamedTuple):
    """All cases by id; `chosen`: the ids of those that are scored. group: what each belongs to; empty without a split.

    itself: the images of the cases are the label maps.
    """

    path: Path
    cases: dict[str, Case]
    chosen: tuple[str, ...]
    group: dict[str, str]
    itself: bool = False

    @property
    def scored(self) -> list[Case]:
        """The cases that are scored."""
        return [self.cases[name] for name in self.chosen]

    def label_map(self, case: Case) -> Path:
        """The file of a case's label map."""
        return case.path if self.itself else case.label

    @property
    def dataset_scheme(self) -> str | None:
        """The label scheme in a dataset.json in the reference folder or the one above it; None without one."""
        from mrilib.evaluation import foreign

        folder = self.path if self.path.is_dir() else self.path.parent
        for place in (folder, folder.absolute().parent):
            if scheme := foreign.dataset_scheme(place):
                return scheme
        return None


def read(path: str | Path, layout: str | Reading | None = None, split: str | Path | None = None,
         fold: int | None = None, part: str | None = None) -> Reference:
    """The reference below a path, and which of its cases are scored.

    Raises UsageError when a case cannot be used, or the split names cases that are not there.
    """
    path = Path(path)
    if fold is not None and split is None:
        raise UsageError("--fold has no effect without --split")
    if fold is not None and part not in (None, "test"):
        raise UsageError(f"--part {part} has no effect with --fold: mri-train chooses it among the other folds")
    if not path.exists():
        raise UsageError("no such file or folder", where=path, remedy="check the name")
    faults: list[CaseError] = []
    by_id: dict[str, Case] = {}
    for case in cases.find([path], layout, on_error=faults.append, on_unused=partial(tell, used_as_images=False)):
        if case.id in by_id:
            raise UsageError(f"holds two cases called {case.id}", where=path)
        by_id[case.id] = case
    if faults:
        log.warning("%s", faults[0])
        raise UsageError(f"{len(faults)} cases of the reference cannot be used", where=path, remedy="mend it first")
    if split is None:
        chosen = [name for name, case in by_id.items() if part in (None, case.part)]
        if not chosen:
            raise UsageError(f"has no case of part {part}", where=path, remedy="name a split with --split, or put the "
                             f"cases into a folder {part}/")
        return Reference(path, by_id, tuple(chosen), {})
    from mrilib import splits

    rows = splits.read(Path(split))
    chosen = [name for name, row in rows.items() if row.part != splits.EXCLUDED]
    if fold is not None or part is not None:
        chosen = splits.parts(list(rows.values()), fold=fold)[part or "test"]
    if strange := [name for name in chosen if name not in by_id]:
        raise UsageError(f"names {strange[0]}, which the reference lacks ({len(strange)} such)", where=split,
                         remedy="give the reference that the split was made of")
    if not chosen:
        raise UsageError(f"has no case of part {part}", where=split)
    if left := len(by_id) - len(rows):
        log.info("%d cases of the reference are not in the split and are left out", left)
    return Reference(path, by_id, tuple(chosen), {name: row.group for name, row in rows.items()})


def with_label_maps(reference: Reference) -> Reference:
    """The reference of label maps: of the cases those that have one, or all where the cases are the label maps.

    Raises UsageError when none is left.
    """
    if any(case.label is not None for case in reference.scored):
        chosen = tuple(case.id for case in reference.scored if case.label is not None)
        if left := len(reference.chosen) - len(chosen):
            log.info("%d cases of the reference have no label map and are not scored", left)
        return reference._replace(chosen=chosen)
    if without := [case.id for case in reference.scored if len(case.channels) > 1]:
        raise UsageError(f"{len(without)} cases have no label map, the first {without[0]}", where=reference.path,
                         remedy="give a folder of cases with label maps, or of label maps alone")
    return reference._replace(itself=True)


def units_of(ids: Iterable[str], reference: Reference):
    """What the bootstrap draws, as an (n,) array of numbers, and its name: groups of the split, else subjects where
    they are known, else cases."""
    import numpy as np

    ids = list(ids)
    belongs, what = reference.group, "group"
    if not belongs:
        belongs = {name: reference.cases[name].subject for name in ids if reference.cases[name].subject}
        what = "subject" if belongs else "case"
    number: dict[tuple, int] = {}
    units = np.array([number.setdefault((name in belongs, belongs.get(name, name)), len(number)) for name in ids])
    return units, what


def groups_of(path: str | Path, names: Iterable[str]) -> dict[str, list[str]]:
    """The cases of each value of each column of a CSV `case,<column>…`: `site=Aachen` -> ids, in order.

    Raises UsageError for a table without cases and columns, or that lacks a case.
    """
    names = list(names)
    columns, rows = tables.read(path)
    if "case" not in columns or not columns[1:]:
        raise UsageError("has no columns case and another to group by", where=path)
    by_case = {row["case"]: row for _, row in rows}
    row_of = {name: by_case[case] for case, name in pair_some(by_case, names)[0].items()}
    if lacking := [name for name in names if name not in row_of]:
        raise UsageError(f"lacks {len(lacking)} cases: {some(lacking)}", where=path)
    groups: dict[str, list[str]] = {}
    for column in columns:
        for name in names if column != "case" else ():
            groups.setdefault(f"{column}={row_of[name].get(column)}", []).append(name)
    return dict(sorted(groups.items()))


def unseen(seen: dict[str, str], prefix: str) -> list[str]:
    """The cases that the model never saw, where it saw some; how many it saw is logged. seen: case -> train, validation
    or empty."""
    left = [name for name, part in seen.items() if not part]
    if not (count := len(seen) - len(left)):
        return []
    trained = sum(part == "train" for part in seen.values())
    log.info("%sthe model saw %d of the %d cases (%d in training, %d in validation): %s", prefix, count, len(seen),
             trained, count - trained, "metrics without them follow" if left else "these metrics say little")
    return left
