"""Cases in memory, ready for a network: one array, a class for each, and what the model file says of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError, MachineError, MriError, UsageError
from mrilib.images.io import files
from mrilib.images.io.colours import luminance
from mrilib.inference.prepare import array_of, channels_of
from mrilib.recipe import Recipe, check_origin, source_record

HIGH = 99.9  # percentile that stands for the brightest: a few hot pixels should not set the scale


@dataclass
class Data:
    """images: (n, y, x, channel) float32. classes: (n,) index into names. ids, contents: (n,) of the cases.

    parts: (n,) train or validation. channels: names in order. spacing: mm, (y, x). low, high: the pixel range of
    the training images.
    """

    images: np.ndarray
    classes: np.ndarray
    names: list[str]
    ids: list[str]
    contents: list[str]
    parts: list[str]
    channels: list[str]
    spacing: tuple[float, ...]
    recipe: Recipe
    low: float
    high: float

    def places(self, part: str) -> np.ndarray:
        """Indices of the cases of a part, in order."""
        return np.flatnonzero(np.array([p == part for p in self.parts]))

    @property
    def hash(self) -> str:
        """16 hex digits that name the cases with their contents, classes and parts, and the recipe."""
        digest = hashlib.sha256(self.recipe.hash.encode())
        for row in zip(self.ids, self.contents, self.classes.tolist(), self.parts, strict=True):
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    def counts(self, part: str) -> dict[str, int]:
        """How many cases of each class a part has."""
        found = Counter(self.classes[self.places(part)].tolist())
        return {name: found[i] for i, name in enumerate(self.names)}


def load(cases: Sequence, parts: dict[str, str], *, step: Callable[[], None] | None = None,
         fail: Callable[[object, MriError], None] | None = None) -> Data:
    """Read the cases of the parts `train` and `validation`. parts: part of each case id; other cases are left out.

    A folder that mixes grey and colour pictures is taken as grey. step is called after each case; fail(case,
    error) takes what is wrong with one while the others go on, without it that is raised. Raises UsageError when
    the cases differ in size or recipe, when one has no class, or when training would lack a class; MachineError
    when they do not fit into memory.
    """
    chosen = [case for case in cases if parts.get(case.id) in ("train", "validation")]
    if not chosen:
        raise UsageError("no case to train on")
    if bare := next((case for case in chosen if case.class_name is None), None):
        raise UsageError("has no class", where=bare.path, remedy="class folders, or a CSV with a column class")
    recipe = one_recipe(chosen)
    images, good, contents, channels = None, [], [], ()
    for case in chosen:
        try:
            check_origin(case)
            content = source_record(case).get("content", "")
            image = files.read_case(case)
            have = channels_of(case, image)
            if images is None:
                if image.grid.dimension != 2:
                    raise UsageError("is a volume; classification takes 2D images so far", where=case.path)
                channels, first, spacing = have, case, image.grid.spacing
                images = _room((len(chosen), *image.by_channel().shape))
            elif channels == COLOURS and len(have) == 1:
                channels, images = ("image",), luminance(images)[..., None]
            array, _ = array_of(case, image, channels)
        except CaseError as error:
            if fail is None:
                raise
            fail(case, error)
            continue
        if array.shape != images.shape[1:]:
            raise UsageError(f"is {_shape(array.shape)}, {first.path} is {_shape(images.shape[1:])}", where=case.path,
                             remedy="bring them to one size first: mri-normalize --size 224")
        images[len(good)] = array
        good.append(case)
        contents.append(content)
        if step:
            step()
    if not good:
        raise CaseError("no case could be read")
    images = images[: len(good)]
    part_of = [parts[case.id] for case in good]
    names = sorted({case.class_name for case in chosen})
    classes = np.array([names.index(case.class_name) for case in good])
    _check_classes(names, classes, part_of)
    low, high = _range(images, part_of)
    return Data(images, classes, names, [c.id for c in good], contents, part_of, list(channels), spacing, recipe,
                low, high)


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


def _check_classes(names: list[str], classes: np.ndarray, parts: list[str]) -> None:
    if len(names) < 2:
        raise UsageError(f"all cases are of the class {names[0]}: there is nothing to tell apart",
                         remedy="give the folder that holds the class folders")
    for i, name in enumerate(names):
        if not any(p == "train" for p, c in zip(parts, classes, strict=True) if c == i):
            raise UsageError(f"no case of class {name} is left for training", remedy="another split, or more cases")


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
