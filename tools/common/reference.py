"""What mri-score is given: tables of predictions, the truth, the split that says which cases belong together."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

from mri_tools.common import stream
from mri_tools.common.run import complain, say
from mrilib import cases
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.records import read_csv


def read_predictions(paths: tuple[Path, ...]):
    """The predictions of all tables together, from files or standard input."""
    from mrilib.metrics import submission

    if stream.from_stdin(paths):
        given = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return submission.read(given, "standard input")
    found = None
    for path in paths:
        try:
            text = read_csv(path)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=path) from error
        found = submission.read(io.StringIO(text, newline=""), path, found)
    return found


@dataclass
class Reference:
    """The truth. chosen: ids of the cases to be scored. group: what each of them belongs to; empty without a split."""

    cases: dict[str, Case]
    chosen: list[str]
    group: dict[str, str]

    @property
    def classes(self) -> dict[str, str]:
        """The class of every case; of those that are not scored it may be empty."""
        return {name: case.class_name or "" for name, case in self.cases.items()}


def read_reference(path: Path, layout, split: Path | None, fold: int | None, part: str | None) -> Reference:
    """The truth below a path, and which of it is asked for.

    Raises UsageError when a case to be scored has no class, or the split names cases that are not there.
    """
    for name, value in (("--fold", fold), ("--part", part)):
        if value is not None and split is None:
            raise UsageError(f"{name} has no effect without --split")
    if fold is not None and part not in (None, "test"):
        raise UsageError(f"--part {part} has no effect with --fold: mri-train chooses it among the other folds")
    if not path.exists():
        raise UsageError("no such file or folder", where=path, remedy="check the name")
    bad: list[CaseError] = []
    found: dict[str, Case] = {}
    for case in cases.find([path], layout, on_error=bad.append):
        if case.id in found:
            raise UsageError(f"holds two cases called {case.id}", where=path)
        found[case.id] = case
    if bad:
        complain(bad[0], bad[0])
        raise UsageError(f"{len(bad)} cases of the reference cannot be used", where=path, remedy="mend it first")
    chosen, group = list(found), {}
    if split is not None:
        from mrilib import splits

        rows = splits.read(split)
        wanted = list(rows)
        if fold is not None or part is not None:
            wanted = splits.parts(list(rows.values()), fold=fold)[part or "test"]
        if strange := [name for name in wanted if name not in found]:
            raise UsageError(f"names {strange[0]}, which the reference lacks ({len(strange)} such)", where=split,
                             remedy="give the reference that the split was made of")
        if not wanted:
            raise UsageError(f"has no case of part {part}", where=split)
        group = {name: row.group for name, row in rows.items()}
        if left := len(found) - len(rows):
            say(f"{left} cases of the reference are not in the split and are left out")
        chosen = wanted
    if without := [name for name in chosen if found[name].class_name is None]:
        raise UsageError(f"{len(without)} cases have no class, the first {without[0]}", where=path,
                         remedy="give a folder with a folder for each class, or a CSV with columns file,class")
    return Reference(found, chosen, group)


def units_of(ids: list[str], group: dict[str, str]):
    """What the bootstrap draws, as an (n,) array of numbers, and its name: groups of the split, else cases."""
    import numpy as np

    number: dict[str, int] = {}
    units = np.array([number.setdefault(group.get(name, name), len(number)) for name in ids])
    return units, "group" if group else "case"


def mark_seen(matched, reference: Reference, models: tuple[Path, ...]) -> None:
    """Note in matched.seen where a model's own record holds a case, by its content."""
    from mrilib.models.file import read_record
    from mrilib.recipe import source_record

    part: dict[str, str] = {}
    for path in models:
        for known in read_record(path).get("training", {}).get("cases", {}).values():
            part[known["content"]] = min(part.get(known["content"], "validation"), known["part"])  # train goes first
    if not part:
        return
    for i, name in enumerate(matched.ids):
        try:
            content = source_record(reference.cases[name])["content"]
        except OSError as error:
            raise UsageError(f"cannot be compared with what the model saw: {error.strerror}", where=name,
                             remedy="give the folder of the images as the reference") from error
        matched.seen[i] = min({part.get(content, ""), matched.seen[i]} - {""}, default="")
