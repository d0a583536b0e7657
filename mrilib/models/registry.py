"""Backbones and heads by name. Reading the names imports nothing; a new one is one function and one line here.

A backbone is `function(x, width) -> feature map` on Keras tensors (batch, y, x, channel), for those of
keras.applications a row of mrilib.models.applications; a head is `function(x, graph) -> (batch, feature)`. Losses: see
models.losses and models.voxel_losses.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

from mrilib.errors import UsageError

BACKBONES = {
    "small": "mrilib.models.own:small",
    "alexnet": "mrilib.models.own:alexnet",
    "resnet18": "mrilib.models.own:resnet18",
    "vgg16": "mrilib.models.applications:vgg16",
    "resnet50": "mrilib.models.applications:resnet50",
    "mobilenet": "mrilib.models.applications:mobilenet",
    "mobilenetv2": "mrilib.models.applications:mobilenetv2",
    "efficientnetb0": "mrilib.models.applications:efficientnetb0",
    "densenet121": "mrilib.models.applications:densenet121",
    "lenet": "mrilib.models.own:lenet",
}
HEADS = {
    "mean": "mrilib.models.heads:mean",
    "mean-max": "mrilib.models.heads:mean_max",
    "mirror": "mrilib.models.heads:mirror",
}
KINDS = {"backbone": BACKBONES, "head": HEADS}


def check(kind: str, name: str) -> None:
    """Raises UsageError for a name that its kind (a key of KINDS) lacks."""
    if not isinstance(name, str) or name not in KINDS[kind]:
        raise UsageError(f"unknown {kind} {name!r}", remedy=f"one of {' '.join(KINDS[kind])}")


def function_of(kind: str, name: str) -> Callable:
    """The function behind a name of a kind. Raises UsageError for an unknown name."""
    check(kind, name)
    return resolve_name(KINDS[kind][name])
