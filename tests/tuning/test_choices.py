"""The files that come with the suite for the usual questions: each is a setting of its task."""

from pathlib import Path

import pytest

from mrilib import tasks
from mrilib.tuning import run, space

FOLDERS = sorted(path for path in (Path(__file__).parents[2] / "docs/choices").glob("*/*"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_files_of_a_question_differ_in_settings_of_the_task(folder):
    task = tasks.get(folder.parent.name)
    plan = run.plan_of(sorted(folder.glob("*.toml")), 2, 0, task)
    parameters = {name: tuple(sorted(own.items())) for name, own, _ in plan.trials}
    assert len(set(parameters.values())) == len(parameters) >= 2 and len(plan.trials) == 2 * len(parameters)
    for own in parameters.values():
        space.chosen(dict(own), task)
