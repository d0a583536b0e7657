"""What every task shares: records of models that are averaged, what the models saw, and one batch through one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def check_shapes(model, taken: tuple, given: tuple, path: object) -> None:
    """Raises CaseError when a network's shapes, without the batch, are not what its record says."""
    if model.input_shape != (None, *taken) or model.output_shape != (None, *given):
        raise CaseError(f"its network takes {model.input_shape[1:]} and gives {model.output_shape[1:]}, its record "
                        f"says {taken} and {given}", where=path, remedy="do not trust this file")


def of_model(array: np.ndarray | tuple[np.ndarray, ...], place: int) -> np.ndarray:
    """What the model at a place is given of a case: the one array of all, or its own (see Prepared)."""
    return array[place] if isinstance(array, tuple) else array


def run(model, batch: np.ndarray) -> np.ndarray:
    """What a network gives for a batch, float32. Raises MachineError when the device has no memory for it."""
    if not model.compiled:
        model.jit_compile = False  # XLA would take longer to compile than most folders to predict
    with memory.enough("a smaller --batch-size"):
        return np.asarray(model.predict_on_batch(batch), np.float32)


def seen_by(records: Iterable[ModelRecord]) -> dict[str, str]:
    """Content hash -> how any of these models saw that case: "train" goes before "validation"."""
    seen: dict[str, str] = {}
    for record in records:
        for case in record.cases.values():
            content, part = case.get("content"), case.get("part")
            if part == "train" or (part == "validation" and seen.get(content) != "train"):
                seen[content] = part
    return seen
