"""What the layouts of bounding boxes share: finding the image of an annotation, and checking its boxes."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.names import PICTURES, stem_of, subject_of, suffix_of
from mrilib.errors import CaseError

OUTSIDE = 0.01  # share of an image's side that a box may stand out; it is cut off there. Outlines drawn by hand do
IMAGE_FOLDERS = ("", "images", "image", "JPEGImages", "imgs", "img")  # beside an annotation file, or its folder
SHOWN = 3  # first names in an error


@dataclass(frozen=True)
class Annotation:
    """The boxes of one image, (x0, y0, x1, y1, class[, mark]) in pixels. source: the file, and the place in it, that
    says so. size: width and height that the image had when it was annotated, None where not stated."""

    boxes: tuple[tuple, ...]
    source: object
    size: tuple[int, int] | None = None


class Images:
    """The images of a search by path and by name."""

    def __init__(self, files: Iterable[Path]):
        self.by_path = {os.path.abspath(path): path for path in files}
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.by_path.values():
            self.by_name[path.name].append(path)
            self.by_stem[stem_of(path)].append(path)

    def named(self, name: str, table: Path) -> Path | None:
        """The image that an annotation file calls by a name: beside it, in a folder of images there, else the one image
        of this name in the search. The name may be a path of another machine."""
        plain = PureWindowsPath(name.strip()).as_posix().removeprefix("file://")
        base = plain.rsplit("/", 1)[-1]
        for place in (table.parent, table.parent.parent):
            for folder in IMAGE_FOLDERS:
                for end in (plain, base):
                    if path := self.by_path.get(os.path.abspath(place / folder / end)):
                        return path
        same = self.by_name.get(base, [])
        return same[0] if len(same) == 1 else None

    def of_same_stem(self, source: Path) -> Path | None:
        """The image named as an annotation file is, but for the suffix."""
        same = self.by_stem.get(source.stem, [])
        beside = [path for path in same if path.parent == source.parent]
        if len(beside) == 1:
            return beside[0]
        near = [path for path in same if path.parent.parent in (source.parent.parent, source.parent)]
        return near[0] if len(near) == 1 else same[0] if len(same) == 1 else None


def pictures(files: Iterable[Path]) -> list[Path]:
    """The files that may have boxes: 2D images."""
    return [path for path in files if suffix_of(path) in PICTURES]


def json_files(search: Search, files: Iterable[Path]) -> dict[Path, object]:
    """The contents of the JSON files below a folder, each read once; none where no picture is left that they could be
    about, and in a folder that this suite prepared, where they are records."""
    if not any(suffix_of(path) in PICTURES for path in files):
        return {}
    if "json" not in search.memo:
        prepared = (search.root / "recipe.json").is_file()
        paths = [] if prepared else [path for path in search.others if path.suffix.lower() == ".json"]
        read = ((path, _json(path)) for path in paths)
        search.memo["json"] = {path: content for path, content in read if content is not None}
    return search.memo["json"]


def _json(path: Path) -> object:
    """The content of a JSON file, without pictures inside it; None for a file that is no JSON."""
    def without_picture(pairs):
        return {key: value for key, value in pairs if key != "imageData"}

    try:
        return json.loads(text_of(path), object_pairs_hook=without_picture)
    except (CaseError, ValueError):
        return None  # reported as a file that no case uses


def text_of(path: Path) -> str:
    """The text of a file in UTF-8 or, by its byte order mark, in UTF-16, without the mark. Raises CaseError when it
    cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseError(f"cannot be read: {error.strerror}", where=path, remedy="check its permissions") from error
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if wide else "utf-8-sig", "replace")


def cases_of(search: Search, files: list[Path], found: dict[Path, Annotation], layout: str
             ) -> tuple[list[Case], list[Path]]:
    """(cases, files left) of images with annotations. An image without any beside such images is one without boxes."""
    folders = {path.parent for path in found}
    cases, taken = [], set()
    for path in files:
        if path not in found and not (path.parent in folders and suffix_of(path) in PICTURES):
            continue
        taken.add(path)
        try:
            boxes = checked(found[path], path) if path in found else ()
            cases.append(replace(of_file(path, search.root), boxes=boxes, layout=layout))
        except CaseError as error:
            search.fail(error)
    return with_subjects(cases), [path for path in files if path not in taken]


def say_missing(search: Search, where: Path, names: list[str]) -> None:
    """One error for the annotations whose image is not found. where: the annotation file, or the folder of several."""
    if names:
        first = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
        search.fail(CaseError(f"has annotations of {len(names)} images that are not there: {first}", where=where,
                              remedy="add the images, or take their annotations away"))


def checked(annotation: Annotation, image: Path) -> tuple[tuple, ...]:
    """The boxes of an image, cut at its border. Raises CaseError for a box that is empty or outside the image, and for
    annotations of an image of another size."""
    if not annotation.boxes and annotation.size is None:
        return ()
    size = size_of(image)
    if annotation.size is not None and tuple(annotation.size) != size:
        named, own = (" x ".join(map(str, sizes)) for sizes in (annotation.size, size))
        raise CaseError(f"is {own} pixels, its boxes in {annotation.source} are of an image of {named}", where=image,
                        remedy="scale the boxes as the image was scaled, or give the image that was annotated")
    return tuple(_inside(box, size, annotation.source, image) for box in annotation.boxes)


def _inside(box: tuple, size: tuple[int, int], source: object, image: Path) -> tuple:
    x0, y0, x1, y1, *rest = box
    text = " ".join(f"{value:g}" for value in (x0, y0, x1, y1))
    if not (x0 < x1 and y0 < y1):  # NaN, too
        raise CaseError(f"box {text} in {source} is empty or its corners are in the wrong order", where=image,
                        remedy="give x0 y0 x1 y1 with x0 < x1 and y0 < y1")
    for low, high, length in ((x0, x1, size[0]), (y0, y1, size[1])):
        allowed = max(1.0, OUTSIDE * length)
        if low < -allowed or high > length + allowed or low >= length or high <= 0:
            raise CaseError(f"box {text} in {source} lies outside the image of {size[0]} x {size[1]} pixels",
                            where=image, remedy="mend the box, or give the image that was annotated")
    return (max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1])), *rest)


def around(xs: Iterable[float], ys: Iterable[float]) -> tuple[float, float, float, float]:
    """The box around points. Raises ValueError where there is none."""
    xs, ys = [float(x) for x in xs], [float(y) for y in ys]
    return min(xs), min(ys), max(xs), max(ys)


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


def with_subjects(cases: list[Case]) -> list[Case]:
    """Where most names are NUMBER_NUMBER, as slices of subjects are, the subject of these stands before the _; else
    that of names as known data sets build them."""
    matches = [re.fullmatch(r"(\d+)_\d+", case.id.split("/")[-1]) for case in cases]
    if 2 * sum(map(bool, matches)) <= len(cases):
        return [replace(case, subject=subject_of(case.id)) for case in cases]
    return [replace(case, subject=match and match[1]) for case, match in zip(cases, matches, strict=True)]
