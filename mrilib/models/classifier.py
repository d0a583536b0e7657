"""A classifier: a backbone by name, the pixels that its weights expect, and one head."""

from __future__ import annotations

from pathlib import Path

from mrilib.errors import UsageError
from mrilib.models import backbones
from mrilib.models.heads import HEADS


def classifier(name: str, shape: tuple[int, int, int], classes: int, *, width: float = 1.0,
               weights: str | Path | None = None, dropout: float = 0.0, low: float = -1.0, high: float = 1.0,
               head: str = "mean"):
    """A network that gives each image a probability for each class.

    name: one of BACKBONES. shape: (y, x, channel) of the prepared images. width: factor on the number of filters,
    where the backbone has one. weights: None (from scratch), "imagenet" (Keras fetches them) or a file: weights that
    Keras saved for this backbone without its top, or a model file of this suite. low, high: the pixel values that
    become -1 and 1, measured on training data. One channel is repeated for a backbone made for RGB; with another
    number than 3 its first kernel is repeated along the channels and scaled by 3 / channels (as timm does). head: one
    of HEADS.

    Returns a keras.Model of stock layers in one graph: float32 (batch, y, x, channel) in, float32 (batch,
    class) out, first layer "image", last "probabilities"; `models.logits.with_logits` gives the one to train. Raises
    UsageError for settings that cannot be.
    """
    import keras
    from keras import layers

    _check(name, shape, classes, width, dropout, low, high, head)
    image, x = backbones.pixels_of(name, shape, low, high)
    features = backbones.backbone_of(name)(x, width)
    x = HEADS[head](features, keras.Model(image, features))
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    model = keras.Model(image, layers.Activation("softmax", name="probabilities", dtype="float32")(x), name=name)
    if weights is not None:
        from mrilib.models.weights import load_weights

        load_weights(model, weights, backbone=name, width=width)
    return model


def _check(name, shape, classes, width, dropout, low, high, head) -> None:
    backbones.backbone_of(name)
    if head not in HEADS:
        raise UsageError(f"unknown head {head!r}", remedy=f"one of {' '.join(HEADS)}")
    if len(shape) != 3:
        raise UsageError(f"a classifier takes 2D images, not {' x '.join(map(str, shape[:-1]))}")
    smallest = backbones.smallest(name)
    if min(shape[:2]) < smallest:
        raise UsageError(f"images of {shape[1]} x {shape[0]} are too small for {name}",
                         remedy=f"it needs {smallest} or more; see mri-normalize --size")
    if classes < 2:
        raise UsageError(f"{classes} class{'es' if classes != 1 else ''}: a classifier needs 2 or more")
    backbones.check(name, width, low, high)
    backbones.check_dropout(dropout)
