"""Loops compiled to machine code on first use (numba), kept on disk, and run over parts of an array in threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp"}  # NaN stays NaN
PARTS = 4  # of the work for each thread: the faster one takes more


def loop(function: Callable) -> Callable:
    """The function compiled without the interpreter's lock, its machine code kept beside the source or, where that
    folder cannot be written, in the user's cache folder; without either it is compiled anew in each process.
    """
    try:
        return njit(nogil=True, error_model="numpy", fastmath=FAST, cache=True)(function)
    except RuntimeError:  # numba finds no folder to keep it in
        return njit(nogil=True, error_model="numpy", fastmath=FAST)(function)


def inner(function: Callable) -> Callable:
    """A function that is built into the loop() that calls it, once for each set of constants."""
    return njit(nogil=True, error_model="numpy", fastmath=FAST, inline="always")(function)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many threads a loop may use: the cores of this process, or OMP_NUM_THREADS if that is fewer."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores(), int(limit))) if limit.isdigit() else cores()


def over(count: int, size: int, work: Callable[[int, int], None]) -> None:
    """work(start, stop) over 0 .. count, in threads when an array of `size` values is worth their start.

    The parts may be any, so what work writes must not depend on them.
    """
    n = threads() if size > 1 << 18 else 1
    if n == 1 or count < 2:
        work(0, count)
        return
    parts = min(count, PARTS * n)
    edges = [count * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(n) as pool:
        for _ in pool.map(work, edges[:-1], edges[1:]):
            pass
