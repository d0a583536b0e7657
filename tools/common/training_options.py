"""The options of training, in groups, and how what they give becomes settings of the library."""

from __future__ import annotations

from pathlib import Path

import click

from mri_tools.common.options import Pair, _several
from mrilib.errors import UsageError
from mrilib.models.registry import BACKBONES, HEADS, LOSSES
from mrilib.training.settings import OPTIMIZERS, SAMPLINGS, SCHEDULES

AUGMENTS = ("none", "light", "medium", "heavy")


def _positive(**more):
    return click.FloatRange(0, min_open=True, **more)


network = _several(
    click.option("--backbone", type=click.Choice(list(BACKBONES)),
                 help="The network.  [default: small; mobilenet with --weights]"),
    click.option("--width", type=_positive(), default=1.0, show_default=True,
                 help="Times as many filters, where the network can."),
    click.option("--head", type=click.Choice(list(HEADS)),
                 help="Features of the last layer: their mean; their mean and maximum; mirror adds how left and right "
                      "differ.  [default: mean-max; mirror with --weights]"),
    click.option("--size", type=Pair(), help="Refuse images of another size than this."),
    click.option("--weights", metavar="imagenet|FILE", help="Start from these weights.  [default: from scratch]"),
    click.option("--freeze", is_flag=True, help="Train the head alone, on the features of --weights."),
    click.option("--unfreeze-from", metavar="LAYER", help="Train this layer and what follows, not what is before."),
    click.option("--head-start/--no-head-start", default=None,
                 help="First fit the head to the features of --weights.  [default: yes with --weights]"),
    click.option("--dropout", type=click.FloatRange(0, 1, max_open=True),
                 help="Part of the features left out in each step.  [default: 0.3]"),
)  # fmt: skip
learning = _several(
    click.option("--loss", type=click.Choice(list(LOSSES)), default="ce", show_default=True, help="What is minimised."),
    click.option("--class-weights", metavar="balanced|none|A=1,B=2",
                 help="Weights of classes in weighted-ce and focal.  [default: balanced for weighted-ce]"),
    click.option("--label-smoothing", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True,
                 help="Part of the truth spread over all classes."),
    click.option("--sampling", type=click.Choice(SAMPLINGS), default="natural", show_default=True,
                 help="Every case once an epoch, or every class equally often."),
    click.option("--augment", metavar=f"{'|'.join(AUGMENTS)}|FILE",
                 help="How training images are varied; a TOML or JSON file of mri-augment's options.  "
                      "[default: by measurement]"),
    click.option("--epochs", type=click.IntRange(0),
                 help="Passes over the training cases; 0: the head start alone.  "
                      "[default: 40; with --weights 5, of fewer than 500 cases 0]"),
    click.option("--batch-size", type=click.IntRange(1), help="Cases in one step."),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="adamw", show_default=True,
                 help="How weights follow gradients."),
    click.option("--learning-rate", type=_positive(), help="Length of a step, after the warm-up."),
    click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), help="Of sgd.  [default: 0.9]"),
    click.option("--weight-decay", type=click.FloatRange(0),
                 help="Of adamw and sgd.  [default: 0.05; with --weights 0.01; sgd 0]"),
    click.option("--clip", type=click.FloatRange(0), default=1.0, show_default=True,
                 help="Largest norm of a gradient; 0 for none."),
    click.option("--schedule", type=click.Choice(SCHEDULES), default="cosine", show_default=True,
                 help="How the learning rate falls."),
    click.option("--warmup", type=click.FloatRange(0), help="Epochs over which the learning rate rises."),
    click.option("--average", type=click.FloatRange(0),
                 help="Epochs over which weights are averaged; 0 for none. The average is the model."),
    click.option("--patience", type=click.IntRange(1),
                 help="Stop after so many epochs without a better validation loss; keep the best.  [default: never]"),
)  # fmt: skip
machine = _several(
    click.option("--mixed-precision", "mixed", type=click.Choice(["auto", "off", "float16", "bfloat16"]),
                 default="auto", show_default=True, help="auto: what the device does fast."),
    click.option("--threads", type=click.IntRange(1), help="Cores used.  [default: all]"),
)  # fmt: skip


def settings(given: dict):
    """The library's settings from options as given; missing ones are None there and get their defaults later."""
    from mrilib.training.settings import Settings

    given = {**given, "class_weights": _class_weights(given["class_weights"]), "augment": _augment(given["augment"])}
    weights = given["weights"]
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise UsageError("no such file", where=weights, remedy="--weights takes imagenet or a file of weights")
    return Settings(**given)


def _class_weights(text: str | None):
    if text is None or text in ("balanced", "none"):
        return text
    try:
        pairs = dict(part.rsplit("=", 1) for part in text.split(","))
        weights = {name: float(value) for name, value in pairs.items()}
    except ValueError as error:
        raise UsageError(f"--class-weights {text}: balanced, none or class=number,class=number") from error
    if min(weights.values()) <= 0 or any(w != w or w == float("inf") for w in weights.values()):
        raise UsageError(f"--class-weights {text}: weights must be above 0")
    return weights


def _augment(text: str | None):
    """A preset's name, or what a file of settings says."""
    if text is None or text in AUGMENTS:
        return text
    from mrilib.images import augment

    if not (chosen := augment.settings(Path(text))):
        raise UsageError("names no transform", where=text, remedy="--augment none leaves the images alone")
    return chosen.as_dict()
