"""A classifier: a backbone by name, what its pixels must be, and one head."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from mrilib.errors import UsageError
from mrilib.models.applications import PIXELS, SMALLEST, WIDTHS
from mrilib.models.registry import BACKBONES, HEADS
from mrilib.models.symmetry import MIRROR

BEFORE = ("image", "scale", "rgb", "pixels")  # layers that lead to the backbone
HEAD = ("pool", "dropout", "logits", "probabilities")  # layers after it, and all named head_...
SMALLEST_OWN = {"alexnet": 63}


def classifier(name: str, shape: tuple[int, int, int], classes: int, *, width: float = 1.0,
               weights: str | Path | None = None, dropout: float = 0.0, low: float = -1.0, high: float = 1.0,
               head: str = "mean"):
    """A network that gives each image a probability for each class.

    name: one of BACKBONES. shape: (y, x, channel) of the prepared images. width: times as many filters, where
    the backbone can. weights: None (from scratch), "imagenet" (Keras' cache) or a file: weights that Keras saved
    for this backbone without its top, or a model file of this suite. low, high: the pixel values that become -1
    and 1, measured on training data. One channel is repeated for a backbone made for RGB; with another number
    than 3 its first kernel is repeated along the channels and scaled by 3 / channels (as timm does). head: one of
    HEADS.

    Returns a keras.Model of stock layers in one graph: float32 (batch, y, x, channel) in, float32 (batch,
    class) out, first layer "image", last "probabilities". Raises UsageError for what cannot be.
    """
    import keras
    from keras import layers

    _check(name, shape, classes, width, dropout, low, high)
    image, x = pixels_of(name, shape, low, high)
    features = backbone_of(name)(x, width)
    x = _named(HEADS, head)(features, keras.Model(image, features))
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    model = keras.Model(image, layers.Activation("softmax", name="probabilities", dtype="float32")(x), name=name)
    if weights is not None:
        from mrilib.models.weights import load_weights

        load_weights(model, name, width, weights)
    return model


def pixels_of(name: str, shape: tuple[int, int, int], low: float, high: float):
    """(input, what the backbone takes) for images whose values low and high become -1 and 1; see `classifier`."""
    import keras
    from keras import layers

    image = keras.Input(tuple(shape), name="image", dtype="float32")
    scale = 2 / (high - low)
    x = layers.Rescaling(scale, offset=-1 - low * scale, name="scale", dtype="float32")(image)
    if name in PIXELS:
        if shape[2] == 1:
            x = layers.Concatenate(name="rgb", dtype="float32")([x, x, x])
        x = _pixels(x, name)
    return image, x


def backbone_of(name: str):
    """The function (x, width) -> feature map of a name in BACKBONES."""
    return _named(BACKBONES, name)


def _named(registry: dict[str, str], name: str):
    if name not in registry:
        raise UsageError(f"unknown head {name!r}", remedy=f"one of {' '.join(registry)}")
    return resolve_name(registry[name])


def _check(name, shape, classes, width, dropout, low, high) -> None:
    if name not in BACKBONES:
        raise UsageError(f"unknown backbone {name!r}", remedy=f"one of {' '.join(BACKBONES)}")
    if len(shape) != 3:
        raise UsageError(f"a classifier takes 2D images, not {' x '.join(map(str, shape[:-1]))}")
    smallest = SMALLEST if name in PIXELS else SMALLEST_OWN.get(name, 8)
    if min(shape[:2]) < smallest:
        raise UsageError(f"images of {shape[1]} x {shape[0]} are too small for {name}",
                         remedy=f"it needs {smallest} or more; see mri-normalize --size")
    if classes < 2:
        raise UsageError(f"{classes} class{'es'[: 2 * (classes != 1)]}: there is nothing to tell apart")
    if width <= 0 or (width != 1 and name in PIXELS and name not in WIDTHS):
        raise UsageError(f"{name} has no width {width:g}", remedy="leave it at 1")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout {dropout:g} is not in 0 to 1")
    if not low < high:
        raise UsageError(f"pixel values {low:g} to {high:g} span nothing", remedy="are all images empty?")


def _pixels(x, name: str):
    """-1..1 as this backbone's ImageNet weights know it; beyond 3 channels the three settings come round again."""
    from keras import layers

    pixels = PIXELS[name]
    if pixels is None:
        return x
    channels = [i % 3 for i in range(x.shape[-1])]
    return layers.Rescaling([127.5 * pixels.scale[i] for i in channels],
                            offset=[127.5 * pixels.scale[i] + pixels.offset[i] for i in channels],
                            name="pixels", dtype="float32")(x)  # fmt: skip


def backbone_layers(model) -> list:
    """The layers of the backbone alone, first to last."""
    return [layer for layer in model.layers if layer.name not in BEFORE and not _of_head(layer)]


def _of_head(layer) -> bool:
    return layer.name.removesuffix("_1").removesuffix("_2").removesuffix("_3") in HEAD or layer.name.startswith("head_")


def head_inputs(model) -> list:
    """The feature maps that the head takes from the backbone, the last one first."""
    taken = [model.get_layer("pool").input]
    for layer in model.layers:
        if _of_head(layer):
            given = layer.input if isinstance(layer.input, list) else [layer.input]
            taken += [t for t in given if not _of_head(t._keras_history.operation) and all(t is not k for k in taken)]
    return taken


def layer_names(model) -> list[str]:
    """The names that `freeze` can start from: the backbone's layers that have weights, first to last."""
    return [layer.name for layer in backbone_layers(model) if layer.weights and not layer.name.endswith(MIRROR)]


def freeze(model, unfreeze_from: str | None = None) -> list[str]:
    """Fix the backbone's weights, all or those before a layer; returns the names of layers that still learn.

    Fixed batch normalisation uses its stored statistics in training, too. Raises UsageError for a layer that
    is not the backbone's.
    """
    layers = backbone_layers(model)
    names = [layer.name for layer in layers]
    if unfreeze_from is not None and unfreeze_from not in names:
        known = layer_names(model)
        shown = known if len(known) <= 12 else [*known[:4], "...", *known[-8:]]
        raise UsageError(f"{model.name} has no layer {unfreeze_from!r}", remedy=f"its layers: {' '.join(shown)}")
    start = len(names) if unfreeze_from is None else names.index(unfreeze_from)
    for place, layer in enumerate(layers):
        layer.trainable = place >= start and not layer.name.endswith(MIRROR)
    return [layer.name for layer in model.layers if layer.trainable_weights]
