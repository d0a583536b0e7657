"""Leaks: copies and subjects that the parts of a given split, or its classes, share.

A test case that is a copy of a training case, or shows the same person, tests memory. Parts here are those
that the data set states (Case.part), such as the folders Training/ and Testing/ of a public benchmark.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from mrilib.cases import Case
from mrilib.duplicates import groups

ORDER = (("test", "train"), ("validation", "train"), ("test", "validation"))  # the worst first
SHOWN = 3  # examples in a line
SLICE = re.compile(r"(?P<name>.*\d.*?)[-_ .(]+[a-z]{0,8}[-_ ]?\d+\)?$", re.IGNORECASE)  # p12_slice_40, 00054_145
SPLIT_ANEW = "mri-split keeps copies and subjects together"


def findings(cases: Sequence[Case], pairs: Iterable[tuple[int, int, str]] = ()) -> list[tuple[str, str]]:
    """The leaks between parts and between classes, as (name, text) lines, the worst first.

    pairs: the copies, as from duplicates.pairs. Empty without a leak.
    """
    pairs = list(pairs)
    subjects = _across(cases, [case.subject for case in cases], "LEAK, subjects across parts", "subjects", SPLIT_ANEW)
    lines = (_copies_across_parts(cases, pairs), subjects, _names_across_parts(cases),
             copies_across_classes(cases, pairs), _subjects_across_classes(cases))
    return [line for line in lines if line]


def copies_across(parts: Sequence[str | None], pairs: Iterable[tuple[int, int, str]], part: str,
                  others: Collection[str]) -> dict[int, tuple[int, str]]:
    """The cases of a part that have a copy in other parts: their index -> (index of the copy, "exact" or "near").

    parts: of each case. A copy of an exact copy is an exact copy.
    """
    pairs = list(pairs)
    same = groups(len(parts), [pair for pair in pairs if pair[2] == "exact"]).tolist()
    near: dict[int, set[int]] = defaultdict(set)
    for i, j, kind in pairs:
        if kind != "exact":
            near[same[i]].add(same[j])
            near[same[j]].add(same[i])
    first: dict[int, int] = {}  # of each set of equal images, one in the other parts
    for i, own in enumerate(parts):
        if own in others:
            first.setdefault(same[i], i)
    copied = {}
    for i, own in enumerate(parts):
        if own != part:
            continue
        if same[i] in first:
            copied[i] = first[same[i]], "exact"
        elif beside := sorted(first[group] for group in near[same[i]] if group in first):
            copied[i] = beside[0], "near"
    return copied


def _copies_across_parts(cases, pairs) -> tuple[str, str] | None:
    clauses, examples, parts = [], [], [case.part for case in cases]
    for part, other in ORDER:
        if copied := copies_across(parts, pairs, part, {other}):
            kinds = Counter(kind for _, kind in copied.values())
            text = ", ".join(f"{kinds[kind]} {kind}" for kind in ("exact", "near") if kinds[kind])
            total = sum(case.part == part for case in cases)
            clauses.append(f"{len(copied)} of {total} {part} cases are copies of {other} cases ({text})")
            examples += [f"{cases[i].id} of {cases[j].id}" for i, (j, _) in copied.items()]
    if not clauses:
        return None
    return "LEAK, copies across parts", (f"{'; '.join(clauses)}; such as {_shown(examples)} "
                                         f"({SPLIT_ANEW}; --copies FILE lists all pairs)")


def _names_across_parts(cases) -> tuple[str, str] | None:
    """Beginnings of the names of cases without a subject, `00054` of `00054_145`, which may be persons."""
    matches = [None if case.subject else SLICE.match(case.id.rsplit("/", 1)[-1]) for case in cases]
    beginnings = [match and match["name"] for match in matches]
    return _across(cases, beginnings, "perhaps a LEAK, names across parts", "beginnings of names",
                   "if each stands for a person, state it: a CSV with the columns file,subject, or mri-split --groups",
                   least=2)  # a beginning that all names share is the name of the set


def _across(cases, keys, title: str, noun: str, remedy: str, least: int = 1) -> tuple[str, str] | None:
    """The line about keys, one of each case or None, that occur in more than one part."""
    parts: dict[str, set[str]] = defaultdict(set)
    for case, key in zip(cases, keys, strict=True):
        if key and case.part:
            parts[case.part].add(key)
    clauses, examples = [], {}
    for part, other in ORDER:
        if (shared := parts[part] & parts[other]) and len(parts[part]) >= least:
            total = len(parts[part])
            number = f"all {total}" if len(shared) == total > 1 else f"{len(shared)} of {total}"
            clauses.append(f"{number} {noun} of {part} are in {other} too")
            examples.update(dict.fromkeys(sorted(shared)))
    return (title, f"{'; '.join(clauses)}: {_shown(list(examples))} ({remedy})") if clauses else None


def copies_across_classes(cases: Sequence[Case], pairs: Iterable[tuple[int, int, str]]) -> tuple[str, str] | None:
    """The (name, text) line about copies that are filed under different classes; None without them."""
    contrary = [(cases[i], cases[j]) for i, j, _ in pairs if cases[i].class_name != cases[j].class_name]
    if not contrary:
        return None
    examples = [f"{one.id} ({one.class_name}) and {other.id} ({other.class_name})" for one, other in contrary]
    pairs_text = f"{len(contrary)} pair{'s' * (len(contrary) > 1)}"
    return "copies of different class", (f"{pairs_text}: {_shown(examples)} (correct the class or leave them out; "
                                         "--copies FILE lists all pairs)")


def _subjects_across_classes(cases) -> tuple[str, str] | None:
    classes: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.subject and case.class_name:
            classes[case.subject].add(case.class_name)
    several = [f"{subject} ({', '.join(sorted(names))})" for subject, names in sorted(classes.items())
               if len(names) > 1]
    if not several:
        return None
    return "subjects of several classes", f"{len(several)} of {len(classes)}: {_shown(several)}"


def _shown(examples: Sequence[str]) -> str:
    return ", ".join(examples[:SHOWN]) + (" …" if len(examples) > SHOWN else "")
