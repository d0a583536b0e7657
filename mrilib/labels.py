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
    def single(self) -> dict[str, tuple[int, ...]]:
        """Each label by itself; name -> its number."""
        return {name: (value,) for value, name in sorted(self.labels.items())}

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """What is scored: the regions, or where there are none each label; name -> numbers."""
        return self.regions or self.single

    def __str__(self) -> str:
        return self.name or ",".join(f"{value}={name}" for value, name in sorted(self.labels.items()))


TUMOUR = {"necrosis", "necrotic", "oedema", "non-enhancing", "enhancing"}


def _brats(name: str, labels: dict[int, str]) -> Scheme:
    """A tumour scheme: whole tumour is every label of TUMOUR, core all but the oedema; others stand alone."""
    words = {value: _our_word(what) for value, what in labels.items()}
    whole = tuple(value for value, word in words.items() if word in TUMOUR or word == "tumour")
    core = tuple(value for value in whole if words[value] != "oedema")
    enhancing = tuple(value for value in whole if words[value] == "enhancing")
    others = {what: (value,) for value, what in labels.items() if value not in whole}
    return Scheme(name, labels, {WHOLE: whole, CORE: core, ENHANCING: enhancing, **others})


def _our_word(name: str) -> str:
    """A label's name as data sets spell it, in our words."""
    plain = re.sub(r"[=,+\s]+", " ", name.strip().lower())
    for word, pattern in WORDS.items():
        if re.search(pattern, plain):
            return word
    return plain


# our words for what a label names, and how it is spelt; the first that fits
WORDS = {
    "oedema": r"o?edema|^ed$|^snfh$|flair hyperint",
    "non-enhancing": r"non.?enhanc|^netc$",
    "necrosis": r"^necrosis$",
    "necrotic": r"necro|^ncr|^net$",
    "enhancing": r"enhanc|^et$",
    "tumour": r"^(tumou?r|lesion|whole tumou?r|mask)$",
}
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

    One's own has the regions that are spelt with it, `1=rim,2=centre,lesion=1+2`; else, where its names are those
    of a tumour scheme (oedema and enhancing among them), that one's. Raises UsageError for what is neither.
    """
    if text in SCHEMES:
        return SCHEMES[text]
    labels: dict[int, str] = {}
    regions: dict[str, tuple[int, ...]] = {}
    for part in str(text).split(","):
        if region := re.fullmatch(r"\s*([^=,\s][^=,]*?)\s*=\s*(\d+(?:\+\d+)+)\s*", part):
            regions[region[1]] = tuple(int(v) for v in region[2].split("+"))
            continue
        match = re.fullmatch(r"\s*(\d+)\s*=\s*([^=,\s][^=,]*?)\s*", part)
        if match is None or not 0 < int(match[1]) < 256 or int(match[1]) in labels:
            raise UsageError(f"unknown label scheme {text!r}", remedy=HOW)
        labels[int(match[1])] = match[2]
    if len(set(labels.values())) < len(labels):
        raise UsageError(f"label scheme {text!r} gives two numbers one name", remedy=HOW)
    if strange := sorted({v for values in regions.values() for v in values} - set(labels)):
        raise UsageError(f"label scheme {text!r} has a region of {strange[0]}, which it does not name", remedy=HOW)
    spelt = ",".join([*(f"{value}={name}" for value, name in labels.items()),
                      *(f"{name}={'+'.join(map(str, values))}" for name, values in regions.items())])
    if not regions and {"oedema", "enhancing"} <= {_our_word(name) for name in labels.values()}:
        return _brats(spelt, labels)
    if regions:  # what is scored is the regions, and the labels that none of them unites
        united = {v for values in regions.values() for v in values}
        regions |= {name: (value,) for value, name in labels.items() if value not in united}
    return Scheme(spelt, labels, regions)


def of_dataset(labels: dict) -> str:
    """The scheme, as text for `scheme`, of the labels of a dataset.json, {number: name} or {name: number or numbers}.

    Names are brought to our words ("edema", "enhancing tumour"); where numbers and names are then those of a known
    scheme it is that one. Raises ValueError for labels that cannot be understood.
    """
    single: dict[int, str] = {}
    united: dict[str, tuple[int, ...]] = {}
    for key, value in labels.items():
        name, numbers = (value, key) if isinstance(value, str) else (key, value)
        numbers = [int(n) for n in (numbers if isinstance(numbers, list) else [numbers])]
        if numbers == [0] or name == "ignore":
            continue
        if len(numbers) > 1:
            united[name] = tuple(numbers)
        else:
            single[numbers[0]] = name
    words = {n: _our_word(name) for n, name in single.items()}
    if len(set(words.values())) == len(words):  # else our words are too few for these labels
        single = words
    whole, core = (next((v for name, v in united.items() if word in name.lower()), ()) for word in ("whole", "core"))
    if whole and core and len(single) == 1:  # regions of a tumour alone: what lies in which tells the labels
        single = {**{n: "oedema" for n in whole if n not in core}, **dict.fromkeys(core, "non-enhancing"),
                  **dict.fromkeys(single, "enhancing")}
        united = {}
    single |= {n: str(n) for numbers in united.values() for n in numbers if n not in single}
    for name, known in SCHEMES.items():
        if not united and known.labels.keys() == single.keys() and all(
                word == known.labels[n] or known.labels[n] in NEAR.get(word, ()) for n, word in single.items()):
            return name
    def plain(name):
        return re.sub(r"[=,+\s]+", " ", name).strip()

    text = ",".join([*(f"{n}={plain(name)}" for n, name in sorted(single.items())),
                     *(f"{plain(name)}={'+'.join(map(str, numbers))}" for name, numbers in united.items())])
    try:
        return scheme(text).name
    except UsageError as error:
        raise ValueError(error.what) from error


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


def check(values: Iterable[int], known: Scheme, where: object = None,
          remedy: str = "name the right one with --scheme") -> None:
    """Raise CaseError, naming number and scheme, when a label map holds a number that its scheme lacks."""
    if strange := sorted({int(v) for v in values} - set(known.values)):
        have = " ".join(map(str, known.values))
        raise CaseError(f"label {strange[0]} is not in scheme {known} ({have})", where=where, remedy=remedy)


def convert(array: np.ndarray, have: Scheme, want: Scheme) -> np.ndarray:
    """A label map, any shape, in another scheme's numbers, by name: uint8.

    Between tumour schemes necrosis, necrotic and non-enhancing are one where the other has but one of them.
    Raises UsageError for a label that the other scheme has no place for, CaseError for a number that `have` lacks.
    """
    array = np.asarray(array).astype(np.uint8)
    check(np.flatnonzero(np.bincount(array.ravel(), minlength=256)), have)
    table = np.zeros(256, np.uint8)
    by_name = {name: value for value, name in want.labels.items()}
    for value, name in have.labels.items():
        near = [n for n in (name, *NEAR.get(name, ())) if n in by_name]
        if not near:
            raise UsageError(f"label {value} ({name}) of scheme {have} has no place in {want}")
        table[value] = by_name[near[0]]
    return table[array]


NEAR = {"necrosis": ("necrotic", "non-enhancing"), "necrotic": ("necrosis", "non-enhancing"),
        "non-enhancing": ("necrotic", "necrosis"), "edema": ("oedema",), "oedema": ("edema",)}
