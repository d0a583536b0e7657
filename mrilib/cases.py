"""Cases: what one prediction is made for, and how they are found in a folder."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrilib.errors import CaseError, UsageError
from mrilib.records import read_json, record_path

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")
VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".dcm")
SUFFIXES = VOLUMES + PICTURES
CHANNELS = {  # any year's and data set's spelling -> our name
    "t1": "t1", "t1n": "t1", "t1w": "t1", "t1ce": "t1ce", "t1c": "t1ce", "t1gd": "t1ce",
    "t2": "t2", "t2w": "t2", "flair": "flair", "t2f": "flair",
}  # fmt: skip
CLASS_WORDS = {
    "yes", "no", "tumor", "tumour", "notumor", "notumour", "no_tumor", "no_tumour", "no-tumor", "no-tumour",
    "healthy", "normal", "glioma", "meningioma", "pituitary", "glioma_tumor", "meningioma_tumor", "pituitary_tumor",
    "benign", "malignant", "positive", "negative", "0", "1",
}  # fmt: skip
MASK_ENDINGS = ("_mask", "-mask", "_seg", "-seg")
MASK_FOLDERS = {"masks": "images", "labels": "images", "labelsTr": "imagesTr"}
LAYOUTS = {
    "csv": "a CSV with a column `file`, and class, subject, label, x0 y0 x1 y1 as it has them",
    "classes": "a folder for each class",
    "brats": "a folder for each case, a volume for each channel",
    "masks": "images with mask twins: x.png + x_mask.png, or images/ + masks/",
    "plain": "a folder of images",
}


@dataclass(frozen=True)
class Case:
    """A 2D image, a volume, or a folder with a volume for each channel.

    id: path below root without suffix, '/' between parts. channels: name -> file, in order ("image" alone for
    a case of one file whose sequence is not known). label: label map file. class_name: category.
    boxes: ((x0, y0, x1, y1, class), ...) in native pixels. scheme: what the numbers of the label map mean (see
    labels.scheme), where the layout says so.
    """

    id: str
    root: Path
    channels: dict[str, Path]
    subject: str | None = None
    label: Path | None = None
    class_name: str | None = None
    boxes: tuple = field(default=())
    scheme: str | None = None

    @property
    def path(self) -> Path:
        """The name the case goes by in a pipe: its file, or the folder of its channels."""
        first = next(iter(self.channels.values()))
        return first if len(self.channels) == 1 else first.parent


def suffix_of(path: Path) -> str:
    """The suffix of an image file in lower case, `.nii.gz` whole; empty when it is none of ours."""
    name = os.path.basename(path).lower()
    return next((s for s in SUFFIXES if name.endswith(s) and len(name) > len(s)), "")


def stem_of(path: Path) -> str:
    """The file name without its image suffix."""
    name = os.path.basename(path)
    return name[: len(name) - len(suffix_of(name))]


def recipe_root(path: Path) -> Path | None:
    """The folder with the nearest recipe.json at or above a path, or None."""
    path = Path(path).absolute()
    return next((p for p in (path, *path.parents) if (p / "recipe.json").is_file()), None)


def find(paths: Iterable[Path], layout: str | None = None, root: Path | None = None,
         on_error: Callable[[CaseError], None] | None = None) -> Iterator[Case]:
    """The cases below each path, which may be a folder, a file or a CSV of cases, each folder in sorted order.

    layout: a name of LAYOUTS, or None to see by itself. root: what ids are counted from; else the folder of the
    nearest recipe.json, else the folder given, else (a file) the current one when relative and below that, else
    its own. on_error takes what is wrong with one name while the others go on; without it that is raised.
    Raises UsageError for a folder in which no case is found or a table that cannot be right.
    """
    def fail(error):
        if on_error is None:
            raise error
        on_error(error)

    raw: list[Case] = []
    for path in map(Path, paths):
        try:
            if path.is_dir():
                raw += _in_folder(path, layout, root, fail)
            elif not path.exists():
                what = "is a dangling link" if path.is_symlink() else "no such file or folder"
                raise CaseError(what, where=path, remedy="check the name")
            elif path.suffix.lower() == ".csv":
                raw += _in_csv(path, root or recipe_root(path) or path.parent)
            else:
                raw.append(of_file(path, root))
        except CaseError as error:
            fail(error)
    by_root = defaultdict(list)
    for case in raw:
        by_root[case.root].append(case)
    for members in by_root.values():
        yield from unite(members, layout, fail)


def of_file(path: Path, root: Path | None = None) -> Case:
    """The case that one image file is, before its record is looked at. Raises CaseError for a foreign suffix."""
    path = Path(path)
    if not suffix_of(path):
        raise CaseError("is not an image by its suffix", where=path, remedy=f"known: {' '.join(SUFFIXES)}")
    outside = path.is_absolute() or ".." in path.parts
    root = root or recipe_root(path.parent) or (path.parent if outside else Path())
    whole, base = os.path.abspath(path), os.path.join(os.path.abspath(root), "")  # no id may climb out by ..
    if not whole.startswith(base):
        raise CaseError(f"does not lie below the root {root}", where=path, remedy="choose another --root")
    below = whole[len(base) :].replace(os.sep, "/")
    return Case(below[: len(below) - len(suffix_of(below))], Path(root), {"image": path})


def unite(cases: list[Case], layout: str | None, fail: Callable[[CaseError], None]) -> list[Case]:
    """Cases of one root as they are meant: collisions named apart, records read, classes given."""
    cases = list({case.path: case for case in cases}.values())  # a file named twice is one case
    for _ in range(2):  # twice: what Y92.jpg is called now, Y92.jpg.png may have been called before
        taken = Counter(case.id for case in cases)
        cases = [replace(c, id=_with_suffix(c)) if taken[c.id] > 1 else c for c in cases]
    known = []
    for case in cases:
        try:
            known.append(_with_record(case))
        except CaseError as error:
            fail(error)
    return _with_classes(known, sure=layout == "classes") if layout in (None, "classes") else known


def _with_suffix(case: Case) -> str:
    name = case.path.name
    return case.id if case.id.split("/")[-1] == name else f"{case.id}{name[len(stem_of(name)):]}"


def _in_folder(folder: Path, layout: str | None, root: Path | None, fail) -> list[Case]:
    root = root or recipe_root(folder) or folder
    table = folder / "cases.csv"
    if layout == "csv" or (layout is None and table.is_file()):
        if not table.is_file():
            raise UsageError("has no cases.csv", where=folder, remedy="name the CSV itself")
        return _in_csv(table, root)
    files = sorted(_image_files(folder, fail), key=lambda p: p.relative_to(folder).parts)
    cases, rest = _channel_folders(files, root) if layout in (None, "brats") else ([], files)
    images, labels = _mask_twins(rest) if layout in (None, "masks") else (rest, {})
    cases += [replace(of_file(path, root), label=labels.get(path)) for path in images]
    if not cases:
        looked = "; ".join(f"{name}: {text}" for name, text in LAYOUTS.items())
        raise UsageError("holds no case", where=folder, remedy=f"looked for {looked}")
    return sorted(cases, key=lambda case: case.id.split("/"))


def _image_files(folder: Path, fail) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        fail(CaseError(f"cannot be opened: {error.strerror}", where=folder, remedy="check its permissions"))
        return
    for path in inside:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _image_files(path, fail)
        elif suffix_of(path):
            yield path


def channel_of(path: Path) -> str | None:
    """Which MRI sequence a file name speaks of (`p07-t1c.nii.gz` -> t1ce), `label` for a label map, else None."""
    stem = stem_of(path).lower()
    last = re.split(r"[-_.]", stem)[-1]
    if last in ("seg", "label"):
        return "label"
    return CHANNELS.get(last)


def _channel_folders(files: list[Path], root: Path) -> tuple[list[Case], list[Path]]:
    """Folders in which at least two volumes are different channels are one case each; the files left over."""
    by_folder = defaultdict(list)
    for path in files:
        by_folder[path.parent].append(path)
    cases, rest = [], []
    for folder, members in by_folder.items():
        named = [(channel_of(p), p) for p in members if suffix_of(p) in VOLUMES]
        counts = Counter(name for name, _ in named if name)
        channels = {name: p for name, p in named if name and name != "label"}
        if len(channels) < 2 or any(n > 1 for n in counts.values()) or folder == Path(root):
            rest += members
            continue
        order = [c for c in ("t1", "t1ce", "t2", "flair") if c in channels]
        below = folder.absolute().relative_to(Path(root).absolute()).as_posix()
        label = next((p for name, p in named if name == "label"), None)
        cases.append(Case(below, Path(root), {c: channels[c] for c in order}, subject=subject_of(below), label=label))
    return cases, rest


def subject_of(case_id: str) -> str | None:
    """The person, from a BraTS id (`BraTS-GLI-00005-100`: the last number is the visit); None for other ids."""
    match = re.fullmatch(r"(?:.*/)?(BraTS-[A-Za-z]+-\d+)-\d+", case_id)
    return match.group(1) if match else None


def _mask_twins(files: list[Path]) -> tuple[list[Path], dict[Path, Path]]:
    """Images and the label map of each, from `x_mask.png` beside `x.png` or masks/x.png beside images/x.png."""
    known = {(p.parent, stem_of(p)): p for p in files}
    labels: dict[Path, Path] = {}
    for path in files:
        stem = stem_of(path)
        twin = None
        for ending in MASK_ENDINGS:
            if stem.lower().endswith(ending):
                twin = known.get((path.parent, stem[: -len(ending)]))
        for masks, images in MASK_FOLDERS.items():
            if path.parent.name == masks:
                twin = twin or known.get((path.parent.parent / images, stem))
        if twin is not None:
            labels[twin] = path
    masks = set(labels.values())
    return [p for p in files if p not in masks], labels


def _with_record(case: Case) -> Case:
    """What the record beside a prepared case says of its subject, class and boxes; other cases as they are."""
    if not (Path(case.root) / "recipe.json").is_file():
        return case
    path = record_path(case.root, case.id)
    if not path.is_file():
        return case
    known = read_json(path).get("case", {})
    label = known.get("label")
    return replace(
        case,
        subject=case.subject or known.get("subject"),
        class_name=known.get("class"),
        label=Path(case.root) / label if label else case.label,
        boxes=tuple(tuple(box) for box in known.get("boxes", ())),
    )


def _with_classes(cases: list[Case], sure: bool) -> list[Case]:
    """Class folders: known words anywhere in the path, or 2 to 10 first folders that hold 3 images or more each."""
    if any(c.class_name is not None or c.label is not None or len(c.channels) > 1 for c in cases):
        return cases

    def word(case):
        return next((p for p in reversed(case.id.split("/")[:-1]) if p.lower() in CLASS_WORDS), None)

    words = [word(case) for case in cases]
    if not all(words):
        tops = Counter(case.id.split("/")[0] for case in cases if "/" in case.id)
        enough = 2 <= len(tops) <= 10 and min(tops.values()) >= 3
        if sum(tops.values()) != len(cases) or not (sure or enough):
            if sure:
                raise UsageError("not every case lies in a class folder", remedy="use a CSV with a column class")
            return [replace(c, class_name=w) for c, w in zip(cases, words, strict=True)] if any(words) else cases
        words = [case.id.split("/")[0] for case in cases]
    return [replace(case, class_name=w) for case, w in zip(cases, words, strict=True)]


def _in_csv(table: Path, root: Path) -> list[Case]:
    """Cases of a CSV: several rows of one file are its boxes."""
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "file" not in (reader.fieldnames or ()):
            raise UsageError(f"has no column file (columns: {' '.join(reader.fieldnames or ())})", where=table)
        rows = list(reader)
    found: dict[Path, Case] = {}
    base = os.path.join(os.path.abspath(root), "")
    for line, row in enumerate(rows, 2):
        if not row["file"]:
            raise CaseError("names no file", where=f"{table}, line {line}")
        path = table.parent / row["file"]
        case = found.get(path)
        if case is None:
            try:
                case = of_file(path, root if os.path.abspath(path).startswith(base) else table.parent)
            except CaseError as error:
                raise UsageError(error.what, where=f"{table}, line {line}: {row['file']}") from error
            label = row.get("label") or None
            case = replace(case, subject=row.get("subject") or None, class_name=row.get("class") or None,
                           label=table.parent / label if label else None)
        if row.get("x0"):
            try:
                box = tuple(float(row[k]) for k in ("x0", "y0", "x1", "y1")) + (row.get("class") or None,)
            except (KeyError, ValueError, TypeError) as error:
                raise UsageError("a box needs numbers x0 y0 x1 y1", where=f"{table}, line {line}") from error
            case = replace(case, boxes=(*case.boxes, box))
        found[path] = case
    if not found:
        raise UsageError("names no case", where=table)
    return sorted(found.values(), key=lambda case: case.id.split("/"))
