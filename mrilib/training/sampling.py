"""Which cases an epoch shows, in which order and in which batches, and the mixing of cases within a batch.

All of it is the same for the same seed and epoch.
"""

from __future__ import annotations

import hashlib

import numpy as np

MIXING = 7  # separates the random numbers of mixing a batch from those of its order


def natural(count: int, seed: int, epoch: int) -> list[tuple[int, int]]:
    """The cases of one epoch as (place, copy), each case once, so that copy is 0."""
    return [(int(i), 0) for i in np.random.default_rng([seed, epoch]).permutation(count)]


def equal(classes: np.ndarray, seed: int, epoch: int) -> list[tuple[int, int]]:
    """The cases of one epoch as (place, copy): as many as there are, each class equally often (to one).

    classes: (n,) class of each case. A case of a small class comes several times, and copy counts them; of a large
    class each epoch shows another part. Empty for no cases.
    """
    rng = np.random.default_rng([seed, epoch])
    kinds = np.unique(classes)
    share = np.full(len(kinds), len(classes) // max(1, len(kinds)))
    share[rng.permutation(len(kinds))[: len(classes) - share.sum()]] += 1
    drawn = []
    for kind, count in zip(kinds, share, strict=True):
        own = np.flatnonzero(classes == kind)
        rounds = [rng.permutation(own) for _ in range(-(-count // len(own)))]
        drawn += [(int(i), copy) for copy, members in enumerate(rounds) for i in members][:count]
    return [drawn[i] for i in rng.permutation(len(drawn))]


def batches(members: list, size: int) -> list[list]:
    """Members in order, in batches of at most `size` whose sizes differ by one at most: no batch of a single case."""
    count = -(-len(members) // size)
    edges = [len(members) * i // count for i in range(count + 1)] if count else [0]
    return [members[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def generator(seed: int, epoch: int, case_id: str, copy: int) -> np.random.Generator:
    """The random generator of one case in one epoch: the same whichever thread uses it, and when."""
    return np.random.default_rng([seed, epoch, number_of(case_id), copy])


def number_of(case_id: str) -> int:
    """A number of 64 bits for a case's id, as a seed."""
    return int.from_bytes(hashlib.sha256(case_id.encode("utf-8", "surrogateescape")).digest()[:8], "little")


def balanced(classes: np.ndarray) -> list[float]:
    """A weight for each class, in order, so that all weigh the same in sum and a case 1 on average."""
    from sklearn.utils.class_weight import compute_class_weight

    return compute_class_weight("balanced", classes=np.unique(classes), y=classes).tolist()


def mixed(images: np.ndarray, targets: np.ndarray, settings, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A batch after the mixup or cutmix of the settings, its targets as shares; the same for the same batch."""
    for mix, alpha in ((mixup, settings.mixup), (cutmix, settings.cutmix)):
        if alpha:
            images, targets = mix(images, targets, np.random.default_rng([settings.seed, epoch, index, MIXING]), alpha)
    return images, targets


def mixup(images: np.ndarray, truth: np.ndarray, rng: np.random.Generator, alpha: float = 0.2) -> tuple:
    """Weighted means of pairs of cases (Zhang et al., ICLR 2018): (images, truth), float32.

    images: (b, …, c). truth: (b, k) class probabilities, or (b, …, k) label probabilities of each voxel. Each case is
    paired with another one by a random permutation; the weight of each pair is drawn from Beta(alpha, alpha).
    """
    partners, weight = rng.permutation(len(images)), rng.beta(alpha, alpha, len(images)).astype(np.float32)
    weight = np.maximum(weight, 1 - weight)  # each case keeps the larger weight in its own place
    return tuple(_between(part, partners, weight) for part in (images, truth))


def mosaic(images: np.ndarray, boxes: np.ndarray, rng: np.random.Generator, probability: float) -> tuple:
    """Four images in one, each at half its size (Bochkovskiy et al. 2020): (images, boxes), new arrays.

    images: (b, y, x, c), y and x even. boxes: (b, k, 5), x0 y0 x1 y1 in pixels and a class, -1 for none; (b, 4 k, 5)
    comes back. An image is replaced with this probability, by itself and three that are drawn from the batch.
    """
    result = images.copy()
    moved = np.concatenate([boxes, *[np.zeros_like(boxes)] * 3], 1)
    moved[:, boxes.shape[1] :, 4] = -1
    b, y, x, c = images.shape
    halves = images.reshape(b, y // 2, 2, x // 2, 2, c).mean((2, 4))
    for i in np.flatnonzero(rng.random(b) < probability):
        chosen = rng.permutation([i, *rng.integers(b, size=3)])
        for place, other in enumerate(chosen):
            top, left = place // 2 * (y // 2), place % 2 * (x // 2)
            result[i, top : top + y // 2, left : left + x // 2] = halves[other]
            part = moved[i, place * boxes.shape[1] : (place + 1) * boxes.shape[1]]
            part[:] = boxes[other]
            part[:, :4] = part[:, :4] / 2 + [left, top, left, top]
    return result, moved


def cutmix(images: np.ndarray, truth: np.ndarray, rng: np.random.Generator, alpha: float = 1.0) -> tuple:
    """Replace a box of each case by that of another one (Yun et al., ICCV 2019): (images, truth), new arrays.

    images: (b, …, c). truth: (b, k) class probabilities, weighted by the share of the image; or label probabilities
    (b, …, k), whose box is replaced as well. The share that stays is drawn from Beta(alpha, alpha).
    """
    size = images.shape[1:-1]
    partners, weight = rng.permutation(len(images)), rng.beta(alpha, alpha, len(images))
    mixed, of_voxels = images.copy(), truth.shape[1 : len(size) + 1] == size
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


def _between(array: np.ndarray, partners: np.ndarray, weight: np.ndarray) -> np.ndarray:
    weight = weight.reshape(-1, *(1,) * (array.ndim - 1)).astype(np.float32)
    return (weight * array + (1 - weight) * array[partners]).astype(np.float32)
