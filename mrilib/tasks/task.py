"""What a task supplies to training, prediction and scoring. The defaults suit a task that maps one image to a vector.

The functions of mrilib.training, mrilib.inference and mrilib.evaluation take the task as an argument and never import
this package. Task modules are imported by `--help`: heavy imports belong inside the methods.
"""

from __future__ import annotations

from pkgutil import resolve_name

from mrilib.config import Settings
from mrilib.errors import UsageError
from mrilib.evaluation.settings import ScoreSettings


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
    scoring: type[ScoreSettings] = ScoreSettings

    def misfit(self, cases) -> UsageError | None:
        """None when the cases suit the task, else why they do not and what to do. Reads no voxels."""
        raise NotImplementedError

    def describe(self, record: dict) -> list[tuple[str, str]]:
        """What a model's record says of its input and output, as (name, text) lines; mri-inspect shows them."""
        return [("input", " x ".join(map(str, record.get("shape", ()))) + " (y, x, channels)")]
