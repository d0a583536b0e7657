"""LabelMe: a JSON of shapes for each image."""

from __future__ import annotations

from math import dist
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.boxes import Annotation, Images, around, cases_of, json_files, pictures, say_missing
from mrilib.errors import CaseError


def labelme(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """LabelMe shapes: a JSON for each image; the box around each rectangle, polygon or circle"""
    tables = {path: content for path, content in json_files(search, files).items()
              if isinstance(content, dict) and isinstance(content.get("shapes"), list)}
    if not tables:
        return [], files
    images, found, failed = Images(pictures(files)), {}, set()
    missing = []
    for path, content in tables.items():
        search.used.add(path)
        name = str(content.get("imagePath") or "")
        image = (images.named(name, path) if name.strip() else None) or images.of_same_stem(path)
        if image is None:
            missing.append(name or f"{path.stem}.png")
            continue
        try:
            if image in found:
                raise CaseError(f"has two annotation files, {found[image].source} and {path}", where=image,
                                remedy="move one away")
            found[image] = Annotation(tuple(_box(shape, n, path) for n, shape in enumerate(content["shapes"], 1)), path,
                                      _size(content))
        except CaseError as error:
            failed.add(image)
            search.fail(error)
    say_missing(search, search.folder, missing)
    found = {image: annotation for image, annotation in found.items() if image not in failed}
    left = [path for path in files if path not in failed]
    return cases_of(search, left, found, "labelme") if found else ([], left)


def _size(content: dict) -> tuple[int, int] | None:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    return (int(width), int(height)) if width and height else None


def _box(shape: dict, number: int, path: Path) -> tuple:
    try:
        kind, points = shape.get("shape_type") or "polygon", shape["points"]
        if kind == "circle":
            (x, y), edge = points
            r = dist((x, y), edge)
            box = (x - r, y - r, x + r, y + r)
        else:
            box = around([x for x, _ in points], [y for _, y in points])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CaseError("has no points", where=f"{path}, shape {number}", remedy="mend it, or draw it again") from error
    if kind == "point":
        raise CaseError("is a point, which is no box", where=f"{path}, shape {number}",
                        remedy="draw a rectangle, polygon or circle")
    label = shape.get("label")
    return (*box, str(label) if label else None)
