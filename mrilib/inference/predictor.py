"""How one task is predicted: what prepares a case, what the networks compute, what is written of it.

`Predictor` suits a task whose network takes images of one size and gives one vector, a row of a table: see
mrilib.tasks.task.Task.predictor for other ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mrilib import targets
from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.inference import ensemble
from mrilib.inference.models import Models
from mrilib.inference.prepare import Prepared
from mrilib.inference.settings import PredictSettings
from mrilib.models.record import ModelRecord
from mrilib.parallel import AHEAD, cores
from mrilib.store import csv_text


class Predictor:
    """One prediction with models of one task, and settings of Task.prediction.

    worker: the function that prepares a case, with the arguments of `arguments`. ahead, apart: of parallel.ordered.
    folder: where each case gets a file named by its id; None for none.
    """

    worker = "mrilib.inference.prepare:prepare"
    ahead, apart = AHEAD, False
    folder: Path | None = None

    def __init__(self, task, models: Models, settings: PredictSettings, out: Path | None = None):
        self.task, self.models, self.settings, self.out = task, models, settings, out
        if out is not None and self.gives_table:
            targets.check_file(out)

    @property
    def gives_table(self) -> bool:
        """Whether the results are rows of a table, else paths of files."""
        return True

    @property
    def columns(self) -> list[str]:
        """The columns of the table between the case and `seen`."""
        return self.task.columns(self.models.record)

    @property
    def as_list(self) -> bool:
        """Whether the table is one JSON list instead of a CSV."""
        return self.settings.json

    def as_json(self, row: dict) -> list[dict]:
        """What stands for a row in that list."""
        return [self.task.as_json(self.models.record, row)]

    @property
    def folders(self) -> list[Path]:
        """Every folder that results are written below."""
        return [self.folder] if self.folder is not None else []

    @property
    def batch_size(self) -> int:
        """How many cases go through the networks at once."""
        return self.settings.batch_size or 16

    @property
    def jobs(self) -> int:
        """How many workers prepare cases, unless said."""
        return cores()

    def check_inputs(self, paths: Sequence[Path]) -> None:
        """Raise UsageError when results would lie in a folder given as input, which would be read next time."""
        for folder in self.folders:
            targets.check_apart(folder, paths)

    def check(self, network, record: ModelRecord, name: object) -> None:
        """Raise CaseError when a network is not what its record says."""
        ensemble.check_shapes(network, tuple(record.shape), (self.task.outputs(record),), name)

    def arguments(self, case: Case, steps: tuple, others: tuple) -> tuple:
        """The arguments of the worker. steps: those that the case still has to go through; others: those of each
        further model, where its recipe has learned otherwise."""
        record = self.models.record
        return case, steps, record.channels, record.shape, False, not self.settings.as_is, others

    def forward(self, prepared: Sequence[Prepared]) -> list:
        """What the networks give for some cases, an array each."""
        return list(ensemble.mean_vectors(self.models.build(self), [one.array for one in prepared],
                                          batch_size=self.batch_size, flips=self.settings.flips))

    def write(self, case: Case, prepared: Prepared, values) -> dict | list[dict]:
        """The result of a case: here a row, {column: value}, or several. Raises CaseError for values that are no
        numbers."""
        if not np.isfinite(values).all():
            raise CaseError("the model gives no number for it")
        row = self.task.row(self.models.record, values)
        return {"case": case.id, **row, "seen": self.models.seen.get(prepared.content, "")}


class Table:
    """The rows of predictions as a CSV whose lines go out as they come, or as one JSON list at the end.

    put: takes text. The header comes late, so that a run that turns out to be wrong use writes nothing.
    """

    def __init__(self, predictor: Predictor, put: Callable[[str], object]):
        self.predictor, self.put = predictor, put
        self.rows: list[dict] | None = [] if predictor.as_list else None
        self.begun = False

    def begin(self) -> None:
        """Write the header, once."""
        if not self.begun and self.rows is None:
            self.put(csv_text([["case", *self.predictor.columns, "seen"]]))
        self.begun = True

    def add(self, result: dict | list[dict]) -> dict | list[dict]:
        """Write the row of a case, or its rows; returns the same."""
        for row in result if isinstance(result, list) else [result]:
            if self.rows is not None:
                self.rows += self.predictor.as_json(row)
            else:
                self.begin()
                self.put(csv_text([[f"{value:.6f}" if isinstance(value, float) else value for value in row.values()]]))
        return result

    def end(self) -> None:
        """Write what is left."""
        self.begin()
        if self.rows is not None:
            self.put(json.dumps(self.rows, indent=1) + "\n")


