"""Augmentation: what may be done to an image, what was drawn, and doing it, for files and for training alike.

Settings say for each transform a range and a probability; `draw` picks numbers from them, plain ones that can be
written down and replayed; `apply` does what was drawn. All spatial transforms are one resampling about the middle
of the image, in mm and degrees, so that anisotropic voxels do not distort it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.foreground import border
from mrilib.images.grid import Image


@dataclass(frozen=True)
class Kind:
    """What one transform takes: `one` says what a single number means, and `low` to `high` what makes sense."""

    one: str  # "either way" v: -v to v; "ratio" v: 1/v to v; "up to" v: 0 to v
    nothing: float
    low: float
    high: float
    unit: str


SPATIAL = {
    "rotate": Kind("either way", 0, -180, 180, "degrees, counter-clockwise; volumes: about each axis"),
    "shear": Kind("either way", 0, -60, 60, "degrees"),
    "scale": Kind("ratio", 1, 0.1, 10, "times"),
    "shift": Kind("either way", 0, -100, 100, "percent of the image's extent, along each axis"),
}
INTENSITY = {
    "brightness": Kind("either way", 0, -2, 2, "added, in units of the image's range"),
    "contrast": Kind("ratio", 1, 0.05, 20, "times, about the mean"),
    "gamma": Kind("ratio", 1, 0.05, 20, "exponent, of the image's range"),
    "blur": Kind("up to", 0, 0, 50, "mm, standard deviation of a Gaussian"),
    "noise": Kind("up to", 0, 0, 2, "standard deviation, in units of the image's range"),
}
KINDS = {**SPATIAL, **INTENSITY}
AXES = "xyz"
PRESETS: dict[str, dict[str, str]] = {
    "none": {},
    "light": {"flip": "x@0.5", "rotate": "10", "scale": "0.9:1.1", "shift": "5"},
    "medium": {"flip": "x@0.5", "rotate": "15", "shear": "5@0.5", "scale": "0.85:1.15", "shift": "8",
               "brightness": "0.1@0.5", "contrast": "0.8:1.25@0.5", "gamma": "0.75:1.33@0.5"},
    "heavy": {"flip": "xy@0.5", "rotate": "30", "shear": "10@0.5", "scale": "0.75:1.3", "shift": "10",
              "brightness": "0.15@0.5", "contrast": "0.65:1.5@0.5", "gamma": "0.6:1.7@0.5",
              "blur": "1@0.2", "noise": "0.05@0.2"},
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A transform's numbers, evenly drawn (by their logarithm for a ratio), and how often it happens at all."""

    low: float
    high: float
    probability: float = 1.0


@dataclass(frozen=True)
class Settings:
    """flip: the axes, of "xyz", and how often each is flipped. ranges: the other transforms by name."""

    ranges: dict[str, Range]
    flip: str = ""
    flip_probability: float = 0.5

    def __bool__(self) -> bool:
        return bool(self.ranges or self.flip)

    def as_dict(self) -> dict[str, str]:
        """As `settings` takes it back, and as a settings file holds it."""
        texts = {"flip": f"{self.flip}@{self.flip_probability:g}"} if self.flip else {}
        for name, r in self.ranges.items():
            texts[name] = f"{r.low:g}:{r.high:g}@{r.probability:g}"
        return texts


def settings(given: str | dict) -> Settings:
    """Settings from a preset's name or from {transform: text}, as `15`, `0.9:1.1`, `-5:5@0.3` (range @ probability).

    Raises UsageError for an unknown name, a text that is no range, one that makes no sense or does nothing.
    """
    if isinstance(given, str):
        if given not in PRESETS:
            raise UsageError(f"unknown preset {given}", remedy=f"choose from {' '.join(PRESETS)}")
        given = PRESETS[given]
    ranges, flip, flip_probability = {}, "", 0.5
    for name, value in given.items():
        text = ":".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        if name == "flip":
            axes, _, often = text.partition("@")
            flip = axes.replace(",", "")
            flip_probability = _number(often, "flip") if often else 0.5
            if not flip or set(flip) - set(AXES) or not 0 < flip_probability <= 1:
                raise UsageError(f"flip {text}: not axes of {AXES}, and a probability above 0", remedy="such as x@0.5")
            flip = "".join(sorted(set(flip)))
        elif name in KINDS:
            ranges[name] = _range(name, text)
        else:
            raise UsageError(f"unknown transform {name}", remedy=f"known: flip {' '.join(KINDS)}")
    return Settings(ranges, flip, flip_probability)


def read_settings(path) -> Settings:
    """Settings from a TOML or JSON file of transform = range. Raises UsageError when it cannot be right."""
    import json
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8")
        given = json.loads(text) if str(path).endswith(".json") else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read as settings: {error}", where=path) from error
    try:
        return settings(given)
    except UsageError as error:
        raise UsageError(error.what, where=path, remedy=error.remedy) from error


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{name} {text}: not a number", remedy="such as 15, 0.9:1.1 or -5:5@0.3") from error


def _range(name: str, text: str) -> Range:
    kind = KINDS[name]
    numbers, _, often = text.partition("@")
    probability = _number(often, name) if often else 1.0
    parts = [_number(part, name) for part in numbers.split(":")]
    if len(parts) == 1:
        v = parts[0]
        if kind.one == "ratio" and v <= 0:
            raise UsageError(f"{name} {text}: must be above 0")
        parts = {"either way": [-abs(v), abs(v)], "ratio": sorted([v, 1 / (v or 1)]), "up to": [0, v]}[kind.one]
    if len(parts) != 2 or not parts[0] <= parts[1]:
        raise UsageError(f"{name} {text}: not a number or low:high")
    low, high = parts
    if not (kind.low <= low and high <= kind.high):
        raise UsageError(f"{name} {text}: makes no sense", remedy=f"{kind.low:g} to {kind.high:g} {kind.unit}")
    if low == high == kind.nothing or probability == 0:
        raise UsageError(f"{name} {text}: does nothing")
    if not 0 < probability <= 1:
        raise UsageError(f"{name} {text}: a probability is above 0 and at most 1")
    return Range(low, high, probability)


def generator(seed: int, case_id: str, copy: int) -> np.random.Generator:
    """The chance of one copy of one case: the same whatever ran before it, in which process or order."""
    digest = hashlib.sha256(f"{seed}\n{copy}\n{case_id}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def draw(chosen: Settings, rng: np.random.Generator, dimension: int = 2) -> dict:
    """Numbers for one image of 2 or 3 axes, of what happens to it only: plain JSON, in x,y,z order.

    flip: axes; rotate: an angle, or three about x, y, z; shear: an angle for each pair of axes; scale, brightness,
    contrast, gamma, blur: a number; shift: a number an axis; noise: its deviation and its own seed.
    """
    drawn: dict = {}
    counts = {"rotate": 1 if dimension == 2 else 3, "shear": 1 if dimension == 2 else 3, "shift": dimension}
    flipped = "".join(a for a in AXES[:dimension] if a in chosen.flip and rng.random() < chosen.flip_probability)
    if flipped:
        drawn["flip"] = flipped
    for name, kind in KINDS.items():
        limits = chosen.ranges.get(name)
        if limits is None:
            continue
        happens, n = rng.random() < limits.probability, counts.get(name, 1)
        if kind.one == "ratio":
            values = np.exp(rng.uniform(np.log(limits.low), np.log(limits.high), n))
        else:
            values = rng.uniform(limits.low, limits.high, n)
        seed = int(rng.integers(2**31)) if name == "noise" else None  # drawn always, so that others do not move
        if happens:
            values = [round(float(v), 6) for v in values]
            drawn[name] = values if n > 1 else values[0]
            if seed is not None:
                drawn[name] = [values[0], seed]
    return drawn


def affine(drawn: dict, size, spacing) -> tuple[np.ndarray, np.ndarray] | None:
    """Where voxels go: new index = A @ index + b, indices in array order; None when all stay.

    size, spacing (mm): of the image, array order. Order: flip, scale, shear, rotate, shift, about the middle.
    """
    n = len(size)
    if not any(name in drawn for name in ("flip", *SPATIAL)):
        return None
    turn = np.eye(n)  # in mm, array order; the sine's sign makes a positive angle counter-clockwise as displayed
    for axis in drawn.get("flip", ""):
        turn[n - 1 - AXES.index(axis)] *= -1
    turn = turn * drawn.get("scale", 1.0)
    planes = [(0, 1)] if n == 2 else [(0, 1), (0, 2), (1, 2)]
    for (i, j), angle in zip(planes, np.atleast_1d(drawn.get("shear", [0.0] * len(planes))), strict=True):
        slant = np.eye(n)
        slant[j, i] = np.tan(np.deg2rad(angle))
        turn = slant @ turn
    for (i, j), angle in zip(planes, np.atleast_1d(drawn.get("rotate", [0.0] * len(planes))), strict=True):
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        spin = np.eye(n)
        spin[i, i], spin[i, j], spin[j, i], spin[j, j] = c, -s, s, c
        turn = spin @ turn
    spacing, middle = np.asarray(spacing, float), (np.asarray(size) - 1) / 2
    matrix = turn * spacing[None, :] / spacing[:, None]
    shift = np.asarray(drawn.get("shift", [0.0] * n))[::-1] / 100 * np.asarray(size)
    return matrix, middle - matrix @ middle + shift


def apply(image: Image, drawn: dict, label: bool = False) -> Image:
    """The image after what was drawn, on the same grid; float32. A label map (label=True) is moved only, nearest."""
    array = apply_array(image.by_channel(), drawn, image.grid.spacing, label)
    return image.with_array(array.reshape(image.array.shape))


def apply_array(array: np.ndarray, drawn: dict, spacing=None, label: bool = False) -> np.ndarray:
    """`apply` on (y, x, channel) or (z, y, x, channel); spacing in mm, array order, 1 unless given.

    Float32 out, or the label map's own type. What comes in from outside is each channel's lowest value on the
    border, 0 in a label map. The input is not changed; with nothing drawn it is given back as it is.
    """
    n = array.ndim - 1
    moved = affine(drawn, array.shape[:n], spacing or (1.0,) * n)
    result = array if label else np.asarray(array, np.float32)
    if moved is not None:
        result = _resampled(result, *moved, label)
    return result if label else _shaded(result, drawn, spacing or (1.0,) * n)


def moved_boxes(boxes, drawn: dict, size, spacing=None) -> list[list]:
    """Boxes (x0, y0, x1, y1, class) in pixels around the moved corners, cut at the image's border; those left out
    of it are dropped. size, spacing: (y, x)."""
    moved = affine(drawn, size, spacing or (1.0, 1.0))
    if moved is None:
        return [list(box) for box in boxes]
    matrix, offset = moved
    kept = []
    for x0, y0, x1, y1, *rest in boxes:
        corners = np.array([[y, x] for y in (y0, y1) for x in (x0, x1)], float) - 0.5  # pixel edges to centres
        new = corners @ matrix.T + offset + 0.5
        low, high = new.min(0).clip(0, size), new.max(0).clip(0, size)
        if (high > low).all():
            kept.append([float(low[1]), float(low[0]), float(high[1]), float(high[0]), *rest])
    return kept


def _resampled(array: np.ndarray, matrix: np.ndarray, offset: np.ndarray, label: bool) -> np.ndarray:
    """Every voxel of the result taken from where the inverse of index -> matrix @ index + offset says."""
    back = np.linalg.inv(matrix)
    start = -back @ offset
    # what is a whole number but for rounding is one, so that a quarter turn or a flip only moves values
    back, start = (np.where(np.abs(v - np.rint(v)) < 1e-9, np.rint(v), v) for v in (back, start))
    if np.array_equal(np.abs(back), np.eye(len(back))) and np.array_equal(start, np.rint(start)):
        slices = tuple(slice(None, None, int(back[i, i])) for i in range(len(back)))
        if all(start[i] == (0 if back[i, i] > 0 else array.shape[i] - 1) for i in range(len(back))):
            return np.ascontiguousarray(array[slices])  # flips alone
    result = np.empty_like(array)
    for c in range(array.shape[-1]):
        channel = np.ascontiguousarray(array[..., c])
        outside = 0.0 if label else float(border(channel).min())
        result[..., c] = (_move_picture if channel.ndim == 2 else _move_volume)(channel, back, start, outside, label)
    return result


def _move_picture(channel, back, start, outside, label):
    from PIL import Image as Picture

    # Pillow counts from the corner of the first pixel, x before y
    edge = start + 0.5 - back @ np.array([0.5, 0.5])
    row = (back[1, 1], back[1, 0], edge[1], back[0, 1], back[0, 0], edge[0])
    picture = Picture.fromarray(channel.astype(np.int32) if label else channel)
    kind = Picture.Resampling.NEAREST if label else Picture.Resampling.BILINEAR
    moved = picture.transform(picture.size, Picture.Transform.AFFINE, row, kind,
                              fillcolor=int(outside) if label else outside)
    return np.asarray(moved)


def _move_volume(channel, back, start, outside, label):
    import SimpleITK as sitk

    picture = sitk.GetImageFromArray(channel)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(back[::-1, ::-1].ravel().tolist())
    transform.SetTranslation(start[::-1].tolist())
    kind = sitk.sitkNearestNeighbor if label else sitk.sitkLinear
    return sitk.GetArrayFromImage(sitk.Resample(picture, picture, transform, kind, outside, picture.GetPixelID()))


def _shaded(array: np.ndarray, drawn: dict, spacing) -> np.ndarray:
    """The intensity transforms, each channel in units of its own range (lowest to highest value)."""
    if not any(name in drawn for name in INTENSITY):
        return array
    array = array.copy()
    noise = None
    if "noise" in drawn:
        deviation, seed = drawn["noise"]
        noise = np.random.Generator(np.random.PCG64(int(seed))).standard_normal(array.shape, np.float32)
        noise *= np.float32(deviation)
    for c in range(array.shape[-1]):
        channel = array[..., c]
        low, high = float(channel.min()), float(channel.max())
        width = high - low
        if "gamma" in drawn and width > 0:
            channel = ((channel - low) / width) ** np.float32(drawn["gamma"]) * width + low
        if "contrast" in drawn:
            mean = np.float32(channel.mean())
            channel = (channel - mean) * np.float32(drawn["contrast"]) + mean
        if "brightness" in drawn:
            channel = channel + np.float32(drawn["brightness"] * width)
        if "blur" in drawn:
            from scipy import ndimage

            channel = ndimage.gaussian_filter(channel, np.divide(drawn["blur"], spacing), mode="nearest", truncate=3)
        if noise is not None:
            channel = channel + noise[..., c] * np.float32(width)
        array[..., c] = channel
    return array
