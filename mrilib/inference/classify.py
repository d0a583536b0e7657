"""Probabilities of classes from one model or the average of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mrilib.errors import CaseError, MachineError, UsageError

MUST_AGREE = ("task", "classes", "channels", "shape", "recipe")  # records of models that are averaged


def check_records(records: Mapping[Path, dict], task: str = "classify") -> dict:
    """The record that all models share as far as use goes: the first one.

    Raises CaseError for a record that is not of this task or lacks something, UsageError naming the first
    difference between two models.
    """
    first_path, first = next(iter(records.items()))
    for path, record in records.items():
        if record.get("task") != task:
            raise CaseError(f"is a model to {record.get('task')}, not to {task}", where=path)
        if missing := [key for key in MUST_AGREE if key not in record]:
            raise CaseError(f"its record lacks {missing[0]}", where=path)
        if not _well_formed(record):
            raise CaseError("its record is damaged: classes, channels and shape do not fit together", where=path)
        for key in MUST_AGREE:
            mine, theirs = _plain(first, key), _plain(record, key)
            if mine != theirs:
                raise UsageError(f"cannot be averaged with {first_path}: its {key} is {theirs}, not {mine}", where=path,
                                 remedy="average models that were trained alike")
    return first


def _well_formed(record: dict) -> bool:
    classes, channels, shape = record["classes"], record["channels"], record["shape"]
    return (
        all(isinstance(part, list) for part in (classes, channels, shape))
        and all(isinstance(name, str) for name in (*classes, *channels))
        and len(set(classes)) == len(classes) >= 2
        and len(shape) == 3
        and all(isinstance(n, int) and n > 0 for n in shape)
        and shape[2] == len(channels)
        and isinstance(record["recipe"], dict)
    )


def _plain(record: dict, key: str) -> str:
    if key == "recipe":
        steps = record["recipe"].get("steps") or []
        return "; ".join(f"{s.get('step')} {s.get('parameters')} {s.get('learned') or ''}".strip() for s in steps)
    value = record[key]
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def check_model(model, record: dict, path: Path) -> None:
    """Raises CaseError when a network is not what its record says."""
    shape, classes = tuple(record["shape"]), len(record["classes"])
    if model.input_shape != (None, *shape) or model.output_shape != (None, classes):
        raise CaseError(f"its network takes {model.input_shape[1:]} and gives {model.output_shape[1:]}, its record "
                        f"says {shape} and {classes} classes", where=path, remedy="do not trust this file")


def predict(model, record: dict, arrays: Iterable[np.ndarray], *, batch_size: int = 16,
            flips: bool = False) -> np.ndarray:
    """Probabilities (n, class) float32 of prepared images, each float32 (y, x, channel); (0, class) for none.

    Every batch is filled up to batch_size, so that an image's numbers do not depend on what it came with.
    flips: the mean of the image and its mirror image left to right.
    """
    results, waiting = [], []
    for array in arrays:
        waiting.append(array)
        if len(waiting) == batch_size:
            results.append(_batch(model, waiting, batch_size, flips))
            waiting = []
    if waiting:
        results.append(_batch(model, waiting, batch_size, flips))
    return np.concatenate(results) if results else np.zeros((0, len(record["classes"])), np.float32)


def average(models: Sequence, record: dict, arrays: Sequence[np.ndarray], *, batch_size: int = 16,
            flips: bool = False) -> np.ndarray:
    """The mean of the probabilities that several models give, (n, class) float32; see predict."""
    each = [predict(model, record, arrays, batch_size=batch_size, flips=flips) for model in models]
    return np.mean(each, axis=0, dtype=np.float64).astype(np.float32)


def _batch(model, arrays: Sequence[np.ndarray], size: int, flips: bool) -> np.ndarray:
    filled = np.zeros((size, *arrays[0].shape), np.float32)
    filled[: len(arrays)] = arrays
    if not model.compiled:
        model.jit_compile = False  # XLA would take longer to compile than most folders to predict
    try:
        found = np.asarray(model.predict_on_batch(filled), np.float32)
        if flips:
            mirrored = np.asarray(model.predict_on_batch(np.ascontiguousarray(filled[:, :, ::-1])), np.float32)
            found = (found + mirrored) / 2
    except Exception as error:
        if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's own, of which this module knows nothing
            raise MachineError("the device is out of memory", remedy="a smaller --batch-size; mri-inspect --device "
                               "shows what else uses it") from error
        raise
    return found[: len(arrays)]


def seen_by(records: Iterable[dict]) -> dict[str, str]:
    """Content hash -> how any of these models saw that case: "train" goes before "validation"."""
    seen: dict[str, str] = {}
    for record in records:
        for known in record.get("training", {}).get("cases", {}).values():
            content, part = known.get("content"), known.get("part")
            if part == "train" or (part == "validation" and seen.get(content) != "train"):
                seen[content] = part
    return seen
