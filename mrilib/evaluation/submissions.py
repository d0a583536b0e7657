"""Submissions: the tables of predictions, or the label maps in folders, archives or by name, that are to be scored."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mrilib import cases, tables
from mrilib.errors import CaseError, UsageError
from mrilib.evaluation.pairing import some
from mrilib.store import csv_of, name_of, read_json

COLUMNS = ("case", "x0", "y0", "x1", "y1", "class", "score")  # of a table of boxes

log = logging.getLogger("mrilib")


class Table(NamedTuple):
    """A CSV of predictions: its text and where it came from."""

    text: str
    where: object

    @property
    def columns(self) -> list[str]:
        return next((row for row in csv.reader(io.StringIO(self.text, newline="")) if row), [])

    @property
    def ids(self) -> set[str]:
        """The cases in the table, up to the first line that is no row; tables.read reports that line."""
        names = set()
        with contextlib.suppress(csv.Error):
            for row in csv.DictReader(io.StringIO(self.text.lstrip("\r\n"), newline="")):
                names.add(row.get("case"))
        return names - {None, "case"}


@dataclass
class Tables:
    """A submission of one table, or of several that share no case, such as folds."""

    name: str
    tables: list[Table]

    @property
    def columns(self) -> list[str]:
        return self.tables[0].columns


@dataclass
class Detections(Tables):
    """A submission of boxes in the form of another program, which the reference is needed to read (see detections).

    results: COCO results, (where, content) each. texts: YOLO texts by their path below a folder without suffix.
    """

    results: list[tuple[object, object]] = field(default_factory=list)
    texts: dict[str, Path] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        return list(COLUMNS)


@dataclass
class Maps:
    """A submission of label maps: id -> file (a path, or a member of an archive), and the errors of other files."""

    name: str
    files: dict[str, object] = field(default_factory=dict)
    problems: list[CaseError] = field(default_factory=list)


Submission = Tables | Maps


def read(predictions: object) -> list[Submission]:
    """The submissions in a path, several paths, or rows of a table; a list of submissions as it is.

    A folder or zip archive is a submission of label maps, and so are all single files together. Tables that share no
    case are one submission. Raises UsageError for a mixture of both kinds or a missing file, CaseError for nothing.
    """
    if isinstance(predictions, str | os.PathLike):
        return _of_paths([Path(predictions)])
    items = list(predictions)
    if items and isinstance(items[0], Submission):
        return items
    if items and isinstance(items[0], dict):
        return of_tables([Table(csv_of(items), "predictions")])
    if not items:
        raise CaseError("nothing to do (no prediction was given)")
    return _of_paths([Path(path) for path in items])


def of_bytes(data: bytes, where: str, null: bool = False) -> list[Submission]:
    """The submission in a table, or in names of label maps with a newline (null: a NUL) after each."""
    if not data.strip():
        raise CaseError("nothing to do (no line came)", where=where)
    if data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{"):
        return of_results([(where, _json(tables.decoded(data), where))])
    table = Table(tables.plain(tables.decoded(data)), where)
    if "case" in table.columns and len(table.columns) > 1:
        return of_tables([table])
    names = data.removeprefix(codecs.BOM_UTF8).split(b"\0" if null else b"\n")
    paths = [Path(os.fsdecode(name)) for name in names if name]
    return [of_texts(paths)] if all(map(_is_text, paths)) else [_by_name(paths)]


def _of_paths(paths: list[Path]) -> list[Submission]:
    table_files, whole, files, results, texts, single = [], [], [], [], [], []
    for path in paths:
        if path.is_dir() and (inside := _texts_in(path)):
            texts.append(Detections(path.resolve().name, [], texts=inside))
        elif path.suffix.lower() == ".json" and path.is_file():
            results.append((path, _json(_text(path), path)))
        elif _is_text(path):
            single.append(path)
        elif path.is_dir() or path.suffix.lower() == ".zip":
            whole.append(path)
        elif path.suffix.lower() == ".csv" or (path.is_file() and not cases.suffix_of(path)):
            table_files.append(path)
        elif os.path.lexists(path):
            files.append(path)
        else:
            raise UsageError("no such file or folder", where=path, remedy="check the name")
    if table_files and (whole or files):
        raise UsageError(f"{table_files[0]} is a table, {(whole + files)[0]} is none", remedy="score them one by one")
    texts += [of_texts(single)] if single else []
    if (results or texts) and (table_files or whole or files):
        raise UsageError("boxes of COCO or YOLO, and predictions of another kind", remedy="score them one by one")
    if results or texts:
        return _named_apart([*(of_results(results) if results else []), *texts], [])
    if table_files:
        return of_tables([Table(_table_text(path), path) for path in table_files])
    submissions: list = [in_archive(path) if path.is_file() else in_folder(path) for path in whole]
    return _named_apart(submissions + ([_by_name(files)] if files else []), whole)


def of_results(found: list[tuple[object, object]]) -> list[Submission]:
    """The submissions in JSON: rows of a table, or COCO results. Those that share no image are parts of one."""
    if all(isinstance(content, list) and content and isinstance(content[0], dict) and "case" in content[0]
           for _, content in found):
        return [one for _, content in found for one in read(content)]
    ids = Counter(number for _, content in found for number in _image_ids(content))
    if max(ids.values(), default=0) < 2:
        return [Detections("predictions", [], results=found)]
    return [Detections(Path(str(where)).stem, [], results=[(where, content)]) for where, content in found]


def of_texts(paths: list[Path]) -> Detections:
    """The submission in YOLO texts by name, named from the folder around all of them."""
    top = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    return Detections("predictions", [], texts={path.absolute().relative_to(top).with_suffix("").as_posix(): path
                                                for path in paths})


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and path.is_file()


def _image_ids(content: object) -> set[str]:
    entries = content.get("annotations") if isinstance(content, dict) else content
    return {str(entry.get("image_id")) for entry in entries or () if isinstance(entry, dict)}


def _json(text: str, where: object) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"is no JSON that can be read: {error}", where=where,
                         remedy="give COCO results, or a CSV case,class or case,x0,y0,x1,y1,class,score") from error


def _texts_in(folder: Path) -> dict[str, Path]:
    """The YOLO texts of a folder without images and tables, by path without suffix; empty for another folder."""
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if any(cases.suffix_of(path) or path.suffix.lower() == ".csv" for path in inside):
        return {}
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in inside
            if path.suffix.lower() == ".txt" and path.name != "classes.txt"}


def of_tables(parts: list[Table]) -> list[Tables]:
    """The submissions in tables: those that share no case are one; where some share a case, each is its own."""
    number = Counter(name for table in parts[1:] and parts for name in table.ids)
    if max(number.values(), default=0) < 2:
        return [Tables("predictions", parts)]
    log.info("some tables name the same cases: each of the %d is a submission of its own", len(parts))
    return _named_apart([Tables(Path(str(table.where)).stem, [table]) for table in parts], [t.where for t in parts])


def _named_apart(submissions: list, paths: list) -> list:
    """Submissions, of which those that share a name are called by their paths. Raises UsageError for one twice."""
    count = Counter(one.name for one in submissions)
    for one, path in zip(submissions, paths, strict=False):
        one.name = str(path) if count[one.name] > 1 else one.name
    if twice := [name for name, times in Counter(one.name for one in submissions).items() if times > 1]:
        raise UsageError(f"{twice[0]} is named twice", remedy="name each submission once")
    return submissions


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # a link to a device would never end
        raise UsageError("is no file that can be read", where=path)
    return tables.text_of(path)


def _table_text(path: Path) -> str:
    text = _text(path)
    if text.lstrip()[:1] in ("[", "{"):
        raise UsageError("is JSON, not a table", where=path, remedy="end the name of COCO results with .json")
    return tables.plain(text)


def _by_name(names: list[Path]) -> Maps:
    """Single files, the id of each counted from its own root; a file that is named twice is one."""
    submission, named = Maps("predictions"), []
    for path in {os.path.abspath(path): path for path in names}.values():
        try:
            if not path.is_file():
                raise CaseError("no such file", where=path, remedy="is it a name, or the header case,class of a table?")
            named.append((cases.of_file(path).id, path))
        except CaseError as error:
            submission.problems.append(error)
    return _collected(submission, named)


def in_folder(folder: Path) -> Maps:
    """The label maps in a folder. A link that leads out of it is refused."""
    from mrilib.evaluation import foreign

    root = cases.recipe_root(folder) or folder
    submission, named = Maps(folder.resolve().name or str(folder)), []
    inside = list(_files(folder, submission.problems))
    maps = {str(path)[: len(str(path)) - len(cases.suffix_of(path))] for path in inside if cases.suffix_of(path)}
    beside = {path for path in inside if foreign.is_beside(path.as_posix(), maps)}
    _tell_beside(folder, [path.relative_to(folder).as_posix() for path in sorted(beside)
                          if str(path).removesuffix(".json") not in maps and path.name != "recipe.json"])
    for path in (path for path in inside if path not in beside):
        try:
            if path.is_symlink() and foreign.leads_out(path, folder):
                raise CaseError("is a link that leads out of the submission", where=path,
                                remedy="copy the file itself there, or name the files one by one")
            if not path.is_file():
                raise CaseError("is no file that can be read", where=path)
            if path.suffix.lower() == ".csv":
                raise CaseError("is a table, in a folder that is taken for label maps", where=path,
                                remedy=f"name tables one by one, as {folder}/*.csv")
            named.append((cases.of_file(path, root).id, path))
        except CaseError as error:
            submission.problems.append(error)
    return _collected(submission, named)


def _files(folder: Path, problems: list[CaseError]) -> Iterator[Path]:
    """Every file of a folder that is not hidden, in sorted order. A folder that is a link is not followed."""
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


def _tell_beside(where: Path, names: list[str]) -> None:
    """One line on the files that other tools write beside label maps."""
    if names:
        log.info("%s: %d files beside the label maps are left out: %s", where, len(names), some(names, 4))


def in_archive(path: Path) -> Maps:
    """The label maps in a zip archive, nothing unpacked. One folder around all of them is no part of the ids."""
    from mrilib.evaluation import foreign

    submission = Maps(path.stem)
    try:
        members, submission.problems, beside = foreign.checked_members(path)
    except CaseError as error:
        submission.problems.append(error)
        return submission
    _tell_beside(path, beside)
    tops = {name.split("/")[0] for name in members if "/" in name}
    around = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in members) else ""
    named = [(name[len(around) : len(name) - len(cases.suffix_of(name))], member) for name, member in members.items()]
    return _collected(submission, named)


def _collected(submission: Maps, named: list[tuple[str, object]]) -> Maps:
    """The submission with its files by id. Two files of one id are an error and no prediction."""
    by_id = defaultdict(list)
    for name, path in named:
        by_id[name].append(path)
    for name, paths in by_id.items():
        if len(paths) > 1:
            listed = ", ".join(str(p).split("/")[-1] for p in paths)
            submission.problems.append(CaseError(f"{len(paths)} files for one case: {listed}", where=name,
                                                 remedy="give one prediction a case"))
        else:
            submission.files[name] = paths[0]
    return submission


def tell_mixed(files: Iterable[object]) -> None:
    """Warn of each folder of mri-predict in which label maps are of another run than its recipe.json tells of: --force
    leaves them there when it is interrupted, or given fewer cases. Folds have a folder each."""
    from mrilib.evaluation import foreign

    run_of: dict[Path, str] = {}
    every, others = Counter(), Counter()
    for path in files:
        if not isinstance(path, Path) or (root := cases.recipe_root(path.parent)) is None:
            continue
        with contextlib.suppress(CaseError):  # a record that cannot be read is named where it is scored
            if root not in run_of:
                prediction = read_json(root / "recipe.json").get("prediction")
                run_of[root] = name_of(prediction) if prediction else ""
            if run_of[root] and (recipe := foreign.record(path).get("recipe")):
                every[root] += 1
                others[root] += recipe != run_of[root]
    for root in +others:
        log.warning("%s: %d of %d label maps are of another model, or other settings, than its recipe.json tells (run "
                    "mri-predict on all cases again, or score them apart)", root, others[root], every[root])
