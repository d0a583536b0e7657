"""What a task supplies to training, prediction and scoring. The defaults suit a task that maps one image to a vector.

The functions of mrilib.training, mrilib.inference and mrilib.evaluation take the task as an argument and never import
this package. Task modules are imported by `--help`: heavy imports belong inside the methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from mrilib.errors import UsageError

if TYPE_CHECKING:
    from mrilib.evaluation.settings import ScoreSettings
    from mrilib.inference.settings import PredictSettings
    from mrilib.models.record import ImageRecord
    from mrilib.training.network import Network
    from mrilib.training.settings import TrainSettings


def note(message: str, *values) -> None:
    """Log a line. logging is imported here, because the help of a tool loads the tasks."""
    import logging

    logging.getLogger("mrilib").info(message, *values)


class named:
    """A class attribute that is imported by its name, "module:attribute", when it is asked for: the help of a tool
    needs only some of them."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, *_):
        return resolve_name(self.name)


class Task:
    """One kind of model.

    name: as on the command line. title: what a model predicts, in a few words. settings: typed settings of training
    (mrilib.training.settings.TrainSettings, or a class below it). monitor: the validation metric that tells the best
    epoch, and whether higher is better. headline: the validation metric that progress shows. remedy: what to do when
    the device is out of memory. scorer: "module:class" of the mrilib.evaluation.scorer.Scorer of its predictions; empty
    where they are not scored. scoring: the typed settings of that scorer. judged: the value that `judge` gives each
    case, in words. space: what mri-tune searches unless told, as mrilib.tuning.space reads it.
    """

    name: str
    title: str
    settings: type[TrainSettings] = named("mrilib.training.settings:TrainSettings")
    monitor = "validation_loss"
    higher_is_better = False
    headline = "validation_loss"
    remedy = "a smaller --batch-size or --width, or smaller images: mri-normalize --size"
    judged = "minus the squared error"
    space: tuple[str, ...] = ("learning-rate=3e-4:1e-2:log", "augment=none,light,medium")
    scorer: str = ""
    scoring: type[ScoreSettings] = named("mrilib.evaluation.settings:ScoreSettings")

    # Prediction. prediction: the typed settings. predictor: the class below mrilib.inference.predictor.Predictor.
    # record: the class of a model's record, below mrilib.models.record.ModelRecord.
    prediction: type[PredictSettings] = named("mrilib.inference.settings:TableSettings")
    predictor = "mrilib.inference.predictor:Predictor"
    record = "mrilib.models.record:ImageRecord"

    # Does it fit?

    def misfit(self, cases: Sequence) -> UsageError | None:
        """None when the cases suit the task, else why they do not and what to do. Reads no voxels."""
        raise NotImplementedError

    def reference(self, case) -> str:
        """What a case is trained on, for a line of --dry-run."""
        return f"label={case.label}" if case.class_name is None else f"class={case.class_name}"

    def has_reference(self, case) -> bool:
        """Whether a case can be trained on: False leaves it out with an error when it is read."""
        return True

    def describe(self, record: dict) -> list[tuple[str, str]]:
        """What a model's record says of its input and output, as (name, text) lines; mri-inspect shows them."""
        return [("input", " x ".join(map(str, record.get("shape", ()))) + " (y, x, channels)")]

    def predictor_of(self, settings: PredictSettings) -> str:
        """The predictor for these settings, as "module:class"."""
        return self.predictor

    # Prediction: a row of a table from the vector of a network. A predictor of its own replaces all of it.

    def outputs(self, record: ImageRecord) -> int:
        """The number of outputs of a network."""
        return len(self.columns(record))

    def columns(self, record: ImageRecord) -> list[str]:
        """The columns of the table between `case` and `seen`."""
        raise NotImplementedError

    def row(self, record: ImageRecord, vector) -> dict:
        """{column: value} of the prediction in a vector, columns as in `columns`."""
        return {name: round(float(value), 6) for name, value in zip(self.columns(record), vector, strict=True)}

    def as_json(self, record: ImageRecord, row: dict) -> dict:
        """A row, `case` and `seen` with it, as --json gives it."""
        return row

    # Training

    def complete(self, given: TrainSettings, *, validated: bool, cases: Sequence) -> TrainSettings:
        """The settings with every default filled in that does not depend on voxels.

        validated: whether there are validation cases. cases: those that are trained on. Raises UsageError for settings
        that have no effect, exclude each other or do not fit the cases.
        """
        from mrilib.training.settings import complete

        return complete(given, validated=validated)

    def needs_validation(self, settings: TrainSettings) -> bool:
        """Whether a setting has no effect without validation cases."""
        from mrilib.training.settings import needs_validation

        return needs_validation(settings)

    def in_float32(self, settings: TrainSettings) -> bool:
        """Whether a CPU computes the network fastest in float32, whatever else it can do."""
        from mrilib.models.applications import NETWORKS

        return settings.backbone in NETWORKS and NETWORKS[settings.backbone].depthwise

    def load(self, cases: Sequence, others: Sequence, settings: TrainSettings, context):
        """What `data(parts)` takes the cases of one fold from. cases: all that take part in a fold. others: cases that
        take part in no fold of this run but in another run of the same split. context: a mrilib.training.run.Loading.
        The default reads images into memory."""
        from mrilib.training.images import Images

        with context.progress("reading", len(cases), "case") as bar:
            return Images(cases, self.targets, step=bar.step, fail=context.fail)

    def targets(self, cases: Sequence, images, unread: Sequence) -> tuple:
        """(targets (n, output) float32, names of the outputs, class of each case (n,) or None) of images in memory.

        unread: cases that take part and could not be read.
        """
        raise NotImplementedError

    def plan(self, settings: TrainSettings, data, setup) -> TrainSettings:
        """The settings with what is planned from the data and the device filled in."""
        return settings

    def network(self, data, settings: TrainSettings) -> Network:
        """The network, its loss and its record. Raises UsageError for settings that do not fit the data."""
        raise NotImplementedError

    def start(self, network: Network, data, settings: TrainSettings) -> None:
        """Prepare the weights before the first epoch."""

    def batches(self, data, settings: TrainSettings, setup, network: Network):
        """A PyDataset of one epoch after another, with begin(epoch), smallest and close()."""
        from mrilib.training.augment import augmenter
        from mrilib.training.batches import Batches

        train = data.places("train")
        groups = data.classes[train] if getattr(settings, "sampling", "") == "equal" else None
        return Batches(data.images[train], data.targets[train], [data.ids[i] for i in train], settings,
                       augmenter(settings.augment, len(data.channels)), data.spacing, groups=groups,
                       workers=max(1, setup.threads // 2) if setup.device != "cpu" else 1)

    def validation(self, network: Network, data, settings: TrainSettings):
        """How the network is validated (mrilib.training.fit.Validation), None without validation cases."""
        from mrilib.training.fit import Validation

        places = data.places("validation")
        if not len(places):
            return None
        images, targets = data.images[places], data.targets[places]

        def measure():
            return self.metrics(targets, network.kept.predict(images, batch_size=settings.batch_size, verbose=0))

        return Validation(measure, self.monitor, self.higher_is_better)

    def metrics(self, targets, predicted) -> dict[str, float]:
        """Validation metrics by name, of targets and predictions (n, output)."""
        return {"validation_loss": float(((targets - predicted) ** 2).mean())}

    def metrics_text(self, metrics: dict[str, float]) -> str:
        """Validation metrics in words, for the summary."""
        return ", ".join(f"{name.removeprefix('validation_').replace('_', ' ')} {value:.4g}"
                         for name, value in metrics.items())  # fmt: skip

    def judge(self, network, record: dict, data, settings: TrainSettings) -> dict[str, float]:
        """The value of each validation case by its id, higher is better: what mri-tune compares settings by.

        network: the Keras network that is kept. record: of the model, as its file would hold it.
        """
        places = data.places("validation")
        predicted = network.predict(data.images[places], batch_size=settings.batch_size, verbose=0)
        values = self.values(data.targets[places], predicted)
        return {data.ids[place]: float(value) for place, value in zip(places, values, strict=True)}

    def values(self, targets, predicted):
        """The value of each case, (n,), of targets and predictions (n, output)."""
        return -((targets - predicted) ** 2).mean(1)

    def identity(self, data) -> dict:
        """What of the data decides a result beside channels and contents: {what: value}."""
        return {"outputs": data.outputs, "shape": list(data.images.shape[1:])}

    def finish(self, network: Network, data, settings: TrainSettings, record: dict) -> None:
        """Change the record after the fit, before the model file is written."""

    def finishing(self, settings: TrainSettings) -> dict:
        """The settings that only `finish` depends on, those with an effect: a checkpoint does not."""
        return {}
