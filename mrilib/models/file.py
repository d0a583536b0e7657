"""The model file: one .h5 (or .keras) with network, weights and the record of how it came to be.

The record is JSON: attribute `mri` of the HDF5 file, a member `mri.json` of the .keras zip. It is read without
TensorFlow. A file is looked through (mrilib.models.safety) before Keras sees it: opening one runs no code.
"""

from __future__ import annotations

import contextlib
import json
import logging
import zipfile
from pathlib import Path

from mrilib import store
from mrilib.errors import CaseError, MachineError, UsageError, one_line
from mrilib.models import safety
from mrilib.targets import is_direct

FORMAT = 1
ATTRIBUTE = "mri"
SUFFIXES = (".h5", ".keras")
PER_WEIGHT = 8192  # bytes that a file takes for each array beside its values, and for the network's config
REMEDY = "a model is a file that mri-train wrote; was it copied whole?"


def save(model, path: Path, record: dict) -> None:
    """Write a model with its record, whole or not at all, and forced to disk.

    path: ends with .h5 or .keras; a device or a pipe takes the bytes of an .h5. record: JSON types only, no NaN; its
    "format" is set here. The network is stored without optimizer and as float32, whatever precision it was trained in,
    so that it works alike on every machine. It opens with keras.models.load_model(path, compile=False). Raises
    UsageError for another suffix, and for a network that this module would refuse to load; MachineError for a full
    disk, and for weights that are not finite, with which a half-precision run can end though its loss is finite.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES and (path.suffix or not is_direct(path)):
        raise UsageError("a model file ends with .h5 or .keras", where=path)
    import keras
    import numpy as np

    if spoilt := [w.path for w in model.weights if not np.isfinite(keras.ops.convert_to_numpy(w)).all()]:
        raise MachineError(f"{len(spoilt)} of the model's weights are no numbers, the first {spoilt[0]}", where=path,
                           remedy="train with --mixed-precision off, or a lower --learning-rate")
    text = json.dumps({**record, "format": FORMAT}, allow_nan=False)
    model = keras.Model(model.input, model.output, name=model.name)  # the same layers, not compiled
    with store.whole(path, sync=True, suffix=SUFFIXES[0]) as temporary, _quiet():
        room = len(text) + sum(4 * int(np.prod(w.shape)) + PER_WEIGHT for w in model.weights)
        temporary.write_bytes(bytes(room))  # where a disk is full, HDF5 itself would take the process down
        model.save(temporary)
        (_finish_h5 if temporary.suffix == ".h5" else _finish_zip)(temporary, text)
        try:
            safety.check(temporary)
        except CaseError as error:
            raise UsageError(f"this network cannot be kept in a model file: {error.what}", where=path) from error


def load(path: Path):
    """The (keras model, record) of a file; not compiled, float32.

    Raises CaseError, in one line, for a file that is cut, no model, not of this suite or not to be trusted.
    """
    import keras

    record = read_record(path)
    safety.check(path)
    try:
        with _quiet():
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise CaseError(f"Keras cannot build this model: {one_line(error)}", where=path, remedy=REMEDY) from error
    return model, record


def has_record(path: Path) -> bool:
    """Whether a file has a record, as every model of this suite. Raises CaseError for a file that cannot be opened."""
    return _text_of(Path(path)) is not None


def read_record(path: Path) -> dict:
    """The record of a model file, without TensorFlow. Raises CaseError when there is none."""
    text = _text_of(Path(path))
    if text is None:
        raise CaseError("is not a model of this suite: it has no record", where=path, remedy=REMEDY)
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CaseError(f"its record is damaged: {one_line(error)}", where=path, remedy=REMEDY) from error
    own_format = record.get("format") if isinstance(record, dict) else None
    if own_format != FORMAT:
        raise CaseError(f"its record has format {own_format}; this version reads {FORMAT}", where=path,
                        remedy="use the version of the suite that made it")
    return record


def file_hash(path: Path) -> str:
    """SHA-256 of a model file: which model made a prediction."""
    return store.content_hash([Path(path)])


def network_hash(network, record: dict) -> str:
    """SHA-256 of a network in memory and its record, for a model without a file."""
    import hashlib

    import numpy as np

    digest = hashlib.sha256(json.dumps([record, network.get_config()], sort_keys=True, default=str).encode())
    for weight in network.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _text_of(path: Path) -> str | bytes | None:
    safety.check_kind(path)
    try:
        return _read_zip(path) if safety.is_zip(path) else _read_h5(path)
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise CaseError(f"is damaged or cut short: {one_line(error)}", where=path, remedy=REMEDY) from error


def _read_h5(path: Path) -> str | bytes | None:
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get(ATTRIBUTE)
    return text if isinstance(text, str | bytes) else None


def _read_zip(path: Path) -> bytes | None:
    with zipfile.ZipFile(path) as file:
        return file.read(safety.RECORD) if safety.RECORD in file.namelist() else None


def _finish_h5(path: Path, text: str) -> None:
    """Add the record (a variable-length string: attributes of fixed length end at 64 KiB), and make it float32."""
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(_float32(json.loads(file.attrs["model_config"])))
        file.attrs[ATTRIBUTE] = text


def _finish_zip(path: Path, text: str) -> None:
    """The same for a .keras file; a zip cannot change a member in place, so it is written again."""
    with zipfile.ZipFile(path) as file:
        members = {info.filename: file.read(info) for info in file.infolist()}
    members["config.json"] = json.dumps(_float32(json.loads(members["config.json"]))).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**members, safety.RECORD: text.encode()}.items():
            file.writestr(name, data)


def _float32(config):
    """A network's config with every mixed precision policy as float32."""
    if isinstance(config, list):
        return [_float32(part) for part in config]
    if isinstance(config, dict):
        return {key: _float32(value) for key, value in config.items()}
    return "float32" if config in ("mixed_float16", "mixed_bfloat16") else config


@contextlib.contextmanager
def _quiet():
    """Keras calls .h5 legacy in a warning each time; the file is meant as it is."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
