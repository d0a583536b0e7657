"""A run over cases: each goes through the steps and is written into one output folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mrilib import __version__, parallel
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.images.registry import BIAS, LEARNERS
from mrilib.recipe.dataset import Root
from mrilib.recipe.definition import Recipe, Step
from mrilib.recipe.execution import learn
from mrilib.results import Silent, warn
from mrilib.targets import check_apart, check_beside

Steps = Sequence[Step] | Callable[[Path, Recipe], Sequence[Step]]  # or a function of a root and its recipe

logger = logging.getLogger("mrilib")


class Run(NamedTuple):
    """The options that every kind of preparation shares.

    made_by: the program, for recipe.json. suffix: file format. jobs: number of workers, or an executor. force: replace
    the output of another recipe. dry_run: write nothing; the results are lines that say what would be done. inputs:
    paths that the output must not lie in. on_error, progress: see mrilib.results.
    """

    made_by: str = "mrilib"
    suffix: str | None = None
    jobs: int | Executor | None = None
    force: bool = False
    dry_run: bool = False
    inputs: Sequence[Path] = ()
    on_error: Callable[[CaseError], None] | None = None
    progress: Callable | None = None


def convert(cases: Iterable[Case | CaseError], steps: Steps, out: Path, run: Run,
            **beside: Path | None) -> Iterator[tuple[Case | None, Path | str | BaseException]]:
    """Run cases through `steps` into `out`; yields (case, path or error) in input order.

    An error among the cases takes its place among the results. The folder becomes a root of the recipe with the first
    case; a case of another recipe is an error. beside: folders for further images, see recipe.prepare_case. Raises
    UsageError as Root.take does.
    """
    folders = {what: folder for what, folder in beside.items() if folder is not None}
    check_apart(out, run.inputs)
    for folder in folders.values():
        check_apart(folder, run.inputs)
        check_beside(folder, out)
    root = Root(out, force=run.force, dry_run=run.dry_run)

    @lru_cache(maxsize=64)
    def of_root(folder: Path) -> tuple[Recipe, tuple[Step, ...]]:
        """The recipe of the cases of a root, and the steps to do."""
        before = Recipe.of_root(folder)
        return before, tuple(steps(folder, before) if callable(steps) else steps)

    def arguments(case: Case) -> tuple:
        before, todo = of_root(case.root)
        if root.recipe is None and before.steps:
            check_apart(out, [case.root])
        root.take(before.then(todo, f"{run.made_by} {__version__}"), case)
        root.claim(case)
        return case, todo, out, run.suffix, root.recipe.hash, run.force, folders

    calls = parallel.calls(cases, arguments)
    if run.dry_run:
        yield from ((case, call if isinstance(call, CaseError) else f"{case} -> {out / case.id}")
                    for case, call in calls)
        return
    for case, result in parallel.ordered("mrilib.recipe.dataset:prepare_case", calls, run.jobs):
        if not isinstance(result, BaseException):
            result, doubts = result
            for doubt in doubts:
                logger.info("%s: %s", case.path, doubt)
        yield case, result


def place_to_learn(steps: Sequence[Step]) -> int | None:
    """The place of the first step that learns from other cases and has not yet."""
    return next((i for i, step in enumerate(steps) if step.step in LEARNERS and not step.learned), None)


def learned(steps: Sequence[Step], cases: Iterable[Case | CaseError], run: Run, where: object = None, *,
            keep: Callable[[Case], bool] | None = None) -> Steps:
    """`steps`, each step that learns with what it learned from training cases, after the steps before it.

    keep: whether a case is for training; it may raise CaseError. run.on_error takes the errors of cases that cannot be
    used. Returns steps for `convert`, which raises UsageError for cases that were prepared otherwise than those learned
    from. Raises CaseError when no case is left, and UsageError for cases of several recipes.
    """
    fail, usable = run.on_error or warn, []
    for case in cases:
        (fail if isinstance(case, CaseError) else usable.append)(case)
    if not usable:
        raise CaseError("no case to learn from", where=where)
    recipes = [Recipe.of_root(root) for root in {case.root for case in usable}]
    if any(recipe.hash != recipes[0].hash for recipe in recipes):
        raise UsageError("holds cases of several recipes", where=where, remedy="learn from cases of one recipe")
    steps = list(steps)
    while (place := place_to_learn(steps)) is not None:
        before, step = steps[:place], steps[place]
        calls = list(parallel.calls(usable, lambda case, before=before, step=step: (
            (case, before, step) if keep is None or keep(case) else None)))
        with (run.progress or Silent)("learn", len(calls)) as bar:
            seen = [values for _, values in
                    parallel.results("mrilib.recipe.execution:look", calls, run.jobs, fail, bar.step)]
        if not seen:
            raise CaseError("no case to learn from", where=where)
        steps[place] = learn(step, seen)
        of = f" of {where}" if where else ""
        logger.info("%s", f"{steps[place]} from {len(seen)} case{'s' * (len(seen) > 1)}{of}")
    base = recipes[0]

    def of_root(root: Path, recipe: Recipe) -> Sequence[Step]:
        if recipe.hash != base.hash:
            before = ", ".join(map(str, base.steps)) or "as given"
            raise UsageError(f"prepared otherwise than the cases learned from, which are {before}", where=root,
                             remedy="learn from cases of the same stage")
        return steps

    return of_root


def like(recipe: Recipe, where: object = None, *, field: bool = False) -> Steps:
    """The steps that cases still need to be prepared by a recipe, for `convert`.

    field: whether the bias field is wanted beside the output. Raises UsageError for a recipe without steps, or without
    one that finds a bias field, and, of a root, where its cases were prepared otherwise.
    """
    if not recipe.steps:
        raise UsageError("its cases are as given, no step was done to them", where=where)
    if field and not any(step.step in BIAS for step in recipe.steps):
        raise UsageError("--field has no effect, for no step takes a bias field away", where=where)

    def of_root(root: Path, before: Recipe) -> Sequence[Step]:
        try:
            return recipe.remaining(before)
        except UsageError as error:
            raise UsageError(error.what, where=root, remedy="give the data as given") from error

    return of_root
