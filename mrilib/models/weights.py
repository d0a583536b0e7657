"""Weights to start from: those of Keras for keras.applications, or a model file of this suite of any task."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from pathlib import Path

import h5py
import numpy as np

from mrilib.errors import CaseError, UsageError, one_line
from mrilib.models import safety
from mrilib.models.applications import NETWORKS, imagenet_file, imagenet_network
from mrilib.models.backbones import backbone_layers, backbone_of
from mrilib.models.file import has_record, load, read_record
from mrilib.models.symmetry import MIRROR

FIRST = 32  # filters of the first convolution of a MobileNet of width 1
IMAGENET_VARIANCE = (0.229, 0.224, 0.225)
UNET = ("dimension", "levels", "depth", "stem", "residual", "norm")  # that decide the layers of a U-Net of its own
OUTPUTS = ("logits", "head_sides", "head_scores")  # the last layers, and logits_1 and so on: they mean what was learned

log = logging.getLogger("mrilib")


def load_weights(model, source: str | Path, *, backbone: str | None, width: float | None, **unet) -> None:
    """Give a network the weights of `source`: "imagenet" or a file; see `check` for the other parameters.

    A backbone is taken from a model of any task. From a model of the same task, and from a U-Net without a backbone,
    all layers before the outputs are taken that have the same shape. Input of another number of channels: see
    `_fitted`. One line of the log says how many arrays were taken. Raises UsageError that names what does not fit.
    """
    path = imagenet_file(backbone, width) if source == "imagenet" else Path(source)
    read_only = path.is_file() and not os.access(path.parent.parent, os.W_OK)  # Keras would not look into such a cache
    if source == "imagenet" and not read_only:
        giver = _mended(imagenet_network(backbone, width))
    elif check(path, backbone=backbone, width=width, **unet) is None:
        giver = _of_keras_file(path, backbone, width)
    else:
        with _as_usage():
            giver = load(path)[0]
    pairs = _encoders(model, giver, backbone, path)
    channels = _first_kernel(giver).shape[-2]
    for taker, giver_layer in pairs:
        if not _copy(taker, giver_layer, channels):
            raise UsageError(f"layer {giver_layer.name} has another shape than {taker.name}: "
                             f"{tuple(giver_layer.weights[0].shape)} and {tuple(taker.weights[0].shape)}", where=path,
                             remedy="were width and channels the same?")
    others = [pair for pair in _others(model, giver, pairs) if _copy(*pair, channels)]
    _tell(model, [taker for taker, _ in pairs + others], path, channels)


def check(path: Path, *, backbone: str | None, width: float | None, **unet) -> dict | None:
    """The record of a model file whose weights fit a network, None for a file that Keras saved. Needs no TensorFlow.

    backbone: of the network, None of a U-Net without one. width: of either. unet: dimension, levels and so on (UNET)
    of a U-Net without a backbone. Those that are None are not compared. Raises UsageError that says what differs.
    """
    record = record_of(path)
    if record is None:
        if backbone not in NETWORKS:
            raise UsageError(f"holds no model of this suite, and Keras has no weights for {backbone or 'a U-Net'}",
                             where=path)
        return None
    stored = {**record.get("architecture", {}), "dimension": record.get("dimension")}
    if stored.get("backbone") is None and backbone is not None:
        kind = "is a U-Net" if stored.get("levels") else f"is a {record.get('task')} model"
        raise UsageError(f"{kind} without a backbone: it has no weights for {backbone}", where=path,
                         remedy="start from a model with --backbone, or segment with a U-Net of the same shape")
    for name, wanted in {"backbone": backbone, "width": width, **unet}.items():
        if stored.get(name) != wanted and (wanted is not None or name == "backbone"):
            value = stored.get(name)
            option = ("--residual" if value else "--plain") if name == "residual" else f"--{name} {value}"
            raise UsageError(f"is a model of {name} {value}, not {wanted}", where=path, remedy=option)
    return record


def settings_of(path: Path, backbone: str | None) -> dict:
    """The settings of the network whose weights a file holds, as far as it tells them. Needs no TensorFlow.

    The record of a model of this suite names its backbone and width, or those of UNET of a U-Net without a backbone.
    A Keras file of MobileNet, the default, shows its width by the filters of its first convolution. backbone: that is
    asked for; the width of another one is not told. Raises UsageError for a file that is neither.
    """
    record = record_of(path)
    if record is None:
        width = _width_of_keras_file(path) if backbone in (None, "mobilenet") else None
        return {} if width is None else {"width": width}
    stored = {**record.get("architecture", {}), "dimension": record.get("dimension")}
    if stored.get("backbone") is None:
        return {} if backbone else {name: stored[name] for name in ("width", *UNET) if stored.get(name) is not None}
    return {name: stored[name] for name in ("backbone", "width") if backbone in (None, stored["backbone"])}


def is_plain_unet(source: str | Path | None) -> bool:
    """Whether the weights are those of a U-Net without a backbone."""
    return source not in (None, "imagenet") and "levels" in settings_of(Path(source), None)


def record_of(path: Path) -> dict | None:
    """The record of a model file, None of a file without one, such as one of Keras. Raises UsageError for a file that
    cannot be opened, and for a damaged record."""
    if not path.exists():
        raise UsageError("no such file", where=path, remedy="--weights takes imagenet or a file")
    with _as_usage():
        return read_record(path) if has_record(path) else None


def _width_of_keras_file(path: Path) -> float | None:
    filters = []

    def note_first_kernel(_, part):
        if getattr(part, "shape", ())[:3] == (3, 3, 3):  # of a convolution of 3 over RGB
            filters.append(part.shape[3])

    with contextlib.suppress(OSError), h5py.File(path, "r") as file:  # another file is refused where it is loaded
        file.visititems(note_first_kernel)
    return filters[0] / FIRST if len(filters) == 1 and filters[0] / FIRST in NETWORKS["mobilenet"].widths else None


@contextlib.contextmanager
def _as_usage():
    """Turn the error of a model file into one of --weights."""
    try:
        yield
    except CaseError as error:
        raise error.as_kind(UsageError) from error


def _learning(layers) -> list:
    """The layers with weights, without the fixed ones of models.symmetry."""
    return [layer for layer in layers if layer.weights and not layer.name.endswith(MIRROR)]


def _encoders(model, giver, backbone: str | None, path: Path) -> list[tuple]:
    """(layer of the model, layer of the giver) of the backbone, or of a whole U-Net before its outputs."""
    if backbone is None:
        takers, givers = (_by_name(network.layers) for network in (model, giver))
        if takers.keys() != givers.keys():
            raise UsageError("its layers are not those of this U-Net", where=path)
        return [(layer, givers[name]) for name, layer in takers.items()]
    takers, givers = (_learning(backbone_layers(network)) for network in (model, giver))
    if [type(layer) for layer in takers] != [type(layer) for layer in givers]:
        raise UsageError(f"its layers are not those of {backbone}", where=path)
    return list(zip(takers, givers, strict=True))


def _others(model, giver, pairs: list[tuple]) -> list[tuple]:
    """The same of further layers before the outputs, where both networks have them: those of one task."""
    done = {layer for pair in pairs for layer in pair}
    takers, givers = (_by_name(layer for layer in network.layers if layer not in done) for network in (model, giver))
    return [(layer, givers[name]) for name, layer in takers.items()] if takers.keys() == givers.keys() else []


def _by_name(layers) -> dict:
    """The layers that learn and are no outputs."""
    return {layer.name: layer for layer in _learning(layers) if layer.name.rstrip("_0123456789") not in OUTPUTS}


def _tell(model, taken: list, path: Path, channels: int) -> None:
    """Log how many arrays were taken."""
    arrays, whole = (sum(len(layer.weights) for layer in layers) for layers in (taken, _learning(model.layers)))
    new = _first_kernel(model).shape[-2]
    how = "" if new == channels else f"; the first layer takes {new} channels instead of {channels}"
    log.info("%d of %d arrays from %s%s%s", arrays, whole, path.name, how,
             "; the rest starts at random" if arrays < whole else "")


def _first_kernel(network):
    """The kernel of the first convolution."""
    return next(layer for layer in network.layers if "Conv" in type(layer).__name__).kernel


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


def _copy(taker, giver, channels: int) -> bool:
    """Copy one layer's weights, those of a first kernel fitted to another number of channels; False where their shapes
    differ."""
    if type(taker) is not type(giver) or len(taker.weights) != len(giver.weights):
        return False
    values = [array if tuple(target.shape) == array.shape else _fitted(array, tuple(target.shape), channels)
              for target, array in zip(taker.weights, giver.get_weights(), strict=True)]
    if any(array is None for array in values):
        return False
    taker.set_weights(values)
    if hasattr(taker, "finalize_state"):
        taker.finalize_state()
    return True


def _fitted(values: np.ndarray, shape: tuple[int, ...], channels: int) -> np.ndarray | None:
    """A first kernel ([z,] y, x, channel, filter), or a value for each channel, for another number of channels.

    The channels come round again, scaled so that equal channels answer as before; one channel takes the sum of all.
    None for another shape.
    """
    new = shape[-2] if len(shape) > 1 else shape[0]
    order = [i % channels for i in range(new)]
    if values.ndim > 3 and values.shape[-2] == channels and shape == (*values.shape[:-2], new, values.shape[-1]):
        return values.sum(-2, keepdims=True) if new == 1 else values[..., order, :] * np.float32(channels / new)
    return values[order] if values.shape == (channels,) and len(shape) == 1 else None
