"""Intensity transforms, in the order in which a scanner would cause them; each channel by its own range.

First the tissue: contrast about the mean, brightness as a gain above the lowest value (air stays air), gamma, gamma of
inverted intensities, and shifts within the grey scale (`histogram`), composed into one curve. Then the coil: a smooth
bias field (`bias`). Then sampling: blur, low resolution and sharpening, composed into one band matrix along each axis,
and ghosting. Then noise, cut-out and channel drop-out. Most are those of nnU-Net (Isensee et al., Nature Methods 18,
2021) and TorchIO (Pérez-García et al., 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrilib.images import compiled
from mrilib.images.augment import appearance_loops as loops
from mrilib.images.augment import splines
from mrilib.images.augment.transforms import TONES

BRIGHT = 99.5  # percentile taken as the brightest intensity
STEPS = 2048  # nodes of the curve over the range of a channel, linear between them
GREYS = 8  # steps of the grey scale that `histogram` moves
COILS = 3  # spline cells of the bias field along each axis
BLOCK = 32768, 256, 2048  # values in a block of columns, to stay in the cache; its least and greatest width
NEGLIGIBLE = 1e-9  # weight in a band matrix


@dataclass(frozen=True)
class Statistics:
    """Lowest, highest, mean and `bright` (see BRIGHT) intensity of each channel, (c,) arrays."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    bright: np.ndarray


def statistics(array: np.ndarray) -> Statistics:
    """Statistics of an array (z, y, x, c) float32. `bright` is computed from about 4000 voxels."""
    nz, c = array.shape[0], array.shape[-1]
    low, high, total = np.empty((nz, c), np.float32), np.empty((nz, c), np.float32), np.empty((nz, c))
    compiled.over(nz, array.size, lambda start, stop: loops.statistics(array, low, high, total, start, stop))
    flat = array.reshape(-1, c)
    sample = np.sort(flat[:: max(1, len(flat) // 4096)], axis=0)
    low = low.min(0)
    bright = np.maximum(sample[min(len(sample) - 1, int(len(sample) * BRIGHT / 100))], low)
    return Statistics(low, high.max(0), total.sum(0) / len(flat), bright)


def stream(drawn: dict, place: int) -> np.random.Generator:
    """The random generator of one transform, from the `seed` that was drawn."""
    return np.random.default_rng([drawn["seed"], place])


def change(array: np.ndarray, before: np.ndarray, drawn: dict, spacing, kinds: int | None = None) -> np.ndarray:
    """Apply the intensity transforms of a draw to an array (z, y, x, c) float32; returns an array of its shape.

    before: the image before the spatial transforms, whose ranges are used. spacing: mm, (z, y, x). kinds: number of
    different sequences among the channels; the channels after them repeat these sequences in other slices and are
    changed alike. None: all channels differ. `array` is overwritten unless it is `before` itself.
    """
    stats = statistics(before)
    kinds = kinds or array.shape[-1]
    result = np.empty_like(array) if array is before else array
    bands, ghosts = _bands(drawn, array.shape[:3], spacing), _ghosts(drawn, array.shape[:3])
    share = np.float32(drawn.get("ghosting", 0))
    toned = any(name in drawn for name in (*TONES, "histogram", "bias"))
    if toned or bands[1].size or bands[2].size or ghosts[1] or ghosts[2]:
        _planes(array, result, drawn, stats, kinds, bands, ghosts, share, toned)
        array = result
    if bands[0].size or ghosts[0] or "rician" in drawn or "noise" in drawn:
        _columns(array, result, drawn, stats, bands[0], ghosts[0], share)
        array = result
    if array is before:
        array = array.copy()
    if "cutout" in drawn:
        _cut(array, drawn, stats.low)
    if "dropout" in drawn and kinds > 1:
        for kind in stream(drawn, 5).permutation(kinds)[: min(int(drawn["dropout"]), kinds - 1)]:
            array[..., kind::kinds] = stats.low[kind::kinds]
    return array


def curve(drawn: dict, values: np.ndarray, low: float, high: float, mean: float, bright: float) -> np.ndarray:
    """Apply TONES and `histogram` to rising values, float64, of a channel with these four statistics."""
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
    """The draw for each kind of channel: the same, or with `tones` apart, each factor to a power of its own."""
    if drawn.get("tones") != "apart":
        return [drawn] * kinds
    powers = stream(drawn, 9).uniform(-1, 1, (kinds, len(TONES)))
    return [drawn | {name: drawn[name] ** power for name, power in zip(TONES, row, strict=True) if name in drawn}
            for row in powers]


def _planes(array, result, drawn: dict, stats: Statistics, kinds: int, bands, ghosts, share, toned: bool) -> None:
    """Transforms within a plane: curve and bias field, band matrices along x and y and their ghosts."""
    nz, ny, nx, c = array.shape
    table = _table(drawn, stats, kinds) if toned else np.empty((0, 0), np.float32)
    scale = (STEPS / np.where(stats.high > stats.low, stats.high - stats.low, 1)).astype(np.float32)
    points, bases = _field(drawn, array.shape)
    _, down, weights = bands
    k = weights.shape[1]
    across = np.zeros((-(-k // 4) * 4 if weights.size else 0, nx * c), np.float32)
    if weights.size:
        across[:k] = np.repeat(weights.T, c, axis=1)
    source, target = array.reshape(nz, ny, nx * c), result.reshape(nz, ny, nx * c)
    compiled.over(nz, array.size, lambda start, stop: loops.planes(
        source, target, c, table, stats.low, scale, points, *bases, across, k // 2, down, ghosts[2], ghosts[1], share,
        start, stop))


def _table(drawn: dict, stats: Statistics, kinds: int) -> np.ndarray:
    """The curve of each channel at even steps from lowest to highest, less the lowest: (c, STEPS + 1) float32.

    The error of linear interpolation for a gamma of 0.5 is up to 0.6 % of the range next to the lowest value, and less
    than 0.01 % from a hundredth of the range on.
    """
    each = _of_kinds(drawn, kinds)
    table = np.empty((len(stats.low), STEPS + 1), np.float32)
    for i, row in enumerate(table):
        four = [float(part[i]) for part in (stats.low, stats.high, stats.mean, stats.bright)]
        row[:] = curve(each[i % kinds], np.linspace(four[0], four[1], STEPS + 1), *four) - four[0]
    return table


def _field(drawn: dict, shape) -> tuple[np.ndarray, tuple]:
    """The bias field for an array of this shape, as loops.planes takes it: control points along z and y for each value
    of a row, and the bases along these axes."""
    *size, c = shape
    cells = [1 if n == 1 else COILS for n in size]
    bases = (*splines.basis(size[0], cells[0]), *splines.basis(size[1], cells[1]))
    if "bias" not in drawn:
        return np.empty((0, 0, 0), np.float32), bases
    away = stream(drawn, 6).uniform(-1, 1, splines.control_shape(size, cells))
    first, weights = splines.basis(size[2], cells[2])
    rows = (np.exp(drawn["bias"] * away)[..., first[:, None] + np.arange(4)] * weights).sum(-1)
    return np.repeat(rows, c, axis=-1).astype(np.float32), bases


def _columns(array, result, drawn: dict, stats: Statistics, band, ghosts: int, share) -> None:
    """Transforms along z, and noise."""
    nz, c = array.shape[0], array.shape[-1]
    source, target = array.reshape(nz, -1), result.reshape(nz, -1)
    n = source.shape[1]
    block = -(-min(n, max(BLOCK[1], min(BLOCK[2], BLOCK[0] // nz))) // c) * c  # whole voxels
    width = stats.bright - stats.low
    deviations, seeds = np.zeros((2, c), np.float32), np.zeros(2, np.uint32)
    for i, name in enumerate(("rician", "noise")):
        if name in drawn:
            deviations[i] = np.float32(drawn[name]) * width
            seeds[i] = stream(drawn, 2 + i).integers(1 << 32)
    compiled.over(-(-n // block), array.size, lambda start, stop: loops.columns(
        source, target, block, band, ghosts, share, seeds, deviations, stats.low, start, stop))


def _bands(drawn: dict, size, spacing) -> list[np.ndarray]:
    """The band matrix of blur, low resolution and sharpening along each axis: rows (n, 2 r + 1) float32.

    (0, 0) where they do nothing.
    """
    coarser = [1.0, *drawn["low_resolution"]][-3:] if "low_resolution" in drawn else (1.0,) * 3
    amount = drawn.get("sharpen", 0) / (3 if size[0] > 1 else 2)
    matrices = []
    for n, mm, times in zip(size, spacing, coarser, strict=True):
        if n == 1 or (times == 1 and not amount and "blur" not in drawn):
            matrices.append(np.empty((0, 0), np.float32))
            continue
        band = np.ones((n, 1)) if times == 1 else _coarse(n, times)
        if "blur" in drawn:
            band = _blurred(band, drawn["blur"] / mm)
        if amount:
            band = _sharpened(band, amount)
        used = np.flatnonzero(np.abs(band).max(0) > NEGLIGIBLE)
        spare = min(used[0], band.shape[1] - 1 - used[-1])
        matrices.append(np.ascontiguousarray(band[:, spare : band.shape[1] - spare], np.float32))
    return matrices


def _sharpened(band: np.ndarray, amount: float) -> np.ndarray:
    """A band matrix followed by an unsharp mask: each value plus `amount` times its difference from the mean of its two
    neighbours along the axis; border values repeat."""
    n, width = band.shape
    wide = np.zeros((n, width + 2))
    wide[:, 1:-1] = (1 + amount) * band
    wide[1:, :-2] -= amount / 2 * band[:-1]
    wide[:-1, 2:] -= amount / 2 * band[1:]
    wide[[0, -1], 1:-1] -= amount / 2 * band[[0, -1]]
    return wide


def _blurred(band: np.ndarray, sd: float) -> np.ndarray:
    """A band matrix followed by a Gaussian cut at 3 deviations; border values repeat, as in scipy.ndimage."""
    n, width = band.shape
    r = int(3 * sd + 0.5)
    weights = np.exp(-0.5 * (np.arange(-r, r + 1) / max(sd, 1e-6)) ** 2)
    wide = np.zeros((n, width + 2 * r))
    for k, weight in enumerate(weights / weights.sum()):
        wide[:, k : k + width] += weight * band
    places = np.arange(n)[:, None] + np.arange(width + 2 * r) - (width // 2 + r)
    for end, beyond in ((0, places < 0), (n - 1, places >= n)):  # places outside count for the border
        rows = np.flatnonzero(beyond.any(1))
        wide[rows, end - places[rows, 0]] += (wide[rows] * beyond[rows]).sum(1)
    return np.where((places >= 0) & (places < n), wide, 0)


def _coarse(n: int, times: float) -> np.ndarray:
    """The band matrix of averaging over voxels `times` as large and interpolating linearly between them."""
    few = max(1, round(n / times))
    edges = np.arange(few + 1) * (n / few)
    place = np.clip((np.arange(n) + 0.5) * (few / n) - 0.5, 0, few - 1)
    first = np.minimum(place.astype(int), max(few - 2, 0))
    part = (place - first)[:, None]
    r = min(n, int(2 * n / few) + 1)
    voxels = np.arange(n)[:, None] + np.arange(-r, r + 1)

    def share(cell):
        """The weight of each voxel in the mean over a cell; 0 outside the image."""
        overlap = np.minimum(voxels + 1, edges[cell + 1, None]) - np.maximum(voxels, edges[cell, None])
        return np.maximum(overlap, 0) * (few / n)

    return (1 - part) * share(first) + part * share(np.minimum(first + 1, few - 1))


def _ghosts(drawn: dict, size) -> list[int]:
    """The number of ghosts along each axis: two to five along one of them, as from k-space lines of one period that
    differ from the rest."""
    counts = [0, 0, 0]
    axes = [axis for axis in range(3) if size[axis] > 1]
    if "ghosting" in drawn and axes:
        chance = stream(drawn, 7)
        counts[axes[int(chance.integers(len(axes)))]] = int(chance.integers(2, 6))
    return counts


def _cut(array: np.ndarray, drawn: dict, low: np.ndarray) -> None:
    places = stream(drawn, 8).random(3)
    hole = []
    for n, place in zip(array.shape[:3], places, strict=True):
        side = min(n, max(1, round(n * drawn["cutout"])))
        start = int(place * (n - side + 1))
        hole.append(slice(start, start + side))
    array[tuple(hole)] = low
