"""Worker processes: an executor whose processes die with their parent, and results in input order."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from pkgutil import resolve_name

from mrilib import stderr
from mrilib.errors import CaseError
from mrilib.parallel.worker import one_thread
from mrilib.results import ENDING, of_case

START = "from mrilib.parallel.worker import main; main()"
AHEAD = 4  # calls that wait for each worker: enough to keep it busy, few enough to keep memory flat

logger = logging.getLogger("mrilib")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(Executor):
    """An executor of spawned processes, started as they are needed, that die with this process.

    A process inherits no descriptor but its own pipes. A function is sent by its name: a function of a module, or text
    such as "package.module:function", which this process then need not import. A process that is killed fails its call
    with a CaseError and is replaced.
    """

    def __init__(self, jobs: int | None = None):
        self.jobs = jobs or cores()
        self._calls: queue.Queue = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._workers: list[_Worker] = []
        self._closed = False

    def submit(self, function: Callable | str, /, *arguments, **keywords) -> Future:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future = Future()
        self._calls.put((future, function, arguments, keywords))
        if len(self._threads) < self.jobs and self._calls.qsize() > 0:
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
            self._threads[-1].start()
        return future

    def _serve(self) -> None:
        worker = None
        while (call := self._calls.get()) is not None:
            future, *call = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if worker is None or not worker.alive():
                    worker = _Worker()
                    self._workers.append(worker)
                future.set_result(worker.call(*call))
            except BaseException as error:  # noqa: BLE001  handed to whoever asks for the result
                future.set_exception(error)
        if worker is not None:
            worker.stop()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._closed = True
        if cancel_futures:
            self._cancel()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def stop(self) -> None:
        """End at once: cancel waiting calls and end the processes in the middle of their calls."""
        self.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.stop()

    def _cancel(self) -> None:
        try:
            while call := self._calls.get_nowait():
                call[0].cancel()
        except queue.Empty:
            return


class _Worker:
    """One spawned process."""

    def __init__(self):
        # the modules that this process finds, not those that happen to lie in the current folder
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        with stderr.messages() as descriptor:
            self.process = subprocess.Popen([sys.executable, "-P", "-c", START],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=descriptor,
                                            close_fds=True, env={**os.environ, "PYTHONPATH": paths})

    def call(self, function: Callable | str, arguments: tuple, keywords: dict):
        call = pickle.dumps((function, arguments, keywords))  # what cannot be sent leaves the pipe as it was
        try:
            pickle.dump(call, self.process.stdin)
            self.process.stdin.flush()
            fine, answer, records = pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            code = self.process.wait()
            reason = "killed, perhaps because memory ran out (fewer --jobs)" if code == -9 else f"exit status {code}"
            raise CaseError(f"the worker process ended in the middle: {reason}") from error
        for record in records:
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        if not fine:
            raise answer
        return answer

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        self.process.stdin.close()  # it ends at once, cleaning up after itself
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def prefetched(items: Iterable, count: int) -> Generator:
    """The items of an iterable, which a thread fetches up to `count` ahead of the reader.

    An error of the iterable is raised here. When the reader stops early, a generator is closed in its thread.
    """
    slots: queue.Queue = queue.Queue(maxsize=count)
    stopped = threading.Event()

    def fetch():
        try:
            with contextlib.closing(items) if hasattr(items, "close") else contextlib.nullcontext():
                for item in items:
                    slots.put((item, None))
                    if stopped.is_set():
                        return
            slots.put(None)
        except BaseException as error:  # noqa: BLE001  raised again by the reader
            slots.put((None, error))

    threading.Thread(target=fetch, daemon=True).start()
    try:
        while (slot := slots.get()) is not None:
            if slot[1] is not None:
                raise slot[1]
            slot = [slot[0]]
            yield slot.pop()  # so that this frame does not keep a large item alive
    finally:
        stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                slots.get_nowait()  # makes room, so that the thread can put its last item and end


def calls(cases: Iterable, arguments: Callable[[object], tuple | None]) -> Iterator[tuple]:
    """(case, arguments(case)) of each case, as `ordered` takes them.

    A CaseError among the cases, or raised by arguments(case), takes the place of the arguments. A case whose arguments
    are None is left out.
    """
    for case in cases:
        if isinstance(case, CaseError):
            yield None, case
            continue
        try:
            call = arguments(case)
        except CaseError as error:
            call = error
        if call is not None:
            yield case, call


def ordered(function: Callable | str, items: Iterable, jobs: int | Executor | None = None, *, ahead: int = AHEAD,
            apart: bool = False) -> Iterator[tuple[object, object]]:
    """Call function(*arguments) for each (item, arguments); yields (item, result or exception) in input order.

    A finished result is yielded while the next item is still awaited. An item whose arguments are an exception passes
    through with it. At most `ahead` items per worker wait, so that memory stays flat. jobs: number of processes (None:
    as many as there are cores), or an executor to use instead. One job runs in this process, unless `apart`.
    """
    jobs = cores() if jobs is None else jobs
    if jobs == 1 and not apart:
        one_thread()
        for item, arguments in items:
            yield item, arguments if isinstance(arguments, BaseException) else _try(function, arguments)
        return
    own = None if isinstance(jobs, Executor) else Workers(jobs)
    executor: Executor = jobs if isinstance(jobs, Executor) else own
    width = getattr(executor, "jobs", None) or getattr(executor, "_max_workers", None) or cores()
    submit = executor.submit if isinstance(executor, Workers) else lambda *call: executor.submit(_resolved, *call)
    pending: deque[Future] = deque()

    def submitted():
        for item, arguments in items:
            if isinstance(arguments, BaseException):
                future: Future = Future()
                future.set_exception(arguments)
            else:
                future = submit(function, *arguments)
            pending.append(future)
            yield item, future

    try:
        with contextlib.closing(prefetched(submitted(), ahead * width)) as futures:
            for item, future in futures:
                error = future.exception()
                pending.popleft()
                yield item, future.result() if error is None else error
    finally:
        if own is not None:
            own.stop()
        for future in pending:
            future.cancel()


def results(function: Callable | str, items: Iterable, jobs: int | Executor | None,
            on_error: Callable[[CaseError], object], step: Callable[[], object]) -> Iterator[tuple]:
    """The (case, result) of each case that succeeded, as `ordered` yields them; on_error takes the errors of the
    others. step: called after each case. Raises errors that end the run (mrilib.results.ENDING).
    """
    for case, result in ordered(function, items, jobs):
        if isinstance(result, ENDING):
            raise result
        if isinstance(result, BaseException):
            on_error(of_case(case, result))
        else:
            yield case, result
        step()


def _resolved(function: Callable | str, *arguments):
    return (resolve_name(function) if isinstance(function, str) else function)(*arguments)


def _try(function: Callable | str, arguments: tuple):
    try:
        return _resolved(function, *arguments)
    except Exception as error:  # noqa: BLE001  the caller decides what each kind means
        return error
