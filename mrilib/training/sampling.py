"""Which cases an epoch shows, in which order and in which batches; the same for the same seed and epoch."""

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
    from mrilib.images.augment import mixing

    for mix, alpha in ((mixing.mixup, settings.mixup), (mixing.cutmix, settings.cutmix)):
        if alpha:
            images, targets = mix(images, targets, np.random.default_rng([settings.seed, epoch, index, MIXING]), alpha)
    return images, targets
