"""Post-processing of a label map: small connected components, all but the largest component, holes; by label or region.

Settings are those of a model's record: {"threshold": {part: 0..1}, "keep_largest": [part], "min_volume": {part:
mm3}, "fill_holes": [part]}. A part is a label or region by name, or "all": everything but the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mrilib import labels
from mrilib.errors import UsageError
from mrilib.images.steps.foreground import box_of
from mrilib.models.record import MapRecord

ALL = "all"
NUMBERS = ("threshold", "min_volume")  # kinds with a number for each part; the others have a list of parts
KINDS = ("threshold", "keep_largest", "min_volume", "fill_holes")


def regions_of(record: MapRecord) -> dict[str, tuple[int, ...]]:
    """The regions of a segmentation model, name -> label numbers: the network's own, else those of its scheme."""
    if record.regions:
        return {name: tuple(numbers) for name, numbers in record.regions.items()}
    return dict(_scheme(record).regions)


def parts_of(record: MapRecord) -> dict[str, tuple[int, ...]]:
    """Every part of a model's label maps: its regions, then each label by name; name -> numbers."""
    names = _scheme(record).labels
    return {**regions_of(record), **{names.get(v, str(v)): (v,) for v in record.values if v}}


def scored(record: MapRecord) -> list[str]:
    """The names of the parts that are scored: regions where there are any, else labels."""
    return list(regions_of(record) or parts_of(record))


def scored_name(name: str, record: MapRecord) -> str:
    """The name that a part is scored by where it has several ("4" and "enhancing" are ET); else the same name."""
    parts = parts_of(record)
    numbers = parts.get(name) or ((int(name),) if name.isdecimal() else None)
    return next((part for part in scored(record) if set(parts[part]) == set(numbers or ())), name)


def _scheme(record: MapRecord) -> labels.Scheme:
    return labels.scheme(record.scheme) if record.scheme else labels.Scheme("", {})


def check(settings: Mapping, record: MapRecord) -> None:
    """Raise UsageError for settings that name an unknown part, or a number that cannot be."""
    parts = parts_of(record)
    names = {*parts, *(str(v) for v in record.values if v), ALL}
    if unknown := set(settings) - set(KINDS):
        raise UsageError(f"post-processing {min(unknown)!r} is not known", remedy=f"one of {' '.join(KINDS)}")
    for kind, chosen in settings.items():
        words = kind.replace("_", " ")
        if not isinstance(chosen, Mapping if kind in NUMBERS else list | tuple):
            raise UsageError(f"{words}: {chosen!r} is not {'a number for each part' if kind in NUMBERS else 'a list'}")
        for name in chosen:
            if name not in names or (kind == "threshold" and name == ALL):
                raise UsageError(f"{words}: {name} is no label or region of this model",
                                 remedy=f"one of {' '.join(parts)}, or all")
        for name, value in chosen.items() if kind in NUMBERS else ():
            if not isinstance(value, int | float) or not (
                    0 < value < 1 if kind == "threshold" else 0 <= value < float("inf")):
                raise UsageError(f"{words} of {name} cannot be {value}")


def apply(label_map: np.ndarray, spacing: Sequence[float], settings: Mapping, record: MapRecord) -> np.ndarray:
    """The label map after post-processing, larger parts first; uint8 (z, y, x) or (y, x).

    spacing: mm, in the order of the axes. Each part goes through keep_largest, min_volume (smaller components are
    removed) and fill_holes (a hole takes the nearest label of its part). Components touch by faces, edges or corners,
    holes are closed off by faces. A voxel that a part loses becomes what the next larger region has of its own (lost
    from ET it is necrosis, from TC oedema), else background. `threshold` belongs to decode.
    """
    result = np.asarray(label_map, np.uint8)
    parts, regions = parts_of(record), regions_of(record)
    largest, least, holes = (settings.get(k) or () for k in ("keep_largest", "min_volume", "fill_holes"))
    chosen = {name: _numbers(name, parts) for name in dict.fromkeys((*largest, *least, *holes))}
    for name, numbers in sorted(chosen.items(), key=lambda item: -len(item[1])):
        if name in largest or name in least:
            volume = float(least[name]) if name in least else 0.0
            result = _without_components(result, spacing, numbers, regions, name in largest, volume)
        if name in holes:
            result = _filled(result, spacing, numbers)
    return result


def _numbers(name: str, parts: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    if name == ALL:
        return tuple(range(1, 256))
    return parts[name] if name in parts else (int(name),)


def fallback(numbers: Sequence[int], regions: Mapping[str, Sequence[int]]) -> int:
    """The label of voxels that a part of these numbers loses: see apply."""
    for around in sorted((set(r) for r in regions.values() if set(r) > set(numbers)), key=len):
        own = around.difference(numbers, *(r for r in regions.values() if set(r) < around))
        if own:
            return min(own)
    return 0


def _without_components(label_map, spacing, numbers, regions, only_largest: bool, volume: float) -> np.ndarray:
    inside, box = _mask(label_map, numbers)
    if inside is None:
        return label_map
    components, sizes = components_of(inside)
    keep = sizes * float(np.prod(spacing)) >= volume
    if only_largest:
        keep &= np.arange(len(sizes)) == sizes[1:].argmax() + 1
    keep[0] = True
    if keep.all():
        return label_map
    result = label_map.copy()
    result[box][~keep[components]] = fallback(numbers, regions)
    return result


def components_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number of the connected component of each voxel, voxels of each component); number 0 is outside."""
    from scipy import ndimage

    components, _ = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))
    return components, np.bincount(components.ravel())


def _filled(label_map, spacing, numbers) -> np.ndarray:
    from scipy import ndimage

    inside, box = _mask(label_map, numbers)
    if inside is None:
        return label_map
    holes = holes_of(inside)
    if not holes.any():
        return label_map
    nearest = ndimage.distance_transform_edt(~inside, sampling=spacing, return_distances=False, return_indices=True)
    result = label_map.copy()
    part = result[box]
    part[holes] = part[tuple(index[holes] for index in nearest)]
    return result


def holes_of(mask: np.ndarray) -> np.ndarray:
    """The voxels that a mask encloses, bool; in a single slice (1, y, x) in 2D, because in 3D nothing closes it off."""
    from scipy import ndimage

    flat = mask.ndim == 3 and mask.shape[0] == 1
    return (ndimage.binary_fill_holes(mask[0])[None] if flat else ndimage.binary_fill_holes(mask)) & ~mask


def _mask(label_map, numbers):
    """(mask of these numbers within the box around them, that box); (None, None) where they do not occur."""
    table = np.zeros(256, bool)
    table[list(numbers)] = True
    mask = table[label_map]
    box = box_of(mask)
    return (mask[box], box) if box[0].stop else (None, None)
