"""Understanding a set of cases before using it: what one case holds, and what all of them hold together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mrilib.cases import PICTURES, Case, suffix_of
from mrilib.errors import CaseError
from mrilib.images import duplicates, files


@dataclass(frozen=True)
class Seen:
    """What one case holds. size: voxels in x,y[,z] order; spacing: mm, the same order, empty for a picture
    whose pixels are of 1 mm, for that is what pictures have that do not say; kind: the stored type; low, middle, high:
    least, median and greatest value; labels: the numbers of its label map; fingerprint: what copies are told by,
    None where it was not asked for."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    kind: str
    channels: tuple[str, ...]
    low: float
    high: float
    middle: float
    labels: tuple[int, ...]
    fingerprint: duplicates.Fingerprint | None


def look(case: Case, copies: bool = True) -> Seen:
    """Read a case and note what it holds. Raises CaseError when it is damaged or holds NaN.

    In NIfTI no NaN is seen: ITK reads NaN and infinite values of that format as 0.
    """
    image = files.read_case(case)
    array = image.by_channel()
    if not np.isfinite(array).all():
        raise CaseError("holds NaN or infinite values", where=case.path, remedy="mend the file it comes from")
    labels: tuple[int, ...] = ()
    if (label := files.read_label(case, image.grid)) is not None:
        labels = tuple(int(v) for v in np.unique(label.array))
    names = image.channels or tuple(case.channels)
    spacing = image.grid.spacing[::-1]
    if set(spacing) == {1.0} and suffix_of(case.path) in PICTURES:
        spacing = ()
    return Seen(image.grid.size[::-1], spacing, array.dtype.name, names, float(array.min()),
                float(array.max()), float(np.median(array)), labels,
                duplicates.fingerprint(case) if copies else None)


def summary(cases: list[Case], seen: list[Seen]) -> list[tuple[str, str]]:
    """What a set of cases holds, as (name, text) lines in order. cases, seen: one for one, those that could be read.

    Empty for no case.
    """
    if not cases:
        return []
    lines = [("cases", str(len(cases)))]
    subjects = {case.subject for case in cases if case.subject}
    lines.append(("subjects", str(len(subjects)) if subjects else "not known"))
    if any(case.class_name for case in cases):
        lines.append(("classes", _counted(Counter(case.class_name or "none" for case in cases))))
    lines.append(("channels", _counted(Counter(" ".join(one.channels) for one in seen))))
    lines.append(("size", _spread([one.size for one in seen])))
    stated = [one.spacing for one in seen if one.spacing]
    silent = f"1, or not stated, in {len(seen) - len(stated)} pictures" if len(stated) < len(seen) else ""
    lines.append(("spacing, mm", "; ".join(text for text in (_spread(stated), silent) if text)))
    lines.append(("stored as", _counted(Counter(one.kind for one in seen))))
    lows, highs, middles = ([getattr(one, name) for one in seen] for name in ("low", "high", "middle"))
    lines.append(("lowest values", _range(lows)))
    lines.append(("median values", _range(middles)))
    lines.append(("highest values", _range(highs)))
    if any(case.label for case in cases):
        lines.append(("label maps", f"{sum(case.label is not None for case in cases)} of {len(cases)}"))
        lines.append(("labels", _counted(Counter(v for one in seen for v in one.labels), "{1} cases hold {0}")))
    if any(case.boxes for case in cases):
        lines.append(("boxes", f"{sum(len(case.boxes) for case in cases)} in "
                               f"{sum(bool(case.boxes) for case in cases)} cases"))
    if all(one.fingerprint is not None for one in seen):
        lines += _copies(cases, seen)
    return lines


def _copies(cases: list[Case], seen: list[Seen]) -> list[tuple[str, str]]:
    found = duplicates.pairs([one.fingerprint for one in seen])
    sizes = Counter(duplicates.groups(len(cases), found).tolist())
    exact = len({j for _, j, kind in found if kind == "exact"})
    near = sum(kind == "near" for *_, kind in found)
    lines = [("copies", f"{exact} exact, {near} near pairs; {len(sizes)} groups are left to split")]
    told = [(cases[i], cases[j]) for i, j, _ in found if cases[i].class_name != cases[j].class_name]
    lines += [("copies of different class", f"{a.id} ({a.class_name}) and {b.id} ({b.class_name})") for a, b in told]
    return lines


def _counted(counts: Counter, form: str = "{1} {0}") -> str:
    return ", ".join(form.format(name, n) for name, n in sorted(counts.items(), key=lambda c: (-c[1], str(c[0]))))


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
    return f"{min(values):g}" if min(values) == max(values) else (
        f"{min(values):g} to {max(values):g}, median {float(np.median(values)):g}")


def model(record: dict) -> list[tuple[str, str]]:
    """What a model file's record says, as (name, text) lines."""
    from mrilib.recipe import Recipe

    training, architecture = record.get("training", {}), record.get("architecture", {})
    steps = Recipe.from_dict(record["recipe"]).steps if record.get("recipe") else ()
    lines = [
        ("task", record.get("task", "not said")),
        ("classes", ", ".join(record.get("classes", ()))),
        ("channels", ", ".join(record.get("channels", ()))),
        ("input", " x ".join(map(str, record.get("shape", ()))) + " (y, x, channels)"),
        ("recipe", " | ".join(map(str, steps)) or "as given"),
        ("network", ", ".join(f"{key} {value}" for key, value in architecture.items())),
        ("settings", ", ".join(f"{k} {v}" for k, v in record.get("settings", {}).items() if v not in (None, False))),
    ]
    for part, counts in training.get("counts", {}).items():
        if sum(counts.values()):
            lines.append((part, f"{sum(counts.values())} cases: {_counted(Counter(counts))}"))
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
