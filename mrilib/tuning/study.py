"""A study on disk: one folder for each trial, whole or absent, that any number of processes add to.

    study.json          what is searched, on which cases
    split.csv           the folds
    trials/0007/        trial.json (parameters, state, seconds, memory) and cases.csv (case,fold,value)
    running/0007.json   the process that works on a trial; a dead one's trial is free again, with its parameters
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mrilib import store
from mrilib.errors import CaseError, UsageError

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
BEST = "best"  # the name of the claim on the training of the best
BEAT = 30.0  # seconds between signs of life
SILENT = 600.0  # seconds without one, after which a process of another host is held for dead


@dataclass(frozen=True)
class Trial:
    """A finished trial. parameters: by name, as text. seed: of its trainings. name: of settings that are compared.
    values: of each judged case, by id. folds: of the same cases. seconds: of all trainings. memory: the most that the
    process held, bytes. reason: why it failed or was stopped."""

    number: int
    state: str
    parameters: dict[str, str]
    seed: int
    name: str = ""
    seconds: float = 0.0
    memory: int = 0
    reason: str = ""
    host: str = ""
    values: dict[str, float] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)


class Study:
    """The folder of a study."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.known: dict[int, Trial] = {}

    def open(self, about: dict, split: str, force: bool) -> None:
        """Make the folder, or continue in it. about: what two studies must share. split: the folds, as CSV.

        Raises UsageError where another study is there; with force it is removed.
        """
        path = self.folder / "study.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if path.exists():
                before = store.read_json(path)
                changed = [name for name in {**before, **about} if before.get(name) != about.get(name)]
                if not changed:
                    return
                if not force:
                    raise UsageError(f"is another study: {changed[0]} was {_short(before.get(changed[0]))}, now "
                                     f"{_short(about.get(changed[0]))}", where=self.folder,
                                     remedy="--force replaces it, or choose another --study")
                for name in ("trials", "running", "prepared", "cache"):
                    shutil.rmtree(self.folder / name, ignore_errors=True)
            elif any(each.name != ".lock" for each in self.folder.iterdir()):
                raise UsageError("is a folder that is no study", where=self.folder, remedy="choose another --study")
            for name in ("trials", "running"):
                (self.folder / name).mkdir(exist_ok=True)
            store.write_text(self.folder / "split.csv", split)
            store.write_json(path, about)

    @property
    def about(self) -> dict:
        """What study.json says. Raises UsageError where there is no study."""
        try:
            return store.read_json(self.folder / "study.json")
        except CaseError as error:
            raise UsageError("is no study", where=self.folder, remedy="name the folder of mri-tune --study") from error

    def trials(self) -> list[Trial]:
        """The finished trials, by number."""
        for path in sorted((self.folder / "trials").glob("[0-9]*")):
            if int(path.name) not in self.known:
                self.known[int(path.name)] = _read(path)
        return [self.known[number] for number in sorted(self.known)]

    def running(self) -> dict[int, dict]:
        """The claims of living processes on trials: number -> parameters."""
        claims = {}
        for path in (self.folder / "running").glob("[0-9]*.json"):
            if (self.folder / "trials" / path.stem).exists():
                continue  # about to end, or killed just before
            with contextlib.suppress(CaseError, OSError):  # it ended meanwhile
                claim = store.read_json(path)
                if _lives(claim, path):
                    claims[int(path.stem)] = claim["parameters"]
        return claims

    def claim(self, limit: int | None, choose: Callable) -> tuple[int, dict[str, str]] | None:
        """(number, parameters) of the next trial that nobody works on; None where there is none.

        limit: the number of trials. choose(number, finished, running) gives the parameters, or None for no more. The
        parameters of a process that died are kept.
        """
        with self._locked():
            finished, running = self.trials(), self.running()
            for done in self.known:  # of processes that were killed between the trial and the end of its claim
                (self.folder / "running" / f"{done:04}.json").unlink(missing_ok=True)
            number = 0
            while number in self.known or number in running:
                number += 1
            if limit is not None and number >= limit:
                return None
            path = self.folder / "running" / f"{number:04}.json"
            before = store.read_json(path) if path.exists() else None
            parameters = before["parameters"] if before else choose(number, finished, list(running.values()))
            if parameters is None:
                return None
            store.write_json(path, {**_self(), "parameters": parameters})
            return number, parameters

    def claim_best(self) -> bool:
        """Whether this process is to train the best: no other living one does."""
        path = self.folder / "running" / f"{BEST}.json"
        with self._locked():
            if path.exists() and _lives(store.read_json(path), path):
                return False
            store.write_json(path, _self())
            return True

    @contextlib.contextmanager
    def alive(self, name: str) -> Iterator[None]:
        """Give signs of life for a claim while the block runs; the claim ends with it."""
        path = self.folder / "running" / f"{name}.json"
        done = threading.Event()

        def beat():
            while not done.wait(BEAT):
                with contextlib.suppress(OSError):
                    os.utime(path)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            path.unlink(missing_ok=True)

    def put(self, trial: Trial) -> None:
        """Write a finished trial, whole or not at all."""
        values = asdict(trial)
        rows = [("case", "fold", "value")]
        rows += [(case, trial.folds[case], repr(value)) for case, value in values.pop("values").items()]
        del values["folds"]
        with store.whole(self.folder / "trials" / f"{trial.number:04}") as temporary:
            temporary.mkdir()
            (temporary / "trial.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
            (temporary / "cases.csv").write_text(store.csv_text(rows), encoding="utf-8", errors="surrogateescape")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among the processes of the study; the lock of a killed one is free."""
        with open(self.folder / ".lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> Trial:
    record = store.read_json(path / "trial.json")
    with open(path / "cases.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    return Trial(**record, values={row["case"]: float(row["value"]) for row in rows},
                 folds={row["case"]: int(row["fold"]) for row in rows})


def _self() -> dict:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def _started(pid: int) -> str:
    """When a process of this host started, so that another one with its number is not taken for it; empty if gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _lives(claim: dict, path: Path) -> bool:
    """Whether the process of a claim lives: by its number and start, on another host by its last sign of life."""
    if claim["host"] == socket.gethostname() and Path("/proc/self/stat").exists():
        return bool(claim["started"]) and _started(claim["pid"]) == claim["started"]
    return time.time() - path.stat().st_mtime < SILENT


def _short(value) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
