"""Probabilities of classes from one model or the average of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mrilib.inference import ensemble


def check_model(model, record: dict, path: Path) -> None:
    """Raises CaseError when a network is not what its record says."""
    ensemble.check_shapes(model, tuple(record["shape"]), (len(record["classes"]),), path)


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


def average(models: Sequence, record: dict, arrays: Sequence[np.ndarray | tuple[np.ndarray, ...]], *,
            batch_size: int = 16, flips: bool = False) -> np.ndarray:
    """The mean of the probabilities that several models give, (n, class) float32; see predict, of_model."""
    each = [predict(model, record, [ensemble.of_model(a, i) for a in arrays], batch_size=batch_size, flips=flips)
            for i, model in enumerate(models)]
    return np.mean(each, axis=0, dtype=np.float64).astype(np.float32)


def _batch(model, arrays: Sequence[np.ndarray], size: int, flips: bool) -> np.ndarray:
    filled = np.zeros((size, *arrays[0].shape), np.float32)
    filled[: len(arrays)] = arrays
    found = ensemble.run(model, filled)
    if flips:
        found = (found + ensemble.run(model, np.ascontiguousarray(filled[:, :, ::-1]))) / 2
    return found[: len(arrays)]
