"""Images with mask twins beside them, and stacks of numbered slices."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.layouts.folders import by_folder
from mrilib.cases.names import (
    CLASS_WORDS,
    COLOURS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    PICTURES,
    stem_of,
    subject_of,
    suffix_of,
)
from mrilib.errors import CaseError


def masks(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """images with mask twins: x.png + x_mask.png, or images/ + masks/"""
    twins = twins_of(files)
    used = {*twins, *twins.values()}
    sets = {path.parent for path in twins}  # an image without a mask among such ones is one of them
    cases = [replace(case := of_file(path, search.root), label=twins.get(path), subject=subject_of(case.id),
                     layout="masks")
             for path in files if path in twins or (path.parent in sets and path not in used)]
    taken = {case.path for case in cases} | used
    return cases, [path for path in files if path not in taken]


def twins_of(files: list[Path]) -> dict[Path, Path]:
    """Image -> its label map: `x_mask.png` beside `x.png`, masks/x.png or masks/x_mask.png beside images/x.png, and
    as deep below both folders, in capitals or not."""
    known = {(p.parent, stem_of(p)): p for p in files}
    below = {(str(folder).lower(), stem): path for (folder, stem), path in known.items()}
    images_of = {masks.lower(): images.lower() for masks, images in MASK_FOLDERS.items()}
    labels: dict[Path, Path] = {}
    for path in files:
        stem = stem_of(path)
        short = next((stem[: -len(end)] for end in MASK_ENDINGS if stem.lower().endswith(end)), None)
        twin = known.get((path.parent, short))
        parts = Path(str(path.parent).lower()).parts
        for i, part in enumerate(parts):
            if images := images_of.get(part):
                beside = str(Path(*parts[:i], images, *parts[i + 1 :]))
                twin = twin or below.get((beside, stem)) or below.get((beside, short))
        if twin is not None:
            labels[twin] = path
    return labels


def stacks(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """slice stacks: a folder for each subject, slices NAME_1, NAME_2, … NAME_10, mask twins beside them"""
    sure = search.reading.layout == "stacks"
    if not sure and (search.root / "recipe.json").is_file():
        return [], files  # this suite writes stacks as volumes; its numbered pictures are images
    cases, rest = [], []
    for folder, members in by_folder(files).items():
        twins = twins_of(members)
        alone = [p for p in members if stem_of(p).lower().endswith(MASK_ENDINGS) and p not in set(twins.values())]
        numbered = _numbered([path for path in members if path not in {*twins.values(), *alone}])
        place = search.place(folder)
        if not (numbered and place and (sure or _is_stack(search, folder, numbered, twins))):
            rest += members
            continue
        try:
            if alone and not search.reading.slices:
                raise CaseError(f"mask {alone[0].name} has no slice", where=folder, remedy="add it, or remove the mask")
            cases += _of_stack(search, place, folder, numbered, twins)
        except CaseError as error:
            search.fail(error)
    return cases, rest


def _numbered(members: list[Path]) -> list[tuple[int, Path]]:
    """(number, slice) in order of the number when a folder holds pictures of one name with numbers, else nothing."""
    found, starts = [], set()
    for path in members:
        match = re.fullmatch(r"(.*?)(\d+)", stem_of(path))
        if match is None or suffix_of(path) not in PICTURES:
            return []
        starts.add((match[1], suffix_of(path)))
        found.append((int(match[2]), path))
    return sorted(found, key=lambda pair: pair[0]) if len(starts) == 1 and len(found) > 1 else []


def _is_stack(search: Search, folder: Path, numbered: list[tuple[int, Path]], twins: dict[Path, Path]) -> bool:
    """Whether numbered pictures are slices of one volume: named for their folder, or without a gap and each with a
    mask beside it, in a folder below the one given (that alone may be a set of images with masks).
    """
    name = folder.absolute().name
    if name.lower() in CLASS_WORDS or name in {*MASK_FOLDERS, *MASK_FOLDERS.values()}:
        return False
    start = re.fullmatch(r"(.*?)(\d+)", stem_of(numbered[0][1]))[1].rstrip("-_. ")
    whole = numbered[-1][0] - numbered[0][0] == len(numbered) - 1
    return start == name or (folder != search.folder and whole and len(twins) == len(numbered) > 2)


def _of_stack(search: Search, place: tuple[str, Path], folder: Path, numbered, twins: dict[Path, Path]) -> list[Case]:
    """The case that a folder of slices is, or with Reading.slices each of them. Raises CaseError for gaps."""
    numbers, slices = zip(*numbered, strict=True)
    name, root = place
    subject = subject_of(name) or name
    held = _held(slices[0])
    if search.reading.slices:
        return [replace(of_file(path, root), channels=dict.fromkeys(held or ("image",), path), held=held,
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
    names = held or ("image",)
    parts = dict.fromkeys(names, slices)
    if twins:
        parts["label"] = tuple(twins[path] for path in slices)
    return [Case(name, root, dict.fromkeys(names, folder), subject=subject, label=folder if twins else None,
                 layout="stacks", held=held, slices=parts)]


def _held(path: Path) -> tuple[str, ...]:
    """The channels of a stack by its first slice: red, green, blue when it is stored in colour, else none.

    Colours that happen to be equal in one slice are three channels all the same: other slices decide nothing.
    """
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    try:
        with Picture.open(path) as picture:
            return COLOURS if len(picture.getbands()) >= 3 or picture.mode == "P" else ()
    except (OSError, UnidentifiedImageError) as error:
        raise CaseError(f"is not an image of any known kind: {error}", where=path,
                        remedy="check what it holds") from error
