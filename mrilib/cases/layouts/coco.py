"""COCO: one JSON of images, annotations and categories."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import isclose, isfinite
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.annotated import SHOWN, Annotated
from mrilib.cases.layouts.boxes import Annotation, around, as_number, json_files, log, refuse, size_stated
from mrilib.errors import CaseError

MEND = "mend it, or export it again"
WITHOUT_PLACES = ("caption", "question", "segments_info")  # keys of annotations of other kinds


@dataclass
class Table:
    """What one COCO file holds. names: file name of each image id. sizes: as stated. boxes: of each image id.
    wrong: what is wrong with an image or its boxes, by image id. lost: boxes that no image can be found for."""

    names: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple] = field(default_factory=dict)
    boxes: dict[str, list[tuple]] = field(default_factory=lambda: defaultdict(list))
    wrong: dict[str, CaseError] = field(default_factory=dict)
    lost: int = 0


def coco(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """COCO boxes: a JSON of images, annotations and categories"""
    tables = {path: content for path, content in json_files(search, files).items() if _is_coco(content)}
    if not tables:
        return [], files
    annotated = Annotated(search, files, "coco")
    unsure: set[Path] = set()
    for path, content in tables.items():
        search.used.add(path)
        try:
            table = _table(path, content, search.fail)
        except CaseError as error:
            refuse(search, error)
            continue
        missing: list[str] = []
        for number, name in table.names.items():
            image = annotated.find(name, path, missing)
            if image is None:
                continue
            try:
                if number in table.wrong:
                    raise table.wrong[number]
                size = size_stated(*table.sizes[number], f"{path}, image {number}")
            except CaseError as error:
                annotated.fail(image, error)
                continue
            boxes = tuple(table.boxes.get(number, ()))
            annotated.add(image, Annotation(boxes, path, size, form="size"))
            if table.lost and not boxes:
                unsure.add(image)
        annotated.say_missing(path, missing)
    return annotated.cases(unsure)


def entries_of(path: Path, content: object) -> tuple[dict[str, str], dict[str, str]]:
    """(image id -> file name, category id -> name) of a COCO file; both empty for another one."""
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return {}, {}
    table = Table()
    _read_images(table, path, content["images"], lambda error: None)  # the reference was read without these
    return table.names, _kinds(path, {**content, "annotations": []})


def _is_coco(content: object) -> bool:
    """Whether a JSON is COCO's, complete or not. Captions and the like, whose annotations are no places in the image,
    are not."""
    if not isinstance(content, dict) or not content.keys() & {"images", "annotations"}:
        return False
    notes = content.get("annotations")
    first = notes[0] if isinstance(notes, list) and notes else None
    if "images" in content and "annotations" in content:
        return not (isinstance(first, dict) and any(key in first for key in WITHOUT_PLACES))
    return "categories" in content or (isinstance(first, dict) and "bbox" in first)


def _table(path: Path, content: dict, fail) -> Table:
    """What a COCO file holds. fail takes what is wrong with one entry. Raises CaseError for a file that cannot be used
    at all."""
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            what = "has no" if key not in content else f"has {type(content[key]).__name__}, no list, as"
            raise CaseError(f"{what} {key}, which a COCO file has", where=path, remedy=MEND)
    table = Table()
    _read_images(table, path, content["images"], fail)
    kinds = _kinds(path, content)
    notes = [(note.get("id", place) if isinstance(note, dict) else place, note)
             for place, note in enumerate(content["annotations"])]
    _check_numbers(path, "image", "image_id", [note for _, note in notes], table.names)
    _check_numbers(path, "category", "category_id", [note for _, note in notes], kinds)
    _check_corners(path, content["annotations"])
    without, strange = [], []
    for named, note in notes:
        number = _number(note.get("image_id")) if isinstance(note, dict) else None
        if number is None:
            without.append(named)
        elif number not in table.names:
            strange.append(number)
        else:
            try:
                table.boxes[number].append(_annotated_box(note, kinds, path, named))
            except CaseError as error:
                table.wrong.setdefault(number, error)
    if without:
        table.lost = len(without)
        fail(CaseError(f"{len(without)} annotations have no image_id: {_some(without)}; images without a box are left "
                       "out, because one of these may be theirs", where=path, remedy=MEND))
    if strange:
        fail(CaseError(f"{len(strange)} annotations are of images that the file does not list: "
                       f"{_some(dict.fromkeys(strange))}", where=path, remedy="list these images, or take their "
                       "annotations away"))
    return table


def _read_images(table: Table, path: Path, images: list, fail) -> None:
    for place, image in enumerate(images):
        number = _number(image.get("id")) if isinstance(image, dict) else None
        name = image.get("file_name") if isinstance(image, dict) else None
        if number is None or not isinstance(name, str) or not name.strip():
            fail(CaseError(f"image {place if number is None else number} has no "
                           f"{'id' if number is None else 'file_name'}", where=path, remedy=MEND))
        elif number in table.names:
            raise CaseError(f"has two images of id {number}: {table.names[number]} and {name}", where=path,
                            remedy="give each image an id of its own, also in its annotations")
        else:
            table.names[number] = name
            table.sizes[number] = (image.get("width"), image.get("height"))


def _kinds(path: Path, content: dict) -> dict[str, str]:
    """Category id -> name. Without any, a class is the number of its category."""
    kinds = {}
    listed = content.get("categories")
    for place, kind in enumerate(listed if isinstance(listed, list) else []):
        number = _number(kind.get("id")) if isinstance(kind, dict) else None
        name = str(kind.get("name") or "").strip() if isinstance(kind, dict) else ""
        if number is None or not name:
            raise CaseError(f"category {place if number is None else number} has no "
                            f"{'id' if number is None else 'name'}", where=path, remedy=MEND)
        kinds[number] = name
    if not kinds and content["annotations"]:
        log.warning("%s: has no categories, the classes of its boxes are numbers (add categories with id and name)",
                    path)
    return kinds


def _check_numbers(path: Path, what: str, key: str, notes: list, listed: dict[str, str]) -> None:
    """Raise CaseError where ids seem to be off by one: then no id can be trusted."""
    numbers = {_number(note.get(key)) for note in notes if isinstance(note, dict)} - {None}
    if not listed or not all(text.isdigit() for text in (*numbers, *listed)):
        return
    ids = {int(text) for text in listed}
    strange = {int(text) for text in numbers} - ids
    for shift, edge, unused in ((-1, min(ids) - 1, max(ids)), (1, max(ids) + 1, min(ids))):
        if strange == {edge} and str(unused) not in numbers:
            raise CaseError(f"{key} of its annotations seems to be off by one: {edge} is there and {unused} is not, "
                            f"while the ids of its {what} list are {min(ids)} to {max(ids)}; nothing of it is used",
                            where=path, remedy=f"{'add 1 to' if shift < 0 else 'subtract 1 from'} each {key}, or mend "
                            "the ids")


def _check_corners(path: Path, notes: list) -> None:
    """Raise CaseError where the stated areas say that each bbox holds corners."""
    as_corners = []
    for note in notes:
        try:
            (x, y, w, h), area = map(float, note["bbox"]), float(note["area"])
        except (KeyError, TypeError, ValueError):
            continue
        if area > 0:
            as_corners.append(isclose((w - x) * (h - y), area, rel_tol=0.01) and not isclose(w * h, area, rel_tol=0.01))
    if as_corners and all(as_corners):
        raise CaseError("bbox of its annotations seems to hold the corners x0 y0 x1 y1: their areas are those between "
                        "these; nothing of it is used", where=path, remedy="give bbox as [x, y, width, height]")


def _number(value: object) -> str | None:
    """An id as text: 3, 3.0 and "3" are one id. None for what is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or str(value).strip() == "":
        return None
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value).strip()


def _annotated_box(note: dict, kinds: dict[str, str], path: Path, named: object) -> tuple:
    where = f"{path}, annotation {named}"
    kind = _number(note.get("category_id"))
    if kinds and kind not in kinds:
        stated = "no category_id" if kind is None else f"category {kind}"
        listed = ", ".join(f"{number} {name}" for number, name in list(kinds.items())[:8])
        raise CaseError(f"has {stated}, the categories are {listed}", where=where,
                        remedy="use an id of the list, or add the category to it")
    try:
        box = _box(note)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CaseError("has neither a bbox of four numbers nor a segmentation of polygons or run lengths", where=where,
                        remedy="give bbox as [x, y, width, height] in pixels") from error
    mark = ("crowd",) if note.get("iscrowd") else ("ignore",) if note.get("ignore") else ()
    return (*box, kinds.get(kind, kind), *mark)


def _box(note: dict) -> tuple[float, float, float, float]:
    if note.get("bbox"):
        x, y, w, h = map(as_number, note["bbox"])
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


def _some(names) -> str:
    names = list(map(str, names))
    return ", ".join(names[:SHOWN]) + (" …" if names[SHOWN:] else "")
