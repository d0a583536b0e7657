"""Label schemes: names of label values, regions (unions of labels that are scored as one) and the ignored value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from mrilib.errors import CaseError, UsageError

WHOLE, CORE, ENHANCING = "WT", "TC", "ET"


@dataclass(frozen=True)
class Scheme:
    """Labels of a map, without the background (0). labels: value -> name. regions: name -> the values it unites.

    name: a key of SCHEMES, or the scheme as text (`1=necrotic,2=oedema`); empty if only the values are known. ignore:
    the value of voxels without annotation (nnU-Net's `ignore`), which neither loss nor score counts. It is not a label:
    a network has no output for it.
    """

    name: str
    labels: dict[int, str]
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ignore: int | None = None

    @property
    def values(self) -> tuple[int, ...]:
        """The background and the values of the labels: one network output each."""
        return (0, *sorted(self.labels))

    @property
    def allowed(self) -> tuple[int, ...]:
        """The values that a label map may hold: `values` and the ignored value."""
        return self.values if self.ignore is None else tuple(sorted({*self.values, self.ignore}))

    @property
    def single(self) -> dict[str, tuple[int, ...]]:
        """Each label as a region: name -> its value."""
        return {name: (value,) for value, name in sorted(self.labels.items())}

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """The regions that are scored, or each label if there are no regions: name -> values."""
        return self.regions or self.single

    def __str__(self) -> str:
        return self.name or ",".join(f"{value}={name}" for value, name in sorted(self.labels.items()))


TUMOUR = {"necrosis", "necrotic", "oedema", "non-enhancing", "enhancing", "cystic"}
IGNORE = "ignore"


def _brats(name: str, labels: dict[int, str]) -> Scheme:
    """A tumour scheme: whole tumour is every label of TUMOUR, core all of them but oedema; other labels are regions
    alone."""
    words = {value: our_word(what) for value, what in labels.items()}
    cores = {value for value, what in labels.items() if _our_region(what) == CORE}
    whole = tuple(value for value, word in words.items() if word in TUMOUR or word == "tumour" or value in cores)
    core = tuple(value for value in whole if words[value] != "oedema")
    enhancing = tuple(value for value in whole if words[value] == "enhancing")
    others = {what: (value,) for value, what in labels.items() if value not in whole}
    return Scheme(name, labels, {WHOLE: whole, CORE: core, ENHANCING: enhancing, **others})


def _plain(name: str) -> str:
    """A name without the characters that spell a scheme."""
    return re.sub(r"[=,+\s]+", " ", name).strip()


def our_word(name: str) -> str:
    """The suite's name of a label as data sets spell it."""
    plain = _plain(name).lower()
    for word, pattern in WORDS.items():
        if re.search(pattern, plain.replace("_", " ")):
            return word
    return plain


def _our_region(name: str) -> str:
    """The suite's name of a region as data sets spell it: WT, TC, ET, or the name unchanged."""
    plain = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    return next((word for word, pattern in REGIONS.items() if re.fullmatch(pattern, plain)), _plain(name))


# the suite's label names -> pattern of their spellings; the first match counts
WORDS = {
    "oedema": r"o?edema|^ed$|^snfh$|flair hyperint",
    "non-enhancing": r"non.?enhanc|^netc?$",
    "necrosis": r"^necrosis$",
    "necrotic": r"necro|^ncr",
    "enhancing": r"enhanc|^et$",
    "cystic": r"^cc$|^cystic( component)?$",
    "tumour": r"^(tumou?r|lesion|whole tumou?r|mask)$",
}
REGIONS = {
    WHOLE: r"wt|(whole|complete|entire)( ?tumou?r)?",
    CORE: r"tc|(tumou?r ?)?core",
    ENHANCING: r"a?et|enhancing( ?tumou?r)?( ?core)?",
}
SCHEMES = {
    "binary": Scheme("binary", {1: "tumour"}),
    "brats2013": _brats("brats2013", {1: "necrosis", 2: "oedema", 3: "non-enhancing", 4: "enhancing"}),
    "brats2020": _brats("brats2020", {1: "necrotic", 2: "oedema", 4: "enhancing"}),
    "brats2023": _brats("brats2023", {1: "necrotic", 2: "oedema", 3: "enhancing"}),
    "msd": _brats("msd", {1: "oedema", 2: "non-enhancing", 3: "enhancing"}),
}
HOW = f"--scheme {'|'.join(SCHEMES)}, or a list such as 1=necrotic,2=oedema,4=enhancing"


def scheme(text: str) -> Scheme:
    """The scheme of a name, or of values with names: `1=necrotic,2=oedema,4=enhancing`.

    A custom scheme has the regions in its text, `1=rim,2=centre,lesion=1+2`. Without regions in its text, it has the
    regions of a tumour if its labels are those of a tumour (oedema and enhancing among them). `4=ignore` names the
    value of voxels without a label, also after a known name: `msd,4=ignore`. Raises UsageError for anything else.
    """
    if text in SCHEMES:
        return SCHEMES[text]
    items = [item.strip() for item in str(text).split(",")]
    ignored = [item for item in items if re.fullmatch(rf"\d+\s*=\s*{IGNORE}", item, re.IGNORECASE)]
    items = [item for item in items if item not in ignored]
    ignore = int(re.match(r"\d+", ignored[0])[0]) if ignored else None
    if len(ignored) > 1 or (ignored and not 0 < ignore < 256) or not items:
        raise UsageError(f"unknown label scheme {text!r}", remedy=HOW)
    base = SCHEMES[items[0]] if len(items) == 1 and items[0] in SCHEMES else _spelt(items, text)
    if ignore is None:
        return base
    if ignore in base.labels:
        raise UsageError(f"label scheme {text!r} ignores {ignore}, which is {base.labels[ignore]}", remedy=HOW)
    return replace(base, name=f"{base.name},{ignore}={IGNORE}", ignore=ignore)


def _spelt(items: list[str], text: str) -> Scheme:
    """A custom scheme from its items, `1=rim`, `lesion=1+2`. text: the whole scheme, for messages."""
    labels: dict[int, str] = {}
    regions: dict[str, tuple[int, ...]] = {}
    for item in items:
        region = re.fullmatch(r"([^=,\s][^=,]*?)\s*=\s*(\d+(?:\+\d+)*)", item)
        if region and ("+" in region[2] or not region[1].isdigit()):
            regions[region[1]] = tuple(int(v) for v in region[2].split("+"))
            continue
        match = re.fullmatch(r"(\d+)\s*=\s*([^=,\s][^=,]*?)", item)
        if match is None or not 0 < int(match[1]) < 256 or int(match[1]) in labels:
            raise UsageError(f"unknown label scheme {text!r}", remedy=HOW)
        labels[int(match[1])] = match[2]
    if len(set(labels.values())) < len(labels):
        raise UsageError(f"label scheme {text!r} gives two numbers one name", remedy=HOW)
    if strange := sorted({v for values in regions.values() for v in values} - set(labels)):
        raise UsageError(f"label scheme {text!r} has a region of {strange[0]}, which it does not name", remedy=HOW)
    name = ",".join([*(f"{value}={name}" for value, name in labels.items()),
                     *(f"{name}={'+'.join(map(str, values))}" for name, values in regions.items())])
    if not regions and {"oedema", "enhancing"} <= {our_word(name) for name in labels.values()}:
        return _brats(name, labels)
    if regions:  # the regions are scored, and the labels that are in no region
        united = {v for values in regions.values() for v in values}
        regions |= {name: (value,) for value, name in labels.items() if value not in united}
    return Scheme(name, labels, regions)


def of_dataset(labels: dict) -> str:
    """The scheme, as text for `scheme`, of the labels of a dataset.json: {value: name} or {name: value or values}.

    Labels get the suite's names ("edema", "enhancing tumour"), regions become WT, TC and ET if their names say so.
    If values, names and regions equal a known scheme, the text is its name. An `ignore` label follows.
    Raises ValueError for labels that cannot be understood.
    """
    ignored: set[int] = set()
    named: dict[str, tuple[int, ...]] = {}
    for key, value in labels.items():
        name, values = (str(value), key) if str(key).isdigit() and not str(value).isdigit() else (str(key), value)
        values = tuple(int(v) for v in (values if isinstance(values, (list, tuple)) else [values]))
        if name.strip().lower() == IGNORE:
            ignored |= set(values)
        elif values != (0,):
            if name in named:
                raise ValueError(f"two labels are called {name}")
            named[name] = values
    text = _of_regions(named) if any(len(values) > 1 for values in named.values()) else _of_labels(named)
    text = ",".join([text, *(f"{value}={IGNORE}" for value in sorted(ignored))])
    try:
        return scheme(text).name
    except UsageError as error:
        raise ValueError(error.what) from error


def _of_labels(named: dict[str, tuple[int, ...]]) -> str:
    """The scheme of labels that each have a value of their own: name -> (value,)."""
    single = {values[0]: _plain(name) for name, values in named.items()}
    if len(single) < len(named):
        raise ValueError("two labels have one value")
    words = {value: our_word(name) for value, name in single.items()}
    if len(set(words.values())) == len(words):  # else two labels would have one name
        single = words
    return _scheme_name(single) or ",".join(f"{value}={name}" for value, name in sorted(single.items()))


def _of_regions(named: dict[str, tuple[int, ...]]) -> str:
    """The scheme of regions, some of which unite several values: name -> values."""
    words = {name: _our_region(name) for name in named}
    if len(set(words.values())) < len(words):
        words = {name: _plain(name) for name in named}
    regions = {words[name]: tuple(sorted(set(values))) for name, values in named.items()}
    tumour = all(name in regions for name in (WHOLE, CORE, ENHANCING))
    single = {values[0]: name for name, values in regions.items() if len(values) == 1 and name != ENHANCING}
    for value in sorted({value for values in regions.values() for value in values} - set(single)):
        single[value] = str(value)
        if tumour and value in regions[WHOLE]:  # the regions that hold a value determine its label
            single[value] = ("enhancing" if value in regions[ENHANCING] else
                             "non-enhancing" if value in regions[CORE] else "oedema")
    if tumour and (name := _scheme_name(single, regions)):
        return name
    if len(set(single.values())) < len(single):
        single = {value: str(value) for value in single}
    united = {value for values in regions.values() if len(values) > 1 for value in values}
    spelt = [f"{name}={'+'.join(map(str, values))}" for name, values in regions.items()
             if len(values) > 1 or (values[0] in united and not name.isdigit())]
    return ",".join([*(f"{value}={name}" for value, name in sorted(single.items())), *spelt])


def _scheme_name(labels: dict[int, str], regions: dict[str, tuple[int, ...]] | None = None) -> str | None:
    """The name of the known scheme with these labels, up to the names that mean nearly the same, and regions."""
    for name, candidate in SCHEMES.items():
        near = candidate.labels.keys() == labels.keys() and all(
            candidate.labels[value] in (word, *NEAR.get(word, ())) for value, word in labels.items())
        same = regions is None or {key: set(v) for key, v in regions.items()} == {
            key: set(v) for key, v in candidate.regions.items()}
        if near and same:
            return name
    if regions == SCHEMES["brats2013"].regions and set(labels) == set(SCHEMES["brats2013"].labels):
        return "brats2013"  # its two labels of the core cannot be told apart by regions
    return None


def of_values(values: Iterable[int]) -> Scheme:
    """The scheme by the values in all label maps of a set: 0 1 is binary, 1 2 4 is brats2020.

    Other values, such as 1 2 3, have different meanings in different years: each is a label of its own, without
    regions, and `name` is empty.
    """
    present = {int(v) for v in values} - {0}
    if present <= {1}:
        return SCHEMES["binary"]
    if 4 in present and present <= {1, 2, 4}:
        return SCHEMES["brats2020"]
    return Scheme("", {value: str(value) for value in sorted(present)})


def check(values: Iterable[int], expected: Scheme, where: object = None,
          remedy: str = "name the right one with --scheme") -> None:
    """Raise CaseError, with value and scheme, if a label map holds a value that its scheme lacks."""
    if strange := sorted({int(v) for v in values} - set(expected.allowed)):
        have = " ".join(map(str, expected.allowed))
        raise CaseError(f"label {strange[0]} is not in scheme {expected} ({have})", where=where, remedy=remedy)


def convert(array: np.ndarray, have: Scheme, want: Scheme) -> np.ndarray:
    """Convert a label map of any shape to the values of another scheme, by label name: uint8.

    Necrosis, necrotic and non-enhancing are converted to one label if the other scheme has only one of them.
    Raises UsageError for a label, or an ignored value that occurs, without a place in the other scheme, CaseError for a
    value that `have` lacks.
    """
    array = np.asarray(array).astype(np.uint8)
    present = np.flatnonzero(np.bincount(array.ravel(), minlength=256))
    check(present, have)
    table = np.zeros(256, np.uint8)
    by_name = {name: value for value, name in want.labels.items()}
    for value, name in have.labels.items():
        near = [n for n in (name, *NEAR.get(name, ())) if n in by_name]
        if not near:
            raise UsageError(f"label {value} ({name}) of scheme {have} has no place in {want}")
        table[value] = by_name[near[0]]
    if have.ignore is not None and have.ignore in present:
        if want.ignore is None:
            raise UsageError(f"the ignored value {have.ignore} of scheme {have} has no place in {want}")
        table[have.ignore] = want.ignore
    return table[array]


NEAR = {"necrosis": ("necrotic", "non-enhancing"), "necrotic": ("necrosis", "non-enhancing"),
        "non-enhancing": ("necrotic", "necrosis"), "edema": ("oedema",), "oedema": ("edema",)}
