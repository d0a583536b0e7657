"""What mri-split says of its cases: their copies, found side by side, and the summary."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

from mri_tools.cli.output import describe, say
from mrilib import splits
from mrilib.cases import Case
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.parallel import cores, ordered
from mrilib.store import read_csv

MOST = 20  # contradictions named on standard error; a table lists them all

def find_copies(cases: list[Case], jobs: int | None, near: bool, distance: int | None, step=lambda: None):
    """(the cases that can be read, their copies (i, j, kind), errors of the others)."""
    from mrilib import duplicates

    readable, prints, errors = [], [], []
    for case, answer in ordered("mrilib.duplicates:fingerprint", ((c, (c,)) for c in cases), jobs or cores()):
        if isinstance(answer, CaseError):
            errors.append(CaseError(describe(case, answer)))
        elif isinstance(answer, MriError | MemoryError):
            raise answer
        elif isinstance(answer, BaseException):
            errors.append(CaseError(describe(case, answer)))
        else:
            readable.append(case)
            prints.append(answer)
        step()
    if not readable:
        raise CaseError(f"no case can be read, the first: {errors[0]}" if errors else "no case can be read")
    reach = duplicates.DISTANCE if distance is None else distance
    return readable, duplicates.pairs(prints, reach, near=near, subjects=[c.subject for c in readable]), errors


def read_groups(path: Path) -> dict[str, str]:
    """Case id -> group of a CSV `case,group`. Raises UsageError when it is none."""
    try:
        reader = csv.DictReader(io.StringIO(read_csv(path), newline=""))
        if not {"case", "group"} <= set(reader.fieldnames or ()):
            raise UsageError("has no columns case,group", where=path)
        return {row["case"]: row["group"] for row in reader if row["group"]}
    except (OSError, csv.Error) as error:
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=path) from error


def check_before(cases: list[Case], group: dict[str, str], path) -> None:
    """Raises UsageError for what would be found wrong only after all images have been compared."""
    known = Counter(case.id for case in cases)
    if twice := [name for name, n in known.items() if n > 1]:
        raise UsageError(f"two cases are called {twice[0]}", remedy="give folders of one root, or --root")
    if unknown := [name for name in group if name not in known]:
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        raise UsageError(f"names {unknown[0]}{more}, which is no case", where=path)


def links(cases: list[Case], group: dict[str, str]) -> list[tuple[int, int, str]]:
    """Pairs of cases that a --groups file puts together."""
    first: dict[str, int] = {}
    return [(first.setdefault(group[case.id], i), i, "given") for i, case in enumerate(cases) if case.id in group]


def of_given(cases: list[Case], group: list[str], linked, given: str | None, folds: int | None, fractions: dict,
             seed: int):  # fmt: skip
    """The rows of the split that the data set states, and lines about it; None where all cases are divided anew.

    With folds it is kept only when asked for, and when at least half of its training cases do not leak.
    """
    part_of = splits.given_parts(cases)
    if not part_of:
        return None
    if given == "ignore" or (folds and given is None):
        option = "--given ignore" if given else "--folds"
        say(f"{option}: all cases are divided anew, those of the given test part, too")
        return None
    leaks = splits.leaks(cases, part_of, group, linked)
    counts, excluded = Counter(part_of.values()), Counter(part_of[name] for name in leaks.cases)
    for line in leaks.lines:
        say(f"the given split leaks: {line}")
    say("given split: " + ", ".join(f"{counts[part]} {part}" for part in splits.PARTS if counts[part]))
    if folds and 2 * excluded["train"] > counts["train"]:
        say(f"it is not used: {excluded['train']} of {counts['train']} train cases are copies, or of subjects, of the "
            f"other parts; all cases are divided anew into {folds} folds")
        return None
    for name, value in fractions.items():
        if value is not None and counts[name]:
            say(f"--{name} has no effect: the data set states its {name} part (--given ignore divides all cases anew)")
    rows = splits.make_given(cases, group, part_of, seed=seed, **fractions)
    for line in _about_given(cases, rows, counts, excluded):
        say(line)
    return rows


def _about_given(cases: list[Case], rows, counts: Counter, excluded: Counter) -> list[str]:
    """The lines that say what became of a given split."""
    if excluded:
        lines = [" and ".join(f"{n} {part}" for part, n in excluded.items()) + " cases are excluded, so that the "
                 f"{'test' if counts['test'] else 'validation'} part stays as given and no copy or subject of it is "
                 "trained on (--given ignore divides all cases anew)"]
    else:
        lines = ["nothing leaks across the given split: it is kept (--given ignore divides all cases anew)"]
    if outside := len(cases) - sum(counts.values()):
        lines.append(f"{outside} cases are in no part of the given split, or in a part without classes, label maps and "
                     "boxes: they are excluded")
    made = Counter(row.part for row in rows)
    return lines + [f"{made[part]} cases of the given train part are the {part} part, which the given split lacks"
                    for part in ("validation", "test") if made[part] and not counts[part]]


def summary(cases: list[Case], rows, linked) -> list[str]:
    """The lines that say what the split is made of, part by part, and which copies contradict each other."""
    from mrilib.duplicates import groups

    subjects = {c.subject for c in cases if c.subject}
    of_copies = Counter(groups(len(cases), linked).tolist())
    several = sum(1 for n in of_copies.values() if n > 1)
    kinds = Counter(kind for *_, kind in linked)
    lines = [f"{len(cases)} cases, {len(subjects) or 'no known'} subjects, {len({r.group for r in rows})} groups"]
    exact = len({j for _, j, kind in linked if kind == "exact"})
    lines.append(f"{several} groups of copies ({sum(n for n in of_copies.values() if n > 1)} cases; "
                 f"{exact} cases are exact copies of an earlier one, {kinds['near']} pairs are near copies)")
    classes = sorted({c.class_name for c in cases if c.class_name})
    kind = {c.id: c.class_name for c in cases}
    order = ("train", "validation", "test", "excluded")
    places = sorted({(r.fold if r.fold is not None else -1, r.part) for r in rows},
                    key=lambda p: (p[0], order.index(p[1])))
    for fold, part in places:
        inside = [r for r in rows if r.part == part and (r.fold is None or r.fold == fold)]
        counts = Counter(kind[r.case] for r in inside)
        text = ", ".join(f"{counts[c]} {c}" for c in classes)
        name = part if fold < 0 else f"fold {fold}"
        lines.append(f"{name}: {len(inside)} cases in {len({r.group for r in inside})} groups{text and ': '}{text}")
    contrary = [f"copies of different class: {cases[i].id} ({cases[i].class_name}) and {cases[j].id} "
                f"({cases[j].class_name})" for i, j, _ in linked if cases[i].class_name != cases[j].class_name]
    lines += contrary[:MOST]
    if (more := len(contrary) - MOST) > 0:
        lines.append(f"and {more} more such pairs (--copies FILE lists all)")
    return lines


def as_json(cases: list[Case], rows, linked) -> str:
    from dataclasses import asdict

    from mrilib import duplicates

    copies = duplicates.rows(cases, linked)
    return json.dumps({"rows": [asdict(row) for row in rows], "copies": copies}, indent=1) + "\n"
