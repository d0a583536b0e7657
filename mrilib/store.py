"""Files that are whole or not there, and the record ID.json that stands beside every case we write."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from mrilib import targets
from mrilib.errors import CaseError

UNFINISHED: set[Path] = set()  # temporary files open now; a worker whose parent died removes them


@contextlib.contextmanager
def whole(path: Path, *, sync: bool = False, suffix: str = "") -> Iterator[Path]:
    """Give a temporary path; put what the block made there in the place of `path` when it ends well, else remove it.

    A regular file is made beside its place and renamed; a link stays, and what it leads to is replaced; mode and owner
    stay. What is no regular file, a device, FIFO, socket or /dev/stdout, takes the finished bytes instead: these are
    made in the system's folder of temporary files. The block makes a file, or a folder: one that has come to be at
    `path` meanwhile is kept, ours dropped. The temporary name starts with `.PID.` and keeps the suffix, from which
    ITK picks its writer; suffix: its own, where path has none. sync: also force the bytes to disk first (models,
    checkpoints). A full or read-only disk is a MachineError.
    """
    path = Path(path)
    target = targets.find(path)
    suffix = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix or suffix
    name = target.file.name + ("" if target.file.name.endswith(suffix) else suffix)
    if target.direct:
        with _temporary_folder() as folder:
            yield folder / name
            targets.copy(folder / name, target)
        return
    folder = target.file.parent
    temporary = folder / f".{os.getpid()}.{name}"
    with targets.machine_errors(path):
        try:
            targets.make_folder(path.parent)
            remove_abandoned(folder / name)
            UNFINISHED.add(temporary)
            if target.status is not None and stat.S_ISREG(target.status.st_mode):
                _make_empty(temporary, target.status)
            yield temporary
            if sync:
                with open(temporary, "rb") as file:
                    os.fsync(file.fileno())
            targets.put_in_place(temporary, target)
            if sync:
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        finally:
            UNFINISHED.discard(temporary)
            remove(temporary)  # after the rename it is gone already


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="mri-"))
    UNFINISHED.add(folder)
    try:
        with targets.machine_errors(folder):
            yield folder
    finally:
        UNFINISHED.discard(folder)
        remove(folder)


def _make_empty(temporary: Path, status: os.stat_result) -> None:
    """Make the file with the mode that the finished one is to have: nobody else may read it while it is written."""
    remove(temporary)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(status.st_mode) | stat.S_IWUSR))


@contextlib.contextmanager
def text_stream(path: Path) -> Iterator[Callable[[str], object]]:
    """Give a function that takes the text of a file piece by piece.

    A device, FIFO or socket gets each piece at once; a regular file is whole, as `whole` says, or not there.
    """
    target = targets.find(path)
    if target.direct:
        with targets.opened(target) as put:
            yield lambda text: put(text.encode("utf-8", "surrogateescape"))
        return
    with whole(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield file.write


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` whose process is gone (it was killed in the middle)."""
    for old in _unfinished_in(path.parent).get(path.name, ()):
        if not _alive(int(old.name.split(".")[1])):
            remove(old)


def remove(temporary: Path) -> None:
    """Remove a file, or a folder with all it holds, that may be gone already."""
    if temporary.is_dir():
        import shutil

        shutil.rmtree(temporary, ignore_errors=True)
    with contextlib.suppress(OSError):
        temporary.unlink()


@lru_cache(maxsize=256)
def _unfinished_in(folder: Path) -> dict[str, list[Path]]:
    """The temporary files in a folder, by the name they were to have; looked up once, for folders grow large."""
    by_name: dict[str, list[Path]] = {}
    for name in os.listdir(folder):
        empty, pid, rest = name.split(".", 2) if name.count(".") > 1 else ("-", "", "")
        if not empty and pid.isdigit():
            by_name.setdefault(rest, []).append(folder / name)
    return by_name


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with text_stream(path) as put:
        put(text)


def csv_text(rows: Iterable[Iterable]) -> str:
    """Rows as the text of a CSV; names come back as they went, whatever is in them."""
    line, lines = io.StringIO(newline=""), []
    table = csv.writer(line, lineterminator="\r\n")  # else a carriage return in a name is not quoted
    for row in rows:
        line.seek(line.truncate(0))
        table.writerow(row)
        lines.append(line.getvalue()[:-2] + "\n")
    return "".join(lines)


def csv_of(rows: Sequence[Mapping]) -> str:
    """Rows by column as the text of a CSV with a header; None is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return csv_text([columns, *([row.get(name) for name in columns] for row in rows)])


def write_json(path: Path, record: dict) -> None:
    """Write a JSON file whole or not at all; NaN is refused, for other readers stumble over it."""
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """The record in a JSON file. Raises CaseError when it is missing, cut or not an object."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CaseError(f"cannot read this record: {error}", where=path,
                        remedy="make the case again with --force") from error
    if not isinstance(record, dict):
        raise CaseError("is not a record of this suite", where=path)
    return record


def record_path(root: Path, case_id: str) -> Path:
    """Where the record of a case lies: root/ID.json."""
    return Path(root) / f"{case_id}.json"


def of_case(root: Path, case_id: str) -> dict:
    """What this suite has noted of a case beside it; empty for a case as given, whatever JSON may lie there.

    Raises CaseError for a record that cannot be read.
    """
    path = record_path(root, case_id)
    return read_json(path) if path.is_file() and (Path(root) / "recipe.json").is_file() else {}


def stamp(path: Path) -> dict:
    """What tells whether a file changed: its path, size and time. Raises CaseError when it is not there."""
    try:
        status = os.stat(path)
    except OSError as error:
        what = "is a dangling link" if os.path.islink(path) else f"cannot be read: {error.strerror}"
        raise CaseError(what, where=path, remedy="check the name") from error
    return {"path": str(Path(path).absolute()), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def content_hash(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of a case's files, in their order: the same content, whatever its name."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def name_of(settings: dict | list) -> str:
    """16 hex digits that name settings, the same before and after they stood in a JSON file."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def is_complete(record: dict, root: Path, sources: list[dict], recipe_hash: str) -> bool:
    """Whether a record is of finished work of this recipe on these inputs, whose outputs are complete."""
    same = record.get("recipe") == recipe_hash and record.get("source") == sources
    return same and bool(record.get("outputs")) and have_sizes(root, record["outputs"])


def have_sizes(folder: Path, sizes: dict[str, int]) -> bool:
    """Whether all these files exist below a folder, each with its size in bytes."""
    try:
        return all(os.stat(Path(folder) / name).st_size == size for name, size in sizes.items())
    except OSError:
        return False
