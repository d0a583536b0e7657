"""What mri-predict shares over its tasks: models, which cases, the steps that each still has to go through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from glob import glob, has_magic
from pathlib import Path

from mri_tools.cli import stream
from mri_tools.cli.output import DONE, SOME_FAILED, complain, describe, detail, emit, say, wrong_use
from mri_tools.common.convert import refuse_mark
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError


class Models:
    """Model files whose probabilities are averaged, their records read and compared; no network built yet."""

    def __init__(self, paths: Iterable[Path]):
        from mrilib.inference.ensemble import check_records, seen_by
        from mrilib.models import safety
        from mrilib.models.file import read_record

        self.paths = list(dict.fromkeys(matching(paths)))
        with wrong_use():
            self.records = {path: read_record(path) for path in self.paths}
            self.record = check_records(self.records)
            for path in self.paths:
                safety.check(path)
        self.task = self.record["task"]
        self.seen = seen_by(self.records.values())


def matching(names: Iterable[Path]) -> Iterator[Path]:
    """The files that names and patterns stand for. Raises UsageError for one that stands for none."""
    for name in names:
        if name.exists() or not has_magic(str(name)):
            if not name.exists():
                raise UsageError("no such model file", where=name, remedy="mri-train makes one")
            yield name
            continue
        files = sorted(glob(str(name)))
        if not files:
            raise UsageError("no model file matches this pattern", where=name)
        yield from map(Path, files)


def cases_of_split(split: Path | None, fold: int | None, part: str | None, models: Models) -> set[str] | None:
    """The ids that a part of a split holds (test unless said); None without a split: every case, or those of a
    part that their data set states."""
    if split is None:
        if fold is not None:
            raise UsageError("--fold has no effect without --split")
        return None
    from mrilib import splits

    part = part or "test"
    ids = splits.parts(list(splits.read(split).values()), fold=fold)[part]
    if fold is not None and part != "test":  # which of the other folds' cases validated, only the models know
        ids = _trained(split, fold, part, models)
    if not ids:
        raise UsageError(f"has no case of part {part}", where=split)
    return set(ids)


def _trained(split: Path, fold: int, part: str, models: Models) -> list[str]:
    from mrilib.store import content_hash

    path, record = next(iter(models.records.items()))
    origin = record.get("training", {}).get("split", {})
    if len(models.paths) > 1 or (origin.get("content"), origin.get("fold")) != (content_hash([split]), fold):
        raise UsageError(f"is not one model trained with --split {split} --fold {fold}", where=path,
                         remedy=f"part {part} of a fold is what a model made of it; --part test needs no model")
    return [name for name, known in record["training"]["cases"].items() if known["part"] == part]


def selected(paths, wanted: set[str] | None, part: str | None = None, **options) -> Iterator[Case | CaseError]:
    """Cases as they come, or those wanted; each one wanted that never came is an error at the end. part: where none
    are wanted by a split, only cases of this part of a given split."""
    missing, other = set(wanted or ()), 0
    for case in stream.each(paths, **options):
        if wanted is None and part is not None and isinstance(case, Case) and case.part != part:
            other += 1
            continue
        if wanted is None or isinstance(case, CaseError):
            yield case
        elif case.id in wanted:
            missing.discard(case.id)
            yield case
    if other:
        say(f"--part {part}: {other} cases of other parts, or of none, are left out")
    for name in sorted(missing):
        yield CaseError("is in the split, but was not given", where=name)


def calls(found, models: Models, as_is: bool, below: Path | None,
          arguments: Callable[[Case, tuple, tuple], tuple]) -> Iterator[tuple]:
    """(case, arguments(case, steps left to do, others)) of each case, or (case, what is wrong with it).

    others: the steps of each further model, where they are not the same for all. below: a folder in which each case
    gets a file of its id. Raises UsageError for a root of another recipe.
    """
    from mrilib.inference.prepare import is_picture, remaining_steps

    @lru_cache(maxsize=64)
    def steps_of(root: Path, pictures: bool):
        each = [remaining_steps(record, root, as_is, pictures) for record in models.records.values()]
        steps, others = each[0], () if all(own == each[0] for own in each) else tuple(each[1:])
        detail(f"{root}: {_listed((steps, *others)) or 'taken as it is'}")
        return steps, others

    taken: dict[str, Path] = {}
    for case in found:
        if isinstance(case, CaseError):
            yield None, case
            continue
        try:
            if not claim(taken, case, below):
                continue
            steps = steps_of(case.root, is_picture(case))
        except CaseError as error:
            yield case, error
            continue
        yield case, arguments(case, *steps)


def _listed(each) -> str:
    """The steps of one model, or of all where each has its own."""
    return "; or ".join(dict.fromkeys(", ".join(map(str, steps)) for steps in each))


def claim(taken: dict[str, Path], case: Case, below: Path | None) -> bool:
    """Whether a case is new; one that is named twice is predicted once.

    Raises CaseError when another case of this run has its id, for their results could not be told apart, and for
    an id that leads a file out of the folder `below` or whose record would be that folder's recipe.json.
    """
    if below is not None:
        refuse_mark(case)
    remedy = "count ids from a folder above, with --root"
    if below is not None and ".." in case.id.split("/"):
        raise CaseError(f"has the id {case.id}, which leads out of {below}", where=case.path, remedy=remedy)
    first = taken.get(case.id)
    if first is not None and first != case.path:
        raise CaseError(f"has the id {case.id} of {first}", where=case.path, remedy=remedy)
    taken[case.id] = case.path
    return first is None


def rehearse(found, models: Models, as_is: bool, below: Path | None = None) -> int:
    """List each case with the steps it would go through; returns the exit code."""
    failed = 0
    for case, steps in calls(found, models, as_is, below, lambda _, steps, others: (steps, *others)):
        if isinstance(steps, CaseError):
            failed += 1
            complain(describe(case, steps), steps)
        else:
            output = f" -> {below / case.id}" if below else ""
            emit(f"{case.id}: {case.path} -> {_listed(steps) or 'as it is'}{output}")
    return SOME_FAILED if failed else DONE


def refuse(models: Models, options: dict) -> None:
    """Raises UsageError for the first option given that has no effect on models of this task."""
    for name, value in options.items():
        if value not in (None, False, ()):
            raise UsageError(f"--{name} has no effect with a model to {models.task}", where=models.paths[0])


def begun(found) -> Iterator | None:
    """The cases, once it is known that there is one; None, with a word about it, where there is none."""
    found = iter(found)
    first = next(found, None)
    if first is None:
        complain("nothing to do (no names came)")
        return None
    return _chain(first, found)


def _chain(first, rest):
    yield first
    yield from rest
