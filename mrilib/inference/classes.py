"""Prediction of classes: the probability of each, and where the model looked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mrilib import targets
from mrilib.inference.predictor import Predictor
from mrilib.inference.prepare import Prepared


class ClassPredictor(Predictor):
    """A table of classes; with settings.explain a picture of each case as well."""

    def __init__(self, task, models, settings, out: Path | None = None):
        super().__init__(task, models, settings, out)
        self.folder = settings.explain
        if self.folder is not None:
            targets.check_folder(self.folder)

    def arguments(self, case, steps: tuple, others: tuple) -> tuple:
        *first, _, check, others = super().arguments(case, steps, others)
        return *first, self.folder is not None, check, others

    def forward(self, prepared: Sequence[Prepared]) -> list:
        """The probabilities of each case; with `explain`, and the heat map of the likeliest class."""
        vectors = super().forward(prepared)
        if self.folder is None:
            return vectors
        from mrilib.inference.explain import explain

        networks = self.models.build(self)
        return [(vector, explain(networks, one.array, int(vector.argmax()), one.grid, one.native.grid))
                for vector, one in zip(vectors, prepared, strict=True)]

    def write(self, case, prepared: Prepared, values) -> dict:
        if self.folder is None:
            return super().write(case, prepared, values)
        from mrilib.inference.explain import overlay, write_overlay

        vector, heat = values
        row = super().write(case, prepared, vector)
        write_overlay(self.folder / f"{case.id}.png", overlay(prepared.native, heat))
        return row
