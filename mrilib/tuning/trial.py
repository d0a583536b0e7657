"""One trial: trainings on some folds of the cases, each judged on the cases it did not see."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrilib import gpu, preparation, splits, tasks
from mrilib.cases import Case
from mrilib.gpu import memory
from mrilib.parallel import cores
from mrilib.results import Silent
from mrilib.store import name_of
from mrilib.training import record, run
from mrilib.training.settings import VALIDATION, check_weights, resolved
from mrilib.tuning.space import Chosen, chosen

log = logging.getLogger("mrilib")


@dataclass(frozen=True)
class Judged:
    """The value of each held-out case of a fold by its id, and what the training and the judging took."""

    fold: int
    values: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Ground:
    """What all trials share. cases: with a reference, none of a test part. rows: of the split into folds. order: of
    the folds. training: seconds of one training, None for its number of epochs. folder: of the study, for prepared
    cases. fixed: settings of the machine, by name."""

    task: tasks.Task
    cases: Sequence[Case]
    rows: Sequence
    order: Sequence[int]
    training: float | None
    folder: Path
    fixed: dict
    progress: Callable = Silent
    fail: Callable = lambda error: None

    def settings(self, parameters: dict[str, str], seed: int):
        """(the complete settings of a training, the Chosen) of parameters. Raises UsageError where they do not go
        together."""
        picked = chosen(parameters, self.task)
        values = {**self.fixed, "seed": seed, **picked.training}
        if self.training is not None and not {"epochs", "budget"} & set(picked.training):
            values["budget"] = self.training
        given = resolved(tasks.settings_of(self.task, values))
        validated = self.task.needs_validation(given)
        settings = self.task.complete(given, validated=validated, cases=self.cases)
        check_weights(settings)
        return settings, picked

    def prepared(self, picked: Chosen, fold: int | None = None) -> list[Case]:
        """The cases after the preprocessing of a trial. fold: held out while steps that learn learn."""
        if not picked.steps:
            return list(self.cases)
        name = name_of([step.as_dict() for step in picked.steps])
        out = self.folder / "prepared" / (name if fold is None or not picked.learns else f"{name}-fold{fold}")
        learn = None
        if picked.learns:
            held_out = {row.case for row in self.rows if fold is not None and row.fold == fold}
            learn = [case for case in self.cases if case.id not in held_out]
        return preparation.prepare(self.cases, picked.steps, out, learn=learn, jobs=cores(), on_error=self.fail,
                                   progress=self.progress)


def judge(ground: Ground, parameters: dict[str, str], seed: int) -> Iterator[Judged]:
    """Train without each fold in turn and judge the network on its cases."""
    settings, picked = ground.settings(parameters, seed)
    loaded = None
    for fold in ground.order:
        began = time.monotonic()
        if loaded is None or picked.learns:
            cases = ground.prepared(picked, fold)
            cache = ground.folder / "cache" / name_of([step.as_dict() for step in picked.steps])
            loaded = ground.task.load(cases, (), settings, run.Loading(
                cache.with_name(f"{cache.name}-fold{fold}") if picked.learns else cache, cores(), ground.progress,
                ground.fail))
        yield Judged(fold, _judge(ground, settings, loaded, fold, cases), time.monotonic() - began)


def _judge(ground: Ground, settings, loaded, fold: int, cases: Sequence[Case]) -> dict[str, float]:
    task = ground.task
    fraction = VALIDATION if task.needs_validation(settings) else 0.0
    if settings.validation is not None:
        fraction = settings.validation
    parts = splits.parts(list(ground.rows), fold=fold, validation=fraction, seed=settings.seed,
                         classes={case.id: case.class_name for case in cases})
    trained = {case: part for part in ("train", "validation") for case in parts[part]}
    data = loaded.data(trained)
    memory.forget()
    setup = gpu.setup(settings.device, mixed=settings.mixed_precision, threads=settings.threads, seed=settings.seed,
                      depthwise=task.in_float32(settings))
    planned = task.plan(settings, data, setup)
    network, state, metrics = run.fit_data(task, data, planned, setup, run={})
    known = record.of_run(task, data, planned, setup, state, network, metrics, {})
    task.finish(network, data, planned, known)
    held_out = loaded.data({**dict.fromkeys(parts["train"], "train"), **dict.fromkeys(parts["test"], "validation")})
    return task.judge(network.kept, known, held_out, planned)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The messages of single trainings are details while many of them are compared."""

    def lower(entry):
        if entry.levelno == logging.INFO:
            entry.levelno, entry.levelname = logging.DEBUG, "DEBUG"
        return True

    log.addFilter(lower)
    try:
        yield
    finally:
        log.removeFilter(lower)


