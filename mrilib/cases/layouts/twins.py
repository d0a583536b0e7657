"""Images with mask twins beside them, and stacks of numbered slices."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.given import part_and_rest
from mrilib.cases.layouts.folders import by_folder
from mrilib.cases.layouts.heads import class_folders, is_class_name
from mrilib.cases.names import (
    COLOURS,
    IMAGE_WORDS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    MASK_WORDS,
    PICTURES,
    bare_stem,
    is_mask_file,
    is_mask_folder,
    stem_of,
    subject_of,
    suffix_of,
)
from mrilib.errors import CaseError

Named = tuple[dict[str, Path], dict[str, Path]]  # images by stem, and by bare stem


def masks(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """images with mask twins: x.png + x_mask.png, or images/ + masks/"""
    twins = twins_of(files, search.folder)
    used = {*twins, *twins.values()}
    sets = {path.parent for path in twins}  # an image without a mask among such ones is one of them
    cases = [replace(case := of_file(path, search.root), label=twins.get(path), subject=subject_of(case.id),
                     layout="masks")
             for path in files if path in twins or (path.parent in sets and path not in used)]
    taken = {case.path for case in cases} | used
    return cases, [path for path in files if path not in taken]


def twins_of(files: list[Path], top: Path) -> dict[Path, Path]:
    """Image -> its label map: `x_mask.png` beside `x.png`; or a file of its name, or of its number, in a folder of
    label maps (masks, labelsTr, train_masks, Ground Truth) beside its folder or in it, and as deep below both.

    top: the folder that was given; what the folders above it are called says nothing.
    """
    known = {(p.parent, stem_of(p)): p for p in files}
    masks = {path: place for path in files if (place := _mask_folder(path, top)) is not None}
    beside = _by_place([path for path in files if path not in masks], masks)
    labels: dict[Path, Path] = {}
    for path in files:
        stem = stem_of(path)
        short = next((stem[: -len(end)] for end in MASK_ENDINGS if stem.lower().endswith(end)), None)
        twin = known.get((path.parent, short))
        if twin in masks:
            twin = None  # masks/x_seg.png and masks/x.png are two label maps
        if path in masks:
            twin = _image_of(path, short, beside.get(_place(path, masks[path]), {}), masks[path])
        if twin is not None:
            labels.setdefault(twin, path)
    labels.update(_named_alike([path for path in files if path not in {*labels, *labels.values(), *masks}]))
    return labels


def _named_alike(files: list[Path]) -> dict[Path, Path]:
    """Image -> its label map in one folder, where their names differ in words for images and label maps alone, and no
    other file has that name: `Pre_Scan_T1` and `Pre_Mask`, `img_7` and `mask_7`."""
    named: dict[tuple[Path, str], tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for path in files:
        named[path.parent, bare_stem(path)][is_mask_file(path)].append(path)
    return {images[0]: masks[0] for images, masks in named.values() if len(images) == len(masks) == 1}


def _mask_folder(path: Path, top: Path) -> int | None:
    """The position, from the end, of a folder of label maps among the folders between `top` and a path."""
    names = path.relative_to(top).parts[:-1] if path.is_relative_to(top) else path.parts[:-1]
    return next((i - len(names) for i in reversed(range(len(names))) if is_mask_folder(names[i])), None)


def _place(path: Path, place: int) -> tuple[str, str]:
    """The parent of a folder of label maps, and the path of a file inside that folder, in lower case."""
    parts = [part.lower() for part in path.parent.parts]
    return "/".join(parts[:place]), "/".join(parts[len(parts) + place + 1 :])


def _by_place(images: list[Path], masks: dict[Path, int]) -> dict[tuple[str, str], dict[str, Named]]:
    """Place of a folder of label maps -> folder beside it (its name), or around it ("") -> images as deep below it."""
    wanted = {_place(path, place) for path, place in masks.items()}
    depths = {len(rest.split("/")) if rest else 0 for _, rest in wanted}
    found: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in images if wanted else ():
        parts = [part.lower() for part in path.parent.parts]
        for depth in depths:
            cut = len(parts) - depth
            if cut < 0:
                continue
            rest = "/".join(parts[cut:])
            if cut and (key := ("/".join(parts[: cut - 1]), rest)) in wanted:
                found[key][path.parent.parts[cut - 1]].append(path)
            if (key := ("/".join(parts[:cut]), rest)) in wanted:
                found[key][""].append(path)
    return {place: {name: _named(members) for name, members in folders.items()} for place, folders in found.items()}


def _named(images: list[Path]) -> Named:
    """Images by their stems, and by what is left of these without words for images where that is one image alone."""
    counts = Counter(map(bare_stem, images))
    bare = {bare_stem(path): path for path in images if counts[bare_stem(path)] == 1 and bare_stem(path)}
    return {stem_of(path): path for path in images}, bare


def _image_of(mask: Path, short: str | None, folders: dict[str, Named], place: int) -> Path | None:
    """The image of a label map among those of the folders beside its own; None where none or several may be meant."""
    own = mask.parent.parts[place]
    usual = {masks.lower(): images.lower() for masks, images in MASK_FOLDERS.items()}.get(own.lower())
    words = {word for word in re.split(r"[-_. ]+", own.lower()) if word not in MASK_WORDS}

    def distance(name):  # train_masks belongs to train or train_images
        others = {word for word in re.split(r"[-_. ]+", name.lower()) if word not in IMAGE_WORDS}
        return (name.lower() != usual, others != words, name != "")

    nearest = sorted(folders, key=distance)
    found = (folders[name][0].get(stem) for stem in (stem_of(mask), short) for name in nearest)
    found = [*found, *(folders[name][1].get(bare_stem(mask)) for name in nearest)]
    return next((image for image in found if image is not None), None)


def without_label_maps(search: Search, files: list[Path], alone: bool) -> list[Path]:
    """Leave out the files in folders of label maps, which are never images. alone: if there is no case and no other
    file, the folder is a reference of label maps, and all files are returned."""
    images = [path for path in files if _mask_folder(path, search.folder) is None]
    return images if images or not alone else files


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
    found, starts, others = [], set(), 0
    for path in members:
        match = re.fullmatch(r"(.*?)(\d+)", stem_of(path))
        if match is None or suffix_of(path) not in PICTURES:
            others += 1
            continue
        starts.add((match[1], suffix_of(path)))
        found.append((int(match[2]), path))
    one = len(starts) == 1 and len(found) > 1 and 2 * others < len(found)
    return sorted(found, key=lambda pair: pair[0]) if one else []


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
    names, label = held or ("image",), None
    parts = dict.fromkeys(names, slices)
    if twins:
        parts["label"] = tuple(twins[path] for path in slices)
        label = parts["label"][0].parent
    return [Case(name, root, dict.fromkeys(names, folder), subject=subject, label=label, layout="stacks", held=held,
                 slices=parts)]


def _held(path: Path) -> tuple[str, ...]:
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
