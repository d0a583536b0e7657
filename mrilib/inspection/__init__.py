"""Reports: what a data set, a case or a model file holds, and what this machine offers."""

from __future__ import annotations

from collections import Counter
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
    """A report as (name, text) lines, and as data for JSON. Its text has a line `name: text` for each."""

    lines: list[tuple[str, str]]
    data: object

    def __str__(self) -> str:
        return "".join(f"{name}: {text}\n" if text else f"{name}\n" for name, text in self.lines)


@dataclass(frozen=True)
class CasesReport(Report):
    """The report of a set of cases. cases, facts: the readable cases, and what each holds. copies: pairs (i, j, kind)
    of their indices. errors: those of the other cases."""

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
    cases = finding.find(paths, layout, None if root is None else Path(root), on_error=errors.append,
                         on_unused=unused.append)
    return of_cases([*cases, *errors], unused, title=" ".join(map(str, paths)), copies=copies, jobs=jobs,
                    on_error=on_error, progress=progress)


def of_cases(cases: Iterable[Case | CaseError], unused: Iterable[Unused] = (), *, title: str = "", copies: bool = True,
             jobs: int | Executor | None = None, on_error: Callable[[CaseError], object] | None = None,
             progress: Callable | None = None) -> CasesReport:
    """Report what cases hold; an error among them counts as a damaged case.

    unused: what no case of a folder uses; read after the last case. title: the paths of the cases.
    """
    from mrilib import duplicates, leaks, parallel
    from mrilib.inspection import facts, summary
    from mrilib.unused import notes

    readable, contents, errors = [], [], []

    def fail(error: CaseError) -> None:
        errors.append(error)
        if on_error is not None:
            on_error(error)

    calls = parallel.calls(cases, lambda case: (case, copies))
    with (progress or Silent)("look") as bar:
        for case, result in parallel.results("mrilib.inspection.facts:facts_of", calls, jobs, fail, bar.step):
            readable.append(case)
            contents.append(result)
    if not readable and not errors:
        raise CaseError("nothing to do (no case came)")
    pairs: list[tuple[int, int, str]] = []
    if copies:
        pairs = duplicates.pairs([one.fingerprint for one in contents], subjects=[case.subject for case in readable])
    lines = [("given", title)] if title else []
    lines += leaks.findings(readable, pairs)
    lines += summary.origin(readable)
    lines += [(note.title, note.text) for one in unused for note in notes(one)]
    lines += summary.content(readable, contents)
    if copies and readable:
        lines.append(summary.of_copies(len(readable), pairs))
    if errors:
        more = " …" if len(errors) > DAMAGED_SHOWN else ""
        lines.append(("damaged", f"{len(errors)} files: {'; '.join(map(str, errors[:DAMAGED_SHOWN]))}{more}"))
    data = {"summary": lines, "cases": facts.rows(readable, contents), "copies": duplicates.rows(readable, pairs),
            "damaged": [str(error) for error in errors]}
    return CasesReport(lines, data, readable, contents, pairs, errors)


def of_model(path: str | Path) -> Report:
    """Report the record of a model file, without building its network. Raises CaseError for a file that has none."""
    from mrilib.models.file import read_record

    record = read_record(Path(path))
    return Report([("model", str(path)), *describe(record)], record)


def describe(record: dict) -> list[tuple[str, str]]:
    """What a model's record says: what its task says of inputs and outputs, how it was prepared and trained."""
    from mrilib import tasks
    from mrilib.inspection.summary import counted
    from mrilib.recipe import Recipe

    training = record.get("training", {})
    steps = Recipe.from_dict(record["recipe"]).steps if record.get("recipe") else ()
    name = record.get("task", "")
    lines = [
        ("task", name or "not said"),
        *(tasks.get(name).describe(record) if name in tasks.TASKS else ()),
        ("channels", ", ".join(record.get("channels", ()))),
        ("recipe", " | ".join(map(str, steps)) or "as given"),
        ("network", _settings(record.get("architecture", {}))),
        ("settings", _settings(record.get("settings", {}))),
    ]
    cases_of = Counter(case.get("part") for case in training.get("cases", {}).values())
    for part, counts in training.get("counts", {}).items():
        if sum(counts.values()):
            lines.append((part, f"{cases_of[part] or sum(counts.values())} cases: {counted(Counter(counts))}"))
    if curve := training.get("curve"):
        lines.append(("last epoch", _metrics(curve[-1])))
    if validation := training.get("validation"):
        metrics = {key.removeprefix("validation_"): value for key, value in validation.items()}
        lines.append(("validation", f"epoch {training.get('best_epoch')}: {_metrics(metrics)}"))
    if study := record.get("study"):
        lines.append(("search", f"best of {study['trials']} trials: {study['judged']} {study['value']:.3f} "
                      f"({study['low']:.3f} to {study['high']:.3f}) on {study['folds']} folds"
                      + ("" if study["corrected"][0] is None else
                         f", {study['corrected'][0]:.3f} corrected for the choice")))
    for key in ("split", "versions"):
        values = {name: value for name, value in training.get(key, {}).items() if value is not None}
        lines.append((key, ", ".join(f"{name} {value}" for name, value in values.items())))
    lines.append(("made by", record.get("made_by", "not said")))
    return [(name, text) for name, text in lines if text]


def _settings(values: dict) -> str:
    """The settings that are set, numbers in as many digits as a person reads."""
    return ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in values.items() if value is not None and value is not False)


def _metrics(values: dict) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in values.items())


def of_machine() -> Report:
    """Report what this machine offers for training, and why a GPU lies idle."""
    from mrilib import gpu

    lines = gpu.diagnose()
    return Report([(name, text) for name, _, text in (line.partition(": ") for line in lines)], lines)
