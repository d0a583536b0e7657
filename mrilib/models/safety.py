"""Checks of a model file before Keras opens it: only known layers, nothing outside the file. Needs no TensorFlow.

A Keras file can hold Python code (Lambda), names of functions to import and, through HDF5, links to other files.
Everything that is not on the list below is refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from mrilib.errors import CaseError, one_line

RECORD = "mri.json"  # member of a .keras zip
MEMBERS = {"metadata.json", "config.json", "model.weights.h5", RECORD}
LAYERS = {
    "InputLayer", "Rescaling", "Normalization", "Concatenate", "Add", "Multiply", "Subtract", "Average", "Maximum",
    "Minimum", "Dense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv2D",
    "SeparableConv2D", "BatchNormalization", "GroupNormalization", "LayerNormalization", "UnitNormalization",
    "Activation", "Softmax", "ReLU", "LeakyReLU", "PReLU", "ELU", "Dropout", "SpatialDropout2D", "SpatialDropout3D",
    "GaussianNoise", "GaussianDropout", "MaxPooling2D", "MaxPooling3D", "AveragePooling2D", "AveragePooling3D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D", "Reshape",
    "Flatten", "Permute", "RepeatVector",
}  # fmt: skip
INITIALIZERS = {"Zeros", "Ones", "Constant", "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal",
                "LecunUniform", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal",
                "Identity"}  # fmt: skip
REGULARIZERS = {"L1", "L2", "L1L2"}
ALLOWED = {  # class -> the modules its config may name
    **dict.fromkeys(LAYERS, {"keras.layers"}),
    **dict.fromkeys(INITIALIZERS, {"keras.initializers"}),
    **dict.fromkeys(REGULARIZERS, {"keras.regularizers"}),
    "Functional": {"keras", "keras.models", "keras.src.models.functional"},
    "DTypePolicy": {"keras"},
    "__keras_tensor__": set(),
    "__tuple__": set(),
}
ACTIVATIONS = {"linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "hard_sigmoid", "softmax",
               "softplus", "softsign", "tanh", "swish", "silu", "hard_swish", "hard_silu", "mish"}  # fmt: skip
DEEPEST = 60  # levels of a config; deeper ones are made to exhaust the reader


def is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def check_kind(path: Path) -> None:
    """Raises CaseError when a path is no readable HDF5 or .keras file, or its suffix says another thing."""
    path = Path(path)
    if path.is_dir():
        raise CaseError("is a folder, not a model file", where=path)
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError as error:
        raise CaseError(f"cannot be read: {error.strerror}", where=path, remedy="check the name") from error
    kinds = {".h5": head == b"\x89HDF\r\n\x1a\n", ".keras": head[:4] == b"PK\x03\x04"}
    if path.suffix not in kinds:
        raise CaseError("is not a model file by its suffix", where=path, remedy="known: .h5 .keras")
    if not kinds[path.suffix]:
        state = "is empty" if not head else f"is not {'an HDF5' if path.suffix == '.h5' else 'a .keras'} file"
        raise CaseError(state, where=path, remedy="a model is a file that mri-train wrote; was it copied whole?")


def check(path: Path) -> None:
    """Raises CaseError when a model file holds anything but known layers and its own weights."""
    path = Path(path)
    check_kind(path)
    try:
        config = _config_of_zip(path) if is_zip(path) else _config_of_h5(path)
    except (OSError, KeyError, RuntimeError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise CaseError(f"is damaged or cut short: {one_line(error)}", where=path, remedy="copy it again") from error
    if not isinstance(config, dict) or config.get("class_name") != "Functional":
        raise CaseError("holds no functional Keras network", where=path)
    _walk(config, path, 0)


def _config_of_h5(path: Path):
    import h5py

    with h5py.File(path, "r") as file:
        check_links(file, path)
        text = file.attrs.get("model_config")
    if not isinstance(text, str | bytes):
        raise CaseError("holds no Keras network, at most weights", where=path)
    return json.loads(text)


def _config_of_zip(path: Path):
    import h5py

    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if strange := sorted(set(names) - MEMBERS) or (len(names) != len(set(names)) and ["a member twice"]):
            raise CaseError(f"holds {strange[0]!r}, which no model of this suite does", where=path)
        with h5py.File(io.BytesIO(file.read("model.weights.h5")), "r") as weights:
            check_links(weights, path)
        return json.loads(file.read("config.json"))


def check_links(file, path: Path) -> None:
    """Refuse HDF5 that reaches outside itself: external and soft links, external and virtual data sets.

    Nothing is followed before its link has been looked at.
    """
    import h5py

    visited, waiting = set(), [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise CaseError(f"its {name!r} is a link to elsewhere", where=path, remedy="do not trust this file")
            item = group[name]
            if isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise CaseError(f"its {name!r} lies in another file", where=path, remedy="do not trust this file")
            elif isinstance(item, h5py.Group):
                place = h5py.h5o.get_info(item.id).addr
                if place not in visited:
                    visited.add(place)
                    waiting.append(item)
            else:
                raise CaseError(f"its {name!r} is neither a group nor data", where=path)


def _walk(config, path: Path, depth: int) -> None:
    if depth > DEEPEST:
        raise CaseError("its network is nested without end", where=path)
    if isinstance(config, list):
        for part in config:
            _walk(part, path, depth + 1)
    if not isinstance(config, dict):
        return
    if "class_name" in config:
        _check_class(config, path)
    elif strange := {"module", "registered_name"} & set(config):
        raise CaseError(f"a {strange.pop()} without a class", where=path, remedy="do not trust this file")
    for key, value in config.items():
        if key.endswith("activation") and value is not None and not (isinstance(value, str) and value in ACTIVATIONS):
            raise CaseError(f"uses the unknown activation {str(value)[:60]!r}", where=path,
                            remedy="do not trust this file")
        _walk(value, path, depth + 1)


def _check_class(config: dict, path: Path) -> None:
    name, module, registered = (config.get(k) for k in ("class_name", "module", "registered_name"))
    if not isinstance(name, str) or name not in ALLOWED:
        raise CaseError(f"has a {str(name)[:60]!r}, which is not on the list of known layers", where=path,
                        remedy="do not trust this file")
    if module is not None and module not in ALLOWED[name]:
        raise CaseError(f"takes its {name} from {str(module)[:60]!r}, not from Keras", where=path,
                        remedy="do not trust this file")
    if registered not in (None, name):
        raise CaseError(f"calls its {name} {str(registered)[:60]!r}", where=path, remedy="do not trust this file")
