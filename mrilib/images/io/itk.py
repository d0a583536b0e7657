"""Images of SimpleITK: the formats that it reads and writes, and the conversion between x, y, z and z, y, x."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io.colours import grey_if_grey, on_black, visible

LARGEST = 1 << 31  # values in one image


def read(path: Path, suffix: str, grey: bool = True, several: bool = False, labels: bool = False) -> Image:
    """Read an image of a format that ITK knows; arguments as in files.read. Raises CaseError for any other file."""
    import SimpleITK as sitk

    reader = header(path)
    check_size(path, reader.GetSize(), reader.GetNumberOfComponents(), several)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise CaseError(f"cannot be read: {reason(error)}", where=path, remedy="check what it holds") from error
    if image.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise CaseError("holds complex numbers", where=path, remedy="save their magnitude")
    result = from_itk(image, grey)
    if suffix == ".png" and image.GetNumberOfComponentsPerPixel() in (2, 4):
        array = sitk.GetArrayFromImage(image)
        array = visible(array) if labels else on_black(array, 65535).astype(np.uint16)
        array = array[..., None] if array.ndim == 2 else array
        return Image(grey_if_grey(array) if array.shape[-1] == 3 and grey else array[..., 0], result.grid)
    return result


def check_size(path: Path, size, components: int, several: bool) -> None:
    """Raise CaseError for an image that is too large, or has more axes than are read.

    size: x, y, z and further. several: a fourth axis is channels.
    """
    if np.prod([float(s) for s in size]) * components > LARGEST:
        raise CaseError(f"is too large: {'x'.join(map(str, size))}", where=path)
    if int(np.prod(size[4 if several else 3 :])) > 1:
        raise CaseError(f"has {len(size)} dimensions ({'x'.join(map(str, size))})", where=path,
                        remedy="name the channels of the fourth with --channels")


def grid(path: Path, image_format: str = "") -> Grid:
    """The grid of an image by its header alone, that of a single slice in 2D. Raises CaseError as read does.

    image_format: name of the ImageIO to use; empty: detected from the content.
    """
    reader = header(path, image_format)
    direction = np.asarray(reader.GetDirection()) + 0.0  # ITK's reading of whole images has no -0.0 here
    return _grid(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), direction).flattened()


def size(path: Path) -> tuple[tuple[int, ...], int]:
    """(voxels along x, y and further axes, components of a voxel), by the header. Raises CaseError as read does."""
    reader = header(path)
    return tuple(reader.GetSize()), reader.GetNumberOfComponents()


def header(path: Path, image_format: str = ""):
    """SimpleITK's reader of an image, which has read the header. Raises CaseError as read does."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if image_format:
        reader.SetImageIO(image_format)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise CaseError(f"cannot be read: {reason(error)}", where=path, remedy="check what it holds") from error
    return reader


def _grid(size, spacing, origin, direction) -> Grid:
    """The grid of ITK's numbers, which are in x, y, z; axes from the fourth on are left out."""
    n = min(len(size), 3)
    direction = np.asarray(direction).reshape(len(size), -1)[:n, :n][::-1, ::-1]
    return Grid.of(size[:n][::-1], spacing[:n][::-1], origin[:n][::-1], direction)


def reason(error: RuntimeError) -> str:
    """The informative part of an error of ITK, which has many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else "unknown reason"
    if "orthonormal" in str(error):
        return "its axes are not at right angles, a defect of its header; save it as NIfTI and use --fix-orientation"
    if "Unable to determine ImageIO" in str(error):
        return "not an image of any known kind"
    if "MetaImageIO" in str(error) and "cannot be read" in str(error):  # ITK says "No such file" for any fault of these
        return "damaged or cut short" + (", or its file of voxels is missing" if ".mhd for" in str(error) else "")
    return text.split("): ")[-1][:200]


def from_itk(image, grey: bool = True) -> Image:
    """A SimpleITK image as an Image; a single slice becomes 2D, a fourth axis the channels.

    grey: make one channel of colours that are grey.
    """
    import SimpleITK as sitk

    if image.GetDimension() > 3:
        size = list(image.GetSize())
        image = sitk.Extract(image, size[:4] + [0] * (len(size) - 4)) if len(size) > 4 else image
        images = [sitk.Extract(image, [*size[:3], 0], [0, 0, 0, i]) for i in range(size[3])]
        image = images[0] if len(images) == 1 else sitk.Compose(images)
    whole = _grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    grid, array = whole.flattened(), sitk.GetArrayFromImage(image)
    n, array = grid.dimension, array if grid is whole else array[0]
    if array.ndim == n + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if n == 2 and array.ndim == 3 and array.shape[-1] in (3, 4) and array.dtype.kind == "u" and grey:
        array = grey_if_grey(array[..., :3])
    return Image(array, grid, tuple(f"c{i}" for i in range(array.shape[-1])) if array.ndim > n else ())


def to_itk(image: Image):
    """An Image as a SimpleITK image on the same grid."""
    import SimpleITK as sitk

    result = sitk.GetImageFromArray(np.ascontiguousarray(image.array), isVector=image.has_channels)
    result.SetSpacing(image.grid.spacing[::-1])
    result.SetOrigin(image.grid.origin[::-1])
    result.SetDirection(np.asarray(image.grid.direction)[::-1, ::-1].ravel().tolist())
    return result


def write(path: Path, image: Image, note: str = "", compress: bool = False) -> None:
    """Write an image in the format of the suffix; note goes into its header where the format has a place for that."""
    import SimpleITK as sitk

    result = to_itk(image)
    if note:
        result.SetMetaData("ITK_FileNotes", note)
    try:
        sitk.WriteImage(result, str(path), compress)
    except RuntimeError as error:
        raise OSError(*_disk_state(path), reason(error)) from error


def _disk_state(path: Path) -> tuple[int]:
    """ITK does not say why it could not write: ask the disk."""
    import errno
    import shutil

    return (errno.ENOSPC,) if shutil.disk_usage(path.parent).free < 1 << 20 else (errno.EIO,)
