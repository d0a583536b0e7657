"""Pascal VOC: an XML for each image, as labelImg writes them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.boxes import Annotation, Images, cases_of, pictures, say_missing
from mrilib.errors import CaseError


def voc(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """Pascal VOC boxes: an XML for each image, with an object and its bndbox for each box"""
    tables = [path for path in search.others if path.suffix.lower() == ".xml"]
    if not tables or not pictures(files):
        return [], files
    images, found, failed = Images(pictures(files)), {}, set()
    missing = []
    for path in tables:
        root = _root(path)
        if root is None:
            continue
        search.used.add(path)
        name = root.findtext("filename", "")
        image = images.of_same_stem(path) or (images.named(name, path) if name.strip() else None)
        if image is None:
            missing.append(name.strip() or f"{path.stem}.png")
            continue
        try:
            if image in found:
                raise CaseError(f"has two annotation files, {found[image].source} and {path}", where=image,
                                remedy="move one away")
            found[image] = Annotation(_boxes(root, path), path, _size(root))
        except CaseError as error:
            failed.add(image)
            search.fail(error)
    say_missing(search, search.folder, missing)
    found = {image: annotation for image, annotation in found.items() if image not in failed}
    left = [path for path in files if path not in failed]
    return cases_of(search, left, found, "voc") if found else ([], left)


def _root(path: Path) -> ElementTree.Element | None:
    """The root of an XML that is an annotation of VOC; None for any other."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError):
        return None  # reported as a file that no case uses
    known = root.tag == "annotation" and (root.find("object") is not None or root.find("size") is not None)
    return root if known else None


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Width and height, where they are stated: some programs write 0 for an image they did not open."""
    try:
        width, height = (int(float(root.findtext(f"size/{name}", "0"))) for name in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width and height else None


def _boxes(root: ElementTree.Element, path: Path) -> tuple[tuple, ...]:
    """Boxes (x0, y0, x1, y1, class[, mark]), as they stand there. A difficult one is marked to be ignored."""
    boxes = []
    for number, thing in enumerate(root.iter("object"), 1):
        if thing.findtext("deleted", "0").strip() == "1":
            continue
        try:
            box = [float(thing.findtext(f"bndbox/{name}", "")) for name in ("xmin", "ymin", "xmax", "ymax")]
        except ValueError as error:
            raise CaseError("has no bndbox of four numbers", where=f"{path}, object {number}",
                            remedy="give xmin ymin xmax ymax") from error
        mark = ("ignore",) if thing.findtext("difficult", "0").strip() == "1" else ()
        boxes.append((*box, thing.findtext("name", "").strip() or None, *mark))
    return tuple(boxes)
