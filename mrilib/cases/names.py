"""What file names tell: suffixes, MRI sequences, masks, classes, subjects."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".dcm")
SUFFIXES = VOLUMES + PICTURES
CHANNELS = {  # any year's and data set's spelling -> our name
    "t1": "t1", "t1n": "t1", "t1w": "t1", "t1pre": "t1", "t1ce": "t1ce", "t1c": "t1ce", "t1gd": "t1ce",
    "t1post": "t1ce", "t1ca": "t1ce", "t1wce": "t1ce", "t1gad": "t1ce", "t1+c": "t1ce", "t1c+": "t1ce",
    "t2": "t2", "t2w": "t2", "flair": "flair", "t2f": "flair", "t2flair": "flair", "fla": "flair",
    "red": "red", "green": "green", "blue": "blue",
}  # fmt: skip
AGENTS = {"ce", "post", "contrast", "enhanced", "km", "+c"}  # makes a T1 a t1ce
WITHOUT = {"no", "non", "pre", "without", "wo"}  # before a word of AGENTS: it was not given
ORDER = ("t1", "t1ce", "t2", "flair", "red", "green", "blue")  # of the channels of a case; others follow by name
COLOURS = ("red", "green", "blue")
LABEL_WORDS = {"seg", "segm", "label", "labels", "gt", "ot", "otmulticlass", "segmentation"}
OTHER_WORDS = {"brainmask", "mask"}  # end the names of volumes that are neither a channel nor a label map
TUMOUR = {"tumor", "tumour", "lesion"}  # words of the tumour's label map among masks of the brain
BRAIN_WORDS = {"brain", "brainmask", "head", "bet", "skull"}  # of masks that are no label maps of tumours
CLASS_WORDS = {
    "yes", "no", "tumor", "tumour", "notumor", "notumour", "no_tumor", "no_tumour", "no-tumor", "no-tumour",
    "healthy", "normal", "glioma", "meningioma", "pituitary", "glioma_tumor", "meningioma_tumor", "pituitary_tumor",
    "benign", "malignant", "positive", "negative", "0", "1",
}  # fmt: skip
MASK_ENDINGS = ("_mask", "-mask", "_seg", "-seg")
MASK_FOLDERS = {"masks": "images", "labels": "images", "labelsTr": "imagesTr", "labelsTs": "imagesTs",
                "label": "image", "mask": "image"}  # fmt: skip
PART_WORDS = {  # of a folder -> the part of a given split
    "train": "train", "training": "train", "trn": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "validate": "validation",
    "validating": "validation", "dev": "validation", "devel": "validation", "development": "validation",
    "test": "test", "testing": "test", "tests": "test", "tst": "test", "holdout": "test", "heldout": "test",
    "eval": "test", "evaluation": "test",
}  # fmt: skip
SHORT_PART_WORDS = {  # only beside a folder of another part
    "tr": "train", "va": "validation", "vl": "validation", "te": "test", "ts": "test",
}  # fmt: skip
MASK_WORDS = {  # that end the name of a folder or file of label maps
    "mask", "masks", "label", "labels", "labelmap", "labelmaps", "seg", "segs", "segm", "segmentation",
    "segmentations", "gt", "gts", "groundtruth", "truth", "annotation", "annotations", "annot", "annots", "roi", "rois",
}  # fmt: skip
IMAGE_WORDS = {"image", "images", "img", "imgs", "scan", "scans", "pic", "picture", "pictures", "slice", "raw", "orig",
               "original", "map", "maps", "data", "set", "dataset"}  # say no more than that it is an image
SUBJECTS = (  # each matches the subject at the beginning of a case's name; the visit or the date follows
    r"BraTS-[A-Za-z]+-\d+(?=-\d+$)",
    r"TCGA[-_][A-Z0-9]{2}[-_][A-Z0-9]{4}",
    r"(?i:brats)\d*_(?:2013|TCIA\d*|CBICA|TMC|UAB|WashU)_\w+?(?=_\d+$)",
    r"BraTS(?:\d+_(?:Training|Validation)|2021)_\d+$",
    r"UPENN-GBM-\d+(?=_\d+$)",
    r"UCSF-PDGM-\d+",
    r"sub-[A-Za-z0-9]+",
)


def suffix_of(path: Path | str) -> str:
    """The suffix of an image file in lower case, `.nii.gz` whole; empty for other files."""
    return _suffix(os.path.basename(path))


def stem_of(path: Path | str) -> str:
    """The file name without its image suffix."""
    name = os.path.basename(path)
    return name[: len(name) - len(_suffix(name))]


@lru_cache(maxsize=1 << 16)  # each layout asks for every file
def _suffix(name: str) -> str:
    name = name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix)), "")


def words_of(path: Path) -> list[str]:
    """The parts of a file's stem in lower case, cut at - _ . and spaces."""
    return [word for word in re.split(r"[-_. ]+", stem_of(path).lower()) if word]


def is_mask_folder(name: str) -> bool:
    """Whether a folder's name says that it holds label maps: `labelsTr`, `train_masks`, `Ground Truth`."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    words = [word for word in words if word not in IMAGE_WORDS and word not in PART_WORDS | SHORT_PART_WORDS]
    return bool(words) and words[-1] in MASK_WORDS


def is_mask_file(path: Path) -> bool:
    """Whether a file's name begins or ends with a word for label maps, its number aside: `Pre_Mask`, `seg-A`."""
    words = [word for word in words_of(path) if not word.isdigit()]
    return bool(words) and bool({words[0], words[-1]} & MASK_WORDS) and not BRAIN_WORDS & {*words}


def bare_stem(path: Path) -> str:
    """The stem of a file without the words that say whether it is an image or a label map, or of which channel:
    `mask_007` and `img_007` are both `007`."""
    said = MASK_WORDS | IMAGE_WORDS | TUMOUR | CHANNELS.keys()
    return " ".join(word for word in words_of(path) if word not in said)


def channel_of(path: Path) -> str | None:
    """The MRI sequence that a file name states (`p07-t1c.nii.gz` -> t1ce), `label` for a label map, else None.

    The last word decides. If it says nothing, the one sequence that any other word names decides
    (`Flair_subtrMeanDivStd`, `VSD.Brain.XX.O.MR_T1c.54541`). A T1 with a contrast agent named after it is a t1ce
    (`T1_post`, `AX_T1_SE_POST_GAD`).
    """
    words = words_of(path)
    if not words or words[-1] in OTHER_WORDS:
        return "label" if TUMOUR & {*words} else None
    for word in (words[-1], *words[-2:-1]) if words[-1].isdigit() else words[-1:]:
        if word in LABEL_WORDS:
            return "label"
        if word in CHANNELS:
            return CHANNELS[word]
    inside = {CHANNELS[w] for w in words if w in CHANNELS} - set(COLOURS)
    if inside == {"t1"} and enhanced(words):
        return "t1ce"
    return inside.pop() if len(inside) == 1 else None


def enhanced(words: list[str]) -> list[str]:
    """The words from the T1 on, if the name states a contrast agent after it; else none."""
    after = next((words[i:] for i, word in enumerate(words) if CHANNELS.get(word) == "t1"), [])
    return after if has_agent(after) or after[1:2] == ["c"] else []


def has_agent(words: list[str]) -> bool:
    """Whether words say that a contrast agent was given."""
    return any(is_agent(word) and before not in WITHOUT for before, word in zip(["", *words], words, strict=False))


def is_agent(word: str) -> bool:
    """Whether a word in lower case names a contrast agent: one of AGENTS, postcontrast and the like, or gadolinium,
    gadobutrol, GdDTPA and the like."""
    agent = word.removeprefix("post")
    return word in AGENTS or agent in AGENTS or agent.startswith(("gad", "gd"))


def in_order(channels: dict[str, Path]) -> dict[str, Path]:
    """Channels in the order that every tool keeps: t1 t1ce t2 flair, then others by name."""
    names = [c for c in ORDER if c in channels]
    return {c: channels[c] for c in (*names, *sorted(set(channels) - set(names)))}


def subject_of(case_id: str) -> str | None:
    """The subject, from a case id as known data sets build it (`BraTS-GLI-00005-100`: 100 is the visit); else None."""
    parts = case_id.split("/")
    for i, name in reversed(list(enumerate(parts))):
        for pattern in SUBJECTS:
            if match := re.match(pattern, name):
                return "/".join([*parts[:i], match.group(0)])
    return None
