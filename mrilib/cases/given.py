"""Given splits: folders such as train/ and test/ around any layout that state the part of each case."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from mrilib.cases.names import PART_WORDS, SHORT_PART_WORDS

PARTS = ("train", "validation", "test")
FILLERS = {"set", "sets", "data", "dataset", "image", "images", "img", "imgs", "split", "part", "subset", "folder",
           "cases", "samples", "pictures", "pics", "scans", "slices", "patients", "subjects", "mri"}  # fmt: skip
ENDS = ("set", "sets", "data", "dataset", "split", "images", "imgs")  # written together with the word: testset
NNUNET = {"imagesTr": "train", "imagesVal": "validation", "imagesTs": "test"}


@lru_cache(maxsize=4096)
def part_and_rest(folder: str) -> tuple[str | None, str, bool]:
    """(part, rest of the name, whether the name alone is proof) of a folder; (None, name, False) for other names.

    `Training`, `test_set` and `imagesTr` are proof. `MICCAI_TrainingData`, `train2017`, `train_glioma` and `tr` are
    parts only beside a folder of another part and the same rest.
    """
    if folder in NNUNET:
        return NNUNET[folder], "", True
    lower = re.sub(r"(hold|held)[-_ ]?out", "holdout", folder, flags=re.IGNORECASE)
    lower = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", lower)]
    lower = [next((short for end in ENDS if (short := word.removesuffix(end)) in PART_WORDS), word) for word in lower]
    named = [i for i, word in enumerate(lower) if word in PART_WORDS]
    if not named:
        bare = [word for word in lower if word not in FILLERS]
        short = SHORT_PART_WORDS.get(bare[0]) if len(bare) == 1 else None
        return (short, "", False) if short else (None, folder, False)
    others = lower[: named[-1]] + lower[named[-1] + 1 :]
    rest = [word for word in others if word not in FILLERS]
    return PART_WORDS[lower[named[-1]]], " ".join(rest), not rest


def part_folders(ids: Iterable[str]) -> dict[tuple[str, ...], tuple[str, str]]:
    """Path of each part folder, as a tuple of names -> (part, rest of the folder's name). ids: of the cases of one
    root."""
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for case_id in ids:
        way = tuple(case_id.split("/")[:-1])
        for i in range(len(way)):
            below[way[:i]].add(way[i])
    folders = {}
    for above, names in below.items():
        readings = {name: part_and_rest(name) for name in names}
        parts_of = defaultdict(set)
        for part, rest, _ in readings.values():
            if part:
                parts_of[rest].add(part)
        for name, (part, rest, proof) in readings.items():
            if part and (proof or len(parts_of[rest]) > 1):
                folders[*above, name] = (part, rest)
    return folders


def part_of(case_id: str, folders: dict[tuple[str, ...], tuple[str, str]]) -> str | None:
    """The part that the innermost part folder around a case states."""
    way = tuple(case_id.split("/")[:-1])
    return next((folders[way[:i]][0] for i in range(len(way), 0, -1) if way[:i] in folders), None)


def without_parts(case_id: str, folders: dict[tuple[str, ...], tuple[str, str]]) -> list[str]:
    """The folders around a case, outermost first, without those that are parts; of these the rest of their names."""
    way = tuple(case_id.split("/")[:-1])
    names = (folders[way[: i + 1]][1] if way[: i + 1] in folders else name for i, name in enumerate(way))
    return [name for name in names if name]


def person(case_id: str, subject: str | None, folders: dict[tuple[str, ...], tuple[str, str]]) -> str | None:
    """The subject without the part folders of its path, so that one person in two parts is one subject. `train/p1`
    stays as it is, because such numbers often restart in each part."""
    if not subject or not case_id.startswith(subject):
        return subject
    way = tuple(subject.split("/"))
    if re.fullmatch(r"[a-z]*[-_ ]?\d{1,3}", way[-1], flags=re.IGNORECASE):
        return subject
    return "/".join(name for i, name in enumerate(way) if way[: i + 1] not in folders) or subject
