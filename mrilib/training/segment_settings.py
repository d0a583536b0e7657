"""The settings of training a segmentation network: defaults, and which of them go together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mrilib.config import changed, described, setting
from mrilib.errors import UsageError
from mrilib.models.normalise import NORMS
from mrilib.models.voxel_losses import VOXEL_LOSSES, parse
from mrilib.training.settings import TrainSettings, check_shared, filled, weights_by_name

SAMPLINGS = ("foreground", "uniform", "equal")
TARGETS = ("labels", "regions")
# Measured; docs/experiments/segmentation.md has the table.
DEFAULTS = {"epochs": 40, "learning_rate": 1e-3, "warmup": 0.5, "average": 2.0, "dropout": 0.0, "augment": "heavy",
            "momentum": None, "weight_decay": 0.0, "foreground": 0.5}  # fmt: skip
LEARNING_RATE = {"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-2}


@described
class SegmentSettings(TrainSettings):
    """How a network for label maps is trained. Settings that are None are planned from the data (training.plan), or
    have a default. patch and spacing are in array order. An epoch is `steps` batches."""

    backbone: str | None = changed(TrainSettings, "backbone", help="Encoder of a 2D U-Net.",
                                   shown="none: a U-Net without a backbone; mobilenet with --weights")
    width: float | None = changed(TrainSettings, "width", help="Number of filters at the first level of the U-Net; of "
                                  "a backbone the factor on its number of filters.",
                                  shown="16, on a GPU 32; of a backbone 1")
    dropout: float | None = changed(TrainSettings, "dropout", shown="0")
    dimension: int | None = setting(None, "2: predict slice by slice; 3: predict volumes.", low=2, high=3,
                                    metavar="2|3", shown="planned")
    patch: tuple[int, ...] | None = setting(None, "Size of the patch, the input of the network.", unit="voxels",
                                            low=1, axes=True, shown="planned")
    spacing: tuple[float, ...] | None = setting(
        None, "Resample all volumes to this spacing; two numbers keep the distance of the slices.", unit="mm", above=0,
        axes=True, shown="the median, where cases differ", section="input")
    context: int | None = setting(None, "Number of neighbouring slices on each side that a 2D network sees.", low=0,
                                  high=5, unit="slices", shown="1 for volumes")
    levels: int | None = setting(None, "Number of resolutions of the U-Net.", low=2, high=8, shown="planned")
    stem: int | None = setting(None, "Factor by which the first level of a 2D U-Net is coarser than the image.", low=1,
                               high=4, shown="1; 2 on a CPU")
    depth: int | None = setting(None, "Number of convolutions, or residual blocks, at each level of the encoder.",
                                low=1, high=8, shown="2")
    residual: bool = setting(False, "Use a residual encoder.", off="plain", shown="plain")
    norm: str | None = setting(None, "Normalisation between convolutions.", choices=NORMS,
                               shown="batch with a backbone, or in 2D with 8 training cases or more; else instance")
    deep_supervision: bool = setting(False, "Compute the loss on coarser outputs, too.", off="no-deep-supervision",
                                     shown="no")
    targets: str = setting("labels", "Learn labels, or the regions of the label scheme.", choices=TARGETS)
    loss: str = setting("dice+ce", f"Loss function: a sum of {', '.join(VOXEL_LOSSES)}, such as dice+0.5*ce.",
                        metavar="NAME[+NAME…]", section="loss and sampling")
    class_weights: str | dict | None = setting(
        None, "Weights of the labels or regions in weighted-ce and focal.", metavar="balanced|none|A=1,B=2",
        parse=weights_by_name, shown="balanced with weighted-ce, else none", section="loss and sampling")
    sampling: str = setting("foreground", "Where patches are sampled: uniform: anywhere; foreground: a fraction around "
                            "labelled voxels; equal: around each label equally often.", choices=SAMPLINGS,
                            section="loss and sampling")
    foreground: float | None = setting(None, "Fraction of the patches around a labelled voxel.", low=0, high=1,
                                       shown="0.5", section="loss and sampling")
    epochs: int | None = changed(TrainSettings, "epochs", help="Number of epochs, each of --steps batches.",
                                 shown="40")
    steps: int = setting(100, "Number of batches in an epoch.", low=1, section="optimisation")
    batch_size: int | None = changed(TrainSettings, "batch_size", help="Number of patches in a batch.",
                                     shown="8 in 2D, 2 in 3D")
    learning_rate: float | None = changed(TrainSettings, "learning_rate", shown="0.001; 0.01 with SGD")
    momentum: float | None = changed(TrainSettings, "momentum", shown="0.99")
    weight_decay: float | None = changed(TrainSettings, "weight_decay", shown="AdamW 0.01, SGD 3e-5")
    warmup: float | None = changed(TrainSettings, "warmup", shown="0.5")
    average: float | None = changed(TrainSettings, "average", shown="2")
    augment: str | dict | None = changed(TrainSettings, "augment", shown="heavy")
    validate_every: int | None = changed(TrainSettings, "validate_every", help="Number of epochs between two "
                                         "validations on whole volumes.", shown="10")
    scheme: str | None = setting(None, "Meaning of the label values: binary, brats2013, brats2020, brats2023, msd, or "
                                 "names such as 1=necrotic,2=oedema,4=enhancing.", metavar="NAME|1=a,2=b",
                                 shown="that of the layout", section="input", recorded=False, option=False)
    tune_postprocess: bool = setting(False, "Measure on the validation cases which small components to remove, and "
                                     "store it in the model.", section="validation", recorded=False)
    memory: float | None = setting(None, "Memory that planning may count on.", unit="GiB", above=0,
                                   shown="a quarter of the machine's", section="machine", recorded=False)
    cache: Path | None = setting(None, "Folder for prepared volumes, kept afterwards.", metavar="DIRECTORY",
                                 shown="beside the model, removed at the end", section="machine", recorded=False)


def complete(given: SegmentSettings, *, validated: bool) -> SegmentSettings:
    """The settings with every default filled in, except those that training.plan finds from the data.

    validated: whether there are validation cases. Raises UsageError for settings that have no effect or exclude each
    other.
    """
    defaults = {**DEFAULTS, "learning_rate": LEARNING_RATE[given.optimizer]}
    if given.weights is not None:
        from mrilib.models.weights import is_plain_unet

        defaults["backbone"] = None if is_plain_unet(given.weights) else "mobilenet"
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
    if given.patch and len(given.patch) > 1:
        defaults["dimension"] = len(given.patch)
        if given.dimension not in (None, len(given.patch)):
            raise UsageError(f"--patch of {len(given.patch)} numbers for a {given.dimension}D network",
                             remedy=f"one number, or {given.dimension}")
    completed = filled(given, defaults)
    if completed.spacing is not None and len(completed.spacing) == 1:
        completed = replace(completed, spacing=completed.spacing * 3)
    _check(given, completed, validated)
    return completed


def _check(given: SegmentSettings, s: SegmentSettings, validated: bool) -> None:
    terms = {name for _, name in parse(s.loss)}
    if s.backbone is not None:
        for name in ("levels", "depth", "stem", "residual"):
            if getattr(given, name):
                raise UsageError(f"--{name} has no effect with --backbone, which brings its own encoder")
        if s.dimension == 3:
            raise UsageError("a backbone is 2D", remedy="--dimension 2, or no --backbone and no --weights")
    if s.dimension == 3 and (given.stem or 1) > 1:
        raise UsageError(f"--stem {given.stem} is for 2D networks", remedy="--dimension 2, or leave it out")
    if given.context is not None and s.dimension == 3:
        raise UsageError("--context is for 2D networks: a 3D patch holds its neighbouring slices")
    if given.foreground is not None and s.sampling != "foreground":
        raise UsageError(f"--foreground has no effect on --sampling {s.sampling}")
    if not {"weighted-ce", "focal"} & terms and s.class_weights != "none":
        raise UsageError(f"--class-weights has no effect on --loss {s.loss}", remedy="weighted-ce or focal")
    if "weighted-ce" in terms and s.class_weights == "none":
        raise UsageError("weighted-ce without weights is ce", remedy="--class-weights balanced or a=1,b=2")
    if s.tune_postprocess and not validated:
        raise UsageError("--tune-postprocess needs validation cases", remedy="--validation 0.15")
    check_shared(s, validated=validated)
    if s.epochs == 0:
        raise UsageError("0 epochs train nothing", remedy="1 or more")
