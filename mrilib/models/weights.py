"""Weights for a backbone from a file: Keras' own for keras.applications, or a model file of this suite."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

import h5py
import numpy as np

from mrilib.errors import CaseError, UsageError, one_line
from mrilib.models import safety
from mrilib.models.applications import NETWORKS, imagenet_file, imagenet_network
from mrilib.models.backbones import backbone_layers, backbone_of
from mrilib.models.file import load, read_record
from mrilib.models.symmetry import MIRROR

FIRST = 32  # filters of the first convolution of a MobileNet of width 1
IMAGENET_VARIANCE = (0.229, 0.224, 0.225)


def load_weights(model, name: str, width: float, source: str | Path) -> None:
    """Give the backbone of a classifier the weights of `source`: "imagenet" or a file. The head keeps its own.

    Raises UsageError that names what does not fit.
    """
    path = imagenet_file(name, width) if source == "imagenet" else Path(source)
    read_only = path.is_file() and not os.access(path.parent.parent, os.W_OK)  # Keras would not look into such a cache
    if source == "imagenet" and not read_only:
        giver = _mended(imagenet_network(name, width))
    elif not path.is_file():
        raise UsageError("no such file", where=path, remedy="--weights takes imagenet or a file")
    elif _is_model_file(path):
        giver = _of_model_file(path, name, width)
    elif name in NETWORKS:
        giver = _of_keras_file(path, name, width)
    else:
        raise UsageError(f"holds no model of this suite, and Keras has no weights for {name}", where=path)
    takers, givers = ([layer for layer in backbone_layers(network) if layer.weights and not layer.name.endswith(MIRROR)]
                      for network in (model, giver))
    if [type(layer) for layer in takers] != [type(layer) for layer in givers]:
        raise UsageError(f"its layers are not those of {name}", where=path)
    channels = next(layer for layer in givers if "Conv" in type(layer).__name__).kernel.shape[-2]
    for taker, giver_layer in zip(takers, givers, strict=True):
        _copy(taker, giver_layer, channels, path)


def width_of(path: str | Path, name: str) -> float | None:
    """The width of the backbone `name` whose weights a file holds, without TensorFlow, or None.

    The record of a model of this suite says it; a Keras file of MobileNet shows it by the filters of its first
    convolution.
    """
    if _is_model_file(Path(path)):
        architecture = read_record(Path(path)).get("architecture", {})
        return architecture.get("width") if architecture.get("backbone") == name else None  # a U-Net's: filters
    if name != "mobilenet":
        return None
    filters = []

    def note_first_kernel(_, part):
        if getattr(part, "shape", ())[:3] == (3, 3, 3):  # of a convolution of 3 over RGB
            filters.append(part.shape[3])

    with contextlib.suppress(OSError), h5py.File(path, "r") as file:  # another file is refused where it is loaded
        file.visititems(note_first_kernel)
    return filters[0] / FIRST if len(filters) == 1 and filters[0] / FIRST in NETWORKS[name].widths else None


def _is_model_file(path: Path) -> bool:
    try:
        read_record(path)
    except CaseError:
        return False
    return True


def _of_model_file(path: Path, name: str, width: float):
    giver, record = load(path)
    architecture = record.get("architecture", {})
    for key, wanted in (("backbone", name), ("width", width)):
        if architecture.get(key) != wanted:
            raise UsageError(f"is a model of {key} {architecture.get(key)}, not {wanted}", where=path)
    return giver


def _of_keras_file(path: Path, name: str, width: float):
    """The plain keras.applications network, RGB of any size, with the weights of a file."""
    import keras

    image = keras.Input((None, None, 3), name="image")
    giver = keras.Model(image, backbone_of(name)(image, width))
    try:
        with warnings.catch_warnings():  # about lists that Keras keeps beside the layers; a missing layer is an error
            warnings.filterwarnings("ignore", "Skipping nested container")
            with h5py.File(path, "r") as file:
                safety.check_links(file, path)
            giver.load_weights(path)
    except (ValueError, KeyError, OSError, AttributeError, TypeError) as error:
        reason = one_line(error)
        if not path.name.endswith(".weights.h5") and "found 0 saved layers" in reason:
            reason = "Keras reads such a file only by a name that ends in .weights.h5"
        also = f" of width {width:g}" if name.startswith("mobilenet") else ""
        raise UsageError(f"these are not the weights of {name}{also} without its top: {reason}", where=path,
                         remedy="name the file and the backbone that belong together") from error
    return _mended(giver)


def _mended(network):
    """EfficientNet's ImageNet file holds deviations where variances belong; Keras makes up for it in one more layer.

    Here they are squared, so that the graph is the same with and without weights.
    """
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, count = layer.get_weights()
            if np.allclose(variance, IMAGENET_VARIANCE, atol=1e-3):
                layer.set_weights([mean, variance**2, count])
    return network


def _copy(taker, giver, channels: int, path: Path) -> None:
    """Copy one layer's weights; those of a first kernel are fitted to another number of channels."""
    values = []
    for target, array in zip(taker.weights, giver.get_weights(), strict=True):
        if tuple(target.shape) != array.shape:
            array = _fitted(array, tuple(target.shape), channels)
        if array is None:
            raise UsageError(f"layer {giver.name} has another shape than {taker.name}: "
                             f"{giver.weights[0].shape} and {tuple(target.shape)}", where=path,
                             remedy="were width and channels the same?")
        values.append(array)
    taker.set_weights(values)
    if hasattr(taker, "finalize_state"):
        taker.finalize_state()


def _fitted(values: np.ndarray, shape: tuple[int, ...], channels: int) -> np.ndarray | None:
    """A first kernel (y, x, channel, filter), or a value for each channel, for another number of channels."""
    if values.ndim == 4 and values.shape[2] == channels and shape == (*values.shape[:2], shape[2], values.shape[3]):
        order = [i % channels for i in range(shape[2])]
        return values[:, :, order] * np.float32(channels / shape[2])
    if values.shape == (channels,) and len(shape) == 1:
        return values[[i % channels for i in range(shape[0])]]
    return None
