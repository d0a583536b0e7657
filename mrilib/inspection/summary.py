"""What a set of cases holds together, as (name, text) lines."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from mrilib import duplicates
from mrilib import labels as schemes
from mrilib.cases import Case, explain
from mrilib.cases.given import PARTS
from mrilib.inspection.facts import Facts
from mrilib.recipe import Recipe


def origin(cases: list[Case]) -> list[tuple[str, str]]:
    """How the folders were understood, and what prepared their images."""
    if not cases:
        return []
    layouts = dict.fromkeys(case.layout or "plain" for case in cases)
    lines = [("understood as", "; ".join(map(explain, layouts)))]
    for root in dict.fromkeys(case.root for case in cases):
        if steps := Recipe.of_root(root).steps:
            lines.append(("prepared by", " | ".join(map(str, steps))))
    return lines


def content(cases: list[Case], facts: list[Facts]) -> list[tuple[str, str]]:
    """What the cases hold. cases, facts: one for one, of those that could be read. Empty for no case."""
    if not cases:
        return []
    lines = [("cases", str(len(cases))), *_groups_of(cases)]
    lines.append(("channels", counted(Counter(" ".join(one.channels) for one in facts))))
    lines.append(("size", _spread([one.size for one in facts])))
    stated = [one.spacing for one in facts if one.spacing]
    silent = f"1, or not stated, in {len(facts) - len(stated)} pictures" if len(stated) < len(facts) else ""
    lines.append(("spacing, mm", "; ".join(text for text in (_spread(stated), silent) if text)))
    if orientations := Counter(one.orientation for one in facts if one.orientation):
        lines.append(("orientation", counted(orientations)))
    if apart := [(case.id, one.own_grids) for case, one in zip(cases, facts, strict=True) if one.own_grids]:
        name, grids = apart[0]
        lines.append(("channels on grids of their own",
                      f"{len(apart)} cases, which need mri-normalize --align; {name}: {', '.join(grids)}"))
    lines.append(("stored as", counted(Counter(one.stored_as for one in facts))))
    lines.append(("lowest values", _range([one.low for one in facts])))
    lines.append(("median values", _range([one.median for one in facts])))
    lines.append(("highest values", _range([one.high for one in facts])))
    if any(case.label for case in cases):
        lines += _labels(cases, facts)
    if any(case.boxes for case in cases):
        lines.append(("boxes", _boxes(cases)))
    return lines


def _boxes(cases: list[Case]) -> str:
    """How many boxes there are, of which classes, and in how many cases there is none."""
    boxes = [box for case in cases for box in case.boxes]
    count = Counter(str(box[4]) for box in boxes if box[4] is not None)
    without = sum(not case.boxes for case in cases)
    text = f"{len(boxes)} in {len(cases) - without} cases" + (f", none in {without}" if without else "")
    return text + (f"; {counted(count)}" if count else "")


def of_copies(count: int, pairs: list[tuple[int, int, str]]) -> tuple[str, str]:
    """The line about pairs of copies, and the number of groups that they leave."""
    groups = len(set(duplicates.groups(count, pairs).tolist()))
    exact = len({j for _, j, kind in pairs if kind == "exact"})
    near = sum(kind == "near" for *_, kind in pairs)
    return "copies", f"{exact} exact, {near} near pairs; {groups} groups are left to split"


def _groups_of(cases: list[Case]) -> list[tuple[str, str]]:
    """How many subjects there are, and how many cases of each part and class."""
    subjects = {case.subject for case in cases if case.subject}
    unknown = sum(not case.subject for case in cases)
    more = f", not known of {unknown} cases" if unknown else ""
    lines = [("subjects", f"{len(subjects)}{more}" if subjects else "not known")]
    if any(case.part for case in cases):
        parts = Counter(case.part or "of no part" for case in cases)
        named = [name for name in (*PARTS, "of no part") if name in parts]
        lines.append(("given split", ", ".join(f"{parts[name]} {name}" for name in named)))
    if any(case.class_name for case in cases):
        lines.append(("classes", counted(Counter(case.class_name or "none" for case in cases))))
    return lines


def _labels(cases: list[Case], facts: list[Facts]) -> list[tuple[str, str]]:
    """What the label maps hold: their schemes, the numbers with what they mean, and how large the regions are."""
    lines = [("label maps", f"{sum(case.label is not None for case in cases)} of {len(cases)}")]
    by_scheme: dict[str | None, list[Facts]] = defaultdict(list)
    for case, one in zip(cases, facts, strict=True):
        if case.label is not None:
            by_scheme[case.scheme].append(one)
    for text, members in by_scheme.items():
        values = sorted({value for one in members for value in one.labels})
        scheme = schemes.scheme(text) if text else schemes.of_values(values)
        if text or scheme.name:
            lines.append(("label scheme", f"{scheme}{'' if text else ', by the numbers alone'}"))
        else:
            lines.append(("label scheme", f"not known; what {' '.join(map(str, values))} mean is said with "
                                          f"{schemes.HOW}"))
        names = {0: "background", **scheme.labels} if scheme.name else {0: "background"}
        count = Counter(value for one in members for value in one.labels)
        lines.append(("labels", ", ".join(f"{value}{f' {names[value]}' if value in names else ''} in {count[value]}"
                                          for value in values)))
        for part, numbers in (scheme.parts if scheme.name else {}).items():
            lines.append((f"size of {part}", _volumes(members, numbers)))
    return lines


def _volumes(facts: list[Facts], numbers: tuple[int, ...]) -> str:
    """How large a region is in the cases that have it: in mL, or cm2 in 2D, or voxels where spacing is not stated."""
    counts = [(sum(one.labels.get(n, 0) for n in numbers), one) for one in facts]
    present = [(count, one) for count, one in counts if count]
    if not present:
        return "in no case"
    values, unit = [float(count) for count, _ in present], "voxels"
    sizes = [one.voxel for _, one in present]
    if all(sizes):
        flat = all(len(one.size) == 2 for _, one in present)
        unit, divisor = ("cm2", 100) if flat else ("mL", 1000)
        values = [count * (size or 0) / divisor for count, size in zip(values, sizes, strict=True)]
    absent = len(counts) - len(present)
    return f"{_range(values)} {unit}{f'; in {absent} cases none' if absent else ''}"


def counted(counts: Counter) -> str:
    """Counts in words, the most frequent first."""
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda c: (-c[1], str(c[0]))))


def _spread(values: list[tuple]) -> str:
    """One size for all, or the least, the middle and the most along each axis, by number of axes."""
    texts = []
    for n in sorted({len(v) for v in values}):
        same = np.array([v for v in values if len(v) == n], float)
        if (same == same[0]).all():
            texts.append(" x ".join(f"{v:g}" for v in same[0]))
        else:
            least, middle, most = (" x ".join(f"{v:g}" for v in f(same, axis=0)) for f in (np.min, np.median, np.max))
            texts.append(f"{least} to {most}, median {middle}")
    return "; ".join(texts)


def _range(values: list[float]) -> str:
    low, middle, high = (f"{v:.4g}" if abs(v) < 1e4 else f"{v:.0f}"
                         for v in (min(values), float(np.median(values)), max(values)))
    return low if low == high else f"{low} to {high}, median {middle}"
