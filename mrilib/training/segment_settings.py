"""Every number of a segmentation run: its defaults, and which of them go together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from mrilib.errors import UsageError
from mrilib.models import voxel_losses
from mrilib.models.registry import BACKBONES
from mrilib.training.settings import OPTIMIZERS, SCHEDULES, check_shared

SAMPLINGS = ("foreground", "uniform", "equal")
# Measured; docs/experiments.md has the table.
DEFAULTS = {"epochs": 40, "learning_rate": 1e-3, "warmup": 0.5, "average": 2.0, "dropout": 0.0, "augment": "heavy",
            "momentum": None, "weight_decay": 0.0, "foreground": 0.5}  # fmt: skip
LEARNING_RATE = {"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-2}


@dataclass(frozen=True)
class SegmentSettings:
    """How a network for label maps is trained. None: planned from the data (training.plan), or the default.

    backbone: of models.registry as the encoder of a 2D U-Net; None: a U-Net of its own. weights: as in Settings.
    dimension: 2 or 3. patch: voxels of the window, array order; one number is for all axes, more say the dimension.
    spacing: mm, array order, that volumes are brought to; two numbers leave the distance of slices. context:
    neighbouring slices each side that a 2D network sees. width: filters of the first level (with a backbone: as in
    Settings). depth, levels, stem, residual, norm, deep_supervision, dropout: see models.unet. targets: "labels"
    (softmax) or "regions" (sigmoid). loss: see models.voxel_losses.parse. class_weights: "balanced", "none" or {name:
    weight}. foreground: part of the windows around a labelled voxel, of sampling "foreground". epochs: of `steps` steps
    each. budget: seconds after which training must have ended, the schedule fitted to it; None: by epochs.
    validate_every: epochs between two validations on whole volumes. The rest as in Settings.
    """

    backbone: str | None = None
    weights: str | None = None
    dimension: int | None = None
    patch: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None
    context: int | None = None
    width: float | None = None
    depth: int | None = None
    levels: int | None = None
    stem: int | None = None
    residual: bool = False
    norm: str | None = None
    deep_supervision: bool = False
    targets: str = "labels"
    loss: str = "dice+ce"
    class_weights: str | dict | None = None
    sampling: str = "foreground"
    foreground: float | None = None
    epochs: int | None = None
    steps: int = 100
    budget: float | None = None
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
    augment: str | dict | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    validate_every: int | None = None
    patience: int | None = None
    seed: int = 0

    def as_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


def complete(given: SegmentSettings, *, validated: bool) -> SegmentSettings:
    """The settings with every default filled in but those that training.plan finds from the data.

    validated: whether there are validation cases. Raises UsageError for a combination in which one of them would
    have no effect, or cannot be right.
    """
    defaults = {**DEFAULTS, "learning_rate": LEARNING_RATE.get(given.optimizer)}
    if given.weights is not None:
        defaults["backbone"] = "mobilenet"
    defaults["momentum"] = 0.99 if given.optimizer == "sgd" else None
    defaults["weight_decay"] = {"adamw": 0.01, "sgd": 3e-5}.get(given.optimizer, 0.0)
    defaults["class_weights"] = "balanced" if "weighted-ce" in given.loss else "none"
    defaults["validate_every"] = 10 if validated else None
    if given.sampling != "foreground":
        defaults["foreground"] = None
    if given.schedule == "constant":
        defaults["warmup"] = 0.0
    if given.budget is not None:
        defaults["epochs"] = None
    missing = {f.name: defaults[f.name] for f in fields(given) if getattr(given, f.name) is None and f.name in defaults}
    if given.patch and len(given.patch) > 1:
        missing["dimension"] = len(given.patch)
        if given.dimension not in (None, len(given.patch)):
            raise UsageError(f"--patch of {len(given.patch)} numbers for a {given.dimension}D network",
                             remedy=f"one number, or {given.dimension}")
    done = replace(given, **missing)
    _check(given, done, validated)
    return done


def _check(given: SegmentSettings, s: SegmentSettings, validated: bool) -> None:
    for what, value, known in (("sampling", s.sampling, SAMPLINGS), ("optimizer", s.optimizer, OPTIMIZERS),
                               ("schedule", s.schedule, SCHEDULES), ("target", s.targets, ("labels", "regions"))):
        if value not in known:
            raise UsageError(f"unknown {what} {value!r}", remedy=f"one of {' '.join(known)}")
    voxel_losses.parse(s.loss)
    check_shared(s)
    if s.backbone is not None:
        if s.backbone not in BACKBONES:
            raise UsageError(f"unknown backbone {s.backbone!r}", remedy=f"one of {' '.join(BACKBONES)}")
        for name in ("levels", "depth", "stem", "residual"):
            if getattr(given, name):
                raise UsageError(f"--{name} has no effect with --backbone, which brings its own encoder")
        if s.dimension == 3:
            raise UsageError("a backbone is 2D", remedy="--dimension 2, or no --backbone and no --weights")
    if s.dimension == 3 and (given.stem or 1) > 1:
        raise UsageError(f"--stem {given.stem} is of 2D networks", remedy="--dimension 2, or leave it out")
    if given.context is not None and s.dimension == 3:
        raise UsageError("--context is of 2D networks: a 3D window sees its neighbours anyway")
    if given.foreground is not None and s.sampling != "foreground":
        raise UsageError(f"--foreground has no effect on --sampling {s.sampling}")
    if given.epochs is not None and given.budget is not None:
        raise UsageError("--epochs and --budget are both how long to train", remedy="give one of them")
    terms = {name for _, name in voxel_losses.parse(s.loss)}
    if not {"weighted-ce", "focal"} & terms and s.class_weights != "none":
        raise UsageError(f"--class-weights has no effect on --loss {s.loss}", remedy="weighted-ce or focal")
    if "weighted-ce" in terms and s.class_weights == "none":
        raise UsageError("weighted-ce without weights is ce", remedy="--class-weights balanced or a=1,b=2")
    if not validated:
        for name, value in (("--patience", s.patience is not None), ("--schedule plateau", s.schedule == "plateau"),
                            ("--validate-every", given.validate_every is not None)):
            if value:
                raise UsageError(f"{name} needs validation cases", remedy="--validation 0.15, or a split with some")
    if s.schedule == "plateau" and s.budget is not None:
        raise UsageError("--schedule plateau does not follow a clock", remedy="--epochs with it, or another schedule")
    if s.epochs == 0:
        raise UsageError("0 epochs train nothing", remedy="1 or more")
    if s.epochs is not None and s.warmup >= s.epochs:
        raise UsageError(f"a warm-up of {s.warmup:g} epochs leaves nothing of {s.epochs}", remedy="lower --warmup")
    if s.budget is not None and s.budget < 1:
        raise UsageError(f"a budget of {s.budget:g} seconds trains nothing")
