"""Understanding what is given before it is used: a data set, one case, a model file, this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from mrilib import cases as finding
from mrilib.cases import Case, Reading, Unused
from mrilib.errors import CaseError, UsageError
from mrilib.results import Silent

MODELS = (".h5", ".keras")
DAMAGED_SHOWN = 3  # errors in the line that counts the damaged files


@dataclass(frozen=True)
class Report:
    """What was found, as (name, text) lines, and the same as data for JSON. Its text is `name: text`, line by line."""

    lines: list[tuple[str, str]]
    data: object

    def __str__(self) -> str:
        return "".join(f"{name}: {text}\n" if text else f"{name}\n" for name, text in self.lines)


@dataclass(frozen=True)
class CasesReport(Report):
    """The report of a set of cases. cases, facts: one for one, of those that can be read. copies: pairs (i, j, kind) of
    their places. errors: what is wrong with the others."""

    cases: list[Case]
    facts: list
    copies: list[tuple[int, int, str]]
    errors: list[CaseError]

    def per_case(self) -> str:
        """A CSV row for each case."""
        from mrilib.inspection.facts import table

        return table(self.cases, self.facts)

    def copies_table(self) -> str:
        """A CSV row for each pair of copies."""
        from mrilib import duplicates

        return duplicates.table(self.cases, self.copies)


def inspect(paths, *, layout: str | Reading | None = None, root: str | Path | None = None, copies: bool = True,
            jobs: int | Executor | None = None, on_error: Callable[[CaseError], object] | None = None,
            progress: Callable | None = None) -> Report:
    """Report what files and folders of images hold, or what the record of one model file says.

    paths: a path, or several. copies: search for copies among the cases. on_error takes what is wrong with one case
    while the others go on; the report lists it, too. Raises CaseError when no case can be read.
    """
    paths = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    models = [path for path in paths if path.suffix.lower() in MODELS]
    if models:
        if len(paths) > 1:
            raise UsageError("one model file at a time, without cases", where=models[0])
        return of_model(models[0])
    errors: list[CaseError] = []
    unused: list[Unused] = []
    found = finding.find(paths, layout, None if root is None else Path(root), on_error=errors.append,
                         on_unused=unused.append)
    return of_cases([*found, *errors], unused, title=" ".join(map(str, paths)), copies=copies, jobs=jobs,
                    on_error=on_error, progress=progress)


def of_cases(cases: Iterable[Case | CaseError], unused: Iterable[Unused] = (), *, title: str = "", copies: bool = True,
             jobs: int | Executor | None = None, on_error: Callable[[CaseError], object] | None = None,
             progress: Callable | None = None) -> CasesReport:
    """Report what cases hold, as they come; an error among them counts as a damaged case.

    unused: what no case of a folder uses; read after the last case has come. title: what was given.
    """
    from mrilib import duplicates, leaks, parallel
    from mrilib.inspection import facts, summary
    from mrilib.unused import notes

    readable, known, errors = [], [], []

    def fail(error: CaseError) -> None:
        errors.append(error)
        if on_error is not None:
            on_error(error)

    calls = parallel.calls(cases, lambda case: (case, copies))
    with (progress or Silent)("look") as bar:
        for case, result in parallel.results("mrilib.inspection.facts:facts_of", calls, jobs, fail, bar.step):
            readable.append(case)
            known.append(result)
    if not readable and not errors:
        raise CaseError("nothing to do (no case came)")
    pairs: list[tuple[int, int, str]] = []
    if copies:
        pairs = duplicates.pairs([one.fingerprint for one in known], subjects=[case.subject for case in readable])
    lines = [("given", title)] if title else []
    lines += leaks.findings(readable, pairs)
    lines += summary.origin(readable)
    lines += [(note.title, note.text) for one in unused for note in notes(one)]
    lines += summary.content(readable, known)
    if copies and readable:
        lines.append(summary.of_copies(len(readable), pairs))
    if errors:
        more = " …" if len(errors) > DAMAGED_SHOWN else ""
        lines.append(("damaged", f"{len(errors)} files: {'; '.join(map(str, errors[:DAMAGED_SHOWN]))}{more}"))
    data = {"summary": lines, "cases": facts.rows(readable, known), "copies": duplicates.rows(readable, pairs),
            "damaged": [str(error) for error in errors]}
    return CasesReport(lines, data, readable, known, pairs, errors)


def of_model(path: str | Path) -> Report:
    """Report the record of a model file, without building its network. Raises CaseError for a file that has none."""
    from mrilib.inspection.model import describe
    from mrilib.models.file import read_record

    record = read_record(Path(path))
    return Report([("model", str(path)), *describe(record)], record)


def of_machine() -> Report:
    """Report what this machine offers for training, and why a GPU lies idle."""
    from mrilib import gpu

    lines = gpu.diagnose()
    return Report([(name, text) for name, _, text in (line.partition(": ") for line in lines)], lines)
