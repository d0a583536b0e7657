"""Cases named by a table: a CSV with a column `file`."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.layouts.boxes import Annotation, checked
from mrilib.cases.names import MASK_FOLDERS, PICTURES, SUFFIXES, stem_of, suffix_of
from mrilib.errors import CaseError, UsageError
from mrilib.store import read_csv

DELIMITERS = (",", ";", "\t", "|")
NAMES = ("file", "label")  # columns of file names, which may begin and end with anything
PARTS = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"),
         "test": ("test", "testing")}


def table(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """cases.csv, or a CSV given by name: a column `file`, and class, subject, label, part, x0 y0 x1 y1 if there"""
    path = search.folder / "cases.csv"
    if not path.is_file():
        if search.reading.layout == "csv":
            raise UsageError("has no cases.csv", where=search.folder, remedy="name the CSV itself")
        return [], files
    search.used.add(path)
    return in_csv(path, search.root, search.fail), []


def in_csv(path: Path, root: Path, fail: Callable[[CaseError], object]) -> list[Case]:
    """Cases of a CSV: several rows of one file are its boxes. fail takes what is wrong with one case.

    Where it has no column `label`, masks/x.png is the label map of images/x.jpg. Raises UsageError for a table that
    cannot be right.
    """
    rows, columns, comma = _rows(path)
    masks = None if "label" in columns else {}
    found: dict[Path, Case] = {}
    boxes: dict[Path, list[tuple]] = defaultdict(list)
    base = os.path.join(os.path.abspath(root), "")
    for line, row in rows:
        where = f"{path}, line {line}"
        if not row["file"].strip():
            fail(CaseError("names no file", where=where, remedy="fill in the column file, or take the line away"))
            continue
        image = _place(path.parent, row["file"])
        case = found.get(image)
        part = _part(row.get("part"), where)
        if case is None:
            try:
                case = of_file(image, root if os.path.abspath(image).startswith(base) else path.parent)
            except CaseError as error:
                raise UsageError(error.what, where=f"{where}: {row['file']}") from error
            label = _place(path.parent, row["label"]) if row.get("label", "").strip() else None
            if masks is not None:
                label = _twin(image, masks)
            found[image] = replace(case, subject=row.get("subject") or None, class_name=row.get("class") or None,
                                   label=label, layout="csv", part=part)
        elif not row.get("x0") and (row.get("class") or None) != case.class_name:
            raise UsageError(f"{row['file']} is of class {row.get('class') or 'none'}, in an earlier line of "
                             f"{case.class_name or 'none'}", where=where)
        elif part != case.part:
            raise UsageError(f"{row['file']} is of part {part or 'none'}, in an earlier line of "
                             f"{case.part or 'none'}", where=where)
        if row.get("x0"):
            try:
                corners = [float(row[key].replace(",", ".") if comma else row[key]) for key in ("x0", "y0", "x1", "y1")]
            except (KeyError, ValueError, AttributeError) as error:
                raise UsageError("a box needs numbers x0 y0 x1 y1", where=where) from error
            boxes[image].append((*corners, row.get("class") or None))
    if not found:
        raise UsageError("names no case", where=path)
    cases = _with_boxes(found, boxes, path, fail)
    return sorted(cases, key=lambda case: case.id.split("/"))


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str], bool]:
    """((line, row) of each row that is not empty, names of columns, whether numbers may have a decimal comma)."""
    lines = read_csv(path)
    skip = 0
    if lines[:4].lower() == "sep=":  # a line that some spreadsheets put first
        _, _, lines = lines.partition("\n")
        skip = 1
    first = lines.lstrip("\r\n").split("\n", 1)[0]
    headers = {d: [name.strip().lower() for name in next(csv.reader([first], delimiter=d), ())] for d in DELIMITERS}
    delimiter = next((d for d in DELIMITERS if "file" in headers[d]), max(DELIMITERS, key=lambda d: len(headers[d])))
    columns = headers[delimiter]
    if "file" not in columns:
        raise UsageError(f"has no column file (columns: {' '.join(columns)})", where=path,
                         remedy="call the column of the images' names file, that of their classes class")
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter)
    rows, header = [], True
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        if not header:
            values += [""] * (len(columns) - len(values))
            row = zip(columns, values, strict=False)
            rows.append((reader.line_num + skip, {c: v if c in NAMES else v.strip() for c, v in row}))
        header = False
    return rows, columns, delimiter == ";"


def _place(folder: Path, name: str) -> Path:
    """The file of a name, which may stand there with spaces around it."""
    place = folder / name
    if name == name.strip() or place.exists() or not (folder / name.strip()).exists():
        return place
    return folder / name.strip()


def _part(text: str | None, where: str) -> str | None:
    if not text:
        return None
    part = next((part for part, words in PARTS.items() if text.lower() in words), None)
    if part is None:
        raise UsageError(f"{text} is no part of a split", where=where, remedy="one of train, validation, test")
    return part


def _with_boxes(found: dict[Path, Case], boxes: dict[Path, list[tuple]], path: Path, fail) -> list[Case]:
    cases = []
    for image, case in found.items():
        try:
            known = tuple(boxes.get(image, ()))
            if known and image.is_file() and suffix_of(image) in PICTURES:
                known = checked(Annotation(known, path), image)
            cases.append(replace(case, boxes=known))
        except CaseError as error:
            fail(error)
    return cases


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
