"""Calls run side by side in worker processes, their results in the order of the calls."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pkgutil import resolve_name

from mri_tools.cli.worker import one_thread
from mrilib import stderr
from mrilib.errors import CaseError


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """One spawned process; it inherits no descriptor but its own pipes, so it dies with its parent."""

    def __init__(self):
        with stderr.messages() as descriptor:
            self.process = subprocess.Popen([sys.executable, "-m", "mri_tools.cli.worker"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=descriptor, close_fds=True)

    def call(self, target: str, arguments: tuple):
        try:
            pickle.dump((target, arguments), self.process.stdin)
            self.process.stdin.flush()
            fine, answer = pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            code = self.process.wait()
            reason = "killed, perhaps for want of memory (fewer --jobs)" if code == -9 else f"exit status {code}"
            raise CaseError(f"the worker process ended in the middle: {reason}") from error
        if not fine:
            raise answer
        return answer

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self):
        self.process.stdin.close()  # it ends at once, cleaning up after itself
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ordered(target: str, items: Iterable, jobs: int, ahead: int = 4,
            apart: bool = False) -> Iterator[tuple[object, object]]:
    """Call `module:function`(*arguments) for each (item, arguments); yields (item, result or exception) in order.

    Items come as they come: a finished one is given on while the next is still awaited. An item whose arguments
    are an exception passes through with it. At most `ahead` items a worker wait, so that memory stays flat. One
    job runs in this process, unless `apart`.
    """
    if jobs == 1 and not apart:
        one_thread()
        for item, arguments in items:
            yield item, arguments if isinstance(arguments, BaseException) else _try(target, arguments)
        return
    slots: queue.Queue = queue.Queue(maxsize=ahead * jobs)
    calls: queue.Queue = queue.Queue()
    workers: list[Worker] = []
    stopped = threading.Event()

    def feed():
        try:
            for item, arguments in items:
                box: queue.Queue = queue.Queue(maxsize=1)
                slots.put((item, box))
                if stopped.is_set():
                    return
                if isinstance(arguments, BaseException):
                    box.put(arguments)
                    continue
                calls.put((arguments, box))
                if len(threads) < jobs and calls.qsize() > 0:
                    threads.append(threading.Thread(target=serve, daemon=True))
                    threads[-1].start()
            slots.put(None)
        except BaseException as error:  # noqa: BLE001  raised again by the reader of the results
            slots.put(error)

    def serve():
        worker = None
        while not stopped.is_set():
            arguments, box = calls.get()
            try:
                if worker is None or not worker.alive():
                    worker = Worker()
                    workers.append(worker)
                box.put(worker.call(target, arguments))
            except BaseException as error:  # noqa: BLE001  handed to the reader of the results
                box.put(error)

    threads: list[threading.Thread] = []
    threading.Thread(target=feed, daemon=True).start()
    try:
        while (slot := slots.get()) is not None:
            if isinstance(slot, BaseException):
                raise slot
            item, box = slot
            yield item, box.get()
    finally:
        stopped.set()
        for worker in workers:
            worker.stop()


def _try(target: str, arguments: tuple):
    try:
        return resolve_name(target)(*arguments)
    except Exception as error:  # noqa: BLE001  the caller decides what each kind means
        return error
