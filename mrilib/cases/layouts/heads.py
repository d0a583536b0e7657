"""Whether folders of numbered pictures are classes (different heads) or stacks (slices of one head each)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from mrilib.cases.case import Search
from mrilib.cases.given import part_and_rest
from mrilib.cases.names import CLASS_WORDS, PICTURES, is_mask_folder, stem_of, suffix_of

if TYPE_CHECKING:
    import numpy as np

# How unlike neighbours are, beside pictures that are not: 0.04 to 0.34 in 30 stacks of TCGA-LGG; 0.97 and 0.99 in the
# two classes of single pictures of tumour-253; 0.25 to 0.47 in the three classes of figshare 1512427, whose pictures
# are the slices of one subject after the other.
UNLIKE, UNLIKE_UNNUMBERED = 0.4, 0.3  # from here on: other heads; where the folders' names hold no number, as classes'
EQUAL = 0.02  # below that, pictures are the same but for noise
PAIRS = 60  # neighbours compared in a folder
SIDE = 32  # pixels of a thumbnail
MOST_SLICES = 600  # of a head: a folder that holds more is no stack


def class_folders(search: Search, folders: dict[Path, list[Path]]) -> set[Path]:
    """The folders that are classes and no stacks, among folders of numbered pictures that are named for their folder.

    Folders beside each other are decided together: pictures of different sizes or of different heads in most of them
    make them all classes. What was decided is said.
    """
    import logging

    groups: dict[tuple[str, ...], dict[Path, list[Path]]] = defaultdict(dict)
    named: set[tuple[str, ...]] = set()  # groups with a folder whose name is that of a class
    for folder, members in folders.items():
        if folder == search.folder or not folder.is_relative_to(search.folder):
            continue
        way = folder.relative_to(search.folder).parts
        key = tuple(name for name in way[:-1] if not part_and_rest(name)[2])
        if is_class_name(folder.name):
            named.add(key)
        if pictures := _numbered_like(folder, members):
            groups[key][folder] = pictures
    result = set()
    for key, group in groups.items():
        names = sorted({folder.name for folder in group})
        if (len(names) < 2 and key not in named) or all(map(is_class_name, names)):
            continue
        limit = UNLIKE if any(map(str.isdigit, "".join(names))) else UNLIKE_UNNUMBERED
        votes = [_of_different_heads(pictures, limit) for pictures in group.values()]
        classes = key in named or 2 * sum(votes) > len(votes)
        where = search.folder.joinpath(*key)
        what = f"{', '.join(names[:3])}{' …' if names[3:] else ''}"
        logging.getLogger("mrilib").info(
            f"{where}: takes {what} for classes, because their pictures are of different heads (--layout stacks takes "
            "each folder for one volume)" if classes else
            f"{where}: takes {what} for one volume each, because their numbered pictures are alike, as slices of one "
            "head are (--layout classes takes each folder for a class)")
        result |= set(group) if classes else set()
    return result


def is_class_name(name: str) -> bool:
    """Whether a folder's name is a class, or contains such a word and no number: `brain_glioma`."""
    words = re.split(r"[-_. ]+", name.lower())
    return name.lower() in CLASS_WORDS or (not re.search(r"\d", name) and bool(CLASS_WORDS & {*words}))


def _numbered_like(folder: Path, members: list[Path]) -> list[Path]:
    """The pictures of a folder in order of their number, where all are named for the folder and it may be a stack."""
    start = re.compile(re.escape(folder.name) + r"[-_. ]*(\d+)")
    matches = [(start.fullmatch(stem_of(path)), path) for path in members]
    if len(members) < 2 or is_mask_folder(folder.name) or not all(
            match and suffix_of(path) in PICTURES for match, path in matches):
        return []
    return [path for _, path in sorted((int(match[1]), path) for match, path in matches)]


def _of_different_heads(pictures: list[Path], limit: float) -> bool:
    """Whether numbered pictures are too many, of too many sizes, or too unlike their neighbours for one head."""
    import numpy as np

    if len(pictures) > MOST_SLICES:
        return True
    first = sorted({int(i) for i in np.linspace(0, len(pictures) - 2, min(PAIRS, len(pictures) - 1))})
    seen = [_seen(pictures[i]) for i in sorted({*first, *(i + 1 for i in first)})]
    read = [one for one in seen if one is not None]
    if len({size for size, _ in read}) > 1:
        return True
    if len(read) < 3 or len(read) < len(seen):  # a damaged picture is named when it is read
        return False
    place = {i: n for n, i in enumerate(sorted({*first, *(i + 1 for i in first)}))}
    alike = np.array([thumb for _, thumb in read]) @ np.array([thumb for _, thumb in read]).T
    near = np.mean([1 - alike[place[i], place[i + 1]] for i in first])
    far = np.mean(1 - alike[np.triu_indices(len(read), 2)])
    return bool(near >= max(limit * far, EQUAL))


def _seen(path: Path) -> tuple[tuple[int, int], np.ndarray] | None:
    """(size, thumbnail of mean 0 and length 1) of a picture; None for one that cannot be read."""
    import numpy as np
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    try:
        with Picture.open(path) as picture:
            size = picture.size
            picture.draft("L", (2 * SIDE, 2 * SIDE))
            small = picture.convert("L").resize((SIDE, SIDE), Picture.Resampling.BOX)
    except (OSError, UnidentifiedImageError):
        return None
    thumb = np.asarray(small, np.float32).ravel()
    thumb = thumb - thumb.mean()
    return size, thumb / max(float(np.linalg.norm(thumb)), 1e-6)
