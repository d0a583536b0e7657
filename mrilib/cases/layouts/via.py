"""VGG Image Annotator: one JSON or CSV of regions for many images."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from math import cos, hypot, sin
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.boxes import (
    Annotation,
    Images,
    around,
    cases_of,
    json_files,
    pictures,
    say_missing,
    text_of,
)
from mrilib.errors import CaseError

CLASS_KEYS = ("class", "label", "type", "name", "category", "tumor", "tumour", "object")  # of region_attributes
SHAPES_3 = {1: "point", 2: "rect", 3: "circle", 4: "ellipse", 5: "polyline", 6: "polyline", 7: "polygon"}  # of VIA 3


def via(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """VGG Image Annotator: a JSON or CSV of regions; the box around each rectangle, polygon, circle or ellipse"""
    tables = {path: regions for path, content in json_files(search, files).items() if (regions := _in_json(content))}
    for path in search.others:
        try:
            if path.suffix.lower() == ".csv" and (regions := _in_csv(path)):
                tables[path] = regions
        except CaseError as error:
            search.fail(error)
    if not tables:
        return [], files
    images, found, failed = Images(pictures(files)), {}, set()
    for path, regions in tables.items():
        search.used.add(path)
        missing = []
        for name, known in regions.items():
            image = images.named(name, path)
            if image is None:
                missing.append(name)
            elif image not in found and image not in failed:  # a project and its exports hold the same regions
                try:
                    boxes = (_box(*region, f"{path}: {name}, region {n}") for n, region in enumerate(known, 1))
                    found[image] = Annotation(tuple(boxes), path)
                except CaseError as error:
                    failed.add(image)
                    search.fail(error)
        say_missing(search, path, missing)
    left = [path for path in files if path not in failed]
    return cases_of(search, left, found, "via") if found else ([], left)


def _in_json(content: object) -> dict[str, list[tuple[dict, dict]]]:
    """File name -> (shape, attributes) of each region; empty for a JSON that is not VIA's."""
    if not isinstance(content, dict):
        return {}
    if isinstance(content.get("file"), dict) and isinstance(content.get("metadata"), dict):
        return _in_version_3(content)
    content = content.get("_via_img_metadata", content)
    entries = list(content.values()) if isinstance(content, dict) else []
    if not entries or not all(isinstance(entry, dict) and {"filename", "regions"} <= entry.keys() for entry in entries):
        return {}
    found = {}
    for entry in entries:
        regions = entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"] or []
        found[str(entry["filename"])] = [(region.get("shape_attributes") or {}, region.get("region_attributes") or {})
                                         for region in regions]
    return found


def _in_version_3(content: dict) -> dict[str, list[tuple[dict, dict]]]:
    names = {str(key): str(file.get("fname") or file.get("src")) for key, file in content["file"].items()}
    views = {str(key): list(map(str, view.get("fid_list", ()))) for key, view in content.get("view", {}).items()}
    attributes = {str(key): about for key, about in content.get("attribute", {}).items()}
    found: dict[str, list] = {name: [] for name in names.values()}
    for region in content["metadata"].values():
        kind, *numbers = region.get("xy") or (None,)
        if kind is None:
            continue
        said = {}
        for key, value in (region.get("av") or {}).items():
            about = attributes.get(str(key), {})
            said[about.get("aname", key)] = (about.get("options") or {}).get(value, value)
        for file in views.get(str(region.get("vid")), [str(region.get("vid"))]):
            if file in names:
                found[names[file]].append(({"name": SHAPES_3.get(int(kind)), "xy": numbers}, said))
    return found


def _in_csv(path: Path) -> dict[str, list[tuple[dict, dict]]]:
    """As _in_json, of a CSV; its first line names VIA's columns."""
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError:
        return {}  # reported as a file that no case uses
    if b"region_shape_attributes" not in head.replace(b"\0", b""):
        return {}
    rows = csv.DictReader(io.StringIO(text_of(path).lstrip("#"), newline=""))
    found = defaultdict(list)
    for row in rows:
        try:
            regions = found[row["filename"]]
            shape = json.loads(row["region_shape_attributes"] or "{}")
            if shape:
                regions.append((shape, json.loads(row.get("region_attributes") or "{}")))
        except (KeyError, TypeError, ValueError) as error:
            raise CaseError(f"is no table of the VGG Image Annotator: {error!r}",
                            where=f"{path}, line {rows.line_num}", remedy="export it again") from error
    return found


def _box(shape: dict, attributes: dict, where: str) -> tuple:
    try:
        box = _around(shape)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CaseError(f"is a {shape.get('name') or 'region'} without the numbers that make a box", where=where,
                        remedy="draw a rectangle, polygon, circle or ellipse") from error
    return (*box, _class_of(attributes))


def _around(shape: dict) -> tuple[float, float, float, float]:
    kind = shape["name"]
    if "xy" in shape:
        return _around_3(kind, shape["xy"])
    if kind == "rect":
        x, y, w, h = (float(shape[key]) for key in ("x", "y", "width", "height"))
        return x, y, x + w, y + h
    if kind in ("circle", "ellipse"):
        x, y = float(shape["cx"]), float(shape["cy"])
        rx, ry = (float(shape[key]) for key in (("r", "r") if kind == "circle" else ("rx", "ry")))
        return _around_ellipse(x, y, rx, ry, float(shape.get("theta") or 0))
    return around(shape["all_points_x"], shape["all_points_y"])


def _around_3(kind: str, xy: list) -> tuple[float, float, float, float]:
    numbers = [float(value) for value in xy]
    if kind == "rect":
        x, y, w, h = numbers
        return x, y, x + w, y + h
    if kind == "circle":
        return _around_ellipse(*numbers[:3], numbers[2], 0)
    if kind == "ellipse":
        return _around_ellipse(*numbers[:4], 0)
    if kind == "point":
        raise ValueError("a point")
    return around(numbers[0::2], numbers[1::2])


def _around_ellipse(x: float, y: float, rx: float, ry: float, theta: float) -> tuple[float, float, float, float]:
    """The box around an ellipse turned by theta radians."""
    half_width = hypot(rx * cos(theta), ry * sin(theta))
    half_height = hypot(rx * sin(theta), ry * cos(theta))
    return x - half_width, y - half_height, x + half_width, y + half_height


def _class_of(attributes: dict) -> str | None:
    """The class in the attributes of a region: what stands under a word for it, else under the first key. A choice of
    several is a dict of those that are true."""
    by_name = {str(key).lower(): value for key, value in attributes.items()}
    value = next((by_name[key] for key in CLASS_KEYS if by_name.get(key)), next(iter(by_name.values()), None))
    if isinstance(value, dict):
        value = " ".join(str(key) for key, chosen in value.items() if chosen)
    return str(value).strip() or None if value is not None else None
