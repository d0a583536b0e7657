"""Loops compiled by numba on first use, cached on disk, and run in threads over parts of an array."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from numba import njit

from mrilib.parallel import cores

FAST = {"contract", "reassoc", "nsz", "arcp"}  # NaN stays NaN
PARTS = 4  # parts of the work per thread, so that a faster thread takes more


def loop(function: Callable) -> Callable:
    """Compile a function that releases the interpreter lock. The machine code is cached beside the source, or in the
    user's cache folder if that cannot be written; without either, each process compiles it again.
    """
    try:
        return njit(nogil=True, error_model="numpy", fastmath=FAST, cache=True)(function)
    except RuntimeError:  # numba finds no folder to keep it in
        return njit(nogil=True, error_model="numpy", fastmath=FAST)(function)


def inner(function: Callable) -> Callable:
    """Inline a function into the loop() that calls it, once for each set of constants."""
    return njit(nogil=True, error_model="numpy", fastmath=FAST, inline="always")(function)


def threads() -> int:
    """How many threads a loop may use: the cores of this process, or OMP_NUM_THREADS if that is fewer."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores(), int(limit))) if limit.isdigit() else cores()


def over(count: int, size: int, work: Callable[[int, int], None]) -> None:
    """Call work(start, stop) for parts of 0 .. count, in threads if an array of `size` values is large enough.

    The results of `work` must not depend on the division into parts.
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
