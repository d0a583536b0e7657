"""A run of augmentation over cases: the copies of each written into one output folder, and their table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mrilib import __version__, parallel
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.recipe import augmented
from mrilib.recipe.dataset import Root, refuse_output_in_input
from mrilib.recipe.definition import Recipe
from mrilib.store import content_hash, write_text

logger = logging.getLogger("mrilib")


def drawing(settings, seed: int, copies: int, keep_originals: bool = False) -> dict:
    """The plan that draws `copies` copies of each case from settings of images.augment."""
    return {"settings": settings.as_dict(), "seed": seed, "copies": [*([0] if keep_originals else []),
                                                                    *range(1, copies + 1)]}  # fmt: skip


def replaying(table: Path) -> dict:
    """The plan that makes the copies of a table again. Raises UsageError for a file that is no such table."""
    return {"drawn": augmented.read(table), "table": content_hash([table])}


def augment(cases: Iterable[Case | CaseError], plan: dict, out: Path, *, made_by: str = "mrilib",
            keep: Callable[[Case], bool] | None = None, suffix: str | None = None, jobs: int | Executor | None = None,
            force: bool = False, dry_run: bool = False) -> Iterator[tuple[Case | None, Path | str | BaseException]]:
    """Write the copies of cases below `out`, at the end their table; yields (case, path or error) in input order.

    plan: `drawing` or `replaying`. keep: whether a case is for training; it may raise CaseError. dry_run: write
    nothing and give lines that say what would be done. Raises UsageError as Root.take does.
    """
    run = _Run(plan, out, made_by, keep, force, dry_run)
    if dry_run:
        yield from _lines(run.calls(cases, suffix), out)
    else:
        try:
            for case, result in parallel.ordered("mrilib.recipe.augmented:make", run.calls(cases, suffix), jobs):
                if isinstance(result, UsageError):
                    raise result
                yield from ((case, path) for path in (result if isinstance(result, list) else [result]))
        except UsageError:
            run.root.take_back()
            raise
        if run.root.recipe is not None:
            write_text(out / augmented.TABLE, augmented.table(out))
    if run.left_out:
        logger.info("%s", f"{run.left_out} cases left out: " + ("not for training" if keep else "not in the table"))


class _Run:
    def __init__(self, plan: dict, out: Path, made_by: str, keep, force: bool, dry_run: bool):
        self.plan, self.out, self.made_by, self.keep, self.force = plan, out, made_by, keep, force
        self.root = Root(out, force=force, dry_run=dry_run)
        self.left_out = 0
        self.recipe_of = lru_cache(maxsize=64)(Recipe.of_root)

    def calls(self, cases, suffix: str | None) -> Iterator:
        """(case, arguments of augmented.make, or what is wrong with it)."""
        for case in cases:
            if isinstance(case, CaseError):
                yield None, case
                continue
            try:
                plan = self._plan_of(case) if self.keep is None or self.keep(case) else {}
                if not plan:
                    self.left_out += 1
                    continue
                have = self._open(case)
                for copy in copies_of(plan):
                    self.root.claim(case, augmented.copy_id(case.id, copy))
            except CaseError as error:
                yield case, error
                continue
            yield case, (case, plan, self.out, suffix, have.hash, self.force)

    def _plan_of(self, case: Case) -> dict:
        """The plan for one case; empty when a table is replayed that has no copy of it."""
        if "drawn" not in self.plan:
            return self.plan
        drawn = self.plan["drawn"].get(case.id)
        return {"drawn": drawn} if drawn else {}

    def _open(self, case: Case) -> Recipe:
        have = self.recipe_of(case.root)
        how = {"replay": self.plan["table"]} if "table" in self.plan else self.plan
        recipe = replace(have, made_by=f"{self.made_by} {__version__}", augmentation=how)
        if self.root.recipe is None:
            refuse_output_in_input([case.root] if have.steps else [], self.out)
            self._clear(recipe)
        self.root.take(recipe, case)
        return have

    def _clear(self, recipe: Recipe) -> None:
        """With force, remove the copies of other settings: training would use them as well."""
        if self.force and not self.root.dry_run and (self.out / "recipe.json").is_file():
            old = self.recipe_of(self.out)
            if (old.hash, old.augmentation) != (recipe.hash, recipe.augmentation):
                augmented.remove(self.out)


def copies_of(plan: dict) -> list[int]:
    """The numbers of the copies that a plan makes of a case; 0 is the case itself."""
    return list(plan.get("copies", plan.get("drawn")))


def _lines(calls, out: Path) -> Iterator:
    for case, arguments in calls:
        if isinstance(arguments, CaseError):
            yield case, arguments
            continue
        for copy in copies_of(arguments[1]):
            yield case, f"{case} -> {out / augmented.copy_id(case.id, copy)}"
