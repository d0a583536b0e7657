"""A run over cases: each is taken through the steps into one output folder, whoever asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path

from mrilib import __version__, parallel
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.images.registry import BIAS, LEARNERS
from mrilib.recipe.dataset import Root, prepared_and_measured, refuse_output_in_input
from mrilib.recipe.definition import Recipe, Step
from mrilib.recipe.execution import learn
from mrilib.results import Silent, of_case, warn

Steps = Sequence[Step] | Callable[[Path, Recipe], Sequence[Step]]  # or a function of a root and its recipe

logger = logging.getLogger("mrilib")


def convert(cases: Iterable[Case | CaseError], steps: Steps, out: Path, *, made_by: str = "mrilib",
            suffix: str | None = None, jobs: int | Executor | None = None, force: bool = False, dry_run: bool = False,
            beside: dict[str, Path] | None = None) -> Iterator[tuple[Case | None, Path | str | BaseException]]:
    """Run cases through `steps` into `out`; yields (case, its path or what went wrong) in input order.

    An error among the cases takes its place among the results. The folder becomes a root of the recipe with the first
    case; a case of another recipe is an error. dry_run: write nothing and give lines that say what would be done.
    beside: see recipe.prepare_case. Raises UsageError as Root.take does.
    """
    root = Root(out, force=force, dry_run=dry_run)

    @lru_cache(maxsize=64)
    def of_root(folder: Path) -> tuple[Recipe, tuple[Step, ...]]:
        """What the cases of a root have been through, and the steps to do."""
        have = Recipe.of_root(folder)
        return have, tuple(steps(folder, have) if callable(steps) else steps)

    def calls():
        for case in cases:
            if isinstance(case, CaseError):
                yield None, case
                continue
            try:
                have, todo = of_root(case.root)
                if root.recipe is None and have.steps:
                    refuse_output_in_input([case.root], out)
                root.take(have.then(todo, f"{made_by} {__version__}"), case)
                root.claim(case)
            except CaseError as error:
                yield case, error
                continue
            yield case, (case, todo, out, suffix, root.recipe.hash, force, beside)

    if dry_run:
        yield from ((case, todo if isinstance(todo, CaseError) else f"{case} -> {out / case.id}")
                    for case, todo in calls())
        return
    for case, result in parallel.ordered("mrilib.recipe.conversion:converted", calls(), jobs):
        if isinstance(result, BaseException):
            yield case, result
            continue
        path, doubts = result
        for doubt in doubts:
            logger.info("%s: %s", case.path, doubt)
        yield case, path


def converted(case: Case, steps: Sequence[Step], *arguments) -> tuple[Path, list[str]]:
    """One call of `convert` in a worker: the path, and what its steps noted as doubtful."""
    path, measured = prepared_and_measured(case, steps, *arguments)
    names = {step.step for step in steps}
    return path, [seen["doubt"] for seen in measured if "doubt" in seen and seen["step"] in names]


def place_to_learn(steps: Sequence[Step]) -> int | None:
    """The place of the first step that learns from other cases and has not yet."""
    return next((i for i, step in enumerate(steps) if step.step in LEARNERS and not step.learned), None)


def learned(steps: Sequence[Step], cases: Sequence[Case | CaseError], where: object = None, *,
            keep: Callable[[Case], bool] | None = None, jobs: int | Executor | None = None,
            on_error: Callable[[CaseError], None] | None = None, progress: Callable | None = None) -> Steps:
    """`steps` with what those that learn have learned from training cases, after the steps before them.

    keep: whether a case is for training; it may raise CaseError. Cases that cannot be used are handed to on_error.
    Gives what `convert` takes, which raises UsageError for cases that were prepared otherwise than those learned from.
    Raises CaseError when no case is left, and UsageError for cases of several recipes.
    """
    fail = on_error or warn
    fine = [case for case in cases if not isinstance(case, CaseError)]
    for error in (case for case in cases if isinstance(case, CaseError)):
        fail(error)
    if not fine:
        raise CaseError("no case to learn from", where=where)
    recipes = [Recipe.of_root(root) for root in {case.root for case in fine}]
    if any(recipe.hash != recipes[0].hash for recipe in recipes):
        raise UsageError("holds cases of several recipes", where=where, remedy="learn from cases of one recipe")
    steps = list(steps)
    while (place := place_to_learn(steps)) is not None:
        calls = list(_looks(fine, steps, place, keep))
        seen = []
        with (progress or Silent)("learn", len(calls)) as bar:
            for case, result in parallel.ordered("mrilib.recipe.execution:look", calls, jobs):
                if isinstance(result, CaseError):
                    fail(of_case(case, result))
                elif isinstance(result, BaseException):
                    raise result
                else:
                    seen.append(result)
                bar.step()
        if not seen:
            raise CaseError("no case to learn from", where=where)
        steps[place] = learn(steps[place], seen)
        of = f" of {where}" if where else ""
        logger.info("%s", f"{steps[place]} from {len(seen)} case{'s' * (len(seen) > 1)}{of}")
    return _for_cases_like(recipes[0], steps)


def _looks(cases, steps, place: int, keep) -> Iterator:
    for case in cases:
        try:
            if keep is None or keep(case):
                yield case, (case, steps[:place], steps[place])
        except CaseError as error:
            yield case, error


def _for_cases_like(base: Recipe, steps: Sequence[Step]) -> Steps:
    def of_root(root: Path, have: Recipe) -> Sequence[Step]:
        if have.hash != base.hash:
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

    def of_root(root: Path, have: Recipe) -> Sequence[Step]:
        try:
            return recipe.remaining(have)
        except UsageError as error:
            raise UsageError(error.what, where=root, remedy="give the data as given") from error

    return of_root
