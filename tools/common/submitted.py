"""What mri-score is given to score: tables of classes, or label maps in folders or by name; which, it sees itself."""

from __future__ import annotations

import codecs
import csv
import io
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mri_tools.common import stream
from mrilib import cases
from mrilib.errors import CaseError, UsageError
from mrilib.records import read_csv


@dataclass
class Table:
    """A CSV of predictions: its text and where it came from."""

    text: str
    where: object


@dataclass
class Maps:
    """A submission of label maps: id -> file, what is wrong with the rest."""

    name: str
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[CaseError] = field(default_factory=list)


def given(paths: tuple[Path, ...], null: bool = False) -> list[Table] | list[Maps]:
    """The tables, or the submissions of label maps, on the command line or standard input.

    Every folder is a submission; single files are one together. Raises UsageError for a mixture of both kinds or a
    name that is not there, CaseError for nothing at all.
    """
    if stream.from_stdin(paths):
        return _from_pipe(sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8), null)
    tables, folders, files = [], [], []
    for path in paths:
        if path.suffix.lower() == ".csv" or (path.is_file() and not cases.suffix_of(path)):
            tables.append(path)
        elif path.is_dir():
            folders.append(path)
        elif os.path.lexists(path):
            files.append(path)
        else:
            raise UsageError("no such file or folder", where=path, remedy="check the name")
    if tables and (folders or files):
        raise UsageError(f"{tables[0]} is a table, {(folders + files)[0]} is none", remedy="score them one by one")
    if tables:
        return [Table(_text(path), path) for path in tables]
    found = [_in_folder(path) for path in folders]
    return found + [_by_name(files)] if files else found


def _text(path: Path) -> str:
    try:
        return read_csv(path)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from error


def _from_pipe(data: bytes, null: bool) -> list[Table] | list[Maps]:
    if not data.strip():
        raise CaseError("nothing to do (no line came)", where="standard input")
    text = data.decode("utf-8", "surrogateescape")
    header = next(csv.reader(io.StringIO(text, newline="")), [])
    if "case" in header and len(header) > 1:
        return [Table(text, "standard input")]
    names = [Path(os.fsdecode(name)) for name in data.split(b"\0" if null else b"\n") if name]
    return [_by_name(names)]


def _by_name(names: list[Path]) -> Maps:
    """Single files, each counted from its own root; what is wrong with one is a problem of that one."""
    found = Maps("predictions")
    named = []
    for path in names:
        try:
            if not path.is_file():
                raise CaseError("no such file", where=path, remedy="check the name")
            named.append((cases.of_file(path).id, path))
        except CaseError as error:
            found.problems.append(error)
    return _collected(found, named)


def _in_folder(folder: Path) -> Maps:
    root = cases.recipe_root(folder) or folder
    found = Maps(folder.name or str(folder))
    named = []
    for path in _files(folder, found.problems):
        try:
            named.append((cases.of_file(path, root).id, path))
        except CaseError as error:
            found.problems.append(error)
    return _collected(found, named)


def _files(folder: Path, problems: list[CaseError]) -> Iterator[Path]:
    """Every file that may be a label map, in sorted order; hidden ones and our own records are left out."""
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        problems.append(CaseError(f"cannot be opened: {error.strerror}", where=folder, remedy="check its permissions"))
        return
    for path in inside:
        if path.name.startswith(".") or path.name == "__MACOSX" or path.suffix == ".json":
            continue
        if path.is_dir():
            yield from _files(path, problems)
        else:
            yield path


def _collected(found: Maps, named: list[tuple[str, Path]]) -> Maps:
    """Files by id; two files for one id are no prediction."""
    by_id = defaultdict(list)
    for name, path in named:
        by_id[name].append(path)
    for name, paths in by_id.items():
        if len(paths) > 1:
            found.problems.append(CaseError(f"{len(paths)} files for one case: {', '.join(p.name for p in paths)}",
                                            where=name, remedy="give one prediction a case"))
        else:
            found.files[name] = paths[0]
    return found
