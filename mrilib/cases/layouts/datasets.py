"""Data sets with a dataset.json: nnU-Net's raw folders and the Medical Segmentation Decathlon's 4D files."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.layouts.folders import by_folder
from mrilib.cases.names import CHANNELS, MASK_FOLDERS, PICTURES, is_mask_folder, stem_of, subject_of, suffix_of
from mrilib.errors import CaseError
from mrilib.store import read_json

IMAGES = {"imagesTr": "labelsTr", "imagesTs": "labelsTs", "imagesVal": "labelsVal"}
CHANNEL = re.compile(r"(.+)_(\d{4})")


def nnunet(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """nnU-Net's raw data: imagesTr/NAME_0000, NAME_0001, …, labelsTr/NAME, dataset.json"""
    cases, rest, used = [], [], set()
    folders = by_folder(files)
    for folder, members in folders.items():
        grouped: dict[str, dict[int, Path]] = defaultdict(dict)
        for path in members:
            if match := CHANNEL.fullmatch(stem_of(path)):
                grouped[match[1]][int(match[2])] = path
        about = _about(folder, search)
        counts = {tuple(sorted(numbers)) for numbers in grouped.values()}
        numbered = sum(map(len, grouped.values()))
        known = folder.absolute().name in IMAGES or about["channels"]
        if known:
            whole = 2 * numbered > len(members)  # a few files without a number are no channels
        else:
            whole = len(grouped) > 1 and len(counts) == 1 and len(min(counts)) > 1 and numbered == len(members)
        masks = folder != search.folder and is_mask_folder(folder.name)
        if masks or not (grouped and whole):
            rest += members
            continue
        labels = _labels(folder, folders)
        most = max(counts, key=len)
        for name, numbers in grouped.items():
            used |= {labels[name]} if name in labels else set()
            try:
                cases.append(_of_numbers(search, numbers, most, about, labels.get(name)))
            except CaseError as error:
                search.fail(error)
    return cases, [path for path in rest if path not in used]


def _of_numbers(search: Search, numbers: dict[int, Path], usual: tuple[int, ...], about: dict,
                label: Path | None) -> Case:
    """The case of NAME_0000, NAME_0001, …. Raises CaseError if a channel is missing or has no name."""
    first = numbers[min(numbers)]
    names, held = about["channels"], ()
    count = len(names) or len(usual)
    if len(names) > 1 and list(numbers) == [0] and suffix_of(first) in PICTURES:
        held = names  # a colour picture holds all channels in one file
    elif missing := [n for n in range(count) if n not in numbers]:
        what = f" ({names[missing[0]]})" if names else ""
        raise CaseError(f"channel {missing[0]:04d}{what} is missing", where=first,
                        remedy="add it, or leave the case out")
    if len(numbers) > count:
        raise CaseError(f"has {len(numbers)} channels, dataset.json names {count}", where=first,
                        remedy="mend dataset.json")
    if not names:
        names = ("image",) if count == 1 else tuple(f"c{n}" for n in range(count))
    channels = dict.fromkeys(held, first) or {names[n]: numbers[n] for n in sorted(numbers)}
    single = of_file(first, search.root)
    case_id = single.id[: -len("_0000")]
    return Case(case_id, search.root, channels, subject=subject_of(case_id), label=label, layout="nnunet",
                scheme=about["scheme"] if label else None, held=held, name=first)


def msd(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """Medical Segmentation Decathlon: imagesTr/NAME with its channels in a fourth dimension, labelsTr, dataset.json"""
    cases, rest, used = [], [], set()
    folders = by_folder(files)
    for folder, members in folders.items():
        about = _about(folder, search)
        if folder.absolute().name not in IMAGES or not about["channels"]:
            rest += members
            continue
        labels, names = _labels(folder, folders), about["channels"]
        for path in members:
            label = labels.get(stem_of(path))
            used |= {label} if label else set()
            single = of_file(path, search.root)
            cases.append(Case(single.id, search.root, dict.fromkeys(names, path), subject=subject_of(single.id),
                              label=label, layout="msd", scheme=about["scheme"] if label else None,
                              held=names if len(names) > 1 else ()))
    return cases, [path for path in rest if path not in used]


def _labels(folder: Path, folders: dict[Path, list[Path]]) -> dict[str, Path]:
    """Name -> label map, for the images of a folder: files in labelsTr beside imagesTr."""
    beside = {**{v: k for k, v in MASK_FOLDERS.items()}, **IMAGES}.get(folder.absolute().name)
    if beside is None:
        return {}
    other = folder.absolute().parent / beside if folder.name == "" else folder.parent / beside
    members = folders.get(other) or (sorted(other.iterdir()) if other.is_dir() else [])
    found = {stem_of(path): path for path in members if suffix_of(path) and not path.name.startswith(".")}
    for stem, path in list(found.items()):  # named with the _0000 of its image
        if match := CHANNEL.fullmatch(stem):
            found.setdefault(match[1], path)
    return found


def _about(folder: Path, search: Search) -> dict:
    """The channels and the label scheme of the dataset.json beside or in a folder; empty without that file."""
    places = [place / "dataset.json" for place in (folder.absolute().parent, folder)]
    path = next((place for place in places if place.is_file()), None)
    empty = {"channels": (), "scheme": None}
    if path is None:
        return empty
    search.used.add(path)
    from mrilib.labels import of_dataset

    try:
        known = read_json(path)
        channels = known.get("channel_names") or known.get("modality") or {}
        names = tuple(_channel(channels[key]) for key in sorted(channels, key=int))
        labels = known.get("labels") or {}
        scheme = of_dataset(labels) if labels else None
    except (CaseError, AttributeError, TypeError, ValueError) as error:
        search.fail(CaseError(f"is not the dataset.json of nnU-Net or the Decathlon: {error}", where=path,
                              remedy="mend it, or move it away"))
        return empty
    if len(set(names)) < len(names):
        names = tuple(f"{name}-{n}" if names.count(name) > 1 else name for n, name in enumerate(names))
    return {"channels": names, "scheme": scheme}


def _channel(name: str) -> str:
    """A channel as a dataset.json spells it (`T1-weighted`, `t1gd`), by the suite's name."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower()).replace("weighted", "w")
    return CHANNELS.get(plain, re.sub(r"[^\w+-]+", "-", name.lower()).strip("-") or "image")
