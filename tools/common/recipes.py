"""The steps of mri-normalize that come from other data: learned from training cases, or those of a whole recipe."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from mri_tools.cli import stream
from mri_tools.cli.output import complain, describe, progress, say
from mri_tools.common.augmenting import wanted
from mri_tools.common.convert import refuse_output_in_input
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.images.registry import BIAS, LEARNERS
from mrilib.parallel import cores, ordered

BESIDE_LIKE = {"like", "paths", "null", "root", "layout", "channels", "as_", "fix_orientation", "scheme_of_cases",
               "output", "field", "suffix", "jobs", "force", "dry_run", "write_config", "quiet", "verbose"}  # fmt: skip


def refuse_beside_like(given: dict) -> None:
    """Raises UsageError for the first option of a step, or of learning, that is given beside --like."""
    for name, value in given.items():
        if name not in BESIDE_LIKE and value not in (None, False, ()):
            raise UsageError(f"--{name} has no effect with --like, which says all the steps")


def check_learning(method: str, learn: Path | None, split: Path | None, fold: int | None) -> None:
    """Raises UsageError for a method that learns and has nothing to learn from, and the other way round."""
    if learn is None:
        if method in LEARNERS:
            raise UsageError(f"--method {method} learns from other cases",
                             remedy="name them with --learn, or what has learned with --like")
        if split is not None or fold is not None:
            raise UsageError(f"--{'fold' if split is None else 'split'} has no effect without --learn")
    elif method not in LEARNERS:
        raise UsageError(f"--learn has no effect on {method}", remedy=f"{' and '.join(LEARNERS)} learn")


def to_prepare(paths: tuple[Path, ...], learn: Path | None) -> tuple[Path, ...]:
    """What is prepared: what was named, else the training cases; names that may wait in a pipe are then not read."""
    if paths or learn is None:
        return paths
    with contextlib.suppress(OSError):  # standard input may be closed
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            say(f"prepares the cases of {learn}; names on standard input are not read (- reads them)")
    return (learn,)


def learned(steps: Sequence, place: int, folder: Path, output: Path, *, split=None, fold=None, root=None, layout=None,
            jobs=None) -> tuple[Callable, bool]:  # fmt: skip
    """`steps` with what steps[place] learns from the training cases of `folder`, after the steps before it.

    split, fold: only the training cases of that split. Returns a function for convert, which raises UsageError for
    cases that were prepared otherwise than those learned from, and whether every training case could be used; those
    that could not are named. Raises CaseError when there is none.
    """
    from mrilib.recipe import Recipe
    from mrilib.recipe import execution as learning

    refuse_output_in_input((folder,), output)
    keep = wanted(split, fold) or (lambda case: case.part in (None, "train"))  # never of a given test part
    found, failed = stream.gather((folder,), root=root, layout=layout)
    recipes = [Recipe.of_root(root) for root in {case.root for case in found}]
    base = recipes[0]
    if any(recipe.hash != base.hash for recipe in recipes):
        raise UsageError("holds cases of several recipes", where=folder, remedy="learn from cases of one recipe")
    calls = []
    for case in found:
        try:
            if keep(case):
                calls.append((case, (case, steps[:place], steps[place])))
        except CaseError as error:
            calls.append((case, error))
    seen, fine = [], not failed
    with progress("learn", len(calls)) as bar:
        for case, result in ordered("mrilib.recipe.execution:look", calls, jobs or cores()):
            if isinstance(result, CaseError):
                complain(describe(case, result), result)
                fine = False
            elif isinstance(result, BaseException):
                raise result
            else:
                seen.append(result)
            bar.step()
    if not seen:
        raise CaseError("no case to learn from", where=folder)
    step = learning.learn(steps[place], seen)
    say(f"{step} from {len(seen)} case{'s' * (len(seen) > 1)} of {folder}")
    made = [*steps[:place], step, *steps[place + 1 :]]

    def of_root(root, have):
        if have.hash != base.hash:
            theirs = ", ".join(map(str, base.steps)) or "as given"
            raise UsageError(f"prepared otherwise than the cases learned from, which are {theirs}", where=root,
                             remedy="learn from cases of the same stage")
        return made

    return of_root, fine


def like(path: Path, field: Path | None) -> Callable:
    """For convert: the steps that cases of a root still need to be prepared as `path` says.

    path: a model file, a recipe.json, or a folder that holds one. Needs no TensorFlow. Raises UsageError where there is
    no recipe, where a bias field is wanted and no step finds one, and, of a root, where it was prepared otherwise.
    """
    recipe = _recipe_at(path)
    if not recipe.steps:
        raise UsageError("its cases are as given, no step was done to them", where=path)
    if field and not any(step.step in BIAS for step in recipe.steps):
        raise UsageError("--field has no effect, for no step takes a bias field away", where=path)

    def of_root(root, have):
        try:
            return recipe.remaining(have)
        except UsageError as error:
            raise UsageError(error.what, where=root, remedy="give the data as given") from error

    return of_root


def _recipe_at(path: Path):
    from mrilib.recipe import Recipe

    if path.is_dir():
        if not (path / "recipe.json").is_file():
            raise UsageError("holds no recipe.json", where=path, remedy="give a folder that this suite prepared")
        path = path / "recipe.json"
    try:
        if path.suffix == ".json":
            return Recipe.load(path)
        from mrilib.models.file import read_record

        return Recipe.from_dict(read_record(path).get("recipe") or {}, where=path)
    except MriError as error:
        raise UsageError(error.what, where=error.where or path, remedy=error.remedy) from error
