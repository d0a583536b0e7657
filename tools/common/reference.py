"""What mri-score is given: tables of predictions, the truth, the split that says which cases belong together."""

from __future__ import annotations

import sys
from pathlib import Path

from mri_tools.common import stream
from mri_tools.common.run import complain, say
from mrilib import cases
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError


def read_predictions(paths: tuple[Path, ...]):
    """The predictions of all tables together, from files or standard input."""
    from mrilib.metrics import submission

    if stream.from_stdin(paths):
        return submission.read(sys.stdin, "standard input")
    lines: list[str] = []
    for path in paths:
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                lines += file.read().splitlines(keepends=True)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be read: {error}", where=path, remedy="give mri-predict's table") from error
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
    return submission.read(lines, " ".join(map(str, paths)))


def read_reference(path: Path, layout, split: Path | None, fold: int | None, part: str | None):
    """({case id: class}, rows of the split by case id, {case id: Case}) of the cases to be scored.

    Raises UsageError when cases have no class, or the split names cases that are not there.
    """
    for name, value in (("--fold", fold), ("--part", part)):
        if value is not None and split is None:
            raise UsageError(f"{name} has no effect without --split")
    bad: list[CaseError] = []
    found = {case.id: case for case in cases.find([path], layout, on_error=bad.append)}
    for error in bad:
        complain(error, error)
    rows: dict = {}
    if split is not None:
        from mrilib import splits

        rows = splits.read(split)
        wanted = list(rows)
        if fold is not None or part is not None:
            wanted = splits.parts(list(rows.values()), fold=fold)[part or "test"]
        if fold is not None and part not in (None, "test"):
            raise UsageError(f"--part {part} has no effect with --fold: mri-train chooses it among the other folds")
        if strange := [name for name in wanted if name not in found]:
            raise UsageError(f"names {len(strange)} cases that the reference lacks, the first {strange[0]}",
                             where=split, remedy="give the reference that the split was made of")
        if left := len(found) - len(rows):
            say(f"{left} cases of the reference are not in the split and are left out")
        found = {name: found[name] for name in wanted}
    if without := [name for name, case in found.items() if case.class_name is None]:
        raise UsageError(f"{len(without)} cases have no class, the first {without[0]}", where=path,
                         remedy="give a folder with a folder for each class, or a CSV with columns file,class")
    return {name: case.class_name for name, case in found.items()}, rows, found


def groups_of(ids: list[str], rows: dict):
    """What the bootstrap draws, as an (n,) array of numbers, and its name: groups of the split, else cases."""
    import numpy as np

    if not rows:
        return np.arange(len(ids)), "case"
    number: dict[str, int] = {}
    return np.array([number.setdefault(rows[name].group, len(number)) for name in ids]), "group"


def mark_seen(matched, found: dict[str, Case], models: tuple[Path, ...]) -> None:
    """Note in matched.seen where a model's own record holds a case, by its content."""
    from mrilib.models.file import read_record
    from mrilib.recipe import source_record

    for path in models:
        trained = read_record(path).get("training", {}).get("cases", {})
        part = {entry["content"]: entry["part"] for entry in trained.values()}
        for i, name in enumerate(matched.ids):
            matched.seen[i] = matched.seen[i] or part.get(source_record(found[name])["content"], "")
