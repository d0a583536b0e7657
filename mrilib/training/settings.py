"""The settings of training that all tasks share, their defaults, and which of them go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mrilib.config import Settings, described, duration, names_of, setting
from mrilib.errors import UsageError
from mrilib.models.backbones import BACKBONES

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "polynomial", "constant", "step", "plateau")
PRECISIONS = ("auto", "off", "float16", "bfloat16")
PRESETS = ("none", "light", "medium", "heavy")  # of images.augment.transforms, whose import needs numpy
VALIDATION = 0.15  # fraction of the cases, where a setting needs validation and none is given
IMAGENET = "imagenet"
DEFAULTS = {"width": 1.0, "dropout": 0.0, "epochs": 40, "batch_size": 16, "learning_rate": 1e-3, "warmup": 0.0,
            "average": 0.0, "augment": "none"}  # of a task without measured ones


def weights_by_name(text: str) -> str | dict[str, float]:
    """`balanced`, `none`, or weights by name from `a=1,b=2`. Raises UsageError."""
    if text in ("balanced", "none"):
        return text
    try:
        pairs = dict(part.rsplit("=", 1) for part in text.split(","))
        weights = {name: float(value) for name, value in pairs.items()}
    except ValueError as error:
        raise UsageError(f"--class-weights {text}: balanced, none or class=number,class=number") from error
    if min(weights.values()) <= 0 or not all(map(math.isfinite, weights.values())):
        raise UsageError(f"--class-weights {text}: weights must be above 0")
    return weights


@described
class TrainSettings(Settings):
    """How a network is trained, whatever its task. A setting that is None gets its default from the task (`complete`)
    or from the data. Learning rates are those after the warm-up."""

    # network
    backbone: str | None = setting(None, "Network.", choices=BACKBONES)
    width: float | None = setting(None, "Factor on the number of filters of the backbone, where it has one.", above=0,
                                  shown="that of --weights FILE, else 1")
    weights: str | None = setting(None, "Start from these weights: of ImageNet, a Keras file, or a model of any task, "
                                  "whose backbone is then the default.", metavar="imagenet|FILE", shown="random")
    dropout: float | None = setting(None, "Fraction of the features that each step leaves out.", low=0, below=1,
                                    shown="0")
    # optimisation
    epochs: int | None = setting(None, "Number of epochs: passes over the training cases.", low=0, shown="40",
                                 section="optimisation")
    budget: float | None = setting(None, "Time for the whole command, such as 30m, instead of --epochs; the schedule "
                                   "fits it.", unit="seconds", low=1, parse=duration, metavar="TIME", shown="none",
                                   section="optimisation")
    batch_size: int | None = setting(None, "Number of cases in a batch.", low=1, shown="16", section="optimisation")
    optimizer: str = setting("adamw", "Optimizer.", choices=OPTIMIZERS, section="optimisation")
    learning_rate: float | None = setting(None, "Learning rate after the warm-up.", above=0, shown="0.001",
                                          section="optimisation")
    momentum: float | None = setting(None, "Nesterov momentum of SGD.", low=0, below=1, shown="0.9",
                                     section="optimisation")
    weight_decay: float | None = setting(None, "Weight decay of AdamW and SGD.", low=0, shown="AdamW 0.01, SGD 0",
                                         section="optimisation")
    clip: float = setting(1.0, "Clip the norm of the gradient of each variable to this value; 0 to disable.", low=0,
                          section="optimisation")
    schedule: str = setting("cosine", "Schedule of the learning rate.", choices=SCHEDULES, section="optimisation")
    warmup: float | None = setting(None, "Number of epochs over which the learning rate rises from 0.", low=0,
                                   shown="0", section="optimisation")
    average: float | None = setting(None, "Number of epochs that the exponential average of the weights spans; the "
                                    "average is the model; 0 to disable.", low=0, shown="0",
                                    section="optimisation")
    # augmentation
    augment: str | dict | None = setting(None, "Augmentation of the training images: a preset, or a TOML or JSON "
                                         "file of options of mri-augment.", metavar=f"{'|'.join(PRESETS)}|FILE",
                                         shown="none", section="augmentation")
    mixup: float = setting(0.0, "Blend pairs of images of a batch with weights from Beta(ALPHA, ALPHA), such as 0.2; "
                           "0 to disable.", low=0, metavar="ALPHA", section="augmentation")
    cutmix: float = setting(0.0, "Exchange boxes between images of a batch with sizes from Beta(ALPHA, ALPHA), such as "
                            "1; 0 to disable.", low=0, metavar="ALPHA", section="augmentation")
    # validation
    validation: float | None = setting(None, "Fraction of the cases used for validation.", low=0, below=1,
                                       section="validation", recorded=False,
                                       shown=f"{VALIDATION:g} with --patience or --schedule plateau, else 0")
    folds: int | None = setting(None, "Cross-validate: train a model for each of N folds, MODEL-fold0.h5 and so on.",
                                low=2, metavar="N", section="validation", recorded=False)
    validate_every: int | None = setting(None, "Number of epochs between two validations.", low=1, shown="1",
                                         section="validation")
    patience: int | None = setting(None, "Stop after this number of epochs without a better validation, and keep the "
                                   "best epoch.", low=1, shown="train to the end", section="validation")
    # machine
    device: str = setting("auto", "Device that computes.", metavar="auto|cpu|gpu[:N]", section="machine",
                          recorded=False, option=False)
    mixed_precision: str = setting("auto", "Precision of the computation; auto: what the device computes fastest.",
                                   choices=PRECISIONS, section="machine", recorded=False)
    threads: int | None = setting(None, "Number of cores used.", low=1, shown="all", section="machine",
                                  recorded=False)
    seed: int = setting(0, "Random seed. The same seed gives the same result.", low=0, section="machine",
                        option=False)


def filled(given: TrainSettings, defaults: dict) -> TrainSettings:
    """The settings with those that are None replaced by their defaults."""
    return replace(given, **{name: value for name, value in defaults.items() if getattr(given, name) is None})


def complete(given: TrainSettings, *, validated: bool) -> TrainSettings:
    """The settings with every default filled in, for a task without measured ones. validated: whether there are
    validation cases."""
    defaults = {**DEFAULTS, "momentum": 0.9 if given.optimizer == "sgd" else None,
                "weight_decay": 0.01 if given.optimizer == "adamw" else 0.0, "validate_every": 1 if validated else None}
    if given.budget is not None:
        defaults["epochs"] = None
    completed = filled(given, defaults)
    check_shared(completed, validated=validated)
    if completed.epochs == 0:
        raise UsageError("0 epochs train nothing", remedy="1 or more")
    return completed


def check_shared(settings: TrainSettings, *, validated: bool) -> None:
    """Raise UsageError for settings that exclude each other, or have no effect, whatever the task."""
    s = settings
    if s.optimizer != "sgd" and s.momentum is not None:
        raise UsageError(f"--momentum has no effect on {s.optimizer}", remedy="--optimizer sgd")
    if s.optimizer == "adam" and s.weight_decay:
        raise UsageError("adam with --weight-decay is adamw", remedy="--optimizer adamw")
    if s.mixup and s.cutmix:
        raise UsageError("--mixup and --cutmix exclude each other", remedy="give one of them")
    if s.epochs is not None and s.budget is not None:
        raise UsageError("--epochs and --budget both set the length of the training", remedy="give one of them")
    if s.schedule == "plateau" and s.budget is not None:
        raise UsageError("--schedule plateau cannot follow a --budget", remedy="give --epochs, or another schedule")
    if not validated:
        for name, is_given in (("--patience", s.patience is not None), ("--schedule plateau", s.schedule == "plateau"),
                               ("--validate-every", s.validate_every is not None)):
            if is_given:
                raise UsageError(f"{name} needs validation cases", remedy="--validation 0.15, or a split with some")
    if s.epochs is not None and 0 < s.epochs <= (s.warmup or 0):
        raise UsageError(f"a warm-up of {s.warmup:g} epochs leaves nothing of {s.epochs}", remedy="lower --warmup")


def needs_validation(settings: TrainSettings) -> bool:
    """Whether a setting has no effect without validation cases."""
    return settings.patience is not None or settings.schedule == "plateau"


def resolved(settings: TrainSettings) -> TrainSettings:
    """The settings with their files read: the network of given weights, the transforms of an augmentation file.

    Raises UsageError for a file that is missing or is not what the setting takes.
    """
    s = settings
    if s.weights not in (None, IMAGENET):
        from mrilib.models.weights import settings_of

        of_file = settings_of(Path(s.weights), s.backbone)
        s = replace(s, **{name: value for name, value in of_file.items()
                          if name in names_of(type(s)) and getattr(s, name) in (None, False)})  # not given
    if isinstance(s.augment, str) and s.augment not in PRESETS:
        from mrilib.images.augment import transforms

        is_text = "=" in s.augment and not Path(s.augment).exists()  # settings in one line: "noise=0.1 flip=lr"
        if not (chosen := transforms.settings(s.augment if is_text else Path(s.augment))):
            raise UsageError("names no transform", where=s.augment, remedy="--augment none disables augmentation")
        s = replace(s, augment=chosen.as_dict())
    return s


def check_weights(settings: TrainSettings) -> None:
    """Raise UsageError for weights that are missing or do not fit the network, before any work is done."""
    if settings.weights == IMAGENET:
        from mrilib.models.applications import check_imagenet

        check_imagenet(settings.backbone, settings.width or 1.0)
    elif settings.weights is not None:
        from mrilib.models.weights import UNET, check

        unet = {} if settings.backbone else {name: getattr(settings, name, None) for name in UNET}
        width = settings.width or (1.0 if settings.backbone else None)
        check(Path(settings.weights), backbone=settings.backbone, width=width, **unet)


def check_class_weights(weights, names: Sequence[str], kind: str = "classes") -> None:
    """Raise UsageError for a mapping of weights that has not one positive number for each of `names`."""
    if not isinstance(weights, dict):
        return
    if set(weights) != set(names):
        raise UsageError(f"class weights for {' '.join(sorted(weights))}, but the {kind} are {' '.join(names)}",
                         remedy="one weight for each")
    if wrong := [name for name, weight in weights.items() if not (weight > 0 and math.isfinite(weight))]:
        raise UsageError(f"the weight of {wrong[0]} must be above 0", where="class_weights")
