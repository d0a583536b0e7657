"""A worker process: takes pickled calls on standard input, answers on what was its standard output.

It ends as soon as its parent is gone, whatever it is doing, and leaves no half file behind.
"""

import logging
import os
import pickle
import signal
import sys
import threading
from pkgutil import resolve_name


def one_thread():
    """Let libraries that are loaded from now on use one thread, so that any --jobs gives the same bytes."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                 "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"


class Kept(logging.Handler):
    """Keeps the messages of the library, in a form that can be sent: the parent knows who is to see them, and how."""

    def __init__(self):
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info, record.exc_text = record.getMessage(), None, None, None
        self.records.append(record)

    def take(self) -> list[logging.LogRecord]:
        """The messages since the last call."""
        taken, self.records = self.records, []
        return taken


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    calls = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    one_thread()
    waiting, ready = [], threading.Condition()
    kept, logger = Kept(), logging.getLogger("mrilib")
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False

    def listen():
        while True:
            try:
                call = pickle.load(calls)
            except (EOFError, OSError, pickle.UnpicklingError):
                end()
            with ready:
                waiting.append(call)
                ready.notify()

    threading.Thread(target=listen, daemon=True).start()
    while True:
        with ready:
            while not waiting:
                ready.wait()
            call = waiting.pop()
        try:
            function, arguments, keywords = pickle.loads(call)
            function = resolve_name(function) if isinstance(function, str) else function
            answer = (True, function(*arguments, **keywords))
        except BaseException as error:  # noqa: BLE001  handed to the parent, which raises it again
            answer = (False, portable(error))
        try:
            pickle.dump((*answer, kept.take()), answers)
            answers.flush()
        except OSError:
            end()


def portable(error: BaseException) -> BaseException:
    """The error with its traceback as a note; an error that cannot be pickled as a RuntimeError with its text."""
    import traceback

    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  whatever keeps it from being sent, its text can be
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def end():
    """Remove the temporary files that store.whole() has open in this process, and exit at once."""
    from mrilib import store

    for path in list(store.UNFINISHED):
        store.remove(path)
    os._exit(1)
