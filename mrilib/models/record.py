"""The record of a model file as typed data: one class for each kind of network, checked when it is read.

The JSON on disk is `to_dict`, the same as ever: `from_dict` reads every file of this format. Keys that a class does not
know stay in `others`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import ClassVar

from mrilib import labels
from mrilib.errors import CaseError, MriError


@dataclass(frozen=True)
class ModelRecord:
    """What every model file tells. task: name of the task. channels: names, in order. recipe: of the training images
    (see mrilib.recipe). spacing: mm, array order, None where it is unknown. architecture, settings: of the network and
    of its training. training: cases, curve, versions. run: by which the training resumes. others: all other keys."""

    task: str
    channels: list[str]
    recipe: dict
    spacing: list[float] | None = None
    architecture: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    others: dict = field(default_factory=dict)

    AGREE: ClassVar[tuple[str, ...]] = ("task", "channels", "recipe")  # fields that averaged models share
    any_geometry: ClassVar[bool] = False  # whether it accepts other sizes, crops and spacings

    @property
    def cases(self) -> dict[str, dict]:
        """The cases of the training: id -> content hash and part."""
        return self.training.get("cases", {})

    @classmethod
    def from_dict(cls, record: Mapping, where: object = None):
        """The record in a dict. Raises CaseError, naming `where`, for a missing key or a value that cannot be."""
        own = {each.name: each for each in fields(cls) if each.name != "others"}
        for name, each in own.items():
            if name not in record and each.default is MISSING and each.default_factory is MISSING:
                raise CaseError(f"its record lacks {name}", where=where)
        values = {name: record[name] for name in own if name in record}
        result = cls(**values, others={key: value for key, value in record.items() if key not in own})
        if fault := result.fault():
            raise CaseError(f"its record is damaged: {fault}", where=where)
        return result

    def to_dict(self) -> dict:
        """The record as it stands in the file."""
        values = asdict(self)
        others = values.pop("others")
        return {**values, **others}

    def fault(self) -> str:
        """What cannot be right, empty when nothing is wrong."""
        if not _names(self.channels):
            return "channels are not names"
        if not isinstance(self.recipe, dict):
            return "recipe is not a recipe"
        for name in ("architecture", "settings", "training"):
            if not isinstance(getattr(self, name), dict):
                return f"{name} is not a mapping"
        if not isinstance(self.training.get("cases", {}), dict):
            return "training names no cases"
        return ""

    def differs(self, other: ModelRecord) -> str | None:
        """The first field that keeps two models from being averaged, None when they agree. Recipes may differ in what
        their steps learned, as those of folds do: each model is then given the case as its own recipe prepares it."""
        return next((name for name in self.AGREE if self.text(name) != other.text(name)), None)

    def text(self, name: str) -> str:
        """A field in words, for comparison and for messages."""
        value = getattr(self, name)
        if name == "recipe":
            return "; ".join(f"{step.get('step')} {step.get('parameters')}" for step in value.get("steps") or [])
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True, kw_only=True)
class ImageRecord(ModelRecord):
    """A network that takes images of one size and gives one vector. shape: (y, x, channel)."""

    shape: list[int]

    AGREE: ClassVar[tuple[str, ...]] = ("task", "channels", "shape", "recipe")

    def fault(self) -> str:
        if not (_counts(self.shape, 3) and isinstance(self.channels, list) and self.shape[2] == len(self.channels)):
            return "channels and shape do not fit together"
        return super().fault()


@dataclass(frozen=True, kw_only=True)
class ClassRecord(ImageRecord):
    """A classifier. classes: names, in the order of the outputs."""

    classes: list[str]

    AGREE: ClassVar[tuple[str, ...]] = ("task", "classes", "channels", "shape", "recipe")

    def fault(self) -> str:
        good = _names(self.classes) and len(set(self.classes)) == len(self.classes) >= 2
        return super().fault() if good else "classes are not two or more names"


@dataclass(frozen=True, kw_only=True)
class BoxRecord(ImageRecord):
    """A detector. classes: names, in the order of the scores; empty where boxes have no class. stride: pixels of a cell
    (see models.detector). min_score: the score below which boxes are left out by default."""

    classes: list[str]
    stride: int
    min_score: float

    AGREE: ClassVar[tuple[str, ...]] = ("task", "classes", "channels", "shape", "recipe")

    def fault(self) -> str:
        if not (isinstance(self.classes, list) and all(isinstance(name, str) for name in self.classes)
                and len(set(self.classes)) == len(self.classes)):  # fmt: skip
            return "classes are not names"
        if not _is_count(self.stride):
            return "stride is not a number of pixels"
        if not (isinstance(self.min_score, int | float) and 0 <= self.min_score < 1):
            return "min_score is not in 0 to 1"
        return super().fault()


@dataclass(frozen=True, kw_only=True)
class MapRecord(ModelRecord):
    """A network that gives each voxel of a patch probabilities.

    dimension: 2 or 3. context: neighbouring slices each side that a 2D network sees. patch: voxels, array order.
    scheme: of the labels, empty for numbers without names. values: label numbers in the order of the outputs, the
    background first. regions: name -> label numbers of each output where the outputs are regions, else None. paint:
    the label that each region is painted with. postprocess: see inference.postprocess.
    """

    dimension: int
    context: int
    patch: list[int]
    scheme: str
    values: list[int]
    regions: dict | None
    spacing: list[float] | None = field()  # required, unlike that of the base
    paint: list[int] | None = None
    postprocess: dict = field(default_factory=dict)

    AGREE: ClassVar[tuple[str, ...]] = ("task", "channels", "spacing", "scheme", "values", "regions", "recipe")
    any_geometry: ClassVar[bool] = True  # because it predicts patch by patch

    def fault(self) -> str:
        return super().fault() or self._fault_of_patch() or self._fault_of_labels()

    def _fault_of_patch(self) -> str:
        if self.dimension not in (2, 3) or not _counts(self.patch, self.dimension):
            return "dimension and patch do not fit together"
        if not (_is_count(self.context, 0)):
            return "context is not a number of slices"
        if self.context and self.dimension == 3:
            return "a network of volumes has no context of slices"
        if self.spacing is not None and not (
                isinstance(self.spacing, list) and len(self.spacing) in (2, 3)
                and all(isinstance(mm, int | float) and mm > 0 for mm in self.spacing)):  # fmt: skip
            return "spacing is not in millimetres"
        return ""

    def _fault_of_labels(self) -> str:
        values, regions = self.values, self.regions
        if not (_labels(values) and values[0] == 0 and len(set(values)) == len(values) >= 2):
            return "values are not label numbers with the background first"
        if regions is not None:
            good = isinstance(regions, dict) and regions and all(map(_labels, regions.values()))
            if not (good and _labels(self.paint) and len(self.paint) == len(regions)):
                return "regions and paint do not fit together"
        try:
            if self.scheme:
                labels.check(values, labels.scheme(self.scheme))
        except (MriError, TypeError) as error:
            return str(error)
        return "" if isinstance(self.postprocess, dict) else "postprocess is not a mapping"

    def differs(self, other: ModelRecord) -> str | None:
        return next((name for name in self.AGREE if self.text(name) != other.text(name)
                     and not (name == "spacing" and _near(self.spacing, other.spacing))), None)

    def text(self, name: str) -> str:
        text = super().text(name)
        return f"{text} painted {self.paint}" if name == "regions" and self.regions else text


def _is_count(value, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _counts(values, length: int) -> bool:
    return isinstance(values, list) and len(values) == length and all(map(_is_count, values))


def _labels(values) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(_is_count(n, 0) and n < 256 for n in values)


def _names(values) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(isinstance(name, str) for name in values)


def _near(first: list | None, second: list | None) -> bool:
    """Whether two spacings are within 1 %, as those of models that were trained on cases as they are may be."""
    return (first is not None and second is not None and len(first) == len(second)
            and all(abs(a - b) <= 1e-8 + 0.01 * abs(b) for a, b in zip(first, second, strict=True)))
