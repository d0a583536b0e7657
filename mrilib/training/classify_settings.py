"""The settings of training a classifier: defaults, and which of them go together."""

from __future__ import annotations

from dataclasses import fields

from mrilib.config import changed, described, setting
from mrilib.errors import UsageError
from mrilib.models.heads import HEADS
from mrilib.models.losses import LOSSES
from mrilib.training.settings import TrainSettings, check_shared, filled, weights_by_name

SAMPLINGS = ("natural", "equal")
# Settings without effect when no epoch is trained. Of the losses focal: the weights of weighted-ce act on the head
# start, too.
OF_EPOCHS = ("freeze", "unfreeze_from", "learning_rate", "momentum", "weight_decay", "warmup", "average", "augment",
             "patience", "dropout", "optimizer", "schedule", "clip", "label_smoothing", "mixup", "cutmix",
             "budget", "validate_every")  # fmt: skip
FEW = 500  # training cases below which given weights are not fine-tuned
# Measured; docs/experiments/classification.md has the table.
SCRATCH = {"epochs": 40, "batch_size": 16, "learning_rate": 2e-3, "warmup": 4.0, "average": 4.0, "dropout": 0.3,
           "augment": "light"}  # fmt: skip
DECAY = {True: 0.01, False: 0.05}  # weight decay of adamw, with and without given weights
PRETRAINED = {"epochs": 5, "batch_size": 16, "learning_rate": 3e-4, "warmup": 0.5, "average": 1.0, "dropout": 0.3,
              "augment": "medium"}  # fmt: skip


@described
class ClassifySettings(TrainSettings):
    """How a classifier is trained. head_start: before the first epoch, fit the head to the features of the given
    weights (a logistic regression), so that fine-tuning does not begin by spoiling them (LP-FT, Kumar et al. 2022)."""

    backbone: str | None = changed(TrainSettings, "backbone", shown="small; mobilenet with --weights")
    dropout: float | None = changed(TrainSettings, "dropout", shown=str(SCRATCH["dropout"]))
    head: str | None = setting(None, "What the head takes from the last feature maps: their mean, their mean and "
                               "maximum, or mirror: also the left-right difference.", choices=HEADS,
                               shown="mean-max; mirror with --weights")
    freeze: bool | None = setting(None, "Train the head only; keep the features of --weights.",
                                  off="no-freeze")
    unfreeze_from: str | None = setting(None, "Train this layer and all after it; keep those before.", metavar="LAYER")
    head_start: bool | None = setting(None, "Fit the head to the features of --weights before the first epoch.",
                                      off="no-head-start", shown="yes with --weights")
    size: tuple[int, ...] | None = setting(None, "Refuse images of another size.", low=1, axes=True, unit="pixels",
                                           section="input", recorded=False)
    loss: str = setting("ce", "Loss function.", choices=LOSSES, section="loss and sampling")
    class_weights: str | dict | None = setting(
        None, "Weights of the classes in weighted-ce and focal.", metavar="balanced|none|A=1,B=2",
        parse=weights_by_name, shown="balanced with weighted-ce, else none", section="loss and sampling")
    label_smoothing: float = setting(0.05, "Probability spread over all classes in the reference.", low=0, below=1,
                                     section="loss and sampling")
    sampling: str = setting("natural", "How cases are sampled: natural: every case once an epoch; equal: every "
                            "class equally often.",
                            choices=SAMPLINGS, section="loss and sampling")
    epochs: int | None = changed(TrainSettings, "epochs", help="Number of epochs: passes over the training cases. 0: "
                                 "only the head start.",
                                 shown=f"{SCRATCH['epochs']}; with --weights {PRETRAINED['epochs']}, or 0 with "
                                       f"fewer than {FEW} cases")
    batch_size: int | None = changed(TrainSettings, "batch_size", shown=str(SCRATCH["batch_size"]))
    learning_rate: float | None = changed(TrainSettings, "learning_rate", shown=f"{SCRATCH['learning_rate']:g}; "
                                          f"{PRETRAINED['learning_rate']:g} with --weights")
    momentum: float | None = changed(TrainSettings, "momentum", shown="0.9")
    weight_decay: float | None = changed(TrainSettings, "weight_decay", shown="AdamW 0.05, or 0.01 with --weights; "
                                         "SGD 0")
    warmup: float | None = changed(TrainSettings, "warmup", shown="a tenth of all, at most 4; with --weights 0.5")
    average: float | None = changed(TrainSettings, "average", shown="a tenth of all, at most 4; with --weights a "
                                    "fifth, at most 1")
    augment: str | dict | None = changed(TrainSettings, "augment", shown="light; medium with --weights")
    validate_every: int | None = changed(TrainSettings, "validate_every", shown="1")


def complete(given: ClassifySettings, *, validated: bool, cases: int | None = None) -> ClassifySettings:
    """The settings with every default filled in. validated: whether there are validation cases.

    cases: number of training cases. With fewer than FEW, a network with given weights learns only the head, unless
    epochs or settings that need epochs are given: fine-tuning made it worse in every trial.
    Raises UsageError for settings that have no effect or exclude each other.
    """
    pretrained = given.weights is not None
    defaults = {"backbone": "mobilenet" if pretrained else "small", "width": 1.0,
                **(PRETRAINED if pretrained else SCRATCH)}  # fmt: skip
    epochs = defaults["epochs"]
    asked = [f.name for f in fields(given) if f.name in OF_EPOCHS and getattr(given, f.name) != f.default]
    asked += ["loss focal"] if given.loss == "focal" else []
    if given.epochs == 0 and asked:
        raise UsageError(f"--{asked[0].replace('_', '-')} has no effect with --epochs 0", remedy="leave it out")
    if pretrained and cases is not None and cases < FEW and not asked and given.head_start is not False:
        defaults["epochs"] = 0
    defaults |= {
        "head": "mirror" if pretrained else "mean-max", "head_start": pretrained, "freeze": False,
        "class_weights": "balanced" if given.loss == "weighted-ce" and given.sampling == "natural" else "none",
        "momentum": 0.9 if given.optimizer == "sgd" else None,
        "weight_decay": DECAY[pretrained] if given.optimizer == "adamw" else 0.0,
        "validate_every": 1 if validated else None,
    }  # fmt: skip
    if given.schedule == "constant":
        defaults["warmup"] = 0.0
    if given.budget is not None:  # how many epochs it will be is not known
        defaults |= {"epochs": None, "warmup": PRETRAINED["warmup"], "average": PRETRAINED["average"]}
    elif given.epochs is not None:  # a short run keeps the shape of a long one
        part = given.epochs / epochs
        defaults |= {name: min(defaults[name], defaults[name] * part) for name in ("warmup", "average")}
    completed = filled(given, defaults)
    _check(completed, validated)
    return completed


def _check(s: ClassifySettings, validated: bool) -> None:
    if s.weights is None:
        for name, value in (("--freeze", s.freeze), ("--unfreeze-from", s.unfreeze_from),
                            ("--head-start", s.head_start)):
            if value:
                raise UsageError(f"{name} needs --weights", remedy="a network without weights has nothing to keep")
    if s.freeze and s.unfreeze_from:
        raise UsageError("--freeze and --unfreeze-from exclude each other", remedy="give one of them")
    if s.loss == "ce" and s.class_weights != "none":
        raise UsageError("--class-weights has no effect on --loss ce", remedy="--loss weighted-ce, or focal")
    if s.loss == "weighted-ce" and s.class_weights == "none":
        raise UsageError("weighted-ce without weights is ce", remedy="--class-weights balanced or a=1,b=2")
    if s.sampling == "equal" and s.class_weights == "balanced":
        raise UsageError("--sampling equal and balanced class weights both even out the classes",
                         remedy="give one of them")
    check_shared(s, validated=validated)
    if s.epochs == 0 and not s.head_start:
        raise UsageError("0 epochs train nothing", remedy="only with --weights, whose head is fitted first")
