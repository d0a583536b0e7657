"""Cases in memory, ready for a network: one array of images, a target for each, and what the model file records."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError, MachineError, UsageError
from mrilib.images.io import files
from mrilib.images.io.colours import luminance
from mrilib.inference.prepare import array_of, channels_of
from mrilib.recipe import Recipe, check_origin, source_record
from mrilib.results import of_case

HIGH = 99.9  # percentile that stands for the brightest: a few hot pixels should not set the scale


@dataclass
class ImageData:
    """images: (n, y, x, channel) float32. targets: (n, output) float32. outputs: their names. ids, contents, parts: of
    the cases, a part being train or validation. channels: names in order. spacing: mm, (y, x). low, high: the pixel
    range of the training images. classes: (n,) place in `outputs`, where every case is of one class."""

    images: np.ndarray
    targets: np.ndarray
    outputs: list[str]
    ids: list[str]
    contents: list[str]
    parts: list[str]
    channels: list[str]
    spacing: tuple[float, ...]
    recipe: Recipe
    low: float
    high: float
    classes: np.ndarray | None = None

    def places(self, part: str) -> np.ndarray:
        """Indices of the cases of a part, in order."""
        return np.flatnonzero(np.array([p == part for p in self.parts]))

    def count(self, part: str) -> int:
        """The number of cases of a part."""
        return self.parts.count(part)

    @property
    def hash(self) -> str:
        """16 hex digits that name the cases with their contents, targets and parts, and the recipe."""
        digest = hashlib.sha256(self.recipe.hash.encode())
        targets = self.targets if self.classes is None else self.classes
        for row in zip(self.ids, self.contents, targets.tolist(), self.parts, strict=True):
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    @property
    def cases(self) -> dict[str, dict[str, str]]:
        """Content and part of each case, by id, for the record of a model."""
        return {name: {"content": content, "part": part}
                for name, content, part in zip(self.ids, self.contents, self.parts, strict=True)}  # fmt: skip

    def counts(self, part: str) -> dict[str, int]:
        """How many cases of each class a part has; empty without classes."""
        if self.classes is None:
            return {}
        count = Counter(self.classes[self.places(part)].tolist())
        return {name: count[i] for i, name in enumerate(self.outputs)}

    def summary(self, part: str) -> str:
        """The cases of a part in words."""
        counts = ", ".join(f"{name} {n}" for name, n in self.counts(part).items())
        return f"{self.count(part)} cases" + (f": {counts}" if counts else "")


class Images:
    """The images of all cases of a run, read once, whatever parts its folds give them.

    A folder that mixes grey and colour pictures is read as grey. Raises UsageError when the cases differ in size or
    recipe; MachineError when they do not fit into memory.
    """

    def __init__(self, cases: Sequence, targets: Callable, *, step: Callable[[], None],
                 fail: Callable[[CaseError], None]):
        """targets(cases, images, unread): see mrilib.tasks.task.Task.targets. step: called after each case. fail:
        takes the error of a damaged case; the others are read."""
        if not cases:
            raise UsageError("no case to train on")
        self.recipe, self.targets, self.wanted = one_recipe(cases), targets, list(cases)
        images, self.cases, self.contents, self.channels = None, [], [], ()
        for case in cases:
            try:
                check_origin(case)
                content = source_record(case).get("content", "")
                image = files.read_case(case)
                channels = channels_of(case, image)
                if images is None:
                    if image.grid.dimension != 2:
                        raise UsageError("is a volume; this task takes 2D images", where=case.path)
                    self.channels, first, self.spacing = channels, case, image.grid.spacing
                    images = _room((len(cases), *image.by_channel().shape))
                elif self.channels == COLOURS and len(channels) == 1:
                    self.channels, images = ("image",), luminance(images)[..., None]
                array, _ = array_of(case, image, self.channels)
            except CaseError as error:
                fail(of_case(case, error))
                continue
            finally:
                step()
            if array.shape != images.shape[1:]:
                raise UsageError(f"is {_shape(array.shape)}, {first.path} is {_shape(images.shape[1:])}",
                                 where=case.path, remedy="bring them to one size first: mri-normalize --size 224")
            images[len(self.cases)] = array
            self.cases.append(case)
            self.contents.append(content)
        if not self.cases:
            raise CaseError("no case could be read")
        self.images = images[: len(self.cases)]

    def data(self, parts: dict[str, str]) -> ImageData:
        """The cases that have a part. Raises UsageError when none is left to train on."""
        chosen = [i for i, case in enumerate(self.cases) if case.id in parts]
        read = {case.id for case in self.cases}
        unread = [case for case in self.wanted if case.id in parts and case.id not in read]
        cases = [self.cases[i] for i in chosen]
        part_of = [parts[case.id] for case in cases]
        if "train" not in part_of:
            raise UsageError("no case is left to train on")
        images = self.images if len(chosen) == len(self.cases) else self.images[chosen]
        targets, outputs, classes = self.targets(cases, images, unread)
        low, high = _range(images, part_of)
        return ImageData(images, targets, outputs, [c.id for c in cases], [self.contents[i] for i in chosen], part_of,
                         list(self.channels), self.spacing, self.recipe, low, high, classes)


def one_recipe(cases: Sequence) -> Recipe:
    """The recipe that all cases share; UsageError when they do not."""
    roots = {case.root: case for case in cases}
    recipes = {root: Recipe.of_root(root) for root in roots}
    first = recipes[cases[0].root]
    for root, recipe in recipes.items():
        if recipe.hash != first.hash:
            raise UsageError("has another recipe than the first case", where=roots[root].path,
                             remedy="prepare all cases alike")
    return first


def _room(shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.empty(shape, np.float32)
    except MemoryError as error:
        size = 4 * np.prod([float(s) for s in shape]) / 2**30
        raise MachineError(f"{shape[0]} images of {_shape(shape[1:])} need {size:.0f} GiB of memory",
                           remedy="a smaller mri-normalize --size") from error


def _shape(shape) -> str:
    y, x, channels = shape
    return f"{x} x {y}" + (f" with {channels} channels" if channels > 1 else "")


def _range(images: np.ndarray, parts: list[str]) -> tuple[float, float]:
    """The lowest pixel of the training images and the brightest but for a thousandth."""
    train = np.flatnonzero(np.array(parts) == "train")
    low = min(float(images[i].min()) for i in train)
    sample = np.concatenate([images[i].ravel()[:: max(1, images[i].size // 4096)] for i in train])
    high = float(np.percentile(sample, HIGH))
    if not high > low:
        high = max(float(images[i].max()) for i in train)
    if not high > low:
        raise UsageError("all training images are empty: every pixel has one value")
    return low, high
