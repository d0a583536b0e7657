"""Mending a label map: small pieces, all but the largest piece, holes; for each label or region by name.

Settings are those of a model's record: {"threshold": {part: 0..1}, "keep_largest": [part], "min_volume": {part:
mm3}, "fill_holes": [part]}. A part is a label or region, or "all": whatever is no background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mrilib import labels
from mrilib.errors import UsageError
from mrilib.images.steps.foreground import box_of

ALL = "all"
KINDS = ("threshold", "keep_largest", "min_volume", "fill_holes")


def regions_of(record: Mapping) -> dict[str, tuple[int, ...]]:
    """The regions of a segmentation model, name -> label numbers: the network's own, else those of its scheme."""
    if record["regions"]:
        return {name: tuple(numbers) for name, numbers in record["regions"].items()}
    return dict(_scheme(record).regions)


def parts_of(record: Mapping) -> dict[str, tuple[int, ...]]:
    """Every part that a segmentation model's maps have: its regions, then each label by name; name -> numbers."""
    known = _scheme(record)
    return {**regions_of(record), **{known.labels.get(v, str(v)): (v,) for v in record["values"] if v}}


def scored(record: Mapping) -> list[str]:
    """The names of the parts that are scored: regions where there are any, else labels."""
    return list(regions_of(record) or parts_of(record))


def scored_name(name: str, record: Mapping) -> str:
    """The name that a part is scored by where it has several ("4" and "enhancing" are ET); else the name given."""
    parts = parts_of(record)
    numbers = parts.get(name) or ((int(name),) if name.isdecimal() else None)
    return next((part for part in scored(record) if set(parts[part]) == set(numbers or ())), name)


def _scheme(record: Mapping) -> labels.Scheme:
    return labels.scheme(record["scheme"]) if record["scheme"] else labels.Scheme("", {})


def check(settings: Mapping, record: Mapping) -> None:
    """Raises UsageError for settings that name an unknown part, or a number that cannot be."""
    parts = parts_of(record)
    known = {*parts, *(str(v) for v in record["values"] if v), ALL}
    if strange := set(settings) - set(KINDS):
        raise UsageError(f"post-processing {min(strange)!r} is not known", remedy=f"one of {' '.join(KINDS)}")
    for kind, given in settings.items():
        for name in given:
            if name not in known or (kind == "threshold" and name == ALL):
                raise UsageError(f"{kind.replace('_', ' ')}: {name} is no label or region of this model",
                                 remedy=f"one of {' '.join(parts)}, or all")
        if isinstance(given, Mapping):
            for name, value in given.items():
                good = 0 < value < 1 if kind == "threshold" else 0 <= value < float("inf")
                if not good:
                    raise UsageError(f"{kind.replace('_', ' ')} of {name} cannot be {value:g}")


def apply(label_map: np.ndarray, spacing: Sequence[float], settings: Mapping, record: Mapping) -> np.ndarray:
    """The label map after what the settings ask for, larger parts first; uint8 (z, y, x) or (y, x).

    spacing: mm, in the order of the axes. Each part goes through keep_largest, min_volume (pieces below it go) and
    fill_holes (a hole takes the nearest label of its part). Pieces touch by faces, edges or corners, holes are
    closed off by faces. Voxels that a part loses become what the next larger region has of its own (lost from ET
    they are necrosis, from TC oedema), else background. `threshold` is decode's part.
    """
    result = np.asarray(label_map, np.uint8)
    parts, regions = parts_of(record), regions_of(record)
    largest, least, holes = (settings.get(k) or () for k in ("keep_largest", "min_volume", "fill_holes"))
    wanted = {name: _numbers(name, parts) for name in dict.fromkeys((*largest, *least, *holes))}
    for name, numbers in sorted(wanted.items(), key=lambda item: -len(item[1])):
        if name in largest or name in least:
            volume = float(least[name]) if name in least else 0.0
            result = _without_pieces(result, spacing, numbers, regions, name in largest, volume)
        if name in holes:
            result = _filled(result, spacing, numbers)
    return result


def _numbers(name: str, parts: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    if name == ALL:
        return tuple(range(1, 256))
    return parts[name] if name in parts else (int(name),)


def fallback(numbers: Sequence[int], regions: Mapping[str, Sequence[int]]) -> int:
    """What voxels become that a part of these numbers loses: see apply."""
    for around in sorted((set(r) for r in regions.values() if set(r) > set(numbers)), key=len):
        own = around.difference(numbers, *(r for r in regions.values() if set(r) < around))
        if own:
            return min(own)
    return 0


def _without_pieces(label_map, spacing, numbers, regions, only_largest: bool, volume: float) -> np.ndarray:
    inside, window = _mask(label_map, numbers)
    if inside is None:
        return label_map
    pieces, sizes = pieces_of(inside)
    keep = sizes * float(np.prod(spacing)) >= volume
    if only_largest:
        keep &= np.arange(len(sizes)) == sizes[1:].argmax() + 1
    keep[0] = True
    if keep.all():
        return label_map
    result = label_map.copy()
    result[window][~keep[pieces]] = fallback(numbers, regions)
    return result


def pieces_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number of the piece that each voxel belongs to, voxels of each piece); number 0 is outside."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))
    return pieces, np.bincount(pieces.ravel())


def _filled(label_map, spacing, numbers) -> np.ndarray:
    from scipy import ndimage

    inside, window = _mask(label_map, numbers)
    if inside is None:
        return label_map
    if inside.ndim == 3 and inside.shape[0] == 1:  # one slice: nothing else could be a hole
        holes = ndimage.binary_fill_holes(inside[0])[None] & ~inside
    else:
        holes = ndimage.binary_fill_holes(inside) & ~inside
    if not holes.any():
        return label_map
    nearest = ndimage.distance_transform_edt(~inside, sampling=spacing, return_distances=False, return_indices=True)
    result = label_map.copy()
    part = result[window]
    part[holes] = part[tuple(index[holes] for index in nearest)]
    return result


def _mask(label_map, numbers):
    """(where these numbers are within the box around them, that box); (None, None) where they are not."""
    table = np.zeros(256, bool)
    table[list(numbers)] = True
    mask = table[label_map]
    window = box_of(mask)
    return (mask[window], window) if window[0].stop else (None, None)
