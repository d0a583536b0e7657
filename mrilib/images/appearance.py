"""Changes of value, in the order in which a scanner would make them; each channel by its own range.

Tissue first: contrast about the mean, brightness as a gain above the lowest value (air stays air), gamma, gamma of
the values turned over, and the grey scale bent (`histogram`), composed into one curve. Then the coil: a smooth field
of brightness (`bias`). Then sampling: blur and low resolution, composed into one band matrix along each axis, and
ghosting. Then sharpening, noise, cut-out and channel drop-out. Most are those of nnU-Net (Isensee et al., Nature
Methods 18, 2021) and TorchIO (Pérez-García et al., 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from mrilib.images import appearance_loops as loops
from mrilib.images import compiled, splines
from mrilib.images.transforms import TONES

BRIGHT = 99.5  # percentile that stands for the brightest
STEPS = 2048  # of the curve over the range of a channel, straight between them
GREYS = 8  # steps of the grey scale that `histogram` moves
COILS = 3  # parts of the image along each axis that the field of `bias` is made of
BLOCK = 4096  # values worked on at a time along a far axis, so that they stay in the cache


@dataclass(frozen=True)
class Statistics:
    """Of each channel: lowest, highest, mean, and `bright`, which stands for the brightest. (c,) arrays."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    bright: np.ndarray


def statistics(array: np.ndarray) -> Statistics:
    """Of an array (z, y, x, c) float32. `bright` is looked up on some 4000 of the voxels."""
    nz, c = array.shape[0], array.shape[-1]
    low, high, total = np.empty((nz, c), np.float32), np.empty((nz, c), np.float32), np.empty((nz, c))
    compiled.over(nz, array.size, lambda start, stop: loops.statistics(array, low, high, total, start, stop))
    flat = array.reshape(-1, c)
    some = np.sort(flat[:: max(1, len(flat) // 4096)], axis=0)
    low = low.min(0)
    bright = np.maximum(some[min(len(some) - 1, int(len(some) * BRIGHT / 100))], low)
    return Statistics(low, high.max(0), total.sum(0) / len(flat), bright)


def stream(drawn: dict, place: int) -> np.random.Generator:
    """The generator of one transform's own chance, from the `seed` that was drawn."""
    return np.random.default_rng([drawn["seed"], place])


def change(array: np.ndarray, before: np.ndarray, drawn: dict, spacing, kinds: int | None = None) -> np.ndarray:
    """An array (z, y, x, c) float32 as drawn says. before: the image before it was moved, whose ranges count.

    spacing: mm, (z, y, x). kinds: that many channels are of different kind, and those after them show the same ones
    of other slices, so each goes with its own; None: all are. `array` may be overwritten unless it is `before`
    itself. Returns an array of its shape.
    """
    about, spare = statistics(before), None
    kinds = kinds or array.shape[-1]

    def passed(array: np.ndarray, work) -> np.ndarray:
        """What work(array, into) makes; two arrays are used in turn, for new memory costs as much as a pass."""
        nonlocal spare
        into = np.empty_like(array) if spare is None else spare
        work(array, into)
        spare = None if array is before else array
        return into

    if any(name in drawn for name in (*TONES, "histogram", "bias")):
        if array is before:
            array = passed(array, lambda given, into: _tone(given, into, drawn, about, kinds))
        else:
            _tone(array, array, drawn, about, kinds)
    for axis, weights in enumerate(_bands(drawn, array.shape[:3], spacing)):
        if weights is not None:
            array = passed(array, partial(_along, weights=weights, axis=axis))
    if "ghosting" in drawn:
        array = passed(array, lambda given, into: _ghosts(given, into, drawn))
    if "sharpen" in drawn:
        amount = float(drawn["sharpen"])
        array = passed(array, lambda given, into: compiled.over(len(given), given.size, lambda start, stop: (
            loops.sharpened(given, into, amount, start, stop))))
    if array is before:
        array = array.copy()
    for place, name in enumerate(("rician", "noise"), 2):
        if name in drawn:
            _grain(array, drawn, name, place, about)
    if "cutout" in drawn:
        _cut(array, drawn, about.low)
    if "dropout" in drawn and kinds > 1:
        for kind in stream(drawn, 5).permutation(kinds)[: min(int(drawn["dropout"]), kinds - 1)]:
            array[..., kind::kinds] = about.low[kind::kinds]
    return array


def curve(drawn: dict, values: np.ndarray, low: float, high: float, mean: float, bright: float) -> np.ndarray:
    """What TONES and `histogram` make of rising values, float64, of a channel with these four."""
    if "contrast" in drawn:
        values = np.clip((values - mean) * drawn["contrast"] + mean, low, high)
    if "brightness" in drawn:
        values = (values - low) * drawn["brightness"] + low
    if "gamma" in drawn and bright > low:
        share = np.maximum((values - low) / (bright - low), 0)
        values = share ** drawn["gamma"] * (bright - low) + low
    top = values.max()
    if "inverse_gamma" in drawn and top > low:
        values = top - np.clip((top - values) / (top - low), 0, 1) ** drawn["inverse_gamma"] * (top - low)
    if "histogram" in drawn and top > low:
        steps = np.arange(GREYS + 1.0)
        moved = steps.copy()
        moved[1:-1] += stream(drawn, 4).uniform(-0.5, 0.5, GREYS - 1) * drawn["histogram"]
        values = np.interp((values - low) / (top - low) * GREYS, steps, moved) / GREYS * (top - low) + low
    return values


def _of_kinds(drawn: dict, kinds: int) -> list[dict]:
    """What is drawn, for each kind of channel: the same, or tones apart by a power of their own."""
    if drawn.get("tones") != "apart":
        return [drawn] * kinds
    powers = stream(drawn, 9).uniform(-1, 1, (kinds, len(TONES)))
    return [drawn | {name: drawn[name] ** power for name, power in zip(TONES, row, strict=True) if name in drawn}
            for row in powers]


def _tone(array: np.ndarray, result: np.ndarray, drawn: dict, about: Statistics, kinds: int) -> None:
    size, each = array.shape[:3], _of_kinds(drawn, kinds)
    table = np.empty((array.shape[-1], STEPS + 1), np.float32)
    for i, row in enumerate(table):
        four = [float(part[i]) for part in (about.low, about.high, about.mean, about.bright)]
        row[:] = curve(each[i % kinds], np.linspace(four[0], four[1], STEPS + 1), *four)
    width = np.where(about.high > about.low, about.high - about.low, 1)
    points, cells = np.empty((0, 4, 4), np.float32), [1 if n == 1 else COILS for n in size]
    if "bias" in drawn:
        away = stream(drawn, 6).uniform(-1, 1, splines.control_shape(size, cells))
        points = np.exp(drawn["bias"] * away).astype(np.float32)
    bases = [part for n, k in zip(size, cells, strict=True) for part in splines.basis(n, k)]
    scale = (STEPS / width).astype(np.float32)
    compiled.over(size[0], array.size, lambda start, stop: loops.tone(
        array, result, table, about.low, scale, about.low, points, *bases, start, stop))


def _bands(drawn: dict, size, spacing) -> list[np.ndarray | None]:
    """For each axis the rows (n, 2 r + 1) of the band matrix that blur and low resolution are along it."""
    coarser = [1.0, *drawn["low_resolution"]][-3:] if "low_resolution" in drawn else (1.0,) * 3
    found = []
    for n, mm, times in zip(size, spacing, coarser, strict=True):
        if n == 1 or (times == 1 and "blur" not in drawn):
            found.append(None)
            continue
        band = np.ones((n, 1)) if times == 1 else _coarse(n, times)
        found.append((_blurred(band, drawn["blur"] / mm) if "blur" in drawn else band).astype(np.float32))
    return found


def _blurred(band: np.ndarray, sd: float) -> np.ndarray:
    """A band matrix after that of a Gaussian cut at 3 deviations, the border value repeated, as scipy.ndimage's."""
    n, width = band.shape
    r = int(3 * sd + 0.5)
    weights = np.exp(-0.5 * (np.arange(-r, r + 1) / max(sd, 1e-6)) ** 2)
    wide = np.zeros((n, width + 2 * r))
    for k, weight in enumerate(weights / weights.sum()):
        wide[:, k : k + width] += weight * band
    places = np.arange(n)[:, None] + np.arange(width + 2 * r) - (width // 2 + r)
    for end, beyond in ((0, places < 0), (n - 1, places >= n)):  # what lies outside counts for the border
        rows = np.flatnonzero(beyond.any(1))
        wide[rows, end - places[rows, 0]] += (wide[rows] * beyond[rows]).sum(1)
    return np.where((places >= 0) & (places < n), wide, 0)


def _coarse(n: int, times: float) -> np.ndarray:
    """The band matrix that averages over voxels `times` as large, and goes linearly from one to the next."""
    few = max(1, round(n / times))
    edges = np.arange(few + 1) * (n / few)
    place = np.clip((np.arange(n) + 0.5) * (few / n) - 0.5, 0, few - 1)
    first = np.minimum(place.astype(int), max(few - 2, 0))
    part = (place - first)[:, None]
    r = min(n, int(2 * n / few) + 1)
    voxels = np.arange(n)[:, None] + np.arange(-r, r + 1)

    def share(cell):
        """Of each voxel in the mean over a cell; outside the image none."""
        overlap = np.minimum(voxels + 1, edges[cell + 1, None]) - np.maximum(voxels, edges[cell, None])
        return np.maximum(overlap, 0) * (few / n)

    return (1 - part) * share(first) + part * share(np.minimum(first + 1, few - 1))


def _along(array: np.ndarray, result: np.ndarray, weights: np.ndarray, axis: int) -> None:
    nz, ny, nx, c = array.shape
    if axis == 2:
        k = weights.shape[1]
        wide = np.zeros((-(-k // 4) * 4, nx * c), np.float32)
        wide[:k] = np.repeat(weights.T, c, axis=1)
        rows, into = array.reshape(nz * ny, nx * c), result.reshape(nz * ny, nx * c)
        compiled.over(nz * ny, array.size, lambda start, stop: loops.along_rows(
            rows, into, wide, k // 2, c, start, stop))
        return
    shape = (1, nz, ny * nx * c) if axis == 0 else (nz, ny, nx * c)
    given, into = array.reshape(shape), result.reshape(shape)
    parts = shape[0] * -(-shape[2] // BLOCK)
    compiled.over(parts, array.size, lambda start, stop: loops.along(given, into, weights, BLOCK, start, stop))


def _grain(array: np.ndarray, drawn: dict, name: str, place: int, about: Statistics) -> None:
    sd = (np.float32(drawn[name]) * (about.bright - about.low)).astype(np.float32)
    seed = np.uint32(stream(drawn, place).integers(1 << 32))
    compiled.over(len(array), array.size, lambda start, stop: loops.grain(
        array, seed, sd, name == "rician", about.low, start, stop))


def _ghosts(array: np.ndarray, result: np.ndarray, drawn: dict) -> None:
    """Two to five ghosts along one of the longest axes: k-space lines of a period that differ from the rest."""
    chance = stream(drawn, 7)
    axes = [axis for axis in range(3) if array.shape[axis] > 1]
    axis, count = (axes[int(chance.integers(len(axes)))], int(chance.integers(2, 6))) if axes else (0, 2)
    share, (nz, ny, nx, c) = np.float32(drawn["ghosting"]), array.shape
    if axis == 2:
        rows, of_rows = array.reshape(nz * ny, nx * c), result.reshape(nz * ny, nx * c)
        compiled.over(nz * ny, array.size, lambda start, stop: loops.ghosts_rows(
            rows, of_rows, c, count, share, start, stop))
        return
    shape = (1, nz, ny * nx * c) if axis == 0 else (nz, ny, nx * c)
    given, into = array.reshape(shape), result.reshape(shape)
    compiled.over(shape[0] * shape[1], array.size, lambda start, stop: loops.ghosts(
        given, into, count, share, start, stop))


def _cut(array: np.ndarray, drawn: dict, low: np.ndarray) -> None:
    places = stream(drawn, 8).random(3)
    hole = []
    for n, place in zip(array.shape[:3], places, strict=True):
        side = min(n, max(1, round(n * drawn["cutout"])))
        start = int(place * (n - side + 1))
        hole.append(slice(start, start + side))
    array[tuple(hole)] = low
