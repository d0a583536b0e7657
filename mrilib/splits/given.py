"""The split that a data set states: its parts, what leaks across them, and the split that keeps its test part."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from mrilib.cases import Case
from mrilib.cases.given import PARTS
from mrilib.errors import UsageError
from mrilib.leaks import copies_across
from mrilib.splits.stratify import Row, make_some

EXCLUDED = "excluded"  # the part of a case that must not be used for training: its group is in the given test part


def given_parts(cases: list[Case]) -> dict[str, str]:
    """Case id -> part, where the data set states a split. Empty for a data set that states none.

    Parts without a class, a label map or a box are left out if another case has one: nothing can be trained on them
    or scored by them. The result may then be the train part alone.
    """
    def has_target(case):
        return case.class_name is not None or case.label is not None or bool(case.boxes)

    some = any(map(has_target, cases))
    stated = {case.part for case in cases if case.part}
    usable = {case.part for case in cases if has_target(case) or not some}
    if "train" not in usable or len(stated) < 2 or (usable == {"train", None}):
        return {}
    return {case.id: case.part for case in cases if case.part and case.part in usable}


@dataclass(frozen=True)
class Leaks:
    """Groups that lie in several parts of a given split. cases: id -> part of its group, for cases that lie in another
    part (test comes before validation before train). lines: the report; empty without a leak."""

    cases: dict[str, str]
    lines: list[str]


def leaks(cases: list[Case], part_of: dict[str, str], group: list[str], copies=()) -> Leaks:
    """The groups of a given split that lie in more than one part.

    part_of: as from `given_parts`. group: of each case, as from `grouping`. copies: pairs (i, j, kind) of cases.
    """
    best: dict[str, int] = defaultdict(int)
    for case, name in zip(cases, group, strict=True):
        if case.id in part_of:
            best[name] = max(best[name], PARTS.index(part_of[case.id]))
    crossing = {case.id: PARTS[best[name]] for case, name in zip(cases, group, strict=True)
                if case.id in part_of and PARTS.index(part_of[case.id]) < best[name]}
    lines, parts = [], [part_of.get(case.id) for case in cases]
    for part, others in (("test", PARTS[:2]), ("validation", PARTS[:1])):
        where = "training or validation" if others[1:] and "validation" in parts else "training"
        inside, outside = ([case.subject for case, own in zip(cases, parts, strict=True) if own in chosen]
                           for chosen in ((part,), others))
        if copied := copies_across(parts, copies, part, others):
            kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(kind for _, kind in copied.values()).items()))
            lines.append(f"{len(copied)} of {len(inside)} {part} cases are copies of {where} cases ({kinds})")
        if subjects := {*inside} & {*outside} - {None, ""}:
            shared = sum(subject in subjects for subject in inside)
            several = len(subjects) > 1
            lines.append(f"{len(subjects)} subject{'s' * several} ({shared} of {len(inside)} {part} cases) "
                         f"{'are' if several else 'is'} among the {where} cases, too")
    return Leaks(crossing, lines)


def make_given(cases: list[Case], group: list[str], part_of: dict[str, str], *, validation: float | None = None,
               test: float | None = None, seed: int = 0) -> list[Row]:
    """Make the split that a data set states. A missing part is taken from the train part, by fractions as in `make`.

    A group that crosses parts belongs to its test cases, else to its validation cases; its other cases are excluded, so
    that the test part stays as stated and none of its cases is trained on. Cases of no part are excluded, too.
    Raises UsageError where no case is left to train on.
    """
    have = set(part_of.values())
    crossing = leaks(cases, part_of, group).cases
    part = {case.id: EXCLUDED if case.id in crossing or case.id not in part_of else part_of[case.id] for case in cases}
    training = {case_id for case_id, own in part.items() if own == "train"}
    if not training:
        raise UsageError("every training case is in a group of the given test or validation part",
                         remedy="make a new split of all cases with --given ignore")
    validation, test = 0.0 if "validation" in have else validation, 0.0 if "test" in have else test
    if validation != 0 or test != 0:
        rows = make_some(training, cases, group, validation=validation, test=test, seed=seed)
        part.update((case_id, row.part) for case_id, row in rows.items())
    return [Row(c.id, c.subject or "", g, None, part[c.id]) for c, g in zip(cases, group, strict=True)]
