"""Files of a folder that no case uses, so that nothing is left out in silence."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mrilib.cases.case import Case, Search
from mrilib.cases.names import suffix_of


class Unused(NamedTuple):
    """What no case of a folder uses. images: files with the suffix of an image. others: all other files but those
    that a layout read, and the records of this suite. cases: the cases of the folder. unannotated: images of a data set
    of boxes that no annotation is about."""

    folder: Path
    images: tuple[Path, ...]
    others: tuple[Path, ...]
    cases: tuple[Case, ...]
    unannotated: tuple[Path, ...] = ()


def unused_of(search: Search, files: Iterable[Path], cases: Iterable[Case]) -> Unused:
    """The files of a search that neither its cases nor its layouts use. Those of a case that failed are left out: its
    error names them."""
    base = os.path.join(os.path.abspath(search.folder), "")
    used, own = set(search.used), []
    for case in cases:
        paths = [*case.image_files, *case.label_files]
        used.update(paths)
        if os.path.abspath(paths[0]).startswith(base):
            own.append(case)
    used -= search.unannotated
    left = [path for path in (*files, *search.others) if path not in used]
    if left:
        whole = {os.path.abspath(path) for path in used}  # a table may name a file by another way
        failed = {os.path.abspath(error.where) for error in search.wrong if error.where is not None}
        failed.discard(os.path.abspath(search.folder))  # an error of the whole folder names no file
        left = [path for path in left if os.path.abspath(path) not in whole and not _below(path, failed)]
    images = tuple(path for path in left if suffix_of(path) and path not in search.unannotated)
    unannotated = tuple(path for path in left if path in search.unannotated)
    records = {"recipe.json"} | {f"{case.id}.json" for case in own} if _is_prepared(search) else set()
    others = tuple(path for path in left if not suffix_of(path)
                   and os.path.relpath(path, search.root).replace(os.sep, "/") not in records)
    return Unused(search.folder, images, others, tuple(own), unannotated)


def _below(path: Path, places: set[str]) -> bool:
    whole = os.path.abspath(path)
    return whole in places or any(str(above) in places for above in Path(whole).parents)


def _is_prepared(search: Search) -> bool:
    return (search.root / "recipe.json").is_file()
