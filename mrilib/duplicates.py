"""Copies among images: the same file, the same pixels, and near ones (scaled, recompressed, cropped, mirrored).

Public image sets are full of them, and a copy of a training image in the test set is a memory test. Two images are
near copies when the perceptual hashes of their heads (pHash, 64 bits, Zauner 2010) differ in at most `distance` bits
and their thumbnails correlate by at least `correlation`; either may be mirrored. The hash alone chains hundreds of
slices of one kind together and the thumbnail alone does so with dark ones; together they do not. The two limits were
chosen on 1128 slices of 68 patients (figshare 1512427): they link 372 pairs of one patient, none of two; two points of
correlation less, and patients run into each other.
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
from mrilib.store import content_hash, csv_text

DISTANCE = 10  # bits of 64
CORRELATION = 0.90
SEEN = 256  # pixels of the longer side that are looked at: more cost time and change nothing
SIDE = 32  # of a thumbnail, in pixels
COLUMNS = ("case", "copy", "kind", "class", "class_of_copy", "part", "part_of_copy")
ROWS = 512  # compared at once, so that memory stays flat
PAIRS = 8192  # of thumbnails, likewise


@dataclass(frozen=True)
class Fingerprint:
    """What copies are told by. content, pixels: SHA-256 of the files and of the voxels; hashes: (2, 64) bool, as it
    is and mirrored; thumbnail: (SIDE, SIDE) float32 of mean 0 and norm 1; None, both, of a volume.
    blank: one value everywhere."""

    content: str
    pixels: str
    hashes: np.ndarray | None
    thumbnail: np.ndarray | None
    blank: bool = False


def fingerprint(case: Case, image: Image | None = None) -> Fingerprint:
    """The fingerprint of a case. image: its first channel, where it has been read already.

    Of a case with a file for each channel the first channel's voxels stand for all. A volume has no hashes: heads
    brought to one template look alike in every slice, whoever they are. Raises CaseError when a file is damaged.
    """
    if image is None:
        name, path = next(iter(case.channels.items()))
        image = files.read_case(case if case.held else replace(case, channels={name: path}))
    array = np.ascontiguousarray(image.array)
    pixels = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    pixels.update(array.data if array.size else b"")
    content = content_hash(case.image_files)
    if image.grid.dimension == 3:
        return Fingerprint(content, pixels.hexdigest(), None, None)
    hashes, thumbnail = _hashed(np.nan_to_num(_smaller(image.by_channel()), posinf=0, neginf=0))
    return Fingerprint(content, pixels.hexdigest(), hashes, thumbnail, bool((array == array.flat[0]).all()))


def _smaller(array: np.ndarray) -> np.ndarray:
    """The mean of the channels of a (y, x, channel) picture as float32, of at most SEEN pixels a side.

    By means over blocks of pixels; what the last block lacks is left out.
    """
    one_byte = array.shape[-1] == 1 and array.dtype == np.uint8
    grey = array[..., 0] if one_byte else array.astype(np.float32).mean(-1)
    step = -(-max(grey.shape) // SEEN)
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

    with contextlib.suppress(CaseError):  # one value everywhere has no head: it is near to nothing, only its equal
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
    """The cases that can be read, and their pairs of copies as from `pairs`. on_error takes what is wrong with others.

    Raises CaseError when no case can be read.
    """
    cases, readable, prints = list(cases), [], []
    errors: list[CaseError] = []

    def fail(error: CaseError) -> None:
        errors.append(error)
        on_error(error)

    with (progress or parallel.Silent)("compare", len(cases)) as bar:
        calls = ((case, (case,)) for case in cases)
        for case, one in parallel.results("mrilib.duplicates:fingerprint", calls, jobs, fail, bar.step):
            readable.append(case)
            prints.append(one)
    if not readable:
        raise CaseError(f"no case can be read, the first: {errors[0]}" if errors else "no case can be read")
    return readable, pairs(prints, distance, near=near, subjects=[case.subject for case in readable])


def pairs(prints: list[Fingerprint], distance: int = DISTANCE, correlation: float = CORRELATION,
          near: bool = True, subjects: Sequence[str | None] | None = None) -> list[tuple[int, int, str]]:
    """Which are copies of which: (i, j, "exact" | "near") with i < j, by place in `prints`, in order.

    Exact: the same bytes or the same voxels; each is paired with the first of them alone, which stands for all
    when near ones are looked for. near=False looks for exact ones only. subjects: the person of each, None where not
    known; two persons' images are copies only if they are equal and not blank, for slices from the ends of a head
    look alike whosever they are.
    """
    first: dict[str, int] = {}
    found, alone = [], []
    whose = subjects or [None] * len(prints)
    for j, one in enumerate(prints):
        mine = f" {whose[j]}" if one.blank else ""
        i = min(first.setdefault(one.content + mine, j), first.setdefault(one.pixels + mine, j))
        found += [(i, j, "exact")] if i < j else []
        alone += [j] if i == j else []
    alone = [j for j in alone if prints[j].hashes is not None]
    if near and len(alone) > 1:
        close = ((alone[i], alone[j]) for i, j in _near([prints[i] for i in alone], distance, correlation))
        found += [(i, j, "near") for i, j in close if not (whose[i] and whose[j] and whose[i] != whose[j])]
    return sorted(found)


def _near(prints: list[Fingerprint], distance: int, correlation: float) -> set[tuple[int, int]]:
    """Pairs whose hashes are close, and of these those whose thumbnails correlate; the second is told by pixels, so
    it is computed for the few pairs alone that the first leaves."""
    bits = np.array([p.hashes for p in prints], np.float32) * 2 - 1
    thumbs = np.array([p.thumbnail for p in prints])
    flat, flipped = thumbs.reshape(len(prints), -1), thumbs[..., ::-1].reshape(len(prints), -1)
    found = set()
    for start in range(0, len(prints), ROWS):
        for view, thumb in ((0, flat), (1, flipped)):
            agreeing = bits[start : start + ROWS, 0] @ bits[start:, view].T  # bits alike less bits that differ
            rows, columns = np.nonzero(agreeing >= 64 - 2 * distance - 1)
            above = rows < columns
            rows, columns = rows[above] + start, columns[above] + start
            for part in range(0, len(rows), PAIRS):
                i, j = rows[part : part + PAIRS], columns[part : part + PAIRS]
                alike = np.einsum("ij,ij->i", flat[i], thumb[j]) >= correlation
                found |= set(zip(i[alike].tolist(), j[alike].tolist(), strict=True))
    return found


def rows(cases: Sequence[Case], linked) -> list[dict]:
    """Each pair of copies (i, j, kind), with the classes and the parts of a given split that its cases are in."""
    return [dict(zip(COLUMNS, (cases[i].id, cases[j].id, kind, cases[i].class_name, cases[j].class_name,
                               cases[i].part, cases[j].part), strict=True))
            for i, j, kind in linked]  # fmt: skip


def table(cases: Sequence[Case], linked) -> str:
    """Each pair of copies as CSV."""
    return csv_text([COLUMNS, *(row.values() for row in rows(cases, linked))])


def groups(count: int, linked) -> np.ndarray:
    """The group, 0 and up in order of first member, of each of `count` items; linked pairs (i, j, …) share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if count == 0:
        return np.zeros(0, int)
    ends = np.array([(i, j) for i, j, *_ in linked], int).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count))
    labels = connected_components(links, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
