"""Images without any layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Search, of_file
from mrilib.cases.names import subject_of


def plain(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """a folder of images"""
    cases = [of_file(path, search.root) for path in files]
    return [replace(case, subject=subject_of(case.id), layout="plain") for case in cases], []
