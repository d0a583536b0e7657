"""Train a classifier: cases in memory in, a network with its record out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mrilib import __version__
from mrilib.errors import UsageError
from mrilib.gpu import Setup, memory
from mrilib.store import content_hash
from mrilib.training.classify_settings import ClassifySettings
from mrilib.training.data import Data
from mrilib.training.sampling import balanced
from mrilib.training.settings import check_class_weights

HEAD_START_C = 0.005  # inverse strength of the ridge of the logistic regression, features scaled to deviation 1
FINE_TUNED_MOMENTUM = 0.9  # of batch normalisation: the 0.99 of ImageNet would not have adapted within few epochs
HEAD_START_FLOOR = 0.3  # of the median deviation; see start_head


def fit(data: Data, settings: ClassifySettings, setup: Setup, *, checkpoint: Path | None = None, resume: bool = False,
        watch: Callable = lambda event, state, logs: None) -> tuple[object, dict]:
    """A trained network and the record for its model file (mrilib.models.file.save), all but its split.

    settings: complete ones. setup: of mrilib.gpu.setup, with the seed of the settings. checkpoint: file that is
    written after each epoch and that resume goes on from; it is left where it is. watch(event, state, logs) is
    called with "resume", after each "step" and each "epoch" (mrilib.training.checkpoint.State).
    Raises UsageError for settings that do not fit the data, and for a checkpoint of another run.
    """
    from mrilib.models import losses
    from mrilib.models.classifier import classifier
    from mrilib.models.logits import with_logits
    from mrilib.training import loop

    weights = class_weights(settings, data)
    loss = losses.make(settings.loss, smoothing=settings.label_smoothing or None, class_weights=weights)
    architecture = {"backbone": settings.backbone, "width": settings.width, "head": settings.head,
                    "dropout": settings.dropout, "low": data.low, "high": data.high}  # fmt: skip
    train, held = data.places("train"), data.places("validation")
    truth = np.eye(len(data.names), dtype=np.float32)[data.classes]
    augment = augmenter(settings.augment, len(data.channels))
    with memory.enough("a smaller --batch-size, --size or --width"):
        with setup.scope():
            kept = classifier(settings.backbone, data.images.shape[1:], len(data.names), width=settings.width,
                              weights=settings.weights, dropout=settings.dropout, low=data.low, high=data.high,
                              head=settings.head)
            _set_trainable(kept, settings)
            model = with_logits(kept)
        if settings.head_start and not (resume and checkpoint is not None and checkpoint.exists()):
            start_head(model, data.images[train], data.classes[train], weights, settings)
        batches = loop.Batches(data.images[train], truth[train], [data.ids[i] for i in train], settings, augment,
                               data.spacing, workers=max(1, setup.threads // 2) if setup.device != "cpu" else 1)
        if setup.replicas > len(batches.members[-1]):
            raise UsageError(f"a batch of {len(batches.members[-1])} cannot be shared by {setup.replicas} devices",
                             remedy="a larger --batch-size, or --device with one")
        with setup.scope():
            model.compile(loop.optimizer(settings, len(batches)), loss=loss, metrics=["accuracy"], jit_compile=False)
            model.optimizer.build(model.trainable_variables)
        validation = (data.images[held], truth[held]) if len(held) else None
        judge = None
        if validation:
            judge = loop.Judge(lambda _: loop.judge(kept, *validation, settings.batch_size), "validation_loss")
        state = loop.fit(model, batches, judge, settings, path=checkpoint, resume=resume,
                         run=description(data, settings, setup), watch=watch)
        final = judge.look(model) if judge else None
    cases = zip(data.ids, data.contents, data.parts, strict=True)
    best = state.best_epoch if state.best_weights is not None else state.epoch
    return kept, {
        "task": "classify", "channels": data.channels, "classes": data.names, "recipe": data.recipe.as_dict(),
        "shape": list(data.images.shape[1:]), "spacing": list(data.spacing), "architecture": architecture,
        "settings": portable(settings),
        "training": {
            "cases": {name: {"content": content, "part": part} for name, content, part in cases},
            "counts": {part: data.counts(part) for part in ("train", "validation")},
            "seed": settings.seed, "curve": state.curve, "best_epoch": best, "validation": final,
            "device": {"kind": setup.device.split(":")[0], "precision": setup.policy, "threads": setup.threads,
                       "replicas": setup.replicas},
            "versions": versions(),
        },
    }  # fmt: skip


def description(data: Data, settings: ClassifySettings, setup: Setup) -> dict:
    """What decides the result of a run, flat: settings, data, precision, threads, versions."""
    return {**portable(settings), "channels": list(data.channels), "data": data.hash, "classes": data.names,
            "shape": list(data.images.shape[1:]), "device": setup.device.split(":")[0], "devices": setup.replicas,
            "precision": setup.policy, "threads": setup.threads,
            **{f"version of {k}": v for k, v in versions().items()}}  # fmt: skip


def portable(settings) -> dict:
    """The settings as they mean the same on every machine: a file of weights by its name and content."""
    known = settings.as_dict()
    if settings.weights not in (None, "imagenet"):
        known["weights"] = f"{Path(settings.weights).name} (SHA-256 {content_hash([Path(settings.weights)])})"
    return known


def versions() -> dict[str, str]:
    """Of the suite and of what computes."""
    from importlib.metadata import version

    import keras

    names = {"keras": "keras", "numpy": "numpy"}
    found = {"mri-suite": __version__, **{k: version(v) for k, v in names.items()}}
    found[keras.backend.backend()] = _backend_version()
    return found


def _backend_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    for name in ("tensorflow", "tensorflow-cpu", "tensorflow_cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"


def class_weights(settings: ClassifySettings, data: Data) -> list[float] | None:
    """The weight of each class, in order, or None. Raises UsageError for names that are not the data's."""
    wanted = settings.class_weights
    if wanted == "none":
        return None
    if wanted == "balanced":
        return balanced(data.classes[data.places("train")], len(data.names))
    check_class_weights(wanted, data.names)
    return [float(wanted[name]) for name in data.names]


def augmenter(augment: str | dict, kinds: int) -> Callable | None:
    """A function of (image ([z,] y, x, channel) float32, label map or None, generator, spacing in mm[, outline of the
    head, see images.augment.draw]) -> (image, label map); None when nothing would be changed.

    kinds: how many channels differ in kind, see appearance.change. Raises UsageError for what needs several.
    """
    from mrilib.images.augment import draw as transforms
    from mrilib.images.grid import Grid

    chosen = transforms.settings(augment)
    if not chosen:
        return None
    if kinds == 1 and (vain := transforms.of_several_channels(chosen)):
        raise UsageError(f"--augment: the images have one channel, and {vain} is for several", remedy="leave it out")

    def apply(image: np.ndarray, label, chance: np.random.Generator, spacing, head: np.ndarray | None = None):
        drawn = transforms.draw(chosen, chance, Grid.of(image.shape[:-1], tuple(spacing)), head)
        return transforms.apply_pair(image, label, drawn, spacing, kinds)

    return apply


def _set_trainable(model, settings: ClassifySettings) -> None:
    """Freeze what is to stay. Batch normalisation that came with weights and is trained on adapts its statistics."""
    from mrilib.models import backbones

    if settings.freeze or settings.unfreeze_from:
        backbones.freeze(model, settings.unfreeze_from)
    if settings.weights is not None:
        for layer in backbones.backbone_layers(model):
            if type(layer).__name__ == "BatchNormalization":
                layer.momentum = FINE_TUNED_MOMENTUM


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
    usual = float(np.median(deviation[deviation > 0])) if (deviation > 0).any() else 1.0
    scale = np.sqrt(deviation**2 + (HEAD_START_FLOOR * usual) ** 2)
    balance = dict(enumerate(weights)) if weights else "balanced" if settings.sampling == "equal" else None
    found = LogisticRegression(C=HEAD_START_C, max_iter=1000, class_weight=balance)
    found.fit((features - mean) / scale, np.tile(classes, 2))
    kernel = found.coef_.T / scale[:, None]
    bias = found.intercept_ - mean @ kernel
    if kernel.shape[1] == 1:
        kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.concatenate([-bias / 2, bias / 2])
    model.get_layer("logits").set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
