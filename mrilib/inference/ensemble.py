"""What every task shares: records of models that are to be averaged, what they saw, and one batch through one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mrilib import labels
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.gpu import memory

NEEDED = {"segment": ("dimension", "context", "patch")}  # of records, too, and each model's own
MUST_AGREE = {  # what the records of models that are averaged share, by their task
    "classify": ("task", "classes", "channels", "shape", "recipe"),
    "segment": ("task", "channels", "spacing", "scheme", "values", "regions", "recipe"),
}  # fmt: skip


def check_records(records: Mapping[Path, dict]) -> dict:
    """The record that all models share as far as use goes: the first one.

    Recipes may differ in what their steps learned, as those of folds do: then each model is given the case as its own
    recipe prepares it.

    Raises CaseError for a record that is not of the first one's task or lacks something, UsageError naming the first
    difference between two models.
    """
    first_path, first = next(iter(records.items()))
    task = first.get("task")
    for path, record in records.items():
        if record.get("task") != task:
            raise CaseError(f"is a model to {record.get('task')}, not to {task}", where=path)
        if task not in MUST_AGREE:
            raise CaseError(f"is a model to {task}, which this version cannot apply", where=path,
                            remedy="use the version of the suite that made it")
        if missing := [key for key in (*MUST_AGREE[task], *NEEDED.get(task, ())) if key not in record]:
            raise CaseError(f"its record lacks {missing[0]}", where=path)
        if fault := FAULTS[task](record):
            raise CaseError(f"its record is damaged: {fault}", where=path)
        for key in MUST_AGREE[task]:
            mine, theirs = _plain(first, key), _plain(record, key)
            if mine != theirs and not (key == "spacing" and _near(first[key], record[key])):
                raise UsageError(f"cannot be averaged with {first_path}: its {key} is {theirs}, not {mine}", where=path,
                                 remedy="average models that were trained alike")
    return first


def _classify_fault(record: dict) -> str:
    classes, channels, shape = record["classes"], record["channels"], record["shape"]
    good = (
        all(isinstance(part, list) for part in (classes, channels, shape))
        and all(isinstance(name, str) for name in (*classes, *channels))
        and len(set(classes)) == len(classes) >= 2
        and _counts(shape, 3)
        and shape[2] == len(channels)
        and isinstance(record["recipe"], dict)
    )
    return "" if good else "classes, channels and shape do not fit together"


def _segment_fault(record: dict) -> str:
    values, regions, paint = record["values"], record["regions"], record.get("paint")
    if record["dimension"] not in (2, 3) or not _counts(record["patch"], record["dimension"]):
        return "dimension and patch do not fit together"
    if not (isinstance(record["context"], int) and record["context"] >= 0):
        return "context is not a number of slices"
    if record["context"] and record["dimension"] == 3:
        return "a network of volumes has no context of slices"
    if not (isinstance(record["channels"], list) and record["channels"]
            and all(isinstance(name, str) for name in record["channels"])):  # fmt: skip
        return "channels are not names"
    if record["spacing"] is not None and not (
        isinstance(record["spacing"], list) and len(record["spacing"]) in (2, 3)
        and all(isinstance(mm, int | float) and mm > 0 for mm in record["spacing"])):  # fmt: skip
        return "spacing is not in millimetres"
    if not (_numbers(values) and values[0] == 0 and len(set(values)) == len(values) >= 2):
        return "values are not label numbers with the background first"
    if regions is not None:
        good = isinstance(regions, dict) and regions and all(map(_numbers, regions.values()))
        if not (good and _numbers(paint) and len(paint) == len(regions)):
            return "regions and paint do not fit together"
    try:
        if record["scheme"]:
            labels.check(values, labels.scheme(record["scheme"]))
    except (MriError, TypeError) as error:
        return str(error)
    if not isinstance(record.get("postprocess", {}), dict):
        return "postprocess is no settings"
    return "" if isinstance(record["recipe"], dict) else "recipe is none"


FAULTS = {"classify": _classify_fault, "segment": _segment_fault}


def _counts(values, length: int) -> bool:
    return isinstance(values, list) and len(values) == length and all(isinstance(n, int) and n > 0 for n in values)


def _numbers(values) -> bool:
    return isinstance(values, list) and all(isinstance(n, int) and 0 <= n < 256 for n in values)


def _near(mine: list | None, theirs: list | None) -> bool:
    """Whether two spacings are within 1 %, as those of cases that are trained on as they are may be."""
    return None not in (mine, theirs) and len(mine) == len(theirs) and bool(np.allclose(mine, theirs, rtol=0.01))


def _plain(record: dict, key: str) -> str:
    if key == "recipe":
        steps = record["recipe"].get("steps") or []
        return "; ".join(f"{s.get('step')} {s.get('parameters')}" for s in steps)
    value = record[key]
    if key == "regions" and value:
        return f"{value} painted {record.get('paint')}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def check_shapes(model, taken: tuple, given: tuple, path: Path) -> None:
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


def seen_by(records: Iterable[dict]) -> dict[str, str]:
    """Content hash -> how any of these models saw that case: "train" goes before "validation"."""
    seen: dict[str, str] = {}
    for record in records:
        for known in record.get("training", {}).get("cases", {}).values():
            content, part = known.get("content"), known.get("part")
            if part == "train" or (part == "validation" and seen.get(content) != "train"):
                seen[content] = part
    return seen
