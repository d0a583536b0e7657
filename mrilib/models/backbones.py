"""Backbones by name, the pixels that each expects, and the layers of a network that belong to its backbone."""

from __future__ import annotations

import math

from mrilib.errors import UsageError
from mrilib.models import applications, own
from mrilib.models.applications import NETWORKS, SMALLEST
from mrilib.models.symmetry import MIRROR

BACKBONES = {  # name -> function (x, width) -> feature map (batch, y, x, channel)
    "small": own.small,
    "alexnet": own.alexnet,
    "resnet18": own.resnet18,
    "vgg16": applications.vgg16,
    "resnet50": applications.resnet50,
    "mobilenet": applications.mobilenet,
    "mobilenetv2": applications.mobilenetv2,
    "efficientnetb0": applications.efficientnetb0,
    "densenet121": applications.densenet121,
    "lenet": own.lenet,
}
BEFORE = ("image", "scale", "rgb", "pixels")  # layers that lead to the backbone
HEAD = ("pool", "dropout", "logits", "probabilities")  # layers after it, and all named head_...
SMALLEST_OWN = {"alexnet": 63}
FINE_TUNED_MOMENTUM = 0.9  # of batch normalisation: the 0.99 of ImageNet would not have adapted within few epochs
COARSER = (2, 4, 8, 16, 32)  # times, of the maps that decoders take


def check(name: str, width: float, low: float, high: float) -> None:
    """Raises UsageError for an unknown backbone, a width that it does not have, and pixel values without a range."""
    backbone_of(name)
    if not 0 < width < math.inf or (width != 1 and name in NETWORKS and not NETWORKS[name].widths):
        raise UsageError(f"{name} has no width {width:g}", remedy="leave it at 1")
    if not -math.inf < low < high < math.inf:
        raise UsageError(f"pixel values {low:g} to {high:g} have no range", remedy="are all images empty?")


def check_dropout(dropout: float) -> None:
    """Raises UsageError for a dropout that is not in 0 to below 1."""
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout {dropout:g} is not in 0 to 1")


def smallest(name: str) -> int:
    """The fewest pixels along each side of an image that a backbone takes."""
    return SMALLEST if name in NETWORKS else SMALLEST_OWN.get(name, 8)


def backbone_of(name: str):
    """The function (x, width) -> feature map of a name. Raises UsageError for a name that is not in BACKBONES."""
    if not isinstance(name, str) or name not in BACKBONES:
        raise UsageError(f"unknown backbone {name!r}", remedy=f"one of {' '.join(BACKBONES)}")
    return BACKBONES[name]


def pixels_of(name: str, shape: tuple[int, int, int], low: float, high: float):
    """(input, what the backbone takes) for images whose values low and high become -1 and 1; see `classifier`."""
    import keras
    from keras import layers

    image = keras.Input(tuple(shape), name="image", dtype="float32")
    scale = 2 / (high - low)
    x = layers.Rescaling(scale, offset=-1 - low * scale, name="scale", dtype="float32")(image)
    if name in NETWORKS:
        if shape[2] == 1:
            x = layers.Concatenate(name="rgb", dtype="float32")([x, x, x])
        x = _pixels(x, name)
    return image, x


def _pixels(x, name: str):
    """-1..1 as this backbone's ImageNet weights know it; beyond 3 channels the three settings come round again."""
    from keras import layers

    pixels = NETWORKS[name].pixels
    if pixels is None:
        return x
    channels = [i % 3 for i in range(x.shape[-1])]
    return layers.Rescaling([127.5 * pixels.scale[i] for i in channels],
                            offset=[127.5 * pixels.scale[i] + pixels.offset[i] for i in channels],
                            name="pixels", dtype="float32")(x)  # fmt: skip


def maps_by_size(graph, shape) -> list[tuple[int, object]]:
    """(side, last feature map) of each size that a backbone passes, the finest first, the image's own left out.

    Left out too are sizes that do not halve the image evenly, as AlexNet's, and the single values of channel attention.
    """
    found = {}
    for layer in graph.layers:
        size = layer.output.shape
        if len(size) == 4 and "Padding" not in type(layer).__name__ and any(
                size[1:3] == (shape[0] // k, shape[1] // k) for k in COARSER):
            found[size[1]] = layer.output
    return sorted(found.items(), key=lambda item: -item[0])


def backbone_layers(model) -> list:
    """The layers of the backbone alone, first to last."""
    return [layer for layer in model.layers if layer.name not in BEFORE and not _of_head(layer)]


def _of_head(layer) -> bool:
    return layer.name.removesuffix("_1").removesuffix("_2").removesuffix("_3") in HEAD or layer.name.startswith("head_")


def head_inputs(model) -> list:
    """The feature maps that the head takes from the backbone, the last one first."""
    maps = [model.get_layer("pool").input]
    for layer in model.layers:
        if _of_head(layer):
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            maps += [t for t in inputs if not _of_head(t._keras_history.operation) and all(t is not m for m in maps)]
    return maps


def adapt_statistics(model) -> None:
    """Let the batch normalisation of a backbone with given weights follow new images within few epochs."""
    for layer in backbone_layers(model):
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = FINE_TUNED_MOMENTUM


def layer_names(model) -> list[str]:
    """The names that `freeze` can start from: the backbone's layers that have weights, first to last."""
    return [layer.name for layer in backbone_layers(model) if layer.weights and not layer.name.endswith(MIRROR)]


def first_at(model, stride: int) -> str:
    """The name of the backbone's first layer whose maps have one value for `stride` pixels or more along y."""
    side = model.input_shape[1] // stride
    return next(layer.name for layer in backbone_layers(model) if layer.output.shape[1] <= side)


def freeze(model, unfreeze_from: str | None = None) -> list[str]:
    """Fix the backbone's weights, all or those before a layer; returns the names of layers that still learn.

    Fixed batch normalisation uses its stored statistics in training, too. Raises UsageError for a layer that
    is not the backbone's.
    """
    layers = backbone_layers(model)
    names = [layer.name for layer in layers]
    if unfreeze_from is not None and unfreeze_from not in names:
        own = layer_names(model)
        shown = own if len(own) <= 12 else [*own[:4], "...", *own[-8:]]
        raise UsageError(f"{model.name} has no layer {unfreeze_from!r}", remedy=f"its layers: {' '.join(shown)}")
    start = len(names) if unfreeze_from is None else names.index(unfreeze_from)
    for place, layer in enumerate(layers):
        layer.trainable = place >= start and not layer.name.endswith(MIRROR)
    return [layer.name for layer in model.layers if layer.trainable_weights]
