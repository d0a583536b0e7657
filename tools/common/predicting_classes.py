"""mri-predict with models that classify: prepare side by side, predict in batches, give rows in order."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from mri_tools.cli.output import (
    ENDING,
    SOME_FAILED,
    complain,
    counted,
    describe,
    detail,
    progress,
    say,
    write,
    wrong_use,
)
from mri_tools.common.predicting import Models, begun, calls
from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.parallel import cores, ordered
from mrilib.store import csv_text


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
                with wrong_use():
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
        self.names = ["case", "class", *(f"p_{name}" for name in models.record["classes"]), "seen"]
        self.rows: list[dict] = []
        self.put = write

    def __enter__(self):
        self.files = contextlib.ExitStack()
        if self.output is not None:
            from mrilib import store as records

            self.put = self.files.enter_context(records.text_stream(self.output))
        self.begun = self.as_json
        return self

    def _begin(self) -> None:
        """The header, late, so that a run that turns out to be wrong use writes nothing."""
        if not self.begun:
            self.begun = True
            self.put(csv_text([self.names]))

    def add(self, case: Case, probabilities, content: str) -> int:
        """One row; returns the place of its class."""
        place = int(probabilities.argmax())
        seen = self.models.seen.get(content, "")
        numbers = [f"{p:.6f}" for p in probabilities]
        classes = self.models.record["classes"]
        if self.as_json:
            self.rows.append({"case": case.id, "class": classes[place], "seen": seen,
                              "probabilities": dict(zip(classes, map(float, numbers), strict=True))})
        else:
            self._begin()
            self.put(csv_text([[case.id, classes[place], *numbers, seen]]))
        return place

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._begin()
        if self.as_json and kind is None:
            self.put(json.dumps(self.rows, indent=1) + "\n")
        return self.files.__exit__(kind, error, trace)


def run(found, models: Models, network: Network, table: Table, *, as_is: bool, explain: Path | None,
        jobs: int | None) -> int:
    """Prepare, predict and write every case, in input order; returns the exit code."""
    record = models.record
    if (found := begun(found)) is None:
        return SOME_FAILED

    def arguments(case, steps, others):
        return case, steps, record["channels"], record["shape"], explain is not None, not as_is, others

    todo = calls(found, models, as_is, explain, arguments)
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
            if isinstance(ready, ENDING):
                raise ready
            waiting.append((case, ready))
            bar.step()
            good = sum(not isinstance(ready, BaseException) for _, ready in waiting)
            if good:
                network.build()  # at the first good case, while the others are still being prepared
            if good in (0, network.batch_size):
                finish()
        finish()
    return counted(done, failed)
