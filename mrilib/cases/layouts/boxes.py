"""Images whose tumours are boxes: YOLO's text files and COCO's JSON."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.names import PICTURES, stem_of, suffix_of
from mrilib.errors import CaseError, UsageError


def yolo(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """YOLO boxes: images/x.jpg + labels/x.txt, a line `class cx cy w h` for each box, in shares of the size"""
    texts: dict[Path, dict[str, Path]] = {}
    cases, rest = [], []
    for path in files:
        folder = _texts_of(path)
        if suffix_of(path) not in PICTURES or folder is None:
            rest.append(path)
            continue
        if folder not in texts:
            texts[folder] = {p.stem: p for p in sorted(folder.glob("*.txt"))} if folder.is_dir() else {}
        if not texts[folder] or not _is_yolo(next(iter(texts[folder].values()))):
            rest.append(path)
            continue
        text = texts[folder].get(stem_of(path))
        if text:
            search.used.add(text)
        try:
            boxes = _yolo_boxes(text, path, _names(folder)) if text else ()
            cases.append(replace(of_file(path, search.root), boxes=boxes, layout="yolo"))
        except CaseError as error:
            search.fail(error)
    return _with_subjects(cases), rest


def _texts_of(image: Path) -> Path | None:
    """labels/… for an image in images/…; None for others."""
    parts = image.absolute().parts[:-1]
    if "images" not in parts:
        return None
    last = len(parts) - 1 - parts[::-1].index("images")
    return Path(*parts[:last], "labels", *parts[last + 1 :])


def _is_yolo(path: Path) -> bool:
    return all(len(line.split()) >= 5 and line.split()[0].isdigit()
               for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip())


def _names(folder: Path) -> dict[int, str]:
    """Class names of classes.txt or data.yaml at or above a folder of labels; empty where there is neither."""
    for place in (folder, *list(folder.parents)[:3]):
        if (place / "classes.txt").is_file():
            return dict(enumerate((place / "classes.txt").read_text(encoding="utf-8").split("\n")))
        for path in sorted(place.glob("*.y*ml")):
            text = path.read_text(encoding="utf-8", errors="replace")
            if listed := re.search(r"^names:\s*\[(.*?)\]", text, re.M | re.S):
                return {i: name.strip(" '\"\n") for i, name in enumerate(listed[1].split(","))}
            if block := re.search(r"^names:\s*\n((?:\s+(?:\d+:|-).*\n?)+)", text, re.M):
                lines = [re.sub(r"^\s*(?:\d+:|-)\s*", "", line).strip(" '\"") for line in block[1].splitlines()]
                return dict(enumerate(lines))
    return {}


def _yolo_boxes(text: Path, image: Path, names: dict[int, str]) -> tuple:
    """Boxes (x0, y0, x1, y1, class) in pixels. Raises CaseError for lines that are none."""
    width, height = size_of(image)
    boxes = []
    for number, line in enumerate(text.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, cx, cy, w, h = line.split()
            kind, cx, cy, w, h = int(kind), float(cx), float(cy), float(w), float(h)
        except ValueError as error:
            raise CaseError("is no line `class cx cy w h`", where=f"{text}, line {number}",
                            remedy="give boxes, not outlines") from error
        if not all(0 <= v <= 1 for v in (cx, cy, w, h)) or not w or not h:
            raise CaseError("a box of YOLO lies in 0 to 1, in shares of the image's size",
                            where=f"{text}, line {number}")
        boxes.append((max((cx - w / 2) * width, 0.0), max((cy - h / 2) * height, 0.0),
                      min((cx + w / 2) * width, width), min((cy + h / 2) * height, height), names.get(kind, str(kind))))
    return tuple(boxes)


def _with_subjects(cases: list[Case]) -> list[Case]:
    """Where most names are NUMBER_NUMBER, as slices of subjects are, the subject of these stands before the _."""
    matches = [re.fullmatch(r"(\d+)_\d+", case.id.split("/")[-1]) for case in cases]
    if 2 * sum(map(bool, matches)) <= len(cases):
        return cases
    return [replace(case, subject=match and match[1]) for case, match in zip(cases, matches, strict=True)]


def size_of(image: Path) -> tuple[int, int]:
    """Width and height of a picture, from its header. Raises CaseError when it has none."""
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    try:
        with Picture.open(image) as picture:
            return picture.size
    except (OSError, UnidentifiedImageError) as error:
        raise CaseError(f"is not an image of any known kind: {error}", where=image,
                        remedy="check what it holds") from error


def coco(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """COCO boxes: a JSON of images, annotations and categories"""
    if (search.root / "recipe.json").is_file():
        return [], files  # the JSON files there are records
    cases, taken = [], set()
    for path in sorted({*search.folder.glob("*.json"), *search.folder.glob("*/*.json")}):
        if not _is_coco(path):
            continue
        search.used.add(path)
        mine = in_coco(path, search.root, files, search)
        cases += [case for case in mine if case.path not in taken]
        taken |= {case.path for case in mine}
    return cases, [path for path in files if path not in taken]


def _is_coco(path: Path) -> bool:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # some other file: COCO's is one of many things a JSON can be
    return isinstance(known, dict) and {"images", "annotations"} <= known.keys()


def in_coco(table: Path, root: Path, files: list[Path], search: Search) -> list[Case]:
    """The images that a COCO file names, with their boxes; one that is not there is told and left out.

    Raises UsageError for annotations without what COCO says they have.
    """
    known = json.loads(table.read_text(encoding="utf-8"))
    by_name = defaultdict(list)
    for path in files:
        by_name[path.name].append(path)
    try:
        kinds = {kind["id"]: kind["name"] for kind in known.get("categories", [])}
        boxes = defaultdict(list)
        for note in known["annotations"]:
            x, y, w, h = map(float, note["bbox"])
            kind = note.get("category_id")
            mark = ("crowd",) if note.get("iscrowd") else ("ignore",) if note.get("ignore") else ()
            boxes[note["image_id"]].append((x, y, x + w, y + h, kinds.get(kind, str(kind)), *mark))
        images = [(image["id"], image["file_name"]) for image in known["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"is no COCO file: {error!r}", where=table,
                         remedy="mend it, or leave it out with --layout plain") from error
    cases = []
    for number, name in images:
        places = [table.parent / name, table.parent / "images" / name, table.parent.parent / "images" / name,
                  table.parent.parent / name]
        path = next((p for p in places if p.is_file()), None)
        same = by_name.get(Path(name).name, [])
        if path is None and len(same) != 1:
            search.fail(CaseError("no such image, which the COCO file names", where=f"{table}: {name}"))
            continue
        path = next((p for p in files if p.absolute() == (path or same[0]).absolute()), path or same[0])
        cases.append(replace(of_file(path, root), boxes=tuple(boxes.get(number, ())), layout="coco"))
    return cases
