"""Whether submissions are complete and well formed, without their reference: the sanity check before one is sent."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mrilib import labels
from mrilib.errors import MriError
from mrilib.evaluation import pairing
from mrilib.evaluation.boxes import BoxScorer
from mrilib.evaluation.reference import Reference
from mrilib.evaluation.scorer import Scorer, paired
from mrilib.evaluation.submissions import Maps, Submission, tell_mixed
from mrilib.parallel import cores, ordered
from mrilib.results import Silent

log = logging.getLogger("mrilib")


@dataclass(frozen=True)
class Checked:
    """What a check found of one submission: how many predictions are well formed, of how many cases."""

    name: str
    well_formed: int
    cases: int
    fine: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.well_formed} of {self.cases} predictions are well formed"


def check(scorer: Scorer, submissions: list[Submission], like: Reference, jobs=None, progress=None) -> list[Checked]:
    """Check submissions against cases; what is wrong is logged. jobs, progress: as of mrilib.score."""
    several = len(submissions) > 1
    return [_checked(scorer, submission, like, several, jobs, progress or Silent) for submission in submissions]


def _checked(scorer: Scorer, submission: Submission, like: Reference, several: bool, jobs, progress) -> Checked:
    prefix = f"{submission.name}: " if several else ""
    if isinstance(submission, Maps):
        used = scorer.settings_used
        scheme = used.predicted_scheme or used.scheme
        scheme = labels.scheme(scheme) if scheme else None
        pairs, faults = paired(submission.name, submission.files, submission.problems, like, False, several)
        tell_mixed(submission.files[name] for name in pairs.values())
        target = "mrilib.evaluation.pairs:well_formed"
        calls = [(case, (like.cases[case], submission.files[name], scheme)) for case, name in pairs.items()]
    else:
        predictions, problems = scorer.read_whole(submission, like)
        pairs, faults = paired(submission.name, predictions.ids, problems, like, False, several)
        target = "mrilib.evaluation.pairs:boxes_within"
        calls = [(case, (like.cases[case], predictions.of[name])) for case, name in pairs.items()
                 if predictions.of[name]] if isinstance(scorer, BoxScorer) else []
    wrong = _wrong(target, calls, prefix, jobs, progress)
    if lacking := [case for case in like.chosen if case not in pairs]:
        log.warning("%s%d cases have no prediction: %s", prefix, len(lacking), pairing.some(lacking))
    return Checked(submission.name, len(pairs) - wrong, len(like.chosen), not (faults or lacking or wrong))


def _wrong(target: str, calls: list, prefix: str, jobs, progress) -> int:
    """How many cases are wrong, each of which is named."""
    wrong = 0
    with progress("check", len(calls)) as bar:
        for case, found in ordered(target, calls, min(cores(), len(calls) or 1) if jobs is None else jobs):
            if isinstance(found, MriError):
                log.warning("%s%s", prefix, found)
                wrong += 1
            elif isinstance(found, BaseException):
                raise RuntimeError(f"{case}: {found!r}")
            bar.step()
    return wrong
