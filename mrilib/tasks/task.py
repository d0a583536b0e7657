"""What a task supplies to training, prediction and scoring. The defaults suit a task that maps one image to a vector.

The functions of mrilib.training, mrilib.inference and mrilib.evaluation take the task as an argument and never import
this package. Task modules are imported by `--help`: heavy imports belong inside the methods.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from mrilib.config import Settings
from mrilib.errors import UsageError

if TYPE_CHECKING:
    from mrilib.evaluation.settings import ScoreSettings
    from mrilib.inference.settings import PredictSettings


class named:
    """A class attribute that is imported by its name, "module:attribute", when it is asked for: the help of a tool
    needs only some of them."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, *_):
        return resolve_name(self.name)


class Task:
    """One kind of model. name: as on the command line. title: what it does, in a few words. settings: the typed
    settings of training (below mrilib.training.settings.TrainSettings). scorer: "module:class" of the
    mrilib.evaluation.scorer.Scorer of its predictions; empty where they are not scored. scoring: the typed settings of
    that scorer."""

    name: str
    title: str
    settings: type[Settings]
    scorer: str = ""
    scoring: type[ScoreSettings] = named("mrilib.evaluation.settings:ScoreSettings")

    # Prediction. prediction: the typed settings. predictor: the class below mrilib.inference.predictor.Predictor.
    # record: the class of a model's record. any_geometry: whether a model accepts other sizes, crops and spacings than
    # those of its training, because it predicts patch by patch.
    prediction: type[PredictSettings] = named("mrilib.inference.settings:TableSettings")
    predictor = "mrilib.inference.predictor:Predictor"
    record = "mrilib.models.record:ImageRecord"
    any_geometry = False

    def misfit(self, cases) -> UsageError | None:
        """None when the cases suit the task, else why they do not and what to do. Reads no voxels."""
        raise NotImplementedError

    def describe(self, record: dict) -> list[tuple[str, str]]:
        """What a model's record says of its input and output, as (name, text) lines; mri-inspect shows them."""
        return [("input", " x ".join(map(str, record.get("shape", ()))) + " (y, x, channels)")]

    # Prediction: a row of a table from the vector of a network. A predictor of its own replaces all of it.

    def outputs(self, record: dict) -> int:
        """The number of outputs of a network."""
        return len(self.columns(record))

    def columns(self, record: dict) -> list[str]:
        """The columns of the table between `case` and `seen`."""
        raise NotImplementedError

    def row(self, record: dict, vector) -> dict:
        """{column: value} of the prediction in a vector, columns as in `columns`."""
        return {name: round(float(value), 6) for name, value in zip(self.columns(record), vector, strict=True)}

    def as_json(self, record: dict, row: dict) -> dict:
        """A row, `case` and `seen` with it, as --json gives it."""
        return row
