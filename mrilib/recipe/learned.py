"""What a step learns from training cases before it is applied: looked at case by case, and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pkgutil import resolve_name

from mrilib import recipe
from mrilib.images.registry import LEARNERS
from mrilib.recipe import Step


def look(case, steps: Sequence[Step], step: Step) -> dict:
    """What `step` sees of one training case that has been through the steps before it. Raises CaseError as they do."""
    recipe.check_origin(case)
    image, rest, _ = recipe.read(case, steps)
    image, _ = recipe.apply(rest, image)
    return resolve_name(LEARNERS[step.step][0])(image, **step.parameters)


def learn(step: Step, seen: Sequence[dict]) -> Step:
    """The step with what it learned from all that was seen."""
    return replace(step, learned=resolve_name(LEARNERS[step.step][1])(seen))
