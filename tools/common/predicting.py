"""What mri-predict does: check models and cases, prepare side by side, predict in batches, give rows in order."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from glob import glob, has_magic
from pathlib import Path

from mri_tools.common import stream
from mri_tools.common.jobs import cores, ordered
from mri_tools.common.run import DONE, SOME_FAILED, complain, describe, detail, emit, progress, say, write
from mrilib.cases import Case
from mrilib.errors import CaseError, MachineError, UsageError


class Models:
    """Model files whose probabilities are averaged, their records read and compared; no network built yet."""

    def __init__(self, paths: Iterable[Path]):
        from mrilib.inference.ensemble import check_records, seen_by
        from mrilib.models import safety
        from mrilib.models.file import read_record

        self.paths = list(dict.fromkeys(matching(paths)))
        self.records = {path: read_record(path) for path in self.paths}
        self.record = check_records(self.records, "classify")
        for path in self.paths:
            safety.check(path)
        self.classes = self.record["classes"]
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
    """The ids that a part of a split holds (test unless said); None without a split: every case."""
    if split is None:
        for name, value in (("fold", fold), ("part", part)):
            if value is not None:
                raise UsageError(f"--{name} has no effect without --split")
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
    from mrilib.records import content_hash

    path, record = next(iter(models.records.items()))
    origin = record.get("training", {}).get("split", {})
    if len(models.paths) > 1 or (origin.get("content"), origin.get("fold")) != (content_hash([split]), fold):
        raise UsageError(f"is not one model trained with --split {split} --fold {fold}", where=path,
                         remedy=f"part {part} of a fold is what a model made of it; --part test needs no model")
    return [name for name, known in record["training"]["cases"].items() if known["part"] == part]


def selected(paths, wanted: set[str] | None, **options) -> Iterator[Case | CaseError]:
    """Cases as they come, or those wanted; each one wanted that never came is an error at the end."""
    missing = set(wanted or ())
    for case in stream.each(paths, **options):
        if wanted is None or isinstance(case, CaseError):
            yield case
        elif case.id in wanted:
            missing.discard(case.id)
            yield case
    for name in sorted(missing):
        yield CaseError("is in the split, but was not given", where=name)


def calls(found, models: Models, as_is: bool, native: bool):
    """(case, arguments of prepare.prepare) of each case. Raises UsageError for a root of another recipe."""
    from mrilib.inference.prepare import remaining_steps

    @lru_cache(maxsize=64)
    def steps_of(root: Path):
        steps = remaining_steps(models.record, root, as_is)
        detail(f"{root}: {', '.join(map(str, steps)) or 'taken as it is'}")
        return steps

    taken: dict[str, Path] = {}
    for case in found:
        if isinstance(case, CaseError):
            yield None, case
            continue
        try:
            if not claim(taken, case, native):
                continue
            steps = steps_of(case.root)
        except CaseError as error:
            yield case, error
            continue
        yield case, (case, steps, models.record["channels"], models.record["shape"], native, not as_is)


def claim(taken: dict[str, Path], case: Case, explain: bool) -> bool:
    """Whether a case is new; one that is named twice is predicted once.

    Raises CaseError when another case of this run has its id, for their rows could not be told apart, and for
    an id that leads a picture out of the folder of pictures.
    """
    remedy = "count ids from a folder above, with --root"
    if explain and ".." in case.id.split("/"):
        raise CaseError(f"has the id {case.id}, which leads out of the folder of --explain", where=case.path,
                        remedy=remedy)
    first = taken.get(case.id)
    if first is not None and first != case.path:
        raise CaseError(f"has the id {case.id} of {first}", where=case.path, remedy=remedy)
    taken[case.id] = case.path
    return first is None


def rehearse(found, models: Models, as_is: bool) -> int:
    """List each case with the steps it would go through; returns the exit code."""
    failed = 0
    for case, arguments in calls(found, models, as_is, False):
        if isinstance(arguments, CaseError):
            failed += 1
            complain(describe(case, arguments), arguments)
        else:
            emit(f"{case.id}: {case.path} -> {', '.join(map(str, arguments[1])) or 'as it is'}")
    return SOME_FAILED if failed else DONE


class Network:
    """The networks of the models, built when the first batch is there."""

    def __init__(self, models: Models, *, device: str, threads: int | None, batch_size: int, flips: bool):
        self.models, self.device, self.threads = models, device, threads
        self.batch_size, self.flips = batch_size, flips
        self.built: list = []

    def build(self) -> list:
        if not self.built:
            from mrilib import gpu
            from mrilib.inference.classify import check_model
            from mrilib.models.file import load

            say(gpu.setup(self.device, mixed="off", threads=self.threads).line)
            for path in self.models.paths:
                model, record = load(path)
                check_model(model, record, path)
                self.built.append(model)
        return self.built

    def predict(self, arrays):
        """Probabilities (n, class) of at most batch_size prepared arrays."""
        from mrilib.inference.classify import average

        return average(self.build(), self.models.record, arrays, batch_size=self.batch_size, flips=self.flips)

    def explain(self, ready, index: int, path: Path) -> None:
        from mrilib.inference import explain

        heat = explain.explain(self.build(), ready.array, index, ready.grid, ready.native.grid)
        explain.write_overlay(path, explain.overlay(ready.native, heat))


class Table:
    """Rows case,class,p_<class>...,seen as CSV, given on as they come, or as one JSON list at the end."""

    def __init__(self, models: Models, output: Path | None, as_json: bool):
        self.models, self.output, self.as_json = models, output, as_json
        self.names = ["case", "class", *(f"p_{name}" for name in models.classes), "seen"]
        self.rows: list[dict] = []
        self.put = write

    def __enter__(self):
        self.files = contextlib.ExitStack()
        if self.output is not None:
            from mrilib import records

            path = self.files.enter_context(records.whole(self.output))
            file = open(path, "w", encoding="utf-8", errors="surrogateescape", newline="")
            self.put = self.files.enter_context(file).write
        self.begun = self.as_json
        return self

    def _begin(self) -> None:
        """The header, late, so that a run that turns out to be wrong use writes nothing."""
        if not self.begun:
            self.begun = True
            self.put(line(self.names))

    def add(self, case: Case, probabilities, content: str) -> int:
        """One row; returns the place of its class."""
        place = int(probabilities.argmax())
        seen = self.models.seen.get(content, "")
        numbers = [f"{p:.6f}" for p in probabilities]
        if self.as_json:
            self.rows.append({"case": case.id, "class": self.models.classes[place], "seen": seen,
                              "probabilities": dict(zip(self.models.classes, map(float, numbers), strict=True))})
        else:
            self._begin()
            self.put(line([case.id, self.models.classes[place], *numbers, seen]))
        return place

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._begin()
        if self.as_json and kind is None:
            self.put(json.dumps(self.rows, indent=1) + "\n")
        return self.files.__exit__(kind, error, trace)


def line(values) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def run(found, models: Models, network: Network, table: Table, *, as_is: bool, explain: Path | None,
        jobs: int | None) -> int:
    """Prepare, predict and write every case, in input order; returns the exit code."""
    first = next(found := iter(found), None)
    if first is None:
        complain("nothing to do (no names came)")
        return SOME_FAILED
    todo = calls(_chain(first, found), models, as_is, explain is not None)
    results = ordered("mrilib.inference.prepare:prepare", todo, jobs or cores())
    done = failed = 0
    waiting: list = []

    def finish():
        nonlocal done, failed
        good = [(case, ready) for case, ready in waiting if not isinstance(ready, BaseException)]
        found = iter(network.predict([ready.array for _, ready in good])) if good else iter(())
        for case, ready in waiting:
            probabilities = None if isinstance(ready, BaseException) else next(found)
            if probabilities is None or not (probabilities >= 0).all():  # NaN is not
                failed += 1
                ready = ready if probabilities is None else CaseError("the model gives no number for it")
                complain(describe(case, ready), ready)
                continue
            if ready.adapted:
                detail(f"{case.id}: {ready.adapted}")
            place = table.add(case, probabilities, ready.content)
            done += 1
            if explain is not None:
                network.explain(ready, place, explain / f"{case.id}.png")
        waiting.clear()

    with table, progress("cases") as bar:
        for case, ready in results:
            if isinstance(ready, (MachineError, UsageError, MemoryError, KeyboardInterrupt)):
                raise ready
            waiting.append((case, ready))
            bar.step()
            good = sum(not isinstance(ready, BaseException) for _, ready in waiting)
            if good:
                network.build()  # at the first good case, while the others are still being prepared
            if good in (0, network.batch_size):
                finish()
        finish()
    say(f"{done} done" + (f", {failed} failed" if failed else ""))
    return SOME_FAILED if failed else DONE


def _chain(first, rest):
    yield first
    yield from rest
