"""What the layouts of bounding boxes share: annotations, and checking their boxes."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mrilib.cases.case import Search
from mrilib.cases.names import PICTURES, stem_of, suffix_of
from mrilib.errors import CaseError

OUTSIDE = 0.01  # share of an image's side that a box may stand out; it is cut off there. Outlines drawn by hand do
CORNERS = "give the corners x0 y0 x1 y1 with x0 < x1 and y0 < y1"
ANNOTATION_KEYS = r'"(annotations|bbox|shapes|regions|shape_attributes|imagePath|categories)"'
ANNOTATION_NAMES = "(?i)annot|coco|via|label|box|instances"

log = logging.getLogger("mrilib")


class Annotation(NamedTuple):
    """The boxes of one image, (x0, y0, x1, y1, class[, mark]) in pixels. source: the file, and the place in it, that
    says so. size: width and height that the image had when it was annotated, None where not stated. shares: the file
    states shares of the size, as YOLO does. form: the numbers of a box in this format: "corners", "size" (x y width
    height) or "centre" (cx cy width height)."""

    boxes: tuple[tuple, ...]
    source: object
    size: tuple[int, int] | None = None
    shares: bool = False
    form: str = "corners"


def pictures(files: Iterable[Path]) -> list[Path]:
    """The files that may have boxes: 2D images."""
    return [path for path in files if suffix_of(path) in PICTURES]


def json_files(search: Search, files: Iterable[Path]) -> dict[Path, object]:
    """The contents of the JSON files below a folder, each read once; none where no picture is left that they could be
    about, and in a folder that this suite prepared, where they are records. A damaged annotation file is an error."""
    if not any(suffix_of(path) in PICTURES for path in files):
        return {}
    if "json" not in search.memo:
        prepared = (search.root / "recipe.json").is_file()
        paths = [] if prepared else [path for path in search.others if path.suffix.lower() == ".json"]
        read, stems = {}, {stem_of(path) for path in files}
        for path in paths:
            try:
                read[path] = _json(path, stems)
            except CaseError as error:
                search.used.add(path)
                refuse(search, error)
        search.memo["json"] = {path: content for path, content in read.items() if content is not None}
    return search.memo["json"]


def refuse(search: Search, error: CaseError) -> None:
    """Report annotations that no image gets. An image without an annotation is then not known to have no box."""
    search.memo["refused"] = True
    search.fail(error)


def _json(path: Path, stems: set[str]) -> object:
    """The content of a JSON file, without pictures inside it; None for a damaged file of another kind. Raises CaseError
    for a damaged file with keys of annotations, and for an empty one with the name of an image (stems) or of
    annotations."""
    def without_picture(pairs):
        return {key: value for key, value in pairs if key != "imageData"}

    text = text_of(path)
    try:
        return json.loads(text, object_pairs_hook=without_picture)
    except (ValueError, RecursionError) as error:
        if not text.strip() and (path.stem in stems or re.search(ANNOTATION_NAMES, path.stem)):
            raise CaseError("is an empty annotation file", where=path,
                            remedy="export it again, or take it away") from error
        if not re.search(ANNOTATION_KEYS, text):
            return None  # reported as a file that no case uses
        raise CaseError(f"is an annotation file that is no JSON: {error}", where=path,
                        remedy="export it again") from error


def text_of(path: Path) -> str:
    """The text of a file in UTF-8 or, by its byte order mark, in UTF-16, without the mark. Raises CaseError when it
    cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseError(f"cannot be read: {error.strerror}", where=path, remedy="check its permissions") from error
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if wide else "utf-8-sig", "replace")


def checked(annotation: Annotation, image: Path) -> tuple[tuple, ...]:
    """The boxes of an image, cut at its border, a box that stands there twice once. Raises CaseError for a box that is
    empty or outside the image, and for annotations of an image of another size."""
    if not annotation.boxes and annotation.size is None:
        return ()
    size = size_of(image)
    if annotation.size is not None and tuple(annotation.size) != size:
        named, own = (" x ".join(map(str, sizes)) for sizes in (annotation.size, size))
        swapped = tuple(annotation.size)[::-1] == size
        raise CaseError(f"is {own} pixels, its boxes in {annotation.source} are of an image of {named}", where=image,
                        remedy="exchange width and height there, if the image was not turned" if swapped else
                        "scale the boxes as the image was scaled, or give the image that was annotated")
    return once(_each(annotation, lambda box: _inside(box, size, annotation), image), annotation.source, image)


def ordered(annotation: Annotation, image: Path) -> tuple[tuple, ...]:
    """The boxes of an image of unknown size. Raises CaseError for a box that is empty."""
    def right(box):
        _check_order(box, annotation)
        return box

    return once(_each(annotation, right, image), annotation.source, image)


def _each(annotation: Annotation, check, image: Path) -> tuple[tuple, ...]:
    """The boxes as `check` returns them. Raises CaseError with the first fault and the number of faults."""
    boxes, wrong = [], []
    for box in annotation.boxes:
        try:
            boxes.append(check(box))
        except CaseError as error:
            wrong.append(error)
    if wrong:
        others = f"; so are {len(wrong) - 1} more of its boxes, or wrong in another way" if wrong[1:] else ""
        raise CaseError(wrong[0].what + others, where=image, remedy=wrong[0].remedy)
    return tuple(boxes)


def once(boxes: tuple[tuple, ...], source: object, image: Path) -> tuple[tuple, ...]:
    """The boxes, each once. A repeated box is logged, and so is a place with boxes of two classes."""
    unique = tuple(dict.fromkeys(boxes))
    if twice := len(boxes) - len(unique):
        first = next(box for box in unique if boxes.count(box) > 1)
        log.warning("%s: %d repeated boxes in %s are read once, the first %s (take the copies away)", image, twice,
                    source, text_of_box(first))
    of_place: dict[tuple, list] = {}
    for box in unique:
        of_place.setdefault(tuple(box[:4]), []).append(box)
    for same in of_place.values():
        if len(kinds := {box[4] for box in same}) > 1:
            log.warning("%s: box %s in %s is of %d classes: %s; all are kept (take the wrong ones away)", image,
                        text_of_box(same[0]), source, len(kinds), ", ".join(sorted(map(str, kinds))))
    return unique


def text_of_box(box: tuple) -> str:
    """The four numbers of a box."""
    return " ".join(f"{value:g}" for value in box[:4])


def _check_order(box: tuple, annotation: Annotation) -> None:
    x0, y0, x1, y1 = box[:4]
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise CaseError(f"box {text_of_box(box)} in {annotation.source} is empty: not all of it are numbers",
                        remedy="mend the box")
    if x0 == x1 or y0 == y1:
        raise CaseError(f"box {text_of_box(box)} in {annotation.source} is empty: it has no area",
                        remedy="draw it again, or take it away")
    if x0 > x1 or y0 > y1:
        what = ("its corners are in the wrong order" if annotation.form == "corners" else
                "its width or its height is below 0")
        raise CaseError(f"box {text_of_box(box)} in {annotation.source}: {what}",
                        remedy=f"{CORNERS}; x1 y1 are no width and height" if annotation.form == "corners" else
                        "give a width and a height above 0")


def _inside(box: tuple, size: tuple[int, int], annotation: Annotation) -> tuple:
    _check_order(box, annotation)
    x0, y0, x1, y1, *rest = box
    if not annotation.shares and min(x0, y0) >= 0 and max(x1, y1) <= 1 < min(size):
        raise CaseError(f"box {text_of_box(box)} in {annotation.source} is not larger than a pixel: its numbers seem "
                        "to be shares of the image's size", remedy="multiply them by its width and height")
    for low, high, length in ((x0, x1, size[0]), (y0, y1, size[1])):
        allowed = max(1.0, OUTSIDE * length)
        if low < -allowed or high > length + allowed or low >= length or high <= 0:
            raise CaseError(f"box {text_of_box(box)} in {annotation.source} lies outside the image of {size[0]} x "
                            f"{size[1]} pixels", remedy=_remedy_outside(box, size, annotation))
    return (max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1])), *rest)


def _remedy_outside(box: tuple, size: tuple[int, int], annotation: Annotation) -> str:
    """What to do about a box outside its image: its numbers may be corners in a format that has none."""
    x0, y0, x1, y1 = box[:4]
    first = (x0, y0) if annotation.form == "size" else ((x0 + x1) / 2, (y0 + y1) / 2)
    second = (x1 - x0, y1 - y0)
    may_be = annotation.form != "corners" and all(
        0 <= low < high <= length for low, high, length in zip(first, second, size, strict=True))
    if may_be:
        return ("give x y width height, if these are corners" if annotation.form == "size" else
                "give the centre, width and height, if these are corners")
    return "mend the box, or give the image that was annotated"


def as_number(value: object) -> float:
    """A number, or a text of one, as float. Raises TypeError or ValueError for other values, and for true and false."""
    if isinstance(value, bool):
        raise TypeError("a truth value")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("too large") from error


def around(xs: Iterable[float], ys: Iterable[float]) -> tuple[float, float, float, float]:
    """The box around points. Raises ValueError where there is none, or where a coordinate is not a finite number."""
    xs, ys = [as_number(x) for x in xs], [as_number(y) for y in ys]
    if len(xs) != len(ys) or not all(map(math.isfinite, (*xs, *ys))):
        raise ValueError("not all coordinates are numbers, or not as many x as y")
    return min(xs), min(ys), max(xs), max(ys)


def size_stated(width: object, height: object, where: object) -> tuple[int, int] | None:
    """Width and height as a file states them; None where it does not: some programs write 0 for an image they did not
    open. Raises CaseError for sizes that are no numbers."""
    if not width or not height:
        return None
    try:
        size = int(float(str(width))), int(float(str(height)))
    except (ValueError, OverflowError) as error:
        raise CaseError(f"states the size {str(width)[:20]!r} x {str(height)[:20]!r}, which is none", where=where,
                        remedy="give width and height in pixels") from error
    return size if min(size) > 0 else None


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
