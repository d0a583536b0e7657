"""What a tool prints: results on standard output, messages and progress on standard error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from pathlib import Path

from mrilib import stderr, targets
from mrilib.errors import MachineError
from mrilib.results import ENDING, of_case

DONE, SOME_FAILED = 0, 1  # exit codes of a run that came to its end

_records = 1  # the descriptor of results; a duplicate of 1 from `begin` on
_end = "\n"
_level = 0  # -1 quiet, 0 default, 1 verbose


def begin(level: int, end: str) -> None:
    """Set how much is said and what ends a name, and keep the results apart from what others print.

    Keras, ITK or a child process that prints to descriptor 1 then reaches standard error.
    """
    global _records, _level, _end
    _level, _end = level, end
    sys.stdout.flush()
    _records = os.dup(1)  # not inheritable, so no child can hold the pipe open
    targets.MOVED[1] = _records  # /dev/stdout is where the results go, not what 1 is from now on
    os.dup2(2, 1)


def program() -> str:
    """The name that this executable was called by."""
    return Path(sys.argv[0]).name


def _line(text: str) -> None:
    with contextlib.suppress(OSError):  # standard error is gone: there is nobody to tell
        _erase_bar()
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
        stderr.write(f"{program()}: {safe}\n")


def complain(text: object, error: BaseException | None = None) -> None:
    """An error, always shown, one line: `mri-normalize: CASE: what (what to do)`; the trace with MRI_DEBUG=1."""
    _line(" ".join(str(text).split("\n")))
    if error is not None and os.environ.get("MRI_DEBUG") == "1":
        import traceback

        stderr.write("".join(traceback.format_exception(error)))


def say(text: object) -> None:
    """A line of information on standard error, silent with -q."""
    if _level >= 0:
        _line(str(text))


def detail(text: object) -> None:
    """A line shown with -v only."""
    if _level >= 1:
        _line(str(text))


def to_terminal() -> bool:
    """Whether the results go to a person; false in a pipe or a file."""
    return os.isatty(_records)


def write(text: str) -> None:
    """Results to standard output, whole and at once. Raises BrokenPipeError when its reader is gone."""
    try:
        targets.send(_records, text.encode("utf-8", "surrogateescape"))  # a name of bytes that are no text as it came
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MachineError(f"cannot write the results: {error.strerror}", where="standard output") from error


def write_lines(lines: list[tuple[str, str]]) -> None:
    """A report of (name, text) lines: a table for a person, `name: text` in a pipe or a file."""
    if not to_terminal():
        write("".join(f"{name}: {text}\n" if text else f"{name}\n" for name, text in lines))
        return
    from rich.table import Table

    from mrilib.evaluation.report import drawn

    table = Table(show_header=False)
    for name, text in lines:
        table.add_row(name, text)
    write(drawn([table]))


def emit(path: object) -> None:
    """One result on standard output, ended by a newline (a NUL with -0); none where the output itself went there."""
    if not targets.is_descriptor(Path(path), _records):
        write(f"{path}{_end}")


_bar = None


def _erase_bar():
    if _bar is not None:
        _bar.clear()


class _Terminal(io.TextIOBase):
    """What the bar writes to: standard error, also while TensorFlow's chatter is kept off it."""

    encoding = "utf-8"

    def fileno(self) -> int:
        with stderr.messages() as descriptor:
            return descriptor

    def write(self, text: str) -> int:
        stderr.write(text)
        return len(text)


class progress:
    """A bar on a terminal, a plain line every half minute elsewhere; silent with -q.

    with progress("train", total) as bar: bar.step(); bar.note("loss 0.3")
    """

    EVERY = 30.0

    def __init__(self, label: str, total: int | None = None, unit: str = "case"):
        self.label, self.total, self.unit = label, total, unit
        self.count, self.text, self.last = 0, "", time.monotonic()

    def __enter__(self):
        global _bar
        self.bar = None
        with stderr.messages() as descriptor:
            drawn = _level >= 0 and os.isatty(descriptor)
        if drawn:
            from tqdm import tqdm

            self.bar = _bar = tqdm(total=self.total, desc=f"{program()} {self.label}", unit=self.unit, leave=False,
                                   file=_Terminal(), dynamic_ncols=True)
        return self

    def step(self, n: int = 1) -> None:
        self.count += n
        if self.bar is not None:
            self.bar.update(n)
        elif time.monotonic() - self.last > self.EVERY:
            self.last = time.monotonic()
            of = f" of {self.total}" if self.total else ""
            say(f"{self.label} {self.count}{of} {self.unit}s{self.text and ', '}{self.text}")

    def note(self, text: str) -> None:
        self.text = text
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)

    def __exit__(self, *_):
        global _bar
        if self.bar is not None:
            self.bar.close()
            _bar = None


def give_results(results, label: str, total: int | None = None, give=None) -> int:
    """Emit the path of each (case, path or exception) in order, name each failure; returns the exit code.

    give: takes each result instead, such as the row of a table.

    A CaseError is that case's alone. A MachineError ends the run. No case at all: exit 1, "nothing to do".
    """
    done = failed = 0
    with progress(label, total) as bar:
        for case, result in results:
            if isinstance(result, ENDING):
                raise result
            if isinstance(result, BaseException):
                failed += 1
                complain(describe(case, result), result)
            else:
                done += 1
                (give or emit)(result)
            bar.step()
    if not done and not failed:
        complain("nothing to do (no names came)")
        return SOME_FAILED
    return counted(done, failed)


def counted(done: int, failed: int) -> int:
    """Say how many cases are done and how many failed; returns the exit code."""
    say(f"{done} done" + (f", {failed} failed" if failed else ""))
    return SOME_FAILED if failed else DONE


def describe(case, error: BaseException) -> str:
    """The line for a case that failed: where, what, what to do."""
    return str(of_case(case, error))
