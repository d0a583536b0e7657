"""The case stream: cases from the command line, or from names on standard input as they come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mri_tools.cli.output import complain, say
from mrilib import cases
from mrilib.errors import CaseError, UsageError

if TYPE_CHECKING:
    from mrilib.cases import Case, Unused

STDIN = Path("-")


def from_stdin(paths: tuple[Path, ...]) -> bool:
    """Whether names come down a pipe. Raises UsageError when nothing is given and a person sits there."""
    if paths and paths != (STDIN,):
        if STDIN in paths:
            raise UsageError("- (standard input) cannot be joined with other names")
        return False
    if not paths and os.isatty(0):
        raise UsageError("no input", remedy="name files or folders, or pipe names in; see --help")
    return True


def names(null: bool = False) -> Iterator[Path]:
    """The names on standard input, each as soon as it is there."""
    end, rest = (b"\0" if null else b"\n"), b""
    while block := os.read(0, 1 << 16):
        *lines, rest = (rest + block).split(end)
        yield from (Path(os.fsdecode(line)) for line in lines if line)
    if rest:
        yield Path(os.fsdecode(rest))


def briefly(unused: Unused) -> None:
    """Say in one line what no case of a folder uses."""
    from mrilib.unused import tell

    tell(unused)


def in_full(unused: Unused) -> None:
    """Say what no case of a folder uses, a line for each kind of file."""
    from mrilib.unused import notes

    for note in notes(unused):
        say(note)


def report_of(dry_run: bool):
    """How to report unused files: in full in a dry run, else in one line."""
    return in_full if dry_run else briefly


def each(paths, *, null=False, root=None, layout=None, on_unused=briefly) -> Iterator[Case | CaseError]:
    """Cases one by one, in input order; what is wrong with one takes its place as an error.

    The command line is looked through wholly before the first is given; a pipe is followed as it goes. on_unused takes
    the files of each folder that no case uses.
    """
    if not from_stdin(paths):
        looked, failed = _look(paths, layout, root, on_unused)
        yield from failed
        yield from looked
        return
    for name in names(null):
        try:
            yield from cases.find([name], layout, root, on_unused=on_unused)
        except (CaseError, UsageError) as error:
            yield error.as_kind(CaseError, name)


def gather(paths, *, null=False, root=None, layout=None, on_unused=briefly) -> tuple[list[Case], list[CaseError]]:
    """All cases at once, for a tool that must see them together, and what is wrong with the rest (already named).

    Raises UsageError when there is none.
    """
    if from_stdin(paths):
        looked, failed = _look(list(names(null)), layout, root, on_unused, strict=False)
    else:
        looked, failed = _look(paths, layout, root, on_unused)
    for error in failed:
        complain(error, error)
    if not looked:
        raise CaseError("nothing to do (no case came)")
    return looked, failed


def _look(paths, layout, root, on_unused, strict: bool = True) -> tuple[list[Case], list[CaseError]]:
    """The cases below paths; strict: a name that is not there is wrong use, not a bad case."""
    if strict:
        for path in paths:
            if not os.path.lexists(path):
                raise UsageError("no such file or folder", where=path, remedy="check the name")
    def tell(unused):  # of a folder without a case there is no report to stand in
        (on_unused if unused.cases else in_full)(unused)

    failed: list[CaseError] = []
    return list(cases.find(paths, layout, root, on_error=failed.append, on_unused=tell)), failed
