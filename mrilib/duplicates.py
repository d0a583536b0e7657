"""Copies among images: the same file, the same pixels, and near copies (scaled, recompressed, cropped, mirrored).

Public image sets hold many copies, and a copy of a training image in the test set is a test of memory. Two images are
near copies when the perceptual hashes of their heads (pHash, 64 bits, Zauner 2010) differ in at most `distance` bits
and their thumbnails correlate by at least `correlation`; either may be mirrored. The hash alone links hundreds of
similar slices, and the thumbnail alone links dark slices; both together do not. The limits were chosen on 1128 slices
of 68 patients (figshare 1512427): they link 372 pairs within a patient and none across patients. With a correlation of
0.88 they link slices of different patients.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from mrilib import parallel
from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.images.steps.geometry import crop_to_head
from mrilib.results import Silent
from mrilib.store import content_hash, csv_text

DISTANCE = 10  # bits of 64
CORRELATION = 0.90
LONGEST = 256  # pixels of the longer side of a picture that is hashed: more cost time and change nothing
SIDE = 32  # of a thumbnail, in pixels
COLUMNS = ("case", "copy", "kind", "class", "class_of_copy", "part", "part_of_copy")
ROWS = 512  # images compared with all others at once, so that memory stays flat
PAIRS = 8192  # thumbnails compared at once


@dataclass(frozen=True)
class Fingerprint:
    """What copies are recognised by.

    content, pixels: SHA-256 of the files and of the voxels. hashes: (2, 64) bool, of the picture and of its mirror
    image. thumbnail: (SIDE, SIDE) float32 of mean 0 and norm 1. A volume has neither hashes nor thumbnail. blank: all
    values are equal.
    """

    content: str
    pixels: str
    hashes: np.ndarray | None
    thumbnail: np.ndarray | None
    blank: bool = False


def fingerprint(case: Case, image: Image | None = None) -> Fingerprint:
    """Return the fingerprint of a case. image: its first channel, if it has been read already.

    Where each channel is a file, the voxels of the first channel stand for the case. A volume has no hashes: slices of
    heads that were registered to one template look alike for all patients. Raises CaseError for a damaged file.
    """
    if image is None:
        name, path = next(iter(case.channels.items()))
        image = files.read_case(case if case.file_channels else replace(case, channels={name: path}))
    array = np.ascontiguousarray(image.array)
    pixels = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    pixels.update(array.data if array.size else b"")
    content = content_hash(case.image_files)
    if image.grid.dimension == 3:
        return Fingerprint(content, pixels.hexdigest(), None, None)
    hashes, thumbnail = _hashed(np.nan_to_num(_smaller(image.by_channel()), posinf=0, neginf=0))
    return Fingerprint(content, pixels.hexdigest(), hashes, thumbnail, bool((array == array.flat[0]).all()))


def _smaller(array: np.ndarray) -> np.ndarray:
    """Return the mean of the channels of a (y, x, channel) picture as float32, at most LONGEST pixels a side.

    Pixels are averaged over blocks; an incomplete last block is left out.
    """
    one_byte = array.shape[-1] == 1 and array.dtype == np.uint8
    grey = array[..., 0] if one_byte else array.astype(np.float32).mean(-1)
    step = -(-max(grey.shape) // LONGEST)
    height, width = (max(n // step, 1) for n in grey.shape)
    if step == 1 or min(grey.shape) < step:
        return grey.astype(np.float32, copy=False)
    whole = grey[: height * step, : width * step]
    blocks = [whole[i::step, j::step] for i in range(step) for j in range(step)]
    total = np.zeros((height, width), np.uint32 if one_byte else np.float32)  # whole numbers add up fast and exactly
    for block in blocks:
        total += block
    return total.astype(np.float32, copy=False) / np.float32(step * step)


def _hashed(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnail of a (y, x) float32 picture."""
    from imagehash import phash
    from PIL import Image as Picture

    with contextlib.suppress(CaseError):  # a blank picture has no head and is no near copy of any
        grey = crop_to_head(Image(grey, Grid.of(grey.shape)))[0].array
    low, high = np.percentile(grey, (1, 99))
    scaled = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    picture = Picture.fromarray((scaled * 255).astype(np.uint8))
    small = picture.resize((SIDE, SIDE), Picture.Resampling.LANCZOS)  # as phash itself does, once for both views
    mirrored = small.transpose(Picture.Transpose.FLIP_LEFT_RIGHT)
    thumbnail = np.asarray(picture.resize((SIDE, SIDE), Picture.Resampling.BOX), np.float32)
    thumbnail = thumbnail - thumbnail.mean()
    hashes = np.array([phash(view, hash_size=8).hash.ravel() for view in (small, mirrored)])
    return hashes, thumbnail / max(float(np.linalg.norm(thumbnail)), 1e-6)


def find(cases: Iterable[Case], jobs: int | Executor | None = None, *, near: bool = True, distance: int = DISTANCE,
         on_error: Callable[[CaseError], object] = lambda error: None,
         progress: Callable | None = None) -> tuple[list[Case], list[tuple[int, int, str]]]:
    """Return the cases that can be read, and their pairs of copies as `pairs` does. on_error takes the other errors.

    Raises CaseError when no case can be read.
    """
    cases, readable, prints = list(cases), [], []
    errors: list[CaseError] = []

    def fail(error: CaseError) -> None:
        errors.append(error)
        on_error(error)

    with (progress or Silent)("compare", len(cases)) as bar:
        calls = ((case, (case,)) for case in cases)
        for case, one in parallel.results("mrilib.duplicates:fingerprint", calls, jobs, fail, bar.step):
            readable.append(case)
            prints.append(one)
    if not readable:
        raise CaseError(f"no case can be read, the first: {errors[0]}" if errors else "no case can be read")
    return readable, pairs(prints, distance, near=near, subjects=[case.subject for case in readable])


def pairs(prints: list[Fingerprint], distance: int = DISTANCE, correlation: float = CORRELATION,
          near: bool = True, subjects: Sequence[str | None] | None = None) -> list[tuple[int, int, str]]:
    """Return the pairs of copies (i, j, "exact" | "near") with i < j, places in `prints`, sorted.

    Exact copies have the same bytes or the same voxels. Each is paired with the first of them only, which stands for
    all of them in the search for near copies. near: search for near copies, too. subjects: the person of each image,
    None where unknown. Images of two persons are copies only if they are equal and not blank, because slices from the
    ends of a head look alike for all persons.
    """
    first: dict[str, int] = {}
    copies, distinct = [], []
    persons = subjects or [None] * len(prints)
    for j, one in enumerate(prints):
        person = f" {persons[j]}" if one.blank else ""
        i = min(first.setdefault(one.content + person, j), first.setdefault(one.pixels + person, j))
        if i < j:
            copies.append((i, j, "exact"))
        elif one.hashes is not None:
            distinct.append(j)
    if near and len(distinct) > 1:
        for i, j in _near([prints[place] for place in distinct], distance, correlation):
            i, j = distinct[i], distinct[j]
            if not persons[i] or not persons[j] or persons[i] == persons[j]:
                copies.append((i, j, "near"))
    return sorted(copies)


def _near(prints: list[Fingerprint], distance: int, correlation: float) -> set[tuple[int, int]]:
    """Return the pairs with close hashes whose thumbnails correlate. Few pairs pass the hashes, which are compared
    first because that is a sixteenth of the work."""
    bits = np.array([p.hashes for p in prints], np.float32) * 2 - 1
    thumbs = np.array([p.thumbnail for p in prints])
    flat, flipped = thumbs.reshape(len(prints), -1), thumbs[..., ::-1].reshape(len(prints), -1)
    near: set[tuple[int, int]] = set()
    for start in range(0, len(prints), ROWS):
        for view, thumb in ((0, flat), (1, flipped)):
            agreeing = bits[start : start + ROWS, 0] @ bits[start:, view].T  # bits alike less bits that differ
            rows, columns = np.nonzero(agreeing >= 64 - 2 * distance - 1)
            above = rows < columns
            rows, columns = rows[above] + start, columns[above] + start
            for part in range(0, len(rows), PAIRS):
                i, j = rows[part : part + PAIRS], columns[part : part + PAIRS]
                alike = np.einsum("ij,ij->i", flat[i], thumb[j]) >= correlation
                near |= set(zip(i[alike].tolist(), j[alike].tolist(), strict=True))
    return near


def rows(cases: Sequence[Case], pairs: Iterable[tuple[int, int, str]]) -> list[dict]:
    """Return a row for each pair of copies (i, j, kind), with the class and the given part of both cases."""
    return [dict(zip(COLUMNS, (cases[i].id, cases[j].id, kind, cases[i].class_name, cases[j].class_name,
                               cases[i].part, cases[j].part), strict=True))
            for i, j, kind in pairs]  # fmt: skip


def table(cases: Sequence[Case], pairs: Iterable[tuple[int, int, str]]) -> str:
    """Return each pair of copies as CSV."""
    return csv_text([COLUMNS, *(row.values() for row in rows(cases, pairs))])


def groups(count: int, linked) -> np.ndarray:
    """Return the group of each of `count` items, numbered by first member; linked pairs (i, j, …) share a group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if count == 0:
        return np.zeros(0, int)
    ends = np.array([(i, j) for i, j, *_ in linked], int).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count))
    labels = connected_components(links, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
