"""Models of any task in memory, and prediction with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name

from mrilib import config, store, tasks
from mrilib.cases import Reading
from mrilib.errors import CaseError, UsageError
from mrilib.inference import run, selection
from mrilib.inference.ensemble import typed
from mrilib.inference.models import Models, of_option, records_of
from mrilib.inference.predictor import Predictor, Table
from mrilib.models import file, safety
from mrilib.results import collected, warn
from mrilib.sources import Source, each, folders_of


class Model:
    """What `mrilib.train` and `mrilib.load_model` return.

    record: what the file says of the model (see mrilib.models.record). path: its file, None before it was saved.
    """

    def __init__(self, record: dict, *, path: str | Path | None = None, network=None):
        self.record = record
        self.path = None if path is None else Path(path)
        if network is not None:
            self.keras_model = network

    @cached_property
    def keras_model(self):
        """The Keras network, which gives probabilities; read from the file at the first use."""
        from mrilib import gpu

        gpu.setup("auto", mixed="off")
        return file.load(self.path)[0]

    def predict(self, cases, out: str | Path | None = None, **settings):
        """Apply the model to cases; see mrilib.predict."""
        return predict(self, cases, out, **settings)

    def save(self, path: str | Path) -> Path:
        """Write the model file (.h5 or .keras); returns its path."""
        file.save(self.keras_model, Path(path), self.record)
        self.path = Path(path)
        return self.path


def load_model(path: str | Path) -> Model:
    """The model in a file; its network is read when it is used. Raises CaseError for a file that is no model."""
    record = file.read_record(Path(path))
    safety.check(Path(path))
    return Model(record, path=path)


class Predictions(list):
    """The results of a prediction, in input order: rows ({column: value}) of a table, or paths of label maps.

    out: where they were written, None for rows in memory. failed: the errors of the cases without a result. mri.score
    takes it as it is.
    """

    def __init__(self, results: Iterable = (), out: Path | None = None, failed: Iterable[CaseError] = ()):
        super().__init__(results)
        self.out = out
        self.failed = list(failed)


def predict(model, cases: Source, out: str | Path | None = None, *, split: object = None, fold: int | None = None,
            part: str | None = None, root: str | Path | None = None, layout: str | Reading | None = None,
            jobs: int | Executor | None = None, on_error: Callable[[CaseError], None] | None = None,
            progress: Callable | None = None, **settings) -> Predictions:
    """Apply a model, or the mean of several, to cases.

    model: a model file, a pattern, what load_model or train returns, or a list of these. cases: folders or files,
    cases, or what prepare returns. out: the table, or the folder of label maps (default: predictions); without it the
    rows of a table are returned only. split, fold, part: predict these cases only; split is a split file or the result
    of mri.split. root, layout: see mri.find. jobs: number of workers that prepare cases, or an executor. on_error,
    progress: see mrilib.results. settings: those of the model's task, such as
    mrilib.inference.settings.MapPredictSettings.
    """
    source = getattr(cases, "cases", cases)
    predictor = predictor_of(model, settings, out)
    predictor.check_inputs(folders_of(source))
    ids = selection.ids_of(split, fold, part, predictor.models)
    found = list(each(source, layout=layout, root=None if root is None else Path(root)))
    failed: list[CaseError] = []

    def fail(error: CaseError) -> None:
        failed.append(error)
        (on_error or warn)(error)

    with written(predictor) as add:
        results = ((case, result if isinstance(result, BaseException) else add(result))
                   for case, result in run.predict(predictor, selection.chosen(found, ids, part), jobs))
        made = collected(results, "cases", total=len(found), on_error=fail, progress=progress)
    made = [row for result in made for row in (result if isinstance(result, list) else [result])]
    return Predictions(made, predictor.out if predictor.gives_table else predictor.folder, failed)


def predictor_of(model, values: dict, out: str | Path | None = None) -> Predictor:
    """What predicts with models, by their task. model: as of `predict`. values: settings by name; those that are None
    are left out.

    Raises UsageError for bad files, models that cannot be averaged, or settings without effect.
    """
    records, networks = _records_of(model)
    with of_option():
        task = _task_of(records)
        models = Models(typed(records, resolve_name(task.record)), networks)
    others = [other.prediction for other in tasks.every()]
    settings = config.choose(task.prediction, values, others, f"a model to {task.name}")
    return resolve_name(task.predictor_of(settings))(task, models, settings, None if out is None else Path(out))


def _records_of(model) -> tuple[dict, dict]:
    """(records by name, networks by name of the models without a file) of a file, a pattern, a Model, or a list."""
    items = list(model) if isinstance(model, list | tuple | set) else [model]
    unsaved = [item for item in items if isinstance(item, Model) and item.path is None]
    if not unsaved:
        return records_of([item.path if isinstance(item, Model) else item for item in items]), {}
    if len(unsaved) < len(items):
        raise UsageError("models with and without a file cannot be averaged", remedy="save all of them first")
    names = [f"model {i}" for i in range(1, len(items) + 1)]
    return ({name: item.record for name, item in zip(names, items, strict=True)},
            {name: item.keras_model for name, item in zip(names, items, strict=True)})


def _task_of(records: dict):
    """The task of all records."""
    first = next(iter(records.values())).get("task")
    for name, record in records.items():
        if record.get("task") != first:
            raise CaseError(f"is a model to {record.get('task')}, not to {first}", where=name)
    if first not in tasks.TASKS:
        raise CaseError(f"is a model to {first}, which this version cannot apply", where=next(iter(records)),
                        remedy="use the version of the suite that made it")
    return tasks.get(first)


@contextlib.contextmanager
def written(predictor: Predictor, put: Callable[[str], object] | None = None) -> Iterator[Callable]:
    """A function that takes each result and returns it: a row is written to the predictor's file, or its text given to
    `put`. Label maps are written already."""
    with contextlib.ExitStack() as files:
        if predictor.gives_table and predictor.out is not None:
            put = files.enter_context(store.text_stream(predictor.out))
        if not predictor.gives_table or put is None:
            yield lambda result: result
            return
        table = Table(predictor, put)
        yield table.add
        table.end()
