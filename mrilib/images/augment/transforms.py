"""The transforms of augmentation: their parameters and limits, settings read from text or files, and presets."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mrilib.errors import UsageError
from mrilib.images.augment import affine
from mrilib.images.augment.names import MEANING

SPATIAL = (*affine.SPATIAL, "perspective", "elastic", "elastic_width")
INTENSITY = tuple(name for name in MEANING if name not in SPATIAL)
# the first of each is the default
CHOICES = {"interpolation": ("linear", "cubic"), "labels": ("nearest", "smooth"), "tones": ("alike", "apart")}
TONES = ("contrast", "brightness", "gamma", "inverse_gamma")  # intensity factors that may differ between channels
NUMBERS = {"rotate": 3, "shear": 6, "stretch": 3, "shift": 3, "perspective": 8, "low_resolution": 3}  # at most
DRAWN = (*MEANING, *CHOICES, "seed")  # keys of a draw, in order
FACTORS = ("scale", "stretch", "contrast", "brightness", "gamma", "inverse_gamma")  # n stands for 1 - n : 1 + n
SIGNED = ("rotate", "shear", "shift", "perspective")  # n stands for -n : n; for the others, neutral value : n
ONES = (*FACTORS, "low_resolution")  # neutral at 1, the others at 0
SINGLE = ("elastic_width", "dropout")  # n stands for n : n
LENGTHS = ("shift", "perspective", "elastic", "elastic_width", "blur")  # may be given in %
LIMITS = {"rotate": (-360, 360), "shear": (-80, 80), "scale": (0.05, 20), "stretch": (0.05, 20),
          "contrast": (0.01, 100), "brightness": (0.01, 100), "gamma": (0.01, 100), "inverse_gamma": (0.01, 100),
          "noise": (0, 10), "rician": (0, 10), "blur": (0, math.inf), "shift": (-math.inf, math.inf),
          "perspective": (-math.inf, math.inf), "elastic": (0, math.inf), "elastic_width": (1e-3, math.inf),
          "histogram": (0, 1), "bias": (0, 3), "low_resolution": (1, 20), "ghosting": (0, 0.9), "sharpen": (0, 10),
          "cutout": (0, 0.9), "dropout": (1, 64)}  # fmt: skip
FLIP_CHANCE = 0.5

PRESETS: dict[str, dict] = {
    "none": {},
    "light": {"flip": "lr", "rotate": "8", "scale": "0.9:1.1", "shift": "3%", "gamma": "0.82:1.22"},
    "medium": {"flip": "lr", "rotate": "15", "shear": "5", "scale": "0.85:1.15", "shift": "8%",
               "contrast": "0.8:1.2", "brightness": "0.8:1.2", "gamma": "0.75:1.35"},
    "heavy": {"flip": "lr", "rotate": "15", "shear": "5", "scale": "0.8:1.25", "shift": "8%", "elastic": "0:3%@0.2",
              "contrast": "0.65:1.5", "brightness": "0.7:1.3", "gamma": "0.6:1.6", "inverse_gamma": "0.7:1.5@0.15",
              "bias": "0:0.3@0.2", "low_resolution": "1:1.5@0.15", "noise": "0.05@0.15"},
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """Values from low to high, drawn uniformly (factors uniformly in their logarithm), and a probability."""

    low: float
    high: float
    probability: float = 1.0
    percent: bool = False

    def __str__(self) -> str:
        text = f"{self.low:g}:{self.high:g}" + ("%" if self.percent else "")
        return text if self.probability == 1 else f"{text}@{self.probability:g}"


WIDTH = Range(25, 25, percent=True)  # of elastic_width unless given


@dataclass(frozen=True)
class Settings:
    """Settings of augmentation. flips: names of affine.FLIPS, each with probability flip_chance. ranges: by transform.

    choices: values of CHOICES that are not the default.
    """

    flips: tuple[str, ...] = ()
    flip_chance: float = FLIP_CHANCE
    ranges: dict[str, Range] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.flips or self.ranges)

    def as_dict(self) -> dict[str, str]:
        """The settings as plain text for each transform, as settings() takes them."""
        chance = "" if self.flip_chance == FLIP_CHANCE else f"@{self.flip_chance:g}"
        flip = {"flip": ",".join(self.flips) + chance} if self.flips else {}
        return flip | {name: str(self.ranges[name]) for name in MEANING if name in self.ranges} | self.choices


def settings(source: str | Path | Mapping | Settings) -> Settings:
    """Settings from the name of a preset, a .toml or .json file, words `rotate=15 flip=lr`, or such a mapping.

    A value is a number, a pair or "a:b". A single number n stands for -n to n (rotate, shear, shift, perspective),
    1-n to 1+n (factors: scale, contrast, gamma …), or the neutral value to n (noise, blur, elastic …). "%" makes a
    length relative to the image; "@p" at the end is the probability. flip: "lr", "ud", "ap" joined by commas.
    interpolation: "linear" or "cubic". labels: "nearest" or "smooth". tones: "alike" in all channels, or "apart": each
    channel takes the factor to a power of its own from -1 to 1. The key `preset` starts from a preset; the value "none"
    removes a transform from it. Raises UsageError for an unknown name, an invalid range and a transform without effect.
    """
    if isinstance(source, Settings):
        return source
    if isinstance(source, (str, Path)):
        if source in PRESETS:
            return settings(PRESETS[source])
        if Path(source).suffix in (".toml", ".json"):
            return settings(read(Path(source)))
        words = dict(word.partition("=")[::2] for word in str(source).split())
        if not words or "" in words.values():
            raise UsageError(f"unknown augmentation {source}", remedy=f"choose from {' '.join(PRESETS)}, give a .toml "
                             "or .json file, or transforms such as 'rotate=15 flip=lr'")
        return settings(words)
    source = {str(name).replace("-", "_"): value for name, value in source.items()}
    start = source.pop("preset", "none")
    if start not in PRESETS:
        raise UsageError(f"unknown preset {start}", remedy=f"choose from {' '.join(PRESETS)}")
    source = {**PRESETS[start], **source}
    flips, chance, ranges, choices = (), FLIP_CHANCE, {}, {}
    for name, value in source.items():
        if name in CHOICES:
            if value not in CHOICES[name]:
                raise UsageError(f"{name} {value} is unknown", remedy=f"choose from {' '.join(CHOICES[name])}")
            choices |= {name: value} if value != CHOICES[name][0] else {}
            continue
        if name not in MEANING:
            raise UsageError(f"unknown transform {name}", remedy=f"choose from {' '.join(MEANING)}")
        if value == "none":
            continue
        if name == "flip":
            flips, chance = _flips(value)
        else:
            ranges[name] = _range(name, value)
    result = Settings(flips, chance, ranges, choices)
    _agree(result)
    return result


def _agree(result: Settings) -> None:
    if "elastic_width" in result.ranges and "elastic" not in result.ranges:
        raise UsageError("elastic_width does nothing without elastic", remedy="leave it out, or give elastic")
    moving = result.flips or any(name in result.ranges for name in SPATIAL)
    for name, value in result.choices.items():
        if name == "tones" and not any(tone in result.ranges for tone in TONES):
            raise UsageError(f"tones {value} does nothing without {', '.join(TONES)}", remedy="leave it out")
        if name != "tones" and not moving:
            raise UsageError(f"{name} {value} does nothing where nothing moves", remedy="leave it out")


def of_several_channels(chosen: Settings) -> str | None:
    """The setting that has no effect on an image with one channel, in words; None without such a setting."""
    if "dropout" in chosen.ranges:
        return "dropout"
    return "tones apart" if "tones" in chosen.choices else None


def read(path: Path) -> dict:
    """Read the settings in a .toml or .json file. Raises UsageError for a file that holds none."""
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8")
        content = json.loads(text) if Path(path).suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot be read as settings: {why}", where=path) from error
    if not isinstance(content, dict):
        raise UsageError("holds no settings", where=path, remedy='such as {"rotate": 15}')
    return content


def _flips(value) -> tuple[tuple[str, ...], float]:
    text, chance = _chance("flip", ",".join(value) if isinstance(value, (list, tuple)) else str(value), FLIP_CHANCE)
    names = tuple(dict.fromkeys(text.replace(" ", "").split(",")))
    if unknown := [name for name in names if name not in affine.FLIPS]:
        raise UsageError(f"flip {unknown[0]!r} is unknown", remedy=f"choose from {' '.join(affine.FLIPS)}")
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
        raise UsageError(f"{name} {text}: only {', '.join(LENGTHS)} may be given in %")
    neutral = 1.0 if name in ONES else 0.0
    if len(numbers) == 2:
        low, high = numbers
    elif numbers[0] < 0:
        raise UsageError(f"{name} {text}: a single number is how far to go, so not below 0")
    elif name in SINGLE:
        low = high = numbers[0]
    elif name in FACTORS or name in SIGNED:
        low, high = neutral - numbers[0], neutral + numbers[0]
    else:
        low, high = neutral, numbers[0]
    if low > high:
        raise UsageError(f"{name} {text} runs from high to low", remedy=f"write {high:g}:{low:g}")
    if low == high == neutral:
        raise UsageError(f"{name} {text} does nothing", remedy="leave it out")
    least, most = LIMITS[name]
    if low < least or high > most:
        raise UsageError(f"{name} {low:g}:{high:g} is beyond {least:g}:{most:g}",
                         remedy="write a range such as 0.9:1.1" if name in FACTORS else None)
    if name == "dropout" and (low % 1 or high % 1):
        raise UsageError(f"{name} {text} is no whole number of channels")
    return Range(round(low, 9), round(high, 9), probability, percent)


def listing() -> str:
    """Every change, as comments of a settings file, with what the presets make of it."""
    lines = []
    for name, text in MEANING.items():
        presets = "  ".join(f"{preset} {values[name]}" for preset, values in PRESETS.items() if name in values)
        lines.append(f"# {name}: {text}" + (f"  [{presets}]" if presets else "") + "\n")
    return "".join(lines)
