"""The case: what one prediction is made for, and how its files belong together."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mrilib.cases.names import SUFFIXES, suffix_of
from mrilib.errors import CaseError


@dataclass(frozen=True)
class Case:
    """A 2D image, a volume, a folder with a volume for each channel, a stack of slices, or a DICOM series.

    id: path below root without suffix, '/' between parts. channels: name -> file, in order ("image" alone for
    a case of one file whose sequence is not known); a folder where the channel is a stack. label: label map file,
    or the folder of its slices. class_name: category. boxes: ((x0, y0, x1, y1, class[, mark]), ...) in native
    pixels; the mark `crowd` or `ignore` tells a region that is neither to be found nor counted against a model.
    scheme: what the numbers of the label map mean (see labels.scheme), where the layout says so. layout: its name
    in LAYOUTS. held: the channels that one source (a 4D file, colour slices) holds together, in its order;
    `channels` may be some of them. slices: the files of a channel, or of "label", that is a stack, in order.
    name: what the case goes by in a pipe, where that is neither its one file nor the folder of its channels.
    fix: read a NIfTI header's place as well as it can be meant (see images.files.read).
    part: "train", "validation" or "test" where the data set states it (a given split), else None.
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
    held: tuple[str, ...] = ()
    slices: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    name: Path | None = None
    fix: bool = False
    part: str | None = None

    @property
    def path(self) -> Path:
        """The name the case goes by in a pipe: its file, or the folder of its channels or slices."""
        first = next(iter(self.channels.values()))
        return self.name or (first if set(self.channels.values()) == {first} else first.parent)

    @property
    def image_files(self) -> list[Path]:
        """Every file of its image once, channel by channel, slices in order."""
        return list(dict.fromkeys(p for name, path in self.channels.items() for p in self.slices.get(name, (path,))))

    @property
    def label_files(self) -> list[Path]:
        """Every file of its label map; empty when it has none."""
        return list(self.slices.get("label", () if self.label is None else (self.label,)))


@dataclass(frozen=True)
class Reading:
    """How cases are to be read, where their user says so. layout: a name of LAYOUTS. channels: their names, to name
    what one file holds or to choose among named ones. slices: take stacks slice by slice. scheme: of label maps.
    fix: read headers that place an image in two ways, or skewed, as well as they can be meant."""

    layout: str | None = None
    channels: tuple[str, ...] = ()
    slices: bool = False
    scheme: str | None = None
    fix: bool = False


@dataclass(frozen=True)
class Search:
    """One look through a folder: where ids are counted from, how to read, whom to tell what is wrong with a case.

    free: the root is the folder itself for want of another; a case that is this folder is then counted from above.
    others: the files below the folder that are no images by their suffix. used: those of them that a layout has read.
    wrong: the errors that fail has taken. memo: what layouts have read that another may need.
    """

    folder: Path
    root: Path
    reading: Reading
    fail: Callable[[CaseError], object]
    free: bool = False
    others: tuple[Path, ...] = ()
    used: set[Path] = field(default_factory=set)
    wrong: list[CaseError] = field(default_factory=list)
    memo: dict = field(default_factory=dict)

    def id_of(self, folder: Path) -> str:
        """The id of a case that is a folder, counted from the root."""
        return folder.absolute().relative_to(self.root.absolute()).as_posix()

    def place(self, folder: Path) -> tuple[str, Path] | None:
        """(id, root) of a case that is a folder; None for one that would have no name."""
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
