"""What mri-score is given to score: tables, or label maps in folders, archives or by name; which, it sees itself."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mri_tools.cli import stream
from mri_tools.cli.output import complain, say
from mrilib import cases
from mrilib.errors import CaseError, UsageError
from mrilib.evaluation import tables
from mrilib.evaluation.pairing import pair_known, some
from mrilib.store import name_of, read_json


@dataclass
class Table:
    """A CSV of predictions: its text and where it came from."""

    text: str
    where: object

    @property
    def columns(self) -> list[str]:
        return next((row for row in csv.reader(io.StringIO(self.text, newline="")) if row), [])

    @property
    def ids(self) -> set[str]:
        """The cases that it names, up to where it is no table any more: who reads it whole says what is wrong."""
        found = set()
        with contextlib.suppress(csv.Error):
            for row in csv.DictReader(io.StringIO(self.text.lstrip("\r\n"), newline="")):
                found.add(row.get("case"))
        return found - {None, "case"}


@dataclass
class Maps:
    """A submission of label maps: id -> file (a path, or a member of an archive), what is wrong with the rest."""

    name: str
    files: dict[str, object] = field(default_factory=dict)
    problems: list[CaseError] = field(default_factory=list)


def apart(found: list[Table]) -> dict[str, list[Table]]:
    """The tables of each submission, by its name: tables that share no case are parts of one, such as folds; where
    some do, each is a submission (said)."""
    number = Counter(name for table in found[1:] and found for name in table.ids)
    if max(number.values(), default=0) < 2:
        return {"predictions": found}
    say(f"some tables name the same cases: each of the {len(found)} is a submission of its own")
    stems = Counter(Path(str(table.where)).stem for table in found)
    names = [str(table.where) if stems[stem := Path(str(table.where)).stem] > 1 else stem for table in found]
    if len(set(names)) < len(names):
        raise UsageError(f"{names[0]} stands there twice", remedy="name each table once")
    return {name: [table] for name, table in zip(names, found, strict=True)}


def paired(name: str, ids: Iterable[str], problems: list, truth, go_on: bool, named: bool | None = None,
           ) -> tuple[dict[str, str], int]:
    """Which of a submission's ids is of which case to be scored: {case: id}, and how many faults it has, each said.

    named: whether what is said begins with its name (as go_on, unless given). Raises UsageError when none of the ids
    is of a case, unless the others are to go on.
    """
    prefix, ids = f"{name}: " if (go_on if named is None else named) else "", list(ids)
    for error in problems:
        complain(f"{prefix}{error}", error)
    try:
        pairs, left = pair_known(ids, truth.cases)
    except UsageError as error:
        if not go_on:
            raise
        complain(f"{prefix}{error}", error)
        return {}, len(problems) + len(ids)
    if left:
        complain(f"{prefix}{len(left)} predictions are of no case in the reference: {some(left)}")
    chosen = set(truth.chosen)
    if others := len(set(pairs.values()) - chosen):
        say(f"{prefix}{others} predictions are of cases that are not to be scored")
    return {ref: mine for mine, ref in pairs.items() if ref in chosen}, len(problems) + len(left)


def say_mixed(files: Iterable[object]) -> None:
    """Say of each folder of mri-predict how many of these label maps are of another run than its recipe.json tells of:
    --force leaves them there when it is cut short, or given fewer cases. Folds, a folder each, are none."""
    from mrilib.evaluation.foreign import record

    run_of: dict[Path, str] = {}
    every, others = Counter(), Counter()
    for path in files:
        if not isinstance(path, Path) or (root := cases.recipe_root(path.parent)) is None:
            continue
        with contextlib.suppress(CaseError):  # a record that cannot be read is named where it is scored
            if root not in run_of:
                told = read_json(root / "recipe.json").get("prediction")
                run_of[root] = name_of(told) if told else ""
            if run_of[root] and (mine := record(path).get("recipe")):
                every[root] += 1
                others[root] += mine != run_of[root]
    for root in +others:
        complain(f"{root}: {others[root]} of {every[root]} label maps are of another model, or other settings, than "
                 "its recipe.json tells (run mri-predict on all cases again, or score them apart)")


def given(paths: tuple[Path, ...], null: bool = False) -> list[Table] | list[Maps]:
    """The tables, or the submissions of label maps, on the command line or standard input.

    Every folder and every zip archive is a submission; single files are one together. Raises UsageError for a mixture
    of both kinds or a name that is not there, CaseError for nothing at all.
    """
    if stream.from_stdin(paths):
        return _from_pipe(sys.stdin.buffer.read(), null)
    table_files, whole, files = [], [], []
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            whole.append(path)
        elif path.suffix.lower() == ".csv" or (path.is_file() and not cases.suffix_of(path)):
            table_files.append(path)
        elif os.path.lexists(path):
            files.append(path)
        else:
            raise UsageError("no such file or folder", where=path, remedy="check the name")
    if table_files and (whole or files):
        raise UsageError(f"{table_files[0]} is a table, {(whole + files)[0]} is none", remedy="score them one by one")
    if table_files:
        return [Table(_text(path), path) for path in table_files]
    found = [in_archive(path) if path.is_file() else in_folder(path) for path in whole]
    return _named_apart(found + ([_by_name(files)] if files else []), whole)


def _named_apart(found: list[Maps], paths: list[Path]) -> list[Maps]:
    """Submissions whose folders have one name are called by their paths. Raises UsageError for one given twice."""
    count = Counter(one.name for one in found)
    for one, path in zip(found, paths, strict=False):
        one.name = str(path) if count[one.name] > 1 else one.name
    if twice := [name for name, times in Counter(one.name for one in found).items() if times > 1]:
        raise UsageError(f"{twice[0]} stands there twice", remedy="name each submission once")
    return found


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # a link to a device would never end
        raise UsageError("is no file that can be read", where=path)
    try:
        text = tables.decoded(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from error
    if text.lstrip()[:1] in ("[", "{"):
        raise UsageError("is JSON, not a table", where=path,
                         remedy="give a CSV, case,class or case,x0,y0,x1,y1,class,score: pixels, a row for each box")
    return tables.plain(text)


def _from_pipe(data: bytes, null: bool) -> list[Table] | list[Maps]:
    if not data.strip():
        raise CaseError("nothing to do (no line came)", where="standard input")
    table = Table(tables.plain(tables.decoded(data)), "standard input")
    if "case" in table.columns and len(table.columns) > 1:
        return [table]
    names = data.removeprefix(codecs.BOM_UTF8).split(b"\0" if null else b"\n")
    return [_by_name([Path(os.fsdecode(name)) for name in names if name])]


def _by_name(names: list[Path]) -> Maps:
    """Single files, each counted from its own root; what is wrong with one is a problem of that one.

    A file that is named twice is one.
    """
    found, named = Maps("predictions"), []
    for path in {os.path.abspath(path): path for path in names}.values():
        try:
            if not path.is_file():
                raise CaseError("no such file", where=path, remedy="is it a name, or the header case,class of a table?")
            named.append((cases.of_file(path).id, path))
        except CaseError as error:
            found.problems.append(error)
    return _collected(found, named)


def in_folder(folder: Path) -> Maps:
    """The label maps in a folder; a link that leads out of it is none."""
    from mrilib.evaluation.foreign import is_beside, leads_out

    root = cases.recipe_root(folder) or folder
    found, named = Maps(folder.resolve().name or str(folder)), []
    inside = list(_files(folder, found.problems))
    maps = {str(path)[: len(str(path)) - len(cases.suffix_of(path))] for path in inside if cases.suffix_of(path)}
    beside = [path for path in inside if is_beside(path.as_posix(), maps)]
    _say_beside(folder, [path.relative_to(folder).as_posix() for path in beside
                         if str(path).removesuffix(".json") not in maps and path.name != "recipe.json"])
    for path in (path for path in inside if path not in set(beside)):
        try:
            if path.is_symlink() and leads_out(path, folder):
                raise CaseError("is a link that leads out of the submission", where=path,
                                remedy="copy the file itself there, or name the files one by one")
            if not path.is_file():
                raise CaseError("is no file that can be read", where=path)
            if path.suffix.lower() == ".csv":
                raise CaseError("is a table, in a folder that is taken for label maps", where=path,
                                remedy=f"name tables one by one, as {folder}/*.csv")
            named.append((cases.of_file(path, root).id, path))
        except CaseError as error:
            found.problems.append(error)
    return _collected(found, named)


def _say_beside(where: Path, names: list[str]) -> None:
    """One line on the files that other tools write beside label maps."""
    if names:
        say(f"{where}: {len(names)} files beside the label maps are left out: {some(names, 4)}")


def _files(folder: Path, problems: list[CaseError]) -> Iterator[Path]:
    """Every file that may be a label map, in sorted order; hidden ones are left out.

    A folder that is a link is not followed.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        problems.append(CaseError(f"cannot be opened: {error.strerror}", where=folder, remedy="check its permissions"))
        return
    for path in inside:
        if path.name.startswith(".") or path.name == "__MACOSX":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, problems)
        elif not path.is_dir():
            yield path
        else:
            problems.append(CaseError("is a link to a folder and is not followed", where=path,
                                      remedy="copy the folder itself there"))


def in_archive(path: Path) -> Maps:
    """The label maps in a zip archive, nothing unpacked; one folder around all of them is no part of the ids."""
    from mrilib.evaluation.foreign import checked_members

    found = Maps(path.stem)
    try:
        members, found.problems, beside = checked_members(path)
    except CaseError as error:
        found.problems.append(error)
        return found
    _say_beside(path, beside)
    tops = {name.split("/")[0] for name in members if "/" in name}
    around = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in members) else ""
    named = [(name[len(around) : len(name) - len(cases.suffix_of(name))], member) for name, member in members.items()]
    return _collected(found, named)


def _collected(found: Maps, named: list[tuple[str, object]]) -> Maps:
    """Files by id; two files for one id are no prediction."""
    by_id = defaultdict(list)
    for name, path in named:
        by_id[name].append(path)
    for name, paths in by_id.items():
        if len(paths) > 1:
            called = ", ".join(str(p).split("/")[-1] for p in paths)
            found.problems.append(CaseError(f"{len(paths)} files for one case: {called}", where=name,
                                            remedy="give one prediction a case"))
        else:
            found.files[name] = paths[0]
    return found
