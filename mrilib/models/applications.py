"""Backbones of keras.applications, in one graph with what comes before them, and the input each was trained with.

Every function is `function(x, width) -> feature map (batch, y, x, channel)`. x holds the pixels that the ImageNet
weights expect; PIXELS says how they come from -1..1. Width is the networks' own alpha where they have one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mrilib.errors import UsageError

SMALLEST = 32  # pixels along each side, below which these networks have nothing left at their end


@dataclass(frozen=True)
class Pixels:
    """How -1..1 becomes what ImageNet weights were trained on: (x * 127.5 + 127.5) * scale + offset, a channel."""

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)


# BGR less its mean (caffe); 0..1 less mean, by deviation (torch); as it is, 0..255; None: -1..1. Channels go in as
# they come: MRI sequences have no red or blue, and one that is repeated has no order.
_CAFFE = Pixels(offset=(-103.939, -116.779, -123.68))
_TORCH = Pixels(
    scale=tuple(1 / 255 / d for d in (0.229, 0.224, 0.225)),
    offset=tuple(-m / d for m, d in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)),
)
PIXELS = {"vgg16": _CAFFE, "resnet50": _CAFFE, "densenet121": _TORCH, "efficientnetb0": Pixels(), "mobilenet": None,
          "mobilenetv2": None}  # fmt: skip
WIDTHS = ("mobilenet", "mobilenetv2")  # those that have one
_SITE = "https://storage.googleapis.com/tensorflow/keras-applications"
IMAGENET = {
    "vgg16": f"{_SITE}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "resnet50": f"{_SITE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "densenet121": f"{_SITE}/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "efficientnetb0": "https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5",
    "mobilenet": f"{_SITE}/mobilenet/mobilenet_{{short}}_224_tf_no_top.h5",
    "mobilenetv2": f"{_SITE}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{{width}}_224_no_top.h5",
}
MOBILENET_WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
_MOBILENETV2 = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def imagenet_file(name: str, width: float = 1.0) -> Path:
    """The file of ImageNet weights in Keras' own cache (~/.keras/models, or below KERAS_HOME).

    Nothing is downloaded. Raises UsageError that names the file and its place when it is not there, or when no
    such weights were published.
    """
    if name not in IMAGENET:
        raise UsageError(f"there are no ImageNet weights for {name}", remedy=f"they exist for {' '.join(IMAGENET)}")
    known = {"mobilenet": tuple(MOBILENET_WIDTHS), "mobilenetv2": _MOBILENETV2}.get(name, (1.0,))
    if width not in known:
        raise UsageError(f"there are no ImageNet weights for {name} of width {width:g}",
                         remedy=f"widths: {' '.join(f'{w:g}' for w in known)}")
    address = IMAGENET[name].format(short=MOBILENET_WIDTHS.get(width), width=width)
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    path = folder / address.rsplit("/", 1)[1]
    if not path.is_file():
        raise UsageError(f"the ImageNet weights of {name} are not on this machine",
                         remedy=f"put {address} into {folder}, or name a file with --weights FILE")
    return path


def _keras(builder: str, x, **settings):
    """The network on top of x, within the graph of x; or a graph of its own when x is None (RGB of any size)."""
    import keras

    build = getattr(keras.applications, builder)
    return build(include_top=False, weights=None, input_tensor=x, **settings).output


def vgg16(x, width: float = 1.0):
    """VGG-16 (Simonyan & Zisserman 2015)."""
    return _keras("VGG16", x)


def resnet50(x, width: float = 1.0):
    """ResNet-50 (He et al. 2016)."""
    return _keras("ResNet50", x)


def densenet121(x, width: float = 1.0):
    """DenseNet-121 (Huang et al. 2017)."""
    return _keras("DenseNet121", x)


def efficientnetb0(x, width: float = 1.0):
    """EfficientNet-B0 (Tan & Le 2019); it scales 0..255 itself."""
    return _keras("EfficientNetB0", x)


def mobilenet(x, width: float = 1.0):
    """MobileNet (Howard et al. 2017); width is its alpha."""
    return _keras("MobileNet", x, alpha=width, dropout=0)


def mobilenetv2(x, width: float = 1.0):
    """MobileNetV2 (Sandler et al. 2018); width is its alpha."""
    return _keras("MobileNetV2", x, alpha=width)
