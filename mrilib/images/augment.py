"""Augmentation: more cases from few, by transforms drawn at random. On disk and in training the very same.

What is drawn depends on the generator alone, and generator() on seed, case id and copy number alone. Flip,
rotate, shear, scale and shift are composed into one resampling about the image's centre (images.affine). The
intensity transforms follow it in the order of INTENSITY and are those of nnU-Net (Isensee et al., Nature
Methods 18, 2021): blur, contrast about the mean, brightness as a gain above the lowest value (air stays
air), gamma of the values scaled to 0..1, Gaussian noise.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.images import affine
from mrilib.images.foreground import finite
from mrilib.images.grid import Grid, Image

MEANING = {
    "flip": "axes to mirror, each by chance: lr ud (volumes: ap too)",
    "rotate": "angle, in degrees",
    "shear": "angle of shear, in degrees",
    "scale": "factor of size",
    "shift": "distance along each axis, in mm or % of the image",
    "blur": "standard deviation of a Gaussian, in mm or % of the image",
    "contrast": "factor about the mean",
    "brightness": "factor above the lowest value",
    "gamma": "exponent of the values scaled to 0..1",
    "noise": "standard deviation of Gaussian noise, of the range of values",
}
INTENSITY = ("blur", "contrast", "brightness", "gamma", "noise")
FACTORS = ("scale", "contrast", "brightness", "gamma")  # a number n stands for 1 - n : 1 + n
STRENGTHS = ("blur", "noise")  # a number n stands for 0 : n; the rest: -n : n
LENGTHS = ("shift", "blur")  # may be given in %
LIMITS = {"rotate": (-360, 360), "shear": (-80, 80), "scale": (0.05, 20), "contrast": (0.01, 100),
          "brightness": (0.01, 100), "gamma": (0.01, 100), "noise": (0, 10), "blur": (0, math.inf),
          "shift": (-math.inf, math.inf)}  # fmt: skip
FLIP_CHANCE = 0.5
BRIGHT = 99.5  # percentile that stands for the brightest

PRESETS: dict[str, dict] = {
    "none": {},
    "light": {"flip": "lr", "rotate": "8", "scale": "0.9:1.1", "shift": "3%", "gamma": "0.82:1.22"},
    "medium": {"flip": "lr", "rotate": "15", "shear": "5", "scale": "0.85:1.15", "shift": "8%",
               "contrast": "0.8:1.2", "brightness": "0.8:1.2", "gamma": "0.75:1.35"},
    "heavy": {"flip": "lr,ud", "rotate": "30", "shear": "10", "scale": "0.75:1.3", "shift": "12%",
              "blur": "0:0.6%@0.3", "contrast": "0.65:1.5", "brightness": "0.7:1.3", "gamma": "0.6:1.6",
              "noise": "0.08@0.3"},
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """Values from low to high, drawn evenly (factors evenly in their logarithm), with a probability."""

    low: float
    high: float
    probability: float = 1.0
    percent: bool = False

    def __str__(self) -> str:
        text = f"{self.low:g}:{self.high:g}" + ("%" if self.percent else "")
        return text if self.probability == 1 else f"{text}@{self.probability:g}"


@dataclass(frozen=True)
class Settings:
    """What may happen to an image. flips: names of affine.FLIPS, each with flip_chance. ranges: by transform."""

    flips: tuple[str, ...] = ()
    flip_chance: float = FLIP_CHANCE
    ranges: dict[str, Range] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.flips or self.ranges)

    def as_dict(self) -> dict[str, str]:
        """The settings as settings() takes them: plain text for each transform."""
        chance = "" if self.flip_chance == FLIP_CHANCE else f"@{self.flip_chance:g}"
        flip = {"flip": ",".join(self.flips) + chance} if self.flips else {}
        return flip | {name: str(self.ranges[name]) for name in MEANING if name in self.ranges}


def settings(given: str | Path | Mapping | Settings) -> Settings:
    """Settings from a preset's name, a .toml or .json file, or a mapping of transforms to numbers and ranges.

    A value is a number (rotate, shear, shift: -n to n; scale, contrast, brightness, gamma: 1-n to 1+n; noise,
    blur: 0 to n), a pair or "a:b"; "%" behind it makes shift and blur relative to the image; "@p" behind all is
    the probability. flip: "lr", "ud", "ap" joined by commas. A key `preset` starts from a named set, and
    "none" as a value takes a transform out of it. Raises UsageError for an unknown name, a range that makes no
    sense and a transform that does nothing.
    """
    if isinstance(given, Settings):
        return given
    if isinstance(given, (str, Path)):
        if given in PRESETS:
            return settings(PRESETS[given])
        if Path(given).suffix not in (".toml", ".json"):
            raise UsageError(f"unknown augmentation {given}",
                             remedy=f"choose from {' '.join(PRESETS)}, or give a .toml or .json file")
        return settings(read(Path(given)))
    given = dict(given)
    start = given.pop("preset", "none")
    if start not in PRESETS:
        raise UsageError(f"unknown preset {start}", remedy=f"choose from {' '.join(PRESETS)}")
    given = {**PRESETS[start], **given}
    flips, chance, ranges = (), FLIP_CHANCE, {}
    for name, value in given.items():
        if name not in MEANING:
            raise UsageError(f"unknown transform {name}", remedy=f"choose from {' '.join(MEANING)}")
        if value == "none":
            continue
        if name == "flip":
            flips, chance = _flips(value)
        else:
            ranges[name] = _range(name, value)
    return Settings(flips, chance, ranges)


def read(path: Path) -> dict:
    """The settings in a .toml or .json file. Raises UsageError when it cannot be read as such."""
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text) if Path(path).suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read as settings: {error}", where=path) from error
    if not isinstance(found, dict):
        raise UsageError("holds no settings", where=path, remedy='such as {"rotate": 15}')
    return found


def _flips(value) -> tuple[tuple[str, ...], float]:
    text, chance = _chance("flip", ",".join(value) if isinstance(value, (list, tuple)) else str(value), FLIP_CHANCE)
    names = tuple(dict.fromkeys(text.replace(" ", "").split(",")))
    if strange := [name for name in names if name not in affine.FLIPS]:
        raise UsageError(f"flip {strange[0]!r} is unknown", remedy=f"choose from {' '.join(affine.FLIPS)}")
    return names, chance


def _chance(name: str, text: str, default: float) -> tuple[str, float]:
    text, at, chance = text.partition("@")
    try:
        probability = float(chance) if at else default
    except ValueError:
        probability = math.nan
    if not 0 < probability <= 1:
        raise UsageError(f"{name} {text}@{chance}: a probability is above 0 and at most 1")
    return text, probability


def _range(name: str, value) -> Range:
    text = ":".join(str(v) for v in value) if isinstance(value, (list, tuple)) else str(value)
    body, probability = _chance(name, text, 1.0)
    percent = body.endswith("%")
    try:
        numbers = [float(v.rstrip("%")) for v in body.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or isinstance(value, bool) or not all(map(math.isfinite, numbers)):
        raise UsageError(f"{name} {text} is neither a number nor a range", remedy="such as 15, 0.9:1.1 or 15@0.5")
    if percent and name not in LENGTHS:
        raise UsageError(f"{name} {text}: only {' and '.join(LENGTHS)} may be given in %")
    neutral = 1.0 if name in FACTORS else 0.0
    if len(numbers) == 1:
        if numbers[0] < 0:
            raise UsageError(f"{name} {text}: a single number is how far to go either way, so not below 0")
        low, high = neutral if name in STRENGTHS else neutral - numbers[0], neutral + numbers[0]
    else:
        low, high = numbers
    if low > high:
        raise UsageError(f"{name} {text} runs from high to low", remedy=f"write {high:g}:{low:g}")
    if low == high == neutral:
        raise UsageError(f"{name} {text} does nothing", remedy="leave it out")
    least, most = LIMITS[name]
    if low < least or high > most:
        raise UsageError(f"{name} {low:g}:{high:g} is beyond {least:g}:{most:g}",
                         remedy="write a range such as 0.9:1.1" if name in FACTORS else None)
    return Range(round(low, 9), round(high, 9), probability, percent)


def generator(seed: int, case_id: str, copy: int) -> np.random.Generator:
    """The generator of one copy of a case: whoever draws it, in whatever order, draws the same."""
    name = f"{seed}\0{copy}\0{case_id}".encode("utf-8", "surrogateescape")
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:16], "little"))


def draw(settings: Settings, rng: np.random.Generator, grid: Grid) -> dict:
    """Draw what happens to one image: a dict of plain JSON values, holding only the transforms that happen.

    Lengths are in mm of the grid. Each transform takes its share of chance whether it is set or not, so that
    setting one leaves the draws of the others as they are.
    """
    n = grid.dimension
    extent = np.multiply(grid.size, grid.spacing)
    numbers = {"rotate": len(affine.planes(n)), "shear": n * (n - 1), "shift": n}
    drawn: dict = {}
    flips = rng.random(len(affine.FLIPS))
    if wrong := [name for name in settings.flips if name == "ap" and n == 2]:
        raise UsageError(f"flip {wrong[0]} is for volumes", remedy="a picture has lr and ud")
    if flip := [f for f, u in zip(affine.FLIPS, flips, strict=True) if f in settings.flips
                and u < settings.flip_chance]:  # fmt: skip
        drawn["flip"] = flip
    for name in (*affine.SPATIAL[1:], *INTENSITY):
        count = numbers.get(name, 1)
        chance, *places = rng.random(1 + count).tolist()
        about = settings.ranges.get(name)
        if about is None or chance >= about.probability:
            continue
        values = [_between(about, place, name in FACTORS) for place in places]
        if about.percent:
            size = extent if name == "shift" else [extent.min()]
            values = [v * float(e) / 100 for v, e in zip(values, size, strict=True)]
        values = [round(v, 6) for v in values]
        drawn[name] = values if name in numbers else values[0]
    seed = int(rng.integers(1 << 32))
    if "noise" in drawn:
        drawn["noise_seed"] = seed
    return drawn


def _between(about: Range, place: float, factor: bool) -> float:
    if factor:
        return about.low * (about.high / about.low) ** place
    return about.low + (about.high - about.low) * place


def apply(image: Image, drawn: dict, *, label: bool = False) -> Image:
    """The image (z, y, x[, c]) or (y, x[, c]) as drawn says, on the same grid; float32 but for flips alone.

    label: it is a label map: moved with the nearest value, 0 beyond the image, no new values, same type.
    Raises CaseError for NaN or an empty image.
    """
    if label:
        return image.with_array(_spatial(image.array, drawn, image.grid, nearest=True))
    array = finite(image)
    result = _intensity(array, _spatial(array, drawn, image.grid), drawn, image.grid.spacing)
    return image.with_array(result.reshape(image.array.shape))


def apply_array(array: np.ndarray, drawn: dict, spacing) -> np.ndarray:
    """The same for an array with a channel axis, (y, x, c) or (z, y, x, c) float32, that holds no NaN.

    spacing: mm in array order. Returns a new float32 array.
    """
    grid = Grid.of(array.shape[:-1], tuple(spacing))
    return _intensity(array, _spatial(array, drawn, grid), drawn, spacing)


def apply_pair(array: np.ndarray, label: np.ndarray | None, drawn: dict, spacing) -> tuple:
    """An image and its label map moved by the same transform: (array, label).

    array: (y, x, c) or (z, y, x, c) float32 without NaN. label: (y, x) or (z, y, x) of whole numbers, or None,
    which comes back as None; it gets no new values, 0 beyond the image, and no intensity transform. spacing: mm in
    array order. Returns new arrays, float32 and of the label's own type.
    """
    if label is not None and label.shape != array.shape[:-1]:
        raise ValueError(f"label {label.shape} does not lie on an image of {array.shape[:-1]}")
    grid = Grid.of(array.shape[:-1], tuple(spacing))
    moved = None if label is None else _spatial(label, drawn, grid, nearest=True)
    return apply_array(array, drawn, spacing), moved


def _spatial(array: np.ndarray, drawn: dict, grid: Grid, nearest: bool = False) -> np.ndarray:
    if not any(name in drawn for name in affine.SPATIAL):
        return array.copy()
    matrix, offset = affine.index_map(drawn, grid)
    return affine.sample(array, matrix, offset, nearest=nearest)


def _intensity(before: np.ndarray, array: np.ndarray, drawn: dict, spacing) -> np.ndarray:
    """The intensity transforms of a spatially moved array, each channel by its range before the move."""
    if not any(name in drawn for name in INTENSITY):
        return array
    array = np.array(array, np.float32, order="C")
    noise = np.random.default_rng(drawn["noise_seed"]) if "noise" in drawn else None
    for i in range(array.shape[-1]):
        low, high = _range_of(before[..., i])
        values = array[..., i]
        if "blur" in drawn:
            from scipy import ndimage

            values = ndimage.gaussian_filter(values, np.divide(drawn["blur"], spacing), mode="nearest", truncate=3)
        if "contrast" in drawn:
            mean = values.mean(dtype=np.float64)
            edges = float(values.min()), float(values.max())
            values = (values - np.float32(mean)) * np.float32(drawn["contrast"]) + np.float32(mean)
            np.clip(values, *edges, out=values)
        if "brightness" in drawn:
            values = (values - low) * np.float32(drawn["brightness"]) + low
        if "gamma" in drawn and high > low:
            share = np.maximum((values - low) * (1 / (high - low)), 0)
            values = share ** np.float32(drawn["gamma"]) * (high - low) + low
        if noise is not None:
            sd = np.float32(drawn["noise"]) * (high - low)
            values = values + noise.standard_normal(values.shape, np.float32) * sd
        array[..., i] = values
    return array


def _range_of(channel: np.ndarray) -> tuple[np.float32, np.float32]:
    """The lowest value, and the brightest but for half a percent, looked up on some 4000 of the voxels."""
    flat = channel.ravel()
    some = np.sort(flat[:: max(1, flat.size // 4096)])
    high = some[min(len(some) - 1, int(len(some) * BRIGHT / 100))]
    low = flat.min()
    return np.float32(low), np.float32(max(high, low))


