"""Classes of images: one network, one probability for each class."""

from __future__ import annotations

from mrilib.errors import UsageError
from mrilib.evaluation.settings import ClassSettings
from mrilib.tasks.task import Task, named


class Classify(Task):
    """Sort images into classes."""

    name = "classify"
    title = "classes of images"
    scorer = "mrilib.evaluation.classes:ClassScorer"
    scoring = ClassSettings
    settings = named("mrilib.training.classify_settings:ClassifySettings")

    def misfit(self, cases) -> UsageError | None:
        if any(case.class_name is not None for case in cases):
            return None
        return UsageError("no case has a class", remedy="put images into a folder for each class, or give a CSV with "
                          "the columns file and class")

    def describe(self, record: dict) -> list[tuple[str, str]]:
        return [("classes", ", ".join(record.get("classes", ()))), *super().describe(record)]
