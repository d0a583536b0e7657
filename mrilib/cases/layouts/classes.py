"""Class folders: which folder around an image is its class."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.given import without_parts
from mrilib.cases.names import CLASS_WORDS, is_mask_folder
from mrilib.errors import UsageError

MOST, LEAST = 10, 3  # number of classes, and of images in each, if only the folders suggest classes


def classes(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """a folder for each class"""
    if search.reading.layout != "classes":
        return [], files  # detected later, when all cases are known
    masks = [path for path in files if any(map(is_mask_folder, path.relative_to(search.folder).parts[:-1]))]
    masks = masks if len(masks) < len(files) else []
    images = [path for path in files if path not in set(masks)]
    return [replace(of_file(path, search.root), layout="classes") for path in images], masks


def with_classes(cases: list[Case], folders: dict, sure: bool) -> list[Case]:
    """Set the class of each case by class folders: known words anywhere in the path, or 2 to 10 folders of one level
    with at least 3 images each. folders: the part folders of a given split, which are never classes.

    Raises UsageError if sure is true and a case lies in no class folder.
    """
    def other(case):  # in plain files, only the user names several channels
        return len(case.channels) > 1 and case.layout not in ("plain", "classes")

    if any(c.class_name is not None or c.label is not None or other(c) for c in cases):
        return cases
    ways = [without_parts(case.id, folders) for case in cases]
    with_folders = {case.part for case, way in zip(cases, ways, strict=True) if way}
    if any(case.part not in with_folders for case in cases) and with_folders:  # test/x.png beside train/CLASS/x.png
        classed = iter(with_classes([case for case in cases if case.part in with_folders], folders, sure))
        return [next(classed) if case.part in with_folders else case for case in cases]
    words = [next((name for name in reversed(way) if name.lower().replace(" ", "_") in CLASS_WORDS), None)
             for way in ways]
    if not all(words):
        ways = _at_one_level(ways)
        tops = Counter(way[0] for way in ways if way)
        enough = 2 <= len(tops) <= MOST and min(tops.values()) >= LEAST
        if sum(tops.values()) != len(cases) or not (sure or enough):
            if sure:
                raise UsageError("not every case lies in a class folder", remedy="use a CSV with a column class")
            words = words if any(words) else [None] * len(cases)
            return [_of_class(c, w) if w else c for c, w in zip(cases, words, strict=True)]
        words = [way[0] for way in ways]
    return [_of_class(case, w) for case, w in zip(cases, words, strict=True)]


def _at_one_level(ways: list[list[str]]) -> list[list[str]]:
    """Remove the folders above the class folders: a folder that all cases share, and a folder that contains folders of
    the same names as its siblings (a data set with a copy of itself inside)."""
    while all(ways):
        tops = {way[0] for way in ways}
        below = {top: {way[1] if way[1:] else None for way in ways if way[0] == top} for top in tops}
        above = {top for top in tops if None not in below[top] and (len(tops) == 1 or below[top] <= tops - {top})}
        if not above:
            break
        ways = [way[1:] if way[0] in above else way for way in ways]
    return ways


def _of_class(case: Case, name: str) -> Case:
    return replace(case, class_name=name, layout=case.layout if case.layout == "prepared" else "classes")
