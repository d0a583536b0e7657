"""The one main of all tools: descriptors, signals, exit codes, and errors in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys

import click

from mri_tools.cli import output
from mri_tools.cli.output import DONE, SOME_FAILED, complain, program
from mrilib.errors import MachineError, MriError, UsageError

WRONG_USE, MACHINE, INTERRUPTED, PIPE_CLOSED = 2, 3, 130, 141


def entry(command: click.Command):
    """The function that an executable calls: runs a click command with the manners of the suite."""
    work = command.callback

    def callback(**options):
        from mri_tools.cli.messages import listen

        quiet, verbose = options.pop("quiet", False), options.pop("verbose", False)
        settings = options.pop("write_config", None)
        output.begin(-1 if quiet else int(verbose), "\0" if options.get("null") else "\n")
        listen()
        try:
            if settings:
                from mri_tools.cli.settings import write_config

                write_config(settings, click.get_current_context())
            return work(**options)
        except BrokenPipeError as error:  # click's main would make it exit 1
            raise _ReaderGone from error

    command.callback = callback

    def run():
        code = _main(command)
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)  # a thread that still waits for names on standard input must not hold us up

    return run


class _ReaderGone(Exception):
    """Nobody reads the results any more."""


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
