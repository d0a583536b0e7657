"""The mean intensity of an image: a whole task in one file, which tests/tasks/test_toy_task.py adds to the registry."""

from mrilib.errors import UsageError
from mrilib.evaluation.scorer import Scorer
from mrilib.tasks.task import Task


class Regress(Task):
    name = "regress"
    title = "mean intensity of images"
    scorer = "mrilib.tasks.regress:MeanScorer"

    def misfit(self, cases):
        return None if cases else UsageError("no image")

    def targets(self, cases, images, unread):
        return images.mean((1, 2)), ["mean"], None

    def network(self, data, settings):
        import keras

        from mrilib.training.network import Network

        image = keras.Input(data.images.shape[1:], name="image", dtype="float32")
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / (data.high - data.low))(image))
        model = keras.Model(image, keras.layers.Dense(1, dtype="float32")(x))
        return Network(model, model, "mse", {"shape": list(image.shape[1:]), "spacing": list(data.spacing)})

    def columns(self, record):
        return ["mean"]


class MeanScorer(Scorer):
    KIND, METRICS, LOWER = "mean intensities", ("mae",), frozenset({"mae"})

    @classmethod
    def takes(cls, submission):
        return "mean" in getattr(submission, "columns", ())

    def value(self, row):
        return float(row["mean"])

    def match(self, entry, reference):
        from mrilib.images.io.files import read_case

        truth = {case.id: float(read_case(case).array.mean()) for case in reference.scored}
        return {case: abs(entry.predictions.of[entry.pairs[case]] - mean) for case, mean in truth.items()}

    def measures(self, entry, names):
        import numpy as np

        errors = np.array([entry.predictions[name] for name in names])
        return lambda weights: {"mae": weights @ errors / weights.sum(1)}

    def case_row(self, entry, name):
        return {"case": name, "error": f"{entry.predictions[name]:.4g}"}
