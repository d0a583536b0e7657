"""Probabilities of labels for each voxel, patch by patch over the head; and the label map that they mean.

Arrays are (z, y, x, channel); a picture has z = 1. A 2D network runs over the slices, the first axis. Every batch
of patches has one shape, whatever the case's, so that nothing is compiled twice and the numbers of a voxel do not
depend on the other patches of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np

from mrilib import labels
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.steps.foreground import border
from mrilib.images.steps.geometry import crop_to_head
from mrilib.inference import ensemble
from mrilib.models.record import MapRecord

MARGIN = 5  # voxels around the head that are computed as well
SAMPLED = 96  # voxels at most along each axis of the coarse image in which the head is looked for
BATCH_VOXELS = {2: 1 << 18, 3: 1 << 18}  # of all patches of a batch, by the network's dimension, unless said
AXES = "zyx"


def patch_of(record: MapRecord) -> tuple[int, int, int]:
    """The patch of the network (z, y, x) in voxels; z is 1 for a 2D network."""
    return (*(1,) * (3 - record.dimension), *record.patch)


def outputs(record: MapRecord) -> list[str]:
    """The names of the network's outputs in order: regions, or label numbers with the background first."""
    return list(record.regions) if record.regions else [str(value) for value in record.values]


def check_model(model, record: MapRecord, name: object) -> None:
    """Raise CaseError when a network is not what its record says."""
    patch = tuple(record.patch)
    taken = (*patch, len(record.channels) * (2 * record.context + 1))
    ensemble.check_shapes(model, taken, (*patch, len(outputs(record))), name)


def probabilities(models: Sequence, record: MapRecord | Sequence[MapRecord],
                  array: np.ndarray | tuple[np.ndarray, ...], *, overlap: float = 0.5, flips: bool | str = True,
                  batch_size: int | None = None) -> np.ndarray:  # fmt: skip
    """What the models give for each voxel, on the mean: float32 (z, y, x, k), k as in outputs(record).

    record: of all models, or one for each where their patches differ. array: prepared case, float32 (z, y, x,
    channel), or one for each model. overlap: fraction of a patch that the next patch covers again, 0 to below 1;
    patches count most in their middle (Gaussian of 1/8 of the patch, Isensee et al. 2021). flips: True, the mean with
    the left-right mirror image; or axes of "xyz", the mean over all mirror images along them (z has no effect for a
    2D network). batch_size: patches that go through the network at once. Only the box around the head is computed;
    outside it all is background, and everywhere when there is no head. Images smaller than the patch are filled up
    with the lowest value on each channel's border. Raises CaseError for other channels than the record's, UsageError
    for settings that cannot be.
    """
    if isinstance(array, tuple) or not isinstance(record, MapRecord):
        arrays = array if isinstance(array, tuple) else (array,) * len(models)
        records = [record] * len(models) if isinstance(record, MapRecord) else record
        each = (probabilities([model], own_record, own, overlap=overlap, flips=flips, batch_size=batch_size)
                for model, own_record, own in zip(models, records, arrays, strict=True))
        return sum(each) / np.float32(len(models))
    if array.ndim != 4 or array.shape[-1] != len(record.channels):
        raise CaseError(f"has shape {array.shape}; the model takes (z, y, x, {len(record.channels)})")
    patch, count = patch_of(record), len(outputs(record))
    mirrored = mirrors(flips, record.dimension)
    size = batch_size or max(1, BATCH_VOXELS[record.dimension] // int(np.prod(patch)))
    result = np.zeros((*array.shape[:3], count), np.float32)
    if not record.regions:
        result[..., 0] = 1
    box = head_box(array)
    if box is None:
        return result
    filled, before = _at_least(array, patch)
    low, high = _wide_enough(box[0] + before, box[1] + before, patch, filled.shape)
    starts = [_starts(a, b, n, overlap) for a, b, n in zip(low, high, patch, strict=True)]
    weights = [_bell(n) for n in patch]
    total = np.zeros((*(high - low), count), np.float32)
    weight = weights[0][:, None, None] * weights[1][:, None] * weights[2]
    for places, batch in _batches(filled, record, patch, list(product(*starts)), size):
        means = _mean(models, batch, mirrored)
        for place, values in zip(places, means, strict=False):  # a last batch has more patches than places
            inside = tuple(slice(p - a, p - a + n) for p, a, n in zip(place, low, patch, strict=True))
            total[inside] += values.reshape(*patch, count) * weight[..., None]
    sums = [_sum(first, w, a, b) for first, w, a, b in zip(starts, weights, low, high, strict=True)]
    total /= (sums[0][:, None, None] * sums[1][:, None] * sums[2])[..., None]
    target = tuple(slice(a, b) for a, b in zip(*box, strict=True))
    result[target] = total[tuple(slice(a, b) for a, b in zip(box[0] + before - low, box[1] + before - low,
                                                             strict=True))]  # fmt: skip
    return result


def decode(probabilities: np.ndarray, record: MapRecord) -> np.ndarray:
    """The label map that probabilities (..., k) mean: uint8 label numbers (...).

    Labels: the likeliest. Regions: each where its probability is above a half, painted in order, later ones over
    earlier. A threshold of the record's postprocess, for a label (by name or number) or region, takes the place
    of the half; the odds of a label then count (1 - t) / t times.
    """
    threshold = (record.postprocess or {}).get("threshold") or {}
    if record.regions:
        result = np.zeros(probabilities.shape[:-1], np.uint8)
        for i, (name, value) in enumerate(zip(record.regions, record.paint, strict=True)):
            result[probabilities[..., i] > threshold.get(name, 0.5)] = value
        return result
    values = np.array(record.values, np.uint8)
    factor = np.ones(len(values), np.float32)
    for i, names in enumerate(output_names(record)):
        for name in names:
            if i and name in threshold:
                factor[i] = (1 - threshold[name]) / threshold[name]
    if (factor == 1).all():
        return values[probabilities.argmax(-1)]
    return values[(probabilities * factor).argmax(-1)]


def output_names(record: MapRecord) -> list[tuple[str, ...]]:
    """All names of each output: a region's name; or a label's name, where the scheme has one, and its number."""
    if record.regions:
        return [(name,) for name in record.regions]
    names = labels.scheme(record.scheme).labels if record.scheme else {}
    return [tuple(dict.fromkeys((names.get(value, str(value)), str(value)))) for value in record.values]


def head_box(array: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First and last-but-one index (z, y, x) of the box around the head with its margin; None when there is no head.

    array: (z, y, x, channel). crop_to_head decides what is head.
    """
    size = np.array(array.shape[:3])
    step = np.maximum(-(-size // SAMPLED), 1)
    coarse = np.ascontiguousarray(array[tuple(slice(None, None, k) for k in step)], np.float32)
    names = tuple(map(str, range(array.shape[-1])))
    if not any(coarse[..., i].min() < coarse[..., i].max() for i in range(coarse.shape[-1])):
        return None
    _, measured = crop_to_head(Image(coarse, Grid.of(coarse.shape[:3]), names))
    low, high = np.array(measured["box"])
    return np.maximum((low - 1) * step + 1 - MARGIN, 0), np.minimum(high * step + MARGIN, size)


def _at_least(array: np.ndarray, patch) -> tuple[np.ndarray, np.ndarray]:
    """The array filled up about its middle to the size of the patch, and how many voxels came before it; (z, y, x)."""
    lacking = np.maximum(np.subtract(patch, array.shape[:3]), 0)
    before = lacking // 2
    if not lacking.any():
        return array, before
    filled = np.empty((*np.add(array.shape[:3], lacking), array.shape[-1]), np.float32)
    for i in range(array.shape[-1]):
        filled[..., i] = border(array[..., i]).min()
    filled[tuple(slice(b, b + n) for b, n in zip(before, array.shape[:3], strict=True))] = array
    return filled, before


def _wide_enough(low, high, patch, size) -> tuple[np.ndarray, np.ndarray]:
    """The box widened about its middle to the patch where it is smaller, within the image."""
    lacking = np.maximum(np.subtract(patch, high - low), 0)
    low = np.clip(low - lacking // 2, 0, np.subtract(size[:3], high - low + lacking))
    return low, np.maximum(high, low + np.asarray(patch))


def _starts(low: int, high: int, patch: int, overlap: float) -> list[int]:
    """Where patches begin along one axis: as few as the overlap allows, evenly spread from low to high."""
    if not 0 <= overlap < 1:
        raise UsageError(f"overlap {overlap:g} is not from 0 to below 1")
    room = high - low - patch
    count = int(np.ceil(room / max(1, patch * (1 - overlap)))) + 1
    return [int(low + round(room * i / max(count - 1, 1))) for i in range(count)]


def _bell(n: int) -> np.ndarray:
    """Weights of a patch along one axis, 1 in the middle; float32 (n,)."""
    place = np.arange(n) - (n - 1) / 2
    return np.exp(-0.5 * (place / (n / 8)) ** 2).astype(np.float32)


def _sum(starts: list[int], weights: np.ndarray, low: int, high: int) -> np.ndarray:
    total = np.zeros(high - low, np.float32)
    for start in starts:
        total[start - low : start - low + len(weights)] += weights
    return total


def _batches(array, record: MapRecord, patch, places, size) -> Iterator[tuple[list, np.ndarray]]:
    """(places, patches) in batches of one shape: (size, z, y, x, channel), or (size, y, x, channel) in 2D."""
    flat = record.dimension == 2
    around = range(-record.context, record.context + 1)
    channels = array.shape[-1]
    for first in range(0, len(places), size):
        chosen = places[first : first + size]
        batch = np.zeros((size, *patch[flat:], channels * len(around)), np.float32)
        for i, place in enumerate(chosen):
            inside = tuple(slice(p, p + n) for p, n in zip(place, patch, strict=True))
            if not flat:
                batch[i] = array[inside]
                continue
            for j, k in enumerate(around):  # beyond the ends the outermost slice is repeated
                z = min(max(place[0] + k, 0), len(array) - 1)
                batch[i, ..., j * channels : (j + 1) * channels] = array[z][inside[1:]]
        yield chosen, batch


def mirrors(flips: bool | str, dimension: int) -> list[tuple[int, ...]]:
    """The sets of axes of a batch to mirror, the first is empty; see probabilities. Raises UsageError for no axis."""
    wanted = ("x" if flips else "") if isinstance(flips, bool) else flips
    if unknown := set(wanted) - set(AXES):
        raise UsageError(f"no axis {min(unknown)!r} to flip", remedy="x, y, z or several of them")
    own = AXES[3 - dimension :]
    axes = [1 + own.index(name) for name in own if name in wanted]
    return [chosen for n in range(len(axes) + 1) for chosen in combinations(axes, n)]


def _mean(models: Sequence, batch: np.ndarray, mirrored) -> np.ndarray:
    total = None
    for model in models:
        for axes in mirrored:
            values = ensemble.run(model, np.ascontiguousarray(np.flip(batch, axes)) if axes else batch)
            values = np.flip(values, axes) if axes else values
            total = values if total is None else total + values
    count = len(models) * len(mirrored)
    return total / np.float32(count) if count > 1 else total
