"""Predicted boxes as other programs write them, COCO results and YOLO texts, as tables of this suite."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mrilib.cases import stem_of, suffix_of
from mrilib.cases.layouts import yolo, yolo_names
from mrilib.cases.layouts.annotated import Images, plain_name
from mrilib.cases.layouts.boxes import log, size_of, text_of
from mrilib.cases.layouts.coco import entries_of
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation import pairing
from mrilib.evaluation.reference import Reference
from mrilib.evaluation.submissions import COLUMNS, Detections, Table, Tables
from mrilib.store import csv_text

FORM = "give a list of {image_id, category_id, bbox: [x, y, width, height], score}"


@dataclass
class Boxes:
    """Rows of predicted boxes by case, and what is wrong with the others. problems: None to raise the first."""

    problems: list[MriError] | None
    rows: dict[str, list[list]] = field(default_factory=lambda: defaultdict(list))

    def fail(self, error: UsageError) -> None:
        if self.problems is None:
            raise error
        self.problems.append(error)


def as_tables(submission: Tables, reference: Reference, problems: list[MriError] | None = None) -> Tables:
    """A submission as tables `case,x0,y0,x1,y1,class,score`; tables stay as they are.

    Neither format tells of images without a box: a case that is not named has none. problems: takes what is wrong with
    an entry, which is then left out; without it that is raised as a UsageError.
    """
    if not isinstance(submission, Detections):
        return submission
    boxes = Boxes(problems)
    if submission.texts:
        _of_texts(boxes, submission.texts, reference)
    for where, content in submission.results:
        _of_results(boxes, where, content, reference)
    empty = [case for case in reference.chosen if case not in boxes.rows]
    if empty:
        log.info("%s: has no box of %d cases: %s", submission.name, len(empty), pairing.some(empty))
    rows = [[case, *row] for case, listed in boxes.rows.items() for row in listed]
    rows += [[case, *[""] * (len(COLUMNS) - 1)] for case in empty]
    return Tables(submission.name, [Table(csv_text([list(COLUMNS), *rows]), submission.name)])


def _of_results(boxes: Boxes, where: object, content: object, reference: Reference) -> None:
    """Add the boxes of COCO results: a list, or a COCO file whose annotations have scores."""
    ids = ImageIds(reference, content if isinstance(content, dict) else None, where)
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise UsageError("is no COCO result", where=where, remedy=FORM)
    strange = []
    for place, entry in enumerate(entries):
        try:
            case = ids.case_of(entry)
            if case is None:
                strange.append(str(entry["image_id"]))
                continue
            x, y, w, h = map(float, entry["bbox"])
            score = float(entry["score"])
        except (KeyError, TypeError, ValueError) as error:
            missing = f"has no {error.args[0]}" if isinstance(error, KeyError) else "has a bbox or score that is none"
            boxes.fail(UsageError(missing, where=f"{where}, entry {place}", remedy=FORM))
            continue
        if not all(map(math.isfinite, (x, y, w, h, score))) or w <= 0 or h <= 0:
            boxes.fail(UsageError(f"has a box {x:g} {y:g} {w:g} {h:g} of score {score:g}, without an area or no number",
                                  where=f"{where}, entry {place}", remedy=FORM))
            continue
        boxes.rows[case].append([x, y, x + w, y + h, ids.class_of(entry), score])
    if strange:
        boxes.fail(UsageError(f"{len(strange)} boxes are of images that the reference does not have: "
                              f"{pairing.some(list(dict.fromkeys(strange)))}", where=where,
                              remedy="give the reference that the image_ids are of"))


class ImageIds:
    """Which case an image_id means, and which class a category_id.

    content, where: of a COCO file of predictions that lists its images itself; else the COCO files of the reference
    say so. Without any, an image_id is the id of a case, or its file name or the number in it.
    """

    def __init__(self, reference: Reference, content: dict | None, where: object):
        self.reference = reference
        images = Images(path for case in reference.cases.values() for path in case.image_files)
        case_of = {path: case.id for case in reference.cases.values() for path in case.image_files}
        self.of_number: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        chosen = set(reference.chosen)
        files = [(Path(str(where)), content)] if content is not None else _coco_files(reference)
        for path, table in files:
            names, kinds = entries_of(path, table)
            self.kinds |= kinds
            for number, name in names.items():
                image = images.named(name, path)
                case = case_of.get(image) if image else None
                before = self.of_number.get(number)
                if case and before and before != case and {case, before} <= chosen:
                    raise UsageError(f"image_id {number} is {before} in one COCO file of the reference, {case} in "
                                     "another", where=path, remedy="score one of them: --part, or its folder alone")
                if case and (before is None or case in chosen):
                    self.of_number[number] = case
        self.by_name: dict[str, str | None] = {}
        for case in reference.cases:
            last = plain_name(case.split("/")[-1])
            for name in {case, last, str(int(last)) if last.isdecimal() else last}:
                self.by_name[name] = None if name in self.by_name else case
        self.told: set[str] = {box[4] or "" for case in reference.cases.values() for box in case.boxes}

    def case_of(self, entry: dict) -> str | None:
        """The case of an entry; None for an unknown image. Raises KeyError for an entry without an image_id."""
        number = str(entry["image_id"]).strip()
        if number in self.of_number:
            return self.of_number[number]
        for name in (number, str(entry.get("file_name") or "")):
            name = plain_name(name[: len(name) - len(suffix_of(name))])
            if case := self.by_name.get(name) or self.by_name.get(stem_of(name)):
                return case
        return None

    def class_of(self, entry: dict) -> str:
        """The name of the category of an entry; empty where the reference tells no classes apart."""
        if name := entry.get("category_name"):
            return str(name) if len(self.told) > 1 else ""
        category = entry.get("category_id")
        number = "" if category is None else str(category)
        return self.kinds.get(number, number if len(self.told) > 1 else "")


def _coco_files(reference: Reference) -> list[tuple[Path, object]]:
    """The COCO files of a reference."""
    if not any(case.layout == "coco" for case in reference.cases.values()):
        return []
    tables = []
    for path in sorted(reference.path.rglob("*.json")):
        try:
            tables.append((path, json.loads(text_of(path))))
        except (ValueError, RecursionError):
            continue  # the reference was read without it
    return tables


def _of_texts(boxes: Boxes, texts: dict[str, Path], reference: Reference) -> None:
    """Add the boxes of YOLO texts, a line `class cx cy w h score` for each, in shares of the size."""
    if boxes.problems is None:
        pairs = pairing.pair(texts, reference.cases)
    else:
        pairs, left = pairing.pair_known(texts, reference.cases)
        if left:
            boxes.fail(UsageError(f"{len(left)} texts are of no case in the reference: {pairing.some(left)}"))
    folders = {path.parent for path in texts.values()}
    names = _names(reference, folders)
    told = {box[4] or "" for case in reference.cases.values() for box in case.boxes}
    without_score = 0
    for name, case_id in pairs.items():
        path, image = texts[name], reference.cases[case_id].path
        boxes.rows[case_id] = []
        try:
            width, height = size_of(image)
            for line, kind, values in yolo.lines_of(path, (4, 5)):
                where = f"{path}, line {line}"
                without_score += len(values) == 4
                x0, y0, x1, y1 = yolo.box_of(values[:4], where)
                kind = names.class_of(kind, where) if len(told) > 1 else ""
                boxes.rows[case_id].append([x0 * width, y0 * height, x1 * width, y1 * height, kind,
                                            values[4] if len(values) == 5 else 1.0])
        except CaseError as error:
            boxes.rows.pop(case_id)
            boxes.fail(error.as_kind(UsageError))
    if without_score:
        log.warning("%s: %d boxes have no score and count as equally sure (write `class cx cy w h score`: save_conf)",
                    ", ".join(map(str, sorted(folders))), without_score)


def _names(reference: Reference, folders: Iterable[Path]) -> yolo_names.Names:
    """The names of the classes: of a file beside the texts, else of the reference."""
    top = reference.path if reference.path.is_dir() else reference.path.parent
    labels = sorted({path.parent for path in top.rglob("*.txt")}) if top.is_dir() else []
    for place in (*sorted(folders), top, *labels):
        if names := yolo_names.names_of(place, top.absolute().parent):
            return names
    return yolo_names.Names()
