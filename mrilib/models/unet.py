"""U-Nets of stock Keras layers, 2D and 3D: plain, with a residual encoder, or on a backbone by name.

After Ronneberger et al. 2015, Cicek et al. 2016 (3D), nnU-Net (Isensee et al. 2021) and its residual encoder
(Isensee et al. 2024): convolutions of 3, normalisation, leaky ReLU of slope 0.01, strided convolutions down,
transposed ones up, twice the filters at each level up to a bound.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.models import backbones
from mrilib.models.normalise import NORMS, normalise

WIDEST = {2: 512, 3: 320}  # filters at most, by number of axes
SLOPE = 0.01
DECODER = (256, 128, 64, 32)  # filters of the decoder on a backbone, from its coarsest map up
SUPERVISED = 3  # outputs below the finest, at most, that are trained as well
FEWEST = {"softmax": 2, "sigmoid": 1}  # outputs, by activation


def unet(shape: tuple[int, ...], outputs: int, *, activation: str = "softmax", levels: int = 5, width: int = 32,
         depth: int = 2, residual: bool = False, norm: str = "instance", strides=None, stem: int = 1,
         dropout: float = 0.0, deep_supervision: bool = False):  # fmt: skip
    """A U-Net that gives every voxel `outputs` probabilities.

    shape: ([z,] y, x, channel) of the patch. activation: softmax, or sigmoid for regions that overlap. levels:
    resolutions. width: filters of the first. depth: convolutions (residual: blocks of two) of the encoder at each
    level; the decoder has one. norm: one of NORMS. strides: for each level after the first how much coarser it is
    along each axis; None: 2 along all. stem: how much coarser the first level is than the image, along all; logits
    of a coarser one are brought to the image's size linearly (2D). dropout: part of the features of the two coarsest
    levels left out while training, by whole channels. deep_supervision: coarser outputs follow the
    finest one.

    Returns a keras.Model, float32 (batch, *shape) in, (batch, ..., outputs) float32 out, last layer
    "probabilities". Raises UsageError when a side of the patch cannot be halved so often.
    """
    import keras

    n = len(shape) - 1
    strides = [(2,) * n] * (levels - 1) if strides is None else [tuple(s) for s in strides]
    _check(shape, outputs, activation, levels, width, depth, norm, strides, stem, dropout)
    image = keras.Input(tuple(shape), name="image", dtype="float32")
    x, skips = image, []
    for level in range(levels):
        filters = min(width * 2**level, WIDEST[n])
        down = strides[level - 1] if level else (stem,) * n
        name = f"encoder{level}"
        for i in range(depth):
            if residual:
                x = _residual(x, filters, down if i == 0 else 1, norm, f"{name}_{i}", first=level == 0 and i == 0)
            else:
                x = _conv(x, filters, down if i == 0 else 1, norm, f"{name}_{i}")
        if dropout and level >= levels - 2:
            x = _layer("SpatialDropout", n)(dropout, name=f"{name}_dropout")(x)
        skips.append(x)
    maps = []
    for level in reversed(range(levels - 1)):
        filters = skips[level].shape[-1]
        x = _layer("ConvTranspose", n)(filters, strides[level], strides=strides[level], use_bias=False,
                                       kernel_initializer="he_normal", name=f"decoder{level}_up")(x)
        x = keras.layers.Concatenate(name=f"decoder{level}_skip")([x, skips[level]])
        x = _conv(x, filters, 1, norm, f"decoder{level}")
        maps.append(x)
    return _finish(image, maps[::-1], outputs, activation, deep_supervision, "residual" if residual else "unet")


def backbone_unet(name: str, shape: tuple[int, int, int], outputs: int, *, activation: str = "softmax",
                  width: float = 1.0, weights: str | Path | None = None, norm: str = "batch", dropout: float = 0.0,
                  low: float = -1.0, high: float = 1.0, deep_supervision: bool = False):  # fmt: skip
    """A 2D U-Net whose encoder is a classifier's backbone, with its weights or without.

    name, width, weights, low, high: as in models.classifier. At each size that the backbone passes its last
    feature map goes over to the decoder. The finest of them is half as fine as the image, and so is the decoder: its
    logits are brought to the image's size linearly, which real tumours lose 0.01 of Dice by at most, and a step takes
    half the time. The rest as in `unet`. The sides of the patch must be multiples of 32.
    """
    import keras
    from keras import layers

    if len(shape) != 3:
        raise UsageError("a backbone is 2D", remedy="--dimension 2")
    backbones.check(name, width, low, high)
    _check_ends(outputs, activation, norm, dropout)
    if min(shape[:2]) < 32 or any(side % 32 for side in shape[:2]):
        raise UsageError(f"a patch of {shape[1]} x {shape[0]} is not a multiple of 32", remedy="--patch 256,256")
    image, pixels = backbones.pixels_of(name, shape, low, high)
    features = backbones.backbone_of(name)(pixels, width)
    skips = backbones.maps_by_size(keras.Model(image, features), shape)
    if not skips:
        raise UsageError(f"{name} passes no maps of a half, a quarter … of the image, which a U-Net is made of",
                         remedy="another --backbone")
    x, maps = skips.pop()[1], []
    if dropout:
        x = layers.SpatialDropout2D(dropout, name="head_dropout")(x)
    for i, (side, skip) in enumerate(reversed(skips)):
        filters = DECODER[min(i, len(DECODER) - 1)]
        x = _conv(x, filters, 1, norm, f"head_{i}_in", kernel=1)  # fewer before it grows: half of the cost
        x = layers.UpSampling2D(side // x.shape[1], name=f"head_{i}_up")(x)
        x = layers.Concatenate(name=f"head_{i}_skip")([x, skip])
        x = _conv(x, filters, 1, norm, f"head_{i}_out")
        maps.append(x)
    model = _finish(image, maps[::-1], outputs, activation, deep_supervision, name)
    if weights is not None:
        from mrilib.models.weights import load_weights

        load_weights(model, weights, backbone=name, width=width)
    return model


def without_supervision(model):
    """The same layers with the finest output alone: what is validated, kept and used."""
    import keras

    return keras.Model(model.input, model.outputs[0], name=model.name)


def _finish(image, maps: list, outputs: int, activation: str, deep_supervision: bool, name: str):
    """The model with an output of the image's size, from the finest map, and coarser ones with deep supervision."""
    import keras

    n = len(image.shape) - 2
    ends = []
    for level, x in enumerate(maps[: 1 + SUPERVISED * deep_supervision]):
        label = f"_{level}" if level else ""
        x = _layer("Conv", n)(outputs, 1, name=f"logits{label}", dtype="float32")(x)
        if level == 0 and x.shape[1:-1] != image.shape[1:-1]:
            x = keras.layers.UpSampling2D(image.shape[1] // x.shape[1], interpolation="bilinear", name="logits_up",
                                          dtype="float32")(x)
        ends.append(keras.layers.Activation(activation, name=f"probabilities{label}", dtype="float32")(x))
    return keras.Model(image, ends if deep_supervision else ends[0], name=name)


def _layer(kind: str, n: int):
    """The layer class of a kind for n axes: Conv -> Conv2D."""
    from keras import layers

    ends = "Transpose" if kind == "ConvTranspose" else ""
    return getattr(layers, f"{kind.removesuffix('Transpose')}{n}D{ends}")


def _kernel(x) -> tuple[int, ...]:
    """3 along each axis, 1 along those of a single voxel."""
    return tuple(3 if side is None or side > 1 else 1 for side in x.shape[1:-1])


def _conv(x, filters: int, strides, norm: str, name: str, active: bool = True, kernel=None):
    from keras import layers

    n = len(x.shape) - 2
    x = _layer("Conv", n)(filters, kernel or _kernel(x), strides=strides, padding="same", use_bias=False,
                          kernel_initializer="he_normal", name=f"{name}_conv")(x)
    x = normalise(x, norm, f"{name}_norm")
    return layers.LeakyReLU(SLOPE, name=f"{name}_act")(x) if active else x


def _residual(x, filters: int, strides, norm: str, name: str, first: bool):
    """Two convolutions and a short cut, averaged and brought to the filters by a convolution of 1 (ResNet-D)."""
    from keras import layers

    n = len(x.shape) - 2
    if first:
        x, strides = _conv(x, filters, strides, norm, f"{name}_stem"), 1
    short = x
    if strides != 1 and any(s > 1 for s in strides):
        short = _layer("AveragePooling", n)(strides, name=f"{name}_pool")(short)
    if short.shape[-1] != filters:
        short = _conv(short, filters, 1, norm, f"{name}_short", active=False, kernel=1)
    x = _conv(x, filters, strides, norm, f"{name}_a")
    x = _conv(x, filters, 1, norm, f"{name}_b", active=False)
    return layers.LeakyReLU(SLOPE, name=f"{name}_act")(layers.Add(name=f"{name}_add")([x, short]))


def _check(shape, outputs, activation, levels, width, depth, norm, strides, stem, dropout) -> None:
    axes = len(shape) - 1
    if axes not in (2, 3):
        raise UsageError(f"a patch of {axes} axes", remedy="2 or 3")
    _check_ends(outputs, activation, norm, dropout)
    if levels < 2 or width < 1 or depth < 1:
        raise UsageError(f"{levels} levels of width {width} and depth {depth} make no U-Net",
                         remedy="2 levels or more, a width and depth of 1 or more")
    if len(strides) != levels - 1:
        raise UsageError(f"{len(strides)} strides for {levels} levels")
    if any(len(each) != axes or min(each) < 1 for each in strides):
        raise UsageError(f"strides {strides} for a patch of {axes} axes", remedy="1 or more along each axis")
    if stem < 1 or (stem > 1 and axes == 3):
        raise UsageError(f"a stem of {stem}", remedy="1, or more for a 2D network")
    total = np.prod(strides, axis=0) * stem
    if wrong := [i for i, side in enumerate(shape[:-1]) if side % total[i]]:
        text = "x".join(map(str, shape[-2::-1]))
        raise UsageError(f"a patch of {text} voxels cannot be made {total[wrong[0]]} times coarser where it has "
                         f"{shape[wrong[0]]}", remedy="another --patch, or fewer --levels")


def _check_ends(outputs: int, activation: str, norm: str, dropout: float) -> None:
    """What both kinds of U-Net share."""
    if activation not in FEWEST:
        raise UsageError(f"unknown activation {activation!r}", remedy=f"one of {' '.join(FEWEST)}")
    if outputs < FEWEST[activation]:
        raise UsageError(f"{outputs} output{'s' if outputs != 1 else ''} of {activation}",
                         remedy=f"{FEWEST[activation]} or more")
    if norm not in NORMS:
        raise UsageError(f"unknown norm {norm!r}", remedy=f"one of {' '.join(NORMS)}")
    backbones.check_dropout(dropout)
