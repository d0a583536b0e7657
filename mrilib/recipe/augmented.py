"""Augmented copies of cases on disk: made, recorded, listed in a table, and made again from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mrilib import store as records
from mrilib.errors import CaseError, UsageError
from mrilib.images.augment import affine, warp
from mrilib.images.augment import draw as augment
from mrilib.images.augment.transforms import CHOICES, DRAWN, NUMBERS
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.images.steps.foreground import finite, outline
from mrilib.recipe import as_given, check_origin, finished, input_files, source_record, write_case

TABLE = "augmented.csv"
HEADER = ("case", "of", "copy", *DRAWN)


def copy_id(case_id: str, copy: int) -> str:
    """The id of a copy, counted from 1; copy 0 is the case itself."""
    return f"{case_id}_aug{copy}" if copy else case_id


def make(case, plan: dict, out: Path, suffix: str | None, recipe_hash: str, force: bool = False) -> list[Path]:
    """Write the copies of a case below `out`, each with its record; returns their paths.

    plan: {"settings", "seed", "copies": [1, 2, …]} to draw, or {"drawn": {copy: drawn}} to do again; copy 0 is
    the case itself. Copies keep the class, the content hash of the case as first given and, as their subject,
    that of the case, or its id when it has none: no split parts them. Complete copies are kept unless force.
    Raises CaseError as reading does.
    """
    sources, given = [records.stamp(p) for p in input_files(case)], as_given(case)
    check_origin(case)
    before = source_record(case)
    image = files.read_case(case)
    label = files.read_label(case, image.grid)
    drawn_of = draws(case, image, plan)
    paths = []
    for copy in plan["copies"] if "copies" in plan else plan["drawn"]:
        drawn = drawn_of(copy)
        note = {"of": case.id, "copy": copy, "drawn": drawn}
        if "augmented" in before:
            note["before"] = before["augmented"]
        mine = copy_id(case.id, copy)
        old = None if force else finished(mine, out, sources, recipe_hash)
        if old and (old.get("augmented"), old.get("given")) == (note, given):
            paths.append(out / old["path"])
            continue
        made, moved, boxes = image, label, case.boxes
        if drawn:
            made, moved, boxes = apply(image, label, case.boxes, drawn)
        record = {"source": sources, "given": given, **before,
                  "native_grid": before.get("native_grid") or image.grid.as_dict(), "augmented": note}  # fmt: skip
        new = replace(case, id=mine, subject=case.subject or case.id, boxes=tuple(map(tuple, boxes)))
        paths.append(write_case(new, made, moved, out, suffix, recipe_hash, record))
    return paths


def draws(case, image: Image, plan: dict) -> Callable[[int], dict]:
    """What is drawn for each copy of a case, by the plan of make()."""
    if "copies" not in plan:
        return plan["drawn"].__getitem__
    settings = augment.settings(plan["settings"])
    array = finite(image)
    if array.shape[-1] == 1 and (vain := augment.of_several_channels(settings)):
        raise CaseError(f"has one channel, and {vain} is for several", where=case.path, remedy="leave it out")
    head = outline(array)
    return lambda copy: augment.draw(settings, augment.generator(plan["seed"], case.id, copy), image.grid,
                                     head) if copy else {}  # fmt: skip


def apply(image: Image, label: Image | None, boxes, drawn: dict) -> tuple[Image, Image | None, list]:
    """An image with its label map (on its grid) and its boxes, as drawn says."""
    spacing = image.grid.spacing
    array, moved = augment.apply_pair(finite(image), label.array if label else None, drawn, spacing)
    made = image.with_array(array.reshape(image.array.shape))
    boxes = warp.boxes(boxes, drawn, Grid.of(image.grid.size, spacing)) if boxes else []
    return made, label.with_array(moved) if label else None, boxes


def notes(out: Path) -> Iterator[tuple[str, dict]]:
    """(id, record) of every copy that lies below a folder, by id."""
    found = []
    for path in Path(out).rglob("*.json"):
        if path.name == "recipe.json" or path.name.startswith("."):
            continue
        record = records.read_json(path)
        if "augmented" in record:
            found.append((path.relative_to(out).as_posix().removesuffix(".json"), record))
    yield from sorted(found, key=lambda pair: (pair[1]["augmented"]["of"].split("/"), pair[1]["augmented"]["copy"]))


def remove(out: Path) -> None:
    """Remove every copy below a folder, with its record: what is left of other settings must not mix with new."""
    for case_id, record in list(notes(out)):
        records.record_path(out, case_id).unlink(missing_ok=True)
        for name in record.get("outputs", {}):
            (Path(out) / name).unlink(missing_ok=True)
    (Path(out) / TABLE).unlink(missing_ok=True)


def table(out: Path) -> str:
    """The copies below a folder as CSV: case, of, copy, and what was drawn, several numbers parted by spaces."""
    rows = []
    for case_id, record in notes(out):
        note = record["augmented"]
        rows.append([case_id, note["of"], note["copy"], *(_cell(note["drawn"].get(name)) for name in DRAWN)])
    return records.csv_text([HEADER, *rows])


def _cell(value) -> str:
    if value is None:
        return ""
    return " ".join(v if isinstance(v, str) else json.dumps(v) for v in (value if isinstance(value, list) else [value]))


def read(path: Path) -> dict[str, dict[int, dict]]:
    """What was drawn, by case and copy, from a table of copies. Raises UsageError when it cannot be right."""
    try:
        reader = csv.DictReader(io.StringIO(records.read_csv(path), newline=""))
        if tuple(reader.fieldnames or ()) != HEADER:
            raise UsageError("is no table of copies", where=path, remedy=f"its header is {','.join(HEADER)}")
        rows = list(reader)
    except (OSError, csv.Error) as error:
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=path) from error
    found: dict[str, dict[int, dict]] = {}
    for line, row in enumerate(rows, 2):
        try:
            drawn = {name: _value(name, row[name]) for name in DRAWN if row[name]}
            found.setdefault(row["of"], {})[int(row["copy"])] = drawn
        except (ValueError, TypeError) as error:
            raise UsageError(f"cannot be read: {error}", where=f"{path}, line {line}") from error
    return found


def _value(name: str, text: str):
    if name == "flip":
        if strange := [flip for flip in text.split() if flip not in affine.FLIPS]:
            raise ValueError(f"flip {strange[0]}")
        return text.split()
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise ValueError(f"{name} {text}")
        return text
    if name == "seed":
        return int(text)
    numbers = [float(part) for part in text.split()]
    return numbers if name in NUMBERS else numbers[0]
