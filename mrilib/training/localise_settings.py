"""The settings of training a detector: defaults, and which of them go together."""

from __future__ import annotations

from mrilib.config import changed, described, setting
from mrilib.errors import UsageError
from mrilib.training.settings import TrainSettings, check_shared, filled

ASSIGNMENTS = ("centre", "aligned")  # of models.box_losses, whose import needs numpy
OVERLAPS = ("ciou", "giou")
FEW = 500  # training cases below which the features of given weights stay as they are
# Measured; docs/experiments/localise.md has the table.
SCRATCH = {"backbone": "resnet18", "width": 0.25, "epochs": 60, "batch_size": 16, "learning_rate": 5e-3, "warmup": 1.0,
           "average": 4.0, "dropout": 0.0, "augment": "light"}  # fmt: skip
PRETRAINED = {**SCRATCH, "backbone": "mobilenet", "width": 1.0, "epochs": 30, "batch_size": 8, "learning_rate": 2e-3,
              "average": 2.0}  # fmt: skip
IN_BUDGET = {"epochs": None, "warmup": 1.0, "average": 2.0}


def _shown(name: str) -> str:
    """The default of a setting as help shows it."""
    scratch, pretrained = (f"{defaults[name]:g}" if isinstance(defaults[name], float) else str(defaults[name])
                           for defaults in (SCRATCH, PRETRAINED))
    return scratch if scratch == pretrained else f"{scratch}; {pretrained} with --weights"


@described
class LocaliseSettings(TrainSettings):
    """How a detector is trained."""

    backbone: str | None = changed(TrainSettings, "backbone", shown=_shown("backbone"))
    width: float | None = changed(TrainSettings, "width", shown=f"{SCRATCH['width']:g} without --backbone and "
                                  "--weights, else 1")
    stride: int = setting(8, "Side of the cells that each give a box: 4, 8 or 16.", low=4, high=16, unit="pixels")
    filters: int = setting(64, "Number of filters of the feature pyramid and the head.", low=8)
    freeze: bool | None = setting(None, "Keep the features of --weights; train the pyramid and the head.",
                                  off="no-freeze", shown=f"yes with --weights and fewer than {FEW} cases")
    unfreeze_from: str | None = setting(None, "Train this layer and all after it; keep those before.", metavar="LAYER",
                                        shown="with --weights the first at 8 pixels")
    size: tuple[int, ...] | None = setting(None, "Refuse images of another size.", low=1, axes=True, unit="pixels",
                                           section="input", recorded=False)
    one_class: bool = setting(False, "Take the boxes of all classes as one class.", section="input")
    assignment: str = setting("centre", "Which cells learn a box. centre: those around its centre; aligned: those "
                              "that predict it best.", choices=ASSIGNMENTS, section="loss and sampling")
    box_loss: str = setting("ciou", "Loss of the boxes.", choices=OVERLAPS, section="loss and sampling")
    box_weight: float = setting(5.0, "Weight of the boxes relative to the scores in the loss.", above=0,
                                section="loss and sampling")
    epochs: int | None = changed(TrainSettings, "epochs", shown=_shown("epochs"))
    batch_size: int | None = changed(TrainSettings, "batch_size", shown=_shown("batch_size"))
    learning_rate: float | None = changed(TrainSettings, "learning_rate", shown=_shown("learning_rate"))
    momentum: float | None = changed(TrainSettings, "momentum", shown="0.9")
    warmup: float | None = changed(TrainSettings, "warmup", shown="1, or less of a short training")
    average: float | None = changed(TrainSettings, "average", shown=f"{SCRATCH['average']:g}; "
                                    f"{PRETRAINED['average']:g} with --weights or --budget; less of a short training")
    augment: str | dict | None = changed(TrainSettings, "augment", shown=SCRATCH["augment"])
    mosaic: float = setting(0.0, "Probability that a training image becomes four images, each at half its size.", low=0,
                            high=1, section="augmentation")


def complete(settings: LocaliseSettings, *, validated: bool, cases: int) -> LocaliseSettings:
    """The settings with every default filled in. validated: whether there are validation cases. cases: number of
    training cases. Raises UsageError for settings that have no effect or exclude each other."""
    pretrained = settings.weights is not None
    defaults = {**(PRETRAINED if pretrained else SCRATCH),
                "freeze": pretrained and cases < FEW and settings.unfreeze_from is None,
                "momentum": 0.9 if settings.optimizer == "sgd" else None,
                "weight_decay": 0.01 if settings.optimizer == "adamw" else 0.0,
                "validate_every": 1 if validated else None}  # fmt: skip
    if settings.backbone is not None:
        defaults["width"] = 1.0
    if settings.schedule == "constant":
        defaults["warmup"] = 0.0
    if settings.budget is not None:  # how many epochs it will be is not known
        defaults |= {**IN_BUDGET, "warmup": defaults["warmup"]}
    elif settings.epochs:  # a short run keeps the shape of a long one
        share = min(1.0, settings.epochs / defaults["epochs"])
        defaults |= {name: defaults[name] * share for name in ("warmup", "average")}
    completed = filled(settings, defaults)
    _check(completed, validated)
    return completed


def _check(s: LocaliseSettings, validated: bool) -> None:
    if s.weights is None and s.freeze:
        raise UsageError("--freeze needs --weights", remedy="a network without weights has nothing to keep")
    if s.unfreeze_from and (s.weights is None or s.freeze):
        raise UsageError("--unfreeze-from needs --weights and no --freeze", remedy="leave one out")
    for name in ("mixup", "cutmix"):
        if getattr(s, name):
            raise UsageError(f"--{name} has no effect on boxes", remedy="leave it out")
    if s.epochs == 0:
        raise UsageError("0 epochs train nothing", remedy="1 or more")
    check_shared(s, validated=validated)
