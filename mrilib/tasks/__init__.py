"""The tasks of the suite by name. A new task is one file with a class below `task.Task`, and one line here."""

from __future__ import annotations

from pkgutil import resolve_name

from mrilib.config import choose
from mrilib.errors import UsageError
from mrilib.tasks.task import Task

TASKS = {  # in the order in which they are tried when the task is detected from the cases
    "classify": "mrilib.tasks.classify:Classify",
    "segment": "mrilib.tasks.segment:Segment",
    "localise": "mrilib.tasks.localise:Localise",
}
AUTO = "auto"


def get(name: str) -> Task:
    """The task of a name. Raises UsageError for an unknown one."""
    if name not in TASKS:
        raise UsageError(f"unknown task {name!r}", remedy=f"one of {' '.join(TASKS)}")
    return resolve_name(TASKS[name])()


def every() -> list[Task]:
    """All tasks, in the order of the registry."""
    return [get(name) for name in TASKS]


def detect(cases, name: str = AUTO) -> Task:
    """The named task, or the first that fits the cases. Raises UsageError, with the reason, when it does not fit."""
    candidates = every() if name == AUTO else [get(name)]
    misfits = [task.misfit(cases) for task in candidates]
    for task, misfit in zip(candidates, misfits, strict=True):
        if misfit is None:
            return task
    raise misfits[0]


def settings_of(task: Task, values: dict):
    """The typed settings of a task from values by name; those that are None are left out.

    Raises UsageError for a setting that only another task has, for an unknown one, and for a wrong type or range.
    """
    return choose(task.settings, values, [other.settings for other in every()], f"--task {task.name}")
