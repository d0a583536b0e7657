"""Prediction with the tasks of the registry: models of any task, one call for all of it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from pkgutil import resolve_name

from mrilib import cases as case_files
from mrilib import config, store, tasks
from mrilib.cases import Case, Reading
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.inference import run, selection
from mrilib.inference.models import Models, of_option
from mrilib.inference.predictor import Predictor, Table
from mrilib.tasks.model import Model

log = logging.getLogger("mrilib")


class Predictions(list):
    """The results of a prediction, in input order: rows ({column: value}) of a table, or paths of label maps.

    out: where they were written, None for rows in memory. failed: the errors of the cases without a result. mri.score
    takes it as it is.
    """

    def __init__(self, out: Path | None = None):
        super().__init__()
        self.out = out
        self.failed: list[CaseError] = []


def predict(model, cases, out: str | Path | None = None, *, split: str | Path | None = None, fold: int | None = None,
            part: str | None = None, root: str | Path | None = None, layout: str | Reading | None = None,
            jobs: int | Executor | None = None, on_error: Callable[[MriError], None] | None = None,
            progress: Callable | None = None, **settings) -> Predictions:
    """Apply a model, or the mean of several, to cases.

    model: a model file, a pattern, a mrilib.load_model, or a list of these. cases: folders or files, or cases. out: the
    table, or the folder of label maps (default: predictions); without it the rows of a table are returned alone. split,
    fold, part: only these cases. root, layout: see mrilib.find. jobs: number of workers, or an executor. on_error:
    takes the error of a case, and the others go on; without it errors are logged, and raised when no case is left.
    progress(label, total, unit): a context manager with step(). settings: those of the model's task, such as
    mrilib.inference.settings.MapPredictSettings.
    """
    predictor = predictor_of(models_of(model), settings, out)
    ids = selection.ids_of(split, fold, part, predictor.models)
    found, unreadable = _cases(cases, root, layout, predictor)
    made = Predictions(Path(predictor.out or predictor.folder) if out or not predictor.gives_table else None)
    results = run.predict(predictor, selection.chosen([*unreadable, *found], ids, part), jobs)
    with written(predictor) as add, (progress or _silent)("predict", len(found), "case") as bar:
        for case, result in results:
            if isinstance(result, BaseException):
                _refuse(case, result, made.failed, on_error)
            else:
                add(result)
                made.append(result)
            bar.step()
    if not made:
        raise made.failed[0] if made.failed else CaseError("nothing to do (no case came)")
    return made


def models_of(model) -> Models:
    """The models in a file, a pattern, a Model, or a list of these. Raises UsageError."""
    items = list(model) if isinstance(model, list | tuple | set) else [model]
    if all(isinstance(item, Model) and item.path is None for item in items) and items:
        names = [f"model {i}" for i in range(1, len(items) + 1)]
        return Models({name: item.record for name, item in zip(names, items, strict=True)},
                      {name: item.keras_model for name, item in zip(names, items, strict=True)})
    if any(isinstance(item, Model) and item.path is None for item in items):
        raise UsageError("models with and without a file cannot be averaged", remedy="save all of them first")
    return Models.of_files([item.path if isinstance(item, Model) else item for item in items])


def predictor_of(models: Models, given: dict, out: str | Path | None = None) -> Predictor:
    """What predicts with models, by their task. given: settings by name; those that are None are left out.

    Raises UsageError for models of different tasks, that cannot be averaged, or settings without effect.
    """
    from mrilib.inference.ensemble import check_records

    with of_option():
        task = _task_of(models)
        check_records(models.records, resolve_name(task.record))
    others = [each.prediction for each in tasks.every()]
    settings = config.choose(task.prediction, given, others, f"a model to {task.name}")
    return resolve_name(task.predictor)(task, models, settings, None if out is None else Path(out))


def _task_of(models: Models):
    first = models.record.get("task")
    for name, record in models.records.items():
        if record.get("task") != first:
            raise CaseError(f"is a model to {record.get('task')}, not to {first}", where=name)
    if first not in tasks.TASKS:
        raise CaseError(f"is a model to {first}, which this version cannot apply", where=models.names[0],
                        remedy="use the version of the suite that made it")
    return tasks.get(first)


@contextlib.contextmanager
def written(predictor: Predictor, put: Callable[[str], object] | None = None) -> Iterator[Callable]:
    """A function that takes each result: it writes rows to the predictor's file, or gives their text to `put`.

    Label maps are written already; of them it does nothing.
    """
    with contextlib.ExitStack() as files:
        if predictor.gives_table and predictor.out is not None:
            put = files.enter_context(store.text_stream(predictor.out))
        if not predictor.gives_table or put is None:
            yield lambda result: None
            return
        table = Table(predictor, put)
        yield table.add
        table.end()


def _cases(cases, root, layout, predictor: Predictor) -> tuple[list[Case], list[CaseError]]:
    """The cases, found where folders or files are given, and the errors of those that cannot be read."""
    items = [cases] if isinstance(cases, str | os.PathLike | Case) else list(cases)
    ready = [item for item in items if isinstance(item, Case)]
    if len(ready) == len(items):
        return ready, []
    unreadable: list[CaseError] = []
    paths = [Path(item) for item in items if not isinstance(item, Case)]
    predictor.check_inputs(paths)
    found = case_files.find(paths, layout, None if root is None else Path(root), on_error=unreadable.append)
    return list(found), unreadable


def _refuse(case: Case | None, error: BaseException, failed: list, on_error) -> None:
    if not isinstance(error, MriError):
        raise error
    if error.where is None and case is not None:
        error = type(error)(error.what, where=case.path, remedy=error.remedy)
    failed.append(error)
    if on_error is not None:
        on_error(error)
    else:
        log.warning("%s", error)


@contextlib.contextmanager
def _silent(label: str, total: int | None = None, unit: str = "case"):
    class Silent:
        def step(self, n: int = 1) -> None:
            """Count nothing."""

        def note(self, text: str) -> None:
            """Show nothing."""

    yield Silent()
