"""Networks and losses by name. Reading the names imports nothing; a new one is one function and one line here.

A backbone is `function(x, width) -> feature map` on Keras tensors (batch, y, x, channel), for those of
keras.applications a row of mrilib.models.applications; a head is
`function(x, graph) -> (batch, feature)`; a loss of classes is
`function(*, smoothing, class_weights, gamma) -> loss(target, logits)`, one of label maps
`function(exclusive) -> loss(target, logits)`, and any sum of those is a loss as well.
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
LOSSES = {
    "ce": "mrilib.models.losses:cross_entropy",
    "weighted-ce": "mrilib.models.losses:weighted_cross_entropy",
    "focal": "mrilib.models.losses:focal",
}
VOXEL_LOSSES = {
    "ce": "mrilib.models.voxel_losses:cross_entropy",
    "weighted-ce": "mrilib.models.voxel_losses:weighted_cross_entropy",
    "dice": "mrilib.models.voxel_losses:dice",
    "iou": "mrilib.models.voxel_losses:iou",
    "focal": "mrilib.models.voxel_losses:focal",
    "tversky": "mrilib.models.voxel_losses:tversky",
}
HEADS = {
    "mean": "mrilib.models.heads:mean",
    "mean-max": "mrilib.models.heads:mean_max",
    "mirror": "mrilib.models.heads:mirror",
}
KINDS = {"backbone": BACKBONES, "head": HEADS, "loss": LOSSES, "loss of label maps": VOXEL_LOSSES}


def check(kind: str, name: str) -> None:
    """Raises UsageError for a name that its kind (a key of KINDS) lacks."""
    if not isinstance(name, str) or name not in KINDS[kind]:
        raise UsageError(f"unknown {kind} {name!r}", remedy=f"one of {' '.join(KINDS[kind])}")


def function_of(kind: str, name: str) -> Callable:
    """The function behind a name of a kind. Raises UsageError for an unknown name."""
    check(kind, name)
    return resolve_name(KINDS[kind][name])
