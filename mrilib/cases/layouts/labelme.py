"""LabelMe: a JSON of shapes for each image."""

from __future__ import annotations

from math import dist
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.annotated import Annotated
from mrilib.cases.layouts.boxes import Annotation, around, as_number, json_files, pictures, size_stated
from mrilib.errors import CaseError

DRAW = "draw a rectangle, polygon or circle"


def labelme(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """LabelMe shapes: a JSON for each image; the box around each rectangle, polygon or circle"""
    tables = {path: content for path, content in json_files(search, files).items() if _is_labelme(content)}
    if not tables or not pictures(files):
        return [], files
    annotated = Annotated(search, files, "labelme")
    missing: list[str] = []
    for path, content in tables.items():
        search.used.add(path)
        image = _image(annotated, content, path, missing)
        if image is None:
            continue
        try:
            size = size_stated(content.get("imageWidth"), content.get("imageHeight"), path)
            annotated.add(image, Annotation(_boxes(content, path), path, size))
        except CaseError as error:
            annotated.fail(image, error)
    annotated.say_missing(search.folder, missing)
    return annotated.cases()


def _is_labelme(content: object) -> bool:
    """Whether a JSON is LabelMe's, complete or not."""
    return isinstance(content, dict) and ("shapes" in content or {"imagePath", "version"} <= content.keys())


def _image(annotated: Annotated, content: dict, path: Path, missing: list[str]) -> Path | None:
    """The image that imagePath names, else the one named as the JSON."""
    name = content.get("imagePath")
    name = name if isinstance(name, str) and name.strip() else ""
    not_there: list[str] = []
    image = annotated.find(name, path, not_there) if name else None
    if image is None and (not_there or not name):
        image = annotated.images.of_same_stem(path)
        missing += [] if image else [name or f"{path.stem}.png"]
    return image


def _boxes(content: dict, path: Path) -> tuple[tuple, ...]:
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        what = "has no shapes" if shapes is None else f"has {type(shapes).__name__}, no list, as shapes"
        raise CaseError(what, where=path, remedy="save it again: an image without a tumour has an empty list")
    return tuple(_box(shape, number, path) for number, shape in enumerate(shapes, 1))


def _box(shape: object, number: int, path: Path) -> tuple:
    where = f"{path}, shape {number}"
    try:
        kind, points = shape.get("shape_type") or "polygon", shape["points"]
        if not all(isinstance(point, list) for point in points):
            raise TypeError("no pairs")
        if kind == "circle":
            (x, y), (edge_x, edge_y) = points
            x, y = as_number(x), as_number(y)
            r = dist((x, y), (as_number(edge_x), as_number(edge_y)))
            box = around((x - r, x + r), (y - r, y + r))
        else:
            box = around([x for x, _ in points], [y for _, y in points])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CaseError("has no points that are pairs of numbers", where=where, remedy=f"mend it, or {DRAW}") from error
    if kind == "point":
        raise CaseError("is a point, which is no box", where=where, remedy=DRAW)
    label = shape.get("label")
    if isinstance(label, dict | list):
        raise CaseError(f"has {type(label).__name__}, no text, as label", where=where, remedy="name its class")
    return (*box, str("" if label is None else label).strip() or None)
