"""YOLO: a text file for each image, a line for each box."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.boxes import Annotation, around, cases_of, size_of, text_of
from mrilib.cases.names import PICTURES, stem_of, suffix_of
from mrilib.errors import CaseError

LABELS = ("labels", "label", "annotations", "annotation")  # the folder of texts for a folder called images
SAMPLES = 20  # texts of a folder that are looked into to know what it holds
ROUNDING = 1e-3  # what a share of the size may be off
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def yolo(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """YOLO boxes: images/x.jpg + labels/x.txt, a line `class cx cy w h` for each box, in shares of the size"""
    texts: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in search.others:
        if path.suffix.lower() == ".txt":
            texts[os.path.abspath(path.parent)][path.stem] = path
    found: dict[Path, Annotation] = {}
    rest = []
    by_folder = defaultdict(list)
    for path in files:
        if suffix_of(path) in PICTURES:
            by_folder[path.parent].append(path)
    base = os.path.abspath(search.folder)
    for folder, images in by_folder.items():
        for place in _places(folder):
            if place not in texts and not place.startswith(base) and os.path.isdir(place):
                texts[place] = {path.stem: path for path in Path(place).glob("*.txt")}
            if _holds_boxes(texts.get(place, {}), images, place):
                break
        else:
            continue
        names = _names(Path(place), search)
        for image in images:
            text = texts[place].get(stem_of(image))
            if text is None:
                found[image] = Annotation((), place)
                continue
            search.used.add(text)
            try:
                found[image] = Annotation(_boxes(text, image, names), text)
            except CaseError as error:
                search.fail(error)
                rest.append(image)
    failed = set(rest)
    files = [path for path in files if path not in failed]
    return cases_of(search, files, found, "yolo") if found else ([], files)


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
    """Whether most of the texts named as images are lists of boxes; not whether each is: that one may be wrong."""
    if not texts:
        return False
    named = [texts[stem] for stem in map(stem_of, images) if stem in texts][:SAMPLES]
    looks = [_is_yolo(path) for path in named]
    full = [look for look in looks if look is not None]
    beside = bool(images) and place == os.path.abspath(images[0].parent)
    return 2 * sum(full) > len(full) or bool(named and not full and not beside)


def _is_yolo(path: Path) -> bool | None:
    """Whether a text holds lines of a class and four numbers or more; None for an empty one."""
    lines = [line for line in text_of(path).splitlines() if line.strip()]
    rows = [_words(line) for line in lines]
    return all(len(row) >= 5 and all(NUMBER.fullmatch(word) for word in row[-4:]) for row in rows) if rows else None


def _words(line: str) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", line.strip()) if word]


def _names(folder: Path, search: Search) -> tuple[Path | None, dict[int, str]]:
    """The file that names the classes, at or above a folder of texts, and number -> name; none where there is none."""
    for place in (folder, *list(folder.parents)[:3]):
        listed = [place / "classes.txt", *sorted(place.glob("*.names"))]
        for path in (path for path in listed if path.is_file()):
            search.used.add(path)
            return path, dict(enumerate(line.strip() for line in text_of(path).strip().splitlines()))
        for path in sorted(place.glob("*.y*ml")):
            if names := _in_yaml(text_of(path)):
                return path, names
        if place == search.folder.absolute().parent:
            break
    return None, {}


def _in_yaml(text: str) -> dict[int, str]:
    """The class names of a data.yaml, as a list or as number: name."""
    if listed := re.search(r"^names:\s*\[(.*?)\]", text, re.M | re.S):
        return {i: name.strip(" '\"\r\n") for i, name in enumerate(listed[1].split(","))}
    if inline := re.search(r"^names:\s*\{(.*?)\}", text, re.M | re.S):
        pairs = (pair.split(":", 1) for pair in inline[1].split(",") if ":" in pair)
        return {int(number): name.strip(" '\"\r\n") for number, name in pairs}
    block = re.search(r"^names:\s*\n((?:\s*(?:\d+\s*:|-).*\n?)+)", text, re.M)
    if block is None:
        return {}
    lines = [line for line in block[1].splitlines() if line.strip()]
    numbers = [re.match(r"\s*(\d+)\s*:", line) for line in lines]
    names = [re.sub(r"^\s*(?:\d+\s*:|-)\s*", "", line).strip(" '\"\r") for line in lines]
    return {int(number[1]) if number else i: name for i, (number, name) in enumerate(zip(numbers, names, strict=True))}


def _boxes(text: Path, image: Path, names: tuple[Path | None, dict[int, str]]) -> tuple[tuple, ...]:
    """Boxes (x0, y0, x1, y1, class) in pixels. Raises CaseError for lines that are none."""
    boxes = []
    width, height = size_of(image)
    for number, line in enumerate(text_of(text).splitlines(), 1):
        if words := _words(line):
            where = f"{text}, line {number}"
            kind, x0, y0, x1, y1 = _box(words, where)
            boxes.append((x0 * width, y0 * height, x1 * width, y1 * height, _class_of(kind, names, where)))
    return tuple(boxes)


def _box(words: list[str], where: str) -> tuple[str, float, float, float, float]:
    """(class, x0, y0, x1, y1), in shares of the size, of a line: a box, or an outline of three points or more."""
    count = next((i for i, word in enumerate(reversed(words)) if not NUMBER.fullmatch(word)), len(words))
    count = min(count, len(words) - 1)
    kind, values = " ".join(words[: len(words) - count]), [float(word) for word in words[len(words) - count :]]
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise CaseError("is no line `class cx cy w h`", where=where,
                        remedy="give boxes, or outlines `class x y x y x y …`; a confidence belongs to predictions")
    if not all(-ROUNDING <= value <= 1 + ROUNDING for value in values):
        raise CaseError("a box of YOLO lies in 0 to 1, in shares of the image's size", where=where,
                        remedy="divide pixels by the width and the height of the image")
    if len(values) > 4:
        return kind, *around(values[0::2], values[1::2])
    cx, cy, w, h = values
    if not w > 0 or not h > 0:
        raise CaseError("the box is empty", where=where, remedy="give it a width and a height above 0")
    return kind, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def _class_of(kind: str, names: tuple[Path | None, dict[int, str]], where: str) -> str:
    """The name of a class by its number, or a class that stands there by name."""
    if not NUMBER.fullmatch(kind):
        return kind
    source, known = names
    number = float(kind)
    if number != int(number) or number < 0:
        raise CaseError(f"class {kind} is no whole number from 0", where=where, remedy="give `class cx cy w h`")
    if known and int(number) not in known:
        raise CaseError(f"class {int(number)} has no name in {source}, which names {min(known)} to {max(known)}",
                        where=where, remedy="add its name there; numbers count from 0")
    return known.get(int(number), str(int(number)))
