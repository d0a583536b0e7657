"""What the numbers of a label map mean: schemes by name, and the regions that are scored as one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mrilib.errors import CaseError, UsageError

WHOLE, CORE, ENHANCING = "WT", "TC", "ET"


@dataclass(frozen=True)
class Scheme:
    """Labels of a map, without the background (0). labels: number -> name. regions: name -> the numbers it unites.

    name: of SCHEMES, or the scheme as spelt (`1=necrotic,2=oedema`); empty where nothing is known but numbers.
    """

    name: str
    labels: dict[int, str]
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def values(self) -> tuple[int, ...]:
        """Every number that may stand in a map, the background first."""
        return (0, *sorted(self.labels))

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """What is scored: the regions, or where there are none each label; name -> numbers."""
        return self.regions or {name: (value,) for value, name in sorted(self.labels.items())}

    def __str__(self) -> str:
        return self.name or ",".join(f"{value}={name}" for value, name in sorted(self.labels.items()))


def _brats(name: str, labels: dict[int, str]) -> Scheme:
    """A tumour scheme: whole tumour is every label, core all but the oedema."""
    core = tuple(value for value, what in labels.items() if what != "oedema")
    enhancing = tuple(value for value, what in labels.items() if what == "enhancing")
    return Scheme(name, labels, {WHOLE: tuple(labels), CORE: core, ENHANCING: enhancing})


SCHEMES = {
    "binary": Scheme("binary", {1: "tumour"}),
    "brats2013": _brats("brats2013", {1: "necrosis", 2: "oedema", 3: "non-enhancing", 4: "enhancing"}),
    "brats2020": _brats("brats2020", {1: "necrotic", 2: "oedema", 4: "enhancing"}),
    "brats2023": _brats("brats2023", {1: "necrotic", 2: "oedema", 3: "enhancing"}),
    "msd": _brats("msd", {1: "oedema", 2: "non-enhancing", 3: "enhancing"}),
}
HOW = f"--scheme {'|'.join(SCHEMES)}, or one's own such as 1=necrotic,2=oedema,4=enhancing"


def scheme(text: str) -> Scheme:
    """The scheme of a name, or of numbers with names: `1=necrotic,2=oedema,4=enhancing`.

    One's own has regions where its names are those of a tumour scheme (oedema and enhancing among them).
    Raises UsageError for what is neither.
    """
    if text in SCHEMES:
        return SCHEMES[text]
    labels: dict[int, str] = {}
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)\s*=\s*([^=,\s][^=,]*?)\s*", part)
        if match is None or not 0 < int(match[1]) < 256 or int(match[1]) in labels:
            raise UsageError(f"unknown label scheme {text!r}", remedy=HOW)
        labels[int(match[1])] = match[2]
    if len(set(labels.values())) < len(labels):
        raise UsageError(f"label scheme {text!r} gives two numbers one name", remedy=HOW)
    spelt = ",".join(f"{value}={name}" for value, name in labels.items())
    if {"oedema", "enhancing"} <= set(labels.values()):
        return _brats(spelt, labels)
    return Scheme(spelt, labels)


def of_values(values: Iterable[int]) -> Scheme:
    """What can be known from the numbers alone that occur in all label maps of a set: 0 1 is binary, 1 2 4 brats2020.

    Any others, 1 2 3 among them, mean different things in different years: each is a label of its own, without
    regions, and `name` is empty.
    """
    found = {int(v) for v in values} - {0}
    if found <= {1}:
        return SCHEMES["binary"]
    if 4 in found and found <= {1, 2, 4}:
        return SCHEMES["brats2020"]
    return Scheme("", {value: str(value) for value in sorted(found)})


def check(values: Iterable[int], known: Scheme, where: object = None) -> None:
    """Raise CaseError, naming number and scheme, when a label map holds a number that its scheme lacks."""
    if strange := sorted({int(v) for v in values} - set(known.values)):
        have = " ".join(map(str, known.values))
        raise CaseError(f"label {strange[0]} is not in scheme {known} ({have})", where=where,
                        remedy="name the right one with --scheme")


def convert(array: np.ndarray, have: Scheme, want: Scheme) -> np.ndarray:
    """A label map, any shape, in another scheme's numbers, by name: uint8.

    Between tumour schemes necrosis, necrotic and non-enhancing are one where the other has but one of them.
    Raises UsageError for a label that the other scheme has no place for.
    """
    table = np.zeros(256, np.uint8)
    by_name = {name: value for value, name in want.labels.items()}
    for value, name in have.labels.items():
        near = [n for n in (name, *NEAR.get(name, ())) if n in by_name]
        if not near:
            raise UsageError(f"label {value} ({name}) of scheme {have} has no place in {want}")
        table[value] = by_name[near[0]]
    return table[np.asarray(array).astype(np.uint8)]


NEAR = {"necrosis": ("necrotic", "non-enhancing"), "necrotic": ("necrosis", "non-enhancing"),
        "non-enhancing": ("necrotic", "necrosis"), "edema": ("oedema",), "oedema": ("edema",)}
