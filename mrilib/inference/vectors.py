"""Networks that give one vector for an image, such as class probabilities: one model or the mean of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrilib.inference import ensemble


def predict(model, arrays: Sequence[np.ndarray], *, batch_size: int = 16, flips: bool = False) -> np.ndarray:
    """The vectors of prepared images, each float32 (y, x, channel): float32 (n, k), k outputs of the network.

    Every batch is filled up to batch_size, so that the numbers of an image do not depend on the others of its batch.
    flips: the mean of the image and its left-right mirror image.
    """
    results = [_batch(model, arrays[first : first + batch_size], batch_size, flips)
               for first in range(0, len(arrays), batch_size)]
    return np.concatenate(results) if results else np.zeros((0, model.output_shape[-1]), np.float32)


def average(models: Sequence, arrays: Sequence[np.ndarray | tuple[np.ndarray, ...]], *, batch_size: int = 16,
            flips: bool = False) -> np.ndarray:
    """The mean of the vectors that several models give, float32 (n, k); see predict and ensemble.of_model."""
    each = [predict(model, [ensemble.of_model(a, i) for a in arrays], batch_size=batch_size, flips=flips)
            for i, model in enumerate(models)]
    return np.mean(each, axis=0, dtype=np.float64).astype(np.float32)


def _batch(model, arrays: Sequence[np.ndarray], size: int, flips: bool) -> np.ndarray:
    filled = np.zeros((size, *arrays[0].shape), np.float32)
    filled[: len(arrays)] = arrays
    result = ensemble.run(model, filled)
    if flips:
        result = (result + ensemble.run(model, np.ascontiguousarray(filled[:, :, ::-1]))) / 2
    return result[: len(arrays)]
