"""The network of a classifier and the start of its head: what tasks.classify needs beside the fit loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mrilib.errors import UsageError
from mrilib.training.classify_settings import ClassifySettings
from mrilib.training.images import ImageData
from mrilib.training.sampling import balanced
from mrilib.training.settings import check_class_weights

CLIP = 1e-7  # probabilities are kept this far from 0 in the validation loss
HEAD_START_C = 0.005  # inverse strength of the ridge of the logistic regression, features scaled to deviation 1
HEAD_START_FLOOR = 0.3  # of the median deviation; see start_head


def check_size(shape, wanted: tuple[int, ...] | None) -> None:
    """Raise UsageError when images of shape (n, y, x, channel) are not of the size (y, x) that --size names."""
    if wanted is None:
        return
    size = wanted * 2 if len(wanted) == 1 else wanted
    if tuple(shape[1:3]) != size:
        asked = [str(v) for v in size[::-1]]
        raise UsageError(f"the images are {shape[2]} x {shape[1]}, not {' x '.join(asked)}",
                         remedy=f"bring them to that size first: mri-normalize --size {','.join(asked)}")


def check_classes(data: ImageData) -> None:
    """Raise UsageError when there is one class only, or none of a class to train on."""
    if len(data.outputs) < 2:
        raise UsageError(f"all cases are of the class {data.outputs[0]}: there is nothing to tell apart",
                         remedy="give the folder that holds the class folders")
    for name, count in data.counts("train").items():
        if not count:
            raise UsageError(f"no case of class {name} is left for training", remedy="another split, or more cases")


def network(data: ImageData, settings: ClassifySettings) -> tuple[object, object, Callable, dict]:
    """(the network to train, that to keep, the loss, the record) of complete settings."""
    from mrilib.models import losses
    from mrilib.models.classifier import classifier
    from mrilib.models.logits import with_logits

    check_classes(data)
    s = settings
    loss = losses.make(s.loss, smoothing=s.label_smoothing, class_weights=class_weights(s, data))
    kept = classifier(s.backbone, data.images.shape[1:], len(data.outputs), width=s.width, weights=s.weights,
                      dropout=s.dropout, low=data.low, high=data.high, head=s.head)
    _set_trainable(kept, s)
    architecture = {"backbone": s.backbone, "width": s.width, "head": s.head, "dropout": s.dropout, "low": data.low,
                    "high": data.high}  # fmt: skip
    record = {"classes": data.outputs, "shape": list(data.images.shape[1:]), "spacing": list(data.spacing),
              "architecture": architecture}  # fmt: skip
    return with_logits(kept), kept, loss, record


def class_weights(settings: ClassifySettings, data: ImageData) -> list[float] | None:
    """The weight of each class, in order, or None. Raises UsageError for names that are not the data's."""
    weights = settings.class_weights
    if weights == "none":
        return None
    if weights == "balanced":
        return balanced(data.classes[data.places("train")])
    check_class_weights(weights, data.outputs)
    return [float(weights[name]) for name in data.outputs]


def metrics(targets: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Cross-entropy (nats), accuracy and balanced accuracy of probabilities, of one-hot targets (n, class)."""
    correct = predicted.argmax(1) == targets.argmax(1)
    by_class = [correct[targets[:, i] > 0].mean() for i in range(targets.shape[1]) if (targets[:, i] > 0).any()]
    loss = -np.log(np.clip((predicted * targets).sum(1), CLIP, 1)).mean()
    return {"validation_loss": float(loss), "validation_accuracy": float(correct.mean()),
            "validation_balanced_accuracy": float(np.mean(by_class))}  # fmt: skip


def _set_trainable(model, settings: ClassifySettings) -> None:
    """Freeze what is to stay. Batch normalisation that came with weights and is trained on adapts its statistics."""
    from mrilib.models import backbones

    if settings.freeze or settings.unfreeze_from:
        backbones.freeze(model, settings.unfreeze_from)
    if settings.weights is not None:
        backbones.adapt_statistics(model)


def start_head(model, images: np.ndarray, classes: np.ndarray, weights: list[float] | None,
               settings: ClassifySettings) -> None:
    """Set the head to the logistic regression of the classes on the pooled features of images and their mirrors.

    images: (n, y, x, channel). weights: of each class, or None. The head is the layer "logits".
    """
    import keras
    from sklearn.linear_model import LogisticRegression

    pooled = keras.Model(model.input, model.get_layer("logits").input)
    both = [pooled.predict(x, batch_size=settings.batch_size, verbose=0) for x in (images, images[:, :, ::-1])]
    features = np.concatenate(both).astype(np.float64)
    mean, deviation = features.mean(0), features.std(0)
    # Features that are nearly dead must not be blown up to deviation 1: their kernels would be so large that the
    # first steps of fine-tuning, which move them, would ruin the head (measured: largest kernel 5.8, with it 0.1).
    median = float(np.median(deviation[deviation > 0])) if (deviation > 0).any() else 1.0
    scale = np.sqrt(deviation**2 + (HEAD_START_FLOOR * median) ** 2)
    balance = dict(enumerate(weights)) if weights else "balanced" if settings.sampling == "equal" else None
    regression = LogisticRegression(C=HEAD_START_C, max_iter=1000, class_weight=balance)
    regression.fit((features - mean) / scale, np.tile(classes, 2))
    kernel = regression.coef_.T / scale[:, None]
    bias = regression.intercept_ - mean @ kernel
    if kernel.shape[1] == 1:
        kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.concatenate([-bias / 2, bias / 2])
    model.get_layer("logits").set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
