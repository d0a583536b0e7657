"""What every task shares: records of models that are averaged, one batch through one model, and vectors of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mrilib.errors import CaseError, UsageError
from mrilib.gpu import memory
from mrilib.models.record import ModelRecord


def typed(records: Mapping[object, dict], kind: type[ModelRecord]) -> dict[object, ModelRecord]:
    """Records of one kind (mrilib.models.record). Raises CaseError for one that is not of this kind, UsageError naming
    the first difference between two models that are to be averaged."""
    checked = {name: kind.from_dict(record, where=name) for name, record in records.items()}
    first_name, first = next(iter(checked.items()))
    for name, record in checked.items():
        if key := first.differs(record):
            raise UsageError(f"cannot be averaged with {first_name}: its {key} is {record.text(key)}, not "
                             f"{first.text(key)}", where=name, remedy="average models that were trained alike")
    return checked


def check_shapes(model, inputs: tuple, outputs: tuple, path: object) -> None:
    """Raise CaseError when a network's shapes, without the batch, are not what its record says."""
    if model.input_shape != (None, *inputs) or model.output_shape != (None, *outputs):
        raise CaseError(f"its network takes {model.input_shape[1:]} and gives {model.output_shape[1:]}, its record "
                        f"says {inputs} and {outputs}", where=path, remedy="do not trust this file")


def of_model(array: np.ndarray | tuple[np.ndarray, ...], place: int) -> np.ndarray:
    """The array of a case for the model at a place: the one that all models share, or its own (see Prepared)."""
    return array[place] if isinstance(array, tuple) else array


def run(model, batch: np.ndarray) -> np.ndarray:
    """The output of a network for a batch, float32. Raises MachineError when the device has no memory for it."""
    if not model.compiled:
        model.jit_compile = False  # XLA would take longer to compile than most folders to predict
    with memory.enough("a smaller --batch-size"):
        return np.asarray(model.predict_on_batch(batch), np.float32)


def vectors(model, arrays: Sequence[np.ndarray], *, batch_size: int = 16, flips: bool = False) -> np.ndarray:
    """The vectors, such as class probabilities, of prepared images, each float32 (y, x, channel): float32 (n, k), k
    outputs of the network.

    Every batch is filled up to batch_size, so that the numbers of an image do not depend on the others of its batch.
    flips: the mean of the image and its left-right mirror image.
    """
    results = [_batch(model, arrays[first : first + batch_size], batch_size, flips)
               for first in range(0, len(arrays), batch_size)]
    return np.concatenate(results) if results else np.zeros((0, model.output_shape[-1]), np.float32)


def mean_vectors(models: Sequence, arrays: Sequence[np.ndarray | tuple[np.ndarray, ...]], *, batch_size: int = 16,
                 flips: bool = False) -> np.ndarray:
    """The mean of the vectors that several models give, float32 (n, k); see predict and of_model."""
    each = [vectors(model, [of_model(a, i) for a in arrays], batch_size=batch_size, flips=flips)
            for i, model in enumerate(models)]
    return np.mean(each, axis=0, dtype=np.float64).astype(np.float32)


def _batch(model, arrays: Sequence[np.ndarray], size: int, flips: bool) -> np.ndarray:
    filled = np.zeros((size, *arrays[0].shape), np.float32)
    filled[: len(arrays)] = arrays
    result = run(model, filled)
    if flips:
        result = (result + run(model, np.ascontiguousarray(filled[:, :, ::-1]))) / 2
    return result[: len(arrays)]
