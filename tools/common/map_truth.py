"""By what rules label maps are scored: which scheme their numbers follow, which parts that makes, which figures."""

from __future__ import annotations

from mri_tools.cli.output import say
from mrilib import labels
from mrilib.errors import MriError, UsageError
from mrilib.parallel import ordered


def rules(truth, itself: bool, o, jobs: int):
    """The rules of a run; which scheme is used, and how it came to be known, is said. o: the options.

    Raises UsageError for cases of different schemes, a label map of the reference that cannot be read, or options
    that cannot be.
    """
    from mrilib.evaluation import pairs

    settings = measured(o)
    told = {case.scheme for case in (truth.cases[name] for name in truth.chosen) if case.scheme}
    if o.scheme:
        known, how = labels.scheme(o.scheme), "--scheme"
    elif len(told) == 1:
        known, how = labels.scheme(told.pop()), "as the layout says"
    elif told:
        raise UsageError(f"cases of {len(told)} schemes ({', '.join(sorted(told))})", where=truth.path,
                         remedy="score them one by one")
    else:
        known, how = labels.of_values(_numbers(truth, itself, jobs)), "by the numbers in the reference"
    parts = pairs.parts_of(known, o.each_label)
    if o.regions:
        parts = {**dict(o.regions), **(known.single if o.each_label else {})}
        if strange := {v for values in parts.values() for v in values} - set(known.values):
            raise UsageError(f"--region: label {min(strange)} is not in scheme {known}")
    made = pairs.Rules(known, parts, labels.scheme(o.predicted_scheme) if o.predicted_scheme else None, settings)
    numbers = ", ".join(f"{name} {'+'.join(map(str, values))}" for name, values in made.parts.items())
    if known.name:
        ignored = "" if known.ignore is None else f"; voxels of value {known.ignore} are left out"
        say(f"scheme {known}, {how}: {numbers}{ignored}")
    else:
        say(f"no scheme is known by the numbers {' '.join(map(str, known.values))}: each is a label of its own "
            f"(for regions and names --scheme {'|'.join(labels.SCHEMES)})")
    return made


def measured(o):
    """What is measured, by the options. Raises UsageError for a figure that there is not."""
    from dataclasses import replace

    from mrilib.evaluation.metrics import lesions, segmentation

    lesion = lesions.Settings(o.lesion_dilation, int(o.lesion_connectivity), o.lesion_volume, o.lesion_penalty)
    settings = segmentation.Settings(o.empty, o.hd95, tuple(o.tolerances), True, lesion)
    if not o.metrics:
        return settings
    if strange := [name for name in o.metrics if name not in settings.figures]:
        raise UsageError(f"--metrics {strange[0]}: unknown figure", remedy=f"known: {' '.join(settings.figures)}")
    return replace(settings, surfaces=any(n in ("hd95", "hd", "assd") or n.startswith("nsd_") for n in o.metrics),
                   lesions=lesion if any(n.startswith("lesion") for n in o.metrics) else None)


def _numbers(truth, itself: bool, jobs: int) -> set[int]:
    todo = ((name, (truth.cases[name], itself)) for name in truth.chosen)
    found: set[int] = set()
    for name, some in ordered("mrilib.evaluation.pairs:numbers_in", todo, jobs):
        if isinstance(some, MriError):
            raise UsageError(some.what, where=some.where, remedy=some.remedy or "mend the reference first")
        if isinstance(some, BaseException):
            raise RuntimeError(f"{name}: {some!r}")
        found |= set(some)
    return found
