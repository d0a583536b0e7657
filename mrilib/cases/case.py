"""The case, the unit of prediction, and which files belong to it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mrilib.cases.names import SUFFIXES, suffix_of
from mrilib.errors import CaseError


@dataclass(frozen=True)
class Case:
    """A 2D image, a volume, a folder with a volume for each channel, a stack of slices, or a DICOM series.

    id: path below root without suffix, '/' between parts. channels: name -> file, in order ("image" alone for
    a case of one file whose sequence is not known); the file is a folder if the channel is a stack. label: label map
    file, or the folder of its slices. class_name: category. boxes: ((x0, y0, x1, y1, class[, mark]), ...) in native
    pixels; a region with the mark `crowd` or `ignore` is neither expected nor counted as an error.
    scheme: label scheme (see labels.scheme), if the layout states it. layout: a name of LAYOUTS. file_channels: all
    channels of one source file (a 4D file, colour slices) in its order; `channels` may be a part of them. slices: the
    files, in order, of each channel (or "label") that is a stack. name: the name of the case in a pipe, if that is
    neither its one file nor the folder of its channels. fix: accept a contradictory NIfTI header (see
    images.io.files.read). part: "train", "validation" or "test" if the data set has a given split, else None. record:
    the record beside a prepared or predicted case, read once, by find; empty for other cases.
    """

    id: str
    root: Path
    channels: dict[str, Path]
    subject: str | None = None
    label: Path | None = None
    class_name: str | None = None
    boxes: tuple = field(default=())
    scheme: str | None = None
    layout: str | None = None
    file_channels: tuple[str, ...] = ()
    slices: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    name: Path | None = None
    fix: bool = False
    part: str | None = None
    record: dict = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        """One line: the id, the channels (those of one source together), the label map, subject and class."""
        sources: dict[Path, list[str]] = {}
        for name, path in self.channels.items():
            sources.setdefault(path, []).append(name)
        text = " ".join(f"{','.join(names)}={path}" for path, names in sources.items())
        text += f" ({len(self.image_files)} files)" if len(self.image_files) > len(sources) else ""
        text += f" label={self.label}" if self.label else ""
        text += f" scheme={self.scheme}" if self.label and self.scheme else ""
        text += f" subject={self.subject}" if self.subject else ""
        text += f" class={self.class_name}" if self.class_name else ""
        return f"{self.id}: {text}"

    @property
    def path(self) -> Path:
        """The name of the case in a pipe: its file, or the folder of its channels or slices."""
        first = next(iter(self.channels.values()))
        return self.name or (first if set(self.channels.values()) == {first} else first.parent)

    @property
    def image_files(self) -> list[Path]:
        """Every image file once, channel by channel, slices in order."""
        return list(dict.fromkeys(p for name, path in self.channels.items() for p in self.slices.get(name, (path,))))

    @property
    def label_files(self) -> list[Path]:
        """The files of the label map; empty if there is none."""
        return list(self.slices.get("label", () if self.label is None else (self.label,)))


class Reading(NamedTuple):
    """How the user wants cases to be read. layout: a name of LAYOUTS. channels: names for the channels of one file, or
    a choice among named channels. slices: read each slice of a stack as a case. scheme: label scheme. fix: accept NIfTI
    headers with contradictory or skewed axes. boxes_from: returns a case with other boxes, as images.boxes.FromLabels
    does; a case for which it returns None is reported and left out."""

    layout: str | None = None
    channels: tuple[str, ...] = ()
    slices: bool = False
    scheme: str | None = None
    fix: bool = False
    boxes_from: Callable[[Case], Case | None] | None = None


@dataclass(frozen=True)
class Search:
    """The search for cases in one folder. root: the folder that ids start from. fail: takes the error of a case.

    free: nothing but the folder itself determines the root; a case that is this folder is then named from its parent.
    others: the files below the folder without the suffix of an image. used: those of them that a layout has read.
    unannotated: images of a data set of boxes that no annotation is about. wrong: the errors that fail has taken.
    memo: file contents that several layouts need.
    """

    folder: Path
    root: Path
    reading: Reading
    fail: Callable[[CaseError], object]
    free: bool = False
    others: tuple[Path, ...] = ()
    used: set[Path] = field(default_factory=set)
    unannotated: set[Path] = field(default_factory=set)
    wrong: list[CaseError] = field(default_factory=list)
    memo: dict = field(default_factory=dict)

    def id_of(self, folder: Path) -> str:
        """The id of a case that is a folder."""
        return folder.absolute().relative_to(self.root.absolute()).as_posix()

    def place(self, folder: Path) -> tuple[str, Path] | None:
        """(id, root) of a case that is a folder; None if it would have no name."""
        name = self.id_of(folder)
        if name != ".":
            return name, self.root
        whole = folder.absolute()
        above = folder.parent if folder.name else whole.parent
        return (whole.name, above) if self.free and whole.name else None


def recipe_root(path: Path) -> Path | None:
    """The folder with the nearest recipe.json at or above a path, or None."""
    path = Path(path).absolute()
    return next((p for p in (path, *path.parents) if (p / "recipe.json").is_file()), None)


def of_file(path: Path, root: Path | None = None) -> Case:
    """The case of one image file, before its record is read. Raises CaseError for an unknown suffix."""
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


def by_folder(files: list[Path]) -> dict[Path, list[Path]]:
    """Files by their folder, in the order of the first file of each folder."""
    members = defaultdict(list)
    for path in files:
        members[path.parent].append(path)
    return members
