"""Boxes in volumes by a detector of images: each slice is an image of its own, boxes of neighbouring slices join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrilib import recipe
from mrilib.cases import PICTURES, suffix_of
from mrilib.errors import CaseError
from mrilib.evaluation.metrics.boxes import iou
from mrilib.images.grid import Grid, Image
from mrilib.inference import prepare as preparing
from mrilib.inference.prepare import Prepared

JOIN = 0.3  # IoU from which boxes of neighbouring slices are of one structure
GAP = 2  # slices from one box of a structure to the next: one may be missing


@dataclass(frozen=True)
class PreparedSlices(Prepared):
    """A volume, ready for a model of images. slices: the slices that are not empty, by their place from the first axis
    on of `grid`, each prepared; grid: of the upright volume, whose slices these are; array: empty."""

    slices: tuple[tuple[int, Prepared], ...] = ()


def images_of(prepared: Prepared) -> list[Prepared]:
    """The images that go through a network: those of a volume's slices, or the one that a case is."""
    return [image for _, image in prepared.slices] if isinstance(prepared, PreparedSlices) else [prepared]


def prepare(case, steps: Sequence, channels: Sequence[str], shape: Sequence[int], native: bool, check: bool,
            others: Sequence[Sequence]) -> Prepared:
    """prepare.prepare for an image; of a volume, each slice of the upright volume taken through the steps as an image.

    Slices of one value, such as those outside of the head, are left out. Raises CaseError as prepare.prepare does.
    """
    if suffix_of(case.image_files[0]) in PICTURES and not case.slices:
        return preparing.prepare(case, steps, channels, shape, native, check, others)
    if check:
        recipe.check_origin(case)
    original, rest, _ = recipe.read(case, steps)
    if original.grid.dimension == 2:
        return preparing.prepare(case, steps, channels, shape, native, check, others)
    volume = preparing.upright(original)
    plane = Grid.of(volume.grid.size[1:], volume.grid.spacing[1:])
    slices = []
    for place, array in enumerate(volume.array):
        if array.min() == array.max():
            continue
        each = [_array(case, Image(array, plane, volume.channels), own, channels, shape, place)
                for own in ((rest, *others) if others else (rest,))]
        (first, grid), arrays = each[0], tuple(array for array, _ in each)
        slices.append((place, Prepared(arrays if others else first, "", "", grid, native_grid=plane)))
    source = recipe.source_record(case)
    grid = Grid.from_dict(source["native_grid"]) if "native_grid" in source else original.grid
    return PreparedSlices(np.zeros(0, np.float32), source["content"], "", volume.grid, native_grid=grid,
                          slices=tuple(slices))


def _array(case, image: Image, steps: Sequence, channels: Sequence[str], shape, place: int) -> tuple[np.ndarray, Grid]:
    """(array (y, x, channel), its grid) of a slice after its steps. Raises CaseError that names the slice."""
    try:
        prepared = recipe.apply(steps, image)[0]
        array, _ = preparing.array_of(case, prepared, channels)
    except CaseError as error:
        raise CaseError(f"slice {place}: {error.what}", where=case.path, remedy=error.remedy) from error
    if array.shape != tuple(shape):
        raise CaseError(f"its slices are {array.shape[1]} x {array.shape[0]} after preparing; the model takes "
                        f"{shape[1]} x {shape[0]}", where=case.path, remedy="give the volume as it is, not prepared")
    return array, prepared.grid


def joined(slices: Sequence[tuple[int, Sequence[Sequence]]]) -> list[tuple]:
    """Boxes of slices as boxes of the volume, surest first: (x0, y0, x1, y1, class, score, z0, z1) in voxels.

    slices: (place, boxes (x0, y0, x1, y1, class, score)) in the order of the places. A box goes on with that of the
    same class, in one of the GAP slices before, that it overlaps most, by JOIN or more; each goes on at most once in a
    slice. The result reaches from the first slice to the last and around all boxes; its score is the largest.
    """
    chains: list[list] = []  # of (place, box)
    for place, boxes in slices:
        taken: set[int] = set()
        for box in sorted(boxes, key=lambda box: -box[5]):
            near = {i: iou([chain[-1][1][:4]], [box[:4]])[0, 0] for i, chain in enumerate(chains)
                    if i not in taken and 0 < place - chain[-1][0] <= GAP and chain[-1][1][4] == box[4]}
            best = max(near, key=near.get, default=None)
            if best is None or near[best] < JOIN:
                chains.append([])
                best = len(chains) - 1
            chains[best].append((place, box))
            taken.add(best)
    result = []
    for chain in chains:
        sides = np.array([box[:4] for _, box in chain], float)
        result.append((*sides[:, :2].min(0).tolist(), *sides[:, 2:].max(0).tolist(), chain[0][1][4],
                       max(float(box[5]) for _, box in chain), float(chain[0][0]), float(chain[-1][0] + 1)))
    return sorted(result, key=lambda box: -box[5])
