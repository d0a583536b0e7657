"""VGG Image Annotator: one JSON or CSV of regions for many images."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from dataclasses import dataclass, field
from math import cos, hypot, isfinite, sin
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.annotated import Annotated
from mrilib.cases.layouts.boxes import Annotation, around, as_number, json_files, log, pictures, refuse, text_of
from mrilib.errors import CaseError
from mrilib.tables import plain

CLASS_KEYS = ("class", "label", "type", "name", "category", "tumor", "tumour", "object")  # of region_attributes
COLUMNS = ("filename", "file_size", "region_count", "region_shape_attributes", "region_attributes")
SHAPES_3 = {1: "point", 2: "rect", 3: "circle", 4: "ellipse", 5: "polyline", 6: "polyline", 7: "polygon"}  # of VIA 3


@dataclass
class Regions:
    """What one file says of images by their names. of: (shape, attributes) of each region, or a CaseError. sizes: bytes
    of the image files, where stated."""

    of: dict[str, list] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[str, int] = field(default_factory=dict)

    def add_size(self, name: str, size: object) -> None:
        """Keep the size of an image file, if it is one: -1 stands for an image that was not read."""
        if str(size).strip().isdigit() and int(str(size)) > 0:
            self.sizes[name] = int(str(size))


def via(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """VGG Image Annotator: a JSON or CSV of regions; the box around each rectangle, polygon, circle or ellipse"""
    if not pictures(files):
        return [], files
    tables: dict[Path, Regions] = {}
    for path, content in json_files(search, files).items():
        try:
            if (regions := _in_json(content, path, search.fail)) is not None:
                tables[path] = regions
        except CaseError as error:
            search.used.add(path)
            refuse(search, error)
    for path in search.others:
        if path.suffix.lower() == ".csv" and _is_via_csv(path):
            try:
                tables[path] = _in_csv(path)
            except CaseError as error:
                search.used.add(path)
                refuse(search, error)
    if not tables:
        return [], files
    annotated = Annotated(search, files, "via")
    for path, regions in tables.items():
        search.used.add(path)
        missing: list[str] = []
        changed: list[Path] = []
        for name, listed in regions.of.items():
            image = annotated.find(name, path, missing)
            if image is None:
                continue
            if regions.sizes.get(name) not in (None, image.stat().st_size):
                changed.append(image)
            try:
                boxes = tuple(_box(region, f"{path}: {name}, region {n}") for n, region in enumerate(listed, 1))
                annotated.add(image, Annotation(boxes, path, form="size"))
            except CaseError as error:
                annotated.fail(image, error)
        annotated.say_missing(path, missing)
        if changed:
            log.warning("%s: %d of %d image files are not as large, in bytes, as when they were annotated, such as %s "
                        "(check that the boxes fit: mri-view shows them)", path, len(changed), len(regions.of),
                        changed[0])
    return annotated.cases()


def _in_json(content: object, path: Path, fail) -> Regions | None:
    """The regions of a JSON; None for one that is not VIA's. fail takes the error of an entry without a file name.
    Raises CaseError for a damaged project."""
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("file"), dict) and isinstance(content.get("metadata"), dict):
        return _in_version_3(content, path)
    content = content.get("_via_img_metadata", content)
    entries = content if isinstance(content, dict) else {}
    if not any(isinstance(entry, dict) and "regions" in entry and ("filename" in entry or "file_attributes" in entry)
               for entry in entries.values()):
        return None
    read = Regions()
    for key, entry in entries.items():
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.strip():
            fail(CaseError("has no filename", where=f"{path}, entry {key}",
                           remedy="name the image, or export it again"))
            continue
        regions = entry.get("regions")
        if isinstance(regions, dict):
            regions = list(regions.values())
        if not isinstance(regions, list):
            what = "no regions" if regions is None else f"{type(regions).__name__}, no list, as regions"
            regions = [CaseError(f"has {what}", where=f"{path}, entry {key}",
                                 remedy="export it again: an image without a tumour has an empty list")]
        read.of[name] += map(_region, regions)
        read.add_size(name, entry.get("size"))
    return read


def _region(region: object) -> object:
    if not isinstance(region, dict):
        return region
    return region.get("shape_attributes"), region.get("region_attributes")


def _in_version_3(content: dict, path: Path) -> Regions:
    """The regions of a project of VIA 3. Raises CaseError for a damaged one."""
    try:
        names = {str(key): str(file.get("fname") or file.get("src")) for key, file in content["file"].items()}
        views = {str(key): list(map(str, view.get("fid_list", ()))) for key, view in content.get("view", {}).items()}
        attributes = {str(key): about for key, about in content.get("attribute", {}).items()}
        read = Regions(of={name: [] for name in names.values()})
        for number, region in content["metadata"].items():
            kind, *numbers = region.get("xy") or (None,)
            if kind is None:
                continue
            said = {}
            for key, value in (region.get("av") or {}).items():
                about = attributes.get(str(key), {})
                said[about.get("aname", key)] = (about.get("options") or {}).get(value, value)
            view = str(region.get("vid"))
            files = [file for file in views.get(view, [view]) if file in names]
            if not files:
                raise CaseError(f"region {number} is of view {view}, which the project does not list", where=path,
                                remedy="add the image to the project, or take the region away")
            for file in files:
                read.of[names[file]].append(({"name": SHAPES_3.get(int(kind)), "xy": numbers}, said))
    except (AttributeError, TypeError, ValueError, KeyError, OverflowError) as error:
        raise CaseError(f"is no project of VIA 3 that can be read: {error!r}", where=path,
                        remedy="save it again") from error
    return read


def _is_via_csv(path: Path) -> bool:
    """Whether the first line of a CSV names VIA's columns."""
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError:
        return False  # reported as a file that no case uses
    return b"region_shape_attributes" in head.replace(b"\0", b"")


def _in_csv(path: Path) -> Regions:
    """The regions of a CSV. What is wrong with a row is an error of its image. Raises CaseError for rows whose image is
    not known."""
    rows = csv.DictReader(io.StringIO(plain(text_of(path).lstrip("#"), COLUMNS), newline=""))
    read = Regions()
    stated: dict[str, str] = {}
    try:
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            name = (row.get("filename") or "").strip()
            if not name:
                raise CaseError("has no filename", where=where, remedy="name the image, or export it again")
            regions, stated[name] = read.of[name], (row.get("region_count") or "").strip()
            read.add_size(name, row.get("file_size"))
            try:
                if None in row or None in row.values():
                    raise ValueError("the row has not as many fields as the header")
                shape = json.loads(row.get("region_shape_attributes") or "{}")
                if not isinstance(shape, dict):
                    raise ValueError("no {…}")
                if shape:
                    regions.append((shape, json.loads(row.get("region_attributes") or "{}")))
            except ValueError as error:
                regions.append(CaseError(f"has a region that is no JSON: {error}", where=where,
                                         remedy="export it again, without a spreadsheet in between"))
    except csv.Error as error:
        raise CaseError(f"is no table: {error}", where=f"{path}, line {rows.line_num}", remedy="export it again"
                        ) from error
    for name, count in stated.items():
        if count.isdigit() and int(count) != len(read.of[name]):
            what = f"has {len(read.of[name])} regions of {name}, where its region_count says {count}"
            read.of[name].append(CaseError(what, where=path, remedy="export it again"))
    return read


def _box(region: object, where: str) -> tuple:
    """The box (x0, y0, x1, y1, class) of a region (shape, attributes). Raises CaseError."""
    if isinstance(region, CaseError):
        raise region
    shape, attributes = region if isinstance(region, tuple) else (None, None)
    if not isinstance(shape, dict):
        raise CaseError("has no shape_attributes", where=where, remedy="export it again")
    try:
        box = _around(shape)
        if not all(map(isfinite, box)):
            raise ValueError("not all are numbers")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CaseError(f"is a {shape.get('name') or 'region'} without the numbers that make a box", where=where,
                        remedy="draw a rectangle, polygon, circle or ellipse") from error
    return (*box, _class_of(attributes if isinstance(attributes, dict) else {}))


def _around(shape: dict) -> tuple[float, float, float, float]:
    kind = shape["name"]
    if "xy" in shape:
        return _around_3(kind, shape["xy"])
    if kind == "rect":
        x, y, w, h = (as_number(shape[key]) for key in ("x", "y", "width", "height"))
        return x, y, x + w, y + h
    if kind in ("circle", "ellipse"):
        x, y = as_number(shape["cx"]), as_number(shape["cy"])
        rx, ry = (as_number(shape[key]) for key in (("r", "r") if kind == "circle" else ("rx", "ry")))
        return _around_ellipse(x, y, rx, ry, float(shape.get("theta") or 0))
    return around(shape["all_points_x"], shape["all_points_y"])


def _around_3(kind: str, xy: list) -> tuple[float, float, float, float]:
    numbers = [as_number(value) for value in xy]
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
    """The box around an ellipse turned by theta radians. Raises ValueError for a radius below 0."""
    if rx < 0 or ry < 0:
        raise ValueError("a radius below 0")
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
