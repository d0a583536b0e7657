"""What mri-score is given to score by: the truth, the split that says which cases belong together."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from mri_tools.cli.output import complain, say, wrong_use
from mrilib import cases
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.store import read_csv


@dataclass
class Reference:
    """The truth. chosen: ids of the cases to be scored. group: what each of them belongs to; empty without a split."""

    path: Path
    cases: dict[str, Case]
    chosen: list[str]
    group: dict[str, str]

    @property
    def classes(self) -> dict[str, str]:
        """The class of every case; of those that are not scored it may be empty."""
        return {name: case.class_name or "" for name, case in self.cases.items()}


def read_reference(path: Path, layout, split: Path | None, fold: int | None, part: str | None) -> Reference:
    """The truth below a path, and which of it is asked for.

    Raises UsageError when the split names cases that are not there.
    """
    if fold is not None and split is None:
        raise UsageError("--fold has no effect without --split")
    if fold is not None and part not in (None, "test"):
        raise UsageError(f"--part {part} has no effect with --fold: mri-train chooses it among the other folds")
    if not path.exists():
        raise UsageError("no such file or folder", where=path, remedy="check the name")
    bad: list[CaseError] = []
    found: dict[str, Case] = {}
    for case in cases.find([path], layout, on_error=bad.append, on_unused=_say_unused):
        if case.id in found:
            raise UsageError(f"holds two cases called {case.id}", where=path)
        found[case.id] = case
    if bad:
        complain(bad[0], bad[0])
        raise UsageError(f"{len(bad)} cases of the reference cannot be used", where=path, remedy="mend it first")
    chosen, group = list(found), {}
    if split is None and part is not None:
        chosen = [name for name, case in found.items() if case.part == part]
        if not chosen:
            raise UsageError(f"has no case of part {part}", where=path, remedy="name a split with --split, or put the "
                             f"cases into a folder {part}/")
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
    return Reference(path, found, chosen, group)


def _say_unused(unused: cases.Unused) -> None:
    """Say in one line what no case of the reference uses; its cases may be label maps."""
    from mrilib.unused import notes, summary

    if found := notes(unused, used_as_images=False):
        say(summary(found))


def need_classes(reference: Reference) -> None:
    """Raises UsageError when a case to be scored has no class."""
    if without := [name for name in reference.chosen if reference.cases[name].class_name is None]:
        raise UsageError(f"{len(without)} cases have no class, the first {without[0]}", where=reference.path,
                         remedy="give a folder with a folder for each class, or a CSV with columns file,class")


def label_maps(reference: Reference) -> bool:
    """Whether the cases of a reference are the label maps themselves, not images that have one each.

    Cases without a label map beside others that have one are not scored (said). Raises UsageError when none is left.
    """
    chosen = [reference.cases[name] for name in reference.chosen]
    if any(case.label is not None for case in chosen):
        reference.chosen = [case.id for case in chosen if case.label is not None]
        if left := len(chosen) - len(reference.chosen):
            say(f"{left} cases of the reference have no label map and are not scored")
        return False
    if without := [case.id for case in chosen if len(case.channels) > 1]:
        raise UsageError(f"{len(without)} cases have no label map, the first {without[0]}", where=reference.path,
                         remedy="give a folder of cases with label maps, or of label maps alone")
    return True


def units_of(ids: list[str], reference: Reference):
    """What the bootstrap draws, as an (n,) array of numbers, and its name: groups of the split, else subjects where
    they are known, else cases."""
    import numpy as np

    belongs, what = reference.group, "group"
    if not belongs:
        belongs = {name: reference.cases[name].subject for name in ids if reference.cases[name].subject}
        what = "subject" if belongs else "case"
    number: dict[tuple, int] = {}
    units = np.array([number.setdefault((name in belongs, belongs.get(name, name)), len(number)) for name in ids])
    return units, what


def groups_of(path: Path, names: list[str]) -> dict[str, list[str]]:
    """The cases of each value of each column of a CSV `case,<column>…`: `site=Aachen` -> ids, in order.

    Raises UsageError for a table without cases and columns, or that lacks a case.
    """
    import csv

    from mrilib.evaluation.pairing import pair_known, some

    try:
        reader = csv.DictReader(io.StringIO(read_csv(path), newline=""))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from error
    columns = [name for name in reader.fieldnames or () if name != "case"]
    if "case" not in (reader.fieldnames or ()) or not columns:
        raise UsageError("has no columns case and another to group by", where=path)
    lines = {row["case"]: row for row in reader}
    mine, _ = pair_known(lines, names)
    row_of = {name: lines[row] for row, name in mine.items()}
    if lacking := [name for name in names if name not in row_of]:
        raise UsageError(f"lacks {len(lacking)} cases: {some(lacking)}", where=path)
    found: dict[str, list[str]] = {}
    for column in columns:
        for name in names:
            found.setdefault(f"{column}={row_of[name][column]}", []).append(name)
    return dict(sorted(found.items()))


def unseen(seen: dict[str, str], prefix: str) -> list[str]:
    """The cases that the model never saw, where it saw some and not all; how many it saw is said. seen: case -> train,
    validation or empty."""
    left = [name for name, part in seen.items() if not part]
    if not (count := len(seen) - len(left)):
        return []
    trained = sum(part == "train" for part in seen.values())
    say(f"{prefix}the model saw {count} of the {len(seen)} cases ({trained} in training, {count - trained} in "
        "validation): " + ("figures without them follow" if left else "these figures say little"))
    return left


def seen_by(models: tuple[Path, ...], reference: Reference, names: list[str]) -> dict[str, str]:
    """Which of these cases a model's own record holds, by their content: name -> train or validation."""
    from mrilib.models.file import read_record
    from mrilib.recipe import source_record

    part: dict[str, str] = {}
    for path in models:
        with wrong_use():
            record = read_record(path)
        for known in record.get("training", {}).get("cases", {}).values():
            part[known["content"]] = min(part.get(known["content"], "validation"), known["part"])  # train goes first
    found = {}
    for name in names if part else ():
        try:
            content = source_record(reference.cases[name])["content"]
        except OSError as error:
            raise UsageError(f"cannot be compared with what the model saw: {error.strerror}", where=name,
                             remedy="give the folder of the images as the reference") from error
        if content in part:
            found[name] = part[content]
    return found
