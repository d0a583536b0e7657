"""Classes of images: one network, one probability for each class."""

from __future__ import annotations

from mrilib.errors import UsageError
from mrilib.tasks.task import Task
from mrilib.training.classify_settings import ClassifySettings


class Classify(Task):
    """Sort images into classes."""

    name = "classify"
    title = "classes of images"
    settings = ClassifySettings

    def misfit(self, cases) -> UsageError | None:
        if any(case.class_name is not None for case in cases):
            return None
        return UsageError("no case has a class", remedy="put images into a folder for each class, or give a CSV with "
                          "the columns file and class")

    def describe(self, record: dict) -> list[tuple[str, str]]:
        return [("classes", ", ".join(record.get("classes", ()))), *super().describe(record)]
