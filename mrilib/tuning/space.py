"""What is searched: every setting of the task's training, and the preprocessing before it.

A dimension is the name of a setting and its values: `backbone=small,resnet18`, `learning-rate=1e-4:1e-2:log`,
`batch-size=8:32`. `denoise` and `normalize` are the methods of mri-denoise and mri-normalize, `denoise-sigma` or
`normalize-size` their options. One value alone fixes a setting. `default` leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mrilib.config import Setting, fields_of
from mrilib.errors import UsageError
from mrilib.images.registry import LEARNERS
from mrilib.recipe import Step
from mrilib.recipe.settings import NO_METHOD, DenoiseSettings, NormalizeSettings

LEFT_OUT = "default"  # the value that leaves a setting out
METHODS = {"denoise": DenoiseSettings, "normalize": NormalizeSettings}
NOT_SEARCHED = ("folds", "seed", "device")
LOG = "log"


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched: its name, and either values as text, or a range of numbers.

    whole: only whole numbers. log: uniform on a logarithmic scale.
    """

    name: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def __str__(self):
        text = ",".join(self.values) or f"{self.low:g}:{self.high:g}" + (f":{LOG}" if self.log else "")
        return f"{flag(self.name)}={text}"


def flag(name: str) -> str:
    """The name of a setting as an option has it, without the dashes before."""
    return name.replace("_", "-")


def settings_of(task) -> dict[str, Setting]:
    """What can be searched for a task, by name."""
    found = {described.name: described for described in fields_of(task.settings) if described.name not in NOT_SEARCHED}
    for word, cls in METHODS.items():
        for described in fields_of(cls):
            name = word if described.name == "method" else f"{word}_{described.name}"
            if described.name == "method":
                described = replace(described, choices=tuple(dict.fromkeys((*described.choices, NO_METHOD))))
            found[name] = described
    return found


def read(asked: Iterable[str], task) -> list[Dimension]:
    """The dimensions of texts NAME=VALUES. Raises UsageError for an unknown name and for values out of range."""
    known, dimensions = settings_of(task), {}
    for text in asked:
        name, equals, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not values.strip():
            raise UsageError(f"--search {text} has no values", remedy="such as backbone=small,resnet18 or "
                             "learning-rate=1e-4:1e-2:log")
        if name not in known:
            raise UsageError(f"--search {text}: {flag(name)} is no setting of {task.name}", remedy="one of "
                             + " ".join(map(flag, known)))
        if name in dimensions:
            raise UsageError(f"--search names {flag(name)} twice", remedy="give all its values at once")
        dimensions[name] = _dimension(name, values.strip(), known[name])
    return list(dimensions.values())


def of_file(path: Path, task, leave: Iterable[str] = ()) -> list[Dimension]:
    """The dimensions of a TOML file of NAME = "VALUES" or NAME = [VALUES], but for the names to `leave`."""
    import tomllib

    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read as a search space: {getattr(error, 'strerror', None) or error}",
                         where=path) from error
    try:
        return read([f"{name}={_text(value)}" for name, value in table.items() if name not in leave],
                    task)
    except UsageError as error:
        raise UsageError(error.what, where=path, remedy=error.remedy) from error


def _text(value) -> str:
    """A value of TOML as the command line writes it: lists by commas, sizes of axes by x."""
    if isinstance(value, list):
        return ",".join("x".join(map(_text, each)) if isinstance(each, list) else _text(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _dimension(name: str, text: str, described: Setting) -> Dimension:
    numeric = {int, float} & set(described.kinds)
    if numeric and ":" in text:
        low, high, *more = text.split(":")
        if more not in ([], [LOG]):
            raise UsageError(f"--search {flag(name)}={text} is no range", remedy="LOW:HIGH or LOW:HIGH:log")
        ends = [value_of(described, end) for end in (low, high)]
        if not ends[0] < ends[1] or more and ends[0] <= 0:
            raise UsageError(f"--search {flag(name)}={text} is no range", remedy="the lower end first, above 0 with "
                             "log")
        return Dimension(name, (), float(ends[0]), float(ends[1]), bool(more), float not in described.kinds)
    values = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    for each in values:
        value_of(described, each)
    return Dimension(name, values)


def value_of(described: Setting, text: str):
    """The value of a setting from text. Raises UsageError, naming the setting, for a wrong one."""
    if text == LEFT_OUT:
        return None
    if described.axes:
        numbers = text.split("x")
        try:
            return described.convert(tuple(described.item(number) for number in reversed(numbers)))
        except ValueError:
            raise UsageError(f"{text!r} is no size such as 128x128", where=flag(described.name)) from None
    if described.parse is not None:
        return described.convert(text)
    if bool in described.kinds:
        if text not in ("yes", "no"):
            raise UsageError(f"{text!r} is not yes or no", where=flag(described.name))
        return text == "yes"
    for kind in (int, float):
        if kind in described.kinds:
            try:
                return described.convert(kind(text))
            except ValueError:
                if str not in described.kinds and float not in described.kinds:
                    raise UsageError(f"{text!r} is no number", where=flag(described.name)) from None
    return described.convert(text)


@dataclass(frozen=True)
class Chosen:
    """The settings of one trial. training: of the task, by name. steps: of the preprocessing before it."""

    training: dict
    steps: tuple[Step, ...]

    @property
    def learns(self) -> bool:
        """Whether a step learns from training cases."""
        return any(step.step in LEARNERS for step in self.steps)


def chosen(parameters: dict[str, str], task) -> Chosen:
    """The settings of parameters by name, each as text. Raises UsageError for values that do not go together."""
    known = settings_of(task)
    values = {name: value_of(known[name], text) for name, text in parameters.items()}
    steps = []
    for word, cls in METHODS.items():
        own = {("method" if name == word else name.removeprefix(f"{word}_")): value for name, value in values.items()
               if (name == word or name.startswith(f"{word}_")) and value is not None}
        if not own or own == {"method": NO_METHOD}:
            continue
        if word == "denoise" and own.get("method", NO_METHOD) == NO_METHOD:
            name = next(name for name in own if name != "method")
            raise UsageError(f"--denoise-{flag(name)} has no effect without --denoise")
        if word == "normalize":
            own.setdefault("method", NO_METHOD)
        steps += cls.from_dict(own).steps()
    training = {name: value for name, value in values.items() if value is not None
                and name.partition("_")[0] not in METHODS}
    return Chosen(training, tuple(steps))


def only_effective(parameters: dict[str, str], check) -> dict[str, str]:
    """The parameters without those that have no effect beside the others, such as the width of a backbone that has
    none. check(parameters) raises UsageError, which is raised where no parameter is named in it."""
    kept = dict(parameters)
    while True:
        try:
            check(kept)
            return kept
        except UsageError as error:
            places = {name: str(error).find(f"--{flag(name)}") for name in kept}
            named = [name for name in kept if places[name] >= 0]
            if not named or "no effect" not in str(error):
                raise
            del kept[min(named, key=places.get)]


def grid(dimensions: list[Dimension]) -> list[dict[str, str]]:
    """Every combination of values. Raises UsageError for a range, which has no end of them."""
    from itertools import product

    for dimension in dimensions:
        if not dimension.values:
            raise UsageError(f"--sampler grid needs values, and {dimension} is a range",
                             remedy=f"such as {flag(dimension.name)}={dimension.low:g},{dimension.high:g}")
    if math.prod(len(d.values) for d in dimensions) > 10_000:
        raise UsageError("a grid of more than 10000 combinations", remedy="fewer values, or another --sampler")
    return [dict(zip([d.name for d in dimensions], values, strict=True))
            for values in product(*(d.values for d in dimensions))]
