"""Classes of images: one network, one probability for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrilib.errors import UsageError
from mrilib.tasks.task import Task, named

if TYPE_CHECKING:
    from mrilib.models.record import ClassRecord
    from mrilib.training.classify_settings import ClassifySettings
    from mrilib.training.network import Network


class Classify(Task):
    """Sort images into classes."""

    name = "classify"
    title = "classes of images"
    settings = named("mrilib.training.classify_settings:ClassifySettings")
    prediction = named("mrilib.inference.settings:ClassifyPredictSettings")
    predictor = "mrilib.inference.classes:ClassPredictor"
    record = "mrilib.models.record:ClassRecord"
    headline = "validation_accuracy"
    judged = "accuracy"
    space = ("backbone=small,mobilenet,resnet18", "learning-rate=3e-4:1e-2:log", "augment=light,medium,heavy",
             "dropout=0:0.5", "head=mean-max,mirror")
    scorer = "mrilib.evaluation.classes:ClassScorer"
    scoring = named("mrilib.evaluation.settings:ClassSettings")

    def misfit(self, cases: Sequence) -> UsageError | None:
        if any(case.class_name is not None for case in cases):
            return None
        return UsageError("no case has a class", remedy="put images into a folder for each class, or give a CSV with "
                          "the columns file and class")

    def complete(self, settings: ClassifySettings, *, validated: bool, cases: Sequence) -> ClassifySettings:
        from mrilib.training import classify_settings
        from mrilib.training.settings import check_class_weights

        settings = classify_settings.complete(settings, validated=validated, cases=len(cases))
        check_class_weights(settings.class_weights, sorted({case.class_name for case in cases} - {None}))
        return settings

    def load(self, cases: Sequence, others: Sequence, settings: ClassifySettings, context):
        from mrilib.training.classify import check_size

        if unnamed := next((case for case in cases if case.class_name is None), None):
            raise UsageError("has no class", where=unnamed.path, remedy="class folders, or a CSV with a column class")
        images = super().load(cases, others, settings, context)
        check_size(images.images.shape, settings.size)
        return images

    def targets(self, cases: Sequence, images, unread: Sequence) -> tuple:
        import numpy as np

        names = sorted({case.class_name for case in [*cases, *unread]})
        classes = np.array([names.index(case.class_name) for case in cases])
        return np.eye(len(names), dtype=np.float32)[classes], names, classes

    def network(self, data, settings: ClassifySettings) -> Network:
        import keras

        from mrilib.training import classify
        from mrilib.training.network import Network

        # given by name, Keras would make its variables in the first step, and TensorFlow trace that step a second time
        accuracy = keras.metrics.CategoricalAccuracy("accuracy")
        return Network(*classify.network(data, settings), metrics=[accuracy])

    def start(self, network: Network, data, settings: ClassifySettings) -> None:
        from mrilib.training import classify

        if settings.head_start:
            train = data.places("train")
            classify.start_head(network.kept, data.images[train], data.classes[train],
                                classify.class_weights(settings, data), settings)

    def metrics(self, targets, predicted) -> dict[str, float]:
        from mrilib.training import classify

        return classify.metrics(targets, predicted)

    def values(self, targets, predicted):
        return predicted.argmax(1) == targets.argmax(1)

    def metrics_text(self, metrics: dict[str, float]) -> str:
        accuracy, balanced = (100 * metrics[f"validation_{name}"] for name in ("accuracy", "balanced_accuracy"))
        return f"accuracy {accuracy:.1f} %, balanced {balanced:.1f} %, loss {metrics['validation_loss']:.3f}"

    def identity(self, data) -> dict:
        return {"classes": data.outputs, "shape": list(data.images.shape[1:])}

    def describe(self, record: dict) -> list[tuple[str, str]]:
        return [("classes", ", ".join(record.get("classes", ()))), *super().describe(record)]

    def outputs(self, record: ClassRecord) -> int:
        return len(record.classes)

    def columns(self, record: ClassRecord) -> list[str]:
        return ["class", *(f"p_{name}" for name in record.classes)]

    def row(self, record: ClassRecord, vector) -> dict:
        numbers = [float(f"{value:.6f}") for value in vector]
        return dict(zip(self.columns(record), [record.classes[int(vector.argmax())], *numbers], strict=True))

    def as_json(self, record: ClassRecord, row: dict) -> dict:
        return {"case": row["case"], "class": row["class"], "seen": row["seen"],
                "probabilities": {name: row[f"p_{name}"] for name in record.classes}}
