"""The models of one prediction: records that are read and compared first, networks that are built when needed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from mrilib.errors import CaseError, UsageError
from mrilib.models.record import ModelRecord

log = logging.getLogger("mrilib")


def matching(names: Iterable[str | Path]) -> list[Path]:
    """The files that match names and patterns, each once. Raises UsageError for a name that matches none."""
    files: list[Path] = []
    for name in map(Path, names):
        if name.exists():
            files.append(name)
        elif has_magic(str(name)):
            matches = sorted(glob(str(name)))
            if not matches:
                raise UsageError("no model file matches this pattern", where=name)
            files += map(Path, matches)
        else:
            raise UsageError("no such model file", where=name, remedy="mri-train makes one")
    return list(dict.fromkeys(files))


@contextlib.contextmanager
def of_option() -> Iterator[None]:
    """Raise CaseError as UsageError: a bad model file is wrong use, not a bad case."""
    try:
        yield
    except CaseError as error:
        raise error.as_kind(UsageError) from error


def records_of(names: Iterable[str | Path]) -> dict[object, dict]:
    """The records of files and patterns by path, as they stand in the files. Raises UsageError for a bad file."""
    from mrilib.models import file, safety

    paths = matching(names)
    if not paths:
        raise UsageError("no model was given", remedy="name a model file of mri-train")
    with of_option():
        records = {path: file.read_record(path) for path in paths}
        for path in paths:
            safety.check(path)
    return records


class Models:
    """Models whose probabilities are averaged. records: by the name of each model; record: the first one, which stands
    for all where they agree; seen: content hash of a case -> how any of these models saw it."""

    def __init__(self, records: dict[object, ModelRecord], networks: dict[object, object] | None = None):
        self.records = records
        self.record = next(iter(records.values()))
        self.seen = seen_by(records.values())
        self._in_memory = networks or {}
        self._networks: list = []

    @property
    def names(self) -> list:
        """The names of the models, usually their paths."""
        return list(self.records)

    def hashes(self) -> list[str]:
        """The hash of each model for the record of a prediction: the SHA-256 of its file."""
        from mrilib.models import file

        return [file.network_hash(self._in_memory[name], self.records[name].to_dict())
                if name in self._in_memory else file.file_hash(name) for name in self.records]

    def build(self, predictor) -> list:
        """The networks, built at the first call, on the device and in the precision of the predictor's settings."""
        if not self._networks:
            from mrilib import gpu
            from mrilib.models import file

            settings = predictor.settings
            used = gpu.setup(settings.device, mixed=getattr(settings, "mixed_precision", "off"),
                             threads=settings.threads)
            log.info(used.line)
            for name, record in self.records.items():
                with of_option():
                    network = self._in_memory.get(name) or file.load(name)[0]
                    predictor.check(network, record, name)
                self._networks.append(recast(network, used.policy))
        return self._networks


def seen_by(records: Iterable[ModelRecord]) -> dict[str, str]:
    """Content hash -> the part in which any of these models saw that case, "train" before "validation"."""
    seen: dict[str, str] = {}
    for record in records:
        for case in record.cases.values():
            content, part = case.get("content"), case.get("part")
            if part == "train" or (part == "validation" and seen.get(content) != "train"):
                seen[content] = part
    return seen


def recast(model, policy: str):
    """The same network and weights computing by a Keras dtype policy: a new model, or this one for float32.

    policy: float32, mixed_bfloat16 or mixed_float16. The input, the last layer and the weights stay float32, so that
    probabilities keep their precision.
    """
    if policy == "float32":
        return model
    config = model.get_config()
    outputs = config["output_layers"]  # of a single output no list of lists
    last = {name for name, *_ in ([outputs] if outputs and isinstance(outputs[0], str) else outputs)}
    for layer in config["layers"]:
        if layer["class_name"] != "InputLayer" and layer["config"]["name"] not in last:
            layer["config"]["dtype"] = policy
    result = type(model).from_config(config)
    result.set_weights(model.get_weights())
    return result
