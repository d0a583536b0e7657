"""COCO: one JSON of images, annotations and categories."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.boxes import Annotation, Images, around, cases_of, json_files, say_missing
from mrilib.errors import UsageError


def coco(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """COCO boxes: a JSON of images, annotations and categories"""
    tables = {path: content for path, content in json_files(search, files).items() if _is_coco(content)}
    if not tables:
        return [], files
    images, found = Images(files), {}
    for path, content in tables.items():
        search.used.add(path)
        known = _annotations(path, content)
        missing = []
        for name, annotation in known:
            if image := images.named(name, path):
                found.setdefault(image, annotation)
            else:
                missing.append(name)
        say_missing(search, path, missing)
    return cases_of(search, files, found, "coco") if found else ([], files)


def _is_coco(content: object) -> bool:
    """Whether a JSON is COCO's. Captions and the like, whose annotations are no places in the image, are not."""
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return False
    notes = content["annotations"]
    return not (isinstance(notes, list) and notes and isinstance(notes[0], dict) and "caption" in notes[0])


def _annotations(table: Path, content: dict) -> list[tuple[str, Annotation]]:
    """(file name, annotation) of each image. Raises UsageError for a file without what COCO says it has."""
    def wrong(what, remedy="mend it, or leave it out with --layout plain"):
        return UsageError(what, where=table, remedy=remedy)

    try:
        kinds = {str(kind["id"]): str(kind["name"]) for kind in content.get("categories") or []}
        images = {str(image["id"]): image for image in content["images"]}
        names = {number: str(image["file_name"]) for number, image in images.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise wrong(f"is no COCO file: {error!r}") from error
    boxes = defaultdict(list)
    for place, note in enumerate(content["annotations"]):
        try:
            number, kind = str(note["image_id"]), str(note.get("category_id"))
            box = _box(note, images.get(number, {}))
            mark = ("crowd",) if note.get("iscrowd") else ("ignore",) if note.get("ignore") else ()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            named = note.get("id", place) if isinstance(note, dict) else place
            raise wrong(f"annotation {named} has no image_id, or neither a bbox of four numbers nor a segmentation "
                        "of polygons or run lengths") from error
        if number not in images:
            raise wrong(f"annotation {note.get('id', place)} is of image {number}, which the file does not list")
        boxes[number].append((*box, kinds.get(kind, kind), *mark))
    return [(names[number], Annotation(tuple(boxes.get(number, ())), table, _size(image)))
            for number, image in images.items()]


def _size(image: dict) -> tuple[int, int] | None:
    """Width and height, where they are stated: some programs write 0 for an image they did not open."""
    width, height = image.get("width"), image.get("height")
    return (int(width), int(height)) if width and height else None


def _box(note: dict, image: dict) -> tuple[float, float, float, float]:
    if note.get("bbox"):
        x, y, w, h = map(float, note["bbox"])
        return x, y, x + w, y + h
    outline = note["segmentation"]
    if isinstance(outline, dict):
        return _of_runs(outline)
    return around([x for polygon in outline for x in polygon[0::2]], [y for polygon in outline for y in polygon[1::2]])


def _of_runs(outline: dict) -> tuple[float, float, float, float]:
    """The box around run lengths, which count down the columns, background first. Raises ValueError for runs in COCO's
    compressed text, and for an empty region."""
    height, _ = outline["size"]
    if not isinstance(outline["counts"], list):
        raise ValueError("compressed run lengths")
    rows, columns, start = [], [], 0
    for i, count in enumerate(outline["counts"]):
        if i % 2 and count:
            first, last = start, start + count - 1
            columns += [first // height, last // height]
            rows += [0, height - 1] if first // height != last // height else [first % height, last % height]
        start += count
    x0, y0, x1, y1 = around(columns, rows)
    return x0, y0, x1 + 1, y1 + 1
