"""The volumes of a segmentation run: examined, then prepared on disk for every fold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from mrilib import __version__, labels
from mrilib.errors import CaseError, UsageError
from mrilib.images.registry import NORMALIZERS
from mrilib.inference.prepare import states_spacing
from mrilib.parallel import results
from mrilib.recipe import Recipe, Step
from mrilib.recipe.definition import complete
from mrilib.training import plan, segment, volumes
from mrilib.training.images import one_recipe

log = logging.getLogger("mrilib")
DEFAULT_STEP = "zscore"  # applied to images that no step has normalised


class Prepared:
    """The label scheme, spacing and recipe of all cases, and the folders of the prepared ones in the cache."""

    def __init__(self, cases: Sequence, others: Sequence, settings, *, cache: Path, jobs: int, progress: Callable,
                 fail: Callable[[CaseError], None]):  # fmt: skip
        """others: cases that only other folds train on. Spacing and label values are those of all, so that folds
        agree."""
        self.cache, self.jobs, self.progress, self.fail = cache, jobs, progress, fail
        have = one_recipe(cases)
        steps = own_steps(have)
        self.recipe = Recipe(have.steps + steps, f"mri-train {__version__}" if steps else have.made_by)
        if steps:
            log.info("input is not normalised: applying %s now, and again in mri-predict", ", ".join(map(str, steps)))
        looks = self._each("look", "mrilib.training.volumes:look", [(c, (c, steps)) for c in [*cases, *others]])
        self.scheme = scheme_of([c for c, _ in looks], [values for _, (*_, values) in looks], settings.scheme)
        self.values = self.scheme.values
        segment.check_outputs(self.scheme, settings)
        channels = looks[0][1][1]
        self.spacing, self.stated = planned_spacing(looks, settings.spacing)
        if self.spacing:
            log.info("spacing: %s mm for all", ",".join(f"{v:g}" for v in self.spacing[::-1]))
        own = {c.id for c in cases}
        calls = [(c, (c, steps, channels, self.spacing, self.values, cache, self.scheme.ignore))
                 for c, _ in looks if c.id in own]  # fmt: skip
        self.folders = {c.id: name for c, name in self._each("prepare", "mrilib.training.volumes:prepare", calls)}

    def _each(self, label: str, function: str, calls) -> list:
        """(case, result) of a function over all cases in worker processes; a damaged case is reported and left out."""
        with self.progress(label, len(calls), "case") as bar:
            done = list(results(function, calls, min(self.jobs, len(calls)), self.fail, bar.step))
        if not done:
            raise CaseError("no case is left to train on")
        return done

    def data(self, parts: dict[str, str]) -> segment.SegmentData:
        """The volumes of the cases that have a part."""
        names = {case_id: folder for case_id, folder in self.folders.items() if case_id in parts}
        data = segment.SegmentData(volumes.load(self.cache, list(names.values())), [parts[i] for i in names],
                                   self.scheme, self.recipe, self.spacing, self.stated)
        if not data.of("train"):
            raise UsageError("no case is left to train on")
        return data


def own_steps(recipe: Recipe) -> tuple[Step, ...]:
    """The steps that cases of a recipe still need: the default of mri-normalize, where none has normalised them."""
    if any(step.step in NORMALIZERS for step in recipe.steps):
        return ()
    return (Step(DEFAULT_STEP, complete(DEFAULT_STEP, {})),)


def scheme_of(cases: Sequence, values: Sequence[Sequence[int]], asked: str | None) -> labels.Scheme:
    """The label scheme of all cases: that asked for, that of their layout, else what the values say.

    values: those that the label map of each case holds. Raises UsageError where cases come in two schemes.
    """
    names = {case.scheme for case in cases} if asked is None else {asked}
    if len(names) > 1:
        schemes = " and ".join(sorted(name or "an unknown one" for name in names))
        raise UsageError(f"label maps of several schemes: {schemes}",
                         remedy="--scheme, if one holds for all" if None in names else "train on one of them")
    scheme = (labels.scheme(names.pop()) if None not in names else
              labels.of_values(value for each in values for value in each))
    if scheme.name:
        meaning = ", ".join(f"{value} {name}" for value, name in scheme.labels.items())
        ignored = f"; voxels of {scheme.ignore} are ignored" if scheme.ignore is not None else ""
        log.info("labels: %s (scheme %s)%s", meaning, scheme.name, ignored)
    else:
        log.info("labels: %s, each a label of its own: their meaning is unknown (--scheme names them)",
                 " ".join(map(str, scheme.labels)))
    return scheme


def planned_spacing(looks, asked: tuple[float, ...] | None) -> tuple[tuple[float, ...] | None, bool]:
    """(the spacing that volumes are resampled to, None where they agree or state none; whether they state it).

    asked: the spacing that the user wants. Raises UsageError for pictures among volumes, and for a spacing of pictures.
    """
    every = [spacing for _, (spacing, *_) in looks]
    pictures = sum(len(spacing) < 3 for spacing in every)
    if 0 < pictures < len(every):
        raise UsageError(f"{pictures} of {len(every)} cases are pictures, the others volumes",
                         remedy="train on one kind")
    stated = all(states_spacing(case) for case, _ in looks)
    if asked and len(asked) == 1:
        asked *= 3
    if asked and pictures and not stated:
        raise UsageError("--spacing has no effect on pictures, which do not state the size of their pixels",
                         remedy="leave it out")
    return asked or plan.spacing_of(every, stated), stated
