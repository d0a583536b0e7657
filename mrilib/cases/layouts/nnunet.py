"""nnU-Net's raw folders: a file for each channel of a case."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search, by_folder, of_file
from mrilib.cases.layouts.dataset_json import CHANNEL, IMAGES, contents, label_maps
from mrilib.cases.names import PICTURES, is_mask_folder, stem_of, subject_of, suffix_of
from mrilib.errors import CaseError


def nnunet(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """nnU-Net's raw data: imagesTr/NAME_0000, NAME_0001, …, labelsTr/NAME, dataset.json"""
    cases, rest, used = [], [], set()
    folders = by_folder(files)
    for folder, members in folders.items():
        grouped: dict[str, dict[int, Path]] = defaultdict(dict)
        for path in members:
            if match := CHANNEL.fullmatch(stem_of(path)):
                grouped[match[1]][int(match[2])] = path
        about = contents(folder, search)
        counts = {tuple(sorted(numbers)) for numbers in grouped.values()}
        numbered = sum(map(len, grouped.values()))
        described = folder.absolute().name in IMAGES or about["channels"]
        if described:
            whole = 2 * numbered > len(members)  # a few files without a number are no channels
        else:
            whole = len(grouped) > 1 and len(counts) == 1 and len(min(counts)) > 1 and numbered == len(members)
        masks = folder != search.folder and is_mask_folder(folder.name)
        if masks or not (grouped and whole):
            rest += members
            continue
        labels = label_maps(folder, folders)
        most = max(counts, key=len)
        for name, numbers in grouped.items():
            used |= {labels[name]} if name in labels else set()
            try:
                cases.append(_of_numbers(search, numbers, most, about, labels.get(name)))
            except CaseError as error:
                search.fail(error)
    return cases, [path for path in rest if path not in used]


def _of_numbers(search: Search, numbers: dict[int, Path], common: tuple[int, ...], about: dict,
                label: Path | None) -> Case:
    """The case of NAME_0000, NAME_0001, …. Raises CaseError if a channel is missing or has no name."""
    first = numbers[min(numbers)]
    names, file_channels = about["channels"], ()
    count = len(names) or len(common)
    if len(names) > 1 and list(numbers) == [0] and suffix_of(first) in PICTURES:
        file_channels = names  # a colour picture holds all channels in one file
    elif missing := [n for n in range(count) if n not in numbers]:
        what = f" ({names[missing[0]]})" if names else ""
        raise CaseError(f"channel {missing[0]:04d}{what} is missing", where=first,
                        remedy="add it, or leave the case out")
    if len(numbers) > count:
        raise CaseError(f"has {len(numbers)} channels, dataset.json names {count}", where=first,
                        remedy="mend dataset.json")
    if not names:
        names = ("image",) if count == 1 else tuple(f"c{n}" for n in range(count))
    channels = dict.fromkeys(file_channels, first) or {names[n]: numbers[n] for n in sorted(numbers)}
    single = of_file(first, search.root)
    case_id = single.id[: -len("_0000")]
    return Case(case_id, search.root, channels, subject=subject_of(case_id), label=label, layout="nnunet",
                scheme=about["scheme"] if label else None, file_channels=file_channels, name=first)
