"""Training by task name: the library function behind mri-train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mrilib import tasks
from mrilib.cases import Case
from mrilib.tasks.predicting import Model
from mrilib.training.run import Training


def train(data, *, task: str = tasks.AUTO, split: object = None, fold: int | None = None, out: str | Path | None = None,
          curve: str | Path | None = None, resume: bool = False, force: bool = False, progress: Callable | None = None,
          on_error: Callable | None = None, **settings) -> Model | list[Model]:  # fmt: skip
    """Train a model and return it; with folds=N, return the list of N models.

    data: a folder or file, cases, or what `prepare` returns. task: detected from the cases by default. split: a split
    file or the result of `split`; fold: its held-out fold. out: the model file, .h5 or .keras, written with a
    checkpoint and the curve of the epochs beside it; None keeps the model in memory, and model.save(path) writes it.
    resume: continue an interrupted run. force: replace the model of another run. progress(label, total, unit): a
    context manager with step(n) and note(text). on_error(error): takes the error of a damaged case; the others train.

    settings: by the names of the options of mri-train, with _ for -, such as epochs=20, learning_rate=1e-3,
    budget="30m"; sizes and spacings in array order (z, y, x). Raises UsageError, naming the setting, for a wrong one.
    """
    cases = cases_of(data)
    chosen = tasks.detect(cases, task)
    training = Training(chosen, cases, tasks.settings_of(chosen, settings), output=None if out is None else Path(out),
                        curve=None if curve is None else Path(curve), **split_of(split), fold=fold, resume=resume,
                        force=force, progress=progress, fail=on_error)
    models = [Model(each.record, path=each.path, network=each.network) for each in training.models()]
    return models if training.settings.folds else models[0]


def cases_of(data) -> list[Case]:
    """The cases of a path, of several, of cases themselves, or of a prepared data set (its `cases`)."""
    from mrilib.cases import find
    from mrilib.sources import note

    data = getattr(data, "cases", data)
    if isinstance(data, str | Path):
        data = [data]
    given: Iterable = list(data() if callable(data) else data)
    if given and all(isinstance(each, Case) for each in given):
        return list(given)
    return list(find([Path(each) for each in given], on_unused=note))


def split_of(split) -> dict:
    """The arguments of Training for a split: a path, or rows."""
    if split is None:
        return {}
    if isinstance(split, str | Path):
        return {"split": Path(split)}
    return {"rows": list(getattr(split, "rows", split))}
