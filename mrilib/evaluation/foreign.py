"""Label maps from strangers: read within bounds that the reference sets, whatever their headers promise.

Nothing is unpacked or held that is larger than a label map of the reference's grid can be, no file leads to another,
and what breaks a reader is an error of that file alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

import numpy as np

from mrilib import labels
from mrilib.cases import PICTURES, stem_of, suffix_of
from mrilib.errors import CaseError, MriError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk, label_maps, nifti, placement

WIDEST = 8  # bytes of a voxel
MOST_CHANNELS = 32  # of a one-hot label map
SPARE = 1 << 20  # bytes of headers and padding
WRITTEN_BESIDE = ("plans.pkl", "postprocessing.pkl", "inference_information.txt", "Thumbs.db", "desktop.ini")
NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}


@dataclass(frozen=True)
class Member:
    """A file in a zip archive."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"


def read(source: Path | Member, likes: Sequence[Grid] = (), fix: bool = False, scheme: str | None = None) -> Image:
    """The image in a file, which must have the size of one of some grids; without any (a trusted file) any size goes.

    One-hot channels become one label map, a segmentation of 3D Slicer that is cut to its segments lies on the first
    grid, with the values of the scheme where that names its segments. fix: as of images.files.read. Raises CaseError
    for what is damaged, cut short, of another size, or placed by its header in two ways or skewed unless that is to be
    fixed.
    """
    with on_disk(source, max(map(room, likes), default=None)) as path, _blamed(source):
        return _read(path, likes, fix, scheme, source)


def grid(path: Path, fix: bool = False) -> Grid:
    """The grid of a volume, by its header alone. Raises CaseError as read does."""
    with _blamed(path):
        if wrong := nifti.misnamed(path, suffix_of(path)):
            raise CaseError(wrong[0], remedy=wrong[1])
        place = _mended(path, suffix_of(path), (), fix)
        if place and place.size[0] == 1:
            return files.read(path, fix=fix).grid
        return place or _grid(_header(path))


@contextlib.contextmanager
def _blamed(source: Path | Member) -> Iterator[None]:
    """Whatever goes wrong with a file, as a CaseError that names it."""
    try:
        yield
    except MriError as error:
        raise CaseError(error.what, where=source, remedy=error.remedy) from error
    except MemoryError:
        raise
    except Exception as error:  # a stranger's file may break a reader in any way, and is wrong then
        raise CaseError(f"cannot be read: {type(error).__name__}: {str(error)[:100]}", where=source,
                        remedy="check what it holds") from error


def room(like: Grid) -> int:
    """How many bytes a label map on a grid may have at most."""
    return int(np.prod(like.size)) * WIDEST + SPARE


@contextlib.contextmanager
def on_disk(source: Path | Member, limit: int | None) -> Iterator[Path]:
    """A file by its path; a member of an archive is unpacked for as long as it is needed, up to `limit` bytes."""
    if isinstance(source, Path):
        if limit is not None and source.stat().st_size > limit:
            raise CaseError(f"is of {source.stat().st_size >> 20} MiB, a label map of this case of at most "
                            f"{limit >> 20}", where=source)
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="mri-score-") as folder:
        path = Path(folder) / f"map{suffix_of(source.name)}"
        try:
            with zipfile.ZipFile(source.archive) as archive, archive.open(source.name) as packed:
                data = packed.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise CaseError(f"cannot be unpacked: {error}", where=source, remedy="pack it again") from error
        if len(data) > limit:
            raise CaseError(f"unpacks to more than the {limit >> 20} MiB that a label map of this case can have",
                            where=source)
        path.write_bytes(data)
        yield path


def _read(path: Path, likes: Sequence[Grid], fix: bool, scheme: str | None, source: object) -> Image:
    suffix = suffix_of(path)
    if suffix in PICTURES:
        from PIL import Image as Picture

        if likes:
            with Picture.open(path) as picture:
                _same_size(picture.size, likes)
        return files.read(path, labels=True)
    _alone(path, suffix)
    nifti_file = suffix in (".nii", ".nii.gz")
    if nifti_file and (wrong := nifti.misnamed(path, suffix)):
        raise CaseError(wrong[0], remedy=wrong[1])
    if nifti_file and (grid := _mended(path, suffix, likes, fix)):
        array = None if grid.size[0] == 1 else _nifti(path, suffix, grid.size[::-1])  # one slice is a 2D image
        return files.read(path, fix=fix) if array is None else Image(array.reshape(grid.size), grid)
    header = _header(path)
    if likes:
        if found := _of_several(path, header, likes, scheme, source):
            return found
        _same_size(header.GetSize(), likes)
    array = _nifti(path, suffix, header.GetSize()) if nifti_file else None
    return files.read(path) if array is None else _image(array, header)  # ITK knows more kinds


def _of_several(path: Path, header, likes: Sequence[Grid], scheme: str | None, source: object) -> Image | None:
    """The label map in a file that holds several channels or segments, for one of some grids; None for others."""
    size, count = header.GetSize(), header.GetNumberOfComponents()
    if (parts := label_maps.segments(path)) is not None:
        if count > MOST_CHANNELS or int(np.prod(size)) > max(int(np.prod(like.size)) for like in likes):
            raise CaseError(f"is larger than the reference: size {_text(size)} and {_text(likes[0].size[::-1])}",
                            remedy="save the segmentation on the case's own image")
        image = files.read(path, grey=False, several=True)
        return label_maps.placed(Image(label_maps.merged(image.by_channel(), parts, scheme), image.grid), likes[0])
    for like in likes:
        own = tuple(like.size[::-1])
        last = count if count > 1 else size[-1] if len(size) == len(own) + 1 else 1
        first = len(size) == len(own) + 1 and size[1:] == own
        if first or (last > 1 and size[: len(own)] == own):
            if (extra := size[0] if first else last) > MOST_CHANNELS:
                raise CaseError(f"is no label map: it holds {extra} channels", remedy="save one number for each voxel")
            return label_maps.single(files.read(path, grey=False, several=True), like, source)
    return None


def _same_size(size, likes: Sequence[Grid]) -> None:
    mine = [s for s in size if s > 1]
    if not any(mine == [s for s in like.size[::-1] if s > 1] for like in likes):
        raise CaseError(f"grid differs from the reference's: size {_text(size)} and {_text(likes[0].size[::-1])}",
                        remedy="give predictions on the case's own grid")


def _text(size: Sequence[int]) -> str:
    return ",".join(map(str, size))


def _alone(path: Path, suffix: str) -> None:
    """Raise CaseError for a header whose voxels lie in another file, wherever that is."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    other = suffix == ".mhd" or (suffix == ".nrrd" and (b"data file:" in head.lower() or b"datafile:" in head.lower()))
    if suffix == ".mha":
        line = next((v for v in head.split(b"\n") if v.startswith(b"ElementDataFile")), b"=")
        other = line.partition(b"=")[2].strip() != b"LOCAL"
    if other:
        raise CaseError("keeps its voxels in another file, or nowhere", remedy="give one file a case, such as .nii.gz")


def _header(path: Path):
    """The reader that has seen the header, and nothing more."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise CaseError(f"cannot be read: {itk.reason(error)}", remedy="check what it holds") from error
    return reader


def _mended(path: Path, suffix: str, likes: Sequence[Grid], fix: bool) -> Grid | None:
    """The grid of a volume whose header places it in two ways, or skewed, as files.read mends it; None for others.

    Raises CaseError for one that is to be mended only if fix says so.
    """
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    head = zlib.decompressobj(31).decompress(head, 544) if suffix == ".nii.gz" else head[:544]
    if (header := nifti.header(head)) is None:
        return None
    found = placement.of(header)
    if not fix and (wrong := placement.wrong(found)):
        raise CaseError(wrong[0], remedy=wrong[1])
    place = placement.own_grid(found, fix)
    if place and likes:
        _same_size(found.size, likes)
    return place


def _nifti(path: Path, suffix: str, size: Sequence[int]) -> np.ndarray | None:
    """The voxels of a NIfTI file in file order, unpacked once; None for what is better left to ITK."""
    with open(path, "rb") as file:
        if suffix == ".nii.gz":
            unpack = zlib.decompressobj(31)
            head = unpack.decompress(file.read(1 << 12), nifti.HEAD)
            need = _length(head)
            file.seek(0)
            unpack = zlib.decompressobj(31)
            data = unpack.decompress(file.read(), (need or 0) + 1)
            while need and len(data) <= need and unpack.eof and unpack.unused_data.strip(b"\0"):
                rest, unpack = unpack.unused_data, zlib.decompressobj(31)  # gzip files may be joined
                data += unpack.decompress(rest, need + 1 - len(data))
        else:
            head = file.read(nifti.HEAD)
            need = _length(head)
            data = head + file.read(max((need or 0) - len(head) + 1, 0))
    order = next((o for o in "<>" if int.from_bytes(head[:4], "little" if o == "<" else "big") == 348), None)
    if need is None or order is None:
        return None  # not NIfTI-1: ITK knows more
    if len(data) != need:
        raise CaseError(f"is cut short: {len(data)} of {need} bytes" if len(data) < need
                        else "holds more than its header says", remedy="copy it again")
    number = int(np.frombuffer(head, f"{order}i2", 1, 70)[0])
    start, slope, shift = (float(np.frombuffer(head, f"{order}f4", 1, place)[0]) for place in (108, 112, 116))
    if number not in NIFTI_TYPES or start != int(start) or not np.isfinite([slope, shift]).all():
        return None
    array = np.frombuffer(data, f"{order}{NIFTI_TYPES[number]}", -1, int(start)).astype(NIFTI_TYPES[number], copy=False)
    if array.size != int(np.prod([float(s) for s in size])):
        return None
    if slope not in (0, 1) or (shift and slope):
        array = array * np.float64(slope) + shift
    return array


def _length(head: bytes) -> int | None:
    """How many bytes a NIfTI file has by its header; None for any other file."""
    return None if (found := nifti.header(head)) is None else nifti.length(found)


def _image(array: np.ndarray, header) -> Image:
    """Voxels in file order on the grid of a header."""
    where = _grid(header)
    return Image(array.reshape(where.size), where)


def _grid(header) -> Grid:
    """The grid of a header, that of a single slice in 2D."""
    size = header.GetSize()
    n = min(len(size), 3)
    direction = np.asarray(header.GetDirection()).reshape(len(size), -1)[:n, :n][::-1, ::-1]
    return Grid.of(size[:n][::-1], header.GetSpacing()[:n][::-1], header.GetOrigin()[:n][::-1], direction).flattened()


def record(source: Path | Member) -> dict:
    """The record that mri-predict writes beside a label map; empty when there is none.

    Raises CaseError for one that is no record, or longer than any is.
    """
    try:
        if isinstance(source, Path):
            beside = source.with_name(f"{stem_of(source)}.json")
            if not beside.is_file() or beside.is_symlink():
                return {}
            with open(beside, "rb") as file:
                text = file.read(SPARE + 1)
        else:
            name = f"{source.name[: len(source.name) - len(suffix_of(source.name))]}.json"
            with zipfile.ZipFile(source.archive) as archive:
                if name not in archive.namelist():
                    return {}
                with archive.open(name) as packed:
                    text = packed.read(SPARE + 1)
        found = json.loads(text) if len(text) <= SPARE else None
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
            RuntimeError) as error:
        raise CaseError(f"the record beside it cannot be read: {type(error).__name__}", where=source,
                        remedy="leave it out, or make the prediction again") from error
    if not isinstance(found, dict):
        raise CaseError("the record beside it is none of this suite", where=source, remedy="leave it out")
    return found


@lru_cache(maxsize=1024)
def dataset_scheme(folder: PurePath, archive: Path | None = None) -> str | None:
    """The scheme that the dataset.json in a folder (of a zip archive) tells, as nnU-Net copies it beside its label
    maps; None without one. Raises CaseError for one that cannot be understood."""
    place = folder / "dataset.json"
    where = place if archive is None else Member(archive, place.as_posix())
    try:
        if archive is None:
            text = where.read_bytes() if where.is_file() and where.stat().st_size <= SPARE else b""
        else:
            with zipfile.ZipFile(where.archive) as packed:
                known = where.name in packed.namelist()
                with packed.open(where.name) if known else contextlib.nullcontext() as file:
                    text = file.read(SPARE) if known else b""
        told = json.loads(text) if text else {}
        return labels.of_dataset(told["labels"]) if isinstance(told, dict) and told.get("labels") else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, RuntimeError, zipfile.BadZipFile,
            zlib.error, EOFError) as error:
        raise CaseError(f"does not tell what the numbers of the label maps beside it mean: {error}", where=where,
                        remedy="name their scheme with --predicted-scheme") from error


def is_beside(name: str, maps: Container[str]) -> bool:
    """Whether a file is what nnU-Net leaves beside its label maps: probabilities and properties of one of them, or the
    record of a run. name, maps (without suffix): paths with / between parts."""
    folder, _, last = name.rpartition("/")
    stem, _, suffix = last.rpartition(".")
    if suffix in ("npz", "npy", "pkl") and (f"{folder}/{stem}" if folder else stem) in maps:
        return True
    return last in WRITTEN_BESIDE or suffix == "json"


def checked_members(path: Path) -> tuple[dict[str, Member], list[CaseError], list[str]]:
    """The files of a zip archive that may be label maps, by their path in it, what is wrong with the others, and what
    other tools write beside label maps.

    Nothing is unpacked. Raises CaseError for what is no archive.
    """
    found: dict[str, Member] = {}
    problems: list[CaseError] = []
    beside: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CaseError(f"is no zip archive that can be read: {error}", where=path, remedy="pack it again") from error
    maps = {name[: len(name) - len(suffix_of(name))] for name in (m.filename for m in members) if suffix_of(name)}
    for member in members:
        name, where = member.filename, Member(path, member.filename)
        last = name.rstrip("/").split("/")[-1]
        if member.is_dir() or last.startswith(".") or "__MACOSX" in name.split("/"):
            continue
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":":
            problems.append(CaseError("its path leads out of the archive", where=where, remedy="pack it again"))
        elif (member.external_attr >> 16) & 0o170000 == 0o120000:
            problems.append(CaseError("is a link, not a file", where=where, remedy="pack the file itself"))
        elif is_beside(name, maps):
            beside += [] if name.removesuffix(".json") in maps else [name]
        elif member.flag_bits & 1:
            problems.append(CaseError("is encrypted", where=where, remedy="pack it without a password"))
        elif name in found:
            problems.append(CaseError("is in the archive twice", where=where))
            found.pop(name)
        elif not suffix_of(name):
            problems.append(CaseError("is not a label map by its suffix", where=where))
        else:
            found[name] = where
    return found, problems, beside


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a file is a link to somewhere outside of a folder."""
    inside = os.path.join(os.path.realpath(folder), "")
    return not os.path.realpath(path).startswith(inside)
