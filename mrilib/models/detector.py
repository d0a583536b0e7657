"""A detector without anchors: a backbone by name, a small feature pyramid, and for each cell a score and a box.

A cell is a square of `stride` pixels. Each gives, for every class, how sure it is that a box is there, and the
distances from its centre to the four sides of that box (FCOS, Tian et al. 2019; CenterNet, Zhou et al. 2019). Stock
Keras layers only; models.box_losses trains it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.models import backbones
from mrilib.models.normalise import normalise

SIDES = 4  # outputs of a cell before the scores: distances to the left, upper, right and lower side, in pixels
STRIDES = (4, 8, 16)
COARSEST = 32  # pixels: stride of the coarsest level of the pyramid; sides of an image are multiples of it
PRIOR = 0.01  # score of every cell before training (Lin et al. 2017)
SLOPE = 0.01


def detector(name: str, shape: tuple[int, int, int], classes: int, *, width: float = 1.0,
             weights: str | Path | None = None, stride: int = 8, filters: int = 64, dropout: float = 0.0,
             half: float = 16.0, low: float = -1.0, high: float = 1.0):  # fmt: skip
    """A network that gives each cell of an image four distances and a score for each class.

    name, width, weights, low, high: as in models.classifier. shape: (y, x, channel), sides that are multiples of 32.
    classes: 1 or more. stride: pixels of a cell. filters: of the pyramid. dropout: fraction of the pyramid's channels
    left out while training. half: half the side of a typical box in pixels, which every cell gives before training.

    Returns a keras.Model of stock layers: float32 (batch, y, x, channel) in, float32 (batch, cell, 4 + classes) out,
    the cells as in `cells`, distances in pixels first; `with_logits` gives the one to train. Raises UsageError for
    settings that cannot be.
    """
    import keras
    from keras import layers

    _check(name, shape, classes, width, stride, filters, dropout, half, low, high)
    image, x = backbones.pixels_of(name, shape, low, high)
    features = backbones.backbone_of(name)(x, width)
    x = _pyramid(backbones.maps_by_size(keras.Model(image, features), shape), shape, stride, filters, name)
    if dropout:
        x = layers.SpatialDropout2D(dropout, name="head_dropout")(x)
    count = math.prod(side // stride for side in shape[:2])
    sides = layers.Conv2D(SIDES, 1, name="head_sides", dtype="float32")(_conv(x, filters, 3, "head_sides_in"))
    sides = layers.Activation("softplus", name="head_softplus", dtype="float32")(
        layers.Reshape((count, SIDES), name="head_sides_cells", dtype="float32")(sides))
    distances = layers.Rescaling(half / math.log(2), name="head_distances", dtype="float32")(sides)
    scores = layers.Conv2D(classes, 1, name="head_scores", dtype="float32",
                           bias_initializer=keras.initializers.Constant(math.log(PRIOR / (1 - PRIOR))))(
                               _conv(x, filters, 3, "head_scores_in"))
    scores = layers.Reshape((count, classes), name="logits", dtype="float32")(scores)
    scores = layers.Activation("sigmoid", name="probabilities", dtype="float32")(scores)
    result = layers.Concatenate(name="head_cells", dtype="float32")([distances, scores])
    model = keras.Model(image, result, name=name)
    if weights is not None:
        from mrilib.models.weights import load_weights

        load_weights(model, weights, backbone=name, width=width)
    return model


def with_logits(model):
    """The layers of a detector, giving logits in place of scores; both models share all weights."""
    import keras

    ends = [model.get_layer(name).output for name in ("head_distances", "logits")]
    return keras.Model(model.input, keras.layers.Concatenate(name="raw", dtype="float32")(ends), name=model.name)


def cells(shape, stride: int) -> np.ndarray:
    """The centre of each cell of an image of shape (y, x, ...), row by row: float32 (cell, 2), x and y in pixels."""
    y, x = (np.arange(side // stride, dtype=np.float32) * stride + stride / 2 for side in shape[:2])
    return np.stack([part.ravel() for part in np.meshgrid(x, y)], -1)


def _pyramid(maps: list, shape, stride: int, filters: int, name: str):
    """The backbone's maps from the coarsest to the one of the stride, added up on the way (Lin et al. 2017)."""
    from keras import layers

    finer = [(side, one) for side, one in maps if shape[0] // stride >= side]
    if not finer or finer[0][0] != shape[0] // stride:
        raise UsageError(f"{name} has no feature map at {stride} pixels, which the detector takes",
                         remedy="another --backbone, or another --stride")
    side, x = finer.pop()
    if shape[0] // side < COARSEST:
        finer.append((side, x))
        side = side // 2
        x = _conv(x, filters, 3, "head_coarsest", strides=2)
    x = _conv(x, filters, 1, "head_top")
    for place, (finer_side, one) in enumerate(reversed(finer)):
        x = layers.UpSampling2D(finer_side // side, name=f"head_{place}_up")(x)
        x = layers.Add(name=f"head_{place}_add")([x, _conv(one, filters, 1, f"head_{place}_in")])
        x, side = _conv(x, filters, 3, f"head_{place}_out"), finer_side
    return x


def _conv(x, filters: int, size: int, name: str, strides: int = 1):
    from keras import layers

    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal",
                      name=f"{name}_conv")(x)
    return layers.LeakyReLU(SLOPE, name=f"{name}_act")(normalise(x, "batch", f"{name}_norm"))


def _check(name, shape, classes, width, stride, filters, dropout, half, low, high) -> None:
    backbones.check(name, width, low, high)
    backbones.check_dropout(dropout)
    if len(shape) != 3:
        raise UsageError(f"a detector takes 2D images, not {' x '.join(map(str, shape[:-1]))}")
    if min(shape[:2]) < 2 * COARSEST or any(side % COARSEST for side in shape[:2]):
        raise UsageError(f"images of {shape[1]} x {shape[0]}: a detector takes sides that are multiples of {COARSEST}, "
                         f"from {2 * COARSEST}", remedy="bring them to that size first: mri-normalize --size 256")
    if stride not in STRIDES:
        raise UsageError(f"a stride of {stride}", remedy=f"one of {' '.join(map(str, STRIDES))}")
    if classes < 1 or filters < 1 or not 0 < half < math.inf:
        raise UsageError(f"{classes} classes, {filters} filters and boxes of {2 * half:g} pixels make no detector")
