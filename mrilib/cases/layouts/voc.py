"""Pascal VOC: an XML for each image, as labelImg writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mrilib.cases.case import Case, Search
from mrilib.cases.layouts.annotated import Annotated
from mrilib.cases.layouts.boxes import Annotation, pictures, size_stated, text_of
from mrilib.errors import CaseError

if TYPE_CHECKING:
    from xml.etree import ElementTree

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def voc(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """Pascal VOC boxes: an XML for each image, with an object and its bndbox for each box"""
    tables = [path for path in search.others if path.suffix.lower() == ".xml"]
    if not tables or not pictures(files):
        return [], files
    annotated = Annotated(search, files, "voc")
    missing: list[str] = []
    for path in tables:
        image = annotated.images.of_same_stem(path)
        try:
            root = _root(path, named=image is not None)
        except CaseError as error:
            search.used.add(path)
            annotated.fail(image, error) if image else search.fail(error)
            continue
        if root is None:
            continue
        search.used.add(path)
        name = root.findtext("filename", "").strip()
        if image is None:
            image = annotated.find(name or f"{path.stem}.png", path, missing)
        if image is None:
            continue
        try:
            annotated.add(image, Annotation(_boxes(root, path), path, _size(root, path)))
        except CaseError as error:
            annotated.fail(image, error)
    annotated.say_missing(search.folder, missing)
    return annotated.cases()


def _root(path: Path, named: bool) -> ElementTree.Element | None:
    """The root of an XML that is an annotation of VOC; None for any other. named: an image has its name. Raises
    CaseError for a damaged annotation."""
    from xml.etree import ElementTree

    try:
        data = path.read_bytes()
        root = ElementTree.fromstring(data)
    except OSError as error:
        raise CaseError(f"cannot be read: {error.strerror}", where=path, remedy="check its permissions") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        try:
            root = ElementTree.fromstring(text_of(path))  # a byte order mark, or an encoding that is not the stated one
        except (ElementTree.ParseError, LookupError, ValueError):
            if not named and b"<annotation" not in data:
                return None  # reported as a file that no case uses
            what = f"is no XML that can be read: {error}" if data.strip() else "is an empty annotation file"
            raise CaseError(what, where=path, remedy="export it again, or take it away") from error
    is_voc = root.tag == "annotation" and any(root.find(key) is not None for key in ("object", "size", "filename"))
    return root if is_voc else None


def _size(root: ElementTree.Element, path: Path) -> tuple[int, int] | None:
    width, height = (root.findtext(f"size/{name}", "0").strip() for name in ("width", "height"))
    return None if "0" in (width, height) else size_stated(width, height, path)


def _boxes(root: ElementTree.Element, path: Path) -> tuple[tuple, ...]:
    """Boxes (x0, y0, x1, y1, class[, mark]), as they stand there. A difficult one is marked to be ignored."""
    boxes = []
    for number, thing in enumerate(root.iter("object"), 1):
        if thing.findtext("deleted", "0").strip() == "1":
            continue
        texts = {name: thing.findtext(f"bndbox/{name}", "").strip() for name in CORNERS}
        try:
            box = [float(text) for text in texts.values()]
        except ValueError as error:
            wrong = next(f"{name} {text!r}" if text else f"no {name}"
                         for name, text in texts.items() if not _is_number(text))
            raise CaseError(f"has no bndbox of four numbers: {wrong}", where=f"{path}, object {number}",
                            remedy=f"give {' '.join(CORNERS)}") from error
        mark = ("ignore",) if thing.findtext("difficult", "0").strip() == "1" else ()
        boxes.append((*box, thing.findtext("name", "").strip() or None, *mark))
    return tuple(boxes)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
