"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one HDF5 file.

Not a model: weights with the states of random generators, optimizer variables (the averaged weights among
them), the best weights so far, and as JSON the counters, the curve and a description of the run.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrilib import store as records
from mrilib.errors import CaseError, UsageError

FORMAT = 1


@dataclass
class State:
    """Where a run stands after an epoch: counters, the curve so far, the best epoch and its weights.

    epoch: finished epochs. step: finished steps. wait: epochs since the best. since_drop: epochs since the best
    or the last drop of the learning rate. seconds: of a budget that are used.
    best_weights: arrays in the order of the model's variables.
    """

    epoch: int = 0
    step: int = 0
    wait: int = 0
    since_drop: int = 0
    drops: int = 0
    best: float | None = None
    best_epoch: int | None = None
    stopped: bool = False
    seconds: float = 0.0
    curve: list[dict] = field(default_factory=list)
    best_weights: list[np.ndarray] | None = None

    def as_dict(self) -> dict:
        return {key: value for key, value in vars(self).items() if key != "best_weights"}


def write(path: Path, state: State, variables: dict[str, list[np.ndarray]], run: dict) -> None:
    """Write a checkpoint, whole or not at all, forced to disk. variables: arrays of `model` and `optimizer`.

    run: what must be the same when it is taken up again, flat: {what: value}. A full disk is a MachineError.
    """
    import h5py

    groups, buffer = {**variables, "best": state.best_weights or []}, io.BytesIO()
    with h5py.File(buffer, "w") as file:  # in memory: where a disk is full, HDF5 itself takes the process down
        for name, arrays in groups.items():
            group = file.create_group(name)
            for i, array in enumerate(arrays):
                group.create_dataset(f"{i:05}", data=array)
        file.attrs["checkpoint"] = json.dumps({"format": FORMAT, "state": state.as_dict(), "run": run})
    with records.whole(path, sync=True) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read(path: Path, run: dict) -> tuple[State, dict[str, list[np.ndarray]]]:
    """The state and variables of a checkpoint. Raises UsageError, naming the difference, when it is of another run."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            note = json.loads(file.attrs["checkpoint"])
            groups = {name: [file[name][key][()] for key in sorted(file[name])] for name in file}
    except (OSError, KeyError, ValueError) as error:
        raise CaseError(f"is not a checkpoint, or is damaged: {' '.join(str(error).split())[:150]}", where=path,
                        remedy="remove it and train from the beginning") from error
    if note.get("format") != FORMAT:
        raise CaseError(f"is a checkpoint of format {note.get('format')}; this version reads {FORMAT}", where=path)
    if changed := difference(note["run"], run):
        raise UsageError(f"is a checkpoint of another run: {changed}", where=path,
                         remedy="give the same options and data, or leave --resume out to start anew")
    best = groups.pop("best")
    return State(**note["state"], best_weights=best or None), groups


def difference(old: dict, new: dict) -> str:
    """The first thing in which two runs differ, in words; empty when they are the same."""
    for key in [*new, *(k for k in old if k not in new)]:
        a, b = json.loads(json.dumps([old.get(key), new.get(key)]))
        if a != b:
            return f"{key} was {_text(a)}, now {_text(b)}"
    return ""


def _text(value) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value)
