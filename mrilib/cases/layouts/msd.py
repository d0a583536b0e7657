"""The Medical Segmentation Decathlon: the channels of a case in one 4D file."""

from __future__ import annotations

from pathlib import Path

from mrilib.cases.case import Case, Search, by_folder, of_file
from mrilib.cases.layouts.dataset_json import IMAGES, contents, label_maps
from mrilib.cases.names import stem_of, subject_of


def msd(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """Medical Segmentation Decathlon: imagesTr/NAME with its channels in a fourth dimension, labelsTr, dataset.json"""
    cases, rest, used = [], [], set()
    folders = by_folder(files)
    for folder, members in folders.items():
        about = contents(folder, search)
        if folder.absolute().name not in IMAGES or not about["channels"]:
            rest += members
            continue
        labels, names = label_maps(folder, folders), about["channels"]
        for path in members:
            label = labels.get(stem_of(path))
            used |= {label} if label else set()
            single = of_file(path, search.root)
            cases.append(Case(single.id, search.root, dict.fromkeys(names, path), subject=subject_of(single.id),
                              label=label, layout="msd", scheme=about["scheme"] if label else None,
                              file_channels=names if len(names) > 1 else ()))
    return cases, [path for path in rest if path not in used]
