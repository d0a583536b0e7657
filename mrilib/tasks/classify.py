"""Classes of images: one network, one probability for each class."""

from __future__ import annotations

from mrilib.errors import UsageError
from mrilib.tasks.task import Task, named


class Classify(Task):
    """Sort images into classes."""

    name = "classify"
    title = "classes of images"
    settings = named("mrilib.training.classify_settings:ClassifySettings")
    prediction = named("mrilib.inference.settings:ClassifyPredictSettings")
    predictor = "mrilib.inference.classes:ClassPredictor"
    record = "mrilib.models.record:ClassRecord"
    scorer = "mrilib.evaluation.classes:ClassScorer"
    scoring = named("mrilib.evaluation.settings:ClassSettings")

    def misfit(self, cases) -> UsageError | None:
        if any(case.class_name is not None for case in cases):
            return None
        return UsageError("no case has a class", remedy="put images into a folder for each class, or give a CSV with "
                          "the columns file and class")

    def describe(self, record: dict) -> list[tuple[str, str]]:
        return [("classes", ", ".join(record.get("classes", ()))), *super().describe(record)]

    def outputs(self, record: dict) -> int:
        return len(record["classes"])

    def columns(self, record: dict) -> list[str]:
        return ["class", *(f"p_{name}" for name in record["classes"])]

    def row(self, record: dict, vector) -> dict:
        numbers = [float(f"{value:.6f}") for value in vector]
        return dict(zip(self.columns(record), [record["classes"][int(vector.argmax())], *numbers], strict=True))

    def as_json(self, record: dict, row: dict) -> dict:
        return {"case": row["case"], "class": row["class"], "seen": row["seen"],
                "probabilities": {name: row[f"p_{name}"] for name in record["classes"]}}
