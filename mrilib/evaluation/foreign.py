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
from mrilib.images.io import files, itk, label_maps, nifti

WIDEST = 8  # bytes of a voxel
MOST_CHANNELS = 32  # of a one-hot label map
SPARE = 1 << 20  # bytes of headers and padding
BROKEN = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)  # what damaged files raise
WRITTEN_BESIDE = ("plans.pkl", "postprocessing.pkl", "inference_information.txt", "Thumbs.db", "desktop.ini")


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
        suffix = suffix_of(path)
        return nifti.grid(path, suffix, fix) if suffix in (".nii", ".nii.gz") else itk.grid(path)


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
        except BROKEN as error:
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
    is_nifti = suffix in (".nii", ".nii.gz")
    if likes:
        size, count = nifti.size(path, suffix) if is_nifti else itk.size(path)
        if merged := _of_several(path, size, count, likes, scheme, source):
            return merged
        _same_size(size, likes)
    return nifti.read(path, suffix, fix=fix, exact=bool(likes)) if is_nifti else files.read(path)


def _of_several(path: Path, size: tuple[int, ...], count: int, likes: Sequence[Grid], scheme: str | None,
                source: object) -> Image | None:  # fmt: skip
    """The label map in a file that holds several channels or segments, for one of some grids; None for others.

    size: in x, y, z and a fourth axis. count: components of a voxel.
    """
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
            suffix = suffix_of(path)
            image = (nifti.read(path, suffix, several=True, exact=True) if suffix in (".nii", ".nii.gz")
                     else files.read(path, grey=False, several=True))
            return label_maps.single(image, like, source)
    return None


def _same_size(size, likes: Sequence[Grid]) -> None:
    long = [s for s in size if s > 1]
    if not any(long == [s for s in like.size[::-1] if s > 1] for like in likes):
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


def record(source: Path | Member) -> dict:
    """The record that mri-predict writes beside a label map; empty without one.

    Raises CaseError for a file that is no record, or longer than any record.
    """
    if isinstance(source, Path):
        beside: Path | Member = source.with_name(f"{stem_of(source)}.json")
    else:
        beside = Member(source.archive, f"{source.name.removesuffix(suffix_of(source.name))}.json")
    try:
        text = None if isinstance(beside, Path) and beside.is_symlink() else _start(beside)
        values = {} if text is None else json.loads(text) if len(text) <= SPARE else None
    except BROKEN as error:
        raise CaseError(f"the record beside it cannot be read: {type(error).__name__}", where=source,
                        remedy="leave it out, or make the prediction again") from error
    if not isinstance(values, dict):
        raise CaseError("the record beside it is none of this suite", where=source, remedy="leave it out")
    return values


@lru_cache(maxsize=1024)
def dataset_scheme(folder: PurePath, archive: Path | None = None) -> str | None:
    """The label scheme in the dataset.json of a folder (of a zip archive), as nnU-Net copies it beside its label maps;
    None without one. Raises CaseError for one that cannot be understood."""
    place = folder / "dataset.json"
    where = place if archive is None else Member(archive, place.as_posix())
    try:
        text = _start(where)
        values = json.loads(text) if text and len(text) <= SPARE else {}
        return labels.of_dataset(values["labels"]) if isinstance(values, dict) and values.get("labels") else None
    except (*BROKEN, TypeError, AttributeError) as error:
        raise CaseError(f"does not tell what the numbers of the label maps beside it mean: {error}", where=where,
                        remedy="name their scheme with --predicted-scheme") from error


def _start(where: Path | Member) -> bytes | None:
    """The first bytes of a file, one more than SPARE; None without the file."""
    if isinstance(where, Path):
        if not where.is_file():
            return None
        with open(where, "rb") as file:
            return file.read(SPARE + 1)
    with zipfile.ZipFile(where.archive) as archive:
        if where.name not in archive.namelist():
            return None
        with archive.open(where.name) as file:
            return file.read(SPARE + 1)


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
    files_of: dict[str, Member] = {}
    problems: list[CaseError] = []
    beside: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except BROKEN as error:
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
        elif name in files_of:
            problems.append(CaseError("is in the archive twice", where=where))
            files_of.pop(name)
        elif not suffix_of(name):
            problems.append(CaseError("is not a label map by its suffix", where=where))
        else:
            files_of[name] = where
    return files_of, problems, beside


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a file is a link to somewhere outside of a folder."""
    inside = os.path.join(os.path.realpath(folder), "")
    return not os.path.realpath(path).startswith(inside)
