"""A folder for each case with a volume for each channel: BraTS of any year and its relatives."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search, by_folder
from mrilib.cases.names import (
    CHANNELS,
    TUMOUR,
    VOLUMES,
    channel_of,
    enhanced,
    in_order,
    is_agent,
    stem_of,
    subject_of,
    suffix_of,
    words_of,
)
from mrilib.errors import CaseError

YEARS = {"seg": ("t1n", "t1c", "t2w", "t2f")}  # BraTS 2023 on: these spellings of the channels beside a -seg


def brats(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """a folder for each case, a volume for each channel"""
    candidates, cases, rest = [], [], []
    folders = _by_case_folder(search, files)
    several = any(len(_channels(members)[0]) > 1 for members in folders.values())
    for folder, members in folders.items():
        channels, labels, others = _channels(members)
        place = search.place(folder)
        if place and (len(channels) > 1 or (channels and (several or labels))):
            inside = any(path.parent == folder for path in channels.values())
            candidates.append((*place, channels, labels, None if inside else folder))
            rest += others
            continue
        by_case = _by_case(members)
        of_case = {start: _channels(paths) if start else ({}, [], paths) for start, paths in by_case.items()}
        single = any(len(channels) == 1 and labels for channels, labels, _ in of_case.values())
        for start, (channels, labels, others) in of_case.items():
            is_case = len(channels) > 1 or (channels and single)
            if is_case:
                name = f"{search.id_of(folder)}/{start}".removeprefix("./")
                candidates.append((name, search.root, channels, labels, next(iter(in_order(channels).values()))))
            rest += others if is_case else by_case[start]
    for one in candidates:
        try:
            cases.append(_case(*one))
        except CaseError as error:
            search.fail(error)
    return cases, rest


def _by_case_folder(search: Search, files: list[Path]) -> dict[Path, list[Path]]:
    """Files by the folder of their case. A single volume in a folder of the channel's name, as in BRATS 2013 to 2015
    (`0001/VSD.Brain.XX.O.MR_T1.54513/VSD.Brain.XX.O.MR_T1.54513.mha`), belongs to the folder above."""
    by_folder_of_case = defaultdict(list)
    for folder, members in by_folder(files).items():
        kinds = {channel_of(folder), *map(channel_of, members)}
        alone = len(members) == len(kinds) == 1 and None not in kinds and suffix_of(members[0]) in VOLUMES
        by_folder_of_case[folder.parent if alone and folder != search.folder else folder] += members
    return by_folder_of_case


def _case(name: str, root: Path, channels: dict[str, Path], labels: list[Path], goes_by: Path | None = None) -> Case:
    if len(labels) > 1:
        names = " and ".join(path.name for path in labels[:2])
        raise CaseError(f"has {len(labels)} files for label map: {names}", where=goes_by or labels[0].parent,
                        remedy="move all but one away, or name the files in a CSV")
    label = labels[0] if labels else None
    return Case(name, root, in_order(channels), subject=subject_of(name), label=label, layout="brats",
                scheme=_scheme(channels, label), name=goes_by)


def _channels(members: list[Path]) -> tuple[dict[str, Path], list[Path], list[Path]]:
    """(channels, label maps, other files) of a folder. No channels if two files have the same channel.

    A file whose last word is the channel goes before one that names it elsewhere (`t1.nii` before `t1_bias.nii`).
    Of several label maps the one named as the channels are is meant, else that of a tumour; where neither tells, all
    are returned beside two channels or more. Other volumes of the case (diffusion, masks of the brain) are left out.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for path in members:
        if suffix_of(path) in VOLUMES and (name := channel_of(path)):
            named[name].append(path)
    labels = named.pop("label", [])
    chosen = {}
    for name, paths in named.items():
        if len(paths) > 1:
            paths = [p for p in paths if CHANNELS.get(words_of(p)[-1]) == name or _at_end(p) > 1]
        if len(paths) != 1:
            return {}, [], members
        chosen[name] = paths[0]
    starts = tuple({_before_channel(path) for path in chosen.values()})
    if len(labels) > 1:
        labels = ([p for p in labels if _before_channel(p) in starts] or [p for p in labels if TUMOUR & {*words_of(p)}]
                  or labels)
    if len(labels) > 1 and len(chosen) < 2:
        return {}, [], members
    used = {*chosen.values(), *labels}
    left = {p for p in members if suffix_of(p) in VOLUMES and (channel_of(p) is None or stem_of(p).startswith(starts))}
    return chosen, labels, [p for p in members if p not in used and not (chosen and p in left)]


def _before_channel(path: Path) -> str:
    """The part of a volume's name before the channel at its end; empty if it does not end with a channel."""
    if suffix_of(path) not in VOLUMES or channel_of(path) is None:
        return ""
    return "".join(re.split(r"([-_. ]+)", stem_of(path))[: 1 - 2 * _at_end(path)]).rstrip("-_. ")


def _at_end(path: Path) -> int:
    """The number of words at the end of a volume's name that state its channel: two in `p1_T1_post`, else one."""
    words = enhanced(words_of(path)) if channel_of(path) == "t1ce" else []
    return len(words) if words and all(is_agent(word) or word == "c" for word in words[1:]) else 1


def _by_case(members: list[Path]) -> dict[str, list[Path]]:
    """Files of many cases in one folder by the part of their names before the channel. A file whose name only begins
    with the name of a case of several channels belongs to that case, too: `p1_tumor_seg`, `p1_adc` beside `p1_t1`."""
    grouped = defaultdict(list)
    for path in members:
        grouped[_before_channel(path)].append(path)
    cases = [start for start, paths in grouped.items() if start and len(_channels(paths)[0]) > 1]
    by_case = defaultdict(list)
    for start, paths in grouped.items():
        if start and any(words_of(path)[-1] in CHANNELS for path in paths):
            by_case[start] += paths
            continue
        for path in paths:
            stem = stem_of(path)
            begins = [c for c in cases if stem.startswith(c) and stem[len(c):][:1] in tuple("-_. ")]
            by_case[max(begins, key=len, default=start)].append(path)
    return by_case


def _scheme(channels: dict[str, Path], label: Path | None) -> str | None:
    """The label scheme by the file names of a BraTS folder: OT of 2013 to 2015, _seg of 2017 to 2021, -seg of 2023."""
    if label is None:
        return None
    words = words_of(label)
    if words[-1] == "otmulticlass" or "ot" in words:
        return "brats2013"
    if words[-1] not in ("seg", "segm"):
        return None
    spelt = {words_of(path)[-1] for path in channels.values()}
    if stem_of(label).lower().endswith("-seg") and spelt <= set(YEARS["seg"]):
        return "brats2023" if "-gli-" in stem_of(label).lower() else None
    named = [label] if words[-1] == "seg" else channels.values()  # case 355 of 2020 has its label map as W39_…_Segm
    return "brats2020" if all(stem_of(path).lower().startswith("brats") for path in named) else None


def missing_channels(cases: list[Case]) -> dict[str, CaseError]:
    """Case id -> its error, for cases that lack a channel which half of the others have."""
    named = [c for c in cases if c.layout in ("brats", "bids")]
    counts = Counter(name for case in named for name in case.channels)
    common = [name for name in in_order(dict.fromkeys(counts)) if 2 * counts[name] >= len(named)]
    wrong = {}
    for case in named:
        if lacking := [name for name in common if name not in case.channels]:
            wrong[case.id] = CaseError(f"has no {' '.join(lacking)}; the other cases have {' '.join(common)}",
                                       where=case.path, remedy="add it, or choose others with --channels")
    return wrong
