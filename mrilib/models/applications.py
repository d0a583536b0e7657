"""Backbones of keras.applications, the input that each was trained with, and their ImageNet weights.

Every function is `function(x, width) -> feature map (batch, y, x, channel)`. x holds the pixels that the ImageNet
weights expect; PIXELS says how they come from -1..1. Width is the networks' own alpha where they have one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mrilib.errors import UsageError

SMALLEST = 32  # pixels along each side; of a smaller image no pixel is left at the end of these networks


@dataclass(frozen=True)
class Pixels:
    """How -1..1 becomes the input of ImageNet weights: (x * 127.5 + 127.5) * scale + offset, channel by channel."""

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)


# BGR minus its mean (caffe); 0..1 minus mean, by deviation (torch); 0..255; None: -1..1. The order of channels is
# left alone: MRI sequences have no red or blue, and a channel that is repeated has no order.
_CAFFE = Pixels(offset=(-103.939, -116.779, -123.68))
_TORCH = Pixels(
    scale=tuple(1 / 255 / d for d in (0.229, 0.224, 0.225)),
    offset=tuple(-m / d for m, d in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)),
)
PIXELS = {"vgg16": _CAFFE, "resnet50": _CAFFE, "densenet121": _TORCH, "efficientnetb0": Pixels(), "mobilenet": None,
          "mobilenetv2": None}  # fmt: skip
BUILDERS = {"vgg16": "VGG16", "resnet50": "ResNet50", "densenet121": "DenseNet121",
            "efficientnetb0": "EfficientNetB0", "mobilenet": "MobileNet", "mobilenetv2": "MobileNetV2"}  # fmt: skip
WIDTHS = ("mobilenet", "mobilenetv2")  # those that have one
PATIENCE = 20  # seconds to wait for the server of the weights
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
    """Where Keras keeps the file of ImageNet weights (~/.keras/models, or below KERAS_HOME), there or not.

    Raises UsageError when no such weights were published.
    """
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    return folder / _address(name, width).rsplit("/", 1)[1]


def check_imagenet(name: str, width: float = 1.0) -> None:
    """Make sure that ImageNet weights are there or can be fetched, without Keras: before hours of preparing images.

    Raises UsageError when no such weights were published, or when they are neither on this machine nor in reach.
    """
    import urllib.error
    import urllib.request

    if imagenet_file(name, width).is_file():
        return
    try:
        urllib.request.urlopen(urllib.request.Request(_address(name, width), method="HEAD"), timeout=PATIENCE).close()
    except (urllib.error.URLError, OSError) as error:
        raise out_of_reach(name, width, error) from error


def out_of_reach(name: str, width: float, error: BaseException) -> UsageError:
    """The error for ImageNet weights that cannot be fetched: it says which file to put where."""
    reason = " ".join(str(error).split())[:200]
    return UsageError(f"the ImageNet weights of {name} are not on this machine and cannot be fetched: {reason}",
                      remedy=f"put {_address(name, width)} into {imagenet_file(name, width).parent}, or name a file "
                             f"with --weights FILE")


def imagenet_network(name: str, width: float = 1.0):
    """The keras.applications network, RGB without its top, with ImageNet weights.

    Keras fetches the file into its cache if it is not there, shows a bar, and compares the file's hash where Keras
    knows it. Raises UsageError when that fails.
    """
    import keras

    address = _address(name, width)
    alpha = {"alpha": width} if name in WIDTHS else {}
    try:
        return getattr(keras.applications, BUILDERS[name])(include_top=False, weights="imagenet",
                                                           input_shape=(224, 224, 3), **alpha)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if type(error) is Exception or isinstance(error, OSError) and not imagenet_file(name, width).is_file():
            raise out_of_reach(name, width, error) from error
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"is not the file of ImageNet weights of {name}: {reason}", where=imagenet_file(name, width),
                         remedy=f"delete it, so that Keras fetches {address}") from error


def _address(name: str, width: float) -> str:
    if name not in IMAGENET:
        raise UsageError(f"there are no ImageNet weights for {name}", remedy=f"they exist for {' '.join(IMAGENET)}")
    widths = {"mobilenet": tuple(MOBILENET_WIDTHS), "mobilenetv2": _MOBILENETV2}.get(name, (1.0,))
    if width not in widths:
        raise UsageError(f"there are no ImageNet weights for {name} of width {width:g}",
                         remedy=f"widths: {' '.join(f'{w:g}' for w in widths)}")
    return IMAGENET[name].format(short=MOBILENET_WIDTHS.get(width), width=width)


def _keras(name: str, x, **settings):
    """The last feature map of the network on top of x, within the graph of x."""
    import keras

    build = getattr(keras.applications, BUILDERS[name])
    return build(include_top=False, weights=None, input_tensor=x, **settings).output


def vgg16(x, width: float = 1.0):
    """VGG-16 (Simonyan & Zisserman 2015)."""
    return _keras("vgg16", x)


def resnet50(x, width: float = 1.0):
    """ResNet-50 (He et al. 2016)."""
    return _keras("resnet50", x)


def densenet121(x, width: float = 1.0):
    """DenseNet-121 (Huang et al. 2017)."""
    return _keras("densenet121", x)


def efficientnetb0(x, width: float = 1.0):
    """EfficientNet-B0 (Tan & Le 2019); it scales 0..255 itself."""
    return _keras("efficientnetb0", x)


def mobilenet(x, width: float = 1.0):
    """MobileNet (Howard et al. 2017); width is its alpha."""
    return _keras("mobilenet", x, alpha=width, dropout=0)


def mobilenetv2(x, width: float = 1.0):
    """MobileNetV2 (Sandler et al. 2018); width is its alpha."""
    return _keras("mobilenetv2", x, alpha=width)
