"""Stacks of numbered slices: a folder of pictures is one volume."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, by_folder, of_file
from mrilib.cases.given import part_and_rest
from mrilib.cases.layouts.heads import class_folders, is_class_name
from mrilib.cases.layouts.label_maps import twins_of, without_label_maps
from mrilib.cases.names import (
    COLOURS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    PICTURES,
    is_mask_folder,
    stem_of,
    subject_of,
    suffix_of,
)
from mrilib.errors import CaseError


def stacks(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """slice stacks: a folder for each subject, slices NAME_1, NAME_2, … NAME_10, mask twins beside them"""
    sure = search.reading.layout == "stacks"
    if not sure and (search.root / "recipe.json").is_file():
        return [], files  # this suite writes stacks as volumes; its numbered pictures are images
    cases, rest, used = [], [], set()
    folders = by_folder(files)
    apart = twins_of(files, search.folder)  # with those in folders of label maps
    images = set(without_label_maps(search, files, alone=True))
    no_stacks = set() if sure else class_folders(search, folders)
    for folder, members in folders.items():
        if members[0] not in images:
            rest += members
            continue
        twins = twins_of(members, search.folder)
        alone = [p for p in members if stem_of(p).lower().endswith(MASK_ENDINGS) and p not in set(twins.values())]
        numbered = _numbered([path for path in members if path not in {*twins.values(), *alone}])
        place = search.place(folder)
        if not (numbered and place and folder not in no_stacks
                and (sure or _is_stack(search, folder, numbered, twins))):
            rest += members
            continue
        try:
            if alone and not search.reading.slices:
                raise CaseError(f"mask {alone[0].name} has no slice", where=folder, remedy="add it, or remove the mask")
            twins = twins or {path: apart[path] for _, path in numbered if path in apart}
            cases += _of_stack(search, place, folder, numbered, twins)
            used.update(twins.values())
        except CaseError as error:
            search.fail(error)
    return cases, [path for path in rest if path not in used]


def _numbered(members: list[Path]) -> list[tuple[int, Path]]:
    """(number, slice) in order of the number, if a folder holds numbered pictures of one name; else nothing. A few
    files without a number are no slices."""
    slices, starts, others = [], set(), 0
    for path in members:
        match = re.fullmatch(r"(.*?)(\d+)", stem_of(path))
        if match is None or suffix_of(path) not in PICTURES:
            others += 1
            continue
        starts.add((match[1], suffix_of(path)))
        slices.append((int(match[2]), path))
    one = len(starts) == 1 and len(slices) > 1 and 2 * others < len(slices)
    return sorted(slices, key=lambda pair: pair[0]) if one else []


def _is_stack(search: Search, folder: Path, numbered: list[tuple[int, Path]], twins: dict[Path, Path]) -> bool:
    """Whether numbered pictures are slices of one volume: named for their folder, or without a gap and each with a
    mask beside it, in a folder below the one given (that alone may be a set of images with masks).
    """
    name = folder.absolute().name
    if is_class_name(name) or name in MASK_FOLDERS.values() or is_mask_folder(name) or part_and_rest(name)[2]:
        return False
    start = re.fullmatch(r"(.*?)(\d+)", stem_of(numbered[0][1]))[1].rstrip("-_. ")
    whole = numbered[-1][0] - numbered[0][0] == len(numbered) - 1
    return start == name or (folder != search.folder and whole and len(twins) == len(numbered) > 2)


def _of_stack(search: Search, place: tuple[str, Path], folder: Path, numbered, twins: dict[Path, Path]) -> list[Case]:
    """The case of a folder of slices, or with Reading.slices one case per slice. Raises CaseError for gaps."""
    numbers, slices = zip(*numbered, strict=True)
    name, root = place
    subject = subject_of(name) or name
    file_channels = _colours(slices[0])
    names = file_channels or ("image",)
    if search.reading.slices:
        return [replace(of_file(path, root), channels=dict.fromkeys(names, path), file_channels=file_channels,
                        label=twins.get(path), subject=subject, layout="stacks") for path in slices]
    if twice := [n for n in numbers if numbers.count(n) > 1]:
        raise CaseError(f"has two slices of number {twice[0]}", where=folder, remedy="keep one of them")
    if gaps := sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)):
        raise CaseError(f"slice {gaps[0]} is missing between {numbers[0]} and {numbers[-1]}"
                        + (f", and {len(gaps) - 1} more" if gaps[1:] else ""), where=folder,
                        remedy="add it, or read the slices one by one with --as slices")
    bare = [path for path in slices if path not in twins]
    if twins and bare:
        raise CaseError(f"has {len(twins)} masks for {len(slices)} slices; {bare[0].name} has none", where=folder,
                        remedy="add an empty mask, or read the slices one by one with --as slices")
    label, parts = None, dict.fromkeys(names, slices)
    if twins:
        parts["label"] = tuple(twins[path] for path in slices)
        label = parts["label"][0].parent
    return [Case(name, root, dict.fromkeys(names, folder), subject=subject, label=label, layout="stacks",
                 file_channels=file_channels, slices=parts)]


def _colours(path: Path) -> tuple[str, ...]:
    """The channels of a stack by its first slice: red, green, blue if it is stored in colour, else none.

    The first slice decides, even if its three colours are equal.
    """
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    try:
        with Picture.open(path) as picture:
            return COLOURS if len(picture.getbands()) >= 3 or picture.mode == "P" else ()
    except (OSError, UnidentifiedImageError) as error:
        raise CaseError(f"is not an image of any known kind: {error}", where=path,
                        remedy="check what it holds") from error
