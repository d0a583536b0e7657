"""Which cases an epoch shows, in which order and in which batches; the same for the same seed and epoch."""

from __future__ import annotations

import hashlib

import numpy as np

MIXING = 7  # parts the chance of mixing a batch from that of its order

def order(classes: np.ndarray, sampling: str, seed: int, epoch: int) -> list[tuple[int, int]]:
    """The cases of one epoch as (place, copy), copy counting how often the case came before in this epoch.

    classes: (n,) class of each case. natural: every case once. equal: as many cases, each class equally often
    (to one): a small class comes again, of a large one another part each epoch. Empty for no cases.
    """
    chance = np.random.default_rng([seed, epoch])
    n = len(classes)
    if sampling == "natural":
        return [(int(i), 0) for i in chance.permutation(n)]
    kinds = np.unique(classes)
    share = np.full(len(kinds), n // max(1, len(kinds)))
    share[chance.permutation(len(kinds))[: n - share.sum()]] += 1
    drawn = []
    for kind, count in zip(kinds, share, strict=True):
        own = np.flatnonzero(classes == kind)
        rounds = [chance.permutation(own) for _ in range(-(-count // len(own)))]
        drawn += [(int(i), copy) for copy, members in enumerate(rounds) for i in members][:count]
    return [drawn[i] for i in chance.permutation(len(drawn))]


def batches(members: list, size: int) -> list[list]:
    """Members in order, in batches of at most `size` whose sizes differ by one at most: no batch of a lone case."""
    count = -(-len(members) // size)
    edges = [len(members) * i // count for i in range(count + 1)] if count else [0]
    return [members[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def chance_of(seed: int, epoch: int, case_id: str, copy: int) -> np.random.Generator:
    """The generator of one case in one epoch: whatever worker draws it, and whenever, it draws the same."""
    return np.random.default_rng([seed, epoch, number_of(case_id), copy])


def number_of(case_id: str) -> int:
    """A number of 64 bits for a case's id, to seed what is drawn for it."""
    return int.from_bytes(hashlib.sha256(case_id.encode("utf-8", "surrogateescape")).digest()[:8], "little")


def balanced(classes: np.ndarray, count: int) -> list[float]:
    """A weight for each of `count` classes so that all weigh the same in sum and a case 1 on average."""
    sizes = np.bincount(classes, minlength=count)
    return [float(len(classes) / (count * max(1, size))) for size in sizes]


def mixed(images: np.ndarray, truth: np.ndarray, settings, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A batch and its truth as shares, after the mixup or cutmix of the settings; the same for the same batch."""
    from mrilib.images.augment import mixing

    for mix, alpha in ((mixing.mixup, settings.mixup), (mixing.cutmix, settings.cutmix)):
        if alpha:
            images, truth = mix(images, truth, np.random.default_rng([settings.seed, epoch, index, MIXING]), alpha)
    return images, truth
