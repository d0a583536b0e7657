"""The output of this suite: recipe.json, and a record beside each case."""

from __future__ import annotations

from pathlib import Path

from mrilib.cases.case import Case, Search, by_folder
from mrilib.errors import CaseError
from mrilib.store import read_json, record_path


def prepared(search: Search, files: list[Path]) -> tuple[list[Case], list[Path]]:
    """the output of this suite: recipe.json, and ID.json beside each case"""
    if not (search.root / "recipe.json").is_file():
        return [], files
    cases, rest = [], []
    for folder, members in by_folder(files).items():
        name = search.id_of(folder)
        path = record_path(search.root, name)
        record = read_record(search, path) if path.is_file() else {}
        if not record.get("case", {}).get("channels") or record.get("path") != name:
            rest += members
            continue
        channels = {c: search.root / p for c, p in record["case"]["channels"].items()}
        cases.append(Case(name, search.root, channels, layout="prepared"))
    return cases, rest


def read_record(search: Search, path: Path) -> dict:
    """The record beside a case. If it cannot be read, report the error and return an empty record."""
    try:
        return read_json(path)
    except CaseError as error:
        search.fail(error)
        return {}
