"""Standard error, kept in reach of messages while a library that chats there is silenced.

TensorFlow's libraries write to descriptor 2 when they load, whatever is asked of them. `silenced` redirects that
descriptor; meanwhile other threads report failures and start processes. They write to `messages()`, the descriptor
that was not redirected. Whatever else arrived on descriptor 2 is written out at the end, except the chatter.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator

_switching = threading.RLock()  # held while descriptor 2 changes or is written to, not while a library loads
_kept: int | None = None  # what descriptor 2 was before it was redirected
_depth = 0


@contextlib.contextmanager
def messages() -> Iterator[int]:
    """The descriptor of standard error for one message or one start of a process; never the redirected one."""
    with _switching:
        yield 2 if _kept is None else _kept


def write(text: str) -> None:
    """Write a message to standard error, whole. Raises OSError when nobody can take it."""
    data = text.encode("utf-8", "backslashreplace")  # a name may hold bytes that are no text
    with messages() as descriptor:
        while data:
            data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def silenced(chatter: re.Pattern[str]) -> Iterator[Callable[[], str]]:
    """Redirect descriptor 2, and write out at the end every line that `chatter` does not match.

    Gives a function that returns the last line written so far, for an error message. May be nested or entered by
    several threads at once; the first redirects, the last restores.
    """
    file = _redirect()
    try:
        yield lambda: (_lines(file) or [""])[-1].strip()
    finally:
        _restore(file, chatter)


_file = None  # the file that descriptor 2 is redirected to


def _redirect():
    global _kept, _depth, _file
    with _switching:
        if _depth == 0:
            import tempfile  # here, for every --help imports this module

            sys.stderr.flush()
            _file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the last that leaves
            _kept = os.dup(2)
            os.dup2(_file.fileno(), 2)
        _depth += 1
        return _file


def _restore(file, chatter: re.Pattern[str]) -> None:
    global _kept, _depth
    with _switching:
        _depth -= 1
        if _depth:
            return
        sys.stderr.flush()
        os.dup2(_kept, 2)
        os.close(_kept)
        _kept = None
        rest = [line for line in _lines(file) if line.strip() and not chatter.match(line)]
        file.close()
    if rest:
        with contextlib.suppress(OSError):  # standard error is gone: there is nobody to tell
            write("\n".join(rest) + "\n")


def _lines(file) -> list[str]:
    """What was written to the file so far; read at a place of its own, so that writers are not disturbed."""
    data = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
    return data.decode("utf-8", "backslashreplace").splitlines()
