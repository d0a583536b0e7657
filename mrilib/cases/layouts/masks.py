"""Images with a label map each, beside them or in a folder of label maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.layouts.label_maps import twins_of
from mrilib.cases.names import (
    subject_of,
)


def masks(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """images with mask twins: x.png + x_mask.png, or images/ + masks/"""
    twins = twins_of(files, search.folder)
    used = {*twins, *twins.values()}
    sets = {path.parent for path in twins}  # an image without a mask among such ones is one of them
    cases = [replace(case := of_file(path, search.root), label=twins.get(path), subject=subject_of(case.id),
                     layout="masks")
             for path in files if path in twins or (path.parent in sets and path not in used)]
    taken = {case.path for case in cases} | used
    return cases, [path for path in files if path not in taken]
