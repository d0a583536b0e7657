"""The names of YOLO's classes: classes.txt, *.names or data.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mrilib.cases.layouts.boxes import log, text_of
from mrilib.errors import CaseError

ABOVE = 3  # folders above the texts that may hold the names


@dataclass(frozen=True)
class Names:
    """The file that names the classes, and number -> name; None and empty where there is none."""

    source: Path | None = None
    of: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.of)

    def class_of(self, kind: str, where: str) -> str:
        """The name of a class by its number, or a class that stands there by name. Raises CaseError for a number that
        is not in the list, or is no class."""
        try:
            number = float(kind)
        except ValueError:
            return kind
        if number != number or number < 0 or number != int(number):
            raise CaseError(f"class {kind} is no whole number from 0", where=where, remedy="give `class cx cy w h`")
        if self.of and int(number) not in self.of:
            raise CaseError(f"class {int(number)} has no name in {self.source}, which names {min(self.of)} to "
                            f"{max(self.of)}", where=where, remedy="add its name there; numbers count from 0")
        return self.of.get(int(number), str(int(number)))


def names_of(folder: Path, top: Path, used: set[Path] | None = None,
             fail: Callable[[CaseError], object] | None = None) -> Names:
    """The names of the classes of a folder of texts, from the nearest file in it or above it, up to the folder `top`. A
    file that names none, or other names than the nearest one, is logged; a damaged one is an error. Without names the
    classes are numbers. used: takes the files that were read. fail: takes errors; without it they are raised."""
    listed = list(_all_names(folder, top, set() if used is None else used, fail))
    for other in (names for names in listed[1:] if names.source.parent.absolute() != top):
        first = listed[0]
        differ = [number for number, name in first.of.items() if other.of.get(number, name) != name]
        if differ:
            log.warning("%s: class %d is %s there and %s in %s, whose names are taken (make them agree, or take one "
                        "away)", other.source, differ[0], other.of[differ[0]], first.of[differ[0]], first.source)
    return listed[0] if listed else Names()


def _all_names(folder: Path, top: Path, used: set[Path], fail) -> Iterator[Names]:
    """The names in every file in a folder or above it, the nearest first."""
    for place in (folder, *list(folder.parents)[:ABOVE]):
        for path in [place / "classes.txt", *sorted(place.glob("*.names"))]:
            if path.is_file():
                used.add(path)
                if names := _in_lines(text_of(path)):
                    yield Names(path, names)
                else:
                    log.warning("%s: names no class (write a name in each line)", path)
        for path in sorted(path for path in _inside(place) if path.suffix.lower() in (".yaml", ".yml")):
            try:
                if names := _in_yaml(path):
                    used.add(path)
                    yield Names(path, names)
            except CaseError as error:
                if fail is None:
                    raise
                if path not in used:
                    used.add(path)
                    fail(error)
        if place.absolute() == top:
            return


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _in_lines(text: str) -> dict[int, str]:
    return dict(enumerate(line.strip() for line in text.strip().splitlines()))


def _in_yaml(path: Path) -> dict[int, str]:
    """The class names of a data.yaml, as a list or as number: name; empty for a YAML of another kind. Raises CaseError
    for one that is damaged."""
    import yaml

    text = text_of(path)
    if "names" not in text and "nc" not in text:
        return {}
    try:
        content = yaml.load(text, Loader=yaml.BaseLoader)  # every value is text: no class is read as a truth value
        listed = content.get("names") if isinstance(content, dict) else None
        if isinstance(listed, str):
            listed = [name for name in listed.strip("[] ").split(",") if name.strip()]
        names = {int(number): name for number, name in listed.items()} if isinstance(listed, dict) else dict(
            enumerate(listed or ()))
        if not all(isinstance(name, str) and name.strip() for name in names.values()):
            raise ValueError("not every name is a text")
    except (yaml.YAMLError, ValueError, TypeError) as error:
        what = str(error).split("\n")[0]
        raise CaseError(f"has no list of names that can be read: {what}; the classes are numbers", where=path,
                        remedy="write `names: [glioma, meningioma]`, or `0: glioma` in a line for each") from error
    count = content.get("nc") if isinstance(content, dict) else None
    count = count.strip() if isinstance(count, str) and count.strip().isdigit() else None
    if not names and count:
        names = {number: str(number) for number in range(int(count))}
    if names and count and int(count) != len(names):
        log.warning("%s: nc is %s, but %d classes have names (mend nc, or add the names)", path, count, len(names))
    return {number: name.strip() for number, name in names.items()}
