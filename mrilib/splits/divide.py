"""Dividing a set of cases: the search for copies, the split that the data set states, and the summary of the result."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path

from mrilib import duplicates, splits, tables
from mrilib.cases import Case
from mrilib.cases.given import PARTS
from mrilib.errors import CaseError, UsageError
from mrilib.leaks import copies_across_classes
from mrilib.sources import cases_of
from mrilib.splits import EXCLUDED, Row
from mrilib.store import write_text

logger = logging.getLogger("mrilib")


@dataclass(frozen=True)
class Split:
    """A divided set. rows: the part or the fold of each case. cases: those that can be read, one for each row. copies:
    pairs (i, j, kind) of their places."""

    rows: list[Row]
    cases: list[Case]
    copies: list[tuple[int, int, str]]

    def parts(self, fold: int | None = None) -> dict[str, list[str]]:
        """The ids of the cases of train, validation and test; of a split into folds, with that fold as the test."""
        return splits.parts(self.rows, fold, classes={c.id: c.class_name for c in self.cases if c.class_name})

    def save(self, path: str | Path) -> Path:
        """Write the split as a CSV file, which mri-train, mri-predict and mri-score take with --split."""
        write_text(Path(path), str(self))
        return Path(path)

    def copies_table(self) -> str:
        """A CSV row for each pair of copies."""
        return duplicates.table(self.cases, self.copies)

    def data(self) -> dict:
        """The rows and the copies as plain values."""
        return {"rows": [asdict(row) for row in self.rows], "copies": duplicates.rows(self.cases, self.copies)}

    def __str__(self) -> str:
        return splits.write(self.rows)


def split(cases, *, folds: int | None = None, validation: float | None = None, test: float | None = None, seed: int = 0,
          copies: str = "near", distance: int | None = None, given: str | None = None,
          groups: Mapping[str, str] | str | Path | None = None, jobs: int | Executor | None = None,
          on_error: Callable[[CaseError], object] | None = None, progress: Callable | None = None) -> Split:
    """Divide cases into train, validation and test, or into folds, without dividing a subject or a set of copies.

    cases: cases, or paths of them. validation, test: fractions of the cases, 0.15 by default. copies: "near", "exact"
    or "none", which copies stay together. distance: bits of 64 in which the hashes of near copies differ. given: "keep"
    or "ignore" the split that the data set states; by default kept without folds. groups: case id -> group of further
    cases that stay together, or a CSV `case,group`. on_error takes the error of a case, and the others are processed;
    without it errors are logged. Logs a summary of the split. Raises UsageError for wrong options.
    """
    if folds and given != "keep" and (validation is not None or test is not None):
        raise UsageError("validation and test have no effect with folds")
    if distance is not None and copies != "near":
        raise UsageError("distance has no effect without near copies")
    if copies not in ("near", "exact", "none") or given not in (None, "keep", "ignore"):
        raise UsageError(f"copies {copies!r} or given {given!r} is not known",
                         remedy="copies: near, exact or none; given: keep or ignore")
    fail = on_error or (lambda error: logger.warning("%s", error))
    cases = cases_of(cases, fail)
    together = read_groups(Path(groups)) if isinstance(groups, str | Path) else dict(groups or {})
    _check(cases, together, groups if isinstance(groups, str | Path) else None)
    pairs: list[tuple[int, int, str]] = []
    if copies != "none":
        cases, pairs = duplicates.find(cases, jobs, near=copies == "near",
                                       distance=duplicates.DISTANCE if distance is None else distance, on_error=fail,
                                       progress=progress)
    group = splits.grouping(cases, [*pairs, *_links(cases, together)])
    shares = {"validation": validation, "test": test}
    rows = _of_given(cases, group, pairs, given, folds, shares, seed)
    if rows is None:
        rows = splits.make(cases, group, folds=folds, seed=seed, **shares)
    for line in summary(cases, rows, pairs):
        logger.info("%s", line)
    return Split(rows, cases, pairs)


def read_groups(path: Path) -> dict[str, str]:
    """Case id -> group of a CSV `case,group`. Raises UsageError for another table."""
    columns, rows = tables.read(path, ("case", "group"))
    if not {"case", "group"} <= set(columns):
        raise UsageError("has no columns case,group", where=path)
    return {row["case"]: row["group"] for _, row in rows if row.get("group")}


def _check(cases: list[Case], groups: dict[str, str], path) -> None:
    """Raise UsageError early for errors that would otherwise appear only after the comparison of all images."""
    count = Counter(case.id for case in cases)
    if twice := [name for name, n in count.items() if n > 1]:
        raise UsageError(f"two cases are called {twice[0]}", remedy="give folders of one root, or --root")
    if unknown := [name for name in groups if name not in count]:
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        raise UsageError(f"names {unknown[0]}{more}, which is no case", where=path)


def _links(cases: list[Case], group: dict[str, str]) -> list[tuple[int, int, str]]:
    """Pairs of cases that the user groups."""
    first: dict[str, int] = {}
    return [(first.setdefault(group[case.id], i), i, "given") for i, case in enumerate(cases) if case.id in group]


def _of_given(cases: list[Case], group: list[str], pairs, given: str | None, folds: int | None, shares: dict,
              seed: int) -> list[Row] | None:  # fmt: skip
    """The rows of the split that the data set states; None if all cases are divided anew. Logs the decision.

    With folds it is kept only on request, and only if at least half of its training cases do not leak.
    """
    part_of = splits.given_parts(cases)
    if not part_of:
        return None
    if set(part_of.values()) == {"train"} and given != "ignore":
        return _of_train(cases, group, part_of, folds, shares, seed)
    if given == "ignore" or (folds and given is None):
        option = "--given ignore" if given else "--folds"
        logger.info("%s: all cases are divided anew, those of the given test part, too", option)
        return None
    leaks = splits.leaks(cases, part_of, group, pairs)
    counts, excluded = Counter(part_of.values()), Counter(part_of[name] for name in leaks.cases)
    for line in leaks.lines:
        logger.info("the given split leaks: %s", line)
    logger.info("given split: %s", ", ".join(f"{counts[part]} {part}" for part in PARTS if counts[part]))
    if folds and 2 * excluded["train"] > counts["train"]:
        logger.info("it is not used: %d of %d train cases are copies, or of subjects, of the other parts; all cases "
                    "are divided anew into %d folds", excluded["train"], counts["train"], folds)
        return None
    for name, value in shares.items():
        if value is not None and counts[name]:
            logger.info("--%s has no effect: the data set states its %s part (--given ignore divides all cases anew)",
                        name, name)
    rows = splits.make_given(cases, group, part_of, seed=seed, **shares)
    for line in _about_given(cases, rows, counts, excluded):
        logger.info("%s", line)
    return rows


def _of_train(cases: list[Case], group: list[str], part_of: dict[str, str], folds: int | None, shares: dict,
              seed: int) -> list[Row]:  # fmt: skip
    """The rows of a data set that states a split, but whose other parts have no classes, label maps or boxes."""
    logger.info("only the given train part has classes, label maps or boxes: its %d cases are divided, the other %d "
                "are excluded", len(part_of), len(cases) - len(part_of))
    row_of = splits.make_some(part_of, cases, group, folds=folds, seed=seed, **shares)
    return [row_of.get(case.id) or Row(case.id, case.subject or "", name, None, EXCLUDED)
            for case, name in zip(cases, group, strict=True)]


def _about_given(cases: list[Case], rows: Iterable[Row], counts: Counter, excluded: Counter) -> list[str]:
    """Lines that describe how the given split was used."""
    if excluded:
        lines = [" and ".join(f"{n} {part}" for part, n in excluded.items()) + " cases are excluded, so that the "
                 f"{'test' if counts['test'] else 'validation'} part stays as given and no copy or subject of it is "
                 "trained on (--given ignore divides all cases anew)"]
    else:
        lines = ["nothing leaks across the given split: it is kept (--given ignore divides all cases anew)"]
    if outside := len(cases) - sum(counts.values()):
        lines.append(f"{outside} cases are in no part of the given split, or in a part without classes, label maps and "
                     "boxes: they are excluded")
    count = Counter(row.part for row in rows)
    return lines + [f"{count[part]} cases of the given train part are the {part} part, which the given split lacks"
                    for part in ("validation", "test") if count[part] and not counts[part]]


def summary(cases: list[Case], rows: list[Row], pairs: list[tuple[int, int, str]]) -> list[str]:
    """Lines that describe the split, part by part, and copies that have different classes."""
    subjects = {case.subject for case in cases if case.subject}
    sizes = [n for n in Counter(duplicates.groups(len(cases), pairs).tolist()).values() if n > 1]
    kinds = Counter(kind for *_, kind in pairs)
    exact = len({j for _, j, kind in pairs if kind == "exact"})
    lines = [f"{len(cases)} cases, {len(subjects) or 'no known'} subjects, {len({row.group for row in rows})} groups",
             f"{len(sizes)} groups of copies ({sum(sizes)} cases; {exact} cases are exact copies of an earlier one, "
             f"{kinds['near']} pairs are near copies)"]
    classes = sorted({case.class_name for case in cases if case.class_name})
    class_of = {case.id: case.class_name for case in cases}
    order = (*PARTS, EXCLUDED)
    places = sorted({(-1 if row.fold is None else row.fold, row.part) for row in rows},
                    key=lambda place: (place[0], order.index(place[1])))
    for fold, part in places:
        inside = [row for row in rows if row.part == part and (row.fold is None or row.fold == fold)]
        counts = Counter(class_of[row.case] for row in inside)
        text = ", ".join(f"{counts[name]} {name}" for name in classes)
        lines.append(f"{part if fold < 0 else f'fold {fold}'}: {len(inside)} cases in "
                     f"{len({row.group for row in inside})} groups{text and ': '}{text}")
    if contrary := copies_across_classes(cases, pairs):
        lines.append(": ".join(contrary))
    return lines
