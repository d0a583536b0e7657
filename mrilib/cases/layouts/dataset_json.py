"""What the data sets of nnU-Net and the Decathlon share: dataset.json, and the folders of images and label maps."""

from __future__ import annotations

import re
from pathlib import Path

from mrilib.cases.case import Search
from mrilib.cases.names import CHANNELS, MASK_FOLDERS, stem_of, suffix_of
from mrilib.errors import CaseError
from mrilib.store import read_json

IMAGES = {"imagesTr": "labelsTr", "imagesTs": "labelsTs", "imagesVal": "labelsVal"}
CHANNEL = re.compile(r"(.+)_(\d{4})")


def label_maps(folder: Path, folders: dict[Path, list[Path]]) -> dict[str, Path]:
    """Name -> label map, for the images of a folder: files in labelsTr beside imagesTr."""
    beside = {**{v: k for k, v in MASK_FOLDERS.items()}, **IMAGES}.get(folder.absolute().name)
    if beside is None:
        return {}
    other = folder.absolute().parent / beside if folder.name == "" else folder.parent / beside
    members = folders.get(other) or (sorted(other.iterdir()) if other.is_dir() else [])
    by_name = {stem_of(path): path for path in members if suffix_of(path) and not path.name.startswith(".")}
    for stem, path in list(by_name.items()):  # named with the _0000 of its image
        if match := CHANNEL.fullmatch(stem):
            by_name.setdefault(match[1], path)
    return by_name


def contents(folder: Path, search: Search) -> dict:
    """The channels and the label scheme of the dataset.json beside or in a folder; empty without that file."""
    places = [place / "dataset.json" for place in (folder.absolute().parent, folder)]
    path = next((place for place in places if place.is_file()), None)
    empty = {"channels": (), "scheme": None}
    if path is None:
        return empty
    search.used.add(path)
    from mrilib.labels import of_dataset

    try:
        dataset = read_json(path)
        channels = dataset.get("channel_names") or dataset.get("modality") or {}
        names = tuple(_channel(channels[key]) for key in sorted(channels, key=int))
        labels = dataset.get("labels") or {}
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
