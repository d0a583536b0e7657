"""Understanding a set of cases before using it: what one case holds, and what all of them hold together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mrilib import duplicates
from mrilib import labels as schemes
from mrilib.cases import PICTURES, Case, suffix_of
from mrilib.cases.given import PARTS
from mrilib.errors import CaseError
from mrilib.images.grid import Grid
from mrilib.images.io import files


@dataclass(frozen=True)
class Seen:
    """What one case holds. size: voxels in x,y[,z] order; spacing: mm, the same order, empty for a picture or stack
    whose pixels are of 1 mm, for that is what pictures have that do not say; kind: the stored type; low, middle, high:
    least, median and greatest value; labels: number of its label map -> voxels of it, the background too; voxel: mm3
    (mm2) of one, or None where not stated; orientation: where x, y and z point; apart: the grid of each channel, where
    they differ, size and the like then being the first's; fingerprint: what copies are told by, None where it was
    not asked for."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    kind: str
    channels: tuple[str, ...]
    low: float
    high: float
    middle: float
    labels: dict[int, int]
    orientation: str
    apart: tuple[str, ...]
    fingerprint: duplicates.Fingerprint | None

    @property
    def voxel(self) -> float | None:
        return float(np.prod(self.spacing)) if self.spacing else None


def look(case: Case, copies: bool = True) -> Seen:
    """Read a case and note what it holds.

    Raises CaseError when it is damaged, holds NaN, or its label map numbers that its scheme lacks.
    """
    images = files.read_channels(case)
    image = next(iter(images.values()))
    apart = [_grid(name, one.grid) for name, one in images.items()]
    if all(one.grid.same_as(image.grid) for one in images.values()):
        image, apart = files.stacked(images, case.path), []
    array = np.concatenate([one.array.ravel() for one in images.values()]) if apart else image.by_channel()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CaseError("holds NaN or infinite values", where=case.path, remedy="mend the file it comes from")
    counts: dict[int, int] = {}
    if (label := files.read_label(case, None if apart else image.grid)) is not None:
        found = np.bincount(label.array.ravel(), minlength=256)
        counts = {int(value): int(found[value]) for value in np.flatnonzero(found)}
    names = tuple(images) if apart else image.channels or tuple(case.channels)
    spacing = image.grid.spacing[::-1]
    picture = suffix_of(case.image_files[0]) in PICTURES
    if set(spacing) == {1.0} and picture:
        spacing = ()
    low, middle, high = _values(array)
    first = next(iter(images.values()))
    return Seen(image.grid.size[::-1], spacing, array.dtype.name, names, low, high, middle, counts,
                "" if picture else orientation(image.grid), tuple(apart),
                duplicates.fingerprint(case, first) if copies else None)


def _values(array: np.ndarray) -> tuple[float, float, float]:
    """The least, the median and the greatest value."""
    if array.dtype == np.uint8 and array.size:
        from PIL import Image as Picture

        counts = np.cumsum(Picture.fromarray(np.ascontiguousarray(array).reshape(-1, 1)).histogram())  # one fast pass
        low, one, other, high = np.searchsorted(counts, [1, (array.size + 1) // 2, array.size // 2 + 1, array.size])
        return float(low), (int(one) + int(other)) / 2, float(high)
    return float(array.min()), float(np.median(array)), float(array.max())


def orientation(grid: Grid) -> str:
    """Where the axes x, y, z of a volume point, as letters of Left, Right, Anterior, Posterior, Superior, Inferior,
    and how far the most oblique of them is turned from that; empty for a 2D grid.
    """
    if grid.dimension != 3:
        return ""
    axes = np.asarray(grid.direction)[::-1, ::-1]  # columns: x, y, z; rows: to left, posterior, superior
    nearest = np.abs(axes).argmax(0)
    letters = "".join(("LPS" if axes[row, i] > 0 else "RAI")[row] for i, row in enumerate(nearest))
    turn = np.degrees(np.arccos(np.clip(np.abs(axes).max(0), 0, 1))).max()
    return f"{letters} oblique by {turn:.0f} degrees" if turn >= 0.5 else letters


def summary(cases: list[Case], seen: list[Seen], pairs=()) -> list[tuple[str, str]]:
    """What a set of cases holds, as (name, text) lines in order. cases, seen: one for one, those that could be read.

    pairs: the copies among them, as from `copies`. Empty for no case.
    """
    if not cases:
        return []
    lines = [("cases", str(len(cases)))]
    subjects = {case.subject for case in cases if case.subject}
    unknown = sum(not case.subject for case in cases)
    more = f", not known of {unknown} cases" if unknown else ""
    lines.append(("subjects", f"{len(subjects)}{more}" if subjects else "not known"))
    if any(case.part for case in cases):
        parts = Counter(case.part or "of no part" for case in cases)
        named = [name for name in (*PARTS, "of no part") if name in parts]
        lines.append(("given split", ", ".join(f"{parts[name]} {name}" for name in named)))
    if any(case.class_name for case in cases):
        lines.append(("classes", _counted(Counter(case.class_name or "none" for case in cases))))
    lines.append(("channels", _counted(Counter(" ".join(one.channels) for one in seen))))
    lines.append(("size", _spread([one.size for one in seen])))
    stated = [one.spacing for one in seen if one.spacing]
    silent = f"1, or not stated, in {len(seen) - len(stated)} pictures" if len(stated) < len(seen) else ""
    lines.append(("spacing, mm", "; ".join(text for text in (_spread(stated), silent) if text)))
    if turned := Counter(one.orientation for one in seen if one.orientation):
        lines.append(("orientation", _counted(turned)))
    if apart := [(case.id, one.apart) for case, one in zip(cases, seen, strict=True) if one.apart]:
        lines.append(("channels on grids of their own", f"{len(apart)} cases, which need mri-normalize --align; "
                                                        f"{apart[0][0]}: {', '.join(apart[0][1])}"))
    lines.append(("stored as", _counted(Counter(one.kind for one in seen))))
    lows, highs, middles = ([getattr(one, name) for one in seen] for name in ("low", "high", "middle"))
    lines.append(("lowest values", _range(lows)))
    lines.append(("median values", _range(middles)))
    lines.append(("highest values", _range(highs)))
    if any(case.label for case in cases):
        lines += _labels(cases, seen)
    if any(case.boxes for case in cases):
        lines.append(("boxes", f"{sum(len(case.boxes) for case in cases)} in "
                               f"{sum(bool(case.boxes) for case in cases)} cases"))
    if all(one.fingerprint is not None for one in seen):
        lines.append(_copies(cases, pairs))
    return lines


def _labels(cases: list[Case], seen: list[Seen]) -> list[tuple[str, str]]:
    """What the label maps hold: their schemes, the numbers with what they mean, and how large the regions are."""
    lines = [("label maps", f"{sum(case.label is not None for case in cases)} of {len(cases)}")]
    told: dict[str | None, list[Seen]] = {}
    for case, one in zip(cases, seen, strict=True):
        if case.label is not None:
            told.setdefault(case.scheme, []).append(one)
    for text, mine in told.items():
        values = sorted({value for one in mine for value in one.labels})
        known = schemes.scheme(text) if text else schemes.of_values(values)
        if text or known.name:
            lines.append(("label scheme", f"{known}{'' if text else ', by the numbers alone'}"))
        else:
            lines.append(("label scheme", f"not known; what {' '.join(map(str, values))} mean is said with "
                                          f"{schemes.HOW}"))
        names = {0: "background", **known.labels} if known.name else {0: "background"}
        holds = Counter(value for one in mine for value in one.labels)
        lines.append(("labels", ", ".join(f"{value}{f' {names[value]}' if value in names else ''} in {holds[value]}"
                                          for value in values)))
        for part, numbers in (known.parts if known.name else {}).items():
            lines.append((f"size of {part}", _volumes(mine, numbers)))
    return lines


def _grid(name: str, grid: Grid) -> str:
    size, spacing = (" x ".join(f"{v:.3g}" for v in values[::-1]) for values in (grid.size, grid.spacing))
    return f"{name} {size} of {spacing} mm {orientation(grid)}".rstrip()


def _volumes(seen: list[Seen], numbers: tuple[int, ...]) -> str:
    """How large a region is in the cases that have it: in mL, or cm2 in 2D, or voxels where spacing is not stated."""
    counts = [(sum(one.labels.get(n, 0) for n in numbers), one) for one in seen]
    there = [(count, one) for count, one in counts if count]
    if not there:
        return "in no case"
    if all(one.voxel for _, one in there):
        flat = all(len(one.size) == 2 for _, one in there)
        values, unit = [c * one.voxel / (100 if flat else 1000) for c, one in there], "cm2" if flat else "mL"
    else:
        values, unit = [c for c, _ in there], "voxels"
    absent = len(counts) - len(there)
    return f"{_range(values)} {unit}{f'; in {absent} cases none' if absent else ''}"


def copies(cases: list[Case], seen: list[Seen]) -> list[tuple[int, int, str]]:
    """The pairs of copies among the cases; none where no fingerprints were taken."""
    if any(one.fingerprint is None for one in seen):
        return []
    return duplicates.pairs([one.fingerprint for one in seen], subjects=[case.subject for case in cases])


def _copies(cases: list[Case], pairs) -> tuple[str, str]:
    count = len(set(duplicates.groups(len(cases), pairs).tolist()))
    exact = len({j for _, j, kind in pairs if kind == "exact"})
    near = sum(kind == "near" for *_, kind in pairs)
    return "copies", f"{exact} exact, {near} near pairs; {count} groups are left to split"


def _counted(counts: Counter) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda c: (-c[1], str(c[0]))))


def _spread(values: list[tuple]) -> str:
    """One size for all, or the least, the middle and the most along each axis, by number of axes."""
    texts = []
    for n in sorted({len(v) for v in values}):
        mine = np.array([v for v in values if len(v) == n], float)
        if (mine == mine[0]).all():
            texts.append(" x ".join(f"{v:g}" for v in mine[0]))
        else:
            least, middle, most = (" x ".join(f"{v:g}" for v in f(mine, axis=0)) for f in (np.min, np.median, np.max))
            texts.append(f"{least} to {most}, median {middle}")
    return "; ".join(texts)


def _range(values: list[float]) -> str:
    low, middle, high = (f"{v:.4g}" if abs(v) < 1e4 else f"{v:.0f}"
                         for v in (min(values), float(np.median(values)), max(values)))
    return low if low == high else f"{low} to {high}, median {middle}"


def _of_maps(record: dict) -> list[tuple[str, str]]:
    """What the record of a model for label maps says of its outputs and its window, sizes in x,y,z order."""
    scheme = schemes.scheme(record["scheme"]).labels if record.get("scheme") else {}
    named = ", ".join(f"{v} {scheme.get(v, '')}".strip() for v in record.get("values", ())[1:])
    regions = ", ".join(f"{name} ({' '.join(map(str, v))})" for name, v in (record.get("regions") or {}).items())
    spacing = ",".join(f"{mm:g}" for mm in (record.get("spacing") or ())[::-1])
    window = " x ".join(map(str, record.get("patch", ())[::-1])) + f" voxels in {record.get('dimension')}D"
    context = f", slices seen each side: {record['context']}" if record.get("context") else ""
    kept = ", ".join(f"{kind} {what}" for kind, what in (record.get("postprocess") or {}).items())
    return [("labels", f"{named} (scheme {record.get('scheme') or 'not known'})"), ("regions learned", regions),
            ("window", window + context + (f", at {spacing} mm" if spacing else "")), ("post-processing", kept)]


def _set(known: dict) -> str:
    """What is set of some settings, numbers in as many digits as a person reads."""
    return ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in known.items() if value is not None and value is not False)


def model(record: dict) -> list[tuple[str, str]]:
    """What a model file's record says, as (name, text) lines."""
    from mrilib.recipe import Recipe

    training, architecture = record.get("training", {}), record.get("architecture", {})
    steps = Recipe.from_dict(record["recipe"]).steps if record.get("recipe") else ()
    lines = [
        ("task", record.get("task", "not said")),
        *(_of_maps(record) if record.get("task") == "segment" else (
            ("classes", ", ".join(record.get("classes", ()))),
            ("input", " x ".join(map(str, record.get("shape", ()))) + " (y, x, channels)"))),
        ("channels", ", ".join(record.get("channels", ()))),
        ("recipe", " | ".join(map(str, steps)) or "as given"),
        ("network", _set(architecture)),
        ("settings", _set(record.get("settings", {}))),
    ]
    members = Counter(known.get("part") for known in training.get("cases", {}).values())
    for part, counts in training.get("counts", {}).items():
        if sum(counts.values()):
            lines.append((part, f"{members[part] or sum(counts.values())} cases: {_counted(Counter(counts))}"))
    if curve := training.get("curve"):
        last = ", ".join(f"{key} {value:.4g}" for key, value in curve[-1].items())
        lines.append(("last epoch", last))
    if held := training.get("validation"):
        best = ", ".join(f"{key.removeprefix('validation_')} {v:.4g}" for key, v in held.items())
        lines.append(("validation", f"epoch {training.get('best_epoch')}: {best}"))
    split = training.get("split", {})
    lines.append(("split", ", ".join(f"{key} {value}" for key, value in split.items() if value is not None)))
    lines.append(("versions", ", ".join(f"{key} {value}" for key, value in training.get("versions", {}).items())))
    lines.append(("made by", record.get("made_by", "not said")))
    return [(name, text) for name, text in lines if text]
