"""Options are generated from typed settings, and help is in sections and for one task."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mri_tools.cli.settings import Command, from_settings, setting_values
from mrilib.config import Settings, described, duration, setting


@described
class Shared(Settings):
    rate: float = setting(0.1, "Learning rate.", above=0, section="optimisation")
    kind: str | None = setting(None, "Kind.", choices=("a", "b"), shown="chosen")
    flips: bool = setting(True, "Mirror.", off="no-flips", section="augmentation")
    frozen: bool = setting(False, "Freeze.")
    budget: float | None = setting(None, "Time.", parse=duration, metavar="TIME")


@described
class First(Shared):
    size: tuple[int, ...] | None = setting(None, "Size.", axes=True, low=1, section="input")
    hidden: int = setting(3, "Not shown.", option=False)


@described
class Second(Shared):
    cache: Path | None = setting(None, "Folder.", section="machine")
    rate: float = setting(0.5, "Learning rate.", above=0, section="optimisation")


def run(*arguments):
    seen = {}

    @click.command(cls=Command)
    @click.option("--task", default="first", help="Task.")
    @from_settings(First, Second, tasks=("first", "second"))
    def command(task, **options):
        seen.update(setting_values(options, First, Second))

    ran = CliRunner().invoke(command, [*map(str, arguments)])
    return ran, seen


def test_values_come_in_their_types_and_only_those_given():
    ran, seen = run("--rate", 1, "--size", "5,4", "--no-flips", "--budget", "2m", "--cache", "here", "--frozen")
    assert ran.exit_code == 0, ran.output
    assert seen == {"rate": 1.0, "size": (4, 5), "flips": False, "budget": 120, "cache": Path("here"), "frozen": True}
    assert run()[1] == {}


@pytest.mark.parametrize("wrong", [("--rate", 0), ("--kind", "c"), ("--size", "x"), ("--budget", "soon"),
                                   ("--hidden", 4)])
def test_a_wrong_value_is_wrong_use(wrong):
    ran, _ = run(*wrong)
    assert ran.exit_code == 2 and wrong[0] in ran.output


def test_help_is_in_sections_and_of_one_task():
    both = run("--help")[0].output
    for line in ("Options:", "Network:", "Optimisation:", "[default: depends on the task]", "[default: chosen]"):
        assert line in both
    assert both.index("Options:") < both.index("Network:") < both.index("Optimisation:") < both.index("Common:")
    for arguments in (("--task", "second", "--help"), ("--help", "--task=second")):
        second = run(*arguments)[0].output
        assert "--cache" in second and "--size" not in second and "[default: 0.5]" in second
    assert "--hidden" not in both and "--size" in run("--task", "first", "--help")[0].output
