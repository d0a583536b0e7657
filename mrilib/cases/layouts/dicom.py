"""DICOM: the series of a study are the channels of one case if their descriptions name the sequences."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from mrilib.cases.case import Case, Search, by_folder
from mrilib.cases.names import CHANNELS, has_agent, in_order

# tags of a DICOM header
STUDY, DESCRIPTION, PROTOCOL = "0020|000d", "0008|103e", "0018|1030"
PATIENT, CONTRAST, MODALITY = "0010|0020", "0018|0010", "0008|0060"
NO_IMAGES = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "DOC")  # modalities that are drawings or text
TEXTS = (".txt", ".json", ".xml", ".csv", ".tsv", ".md", ".htm", ".html", ".py", ".yaml", ".yml", ".zip", ".pdf")


class Series(NamedTuple):
    """One series: its files in order of position, and what their header says."""

    files: tuple[Path, ...]
    study: str
    patient: str
    description: str
    channel: str | None


def dicom(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """DICOM series: a folder of .dcm files of one or more series, named by their descriptions"""
    named = [path for path in files if path.name.lower().endswith(".dcm")]
    dicom_files = [*named, *(path for path in search.others if _is_dicom(path))]
    studies = defaultdict(list)
    for folder, members in by_folder(dicom_files).items():
        for one in _series(folder, set(members)):
            studies[one.study].append(one)
    cases: list[Case] = []
    for study in sorted(studies, key=lambda s: studies[s][0].files[0]):
        cases += _of_study(search, studies[study], {case.id for case in cases})
    used = {path for case in cases for path in case.image_files}
    left = [path for path in files if path not in used]
    if cases:
        left = [path for path in left if path.suffix.lower() != ".dcm" or _is_image(path)]
    return cases, left


def _is_dicom(path: Path) -> bool:
    """Whether a file without the suffix of an image is DICOM, by its content: scanners and archives give any suffix, or
    none. A DICOMDIR is only a directory of other files."""
    if path.suffix.lower() in TEXTS or path.stem.upper() == "DICOMDIR":
        return False
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False  # reported as a file that no case uses


def _is_image(path: Path) -> bool:
    """Whether a single DICOM file beside series is an image, not a report, a plan or a segmentation."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return False
    return not reader.HasMetaDataKey(MODALITY) or reader.GetMetaData(MODALITY).strip() not in NO_IMAGES


def _series(folder: Path, members: set[Path]) -> list[Series]:
    """The series of at least two slices in a folder, sorted by GDCM. A single file is an image by itself."""
    import SimpleITK as sitk

    series = []
    for number in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        names = tuple(folder / Path(n).name for n in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), number))
        if len(names) < 2 or not set(names) <= members:
            continue
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(names[0]))
        reader.ReadImageInformation()
        head = {key: reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""
                for key in (STUDY, DESCRIPTION, PROTOCOL, PATIENT, CONTRAST)}
        text = head[DESCRIPTION] or head[PROTOCOL]
        series.append(Series(names, head[STUDY] or number, head[PATIENT], text, channel_in(text, bool(head[CONTRAST]))))
    return sorted(series, key=lambda one: one.files[0])


def channel_in(description: str, contrast: bool = False) -> str | None:
    """Which MRI sequence a series description speaks of (`AX T1 POST GAD` -> t1ce); else None.

    contrast: whether the header names a contrast agent, which makes a T1 a t1ce.
    """
    text = re.sub(r"[_\-/]", " ", description.lower().replace("w/o", "wo"))
    if re.search(r"flair|\btirm|dark fluid", text):
        return "flair"
    if re.search(r"t1|mprage|mp rage|spgr|bravo", text):
        words = re.findall(r"[a-z0-9]+|\+c", re.sub(r"\+\s?c\b|\bc\+", " +c ", text))
        named = any(CHANNELS.get(word.replace("t1w", "t1")) == "t1ce" for word in words)
        return "t1ce" if contrast or named or has_agent(words) else "t1"
    return "t2" if re.search(r"t2(?!\s?\*|\s?star)", text) else None


def _of_study(search: Search, series: list[Series], taken: set[str]) -> list[Case]:
    """One case of all series if each is a different sequence, else one case for each series."""
    names = [one.channel for one in series]
    if len(series) > 1 and None not in names and len(set(names)) == len(names):
        folder = Path(os.path.commonpath([one.files[0].parent for one in series]))
        return [_case(search, folder, series, taken, "")]
    cases: list[Case] = []
    for one in series:
        alone = sum(o.files[0].parent == one.files[0].parent for o in series) == 1
        tail = "" if alone else re.sub(r"[^\w+-]+", "-", one.description).strip("-") or "series"
        cases.append(_case(search, one.files[0].parent, [one], taken | {case.id for case in cases}, tail))
    return cases


def _case(search: Search, folder: Path, series: list[Series], taken: set[str], tail: str) -> Case:
    name, root = search.place(folder) or (series[0].patient or "series", search.root)
    name = f"{name}/{tail}" if tail else name
    free = name
    while free in taken:  # two studies of one folder
        free = f"{name}-{int(free[len(name) + 1 :] or 1) + 1}"
    channels = in_order({one.channel or "image": one.files[0].parent for one in series})
    slices = {one.channel or "image": one.files for one in series}
    return Case(free, root, channels, subject=series[0].patient or None, layout="dicom", slices=slices,
                name=folder if not tail else folder / tail)
