"""BIDS: sub-LABEL/[ses-LABEL/]anat/…_T1w.nii.gz, label maps beside them or below derivatives/."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from mrilib.cases.case import Case, Search
from mrilib.cases.names import CHANNELS, MASK_WORDS, VOLUMES, in_order, stem_of, suffix_of
from mrilib.errors import CaseError

LABELS = r".*(mask|seg)|" + "|".join(sorted(MASK_WORDS))  # the last part of a label map's name
BRAIN = ("brain", "brainmask", "head", "bet", "gm", "wm", "csf")  # regions of masks that are not tumours
OTHERS = ("func", "dwi", "fmap", "perf", "meg", "eeg", "pet", "beh")  # folders of a session that hold other things


def bids(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """BIDS: sub-01/[ses-1/]anat/sub-01_T1w.nii.gz, with label maps beside it or in derivatives/"""
    images: dict[tuple[Path, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    labels: dict[str, list[Path]] = defaultdict(list)
    rest = []
    for path in files:
        session = _session(path)
        if session is None or suffix_of(path) not in VOLUMES:
            rest.append(path)
            continue
        top, name = session
        derived = "derivatives" in path.absolute().parts
        parts = dict(part.split("-", 1) for part in stem_of(path).split("_") if "-" in part)
        kind = stem_of(path).split("_")[-1]
        if re.fullmatch(LABELS, kind.lower()):
            if parts.get("label", parts.get("desc", kind)).lower() not in BRAIN:
                labels[name].append(path)
        elif not derived and path.parent.name not in OTHERS:
            images[top, name][_channel(kind, parts)].append(path)
    cases = []
    sessions = Counter(name.split("/")[0] for _, name in images)
    for (top, name), channels in images.items():
        subject = name.split("/")[0]
        of_subject = labels.get(subject, []) if sessions[subject] == 1 else []  # a label map whose name has no session
        try:
            cases.append(_case(search, top, name, channels, labels.get(name) or of_subject))
        except CaseError as error:
            search.fail(error)
    return cases, rest


def _session(path: Path) -> tuple[Path, str] | None:
    """(folder of the subject or its session, sub-LABEL[/ses-LABEL]) of a file at its BIDS place; else None."""
    match = re.match(r"(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?_", path.name)
    if match is None:
        return None
    wanted = [part for part in match.groups() if part]
    for top in path.absolute().parents:
        if list(top.parts[-len(wanted) :]) == wanted:
            return top, "/".join(wanted)
    return None


def _channel(kind: str, parts: dict[str, str]) -> str:
    """The sequence by the suffix of a BIDS name. A T1w with the entity ce- is t1ce."""
    channel = CHANNELS.get(kind.lower(), kind.lower())
    return "t1ce" if channel == "t1" and "ce" in parts else channel


def _case(search: Search, top: Path, name: str, channels: dict[str, list[Path]], labels: list[Path]) -> Case:
    for channel, paths in [*channels.items(), ("label map", labels)]:
        if len(paths) > 1:
            names = " and ".join(p.name for p in paths[:2])
            raise CaseError(f"has {len(paths)} files for {channel}: {names}", where=top,
                            remedy="move all but one away, or name the files in a CSV")
    place = search.place(top) if top.is_relative_to(search.root.absolute()) else (name, search.root)
    case_id, root = place or (name, search.root)
    files = in_order({channel: paths[0] for channel, paths in channels.items()})
    return Case(case_id, root, files, subject=name.split("/")[0], label=labels[0] if labels else None, layout="bids",
                name=next(iter(files.values())).parent)
