"""Every number of a training run: its defaults, and which of them go together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from mrilib.errors import UsageError
from mrilib.models.registry import BACKBONES, HEADS, LOSSES

SAMPLINGS = ("natural", "equal")
OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "polynomial", "constant", "step", "plateau")
DEPTHWISE = ("mobilenet", "mobilenetv2", "efficientnetb0")  # backbones that a CPU computes best in float32
OF_EPOCHS = ("freeze", "unfreeze_from", "learning_rate", "momentum", "weight_decay", "warmup", "average", "augment",
             "patience", "dropout", "optimizer", "schedule", "clip", "label_smoothing", "mixup", "cutmix")  # fmt: skip
FEW = 500  # training cases below which given weights are not fine-tuned
# Measured; docs/experiments.md has the table.
SCRATCH = {"epochs": 40, "batch_size": 16, "learning_rate": 2e-3, "warmup": 4.0, "average": 4.0, "dropout": 0.3,
           "augment": "light"}  # fmt: skip
DECAY = {True: 0.01, False: 0.05}  # of adamw, with and without given weights
PRETRAINED = {"epochs": 5, "batch_size": 16, "learning_rate": 3e-4, "warmup": 0.5, "average": 1.0, "dropout": 0.3,
              "augment": "medium"}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How a classifier is trained. None: the default for training from scratch, or for given weights.

    weights: None, "imagenet" or a file. freeze: train the head only. unfreeze_from: train from this layer on.
    head_start: before all else fit the head to the features of the weights as given (a logistic regression),
    so that fine-tuning does not begin by spoiling them (LP-FT, Kumar et al. 2022). class_weights: "balanced",
    "none" or {class: weight}. warmup: epochs over which the learning rate rises from 0. average: epochs over
    which an exponential average of the weights reaches back; that average is the model; 0 for none.
    clip: largest norm of a gradient of one variable; 0 for none. patience: epochs without a better validation
    loss after which training stops; the best epoch is kept; None trains to the end and keeps the last.
    augment: a preset's name or its settings. mixup, cutmix: alpha of images.mixing, 0 for none. Learning rates are
    those after warm-up.
    """

    backbone: str | None = None
    width: float = 1.0
    head: str | None = None
    weights: str | None = None
    freeze: bool = False
    unfreeze_from: str | None = None
    head_start: bool | None = None
    loss: str = "ce"
    class_weights: str | dict | None = None
    label_smoothing: float = 0.05
    sampling: str = "natural"
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str = "adamw"
    learning_rate: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    clip: float = 1.0
    schedule: str = "cosine"
    warmup: float | None = None
    dropout: float | None = None
    average: float | None = None
    patience: int | None = None
    augment: str | dict | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    seed: int = 0

    def as_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


def complete(given: Settings, *, validated: bool, cases: int | None = None) -> Settings:
    """The settings with every default filled in. validated: whether there are validation cases.

    cases: how many train. Of fewer than FEW a network with given weights learns the head alone unless epochs are
    named, or settings that only matter with epochs: fine-tuning made it worse in every trial.
    Raises UsageError for a combination in which one of them would have no effect, or cannot be right.
    """
    pretrained = given.weights is not None
    defaults = {"backbone": "mobilenet" if pretrained else "small", **(PRETRAINED if pretrained else SCRATCH)}
    usual = defaults["epochs"]
    # what does nothing without epochs; of the losses focal, where weighted-ce's weights are the head start's, too
    asked = [f.name for f in fields(given) if f.name in OF_EPOCHS and getattr(given, f.name) != f.default]
    asked += ["loss focal"] if given.loss == "focal" else []
    if given.epochs == 0 and asked:
        raise UsageError(f"--{asked[0].replace('_', '-')} has no effect with --epochs 0", remedy="leave it out")
    if pretrained and cases is not None and cases < FEW and not asked and given.head_start is not False:
        defaults["epochs"] = 0
    defaults["head"] = "mirror" if pretrained else "mean-max"
    defaults["head_start"] = pretrained
    defaults["class_weights"] = "balanced" if given.loss == "weighted-ce" and given.sampling == "natural" else "none"
    defaults["momentum"] = 0.9 if given.optimizer == "sgd" else None
    defaults["weight_decay"] = DECAY[pretrained] if given.optimizer == "adamw" else 0.0
    if given.schedule == "constant":
        defaults["warmup"] = 0.0
    if given.epochs is not None:  # a short run keeps the shape of a long one
        part = given.epochs / usual
        defaults |= {name: min(defaults[name], defaults[name] * part) for name in ("warmup", "average")}
    missing = {f.name: defaults[f.name] for f in fields(given) if getattr(given, f.name) is None and f.name in defaults}
    done = replace(given, **missing)
    _check(done, validated)
    return done


def _check(s: Settings, validated: bool) -> None:
    for what, value, known in (("backbone", s.backbone, BACKBONES), ("head", s.head, HEADS), ("loss", s.loss, LOSSES),
                               ("sampling", s.sampling, SAMPLINGS), ("optimizer", s.optimizer, OPTIMIZERS),
                               ("schedule", s.schedule, SCHEDULES)):  # fmt: skip
        if value not in known:
            raise UsageError(f"unknown {what} {value!r}", remedy=f"one of {' '.join(known)}")
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
    if not validated:
        for name, value in (("--patience", s.patience is not None), ("--schedule plateau", s.schedule == "plateau")):
            if value:
                raise UsageError(f"{name} needs validation cases", remedy="--validation 0.15, or a split with some")
    check_shared(s)
    if s.epochs == 0 and not s.head_start:
        raise UsageError("0 epochs train nothing", remedy="only with --weights, whose head is fitted first")
    if s.warmup >= s.epochs > 0:
        raise UsageError(f"a warm-up of {s.warmup:g} epochs leaves nothing of {s.epochs}", remedy="lower --warmup")


def check_shared(s) -> None:
    """Raises UsageError for what no task bears: settings of another optimizer, mixup with cutmix."""
    if s.optimizer != "sgd" and s.momentum is not None:
        raise UsageError(f"--momentum has no effect on {s.optimizer}", remedy="--optimizer sgd")
    if s.optimizer == "adam" and s.weight_decay:
        raise UsageError("--weight-decay makes adam adamw", remedy="--optimizer adamw")
    if s.mixup and s.cutmix:
        raise UsageError("--mixup and --cutmix are two ways to mix a batch", remedy="give one of them")


def check_class_weights(wanted, names, what: str = "classes") -> None:
    """Raises UsageError for weights by name that are not one for each of `names`. wanted: as in Settings."""
    if isinstance(wanted, dict) and set(wanted) != set(names):
        raise UsageError(f"class weights for {' '.join(sorted(wanted))}, but the {what} are {' '.join(names)}",
                         remedy="one weight for each")
