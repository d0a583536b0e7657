"""From cases to a model file, for every task: parts, settings, data, plan, network, fit, record."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from mrilib import gpu, splits
from mrilib.errors import CaseError, UsageError
from mrilib.gpu import Setup, memory
from mrilib.models.file import read_record, save
from mrilib.parallel import cores
from mrilib.results import Silent
from mrilib.store import content_hash, write_text
from mrilib.training import output as files
from mrilib.training import parts, record
from mrilib.training.parts import Parts
from mrilib.training.settings import TrainSettings, check_weights, resolved
from mrilib.training.watch import Watch

log = logging.getLogger("mrilib")


@dataclass(frozen=True)
class Fold:
    """One model of a run. output: its file, None to write none. curve: CSV of its epochs, or None."""

    output: Path | None
    curve: Path | None
    parts: Parts


@dataclass(frozen=True)
class Trained:
    """A finished model. path: its file, None when it was not written. network: None when the file was up to date."""

    record: dict
    path: Path | None
    network: object


@dataclass(frozen=True)
class Loading:
    """What loading cases needs beside them. cache: folder for prepared cases. jobs: number of workers.
    progress(label, total, unit): see mrilib.training.watch.Watch. fail(error): takes the error of a damaged case; the
    others are loaded."""

    cache: Path
    jobs: int | Executor
    progress: Callable
    fail: Callable


class Training:
    """A training of one model, or of one for each fold: what it will do (`lines`), and doing it (`models`)."""

    def __init__(self, task, cases: Sequence, settings: TrainSettings, *, output: Path | None = None,
                 curve: Path | None = None, split: Path | None = None, rows: Sequence | None = None,
                 fold: int | None = None, resume: bool = False, force: bool = False, began: float | None = None,
                 progress: Callable | None = None, fail: Callable | None = None,
                 more: dict | None = None):  # fmt: skip
        """task: see mrilib.tasks.task.Task. output: the model file; None keeps the model in memory only. curve: CSV of
        the epochs; None: beside the model. split: path of a split file, or rows: its rows. fold: the fold that is held
        out. resume: continue an interrupted run. force: replace the model of another run. began: time.monotonic() when
        the budget began to count; None: now. fail(error): takes the error of a damaged case; the others train.
        more: of the record of a model beside the rest.

        Raises UsageError for what cannot be, before anything is read or written.
        """
        self.began = time.monotonic() if began is None else began
        self.task, self.resume, self.force, self.progress = task, resume, force, progress or Silent
        self.failed: list[CaseError] = []
        self.more = more or {}
        self._fail = fail or (lambda error: log.warning("%s", error))
        settings = resolved(settings)
        if output is not None:
            files.check_output(output, resume, settings.folds)
        self.jobs = min(settings.threads or cores(), cores())
        self.split_file, self.rows = None, None
        chosen = {"split": split, "rows": rows and {row.case: row for row in rows}, "jobs": self.jobs,
                  "fail": self.fail}  # fmt: skip
        if settings.folds:
            if split is not None or rows is not None or fold is not None:
                raise UsageError("--folds makes its own split", remedy="leave out --split and --fold")
            self.rows = parts.of_folds(cases, settings.folds, settings.seed, self.jobs)
            self.split_file = output and output.with_name(f"{output.stem}-split.csv")
            chosen |= {"split": self.split_file, "rows": {row.case: row for row in self.rows}}
            if settings.budget is not None:
                settings = replace(settings, budget=settings.budget / settings.folds)
            cases = [case for case in cases if case.id in chosen["rows"]]
        self.cases, self.fold, self.output = list(cases), fold, output
        self.folds = [self._fold(number, output, curve, settings, chosen)
                      for number in (range(settings.folds) if settings.folds else [fold])]  # fmt: skip
        first = self.folds[0].parts
        trained = [case for case in cases if first.of.get(case.id) == "train"]
        self.settings = task.complete(settings, validated=first.validated, cases=trained)
        self._name_unlearned()
        check_weights(self.settings)

    def _fold(self, number: int | None, output, curve, settings, chosen) -> Fold:
        if settings.folds:
            output, curve = files.of_fold(output, number), files.of_fold(curve, number)
        return Fold(output, files.curve_of(output, curve), parts.choose(self.cases, settings, fold=number, **chosen))

    def fail(self, error: CaseError) -> None:
        """Note that a case is damaged."""
        self.failed.append(error)
        self._fail(error)

    def _name_unlearned(self) -> None:
        """Name the classes that only cases of no part have."""
        part_of = self.folds[0].parts.of
        learned = {case.class_name for case in self.cases if case.id in part_of}
        if unlearned := sorted({case.class_name for case in self.cases} - learned - {None}):
            log.info("the model will not know %s: all cases of that class are in the test part", " ".join(unlearned))

    def lines(self) -> Iterator[str]:
        """Each case with its part and target, then the settings, then the model files: what --dry-run prints."""
        for fold in self.folds:
            for case in self.cases:
                part = fold.parts.of.get(case.id) if self.task.has_reference(case) else None
                yield f"{case.id}: {case.path} {self.task.reference(case)} {part or 'left out'}"
            for name, value in self.settings.as_dict().items():
                if value is not None:
                    yield f"--{name.replace('_', '-')}: {value}"
            yield f"-> {fold.output}"

    def models(self) -> Iterator[Trained]:
        """Train and yield each model when its file is complete."""
        s = self.settings
        gpu.setup(s.device, mixed=s.mixed_precision, threads=s.threads)  # an error here comes before hours of preparing
        if self.split_file is not None:
            self._write_split()
        with contextlib.ExitStack() as stack:
            cache = files.cache_of(self.output)  # it stays when the run is interrupted, so that the next one continues
            if cache is None:
                cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mri-train-")))
            loaded = self._load(cache)
            # each fold bears its share of the time that all needed, so that all train equally long
            share = (time.monotonic() - self.began) / len(self.folds)
            for fold in self.folds:
                yield self._train(fold, loaded, time.monotonic() - share)
            shutil.rmtree(cache, ignore_errors=True)

    def _load(self, cache: Path):
        part_of = [fold.parts.of for fold in self.folds]
        own = [case for case in self.cases if any(case.id in of for of in part_of)]
        others = [case for case in self.cases if case.id not in part_of[0]] if self.fold is not None else []
        return self.task.load(own, others, self.settings, Loading(cache, self.jobs, self.progress, self.fail))

    def _write_split(self) -> None:
        """Write the split of a cross-validation. Raises UsageError where there are models of another split."""
        path, text = self.split_file, splits.write(self.rows)
        other = path.exists() and path.read_bytes() != text.encode("utf-8", "surrogateescape")
        existing = [fold.output for fold in self.folds if fold.output.exists()]
        if other and not self.force and existing:
            raise UsageError(f"is another split, that of {existing[0]}", where=path,
                             remedy="--force replaces both, or choose another name with -o")
        write_text(path, text)
        beyond = files.of_fold(self.output, len(self.folds))
        if beyond.exists():
            log.info("%s is of a run of more folds and not replaced: it belongs to no fold of %s", beyond, path)
        for fold in self.folds:
            fold.parts.origin["content"] = content_hash([path])

    def _train(self, fold: Fold, loaded, began: float) -> Trained:
        """One model. began: when its time began."""
        s, task = self.settings, self.task
        data = loaded.data(fold.parts.of)
        if not data.count("validation") and task.needs_validation(s):
            raise UsageError("no case is left to validate with", remedy="mend those named above, or choose others")
        setup = gpu.setup(s.device, mixed=s.mixed_precision, threads=s.threads, seed=s.seed,
                          depthwise=task.in_float32(s))
        log.info("%s", setup.line)
        s = task.plan(s, data, setup)
        run = record.description(task, data, s, setup)
        finished = {**run, **task.finishing(s)}
        if fold.output is not None and files.is_done(fold.output, finished, self.force):
            log.info("%s is up to date: skipped", fold.output)
            return Trained(read_record(fold.output), fold.output, None)
        saved = None if fold.output is None else files.checkpoint_of(fold.output, run, self.resume, self.force)
        return self._fit(fold, data, s, setup, run, finished, saved, began)

    def _fit(self, fold: Fold, data, settings: TrainSettings, setup: Setup, run: dict, finished: dict,
             saved: Path | None, began: float) -> Trained:  # fmt: skip
        with Watch(settings, fold.curve, self.progress, self.task.headline) as watch:
            network, state, metrics = fit_data(self.task, data, settings, setup, run=run, path=saved,
                                               resume=self.resume, watch=watch, began=began)
        known = record.of_run(self.task, data, settings, setup, state, network, metrics, fold.parts.origin)
        self.task.finish(network, data, settings, known)
        known |= {**self.more, "run": finished}
        if fold.output is not None:
            save(network.kept, fold.output, known)
            if saved is not None:
                saved.unlink(missing_ok=True)  # the checkpoint has served
        watch.summary(self.task, data, network.kept, known, fold.output)
        return Trained(known, fold.output, network.kept)


def fit_data(task, data, settings: TrainSettings, setup: Setup, *, run: dict, path: Path | None = None,
             resume: bool = False, watch: Callable = lambda event, state, logs: None, began: float | None = None):
    """Build and fit the network of a task; returns (network, state, metrics of the validation cases or None).

    settings: complete and planned ones. setup: of mrilib.gpu.setup, with the seed of the settings. path: of the
    checkpoint. run: what it must agree with. watch(event, state, logs) is called with "begin", "resume", after each
    "step" and "epoch", and at the "end". began: time.monotonic() when the budget began to count; None: now.
    """
    from mrilib.training import fit

    began = time.monotonic() if began is None else began
    with memory.enough(task.remedy):
        with setup.scope():
            network = task.network(data, settings)
        if not (resume and path is not None and path.exists()):
            task.start(network, data, settings)
        with contextlib.closing(task.batches(data, settings, setup, network)) as batches:
            if setup.replicas > batches.smallest:
                raise UsageError(f"a batch of {batches.smallest} cannot be shared by {setup.replicas} devices",
                                 remedy="a larger --batch-size, or --device with one")
            with setup.scope():
                weighted = {} if network.loss_weights is None else {"loss_weights": network.loss_weights}
                network.model.compile(fit.optimizer(settings, len(batches)), loss=network.loss,
                                      metrics=network.metrics or None, jit_compile=False, **weighted)
                network.model.optimizer.build(network.model.trainable_variables)
            validation = task.validation(network, data, settings)
            watch("begin", None, {"steps": len(batches)})
            state = fit.fit(network.model, batches, validation, settings, path=path, resume=resume, run=run,
                            watch=watch, used=time.monotonic() - began)
            watch("end", state, {"waited": getattr(batches, "waited", 0.0)})
    if validation is None:
        return network, state, None
    rows = {row["epoch"]: row for row in state.curve}
    kept = {name: value for name, value in rows.get(record.kept_epoch(state), {}).items()
            if name.startswith("validation_")}
    # measured now where no epoch was trained, or where the budget of the last one ended before its validation
    return network, state, kept or validation.measure()
