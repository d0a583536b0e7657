"""Which files of a folder are the label maps of which images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from mrilib.cases.case import Search
from mrilib.cases.names import (
    IMAGE_WORDS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    MASK_WORDS,
    bare_stem,
    is_mask_file,
    is_mask_folder,
    stem_of,
)

Named = tuple[dict[str, Path], dict[str, Path]]  # images by stem, and by bare stem


def twins_of(files: list[Path], top: Path) -> dict[Path, Path]:
    """Image -> its label map: `x_mask.png` beside `x.png`; or a file of its name, or of its number, in a folder of
    label maps (masks, labelsTr, train_masks, Ground Truth) beside its folder or in it, and as deep below both.

    top: the folder that was given; what the folders above it are called says nothing.
    """
    path_of = {(p.parent, stem_of(p)): p for p in files}
    masks = {path: place for path in files if (place := _mask_folder(path, top)) is not None}
    beside = _by_place([path for path in files if path not in masks], masks)
    labels: dict[Path, Path] = {}
    for path in files:
        stem = stem_of(path)
        short = next((stem[: -len(end)] for end in MASK_ENDINGS if stem.lower().endswith(end)), None)
        twin = path_of.get((path.parent, short))
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
    images_at: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in images if wanted else ():
        parts = [part.lower() for part in path.parent.parts]
        for depth in depths:
            cut = len(parts) - depth
            if cut < 0:
                continue
            rest = "/".join(parts[cut:])
            if cut and (key := ("/".join(parts[: cut - 1]), rest)) in wanted:
                images_at[key][path.parent.parts[cut - 1]].append(path)
            if (key := ("/".join(parts[:cut]), rest)) in wanted:
                images_at[key][""].append(path)
    return {place: {name: _named(members) for name, members in folders.items()} for place, folders in images_at.items()}


def _named(images: list[Path]) -> Named:
    """Images by their stems, and by what is left of these without words for images where that is one image alone."""
    counts = Counter(map(bare_stem, images))
    bare = {bare_stem(path): path for path in images if counts[bare_stem(path)] == 1 and bare_stem(path)}
    return {stem_of(path): path for path in images}, bare


def _image_of(mask: Path, short: str | None, folders: dict[str, Named], place: int) -> Path | None:
    """The image of a label map among those of the folders beside its own; None where none or several may be meant."""
    own = mask.parent.parts[place]
    counterpart = {masks.lower(): images.lower() for masks, images in MASK_FOLDERS.items()}.get(own.lower())
    words = {word for word in re.split(r"[-_. ]+", own.lower()) if word not in MASK_WORDS}

    def distance(name):  # train_masks belongs to train or train_images
        others = {word for word in re.split(r"[-_. ]+", name.lower()) if word not in IMAGE_WORDS}
        return (name.lower() != counterpart, others != words, name != "")

    nearest = sorted(folders, key=distance)
    candidates = (folders[name][0].get(stem) for stem in (stem_of(mask), short) for name in nearest)
    candidates = [*candidates, *(folders[name][1].get(bare_stem(mask)) for name in nearest)]
    return next((image for image in candidates if image is not None), None)


def without_label_maps(search: Search, files: list[Path], alone: bool) -> list[Path]:
    """Leave out the files in folders of label maps, which are never images. alone: if there is no case and no other
    file, the folder is a reference of label maps, and all files are returned."""
    images = [path for path in files if _mask_folder(path, search.folder) is None]
    return images if images or not alone else files
