"""Whatever a caller names as cases: paths, names, cases that were found before, or any mixture of these."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mrilib.cases import Unused, find
from mrilib.cases.case import Case, Reading
from mrilib.errors import CaseError, UsageError
from mrilib.unused import tell

Source = str | os.PathLike | Case | Iterable  # of the same


def each(source: Source, *, layout: str | Reading | None = None,
         root: Path | None = None) -> Iterator[Case | CaseError]:
    """The cases of a source one by one; what is wrong with one takes its place as an error.

    layout, root: as in `find`, of what is named by a path. Files that no case uses are named in the log. Raises
    UsageError for a path that does not exist.
    """
    if isinstance(source, str | os.PathLike):
        if not os.path.lexists(source):
            raise UsageError("no such file or folder", where=source, remedy="check the name")
        failed: list[CaseError] = []
        cases = list(find([Path(source)], layout, root, on_error=failed.append, on_unused=note))
        yield from failed
        yield from cases
    elif isinstance(source, Case | CaseError):
        yield source
    else:
        for part in source:
            yield from each(part, layout=layout, root=root)


def note(unused: Unused) -> None:
    """Log in one line the files of a folder that no case uses: a warning, which a notebook shows."""
    tell(unused, level=logging.WARNING)


def cases_of(source: Source, on_error: Callable[[CaseError], object], layout: str | Reading | None = None,
             root: str | Path | None = None) -> list[Case]:
    """All cases of a source, of which either all are cases or all are paths. Others: as in `find`."""
    parts: list = [source] if isinstance(source, str | os.PathLike | Case) else list(source)
    if all(isinstance(part, Case) for part in parts):
        return parts
    return list(find(map(Path, parts), layout, None if root is None else Path(root), on_error=on_error))


def folders_of(source: Source) -> list[Path]:
    """The paths that a source names, without following it: none for cases and for what can be gone through once."""
    if isinstance(source, str | os.PathLike):
        return [Path(source)]
    if isinstance(source, list | tuple):
        return [path for part in source for path in folders_of(part)]
    return []
