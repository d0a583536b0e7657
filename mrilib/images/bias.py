"""The slow brightening and darkening across an image that the receiving coils leave, found and divided out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.foreground import finite, foreground
from mrilib.images.grid import Image

VOXEL = 4.0  # mm: the fit looks at means over blocks about this wide
INSIDE = 0.75  # share of a block that must be head for it to be looked at
CLASSES = 3
OUTLIERS = 0.02  # weight of the flat class that takes what is no tissue: vessels, lesions
STIFFNESS = 0.1  # how much rough fields cost
SETTLED = 1e-3  # change of the log field at which the fit ends
ROUNDS = 30
ENOUGH = 100  # blocks
FINE = {2: 48, 3: 16}  # a side is parted into so many blocks at least, where it has as many voxels


def mixture(image: Image, *, mask=None, rng=None, order: int = 4) -> tuple[Image, dict]:
    """Divide by a field whose logarithm is a sum of slow cosines, fitted together with a mixture of tissues.

    Each channel alone. The logarithms of the foreground, as means over blocks, are explained by CLASSES normal
    distributions, a flat one for what is no tissue, and the field; one and the other in turns (Wells et al. 1996;
    Ashburner and Friston 2005). order: at most so many half waves, all axes together. Voxels of 0 and below have no
    say and are divided like the rest. mask, bool on the grid, takes the foreground's place. The geometric mean of the
    field over it is 1. Measured: low and high, the field's range over the mask, and rounds, each a value a channel.
    Raises CaseError for NaN, or where too little is above 0 to fit.
    """
    field, measured = mixture_field(image, mask=mask, order=order)
    return divided(image, field), measured


def mixture_field(image: Image, *, mask=None, rng=None, order: int = 4) -> tuple[Image, dict]:
    """The field that `mixture` divides by, float32 on the image's grid, and what it measured."""

    def fit(channel, inside):
        field, rounds = _fit(channel, inside, image.grid.spacing, order)
        return field / np.exp(np.log(field[inside]).mean(dtype=np.float64)).astype(np.float32), {"rounds": rounds}

    return _each_channel(image, mask, fit)


def n4(image: Image, *, mask=None, rng=None, iterations: int = 50, levels: int = 4) -> tuple[Image, dict]:
    """Divide by the field that N4 finds (Tustison et al. 2010, SimpleITK's), on a grid shrunk to about VOXEL mm.

    Each channel alone, one thread, for the result hangs on their number. iterations on each of levels. The mask
    is the foreground where it is above 0, or what is given. The geometric mean of the field over it is 1. Measured
    and errors as mixture, without rounds.
    """
    field, measured = n4_field(image, mask=mask, iterations=iterations, levels=levels)
    return divided(image, field), measured


def n4_field(image: Image, *, mask=None, rng=None, iterations: int = 50, levels: int = 4) -> tuple[Image, dict]:
    """The field that `n4` divides by, float32 on the image's grid, and what it measured."""
    import SimpleITK as sitk

    from mrilib.images.files import to_itk

    shrink = [max(int(round(VOXEL / s)), 1) for s in image.grid.spacing]
    shrink = [max(min(k, n // 8), 1) for k, n in zip(shrink, image.grid.size, strict=True)][::-1]

    def fit(channel, inside):
        if inside.sum() < ENOUGH:
            raise CaseError("too little above 0 to find a bias field", remedy="leave --bias out")
        whole = to_itk(Image(np.where(inside, channel, 0), image.grid))
        small = sitk.Shrink(whole, shrink)
        where = sitk.Shrink(to_itk(Image(inside.astype(np.uint8), image.grid)), shrink)
        search = sitk.N4BiasFieldCorrectionImageFilter()
        search.SetNumberOfThreads(1)
        search.SetMaximumNumberOfIterations([int(iterations)] * int(levels))
        try:
            search.Execute(small, where)
        except RuntimeError as error:
            raise CaseError("N4 cannot fit a field to this image", remedy="--bias mixture, or leave it out") from error
        slope = sitk.GetArrayFromImage(search.GetLogBiasFieldAsImage(whole)).astype(np.float32)
        return np.exp(slope - slope[inside].mean(dtype=np.float64).astype(np.float32)), {}

    return _each_channel(image, mask, fit)


def divided(image: Image, field: Image) -> Image:
    """The image over the field, float32: times the field, it is the image again, to rounding."""
    return image.with_array(finite(image).reshape(image.array.shape) / field.array)


def _each_channel(image: Image, mask, fit: Callable) -> tuple[Image, dict]:
    """fit(channel, bool where it is tissue) -> (field, noted) on every channel; the fields and their ranges."""
    array = finite(image)
    fields, measured = np.empty_like(array, np.float32), {"low": [], "high": []}
    for i in range(array.shape[-1]):
        channel = np.ascontiguousarray(array[..., i])
        inside = (foreground(channel) if mask is None else np.asarray(mask, bool)) & (channel > 0)
        field, noted = fit(channel, inside)
        fields[..., i] = field
        for key, value in {"low": field[inside].min(), "high": field[inside].max(), **noted}.items():
            measured.setdefault(key, []).append(round(float(value), 5))
    return image.with_array(fields.reshape(image.array.shape)), measured


def _fit(channel: np.ndarray, inside: np.ndarray, spacing, order: int) -> tuple[np.ndarray, int]:
    """The field of one channel, of its shape, float32, and how many rounds it took."""
    fine = FINE[channel.ndim]
    block = [max(min(int(round(VOXEL / s)), n // fine), 1) for s, n in zip(spacing, channel.shape, strict=True)]
    count = [n // k for n, k in zip(channel.shape, block, strict=True)]

    def means(values):
        cut = values[tuple(slice(0, n * k) for n, k in zip(count, block, strict=True))]
        split = [part for pair in zip(count, block, strict=True) for part in pair]
        return cut.reshape(split).mean(tuple(range(1, 2 * len(count), 2)), dtype=np.float32)

    share = means(inside.astype(np.float32))
    value = means(np.where(inside, channel, 0)) / np.maximum(share, 1e-6)
    index = np.argwhere(share > INSIDE)
    if len(index) < ENOUGH:
        raise CaseError("too little above 0 to find a bias field", remedy="leave --bias out")
    logs = np.log(value[tuple(index.T)]).astype(np.float64)
    waves = [t for t in product(range(order + 1), repeat=channel.ndim) if 0 < sum(t) <= order]
    waves = [t for t in waves if all(w < n for w, n in zip(t, count, strict=True))]

    def cosines(places, sizes, term):
        """One wave at places (a column for each axis), in blocks."""
        parts = (np.cos(np.pi * w * (p + 0.5) / n) for w, p, n in zip(term, places, sizes, strict=True) if w)
        return np.prod(list(parts), axis=0)

    design = np.stack([cosines(index.T.astype(float), count, term) for term in waves], 1)
    design -= design.mean(0)
    cost = STIFFNESS * np.array([sum(w * w for w in term) for term in waves]) / len(waves)
    weights, rounds = _mix(logs, design, cost)
    table = np.zeros([order + 1] * channel.ndim)
    for term, weight in zip(waves, weights, strict=True):
        table[term] = weight
    for axis, (n, k, blocks) in enumerate(zip(channel.shape, block, count, strict=True)):
        place = (np.arange(n) + 0.5) / (k * blocks)
        rows = np.cos(np.pi * np.arange(order + 1) * place[:, None])
        table = np.moveaxis(np.tensordot(rows, table, (1, axis)), 0, axis)
    return np.exp(table).astype(np.float32), rounds


def _mix(logs: np.ndarray, design: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights of the waves that leave the logs least spread within their classes, and the rounds it took."""
    spread = float(logs.std())
    if not spread > 1e-6:
        return np.zeros(design.shape[1]), 0
    field, floor = np.zeros(len(logs)), OUTLIERS / (logs.max() - logs.min())
    middle, sd = np.quantile(logs, np.linspace(0.1, 0.9, CLASSES)), np.full(CLASSES, spread / CLASSES)
    part = np.full(CLASSES, 1 / CLASSES)
    weights = np.zeros(design.shape[1])
    rounds = 0
    while (rounds := rounds + 1) < ROUNDS:
        rest = (logs - field)[:, None]
        for _ in range(3):
            likely = part / sd * np.exp(-0.5 * ((rest - middle) / sd) ** 2)
            likely /= likely.sum(1, keepdims=True) + floor
            total = likely.sum(0) + 1e-9
            middle = (likely * rest).sum(0) / total
            sd = np.sqrt((likely * (rest - middle) ** 2).sum(0) / total) + 0.02
            part = total / len(logs)
        trust = likely / sd**2
        sure = trust.sum(1)
        aim = (trust * (logs[:, None] - middle)).sum(1)
        normal = (design.T * sure) @ design + np.diag(cost * sure.sum())
        weights = np.linalg.solve(normal, design.T @ aim)
        before, field = field, design @ weights
        if np.abs(field - before).max() < SETTLED:
            break
    return weights, rounds
