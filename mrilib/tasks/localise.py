"""Bounding boxes: a detector that finds structures, such as tumours, in images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrilib.errors import UsageError
from mrilib.tasks.task import Task, named, note

if TYPE_CHECKING:
    from mrilib.models.record import BoxRecord
    from mrilib.training.localise_settings import LocaliseSettings
    from mrilib.training.network import Network


class Localise(Task):
    """Find structures, such as tumours, and draw a box around each."""

    name = "localise"
    title = "bounding boxes"
    settings = named("mrilib.training.localise_settings:LocaliseSettings")
    prediction = named("mrilib.inference.settings:BoxPredictSettings")
    predictor = "mrilib.inference.detections:BoxPredictor"
    record = "mrilib.models.record:BoxRecord"
    monitor = headline = "validation_ap50"
    higher_is_better = True
    judged = "AP50 of each image"
    space = ("backbone=resnet18,mobilenet,small", "learning-rate=1e-3:2e-2:log", "augment=light,medium,heavy",
             "assignment=centre,aligned")
    scorer = "mrilib.evaluation.boxes:BoxScorer"
    scoring = named("mrilib.evaluation.settings:BoxSettings")

    def misfit(self, cases: Sequence) -> UsageError | None:
        if any(case.boxes for case in cases):
            return None
        return UsageError("no case has a box", remedy="give images with YOLO, COCO, Pascal VOC, VIA or LabelMe boxes, "
                          "or a CSV with the columns file,x0,y0,x1,y1")

    def reference(self, case) -> str:
        return f"boxes={len(case.boxes)}"

    def complete(self, settings: LocaliseSettings, *, validated: bool, cases: Sequence) -> LocaliseSettings:
        from mrilib.training import localise_settings

        return localise_settings.complete(settings, validated=validated, cases=len(cases))

    def load(self, cases: Sequence, others: Sequence, settings: LocaliseSettings, context):
        from mrilib.training.classify import check_size
        from mrilib.training.images import Images
        from mrilib.training.localise import classes_of, targets

        def of(chosen, images, unread):
            classes = classes_of([*chosen, *unread], settings.one_class)
            return targets(chosen, classes), classes, None

        with context.progress("reading", len(cases), "case") as bar:
            images = Images(cases, of, step=bar.step, fail=context.fail)
        check_size(images.images.shape, settings.size)
        return images

    def network(self, data, settings: LocaliseSettings) -> Network:
        from mrilib.training import localise
        from mrilib.training.network import Network

        return Network(*localise.network(data, settings))

    def batches(self, data, settings: LocaliseSettings, setup, network: Network):
        from mrilib.training.augment import box_augmenter
        from mrilib.training.batches import BoxBatches

        train = data.places("train")
        return BoxBatches(data.images[train], data.targets[train], [data.ids[i] for i in train], settings,
                          box_augmenter(settings.augment, len(data.channels)), data.spacing,
                          workers=max(1, setup.threads // 2) if setup.device != "cpu" else 1)

    def validation(self, network: Network, data, settings: LocaliseSettings):
        from mrilib.training import localise
        from mrilib.training.fit import Validation

        if not data.count("validation"):
            return None
        return Validation(lambda: localise.metrics(*self._validated(network.kept, data, settings)), self.monitor,
                          self.higher_is_better, passes=2)

    def _validated(self, network, data, settings: LocaliseSettings) -> tuple[dict, dict]:
        """(reference, predicted) boxes of the validation cases."""
        from mrilib.training import localise

        places = data.places("validation")
        network.jit_compile = False  # XLA would take longer to compile than the images to predict
        values = network.predict(data.images[places], batch_size=settings.batch_size, verbose=0)
        return (localise.true_boxes(data.targets[places]),
                localise.validation_boxes(values, data.images.shape[1:], settings.stride))

    def judge(self, network, record: dict, data, settings: LocaliseSettings) -> dict[str, float]:
        from mrilib.training import localise

        true, predicted = self._validated(network, data, settings)
        values = localise.values_of_cases(true, predicted)
        return {data.ids[place]: value for place, value in zip(data.places("validation"), values, strict=True)}

    def metrics_text(self, metrics: dict[str, float]) -> str:
        return (f"AP50 {metrics['validation_ap50']:.3f}, AP50:95 {metrics['validation_ap']:.3f}, mean sensitivity of "
                f"the FROC {metrics['validation_froc']:.3f}")

    def identity(self, data) -> dict:
        return {"classes": data.outputs, "shape": list(data.images.shape[1:])}

    def finish(self, network: Network, data, settings: LocaliseSettings, record: dict) -> None:
        from mrilib.training.localise import least_score

        if data.count("validation"):
            record["min_score"], best = least_score(*self._validated(network.kept, data, settings))
            note("scores: boxes below %.3f add nothing to AP50 and are left out by default; the best F1 is at "
                 "--min-score %.2f", record["min_score"], best)

    def describe(self, record: dict) -> list[tuple[str, str]]:
        return [("classes of boxes", ", ".join(record.get("classes", ())) or "none, all boxes are of one kind"),
                ("least score", f"{record.get('min_score', 0):.3f}"), *super().describe(record)]

    def outputs(self, record: BoxRecord) -> tuple[int, int]:
        """The cells of a network, and the numbers that each gives."""
        from math import prod

        from mrilib.models.detector import SIDES

        return prod(side // record.stride for side in record.shape[:2]), SIDES + max(1, len(record.classes))
