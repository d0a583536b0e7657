"""Scoring with the tasks of the registry: which of their scorers suits the predictions, and one call for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from mrilib import config, tasks
from mrilib.cases import Reading
from mrilib.errors import CaseError, UsageError
from mrilib.evaluation import reference as references
from mrilib.evaluation import report
from mrilib.evaluation import scores as scoring
from mrilib.evaluation.scorer import Scorer
from mrilib.evaluation.scores import Scores
from mrilib.evaluation.submissions import Maps, Submission, Tables
from mrilib.evaluation.submissions import read as read_submissions

if TYPE_CHECKING:
    from concurrent.futures import Executor

OF_NO_TASK = ("mrilib.evaluation.boxes:BoxScorer",)  # tables of any detector


def scorers() -> Iterator[type[Scorer]]:
    """The scorers of all tasks, each once, imported one by one."""
    names = [task.scorer for task in tasks.every() if task.scorer] + list(OF_NO_TASK)
    return map(resolve_name, dict.fromkeys(names))


def scorer_of(submissions: list[Submission], settings: Mapping, defaults: Mapping | None = None) -> Scorer:
    """The scorer that suits submissions, with its settings. defaults: settings that hold where they have an effect.

    Raises UsageError for a setting of another scorer, or for submissions that suit none.
    """
    kind = next((one for one in scorers() if one.takes(submissions[0])), None)
    if kind is None:
        table = next(submission.tables[0] for submission in submissions if isinstance(submission, Tables))
        raise UsageError(f"has no column that tells what is predicted (columns: {' '.join(table.columns)})",
                         where=table.where,
                         remedy="give mri-predict's table, such as case,class or case,x0,y0,x1,y1,class,score")
    chosen = config.choose(kind.settings, dict(settings), (one.settings for one in scorers()), kind.KIND)
    if len(submissions) == 1 and chosen.rank_by:
        raise UsageError("--rank-by has no effect with one submission", remedy="leave it out")
    own = config.names_of(kind.settings)
    late = {name: value for name, value in (defaults or {}).items() if name in own and name not in settings}
    return kind(config.choose(kind.settings, {**late, **settings}))


def score(predictions: object, reference: str | Path, *, layout: str | Reading | None = None,
          split: str | Path | None = None, fold: int | None = None, part: str | None = None,
          model: Iterable[str | Path] = (), group_by: str | Path | None = None, fail_under: Iterable[str] = (),
          jobs: int | Executor | None = None, progress: Callable | None = None,
          defaults: Mapping | None = None, **settings) -> Scores:
    """Score predictions against a reference: rows of metrics with confidence intervals.

    predictions: a folder, zip archive or table, several of these, label maps by name, rows of a table, or what
    mrilib.evaluation.submissions reads. reference: cases with their classes, label maps or boxes. layout: a layout or
    Reading. split, fold, part: which cases are scored, and which of them belong together. model: model files whose
    record tells which cases they saw. group_by: CSV `case,<column>…`: metrics for each value of each column as well.
    fail_under: METRIC=VALUE, for Scores.failed. jobs: number of workers, or an executor. progress(label, total): a
    context manager with step(). defaults: settings that hold where they have an effect. settings: see the settings of
    the scorer, such as mrilib.evaluation.settings.MapSettings. Raises UsageError.
    """
    submissions = read_submissions(predictions)
    chosen = scorer_of(submissions, settings, defaults)
    if jobs is not None and not chosen.has_workers:
        raise UsageError(f"--jobs has no effect with {chosen.KIND}", remedy="leave it out")
    limits = report.limits(fail_under, chosen.METRICS, chosen.EXAMPLE)
    cases = chosen.reference(references.read(reference, layout, split, fold, part))
    groups = references.groups_of(group_by, cases.chosen) if group_by else {}
    return scoring.run(chosen, submissions, cases, groups=groups, seen=seen_by(model, cases), limits=limits, jobs=jobs,
                       progress=progress)


def check(predictions: object, like: str | Path, *, layout=None, split: str | Path | None = None,
          fold: int | None = None, part: str | None = None, jobs=None, progress=None, defaults: Mapping | None = None,
          **settings) -> list:
    """Whether submissions are complete and well formed for the cases of `like`, whose reference is not needed: a
    scores.Checked for each."""
    submissions = read_submissions(predictions)
    chosen = scorer_of(submissions, settings, defaults)
    cases = references.read(like, layout, split, fold, part)
    return scoring.check(chosen, submissions, cases, jobs, progress)


def pairs(predictions: object, reference: str | Path, *, layout=None, split: str | Path | None = None,
          fold: int | None = None, part: str | None = None, defaults: Mapping | None = None,
          **settings) -> tuple[list[str], bool]:
    """Which prediction would be scored against which label map: a line each, and whether each case has one."""
    from mrilib.evaluation import maps

    submissions = read_submissions(predictions)
    chosen = scorer_of(submissions, settings, defaults)
    if not isinstance(chosen, maps.MapScorer):
        raise UsageError(f"--dry-run has no effect with {chosen.KIND}", remedy="leave it out")
    cases = chosen.reference(references.read(reference, layout, split, fold, part))
    return maps.listed(chosen, [one for one in submissions if isinstance(one, Maps)], cases)


def seen_by(models: Iterable[str | Path], reference) -> dict[str, str]:
    """Which of the scored cases the records of models hold, by their content: {case: train or validation}."""
    part_of: dict[str, str] = {}  # content of a case -> part
    for path in models:
        from mrilib.models.file import read_record

        try:
            record = read_record(Path(path))
        except CaseError as error:
            raise error.as_kind(UsageError) from error
        for case in record.get("training", {}).get("cases", {}).values():
            part_of[case["content"]] = min(part_of.get(case["content"], "validation"), case["part"])  # train goes first
    if not part_of:
        return {}
    from mrilib.recipe import source_record

    parts = {}
    for case in reference.scored:
        try:
            content = source_record(case)["content"]
        except OSError as error:
            raise UsageError(f"cannot be compared with what the model saw: {error.strerror}", where=case.id,
                             remedy="give the folder of the images as the reference") from error
        if content in part_of:
            parts[case.id] = part_of[content]
    return parts
