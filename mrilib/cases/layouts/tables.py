"""Cases named by a table: a CSV with a column `file`."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.names import MASK_FOLDERS, SUFFIXES, stem_of
from mrilib.errors import CaseError, UsageError
from mrilib.store import read_csv


def table(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """cases.csv, or a CSV given by name: a column `file`, and class, subject, label, x0 y0 x1 y1 as it has them"""
    path = search.folder / "cases.csv"
    if not path.is_file():
        if search.reading.layout == "csv":
            raise UsageError("has no cases.csv", where=search.folder, remedy="name the CSV itself")
        return [], files
    search.used.add(path)
    return in_csv(path, search.root), []


def in_csv(path: Path, root: Path) -> list[Case]:
    """Cases of a CSV: several rows of one file are its boxes.

    Where it has no column `label`, masks/x.png is the label map of images/x.jpg. Raises UsageError for a table that
    cannot be right.
    """
    reader = csv.DictReader(io.StringIO(read_csv(path), newline=""))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]  # as people write them
    if "file" not in reader.fieldnames:
        raise UsageError(f"has no column file (columns: {' '.join(reader.fieldnames)})", where=path)
    rows, masks = list(reader), None if "label" in reader.fieldnames else {}
    found: dict[Path, Case] = {}
    base = os.path.join(os.path.abspath(root), "")
    for line, row in enumerate(rows, 2):
        if not row["file"]:
            raise CaseError("names no file", where=f"{path}, line {line}")
        image = path.parent / row["file"]
        case = found.get(image)
        if case is None:
            try:
                case = of_file(image, root if os.path.abspath(image).startswith(base) else path.parent)
            except CaseError as error:
                raise UsageError(error.what, where=f"{path}, line {line}: {row['file']}") from error
            label = path.parent / row["label"] if row.get("label") else None
            if masks is not None:
                label = _twin(image, masks)
            case = replace(case, subject=row.get("subject") or None, class_name=row.get("class") or None,
                           label=label, layout="csv")
        elif not row.get("x0") and (row.get("class") or None) != case.class_name:
            raise UsageError(f"{row['file']} is of class {row.get('class') or 'none'}, in an earlier line of "
                             f"{case.class_name or 'none'}", where=f"{path}, line {line}")
        if row.get("x0"):
            try:
                box = tuple(float(row[k]) for k in ("x0", "y0", "x1", "y1")) + (row.get("class") or None,)
            except (KeyError, ValueError, TypeError) as error:
                raise UsageError("a box needs numbers x0 y0 x1 y1", where=f"{path}, line {line}") from error
            case = replace(case, boxes=(*case.boxes, box))
        found[image] = case
    if not found:
        raise UsageError("names no case", where=path)
    return sorted(found.values(), key=lambda case: case.id.split("/"))


def _twin(image: Path, known: dict[Path, dict[str, Path]]) -> Path | None:
    """The label map of images/x.jpg in masks/, whatever its suffix. known: stems of mask folders looked at before."""
    for masks, images in MASK_FOLDERS.items():
        if image.parent.name == images:
            folder = image.parent.parent / masks
            if folder not in known:
                inside = sorted(folder.iterdir()) if folder.is_dir() else []
                known[folder] = {stem_of(p): p for p in inside if p.name.lower().endswith(SUFFIXES)}
            if label := known[folder].get(stem_of(image)):
                return label
    return None
