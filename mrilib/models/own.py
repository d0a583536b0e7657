"""Backbones of our own: stock Keras layers only, any number of input channels, input in -1..1.

Each is `function(x, width) -> feature map (batch, y, x, channel)`; width multiplies the number of filters.
"""

from __future__ import annotations

from mrilib.models.normalise import MOMENTUM
from mrilib.models.symmetry import asymmetry

STEP = 8  # numbers of filters are multiples of it


def _filters(n: int, width: float) -> int:
    """n times the width, a multiple of STEP."""
    return max(STEP, round(n * width / STEP) * STEP)


def lenet(x, width: float = 1.0):
    """Two convolutions, after LeCun et al. 1998, with ReLU and max pooling: a network that trains in seconds."""
    from keras import layers

    for i, n in enumerate((8, 16), 1):
        x = layers.Conv2D(_filters(n, width), 5, strides=2, padding="same", activation="relu", name=f"conv{i}")(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{i}")(x)
    return x


def alexnet(x, width: float = 1.0):
    """The convolutions of AlexNet (Krizhevsky et al. 2012) in the one-tower form of 2014, without its LRN.

    Its two large dense layers give way to the head that all backbones share.
    """
    from keras import layers

    x = layers.ZeroPadding2D(2, name="pad1")(x)
    x = layers.Conv2D(_filters(64, width), 11, strides=4, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = layers.Conv2D(_filters(192, width), 5, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    for i, n in ((3, 384), (4, 256), (5, 256)):
        x = layers.Conv2D(_filters(n, width), 3, padding="same", activation="relu", name=f"conv{i}")(x)
    return layers.MaxPooling2D(3, 2, name="pool5")(x)


def _conv_norm(x, n: int, size: int, strides: int, name: str, gamma: str = "ones"):
    from keras import layers

    x = layers.Conv2D(n, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal",
                      name=name)(x)
    return layers.BatchNormalization(momentum=MOMENTUM, gamma_initializer=gamma, name=f"{name}_norm")(x)


def _block(x, n: int, strides: int, name: str):
    """Two 3x3 convolutions and a short cut (He et al. 2016), the short cut a 1x1 convolution where shapes change.

    The last normalisation starts at zero (Goyal et al. 2017): at first each block passes its input on.
    """
    from keras import layers

    short = x
    x = layers.ReLU(name=f"{name}_relu1")(_conv_norm(x, n, 3, strides, f"{name}_conv1"))
    x = _conv_norm(x, n, 3, 1, f"{name}_conv2", "zeros")
    if strides != 1 or short.shape[-1] != n:
        short = _conv_norm(short, n, 1, strides, f"{name}_short")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, short]))


def resnet18(x, width: float = 1.0):
    """ResNet-18 (He et al. 2016) with batch normalisation."""
    from keras import layers

    x = layers.ReLU(name="stem_relu")(_conv_norm(x, _filters(64, width), 7, 2, "stem_conv"))
    x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage, n in enumerate((64, 128, 256, 512), 1):
        for block in (1, 2):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, _filters(n, width), strides, f"stage{stage}_{block}")
    return x


def small(x, width: float = 1.0):
    """A compact residual network that is shown what differs left and right, for training from scratch on few images.

    The differences (models.symmetry) of the image, smoothed over 5 x 5, and of the second stage's features go in
    beside them.
    """
    from keras import layers

    uneven = asymmetry(layers.AveragePooling2D(5, 1, padding="same", name="smooth")(x), "image")
    both = [_conv_norm(part, _filters(16, width), 3, 2, name) for part, name in ((x, "stem_conv"),
                                                                                 (uneven, "uneven_conv"))]
    x = layers.ReLU(name="stem_relu")(layers.Add(name="stem_add")(both))
    for stage, n in enumerate((16, 32, 64, 128), 1):
        x = _block(x, _filters(n, width), 2 if stage > 1 else 1, f"stage{stage}_1")
        if stage == 2:
            x = layers.Concatenate(name="stage2_both")([x, asymmetry(x, "stage2")])
    return x
