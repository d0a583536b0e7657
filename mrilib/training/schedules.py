"""The learning rate as a function of the step: plain numbers, set before each step, so that resuming is exact."""

from __future__ import annotations

import math

FLOOR = 0.01  # what the cosine ends at, times the base rate
DROP = 0.1  # of step and plateau
STEPS_AT = (0.5, 0.75)  # where step drops, as parts of the run
POWER = 0.9  # of polynomial


def rate(schedule: str, step: int, *, base: float, total: int, warmup: float = 0.0, drops: int = 0) -> float:
    """The learning rate of a step.

    step: counted from 0 to total - 1. warmup: steps over which it rises linearly, (step + 1) / warmup of the
    base. cosine: falls along half a cosine from the end of the warm-up to FLOOR of the base (Loshchilov &
    Hutter 2017). polynomial: (1 - part done) ** POWER of the base, as nnU-Net's. step: a tenth
    after half of the run, a hundredth after three quarters. plateau: a tenth for each of `drops`, which
    the caller counts. constant: the base.
    """
    if step < warmup:
        return base * min(1.0, (step + 1) / warmup)
    if schedule == "constant":
        return base
    if schedule == "plateau":
        return base * DROP**drops
    if schedule == "step":
        return base * DROP ** sum(step >= part * total for part in STEPS_AT)
    done = min(1.0, (step - warmup) / max(1.0, total - 1 - warmup))
    if schedule == "cosine":
        return base * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done)))
    if schedule == "polynomial":
        return base * (1 - done * (1 - FLOOR)) ** POWER
    raise ValueError(f"unknown schedule {schedule!r}")
