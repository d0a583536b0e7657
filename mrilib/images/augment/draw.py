"""Random augmentation, the same on disk and in training: draw the transforms of an image, and apply them.

A draw depends on the generator only, and generator() on the random seed, the case id and the number of the copy.
Spatial transforms are composed into one resampling (augment.warp); intensity transforms follow (augment.appearance).
augment.transforms lists the transforms and their settings.
"""

from __future__ import annotations

import hashlib
from itertools import permutations

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.augment import affine, warp
from mrilib.images.augment.transforms import DRAWN, FACTORS, INTENSITY, MEANING, NUMBERS, TONES, WIDTH, Range, Settings
from mrilib.images.grid import Grid

SEEDED = ("elastic", "histogram", "bias", "ghosting", "noise", "rician", "cutout", "dropout",
          "tones")  # these draw further numbers
CHANCES = len(affine.FLIPS) + sum(1 + NUMBERS.get(name, 1) for name in MEANING if name != "flip")
THICK = 3  # ratio of voxel sides, or of extents, from which a volume is not tilted (as in nnU-Net)
MOST_PERSPECTIVE = 0.25  # share of the shorter side: a corner moved further may fold the picture


def generator(seed: int, case_id: str, copy: int) -> np.random.Generator:
    """The random generator of one copy of a case; it does not depend on the order of the cases."""
    name = f"{seed}\0{copy}\0{case_id}".encode("utf-8", "surrogateescape")
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:16], "little"))


def draw(settings: Settings, rng: np.random.Generator, grid: Grid, head: np.ndarray | None = None) -> dict:
    """Draw the transforms of one image: a dict of plain JSON values with only the transforms that happen.

    Axes are those of the image, lengths are mm of its grid. Every transform consumes its random numbers whether it is
    set or not, so setting one does not change the draws of the others. A volume with thick slices, or few, is rotated
    and sheared within its slices only: tilting would cut its ends off and blur its slices. head: (m, n) indices of the
    outermost voxels of the head (foreground.outline); the shift then keeps as much of the head as possible in the
    image. Raises UsageError for a transform that an image of this grid cannot have.
    """
    grid = Grid.of(grid.size, grid.spacing)
    n = grid.dimension
    extent = np.multiply(grid.size, grid.spacing)
    numbers = {"rotate": len(affine.planes(n)), "shear": n * (n - 1), "stretch": n, "shift": n, "perspective": 8,
               "low_resolution": n}  # fmt: skip
    _check(settings, grid)
    across = _across(grid)
    tilting = {"rotate": affine.planes(n), "shear": list(permutations(range(n), 2))} if across is not None else {}
    chances = iter(rng.random(CHANCES))
    drawn: dict = {}
    flips = [next(chances) for _ in affine.FLIPS]
    if flip := [name for name, u in zip(affine.FLIPS, flips, strict=True) if name in settings.flips
                and u < settings.flip_chance]:  # fmt: skip
        drawn["flip"] = flip
    for name in MEANING:
        if name == "flip":
            continue
        chance, *places = (float(next(chances)) for _ in range(1 + NUMBERS.get(name, 1)))
        drawn_from = settings.ranges.get(name)
        if name == "elastic_width" and "elastic" in drawn:
            drawn_from, chance = drawn_from or WIDTH, 0.0
        elif name == "elastic_width":
            continue
        if drawn_from is None or chance >= drawn_from.probability:
            continue
        values = [_between(drawn_from, place, name) for place in places[: numbers.get(name, 1)]]
        if name in tilting:
            values = [0.0 if across in pair else v for v, pair in zip(values, tilting[name], strict=True)]
        if drawn_from.percent:
            size = extent if name == "shift" else np.tile(extent, 4) if name == "perspective" else [extent.min()]
            values = [v * float(e) / 100 for v, e in zip(values, size, strict=True)]
        values = [round(v, 6) for v in values]
        drawn[name] = values if name in numbers else values[0]
    if head is not None and warp.moves(drawn):
        _keep_in_view(drawn, grid, head)
    seed = int(rng.integers(1 << 32))
    for name, value in settings.choices.items():
        if any(tone in drawn for tone in TONES) if name == "tones" else warp.moves(drawn):
            drawn[name] = value
    if any(name in drawn for name in SEEDED):
        drawn["seed"] = seed
    return {name: drawn[name] for name in DRAWN if name in drawn}


def _between(limits: Range, place: float, name: str) -> float:
    if name in FACTORS:
        return limits.low * (limits.high / limits.low) ** place
    if name == "dropout":
        return limits.low + int((limits.high - limits.low + 1) * place)
    return limits.low + (limits.high - limits.low) * place


def _across(grid: Grid) -> int | None:
    """The axis across the slices of a slab or of a volume with thick slices; None for any other image."""
    extent = np.multiply(grid.size, grid.spacing)
    if grid.dimension == 2:
        return None
    if max(grid.spacing) >= THICK * min(grid.spacing):
        return int(np.argmax(grid.spacing))
    return int(np.argmin(extent)) if extent.max() >= THICK * extent.min() else None


def _check(settings: Settings, grid: Grid) -> None:
    """Raise UsageError for settings that an image of this grid cannot have, whatever is drawn."""
    if grid.dimension == 2 and "ap" in settings.flips:
        raise UsageError("flip ap is for volumes", remedy="a picture has lr and ud")
    if grid.dimension == 3 and "perspective" in settings.ranges:
        raise UsageError("perspective is for pictures", remedy="leave it out for volumes")
    shortest = float(np.multiply(grid.size, grid.spacing).min())

    def mm(value: float, limits: Range) -> float:
        return value * shortest / 100 if limits.percent else value

    if elastic := settings.ranges.get("elastic"):
        width = settings.ranges.get("elastic_width", WIDTH)
        distance, apart = mm(elastic.high, elastic), mm(width.low, width)
        if distance > warp.FOLDS * apart:
            raise UsageError(f"elastic {distance:g} mm with points {apart:g} mm apart may fold the image",
                             remedy=f"at most {warp.FOLDS:g} of elastic_width")
    if limits := settings.ranges.get("perspective"):
        distance = mm(max(-limits.low, limits.high), limits)
        if distance > MOST_PERSPECTIVE * shortest:
            raise UsageError(f"perspective {distance:g} mm is more than a quarter of the picture",
                             remedy="it may turn it inside out")


def _keep_in_view(drawn: dict, grid: Grid, head: np.ndarray) -> None:
    """Set the shift so that as much of the moved head as possible lies within the image."""
    matrix, offset = affine.index_map(drawn, grid)
    at = np.linalg.solve(matrix, (head - offset).T).T
    low, high, last = at.min(0), at.max(0), np.subtract(grid.size, 1)
    fits = high - low <= last
    back = np.where(fits, np.maximum(0, -low) - np.maximum(0, high - last), (last - low - high) / 2)
    if np.abs(back).max() > 1e-6:
        shift = np.add(drawn.get("shift", [0.0] * grid.dimension), grid.matrix() @ back)
        drawn["shift"] = [round(float(v), 6) for v in shift]


def apply_pair(array: np.ndarray, label: np.ndarray | None, drawn: dict, spacing, kinds: int | None = None) -> tuple:
    """Apply a draw to an image and its label map: (array, label).

    array: (y, x, c) or (z, y, x, c) float32 without NaN. label: (y, x) or (z, y, x) of whole numbers, or None, which is
    returned as None; it is only moved, and 0 beyond its border. spacing: mm in array order; axes are those of the
    image. kinds: see appearance.change. Returns new arrays, float32 and of the type of the label. Volumes use several
    threads, pictures one; the interpreter lock is released.
    """
    if label is not None and label.shape != array.shape[:-1]:
        raise ValueError(f"label {label.shape} does not lie on an image of {array.shape[:-1]}")
    grid = Grid.of(array.shape[:-1], tuple(spacing))
    before = np.ascontiguousarray(array, np.float32)
    if warp.moves(drawn):
        array, label = warp.warp(before, label, drawn, grid)
    else:
        array, label = before, None if label is None else label.copy()
    if not any(name in drawn for name in INTENSITY):
        return array.copy() if array is before else array, label
    from mrilib.images.augment.appearance import change

    flat = grid.dimension == 2
    shape, spacing = ((1, *array.shape), (1.0, *grid.spacing)) if flat else (array.shape, grid.spacing)
    whole = before.reshape(shape)
    moved = whole if array is before else np.ascontiguousarray(array).reshape(shape)
    return change(moved, whole, drawn, spacing, kinds).reshape(array.shape), label
