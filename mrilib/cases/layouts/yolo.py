"""YOLO: a text file for each image, a line for each box."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.annotated import Annotated, plain_name
from mrilib.cases.layouts.boxes import Annotation, around, refuse, size_of, text_of
from mrilib.cases.layouts.yolo_names import Names, names_of
from mrilib.cases.names import PICTURES, stem_of, suffix_of
from mrilib.errors import CaseError

LABELS = ("labels", "label", "annotations", "annotation")  # the folder of texts for a folder called images
SAMPLES = 20  # texts of a folder that are looked into to know what it holds
ROUNDING = 1e-3  # what a share of the size may be off
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
NO_NUMBER = re.compile(r"[-+]?(nan|inf|infinity|null|none)", re.IGNORECASE)
COMMA = re.compile(r"[-+]?\d*,\d+")  # a number with a decimal comma
Line = tuple[int, str, list[float]]  # number, class, values


def yolo(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """YOLO boxes: images/x.jpg + labels/x.txt, a line `class cx cy w h` for each box, in shares of the size"""
    texts: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in search.others:
        if path.suffix.lower() == ".txt":
            texts[os.path.abspath(path.parent)][_key(path.stem)] = path
    annotated = Annotated(search, files, "yolo")
    by_folder = defaultdict(list)
    for path in files:
        if suffix_of(path) in PICTURES:
            by_folder[path.parent].append(path)
    base = os.path.abspath(search.folder)
    images_of: dict[str, list[Path]] = defaultdict(list)
    for folder, images in by_folder.items():
        for place in _places(folder):
            if place not in texts and not place.startswith(base) and os.path.isdir(place):
                texts[place] = {_key(path.stem): path for path in sorted(Path(place).iterdir())
                                if path.suffix.lower() == ".txt"}
            if _holds_boxes(texts.get(place, {}), images, place):
                images_of[place] += images
                break
    for place, images in images_of.items():
        _read_place(annotated, place, images, texts[place])
    missing = [path for place in images_of if place.startswith(base) for path in texts[place].values()
               if path not in search.used and _is_yolo(path)]
    search.used.update(missing)
    annotated.say_missing(search.folder, [os.path.relpath(path, search.folder) for path in missing])
    return annotated.cases()


def _key(stem: str) -> str:
    return plain_name(stem).casefold()


def _read_place(annotated: Annotated, place: str, images: list[Path], texts: dict[str, Path]) -> None:
    """Add the boxes of the texts of one folder to the images that they are about."""
    search = annotated.search
    names = names_of(Path(place), search.folder.absolute().parent, search.used, search.fail)
    lines: dict[Path, list[Line]] = {}
    for image in images:
        text = texts.get(_key(stem_of(image)))
        if text is None or text == names.source:
            continue
        search.used.add(text)
        try:
            lines[image] = lines_of(text)
        except CaseError as error:
            annotated.fail(image, error)
    if error := _off_by_one(place, lines, names):
        refuse(search, error)
        annotated.failed.update(lines)
        search.used.update(lines)
        return
    for image, listed in lines.items():
        text = texts[_key(stem_of(image))]
        try:
            annotated.add(image, Annotation(_boxes(listed, text, image, names), text, shares=True, form="centre"))
        except CaseError as error:
            annotated.fail(image, error)


def _places(folder: Path) -> list[str]:
    """Where the texts for the images of a folder may lie: labels/… for images/…, labels/ in it, or beside them."""
    parts = folder.absolute().parts
    places = []
    for i in reversed([i for i, part in enumerate(parts) if part.lower() in ("images", "image")]):
        for name in LABELS:
            places += [Path(*parts[:i], spelt, *parts[i + 1 :]) for spelt in (name, name.capitalize(), name.upper())]
    places += [folder / name for name in LABELS] + [folder.parent / name / folder.name for name in LABELS]
    return [os.path.abspath(place) for place in (*places, folder)]


def _holds_boxes(texts: dict[str, Path], images: list[Path], place: str) -> bool:
    """Whether the texts named as images are lists of boxes: beside the images most of them, in a folder of labels one.
    Others may be wrong."""
    if not texts:
        return False
    named = [texts[stem] for stem in (_key(stem_of(image)) for image in images) if stem in texts][:SAMPLES]
    beside = bool(images) and place == os.path.abspath(images[0].parent)
    looks = [_is_yolo(path, least=4 if beside else 2) for path in named]
    full = [look for look in looks if look is not None]
    if beside:
        return 2 * sum(full) > len(full)
    return any(full) or bool(named and not full)


def _is_yolo(path: Path, least: int = 4) -> bool | None:
    """Whether a text holds lines of a class and so many numbers or more; None for an empty one."""
    rows = [_words(line) for line in text_of(path).splitlines() if line.strip()]
    return all(len(row) > least and all(NUMBER.fullmatch(word) or NO_NUMBER.fullmatch(word) for word in row[-least:])
               for row in rows) if rows else None


def _words(line: str) -> list[str]:
    """The words of a line between spaces, tabs, commas or semicolons; `0 0,5 0,25 0,2 0,5` has decimal commas."""
    words = re.split(r"[\s;]+", line.strip())
    if len(words) >= 5 and any(COMMA.fullmatch(word) for word in words):
        return [word.replace(",", ".") for word in words if word]
    return [word for word in re.split(r"[\s,;]+", line.strip()) if word]


def lines_of(text: Path, counts: tuple[int, ...] = ()) -> list[Line]:
    """The lines of a text that are not empty. counts: how many numbers may follow the class; by default those of a box
    or an outline. Raises CaseError for other lines."""
    lines = []
    for number, line in enumerate(text_of(text).splitlines(), 1):
        if not (words := _words(line)):
            continue
        count = next((i for i, word in enumerate(reversed(words)) if not NUMBER.fullmatch(word)), len(words))
        count = min(count, len(words) - 1)
        kind, values = " ".join(words[: len(words) - count]), [float(word) for word in words[len(words) - count :]]
        if counts and len(values) not in counts:
            raise CaseError("is no line `class cx cy w h score`", where=f"{text}, line {number}", remedy="give boxes")
        if not counts and len(values) != 4 and (len(values) < 6 or len(values) % 2):
            raise CaseError("is no line `class cx cy w h`", where=f"{text}, line {number}",
                            remedy="give boxes, or outlines `class x y x y x y …`; a confidence belongs to predictions")
        lines.append((number, kind, values))
    return lines


def _off_by_one(place: str, lines: dict[Path, list[Line]], names: Names) -> CaseError | None:
    """The error of texts whose class numbers count from 1, where the names count from 0: then no class is right."""
    kinds = [float(kind) for listed in lines.values() for _, kind, _ in listed if NUMBER.fullmatch(kind)]
    count = len(names.of)
    if not kinds or not count or set(names.of) != set(range(count)) or min(kinds) < 1 or max(kinds) != count:
        return None
    return CaseError(f"its class numbers are {min(kinds):g} to {max(kinds):g}, while {names.source} names 0 to "
                     f"{count - 1}; none of its {len(lines)} label files is used", where=place,
                     remedy="subtract 1 from each class number: YOLO counts from 0")


def _boxes(lines: list[Line], text: Path, image: Path, names: Names) -> tuple[tuple, ...]:
    """Boxes (x0, y0, x1, y1, class) in pixels. Raises CaseError for lines that are none."""
    boxes = []
    width, height = size_of(image) if lines else (0, 0)
    for number, kind, values in lines:
        where = f"{text}, line {number}"
        x0, y0, x1, y1 = box_of(values, where)
        boxes.append((x0 * width, y0 * height, x1 * width, y1 * height, names.class_of(kind, where)))
    return tuple(boxes)


def box_of(values: list[float], where: str) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1), in shares of the size, of the numbers of a box or of an outline. Raises CaseError."""
    if not all(-ROUNDING <= value <= 1 + ROUNDING for value in values):
        if len(values) == 4 and min(values[2:]) < 0 and max(values) <= 1 + ROUNDING:
            raise CaseError("the box has a width or height below 0", where=where,
                            remedy="give `class cx cy w h` with a width and a height above 0")
        raise CaseError("a box of YOLO lies in 0 to 1, in shares of the image's size", where=where,
                        remedy="divide pixels by the width and the height of the image" if max(values) > 2 else
                        "cut the box at the border of the image")
    if len(values) > 4:
        return around(values[0::2], values[1::2])
    cx, cy, w, h = values
    if not w > 0 or not h > 0:
        raise CaseError("the box is empty", where=where, remedy="give it a width and a height above 0")
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
