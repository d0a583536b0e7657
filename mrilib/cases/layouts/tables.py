"""Cases named by a table: a CSV with a column `file`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mrilib import tables
from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.layouts.annotated import warn_spellings
from mrilib.cases.layouts.boxes import Annotation, checked, ordered, size_stated
from mrilib.cases.names import MASK_FOLDERS, PICTURES, SUFFIXES, stem_of, suffix_of
from mrilib.errors import CaseError, UsageError

NAMES = ("file", "label")  # columns of file names, which may begin and end with anything
CORNERS = ("x0", "y0", "x1", "y1")
OTHER_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), ("x1", "y1", "x2", "y2"),
                 ("left", "top", "right", "bottom"))  # as other programs call them
OTHER_FILES = ("filename", "file_name", "image", "image_name", "image_path", "image_id", "path", "img")
OTHER_CLASSES = ("label", "name", "category", "class_name")
COLUMNS = {"file", "class", "subject", "part", *CORNERS, *sum(OTHER_CORNERS, ()), *OTHER_FILES, *OTHER_CLASSES}
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
    rows, columns = _rows(path)
    masks = None if "label" in columns else {}
    case_of: dict[Path, Case] = {}
    boxes: dict[Path, list[tuple]] = defaultdict(list)
    sizes: dict[Path, tuple[str, str]] = {}
    wrong: dict[Path, CaseError] = {}
    base = os.path.join(os.path.abspath(root), "")
    for line, row in rows:
        where = f"{path}, line {line}"
        if not row["file"].strip():
            fail(CaseError("names no file", where=where, remedy="fill in the column file, or take the line away"))
            continue
        image = _place(path.parent, row["file"])
        case = case_of.get(image)
        part = _part(row.get("part"), where)
        if case is None:
            try:
                case = of_file(image, root if os.path.abspath(image).startswith(base) else path.parent)
            except CaseError as error:
                raise UsageError(error.what, where=f"{where}: {row['file']}") from error
            label = _place(path.parent, row["label"]) if row.get("label", "").strip() else None
            if masks is not None:
                label = _twin(image, masks)
            case_of[image] = replace(case, subject=row.get("subject") or None, class_name=row.get("class") or None,
                                     label=label, layout="csv", part=part)
        elif not _has_box(row) and (row.get("class") or None) != case.class_name:
            raise UsageError(f"{row['file']} is of class {row.get('class') or 'none'}, in an earlier line of "
                             f"{case.class_name or 'none'}", where=where)
        elif part != case.part:
            raise UsageError(f"{row['file']} is of part {part or 'none'}, in an earlier line of "
                             f"{case.part or 'none'}", where=where)
        if _has_box(row):
            sizes[image] = (row.get("width", ""), row.get("height", ""))
            try:
                boxes[image].append((*_corners(row, where), row.get("class") or None))
            except CaseError as error:
                wrong.setdefault(image, error)
    if not case_of:
        raise UsageError("names no case", where=path)
    for image, error in wrong.items():
        case_of.pop(image)
        fail(error)
    cases = _with_boxes(case_of, boxes, sizes, path, fail)
    warn_spellings(cases, path)
    return sorted(cases, key=lambda case: case.id.split("/"))


def _has_box(row: dict[str, str]) -> bool:
    return any(row.get(key) for key in CORNERS)


def _corners(row: dict[str, str], where: str) -> list[float]:
    """The corners in a row. Raises CaseError for one that is missing or no number."""
    corners = []
    for key in CORNERS:
        text = row.get(key) or ""
        try:
            corners.append(float(text))
        except ValueError as error:
            raise CaseError(f"{row['file'].strip()} has a box with {key} {text!r}" if text else
                            f"{row['file'].strip()} has a box without {key}", where=where,
                            remedy="give numbers x0 y0 x1 y1, or none of them where there is no box") from error
    return corners


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """((line, row) of each row, names of columns)."""
    header, lines = tables.read(path, COLUMNS)
    columns = _renamed([name.lower() for name in header])
    if "file" not in columns:
        raise UsageError(f"has no column file (columns: {' '.join(columns)})", where=path,
                         remedy="call the column of the images' names file, that of their classes class")
    return [(line, {column: row.get(name, "") if column in NAMES else row.get(name, "").strip()
                    for column, name in zip(columns, header, strict=True)}) for line, row in lines], columns


def _renamed(columns: list[str]) -> list[str]:
    """Names of columns, those of a table of boxes of another program under their names here."""
    other = next((names for names in OTHER_CORNERS if "x0" not in columns and {*names} <= {*columns}), None)
    if other is None:
        return columns
    again = dict(zip(other, CORNERS, strict=True))
    if "file" not in columns:
        again |= dict.fromkeys([name for name in OTHER_FILES if name in columns][:1], "file")
    if "class" not in columns:
        again |= dict.fromkeys([name for name in OTHER_CLASSES if name in columns][:1], "class")
    return [again.get(name, name) for name in columns]


def _place(folder: Path, name: str) -> Path:
    """The file of a name, which may stand there with spaces around it or with the \\ of Windows."""
    if "\\" in name and not (folder / name).exists():
        name = name.replace("\\", "/")
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


def _with_boxes(case_of: dict[Path, Case], boxes: dict[Path, list[tuple]], sizes: dict[Path, tuple[str, str]],
                path: Path, fail) -> list[Case]:
    cases = []
    for image, case in case_of.items():
        try:
            own = tuple(boxes.get(image, ()))
            if own:
                picture = image.is_file() and suffix_of(image) in PICTURES
                size = size_stated(*sizes[image], path) if picture else None
                own = (checked if picture else ordered)(Annotation(own, path, size), image)
            cases.append(replace(case, boxes=own) if own else case)
        except CaseError as error:
            fail(error)
    return cases


def _twin(image: Path, stems: dict[Path, dict[str, Path]]) -> Path | None:
    """The label map of images/x.jpg in masks/, whatever its suffix. stems: label maps by stem of each folder, kept
    between calls."""
    for masks, images in MASK_FOLDERS.items():
        if image.parent.name == images:
            folder = image.parent.parent / masks
            if folder not in stems:
                inside = sorted(folder.iterdir()) if folder.is_dir() else []
                stems[folder] = {stem_of(p): p for p in inside if p.name.lower().endswith(SUFFIXES)}
            if label := stems[folder].get(stem_of(image)):
                return label
    return None
