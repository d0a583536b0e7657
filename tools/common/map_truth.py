"""By what rules label maps are scored: which scheme their numbers follow, which parts that makes."""

from __future__ import annotations

from mri_tools.common.jobs import ordered
from mri_tools.common.run import say
from mrilib import labels
from mrilib.errors import MriError, UsageError


def rules(truth, itself: bool, scheme: str | None, predicted: str | None, each_label: bool, empty: str, jobs: int):
    """The rules of a run; which scheme is used, and how it came to be known, is said.

    Raises UsageError for cases of different schemes, or a label map of the reference that cannot be read.
    """
    from mrilib.metrics import pairs

    told = {case.scheme for case in (truth.cases[name] for name in truth.chosen) if case.scheme}
    if scheme:
        known, how = labels.scheme(scheme), "--scheme"
    elif len(told) == 1:
        known, how = labels.scheme(told.pop()), "as the layout says"
    elif told:
        raise UsageError(f"cases of {len(told)} schemes ({', '.join(sorted(told))})", where=truth.path,
                         remedy="score them one by one")
    else:
        known, how = labels.of_values(_numbers(truth, itself, jobs)), "by the numbers in the reference"
    made = pairs.Rules(known, pairs.parts_of(known, each_label), labels.scheme(predicted) if predicted else None, empty)
    numbers = ", ".join(f"{name} {'+'.join(map(str, values))}" for name, values in made.parts.items())
    if known.name:
        say(f"scheme {known}, {how}: {numbers}")
    else:
        say(f"no scheme is known by the numbers {' '.join(map(str, known.values))}: each is a label of its own "
            f"(for regions and names --scheme {'|'.join(labels.SCHEMES)})")
    return made


def _numbers(truth, itself: bool, jobs: int) -> set[int]:
    todo = ((name, (truth.cases[name], itself)) for name in truth.chosen)
    found: set[int] = set()
    for name, some in ordered("mrilib.metrics.pairs:numbers_in", todo, jobs):
        if isinstance(some, MriError):
            raise UsageError(some.what, where=some.where, remedy=some.remedy or "mend the reference first")
        if isinstance(some, BaseException):
            raise RuntimeError(f"{name}: {some!r}")
        found |= set(some)
    return found
