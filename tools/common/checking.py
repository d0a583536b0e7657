"""mri-score --check: whether a submission is complete and well formed, without the truth."""

from __future__ import annotations

from mri_tools.common.jobs import cores, ordered
from mri_tools.common.reference import read_reference
from mri_tools.common.run import DONE, SOME_FAILED, complain, emit, progress
from mri_tools.common.submitted import Table
from mrilib import labels
from mrilib.errors import MriError, UsageError
from mrilib.metrics import pairing


def check(submissions: list, o) -> int:
    """Check submissions against the cases of --like as the options of mri-score say; returns the exit code.

    A line on standard output for each submission; what is wrong is named on standard error.
    """
    truth = read_reference(o.like, o.layout, o.split, o.fold, o.part)
    if isinstance(submissions[0], Table):
        return _table(submissions, truth)
    scheme = labels.scheme(o.predicted_scheme or o.scheme) if o.predicted_scheme or o.scheme else None
    failed = False
    for submission in submissions:
        prefix = f"{submission.name}: " if len(submissions) > 1 else ""
        faults = len(submission.problems)
        for error in submission.problems:
            complain(f"{prefix}{error}", error)
        try:
            pairs, left = pairing.pair_known(submission.files, truth.cases)
        except UsageError as error:
            complain(f"{prefix}{error}", error)
            pairs, left = {}, list(submission.files)
        if left:
            complain(f"{prefix}{len(left)} predictions are of no case: {pairing.some(left)}")
        file_of = {name: submission.files[mine] for mine, name in pairs.items() if name in set(truth.chosen)}
        if lacking := [name for name in truth.chosen if name not in file_of]:
            complain(f"{prefix}{len(lacking)} cases have no prediction: {pairing.some(lacking)}")
        wrong = _files(file_of, truth, scheme, o, prefix)
        emit(f"{submission.name}: {len(file_of) - wrong} of {len(truth.chosen)} predictions are well formed")
        failed = failed or bool(faults or left or lacking or wrong)
    return SOME_FAILED if failed else DONE


def _files(file_of: dict, truth, scheme, o, prefix: str) -> int:
    """How many files are wrong, each of which is named; a scheme without name is known by all numbers together."""
    todo = ((name, (truth.cases[name], path, scheme)) for name, path in file_of.items())
    wrong = 0
    with progress("check", len(file_of)) as bar:
        for name, found in ordered("mrilib.metrics.pairs:well_formed", todo, min(o.jobs or cores(), len(file_of) or 1)):
            if isinstance(found, MriError):
                complain(f"{prefix}{found}", found)
                wrong += 1
            elif isinstance(found, BaseException):
                raise RuntimeError(f"{name}: {found!r}")
            bar.step()
    return wrong


def _table(tables: list, truth) -> int:
    from mri_tools.common.reference import read_predictions

    submitted = read_predictions(tables)
    pairs, left = pairing.pair_known(submitted.classes, truth.cases)
    lacking = [name for name in truth.chosen if name not in set(pairs.values())]
    if left:
        complain(f"{len(left)} predictions are of no case: {pairing.some(left)}")
    if lacking:
        complain(f"{len(lacking)} cases have no prediction: {pairing.some(lacking)}")
    known = {case.class_name for case in truth.cases.values()} - {None}
    if known and (strange := sorted(set(submitted.classes.values()) - known)):
        complain(f"classes that the cases do not have: {pairing.some(strange)}")
        left = left + strange
    emit(f"{len(truth.chosen) - len(lacking)} of {len(truth.chosen)} cases have a prediction")
    return SOME_FAILED if left or lacking else DONE
