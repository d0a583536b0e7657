"""Reading and writing image files and cases, in the format of the suffix; one module for each format.

A file that cannot be read completely is a CaseError.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrilib import labels as schemes
from mrilib.cases import PICTURES, Case, suffix_of
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import dicom, itk, label_maps, nifti, pictures, tiff
from mrilib.images.resampling import resample

ROUNDING = 1e-3  # greatest distance of a label from a whole number: 4 scaled to 16 bit is off by up to 6e-5
NOTE = "mri-suite recipe "  # in the header of a prepared file, before the recipe hash


def read(path: Path, grey: bool = True, several: bool = False, fix: bool = False, labels: bool = False) -> Image:
    """Read one image file: 2D (y, x) or volume (z, y, x), with a channel axis last if there are several channels.

    grey: turn colours that differ by no more than compression noise into one channel. several: a fourth axis is
    channels. fix: if qform and sform of a NIfTI file disagree, take the sform; replace skewed axes by the nearest
    right angles. labels: the file is a label map: read the indices of a palette, not its colours.
    Values are integers or float32/64 as stored, with the slope applied. A transparent pixel is black. A single slice of
    a volume format is a 2D image.
    Raises CaseError for a file that is damaged, cut short, of an unknown kind, animated or empty.
    """
    path = Path(path)
    suffix = suffix_of(path)
    try:
        if path.is_dir():
            raise CaseError("is a folder, not an image", where=path)
        if path.stat().st_size == 0:
            raise CaseError("the file is empty", where=path, remedy="copy it again")
        if suffix in (".nii", ".nii.gz"):
            return nifti.read(path, suffix, grey, several, fix)
        if suffix in (".tif", ".tiff"):
            return tiff.read(path, grey, labels)
        if suffix in PICTURES and not pictures.is_deep_colour(path):
            return pictures.read(path, grey, labels)
        return itk.read(path, suffix, grey, several, labels)
    except OSError as error:
        raise CaseError(f"cannot be read: {error.strerror or error}", where=path,
                        remedy="check the file and its permissions") from error
    except MemoryError as error:
        raise CaseError("is too large for this machine's memory", where=path) from error


def read_case(case: Case) -> Image:
    """Read all channels of a case: (z, y, x[, channel]) or (y, x[, channel]); a single channel has no channel axis.

    Slices of a stack are 1 mm apart, because pictures have no spacing. Raises CaseError for a damaged file, another
    number of channels than the case states, slices of different size, and channels on different grids.
    """
    return stacked(read_channels(case), case.path)


def read_channels(case: Case) -> dict[str, Image]:
    """Read the channels of a case, each on its own grid; a source with several channels is one entry, "image".

    Raises CaseError as read_case does, except for different grids, and for NaN or infinite values, stored or scaled.
    """
    if case.file_channels:
        images = {"image": _chosen(case, _part(case, next(iter(case.channels)), len(case.file_channels)))}
    else:
        images = {name: _part(case, name, 1) for name in case.channels}
    for name, image in images.items():
        if image.array.dtype.kind == "f" and not np.isfinite(image.array).all():
            raise CaseError("holds NaN or infinite values", where=case.channels.get(name, case.path),
                            remedy="mend the file it comes from")
        if image.has_channels and len(images) > 1:
            raise CaseError(f"channel {name} holds several channels itself", where=case.path)
    return images


def stacked(images: dict[str, Image], where: object = None) -> Image:
    """Combine channels on one grid into one image, each channel contiguous; a single channel is returned as it is.

    Raises CaseError for a channel on another grid than the first.
    """
    first_name, first = next(iter(images.items()))
    if len(images) == 1:
        return first
    for name, image in images.items():
        if not image.grid.same_as(first.grid):
            raise CaseError(f"channel {name} lies on another grid ({_grid_text(image.grid)}) than {first_name} "
                            f"({_grid_text(first.grid)})", where=where,
                            remedy="mri-normalize --align brings them to one")
    return Image(np.moveaxis(np.stack([i.array for i in images.values()]), 0, -1), first.grid, tuple(images))


def _part(case: Case, name: str, count: int) -> Image:
    """One channel of a case, or the `count` channels of its source."""
    slices = case.slices.get(name)
    if slices is None:
        return read(case.channels[name], grey=count == 1, several=count > 1, fix=case.fix)
    if suffix_of(slices[0]) not in PICTURES:
        return dicom.read(slices, case.path)
    return stack([read(path, grey=count == 1) for path in slices], slices, case.path)


def _chosen(case: Case, image: Image) -> Image:
    """The channels of a case from an image with several channels, in the order of the case."""
    count = image.by_channel().shape[-1]
    if count != len(case.file_channels):
        names = case.file_channels
        raise CaseError(f"holds {count} channels, not {len(names)} ({' '.join(names)})", where=case.path,
                        remedy="name them with --channels")
    places = [case.file_channels.index(name) for name in case.channels]
    if len(places) == 1:
        return Image(image.by_channel()[..., places[0]], image.grid)
    array = image.array if places == list(range(count)) else image.array[..., places]
    return Image(array, image.grid, tuple(case.channels))


def stack(images: list[Image], names: Sequence[Path], where: object) -> Image:
    """Stack slices (y, x[, channel]) to a volume (z, y, x[, channel]), 1 mm apart.

    Raises CaseError for a slice that differs from the first in size or channels.
    """
    first = images[0]
    for image, name in zip(images, names, strict=True):
        if image.array.shape != first.array.shape or image.grid.dimension != 2:
            size, first_size = ("x".join(map(str, i.array.shape)) for i in (image, first))
            raise CaseError(f"slice {Path(name).name} is {size}, the first {first_size} (y, x, channels)", where=where,
                            remedy="mend it, or read the slices one by one with --as slices")
    flat = first.grid
    direction = np.eye(3)
    direction[1:, 1:] = flat.direction
    grid = Grid.of((len(images), *flat.size), (1.0, *flat.spacing), (0.0, *flat.origin), direction)
    return Image(np.stack([i.array for i in images]), grid, first.channels)


def read_label(case: Case, grid: Grid | None = None) -> Image | None:
    """The label map of a case, (z, y, x) or (y, x) uint8; None without one.

    grid: resample to this grid by nearest neighbour; without it the label map keeps its own grid. The values 0 and 255
    alone mean 0 and 1. Raises CaseError for values that are not whole numbers from 0 to 255, numbers that the scheme of
    the case lacks, more than two numbers in a JPEG, and a label map that does not cover `grid`.
    """
    if case.label is None:
        return None
    slices = case.slices.get("label")
    where, segments = case.label, None
    if slices:
        image = stack([read(path, labels=True) for path in slices], slices, case.path)
    else:
        segments = label_maps.segments(where)
        image = read(where, grey=segments is None, several=True, fix=case.fix, labels=True)
    if segments is not None or image.has_channels:
        image = _one_map(image, segments, case, grid)
    label = Image(whole_numbers(image.array, where), image.grid)
    if label.array.max() > 1 and any(suffix_of(p) in PICTURES and pictures.is_lossy(p) for p in slices or (where,)):
        raise CaseError("is no label map: JPEG does not keep its numbers", where=where, remedy="save masks as PNG")
    if case.scheme:
        values = np.flatnonzero(np.bincount(label.array.ravel(), minlength=256))
        schemes.check(values, schemes.scheme(case.scheme), where)
    if grid is None or label.grid.same_as(grid):
        return label
    if label.grid == Grid.of(label.grid.size) and grid == Grid.of(grid.size):  # pictures have no position
        label_size, image_size = ("x".join(map(str, g.size[::-1])) for g in (label.grid, grid))
        raise CaseError(f"is of {label_size} voxels, its image of {image_size}", where=where,
                        remedy="give the mask of this image")
    if grid.dimension != label.grid.dimension:
        raise CaseError(f"is {label.grid.dimension}D, its image {grid.dimension}D", where=where,
                        remedy="give the label map of this image")
    if (share := _covered(grid, label.grid)) < 1:
        raise CaseError(f"covers {int(100 * share)} % of its image and says nothing of the rest: it is of "
                        f"{_grid_text(label.grid)}, the image of {_grid_text(grid)}", where=where,
                        remedy="mend its header where that misplaces it, or fill it up to the image's grid")
    return resample(label, grid, order=0)


def _one_map(image: Image, segments: list[label_maps.Segment] | None, case: Case, grid: Grid | None) -> Image:
    """Convert segments of Slicer, or one-hot channels, to one number for each voxel.

    grid: of the image, on which a cut segmentation is placed; the image is read if it is None.
    """
    if grid is None and case.channels and case.path != case.label:
        grid = next(iter(read_channels(case).values())).grid
    if segments is None:
        return label_maps.single(image, grid, case.label)
    try:
        image = Image(label_maps.merged(image.by_channel(), segments, case.scheme), image.grid)
        return image if grid is None or image.grid.same_as(grid) else label_maps.placed(image, grid)
    except CaseError as error:
        raise CaseError(error.what, where=case.label, remedy=error.remedy) from error


def whole_numbers(array: np.ndarray, where: object = None) -> np.ndarray:
    """A label map as uint8, any shape. Raises CaseError for fractions, NaN and numbers outside of 0 to 255.

    Numbers that scaling left slightly off (255 times 1/255) are rounded.
    """
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CaseError("is no label map: it holds NaN or infinite values, not whole numbers", where=where)
    if array.dtype.kind == "f":
        whole = np.rint(array)
        if not np.allclose(array, whole, rtol=0, atol=ROUNDING):
            raise CaseError("is no label map: it holds other values than whole numbers", where=where,
                            remedy="store label numbers, not probabilities or a smoothed mask")
        array, low, high = whole, np.rint(low), np.rint(high)
    if high in (255, 65535) and np.isin(array, (0, high)).all():
        return (array > 0).astype(np.uint8)
    if low < 0 or high > 255:
        raise CaseError(f"is no label map: it holds {low:g} to {high:g}, labels are 0 to 255", where=where)
    return array.astype(np.uint8)


def _covered(grid: Grid, other: Grid) -> float:
    """The approximate share of the voxels of a grid whose centre lies within another grid; 1 for all."""
    places = np.stack(np.meshgrid(*[np.unique(np.linspace(0, s - 1, 25).round()) for s in grid.size],
                                  indexing="ij"), -1)
    index = other.to_index(grid.to_world(places))
    return float(((index > -0.51) & (index < np.asarray(other.size) - 0.49)).all(-1).mean())


def _grid_text(grid: Grid) -> str:
    size = "x".join(str(s) for s in reversed(grid.size))
    spacing = ",".join(f"{s:g}" for s in reversed(grid.spacing))
    return f"{size}, {spacing} mm"


def compact(array: np.ndarray) -> np.ndarray:
    """The array in the type to store: uint8 or int16 if every value is an integer that fits, else float32."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and not np.array_equal(first_part := array[:1], np.rint(first_part)):
        return array.astype(np.float32, copy=False)  # the first slice or row decides it for nearly all
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    for kind in (np.uint8, np.int16):
        fits = np.iinfo(kind).min <= low and high <= np.iinfo(kind).max
        if fits and (array.dtype.kind in "ui" or np.array_equal(array, np.rint(array))):
            return array.astype(kind, copy=False)
    return array.astype(np.float32, copy=False)


def write(path: Path, image: Image, *, recipe_hash: str = "", as_stored: bool = False) -> None:
    """Write an image in the format of the suffix: 2D as `.tif` or `.png`, 2D and volumes as `.nii.gz`, `.nii`, `.mha`.

    Values are stored in the smallest lossless type (see compact); as_stored: in the type of the array. A `.tif` holds
    any number of channels; a `.png` one, scaled to 16 bit with the scale in its header. A slice that was a volume (see
    Grid) becomes a volume again. recipe_hash goes into the header, so that a prepared file without its recipe is
    recognised.
    """
    path = Path(path)
    suffix = suffix_of(path)
    array = image.array if as_stored else compact(image.array)
    if suffix in (".tif", ".tiff", ".png"):
        if image.grid.dimension != 2:
            raise CaseError(f"a volume cannot be a {suffix}", where=path, remedy="use --suffix .nii.gz")
        note = {"mri-suite": recipe_hash, "grid": image.grid.as_dict()}
        if image.has_channels:
            note["channels"] = list(image.channels)
        (pictures if suffix == ".png" else tiff).write(path, array, note)
        return
    array, grid = (array[None], image.grid.volume) if image.grid.volume else (array, image.grid)
    if suffix in (".nii", ".nii.gz") and nifti.writes(array, grid):
        nifti.write(path, Image(array, grid), NOTE + recipe_hash if recipe_hash else "")
        return
    itk.write(path, Image(array, grid, image.channels), NOTE + recipe_hash if recipe_hash else "", suffix == ".nii.gz")


def read_recipe_hash(path: Path) -> str:
    """The recipe hash in the header of a file; empty if this suite did not prepare the file."""
    path = Path(path)
    suffix = suffix_of(path)
    try:
        if suffix in (".tif", ".tiff", ".png"):
            return (pictures if suffix == ".png" else tiff).recipe_hash(path)
        if suffix in (".nii", ".nii.gz"):
            with (gzip.open if suffix == ".nii.gz" else open)(path, "rb") as file:
                text = file.read(348)[148:228].split(b"\0")[0]
        elif suffix == ".mha":
            with open(path, "rb") as file:
                text = file.read(4096).partition(b"ITK_FileNotes = ")[2].split(b"\n")[0]
        else:
            return ""
    except (OSError, EOFError, zlib.error):
        return ""  # a damaged file has no hash; read() says what is wrong with it
    note = text.decode("ascii", "replace").strip()
    return note.removeprefix(NOTE) if note.startswith(NOTE) else ""
