"""The one main: descriptors, signals, errors in one line, exit codes, progress."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
import time
from pathlib import Path

import click

from mrilib import stderr, targets
from mrilib.errors import CaseError, MachineError, MriError, UsageError

DONE, SOME_FAILED, WRONG_USE, MACHINE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 3, 130, 141
ENDING = (MachineError, UsageError, MemoryError, KeyboardInterrupt)  # errors of a case that end the run of all

_records = 1  # the descriptor of results; a duplicate of 1 once the options are parsed
_end = "\n"
_level = 0  # -1 quiet, 0 usual, 1 verbose


def entry(command: click.Command):
    """The function that an executable calls: runs a click command with the manners of the suite."""
    work = command.callback

    def callback(**given):
        global _level, _end
        quiet, verbose = given.pop("quiet", False), given.pop("verbose", False)
        _level = -1 if quiet else int(verbose)
        _end = "\0" if given.get("null") else "\n"
        settings = given.pop("write_config", None)
        _guard_descriptors()
        logging.getLogger("mrilib").addHandler(_Messages())
        logging.getLogger("mrilib").setLevel(logging.DEBUG)
        try:
            if settings:
                from mri_tools.cli.options import write_config

                write_config(settings, click.get_current_context())
            return work(**given)
        except BrokenPipeError as error:  # click's main would make it exit 1
            raise _ReaderGone from error

    command.callback = callback

    def run():
        code = _main(command)
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)  # a thread that still waits for names on standard input must not hold us up

    return run


class _Messages(logging.Handler):
    """The library's messages: a line each, those of level debug with -v, warnings always."""

    def emit(self, record: logging.LogRecord) -> None:
        give = complain if record.levelno >= logging.WARNING else say if record.levelno >= logging.INFO else detail
        give(record.getMessage())


class _ReaderGone(Exception):
    """Nobody reads the results any more."""


def _guard_descriptors() -> None:
    """Keep the results apart: Keras, ITK or a child that prints to descriptor 1 reaches standard error."""
    global _records
    sys.stdout.flush()
    _records = os.dup(1)  # not inheritable, so no child can hold the pipe open
    targets.MOVED[1] = _records  # /dev/stdout is where the results go, not what 1 is from now on
    os.dup2(2, 1)


def program() -> str:
    return Path(sys.argv[0]).name


def _main(command: click.Command) -> int:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = command.main(prog_name=program(), standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        return INTERRUPTED
    except (_ReaderGone, BrokenPipeError):
        return _drop_output(PIPE_CLOSED)
    except click.UsageError as error:
        hint = f" (see {program()} --help)"
        return _fail(error.format_message().rstrip(".").replace("\n", " ") + hint, WRONG_USE, error)
    except click.ClickException as error:
        return _fail(error.format_message(), WRONG_USE, error)
    except UsageError as error:
        return _fail(str(error), WRONG_USE, error)
    except MachineError as error:
        return _fail(str(error), MACHINE, error)
    except MriError as error:
        return _fail(str(error), SOME_FAILED, error)
    except MemoryError as error:
        return _fail("out of memory (fewer --jobs, or a smaller size)", MACHINE, error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENOMEM):
            return _drop_output(_fail(f"{error.filename or 'output'}: {error.strerror}", MACHINE, error))
        return _fail(str(error), SOME_FAILED, error)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else SOME_FAILED
    except Exception as error:  # noqa: BLE001  the last net: a line instead of a trace, and never exit 0
        return _fail(f"unexpected {type(error).__name__}: {error} (MRI_DEBUG=1 shows where; please report it)",
                     SOME_FAILED, error)


def _terminate(number, frame):
    raise SystemExit(128 + number)


def _drop_output(code: int) -> int:
    """Nobody takes what is left in the buffer of standard output: do not trip over it at the end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _fail(text: str, code: int, error: BaseException) -> int:
    complain(text, error)
    return code


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


@contextlib.contextmanager
def wrong_use():
    """What is wrong with a file that an option names is wrong use, no bad case: it goes on as a UsageError."""
    try:
        yield
    except CaseError as error:
        raise UsageError(error.what, where=error.where, remedy=error.remedy) from error


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


def give_results(results, label: str, total: int | None = None) -> int:
    """Emit the path of each (case, path or exception) in order, name each failure; returns the exit code.

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
                emit(result)
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
    if isinstance(error, CaseError) and error.where is not None:
        return str(error)
    where = f"{case.path if hasattr(case, 'path') else case}: " if case is not None else ""
    if isinstance(error, MriError):
        return f"{where}{error}"
    return f"{where}unexpected {type(error).__name__}: {error} (MRI_DEBUG=1 shows where; please report it)"
