"""Calls in worker processes: in order, one failure alone, nothing left behind; any executor serves."""

import operator
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from mrilib.errors import CaseError
from mrilib.parallel import Workers, cores, ordered


def test_an_executor_like_those_of_the_standard_library():
    with Workers(2) as workers:
        assert list(workers.map(operator.add, [1, 2, 3], [10, 20, 30])) == [11, 22, 33]
        future = workers.submit("builtins:sorted", [3, 1, 2], reverse=True)
        assert future.result() == [3, 2, 1]
        with pytest.raises(ZeroDivisionError):
            workers.submit(operator.truediv, 1, 0).result()
        assert workers.submit(os.getpid).result() != os.getpid()
    with pytest.raises(RuntimeError, match="shutdown"):
        workers.submit(os.getpid)


WARN = """import logging
logging.getLogger("mrilib").warning("%s: is odd", "a")
logging.getLogger("mrilib").debug("%s: a detail", "a")
"""


def test_messages_of_workers_reach_the_handlers_of_this_process(caplog, capfd):
    import logging

    with Workers(1) as workers, caplog.at_level(logging.INFO, "mrilib"):
        for code in (WARN, WARN.replace('"a"', '"b"')):
            workers.submit(exec, code).result()
    assert [record.getMessage() for record in caplog.records] == ["a: is odd", "b: is odd"]
    assert "is odd" not in capfd.readouterr().err


def test_shutting_down_waits_or_cancels():
    workers = Workers(1)
    first, *rest = [workers.submit(time.sleep, 0.5) for _ in range(4)]
    while not first.running():
        time.sleep(0.01)
    workers.shutdown(cancel_futures=True)
    assert first.done() and not first.cancelled() and all(future.cancelled() for future in rest)
    workers = Workers(1)
    waiting = [workers.submit(operator.add, 1, i) for i in range(4)]
    workers.shutdown()
    assert [future.result(0) for future in waiting] == [1, 2, 3, 4]


def test_what_cannot_be_sent_fails_alone():
    with Workers(1) as workers:
        with pytest.raises((AttributeError, TypeError), match="pickle|lambda"):
            workers.submit(lambda: 1).result()
        with pytest.raises(ModuleNotFoundError):
            workers.submit("no_such_module:thing").result()
        process = workers.submit(os.getpid).result()
        with pytest.raises(CaseError, match="ended in the middle"):
            workers.submit(os._exit, 3).result()
        assert workers.submit(os.getpid).result() != process  # another one took its place


def test_a_function_that_only_the_parent_has_is_a_clear_error():
    code = ("from mrilib.parallel import Workers\ndef own(): return 1\nworkers = Workers(1)\n"
            "print(type(workers.submit(own).exception()).__name__, workers.submit('os:getppid').result() > 0)")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "AttributeError True\n", ran.stderr


def test_modules_of_the_current_folder_do_not_come_first(tmp_path):
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong module')\n")
    code = "from mrilib.parallel import Workers\nprint(Workers(1).submit('os:getcwd').result())"
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ran.stdout == f"{tmp_path}\n", ran.stderr


EXECUTORS = {"2 jobs": lambda: 2, "1 job": lambda: 1, "all cores": lambda: None, "workers": lambda: Workers(2),
             "threads": lambda: ThreadPoolExecutor(2), "processes": lambda: ProcessPoolExecutor(2)}  # fmt: skip


@pytest.mark.parametrize("name", EXECUTORS)
def test_results_come_in_order_whoever_computes_them(name):
    jobs = EXECUTORS[name]()
    items = [(i, (12 // i, 2)) if i else (i, (1, 0)) for i in range(12)]
    items[5] = ("passed", CaseError("was damaged"))
    results = list(ordered("operator:truediv", items, jobs))
    assert [item for item, _ in results] == [item for item, _ in items]
    assert isinstance(results[0][1], ZeroDivisionError) and str(results[5][1]) == "was damaged"
    assert [value for _, value in results[6:]] == [1, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert results[1][1] == 6
    if name not in ("2 jobs", "1 job", "all cores"):
        assert jobs.submit(operator.add, 1, 1).result() == 2  # an executor that was given stays open
        jobs.shutdown()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_result_is_given_on_while_the_next_item_is_awaited(jobs):
    got_first = threading.Event()

    def items():
        yield "first", (1, 2)
        assert jobs == 1 or got_first.wait(30), "the first result was held back"
        yield "second", (3, 4)

    results = ordered(operator.add, items(), jobs)
    assert next(results) == ("first", 3)
    got_first.set()
    assert list(results) == [("second", 7)]


def test_an_error_of_the_items_reaches_the_reader():
    def items():
        yield 1, (1, 1)
        raise KeyError("no such name")

    results = ordered(operator.add, items(), 2)
    assert next(results) == (1, 2)
    with pytest.raises(KeyError, match="no such name"):
        next(results)


def test_leaving_early_ends_the_processes():
    results = ordered("os:getpid", (("call", ()) for _ in range(1000)), 2)
    process = next(results)[1]
    os.kill(process, 0)
    results.close()
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a worker outlived its run")


def test_workers_die_with_their_parent(tmp_path):
    code = ("import os, time; from mrilib.parallel import Workers; workers = Workers(1)\n"
            "print(workers.submit(os.getpid).result(), flush=True)\nworkers.submit(time.sleep, 600)\n"
            "time.sleep(0.5); os.kill(os.getpid(), 9)")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    process = int(ran.stdout)
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the worker outlived its parent")


def test_cores_are_those_this_process_may_use():
    assert 1 <= cores() <= os.cpu_count()
