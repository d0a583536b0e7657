"""The images of a folder with the annotations that a layout of bounding boxes has found for them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.given import PARTS, part_and_rest
from mrilib.cases.layouts.boxes import Annotation, checked, log, pictures, refuse, text_of
from mrilib.cases.names import PART_WORDS, PICTURES, stem_of, subject_of, suffix_of
from mrilib.errors import CaseError

IMAGE_FOLDERS = ("", "images", "image", "JPEGImages", "imgs", "img")  # beside an annotation file, or its folder
SHOWN = 3  # first names in an error


def plain_name(text: str) -> str:
    """A file name as it can be compared: macOS writes é as two characters, other systems as one."""
    return unicodedata.normalize("NFC", text)


class Images:
    """The images of a search by path and by name."""

    def __init__(self, files: Iterable[Path]):
        self.by_path = {plain_name(os.path.abspath(path)): path for path in files}
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.by_path.values():
            self.by_name[plain_name(path.name).casefold()].append(path)
            self.by_stem[plain_name(stem_of(path)).casefold()].append(path)

    def named(self, name: str, table: Path) -> Path | None:
        """The image that an annotation file calls by a name: beside it, in a folder of images there, else the image of
        this name in the search whose folders fit best. The name may be a path of another machine, in other capitals or
        with another suffix. None for no image; raises CaseError for several that fit."""
        name = name.strip().strip("\"'")
        if "://" in name:
            name = re.split(r"[?#]", name)[0]
        plain = plain_name(PureWindowsPath(name).as_posix().removeprefix("file:"))
        for spelt in dict.fromkeys((plain, unquote(plain))):
            base = spelt.rsplit("/", 1)[-1]
            for place in (table.parent, table.parent.parent):
                for folder in IMAGE_FOLDERS:
                    for end in (spelt, base):
                        if path := self.by_path.get(plain_name(os.path.abspath(place / folder / end))):
                            return path
            same = self.by_name.get(base.casefold()) or self._of_other_suffix(base)
            if same:
                return self._best(same, spelt, table)
        return None

    def _of_other_suffix(self, base: str) -> list[Path]:
        return self.by_stem.get(stem_of(base).casefold(), [])

    def _best(self, same: list[Path], name: str, table: Path) -> Path:
        """The one of several images whose last folders are those of a name."""
        wanted = name.split("/")

        def alike(path):
            own = plain_name(path.absolute().as_posix()).split("/")
            shared = [a == b for a, b in zip(reversed(own), reversed(wanted), strict=False)]
            return shared.index(False) if False in shared else len(shared)

        most = max(map(alike, same))
        best = [path for path in same if alike(path) == most]
        if len(best) > 1:
            raise CaseError(f"names {name}, which may be any of {len(best)} images: "
                            f"{', '.join(map(str, best[:SHOWN]))}{' …' if best[SHOWN:] else ''}", where=table,
                            remedy="name it with its folder, or move the annotation file beside it")
        return best[0]

    def of_same_stem(self, source: Path) -> Path | None:
        """The image named as an annotation file is, but for the suffix."""
        same = self.by_stem.get(plain_name(source.stem).casefold(), [])
        if exact := [path for path in same if plain_name(stem_of(path)) == plain_name(source.stem)]:
            same = exact
        beside = [path for path in same if path.parent == source.parent]
        if len(beside) == 1:
            return beside[0]
        near = [path for path in same if path.parent.parent in (source.parent.parent, source.parent)]
        return near[0] if len(near) == 1 else same[0] if len(same) == 1 else None


class Annotated:
    """The annotations that one layout has found for the images of a search."""

    def __init__(self, search: Search, files: list[Path], layout: str):
        self.search, self.files, self.layout = search, files, layout
        self.images = Images(pictures(files))
        self.annotations: dict[Path, Annotation] = {}
        self.sources: dict[Path, list[Path]] = defaultdict(list)
        self.failed: set[Path] = set()

    def find(self, name: str, table: Path, missing: list[str]) -> Path | None:
        """The image of a name in an annotation file; None, and the name in `missing`, for an image that is not there,
        and None for an error."""
        try:
            image = self.images.named(name, table)
        except CaseError as error:
            refuse(self.search, error)
            return None
        if image is None:
            missing.append(name)
        return image

    def add(self, image: Path, annotation: Annotation) -> None:
        """Set the annotation of an image. Two that differ are an error of the image; a project of an annotation program
        and its exports hold the same ones."""
        self.sources[image].append(Path(str(annotation.source)))
        before = self.annotations.setdefault(image, annotation)
        if before is not annotation and (before.boxes, before.size) != (annotation.boxes, annotation.size):
            where = (f"two annotation files, {before.source} and {annotation.source}"
                     if before.source != annotation.source else f"two entries in {annotation.source}")
            self.fail(image, CaseError(f"has {where}, which differ", where=image, remedy="take one away"))

    def fail(self, image: Path, error: CaseError) -> None:
        """Leave out an image with an error."""
        if image not in self.failed:
            self.failed.add(image)
            self.search.used.add(image)
            refuse(self.search, error)

    def say_missing(self, where: Path, names: list[str]) -> None:
        """One error for the annotations whose image is not found. where: the annotation file, or the folder of
        several."""
        if names:
            first = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
            count = "1 image that is not there" if len(names) == 1 else f"{len(names)} images that are not there"
            refuse(self.search, CaseError(f"has annotations of {count}: {first}", where=where,
                                          remedy="add the images, or take their annotations away"))

    def cases(self, unannotated: Iterable[Path] = ()) -> tuple[list[Case], list[Path]]:
        """(cases, files left). An image without an annotation, in a folder with annotated images, is left out, and so
        are `unannotated`, because no file says that they have no box."""
        kept = {image: one for image, one in self.annotations.items() if image not in self.failed}
        if not kept:
            return [], [path for path in self.files if path not in self.failed]
        self.search.memo["annotated"] = True
        folders, bare, parts = {path.parent for path in kept}, set(unannotated), self._parts(kept)
        cases, taken = [], set(self.failed)
        for path in self.files:
            if path in self.failed or not (path in kept or (path.parent in folders and suffix_of(path) in PICTURES)):
                continue
            taken.add(path)
            if path not in kept or path in bare:
                self.search.unannotated.add(path)
                continue
            try:
                boxes = checked(kept[path], path)
                case = of_file(path, self.search.root)
                cases.append(replace(case, boxes=boxes, layout=self.layout, part=parts.get(path)))
            except CaseError as error:
                self.fail(path, error)
        warn_spellings(cases, self.search.folder)
        return with_subjects(cases), [path for path in self.files if path not in taken]

    def _parts(self, images: Iterable[Path]) -> dict[Path, str]:
        """The part of images that lists state, such as ImageSets/Main/train.txt, or annotation files that are for many
        images each and are named for different parts, such as `instances_train2017.json` and `instances_val2017.json`.
        Of several parts the one furthest from training."""
        files = {path for image in images for path in self.sources[image]}
        part_of = {path: part_and_rest(path.stem)[0] for path in files}
        listed = self._listed()
        if len(files) * 2 > len(self.sources) or len(set(part_of.values()) - {None}) < 2:
            part_of = {}
        parts, several = {}, []
        for image in images:
            own = {part_of.get(path) for path in self.sources[image]} | listed.get(image, set())
            own = sorted(own - {None}, key=PARTS.index)
            if own:
                parts[image] = own[-1]
            if len(own) > 1:
                several.append(image)
        if several:
            log.warning("%s: %d images are listed in several parts, such as %s; each is of the last of train, "
                        "validation, test (list it in one)", self.search.folder, len(several), several[0].name)
        return parts

    def _listed(self) -> dict[Path, set[str]]:
        """The parts of images by the texts train.txt, val.txt and test.txt, in which most lines name an image."""
        parts: dict[Path, set[str]] = defaultdict(set)
        for path in self.search.others:
            part = PART_WORDS.get(path.stem.lower())
            if part is None or path.suffix.lower() != ".txt" or path in self.search.used:
                continue
            lines = [line.strip() for line in text_of(path).splitlines() if line.strip()]
            listed = [image for line in lines if (image := self._image_of_line(line, path))]
            if 2 * len(listed) <= len(lines):
                continue
            self.search.used.add(path)
            for image in listed:
                parts[image].add(part)
            if lost := len(lines) - len(listed):
                log.warning("%s: %d of its %d lines name no image that is there (add the images, or take the lines "
                            "away)", path, lost, len(lines))
        return parts

    def _image_of_line(self, line: str, path: Path) -> Path | None:
        """The image that a line of a list names, alone or before other words."""
        for name in dict.fromkeys((line, line.split()[0])):
            try:
                if image := self.images.named(name, path):
                    return image
            except CaseError as error:
                log.warning("%s", error)
        return None


def warn_spellings(cases: Iterable[Case], where: Path) -> None:
    """Log the names of classes that differ in capitals, spaces and the like alone: they are read as classes of their
    own."""
    count = Counter(str(box[4]) for case in cases for box in case.boxes if box[4])
    spelt: dict[str, list[str]] = defaultdict(list)
    for name in count:
        spelt[re.sub(r"[\s_-]+", "", name).casefold()].append(name)
    for names in spelt.values():
        if len(names) > 1:
            listed = ", ".join(f"{name!r} of {count[name]} boxes" for name in names)
            log.warning("%s: reads %s as different classes (spell them alike if they are one)", where, listed)


def leave_unannotated(search: Search, files: list[Path]) -> list[Path]:
    """The files without the pictures that no annotation names, in a data set of annotated images, or of one whose
    annotation file cannot be used: no file says that they have no box."""
    if not search.memo.get("annotated") and not search.memo.get("refused"):
        return files
    search.unannotated.update(pictures(files))
    return [path for path in files if suffix_of(path) not in PICTURES]


def with_subjects(cases: list[Case]) -> list[Case]:
    """Where most names are NUMBER_NUMBER, as slices of subjects are, the subject of these stands before the _; else
    that of names as known data sets build them."""
    matches = [re.fullmatch(r"(\d+)_\d+", case.id.split("/")[-1]) for case in cases]
    if 2 * sum(map(bool, matches)) <= len(cases):
        return [replace(case, subject=subject_of(case.id)) for case in cases]
    return [replace(case, subject=match and match[1]) for case, match in zip(cases, matches, strict=True)]
