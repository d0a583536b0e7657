"""Augmented copies of cases on disk: written by a run over cases, recorded, listed in a table, and repeated from it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mrilib import __version__, parallel, store, tables
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.images.augment import affine, draw, transforms, warp
from mrilib.images.augment.transforms import CHOICES, DRAWN, NUMBERS
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.images.steps.foreground import finite, outline
from mrilib.recipe.conversion import Run
from mrilib.recipe.dataset import (
    Root,
    as_given,
    finished,
    input_files,
    source_record,
    write_case,
)
from mrilib.recipe.definition import Recipe
from mrilib.recipe.execution import check_origin
from mrilib.targets import check_apart

TABLE = "augmented.csv"
HEADER = ("case", "of", "copy", *DRAWN)
logger = logging.getLogger("mrilib")


def drawing(settings, seed: int, copies: int, keep_originals: bool = False) -> dict:
    """The plan that draws `copies` copies of each case from settings of images.augment; copy 0 is the case itself."""
    return {"settings": settings.as_dict(), "seed": seed, "copies": list(range(0 if keep_originals else 1, copies + 1))}


def replaying(table: Path) -> dict:
    """The plan that repeats the copies of a table. Raises UsageError for a file that is no such table."""
    return {"drawn": read(table), "table": store.content_hash([table])}


def augment(cases: Iterable[Case | CaseError], plan: dict, out: Path, run: Run,
            keep: Callable[[Case], bool] | None = None) -> Iterator[tuple[Case | None, Path | str | BaseException]]:
    """Write the copies of cases below `out`, at the end their table; yields (case, path or error) in input order.

    plan: `drawing` or `replaying`. keep: whether a case is for training; it may raise CaseError. Raises UsageError as
    Root.take does.
    """
    check_apart(out, run.inputs)
    root, left_out = Root(out, force=run.force, dry_run=run.dry_run), 0
    recipe_of = lru_cache(maxsize=64)(Recipe.of_root)

    def arguments(case: Case) -> tuple | None:
        """The arguments of `make`; None for a case that is not for training, or not in the table."""
        nonlocal left_out
        own = plan if "copies" in plan else {"drawn": plan["drawn"].get(case.id, {})}
        if keep is not None and not keep(case) or not copies_of(own):
            left_out += 1
            return None
        before = recipe_of(case.root)
        how = {"replay": plan["table"]} if "table" in plan else plan
        recipe = replace(before, made_by=f"{run.made_by} {__version__}", augmentation=how)
        if root.recipe is None:
            check_apart(out, [case.root] if before.steps else [])
            if run.force and not run.dry_run:
                _remove_others(out, recipe)
        root.take(recipe, case)
        for copy in copies_of(own):
            root.claim(case, copy_id(case.id, copy))
        return case, own, out, run.suffix, before.hash, run.force

    calls = parallel.calls(cases, arguments)
    if run.dry_run:
        yield from _lines(calls, out)
    else:
        try:
            for case, result in parallel.ordered("mrilib.recipe.augmentation:make", calls, run.jobs):
                if isinstance(result, UsageError):
                    raise result
                yield from ((case, path) for path in (result if isinstance(result, list) else [result]))
        except UsageError:
            root.take_back()
            raise
        if root.recipe is not None:
            store.write_text(out / TABLE, table(out))
    if left_out:
        logger.info("%d cases left out: not %s", left_out, "for training" if keep else "in the table")


def _lines(calls, out: Path) -> Iterator:
    for case, call in calls:
        if isinstance(call, CaseError):
            yield case, call
        else:
            yield from ((case, f"{case} -> {out / copy_id(case.id, copy)}") for copy in copies_of(call[1]))


def copies_of(plan: dict) -> list[int]:
    """The numbers of the copies that a plan makes of a case."""
    return list(plan["copies"] if "copies" in plan else plan["drawn"])


def copy_id(case_id: str, copy: int) -> str:
    """The id of a copy, counted from 1; copy 0 is the case itself."""
    return f"{case_id}_aug{copy}" if copy else case_id


def make(case, plan: dict, out: Path, suffix: str | None, recipe_hash: str, force: bool = False) -> list[Path]:
    """Write the copies of a case below `out`, each with its record; returns their paths.

    plan: {"settings", "seed", "copies": [1, 2, …]} to draw, or {"drawn": {copy: drawn}} to repeat; copy 0 is the case
    itself. Copies keep the class, the content hash of the original case and, as their subject, that of the case, or its
    id if it has none: no split separates them. Complete copies are kept unless force. Raises CaseError as reading does.
    """
    sources, stated = [store.stamp(p) for p in input_files(case)], as_given(case)
    check_origin(case)
    before = source_record(case)
    image = files.read_case(case)
    label = files.read_label(case, image.grid)
    drawn_of = draws(case, image, plan)
    paths = []
    for copy in copies_of(plan):
        drawn = drawn_of(copy)
        note = {"of": case.id, "copy": copy, "drawn": drawn}
        if "augmented" in before:
            note["before"] = before["augmented"]
        own_id = copy_id(case.id, copy)
        old = None if force else finished(own_id, out, sources, recipe_hash)
        if old and (old.get("augmented"), old.get("given")) == (note, stated):
            paths.append(out / old["path"])
            continue
        parts = apply(image, label, case.boxes, drawn) if drawn else (image, label, case.boxes)
        record = {"source": sources, "given": stated, **before,
                  "native_grid": before.get("native_grid") or image.grid.as_dict(), "augmented": note}  # fmt: skip
        new = replace(case, id=own_id, subject=case.subject or case.id, boxes=tuple(map(tuple, parts[2])))
        paths.append(write_case(new, *parts[:2], out, suffix, recipe_hash, record))
    return paths


def draws(case, image: Image, plan: dict) -> Callable[[int], dict]:
    """A function that gives the draw for each copy of a case, by the plan of make()."""
    if "copies" not in plan:
        return plan["drawn"].__getitem__
    settings = transforms.settings(plan["settings"])
    array = finite(image)
    if array.shape[-1] == 1 and (unused := transforms.of_several_channels(settings)):
        raise CaseError(f"has one channel, and {unused} is for several", where=case.path, remedy="leave it out")
    head = outline(array)
    return lambda copy: draw.draw(settings, draw.generator(plan["seed"], case.id, copy), image.grid,
                                  head) if copy else {}  # fmt: skip


def apply(image: Image, label: Image | None, boxes, drawn: dict) -> tuple[Image, Image | None, list]:
    """Apply a draw to an image, its label map (on the same grid) and its boxes."""
    spacing = image.grid.spacing
    array, moved = draw.apply_pair(finite(image), label.array if label else None, drawn, spacing)
    if any(len(box) > 6 for box in boxes):
        raise CaseError("has boxes of a volume, which augmentation cannot move",
                        remedy="prepare it without --boxes-from, its label map moves along")
    boxes = warp.boxes(boxes, drawn, Grid.of(image.grid.size, spacing)) if boxes else []
    return image.with_array(array.reshape(image.array.shape)), label.with_array(moved) if label else None, boxes


def records(out: Path) -> list[tuple[str, dict]]:
    """(id, record) of every copy below a folder, sorted by the id of the case and the number of the copy."""
    copies = []
    for path in Path(out).rglob("*.json"):
        if path.name != "recipe.json" and not path.name.startswith("."):
            record = store.read_json(path)
            if "augmented" in record:
                copies.append((path.relative_to(out).as_posix().removesuffix(".json"), record))
    return sorted(copies, key=lambda pair: (pair[1]["augmented"]["of"].split("/"), pair[1]["augmented"]["copy"]))


def _remove_others(out: Path, recipe: Recipe) -> None:
    """Remove the copies of other settings, with their records: training would use them as well."""
    if not (out / "recipe.json").is_file():
        return
    old = Recipe.of_root(out)
    if (old.hash, old.augmentation) == (recipe.hash, recipe.augmentation):
        return
    for case_id, record in records(out):
        store.record_path(out, case_id).unlink(missing_ok=True)
        for name in record.get("outputs", {}):
            (out / name).unlink(missing_ok=True)
    (out / TABLE).unlink(missing_ok=True)


def table(out: Path) -> str:
    """The copies below a folder as CSV: case, of, copy, and the draw, several numbers separated by spaces."""
    rows = []
    for case_id, record in records(out):
        note = record["augmented"]
        rows.append([case_id, note["of"], note["copy"], *(_cell(note["drawn"].get(name)) for name in DRAWN)])
    return store.csv_text([HEADER, *rows])


def _cell(value) -> str:
    if value is None:
        return ""
    return " ".join(v if isinstance(v, str) else json.dumps(v) for v in (value if isinstance(value, list) else [value]))


def read(path: Path) -> dict[str, dict[int, dict]]:
    """The draws in a table of copies, by case and number of the copy. Raises UsageError for a table that is damaged."""
    columns, rows = tables.read(path, HEADER)
    if tuple(columns) != HEADER:
        raise UsageError("is no table of copies", where=path, remedy=f"its header is {','.join(HEADER)}")
    draws_of: dict[str, dict[int, dict]] = {}
    for line, row in rows:
        try:
            drawn = {name: _value(name, row[name]) for name in DRAWN if row.get(name)}
            draws_of.setdefault(row["of"], {})[int(row["copy"])] = drawn
        except (KeyError, ValueError, TypeError) as error:
            raise UsageError(f"cannot be read: {error}", where=f"{path}, line {line}") from error
    return draws_of


def _value(name: str, text: str):
    if name == "flip":
        if unknown := [flip for flip in text.split() if flip not in affine.FLIPS]:
            raise ValueError(f"flip {unknown[0]}")
        return text.split()
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise ValueError(f"{name} {text}")
        return text
    if name == "seed":
        return int(text)
    numbers = [float(part) for part in text.split()]
    return numbers if name in NUMBERS else numbers[0]
