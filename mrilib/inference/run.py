"""The run of a prediction: cases prepared in workers, batches through the networks, results written in input order.

While a case is computed the next ones are prepared and the one before is written.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path

from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.inference.predictor import Predictor
from mrilib.inference.prepare import Prepared, is_picture, remaining_steps
from mrilib.parallel import calls, ordered, prefetched
from mrilib.recipe.dataset import refuse_mark
from mrilib.results import ENDING

log = logging.getLogger("mrilib")


def predict(predictor: Predictor, cases: Iterable[Case | CaseError],
            jobs: int | Executor | None = None) -> Iterator[tuple[Case | None, object]]:
    """Prepare, predict and write every case; yields (case, result or exception) in input order.

    The result is what Predictor.write gives, or what its worker found to be complete already. jobs: number of workers
    that prepare cases, or an executor. Raises UsageError and MachineError, which end the run.
    """
    with contextlib.closing(prefetched(_computed(predictor, cases, jobs), 1)) as computed:
        for case, prepared, values in computed:
            result = prepared if values is None else _written(predictor, case, prepared, values)
            del prepared, values
            yield case, result


def _written(predictor: Predictor, case: Case, prepared: Prepared, values):
    if isinstance(values, CaseError):
        return values
    if prepared.adapted:
        log.debug("%s: %s", case.id, prepared.adapted)
    try:
        return predictor.write(case, prepared, values)
    except CaseError as error:
        return error


def _computed(predictor: Predictor, cases, jobs) -> Iterator[tuple[Case | None, object, object]]:
    """(case, prepared, what the networks gave) in input order; the last is None where a case needs no network."""
    items = ((case, steps if isinstance(steps, CaseError) else predictor.arguments(case, *steps))
             for case, steps in remaining(predictor, cases))
    results = ordered(predictor.worker, items, jobs or predictor.jobs, ahead=predictor.ahead, apart=predictor.apart)
    waiting: list = []
    with contextlib.closing(results):
        for case, ready in results:
            if isinstance(ready, ENDING):
                raise ready
            waiting.append((case, ready))
            del ready
            count = sum(isinstance(one, Prepared) for _, one in waiting)
            if count:
                predictor.models.build(predictor)  # at the first good case, while the others are still being prepared
            if count in (0, predictor.batch_size):
                yield from _through(predictor, waiting)
                waiting.clear()
        yield from _through(predictor, waiting)


def _through(predictor: Predictor, waiting: list) -> Iterator[tuple]:
    """Some cases, with what the networks give for those that are prepared."""
    prepared = [ready for _, ready in waiting if isinstance(ready, Prepared)]
    try:
        values = iter(predictor.forward(prepared) if prepared else ())
    except CaseError as error:
        values = iter([error] * len(prepared))
    for case, ready in waiting:
        yield case, ready, next(values) if isinstance(ready, Prepared) else None


def remaining(predictor: Predictor, cases: Iterable[Case | CaseError]) -> Iterator[tuple]:
    """(case, (steps left to do, those of each further model)) of each case, or (case, its CaseError).

    The further ones are empty where all models share the steps. A case that comes twice is predicted once. Raises
    UsageError for a root of another recipe.
    """
    settings, records = predictor.settings, predictor.models.records.values()

    @lru_cache(maxsize=64)
    def steps_of(root: Path, pictures: bool):
        each = [remaining_steps(record, root, settings.as_is, pictures) for record in records]
        steps, others = each[0], () if all(one == each[0] for one in each) else tuple(each[1:])
        log.debug("%s: %s", root, listed(steps, others) or "taken as it is")
        return steps, others

    paths: dict[str, Path] = {}
    return calls(cases, lambda case: steps_of(case.root, is_picture(case)) if _is_new(case, paths, predictor.folder)
                 else None)  # fmt: skip


def listed(steps: tuple, others: tuple) -> str:
    """The steps of one model, or of all where each has its own."""
    return "; or ".join(dict.fromkeys(", ".join(map(str, each)) for each in (steps, *others)))


def _is_new(case: Case, paths: dict[str, Path], folder: Path | None) -> bool:
    """Whether a case comes for the first time.

    Raises CaseError when another case of this run has its id, because their results would have one name, and for an id
    that leads out of the output folder or whose record would be its recipe.json.
    """
    remedy = "count ids from a folder above, with --root"
    if folder is not None:
        refuse_mark(case.id, case.path)
        if ".." in case.id.split("/"):
            raise CaseError(f"has the id {case.id}, which leads out of {folder}", where=case.path, remedy=remedy)
    first = paths.get(case.id)
    if first is not None and first != case.path:
        raise CaseError(f"has the id {case.id} of {first}", where=case.path, remedy=remedy)
    paths[case.id] = case.path
    return first is None


def rehearse(predictor: Predictor, cases: Iterable[Case | CaseError]) -> Iterator[tuple[Case | None, object]]:
    """(case, a line with the steps it would go through, or its CaseError) of each case; nothing is written."""
    for case, steps in remaining(predictor, cases):
        if isinstance(steps, CaseError):
            yield case, steps
        else:
            output = "" if predictor.gives_table else f" -> {predictor.folder / case.id}"
            yield case, f"{case.id}: {case.path} -> {listed(*steps) or 'as it is'}{output}"
