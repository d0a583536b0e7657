"""Preparing cases from Python: noise removal, normalisation, any chain of steps, and augmentation.

`denoised`, `normalized` and `prepared_like` are what the tools use: they yield (case, path or error) in input order,
each as soon as it is finished. `denoise`, `normalize`, `prepare` and `augment` do the same work and return the prepared
cases. An output folder gets its recipe.json before its first case; complete cases in it are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mrilib import cases as case_files
from mrilib.cases import Case, Reading
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.images.registry import LEARNERS
from mrilib.recipe.conversion import Run, Steps, convert, learned, like, place_to_learn
from mrilib.recipe.definition import Recipe, Step
from mrilib.recipe.settings import DenoiseSettings, NormalizeSettings, check_learning, steps_of
from mrilib.results import collected
from mrilib.sources import Source, each, folders_of
from mrilib.targets import check_apart

Results = Iterator[tuple[Case | None, Path | str | BaseException]]


class Learning(NamedTuple):
    """What steps that learn learn from: the training cases of `source`, None for none."""

    source: Path | None = None
    split: Path | None = None
    fold: int | None = None
    reading: str | Reading | None = None
    root: Path | None = None

    def steps(self, steps: Sequence[Step], run: Run) -> Steps:
        """The steps with what they learned."""
        from mrilib import splits

        keep = splits.training_cases(self.split, self.fold) or _trains
        return learned(steps, each(self.source, layout=self.reading, root=self.root), run, self.source, keep=keep)


def _trains(case: Case) -> bool:
    return case.part in (None, "train")


def denoised(cases: Iterable[Case | CaseError], settings: DenoiseSettings, out: Path, run: Run,
             residual: Path | None = None) -> Results:
    """Remove noise from cases. residual: a folder for what was removed."""
    return convert(cases, settings.steps(), out, run, residual=residual)


def normalized(cases: Iterable[Case | CaseError], settings: NormalizeSettings, out: Path, run: Run,
               learning: Learning | None = None, field: Path | None = None) -> Results:
    """Bring cases to one geometry and one scale. field: a folder for the bias fields."""
    if field is not None and settings.bias is None:
        raise UsageError("--field has no effect without --bias")
    steps, learning = settings.steps(), learning or Learning()
    check_learning(settings.method, learning.source, learning.split, learning.fold)
    if learning.source is not None:
        check_apart(out, [learning.source])
        if not run.dry_run:
            steps = learning.steps(steps, run)
    return convert(cases, steps, out, run, field=field)


def prepared_like(cases: Iterable[Case | CaseError], recipe: Recipe, out: Path, run: Run, where: object = None,
                  field: Path | None = None) -> Results:
    """Prepare cases by all steps of a recipe that they have not been through."""
    return convert(cases, like(recipe, where, field=field is not None), out, run, field=field)


def recipe_at(path: Path) -> Recipe:
    """The recipe of a model file, a recipe.json or a prepared folder. Raises UsageError where there is none."""
    if path.is_dir() or path.suffix == ".json":
        return Recipe.at(path)
    from mrilib.models.file import read_record

    try:
        return Recipe.from_dict(read_record(path).get("recipe") or {}, where=path)
    except MriError as error:
        raise error.as_kind(UsageError, path) from error


def find(source: Source, *, layout: str | Reading | None = None, root: Path | None = None,
         on_error: Callable[[CaseError], None] | None = None) -> list[Case]:
    """The cases below a folder, or of several paths. layout: a name of the layouts, or how to read in full."""
    results = (((None, case) if isinstance(case, CaseError) else (case, case))
               for case in each(source, layout=layout, root=root))
    return collected(results, "find", on_error=on_error)


def denoise(source: Source, method: str = "nlm", *, out: Path | str = "denoised", residual: Path | str | None = None,
            **options) -> list[Case]:
    """Remove noise. Keywords: the settings of recipe.settings.DenoiseSettings, and those of `prepare`."""
    settings, run, cases = _split(source, DenoiseSettings, {"method": method, **options})
    return _done(denoised(cases, settings, Path(out), run, _path(residual)), out, run, "denoise")


def normalize(source: Source, method: str | None = None, *, out: Path | str = "normalized",
              learn: Path | str | None = None, split: Path | str | None = None, fold: int | None = None,
              like: Recipe | Path | str | None = None, field: Path | str | None = None, **options) -> list[Case]:
    """Bring images to one geometry and one scale of intensities.

    learn: a folder of training cases, or a case, that the method learns from; split and fold choose among them.
    like: repeat all steps of a Recipe, a recipe.json, a prepared folder or a model file instead. field: a folder for
    the bias fields.
    Keywords: the settings of recipe.settings.NormalizeSettings (sizes in array order), and those of `prepare`.
    """
    if method is not None:
        options["method"] = method
    settings, run, cases = _split(source, NormalizeSettings, options)
    if like is not None:
        recipe = like if isinstance(like, Recipe) else recipe_at(Path(like))
        return _done(prepared_like(cases, recipe, Path(out), run, field=_path(field)), out, run, "normalize")
    learning = None if learn is None else Learning(Path(learn), _path(split), fold)
    return _done(normalized(cases, settings, Path(out), run, learning, _path(field)), out, run, "normalize")


def prepare(source: Source, steps: Sequence, out: Path | str = "prepared", *, learn: Source | None = None,
            **options) -> list[Case]:
    """Run cases through a chain of steps, such as ["n4", "crop", ("resize", {"size": (160, 160)}), "zscore"].

    learn: what steps that learn (nyul, histogram) learn from; else the training cases among the source itself.
    Keywords: jobs (number of workers or an executor), suffix, force, on_error, progress, layout, root.
    """
    run, options, cases = _run(source, options)
    if options:
        raise UsageError(f"unknown setting {min(options)!r}", remedy="the steps take their parameters themselves")
    chain = steps_of(steps)
    if place_to_learn(chain) is not None:
        cases = list(cases)
        chain = learned(chain, cases if learn is None else each(learn), run, keep=_trains)
    elif learn is not None:
        raise UsageError("learn has no effect on these steps", remedy=f"{' and '.join(LEARNERS)} learn")
    return _done(convert(cases, chain, Path(out), run), out, run, "prepare")


def augment(source: Source, copies: int = 1, *, out: Path | str = "augmented", seed: int = 0,
            keep_originals: bool = False, replay: Path | str | None = None, split: Path | str | None = None,
            fold: int | None = None, changes: str | Path | Mapping | None = None, **options) -> list[Case]:
    """Write randomly changed copies of cases; label maps and boxes follow.

    changes: a preset ("light", "medium", "heavy"), a TOML or JSON file, or a mapping; keywords such as rotate=15 are
    added. replay: make the copies of an augmented.csv again. split, fold: only copies of training cases.
    Further keywords: those of `prepare`.
    """
    from mrilib import splits
    from mrilib.images.augment import transforms
    from mrilib.recipe import augmentation

    run, words, cases = _run(source, options)
    if replay is not None:
        plan = augmentation.replaying(Path(replay))
    else:
        start = {} if changes is None else transforms.settings(changes).as_dict()
        settings = transforms.settings({**start, **words})
        if not settings:
            raise UsageError("nothing would be changed", remedy='give changes such as rotate=15, or changes="medium"')
        plan = augmentation.drawing(settings, seed, copies, keep_originals)
    keep = splits.training_cases(_path(split), fold)
    return _done(augmentation.augment(cases, plan, Path(out), run, keep), out, run, "augment")


OF_READING = ("layout", "root")
OF_RUN = ("suffix", "jobs", "force", "on_error", "progress")


def _run(source: Source, options: dict) -> tuple[Run, dict, Iterator[Case | CaseError]]:
    """The Run of the keywords of a function, its other keywords, and the cases of a source."""
    reading = {name: options.pop(name) for name in OF_READING if name in options}
    run = Run(inputs=folders_of(source), **{name: options.pop(name) for name in OF_RUN if name in options})
    return run, options, each(source, **reading)


def _split(source: Source, cls: type, options: dict):
    run, options, cases = _run(source, options)
    return cls.from_dict(options), run, cases


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _done(results: Results, out: Path | str, run: Run, label: str) -> list[Case]:
    """The prepared cases of results, read from their records."""
    paths = collected(results, label, on_error=run.on_error, progress=run.progress)
    return list(case_files.find(paths, root=Path(out)))
