"""When the time of a command began: a budget is for the whole command, its start and its imports included."""

from __future__ import annotations

import os
import time
from pathlib import Path

START = 19  # place of the start time among the fields of /proc/self/stat that follow the name of the program


def process_start() -> float:
    """The time.monotonic() at which this process began.

    Linux states it; elsewhere it is the present less the processor time used, a little later than the true one.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        since_boot = float(fields[START]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
    except (OSError, AttributeError, IndexError, ValueError):
        age = time.process_time()
    return time.monotonic() - max(0.0, age)
