"""Backbones of keras.applications, a row each: the input that it was trained with, and its ImageNet weights.

Every row is called as `network(x, width) -> feature map (batch, y, x, channel)`. x holds the pixels that the ImageNet
weights expect; `pixels` says how they come from -1..1. Width is the networks' own alpha where they have one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mrilib.errors import UsageError, one_line

SMALLEST = 32  # pixels along each side; of a smaller image no pixel is left at the end of these networks


class Pixels(NamedTuple):
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
_SITE = "https://storage.googleapis.com/tensorflow/keras-applications"
PATIENCE = 20  # seconds to wait for the server of the weights


class Network(NamedTuple):
    """A network of keras.applications.

    builder: its name there. pixels: see Pixels. address: of its ImageNet weights without the top, with {} for the
    width. widths: how each width with ImageNet weights is written in the address; empty: it has no width. depthwise: a
    network of depthwise convolutions, which a CPU computes fastest in float32. settings: further arguments of the
    builder.
    """

    builder: str
    pixels: Pixels | None
    address: str
    widths: Mapping[float, str] = MappingProxyType({})
    depthwise: bool = False
    settings: Mapping = MappingProxyType({})

    def __call__(self, x, width: float = 1.0):
        """The last feature map of the network on top of x, within the graph of x."""
        return self.build(width, input_tensor=x, weights=None, **self.settings).output

    def build(self, width: float, **arguments):
        """The Keras model without its top."""
        import keras

        alpha = {"alpha": width} if self.widths else {}
        return getattr(keras.applications, self.builder)(include_top=False, **alpha, **arguments)


vgg16 = Network("VGG16", _CAFFE, f"{_SITE}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5")
resnet50 = Network("ResNet50", _CAFFE, f"{_SITE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")
densenet121 = Network("DenseNet121", _TORCH,
                      f"{_SITE}/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5")
efficientnetb0 = Network(  # it scales 0..255 itself
    "EfficientNetB0", Pixels(), "https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5",
    depthwise=True)
mobilenet = Network("MobileNet", None, f"{_SITE}/mobilenet/mobilenet_{{}}_224_tf_no_top.h5",
                    {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}, depthwise=True, settings={"dropout": 0})
mobilenetv2 = Network(
    "MobileNetV2", None, f"{_SITE}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{{}}_224_no_top.h5",
    {width: str(width) for width in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)}, depthwise=True)
NETWORKS = {name: row for name, row in globals().items() if isinstance(row, Network)}


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
    reason = one_line(error)
    return UsageError(f"the ImageNet weights of {name} are not on this machine and cannot be fetched: {reason}",
                      remedy=f"put {_address(name, width)} into {imagenet_file(name, width).parent}, or name a file "
                             f"with --weights FILE")


def imagenet_network(name: str, width: float = 1.0):
    """The keras.applications network, RGB without its top, with ImageNet weights.

    Keras fetches the file into its cache if it is not there, shows a bar, and compares the file's hash where Keras
    knows it. Raises UsageError when that fails.
    """
    address = _address(name, width)
    try:
        return NETWORKS[name].build(width, weights="imagenet", input_shape=(224, 224, 3))
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if type(error) is Exception or isinstance(error, OSError) and not imagenet_file(name, width).is_file():
            raise out_of_reach(name, width, error) from error
        reason = one_line(error)
        raise UsageError(f"is not the file of ImageNet weights of {name}: {reason}", where=imagenet_file(name, width),
                         remedy=f"delete it, so that Keras fetches {address}") from error


def _address(name: str, width: float) -> str:
    if name not in NETWORKS:
        raise UsageError(f"there are no ImageNet weights for {name}", remedy=f"they exist for {' '.join(NETWORKS)}")
    widths = NETWORKS[name].widths or {1.0: ""}
    if width not in widths:
        raise UsageError(f"there are no ImageNet weights for {name} of width {width:g}",
                         remedy=f"widths: {' '.join(f'{w:g}' for w in widths)}")
    return NETWORKS[name].address.format(widths[width])
