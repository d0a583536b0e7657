"""Prepared volumes on disk, read patch by patch: training needs no more memory for a thousand cases than for one.

Each case has a folder of its own below the cache: image.npy (z, y, x, channel) float16, label.npy (z, y, x) uint8
indices into the label values (one more for ignored voxels), places.npz (positions of each label, so that the sampler
scans nothing), and case.json. The name of the folder depends on files, steps, spacing and label values. A folder is
complete or absent and never changed, so that runs share a cache, even at the same time, and prepare no case twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrilib import recipe, store
from mrilib.cases import PICTURES, suffix_of
from mrilib.errors import CaseError
from mrilib.images.io import files
from mrilib.images.steps.foreground import border, box_of
from mrilib.inference import segment
from mrilib.inference.prepare import channels_of, prepare_volume, upright
from mrilib.training.sampling import number_of

FORMAT = 3
PLACES = 4096  # positions kept of each label in a volume
PLACES_SLICE = 16  # and of each label in a slice, for 2D networks: every slice counts, however small its part
LARGEST = 60000.0  # float16 ends at 65504
UNKNOWN = 255


@dataclass(frozen=True)
class Volume:
    """One prepared case. size: (z, y, x), z = 1 for a picture. air: the value of each channel outside. counts: voxels
    of each label. content: hash of the case as first given. label_content: of its label map as prepared. spacing: mm,
    (z, y, x).

    Each array holds a file open as long as it lives: thousands of cases are read one by one, not kept.
    """

    id: str
    folder: Path
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    channels: tuple[str, ...]
    air: np.ndarray
    counts: dict[int, int]
    content: str
    label_content: str

    def image(self) -> np.ndarray:
        """(z, y, x, channel) float16, mapped from disk."""
        return np.load(self.folder / "image.npy", mmap_mode="r")

    def label(self) -> np.ndarray:
        """(z, y, x) uint8, indices into the label values, one more where it is ignored, mapped from disk."""
        return np.load(self.folder / "label.npy", mmap_mode="r")

    def places(self, in_slices: bool = False) -> dict[int, np.ndarray]:
        """Positions (n, 3) int32 of each label that occurs, taken evenly from the volume, or from its slices."""
        kind = "s" if in_slices else "v"
        with np.load(self.folder / "places.npz") as places:
            return {int(name[1:]): places[name] for name in places.files if name[0] == kind}


def folder_of(cache: Path, key: dict) -> Path:
    """The folder of a case: its name, and a hash of all that its prepared arrays depend on, including its id."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return Path(cache) / f"{key['id'].split('/')[-1][:60]}-{digest}"


def prepare(case, steps: Sequence, channels: Sequence[str], spacing: Sequence[float] | None, values: Sequence[int],
            cache: Path, ignore: int | None = None) -> str:  # fmt: skip
    """Prepare a case as prediction would (inference.prepare) and write the part that prediction would compute below
    `cache`, unless it is there.

    steps, channels, spacing: as in inference.prepare.prepare_volume. values: label values in order, background
    first. ignore: the value of unlabelled voxels. Returns the name of the case's folder. Raises CaseError
    for another label, and as preparing does.
    """
    key = {"format": FORMAT, "sources": [store.stamp(path) for path in recipe.input_files(case)],
           "steps": [step.as_dict() for step in steps], "channels": list(channels), "values": list(values),
           "spacing": None if spacing is None else list(spacing), "held": list(case.file_channels), "id": case.id,
           **({} if ignore is None else {"ignore": ignore})}  # fmt: skip
    folder = folder_of(cache, key)
    if _is_whole(folder):
        return folder.name
    store.remove(folder)
    prepared = prepare_volume(case, steps, channels, spacing)
    array, flat = prepared.array, prepared.grid.dimension == 2
    if np.abs(array).max() > LARGEST:
        raise CaseError(f"holds values beyond {LARGEST:g}", where=case.path,
                        remedy="bring them to a common scale first: mri-normalize")
    label = _indices(values, ignore, recipe.label_on(case, prepared.given_grid, prepared.grid, steps).array, case)
    label = label[None] if flat else label
    inside = _box(array, np.where(label < len(values), label, 0))
    array, label = array[inside], label[inside]
    air = [float(border(array[..., i]).min()) for i in range(array.shape[-1])]
    counts = np.bincount(label.ravel(), minlength=len(values))[: len(values)]
    with store.whole(folder) as making:
        making.mkdir(exist_ok=True)
        np.save(making / "image.npy", array.astype(np.float16))
        np.save(making / "label.npy", label)
        np.savez(making / "places.npz", **_places(label, len(values), case.id))
        store.write_json(making / "case.json", {
            "key": key, "content": prepared.content, "air": air,
            "spacing": [*([1.0] if flat else []), *prepared.grid.spacing],
            "size": list(label.shape), "counts": {str(i): int(n) for i, n in enumerate(counts) if n},
            "label_content": store.content_hash([making / "label.npy"]),
            "outputs": {path.name: path.stat().st_size for path in sorted(making.iterdir())},
        })  # fmt: skip
    return folder.name


def _is_whole(folder: Path) -> bool:
    """Whether a prepared case is there in full: a power cut, or a copy of the cache, may leave files cut short."""
    try:
        return store.have_sizes(folder, store.read_json(folder / "case.json")["outputs"])
    except (CaseError, KeyError):
        return False


def _box(array: np.ndarray, label: np.ndarray) -> tuple[slice, ...]:
    """The box around the head, which prediction would compute, and all labelled voxels; everything without a head."""
    head = segment.head_box(array)
    if head is None:
        return (slice(None),) * 3
    low, high = head
    if label.any():
        first, last = np.array([(part.start, part.stop) for part in box_of(label)]).T
        low, high = np.minimum(low, first), np.maximum(high, last)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _indices(values: Sequence[int], ignore: int | None, array: np.ndarray, case) -> np.ndarray:
    """A label map as indices into `values`, len(values) for ignored voxels: uint8. Raises CaseError for any other
    value."""
    table = np.full(256, UNKNOWN, np.uint8)
    table[list(values)] = np.arange(len(values), dtype=np.uint8)
    if ignore is not None:
        table[ignore] = len(values)
    indices = table[array]
    if (indices == UNKNOWN).any():
        raise CaseError(f"holds the label {int(array[indices == UNKNOWN].ravel()[0])}, which is none of "
                        f"{' '.join(map(str, values))}", where=case.path, remedy="name the label values with --scheme")
    return indices


def look(case, steps: Sequence) -> tuple[tuple[float, ...], tuple[str, ...], list[int]]:
    """What planning must know of a case before it is prepared: spacing of its upright label map (mm; two numbers for a
    picture), channels, and the label numbers. Raises CaseError as reading does."""
    label = files.read_label(case)
    if label is None:
        raise CaseError("has no label map", where=case.path, remedy="leave it out, or put its label map beside it")
    if suffix_of(case.image_files[0]) in PICTURES:
        channels = channels_of(case, recipe.apply(steps, recipe.read(case, steps)[0])[0])
    else:
        channels = tuple(case.channels)
    numbers = np.flatnonzero(np.bincount(label.array.ravel())).tolist()
    return upright(label).grid.spacing, channels, numbers


def load(cache: Path, names: Sequence[str]) -> list[Volume]:
    """The cases of these folders of the cache, without their voxels."""
    volumes = []
    for name in names:
        folder = Path(cache) / name
        case = store.read_json(folder / "case.json")
        volumes.append(Volume(case["key"]["id"], folder, tuple(case["size"]), tuple(case["spacing"]),
                              tuple(case["key"]["channels"]), np.array(case["air"], np.float32),
                              {int(k): n for k, n in case["counts"].items()}, case["content"], case["label_content"]))
    return volumes


def _places(label: np.ndarray, count: int, case_id: str) -> dict[str, np.ndarray]:
    """Random positions (n, 3) int32 of each label, `v0`… evenly from the volume, `s0`… evenly from its slices, always
    the same for the same case."""
    rng = np.random.default_rng(number_of(case_id))
    places = {}
    for value in range(count):
        flat = np.flatnonzero(label == value)
        if not flat.size:
            continue
        some = rng.choice(flat, PLACES, replace=False) if flat.size > PLACES else flat
        places[f"v{value}"] = np.stack(np.unravel_index(np.sort(some), label.shape), -1).astype(np.int32)
        cuts = np.searchsorted(flat, np.arange(1, label.shape[0]) * label[0].size)
        each = [rng.choice(part, min(PLACES_SLICE, part.size), replace=False) for part in np.split(flat, cuts)
                if part.size]
        spread = np.sort(np.concatenate(each))
        places[f"s{value}"] = np.stack(np.unravel_index(spread, label.shape), -1).astype(np.int32)
    return places
