"""Mixing of cases within a batch: mixup and cutmix. Arrays are (batch, [z,] y, x, channel).

Both pair each case with another one of the batch by a random permutation, and do not change their input.
"""

from __future__ import annotations

import numpy as np


def mixup(images: np.ndarray, truth: np.ndarray, rng: np.random.Generator, alpha: float = 0.2) -> tuple:
    """Weighted means of pairs of cases (Zhang et al., ICLR 2018): (images, truth), float32.

    images: (b, …, c). truth: (b, k) class probabilities, or (b, …, k) label probabilities of each voxel; label numbers
    have no mean. The weight of each pair is drawn from Beta(alpha, alpha). Raises ValueError for label numbers, and
    unless alpha is above 0.
    """
    if truth.ndim not in (2, images.ndim) or not np.issubdtype(truth.dtype, np.floating):
        raise ValueError(f"mixup takes shares of classes or labels (float), not {truth.dtype} {truth.shape}")
    partners, weight = rng.permutation(len(images)), rng.beta(_positive(alpha), alpha, len(images)).astype(np.float32)
    weight = np.maximum(weight, 1 - weight)  # each case keeps the larger weight in its own place
    return tuple(_between(part, partners, weight) for part in (images, truth))


def cutmix(images: np.ndarray, truth: np.ndarray, rng: np.random.Generator, alpha: float = 1.0) -> tuple:
    """Replace a box of each case by that of another one (Yun et al., ICCV 2019): (images, truth), new arrays.

    images: (b, …, c). truth: (b, k) class probabilities (float), weighted by the share of the image; or a label map
    (b, …) or probabilities (b, …, k), whose box is replaced as well. The share that stays is drawn from
    Beta(alpha, alpha). Raises ValueError unless alpha is above 0.
    """
    size = images.shape[1:-1]
    partners, weight = rng.permutation(len(images)), rng.beta(_positive(alpha), alpha, len(images))
    mixed, of_voxels = images.copy(), truth.shape[1 : len(size) + 1] == size
    if not of_voxels and (truth.ndim != 2 or not np.issubdtype(truth.dtype, np.floating)):
        raise ValueError(f"truth {truth.dtype} {truth.shape} is neither shares of classes nor on the images' grid")
    new, shares = truth.copy(), np.ones(len(images), np.float32)
    for i, other in enumerate(partners):
        side = (1 - weight[i]) ** (1 / len(size))
        box = []
        for n, place in zip(size, rng.random(len(size)), strict=True):
            length = round(n * side)
            start = int(place * (n - length + 1))
            box.append(slice(start, start + length))
        mixed[(i, *box)] = images[(other, *box)]
        shares[i] = 1 - np.prod([float(part.stop - part.start) for part in box]) / np.prod([float(n) for n in size])
        if of_voxels:
            new[(i, *box)] = truth[(other, *box)]
    return mixed, new if of_voxels else _between(truth, partners, shares)


def _positive(alpha: float) -> float:
    if not alpha > 0:
        raise ValueError(f"alpha {alpha} is not above 0")
    return alpha


def _between(array: np.ndarray, partners: np.ndarray, weight: np.ndarray) -> np.ndarray:
    weight = weight.reshape(-1, *(1,) * (array.ndim - 1)).astype(np.float32)
    return (weight * array + (1 - weight) * array[partners]).astype(np.float32)
