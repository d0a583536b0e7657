"""mri-score --check: whether a submission is complete and well formed, without the truth."""

from __future__ import annotations

from mri_tools.cli.output import DONE, SOME_FAILED, complain, emit, progress
from mri_tools.common import scoring_boxes, scoring_classes, scoring_tables
from mri_tools.common.reference import read_reference
from mri_tools.common.submitted import Table, apart, paired, say_mixed
from mrilib import labels
from mrilib.errors import MriError
from mrilib.evaluation import pairing
from mrilib.parallel import cores, ordered


def check(submissions: list, o) -> int:
    """Check submissions against the cases of --like as the options of mri-score say; returns the exit code.

    A line on standard output for each submission; what is wrong is named on standard error.
    """
    truth = read_reference(o.like, o.layout, o.split, o.fold, o.part)
    if isinstance(submissions[0], Table):
        kind = scoring_boxes if "x0" in submissions[0].columns else scoring_classes
        tables = apart(submissions)
        checked = [_tables(name, some, truth, kind, o, len(tables) > 1) for name, some in tables.items()]
    else:
        checked = [_maps(one, truth, o, len(submissions) > 1) for one in submissions]
    return DONE if all(checked) else SOME_FAILED


def _maps(submission, truth, o, several: bool) -> bool:
    """Whether all is well with a submission of label maps; a scheme without name is known by all numbers together."""
    scheme = labels.scheme(o.predicted_scheme or o.scheme) if o.predicted_scheme or o.scheme else None
    pairs, faults = paired(submission.name, submission.files, submission.problems, truth, True, several)
    say_mixed(submission.files[mine] for mine in pairs.values())
    todo = ((name, (truth.cases[name], submission.files[mine], scheme)) for name, mine in pairs.items())
    wrong = _wrong("mrilib.evaluation.pairs:well_formed", todo, len(pairs), submission.name if several else "", o)
    return _said(submission.name, truth, pairs, wrong, faults, several)


def _tables(name: str, tables: list, truth, kind, o, several: bool) -> bool:
    """Whether all is well with a submission of tables; boxes must lie within the images."""
    given, problems = scoring_tables.read_whole(tables, kind, truth)
    pairs, faults = paired(name, given.ids, problems, truth, True, several)
    todo = ((case, (truth.cases[case], given.of[mine])) for case, mine in pairs.items() if kind is scoring_boxes
            and given.of[mine])
    wrong = _wrong("mrilib.evaluation.pairs:boxes_within", todo, len(pairs), name if several else "", o)
    return _said(name, truth, pairs, wrong, faults, several)


def _said(name: str, truth, pairs: dict, wrong: int, faults: int, several: bool) -> bool:
    if lacking := [case for case in truth.chosen if case not in pairs]:
        complain(f"{name + ': ' if several else ''}{len(lacking)} cases have no prediction: "
                 f"{pairing.some(lacking)}")
    emit(f"{name}: {len(pairs) - wrong} of {len(truth.chosen)} predictions are well formed")
    return not (faults or lacking or wrong)


def _wrong(target: str, todo, count: int, name: str, o) -> int:
    """How many cases are wrong, each of which is named."""
    wrong = 0
    with progress("check", count) as bar:
        for case, found in ordered(target, todo, min(o.jobs or cores(), count or 1)):
            if isinstance(found, MriError):
                complain(f"{name and name + ': '}{found}", found)
                wrong += 1
            elif isinstance(found, BaseException):
                raise RuntimeError(f"{case}: {found!r}")
            bar.step()
    return wrong
