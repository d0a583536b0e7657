"""From a case to what a model takes: the rest of its recipe, its channels, its shape. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrilib import recipe
from mrilib.cases import PICTURES, Case, suffix_of
from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.io.colours import luminance
from mrilib.images.steps import geometry
from mrilib.models.record import ModelRecord
from mrilib.recipe import Recipe, Step

WINDOW = ("crop", "spacing", "resize", "pad", "reorient")  # steps that only choose which voxels there are


@dataclass(frozen=True)
class Prepared:
    """One case, ready for a model.

    array: float32 (y, x, channel), or (z, y, x, channel) from prepare_volume; a tuple with one array for each model,
    where the recipes of several models learned different values. content: hash of the original case. adapted: how its
    channels were adapted, for the log, else "". grid: of `array` (in 2D without the first axis of prepare_volume's
    array). native: the case on its native grid, only if asked for. native_grid: that grid.
    given_grid: the grid of the first channel as it was read, from prepare_volume.
    """

    array: np.ndarray | tuple[np.ndarray, ...]
    content: str
    adapted: str
    grid: Grid
    native: Image | None = None
    native_grid: Grid | None = None
    given_grid: Grid | None = None


def is_picture(case: Case) -> bool:
    """Whether a prepared case was a picture by its record, and not the single slice of a volume, whose spacing is
    known. False for a case without a record."""
    native = case.record.get("native_grid", {})
    return len(native.get("size", ())) == 2 and "volume" not in native


def states_spacing(case: Case) -> bool:
    """Whether the spacing of a case is known: not that of a picture or a stack of pictures, but that of the single
    slice of a volume, which is written as a picture when it is prepared."""
    return (suffix_of(case.image_files[0]) not in PICTURES
            or "volume" in case.record.get("native_grid", {}))


def remaining_steps(record: ModelRecord, root: Path, as_is: bool = False, pictures: bool = False) -> tuple[Step, ...]:
    """The steps of a model's recipe that the cases of a root have not been through.

    A root without recipe.json holds cases as given: all steps. as_is: none, whatever the root's recipe. A model
    that predicts patch by patch accepts another size, crop and spacing, because volumes are resampled to its
    spacing and its label maps go back to the native grid: where recipes differ in these alone, only the spacing of the
    model is kept. pictures: see is_picture. Pictures, and all cases where the model knows no spacing, as that of
    stacks, have the scale of the size or spacing that they were brought to, which then must be the model's.
    Raises UsageError that names the first difference when the root was prepared otherwise or further.
    """
    if as_is:
        return ()
    wanted, done = Recipe.from_dict(record.recipe, where="the model"), Recipe.of_root(root)
    try:
        return wanted.remaining(done)
    except UsageError as first:
        error = first
        stays = pictures or record.spacing is None
        if record.any_geometry and not (stays and _scaled_otherwise(wanted, done)):
            try:
                return _but_for_geometry(wanted, done)
            except UsageError as left:  # it names what does matter, not the first size or crop
                error = left
        raise UsageError(error.what, where=root, remedy=error.remedy) from error


def _scaled_otherwise(model_recipe: Recipe, case_recipe: Recipe) -> bool:
    """Whether the cases have another scale than the model's, which resampling to its spacing cannot undo."""
    wanted, done = ([s for s in r.steps if s.step in ("resize", "spacing")] for r in (model_recipe, case_recipe))
    return any(s not in wanted for s in done) or any(s not in done for s in wanted if s.step == "resize")


def _but_for_geometry(model_recipe: Recipe, case_recipe: Recipe) -> tuple[Step, ...]:
    """The steps of the model's recipe that remain, whatever the sizes and crops of both. Raises UsageError."""
    values, done = (Recipe(tuple(s for s in r.steps if s.step not in WINDOW)) for r in (model_recipe, case_recipe))
    spacing = (s for s in model_recipe.steps if s.step == "spacing" and s not in case_recipe.steps)
    return (*spacing, *values.remaining(done))


def channels_of(case: Case, image: Image) -> tuple[str, ...]:
    """The channels of a case that was read and prepared, in order; ("image",) for one of unknown sequence."""
    return tuple(image.channels) if image.has_channels else tuple(case.channels)[:1]


def array_of(case: Case, image: Image, channels: Sequence[str]) -> tuple[np.ndarray, str]:
    """The float32 array (y, x, channel) of a prepared case with these channels, and what was adapted.

    Channels in another order are reordered. Colour becomes grey, by its luminance, where one image channel is wanted,
    and grey becomes colour where red, green and blue are wanted (a folder of pictures mixes both, and colours that are
    grey are read as one channel). A case with one unnamed channel stands for the one channel wanted. Raises CaseError
    for other channels, volumes, and NaN.
    """
    if image.grid.dimension != 2:
        raise CaseError("is a volume; this model takes 2D images", where=case.path, remedy="give it slices")
    return wanted_channels(case, image, channels)


def wanted_channels(case: Case, image: Image, channels: Sequence[str],
                    named: bool = True) -> tuple[np.ndarray, str]:  # fmt: skip
    """array_of for an image of any dimension: float32 (..., channel), and what was adapted.

    named: colour and grey stand for one another even where the one channel has the name of a sequence.
    """
    own, wanted = channels_of(case, image), tuple(channels)
    array = np.asarray(image.by_channel(), np.float32)
    if not np.isfinite(array).all():
        raise CaseError("holds values that are not finite (NaN or infinity)", where=case.path)
    if own == wanted:
        return array, ""
    if set(own) == set(wanted):
        return np.ascontiguousarray(array[..., [own.index(name) for name in wanted]]), "channels reordered"
    if own == COLOURS and len(wanted) == 1 and (named or wanted == ("image",)):
        return luminance(array)[..., None], "colour taken as grey"
    if wanted == COLOURS and len(own) == 1 and (named or own == ("image",)):
        return np.repeat(array, 3, axis=-1), "grey taken as colour"
    if len(own) == len(wanted) == 1 and "image" in (*own, *wanted):
        return array, ""
    missing = [name for name in wanted if name not in own]
    remedy = f"no {' '.join(missing)}" if missing else f"choose them with --channels {','.join(wanted)}"
    raise CaseError(f"has channels {' '.join(own)}; the model was trained on {' '.join(wanted)}", where=case.path,
                    remedy=remedy)


def prepare(case: Case, steps: Sequence[Step], channels: Sequence[str], shape: Sequence[int] | None = None,
            native: bool = False, check: bool = True, others: Sequence[Sequence[Step]] = ()) -> Prepared:
    """Read a case and take it through `steps` to an array with these channels and shape (y, x, channel).

    native: keep the case on its native grid as well. check: refuse a prepared file that was separated from its recipe.
    others: the steps of further models, where each has its own; their arrays follow the first. Raises CaseError for a
    damaged case and for a result that the model cannot take.
    """
    original, image, source = _through_steps(case, steps, check)
    array, adapted = array_of(case, image, channels)
    if shape is not None and array.shape != tuple(shape):
        raise CaseError(f"is {_size(array.shape)} after preparing; the model takes {_size(shape)}", where=case.path,
                        remedy="mri-normalize --size brings images to one size")
    grid = _native_grid(case, original, source, original.grid.dimension)
    # the original, or a prepared image brought back to the grid of its original
    at_first = geometry.resample(original, grid) if native else None
    first = Prepared(array, source["content"], adapted, image.grid, at_first, native_grid=grid)
    return _with(first, [prepare(case, own, channels, shape, check=False) for own in others], case)


def _through_steps(case: Case, steps: Sequence[Step], check: bool) -> tuple[Image, Image, dict]:
    """(the case as it was read, after its steps, its source record); check as in `prepare`."""
    if check:
        recipe.check_origin(case)
    original, rest, _ = recipe.read(case, steps)  # before it is hashed: it says best what is wrong with a file
    source = recipe.source_record(case)
    return original, recipe.apply(rest, original)[0], source


def _native_grid(case: Case, original: Image, source: dict, dimension: int) -> Grid:
    """The native grid of a case that was read. Raises CaseError when it has not this dimension."""
    grid = Grid.from_dict(source["native_grid"]) if "native_grid" in source else original.grid
    if grid.dimension != dimension:
        raise CaseError("is not of the dimension its record tells", where=case.path)
    return grid


def _with(first: Prepared, others: Sequence[Prepared], case: Case) -> Prepared:
    """A case with the arrays of further models behind the first's. Raises CaseError when they lie on other grids."""
    if not others:
        return first
    if not all(other.grid.same_as(first.grid) for other in others):
        raise CaseError("comes out of the recipes of these models on different grids", where=case.path,
                        remedy="apply each model alone")
    return replace(first, array=(first.array, *(other.array for other in others)))


def prepare_volume(case: Case, steps: Sequence[Step], channels: Sequence[str],
                   spacing: Sequence[float] | None = None, check: bool = True,
                   others: Sequence[Sequence[Step]] = ()) -> Prepared:
    """Read a case, volume or picture, and take it through `steps` to float32 (z, y, x, channel), z = 1 in 2D.

    Volumes come out upright (see upright), so that a network sees every head in the same orientation. spacing: of the
    model, mm in the order of the axes of its patch, two numbers for a 2D network, which keeps the distance of slices; a
    volume, or a single slice of one, with another spacing is resampled. Pictures, whose spacing is unknown, are not
    resampled. None: nothing is resampled. Raises CaseError as prepare does.
    """
    original, image, source = _through_steps(case, steps, check)
    array, adapted = wanted_channels(case, image, channels, named=False)  # red green blue may be three sequences
    image = upright(Image(array, image.grid, tuple(channels)))
    native = _native_grid(case, original, source, image.grid.dimension)
    if spacing is not None and (native.dimension == 3 or native.volume is not None):
        image = _spaced(image, spacing)
    array = np.ascontiguousarray(image.array, np.float32)
    first = Prepared(array if array.ndim == 4 else array[None], source["content"], adapted, image.grid,
                     native_grid=native, given_grid=original.grid)
    return _with(first, [prepare_volume(case, own, channels, spacing, check=False) for own in others], case)


def upright(image: Image) -> Image:
    """A volume with its axes in the order, and each the way, that comes nearest to z, y, x of the world (LPS).

    No value changes and no voxel moves in the world; a picture stays as it is. The array may be a view.
    """
    return geometry.reorient(image, orientation="LPS")[0]


def _spaced(image: Image, wanted: Sequence[float]) -> Image:
    """A volume, or the one slice of one, resampled to a spacing, unless it is that already to within a hundredth."""
    n = image.grid.dimension
    wanted = [*image.grid.spacing[: max(n - len(wanted), 0)], *wanted[-n:]]
    if np.allclose(image.grid.spacing, wanted, rtol=0.01, atol=0):
        return image
    return geometry.spacing(image, spacing=wanted)[0]


def _size(shape: Sequence[int]) -> str:
    y, x, channels = shape
    return f"{x} x {y}, {channels} channel{'s' * (channels != 1)}"
