"""The options of training, in groups, and how what they give becomes settings of the library."""

from __future__ import annotations

import re

import click

from mri_tools.cli import options
from mri_tools.cli.options import Pair, several, xyz_to_array
from mrilib.errors import UsageError
from mrilib.models.normalise import NORMS
from mrilib.models.registry import BACKBONES, HEADS, VOXEL_LOSSES
from mrilib.training.segment_settings import SAMPLINGS
from mrilib.training.settings import OPTIMIZERS, SCHEDULES, resolved, weights_by_name

AUGMENTS = ("none", "light", "medium", "heavy")
# what only one of the two tasks has; given for the other it would do nothing
OF_CLASSES = ("head", "size", "freeze", "unfreeze_from", "head_start", "label_smoothing")
OF_MAPS = ("dimension", "patch", "spacing", "context", "depth", "levels", "stem", "residual", "norm",
           "deep_supervision", "targets", "foreground", "steps", "budget", "validate_every", "memory", "cache", "folds",
           "scheme", "tune_postprocess")  # fmt: skip


def _positive(**more):
    return click.FloatRange(0, min_open=True, **more)


class Duration(click.ParamType):
    """Seconds, from `90s`, `10m`, `1.5h` or a bare number of seconds."""

    name = "TIME"

    def convert(self, value, param, ctx):
        match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smh]?)", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no time such as 90s, 10m or 1.5h", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


network = several(
    click.option("--backbone", type=click.Choice(list(BACKBONES)),
                 help="The network; for label maps, the encoder of a 2D U-Net.  [default: small, a U-Net of its own; "
                      "with --weights mobilenet]"),
    click.option("--width", type=_positive(),
                 help="Times as many filters, where a backbone can; of a U-Net, filters of its first level.  "
                      "[default: that of --weights FILE, else 1; U-Net 16, on a GPU 32]"),
    click.option("--weights", metavar="imagenet|FILE", help="Start from these weights.  [default: from scratch]"),
    click.option("--dropout", type=click.FloatRange(0, 1, max_open=True),
                 help="Part of the features left out in each step.  [default: 0.3; label maps 0]"),
)  # fmt: skip
of_classes = several(
    click.option("--head", type=click.Choice(list(HEADS)),
                 help="Classes: features of the last layer: their mean; their mean and maximum; mirror adds how left "
                      "and right differ.  [default: mean-max; mirror with --weights]"),
    click.option("--size", type=Pair(), help="Classes: refuse images of another size than this."),
    click.option("--freeze", is_flag=True, default=None,
                 help="Classes: train the head alone, on the features of --weights."),
    click.option("--unfreeze-from", metavar="LAYER",
                 help="Classes: train this layer and what follows, not what is before."),
    click.option("--head-start/--no-head-start", default=None,
                 help="Classes: first fit the head to the features of --weights.  [default: yes with --weights]"),
    click.option("--label-smoothing", type=click.FloatRange(0, 1, max_open=True),
                 help="Classes: part of the truth spread over all.  [default: 0.05]"),
)  # fmt: skip
of_maps = several(
    click.option("--dimension", type=click.Choice(["2", "3"]),
                 help="Label maps: a network of slices or of volumes.  [default: planned]"),
    click.option("--patch", type=Pair(), help="Label maps: voxels of the network's window.  [default: planned]"),
    click.option("--spacing", type=Pair(float),
                 help="Label maps: distance of voxels that volumes are brought to, in mm; of two numbers, slices keep "
                      "theirs.  [default: the median, where cases differ]"),
    click.option("--context", type=click.IntRange(0, 5),
                 help="Label maps: neighbouring slices each side that a 2D network sees.  [default: 1]"),
    click.option("--levels", type=click.IntRange(2, 8), help="Label maps: resolutions of the U-Net.  "
                                                             "[default: planned]"),
    click.option("--stem", type=click.IntRange(1, 4), help="Label maps: how much coarser than the image a 2D U-Net "
                                                           "begins and ends.  [default: 1; 2 on a CPU]"),
    click.option("--depth", type=click.IntRange(1, 8), help="Label maps: convolutions, or residual blocks, of the "
                                                            "encoder at each level.  [default: 2]"),
    click.option("--residual/--plain", default=None, help="Label maps: a residual encoder.  [default: plain]"),
    click.option("--norm", type=click.Choice(NORMS),
                 help="Label maps: normalisation between convolutions.  [default: batch with a --backbone, or in 2D "
                      "with 8 training cases or more; else instance]"),
    click.option("--deep-supervision/--no-deep-supervision", default=None,
                 help="Label maps: train coarser outputs as well.  [default: no]"),
    click.option("--targets", type=click.Choice(["labels", "regions"]),
                 help="Label maps: learn labels, or the regions of their scheme.  [default: labels]"),
    click.option("--foreground", type=click.FloatRange(0, 1),
                 help="Label maps: part of the windows around a labelled voxel.  [default: 0.5]"),
    click.option("--steps", type=click.IntRange(1), help="Label maps: steps of an epoch.  [default: 100]"),
    click.option("--budget", type=Duration(), help="Label maps: time for the whole command, such as 30m; the schedule "
                                                   "follows it.  [default: by --epochs]"),
    click.option("--validate-every", type=click.IntRange(1),
                 help="Label maps: epochs between two validations on whole volumes.  [default: 10]"),
    click.option("--memory", type=_positive(), help="Label maps: GiB that planning may count on.  "
                                                    "[default: a quarter of the machine's]"),
    click.option("--cache", type=options.FolderToWrite(),
                 help="Label maps: folder for prepared volumes, kept.  [default: beside the model, removed at the "
                      "end]"),
    click.option("--folds", type=click.IntRange(2),
                 help="Label maps: cross-validate, a model MODEL-fold0.h5 … (and so its --curve) for each fold."),
    options.scheme,
    click.option("--tune-postprocess", is_flag=True, default=None,
                 help="Label maps: learn on validation cases what small pieces to drop, and keep it in the model."),
)  # fmt: skip
learning = several(
    click.option("--loss", metavar="NAME[+NAME…]",
                 help=f"What is minimised. Classes: ce, weighted-ce or focal; label maps: any sum of "
                      f"{' '.join(VOXEL_LOSSES)}, as dice+0.5*ce.  [default: ce; label maps dice+ce]"),
    click.option("--class-weights", metavar="balanced|none|A=1,B=2",
                 help="Weights of classes in weighted-ce and focal.  [default: balanced for weighted-ce]"),
    click.option("--sampling", type=click.Choice(["natural", *SAMPLINGS]),
                 help="Classes: natural, every case once an epoch, or equal, every class equally often. Label maps: "
                      "windows uniform, around foreground, or around each label equally often.  "
                      "[default: natural; label maps foreground]"),
    click.option("--augment", metavar=f"{'|'.join(AUGMENTS)}|FILE",
                 help="How training images are varied; a TOML or JSON file of mri-augment's options.  "
                      "[default: light; with --weights medium; label maps heavy]"),
    click.option("--mixup", type=_positive(), metavar="ALPHA",
                 help="Mean of pairs of a batch, weights by Beta(ALPHA, ALPHA), such as 0.2.  [default: none]"),
    click.option("--cutmix", type=_positive(), metavar="ALPHA",
                 help="Boxes of a batch exchanged, sizes by Beta(ALPHA, ALPHA), such as 1.  [default: none]"),
    click.option("--epochs", type=click.IntRange(0),
                 help="Passes over the training cases, of label maps --steps each; 0: the head start alone.  "
                      "[default: 40; classes with --weights 5, of fewer than 500 cases 0]"),
    click.option("--batch-size", type=click.IntRange(1),
                 help="Cases, or windows, in one step.  [default: 16; label maps 8, by a network of volumes 2]"),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="adamw", show_default=True,
                 help="How weights follow gradients."),
    click.option("--learning-rate", type=_positive(),
                 help="Length of a step, after the warm-up.  "
                      "[default: 0.002; with --weights 0.0003; label maps 0.001, by sgd 0.01]"),
    click.option("--momentum", type=click.FloatRange(0, 1, max_open=True),
                 help="Of sgd, Nesterov's.  [default: 0.9; label maps 0.99]"),
    click.option("--weight-decay", type=click.FloatRange(0),
                 help="Of adamw and sgd.  "
                      "[default: 0.05; with --weights, and of label maps, 0.01; sgd 0, of label maps 3e-5]"),
    click.option("--clip", type=click.FloatRange(0), default=1.0, show_default=True,
                 help="Largest norm of a gradient; 0 for none."),
    click.option("--schedule", type=click.Choice(SCHEDULES), default="cosine", show_default=True,
                 help="How the learning rate falls."),
    click.option("--warmup", type=click.FloatRange(0),
                 help="Epochs over which the learning rate rises.  "
                      "[default: a tenth of all, at most 4, with --weights 0.5; label maps 0.5]"),
    click.option("--average", type=click.FloatRange(0),
                 help="Epochs over which weights are averaged; 0 for none. The average is the model.  "
                      "[default: a tenth of all, at most 4; with --weights a fifth, at most 1; label maps 2]"),
    click.option("--patience", type=click.IntRange(1),
                 help="Stop after so many epochs without a better validation; keep the best.  [default: never]"),
)  # fmt: skip
machine = several(
    click.option("--mixed-precision", "mixed", type=click.Choice(["auto", "off", "float16", "bfloat16"]),
                 default="auto", show_default=True, help="auto: what the device does fast."),
    click.option("--threads", type=click.IntRange(1), help="Cores used.  [default: all]"),
)  # fmt: skip


def settings(given: dict, task: str):
    """The library's settings from options as given; missing ones are None there and get their defaults later.

    Raises UsageError for an option that this task does not have.
    """
    for name in OF_CLASSES if task == "segment" else OF_MAPS:
        if given.get(name) is not None:
            other = "classes" if task == "segment" else "label maps"
            raise UsageError(f"--{name.replace('_', '-')} is for {other} alone", remedy="leave it out, or --task")
    weights = given["class_weights"]
    given = {**given, "class_weights": weights and weights_by_name(weights), "validation": None, "folds": None,
             "cache": None, "memory": None, "tune_postprocess": None, "size": None, "scheme": None}
    if task == "segment":
        from mrilib.training.segment_settings import SegmentSettings as Settings

        given |= {"dimension": int(given["dimension"]) if given["dimension"] else None,
                  "patch": _of_axes(given["patch"], 1),
                  "spacing": _of_axes(given["spacing"], 3)}  # fmt: skip
    else:
        from mrilib.training.classify_settings import ClassifySettings as Settings
    known = Settings.__dataclass_fields__
    return resolved(Settings(**{name: value for name, value in given.items() if name in known and value is not None}))


def _of_axes(values, dimension: int) -> tuple | None:
    return None if values is None else tuple(xyz_to_array(values, dimension))
