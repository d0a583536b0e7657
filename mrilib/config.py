"""Typed settings: each with its type, range, unit, default and help, checked wherever they come from.

A settings class stands below `Settings`; its decorator is `described`, and `setting` makes its fields. The command
line generates its options from `fields_of`, and a notebook passes the same names as keywords. Only the standard library
is imported: `--help` needs this module.
"""

from __future__ import annotations

import math
import os
import re
import sys
import types
from collections.abc import Callable, Collection, Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Union, dataclass_transform, get_args, get_origin

from mrilib.errors import UsageError

SECTIONS = ("input", "network", "loss and sampling", "optimisation", "augmentation", "validation", "metrics",
            "statistics", "machine", "output")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
SETTING = "setting"


@dataclass(repr=False)
class Setting:
    """The description of one field of a settings class.

    help: one or two sentences, without the default. unit: of a number, such as "mm". low, high: the range, both ends
    allowed; above, below: the same with the end excluded. choices: the allowed names. section: one of SECTIONS, the
    heading in `--help`. metavar: how `--help` writes the value. shown: the default in words, where it depends on other
    settings or on the data. parse: from the text of an option to the value. axes: the values are one for each axis, in
    array order here and in x,y,z order on the command line. off: name of the flag that says no, without dashes, for a
    yes-or-no setting that has one. recorded: whether the setting decides the result and belongs in the record of a
    model. option: whether the command line has an option for it. name, kinds, item and optional come from the field.
    """

    help: str
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | None = None
    section: str = "network"
    metavar: str | None = None
    shown: str | None = None
    parse: Callable[[str], Any] | None = None
    axes: bool = False
    off: str | None = None
    recorded: bool = True
    option: bool = True
    default: Any = None
    name: str = ""
    kinds: tuple[type, ...] = ()
    item: type | None = None
    optional: bool = False

    @property
    def flag(self) -> str:
        """The name on the command line, such as `--batch-size`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def range(self) -> str:
        """The range in words, empty when every number is allowed."""
        parts = [f"above {self.above:g}" if self.above is not None else "",
                 f"{self.low:g} or more" if self.low is not None else "",
                 f"below {self.below:g}" if self.below is not None else "",
                 f"{self.high:g} or less" if self.high is not None else ""]  # fmt: skip
        return " and ".join(part for part in parts if part)

    def convert(self, value):
        """The value in its type. Raises UsageError, naming the setting, for a wrong type or range."""
        if value is None:
            if not self.optional:
                raise self._wrong("None", "must be given")
            return None
        if isinstance(value, str) and self.parse is not None:
            try:
                return self.parse(value)
            except UsageError as error:
                raise error.as_kind(UsageError, self.name) from error
        if tuple in self.kinds and not isinstance(value, str | dict):
            values = tuple(value) if isinstance(value, Iterable) else (value,)
            return tuple(self._single(each, (self.item,)) for each in values)
        return self._single(value, self.kinds)

    def _single(self, value, kinds):
        for kind in kinds:
            if kind is bool and isinstance(value, bool):
                return value
            if kind is int and isinstance(value, Integral) and not isinstance(value, bool):
                return self._within(int(value))
            if kind is float and isinstance(value, Real) and not isinstance(value, bool):
                return self._within(float(value))
            if kind is str and isinstance(value, str | os.PathLike):
                return self._chosen(os.fspath(value))
            if kind is Path and isinstance(value, str | os.PathLike):
                return Path(value)
            if kind is dict and isinstance(value, dict):
                return value
        raise self._wrong(repr(value), f"must be {self._kind(kinds)}")

    def _within(self, number):
        low, high, above, below = self.low, self.high, self.above, self.below
        if (not math.isfinite(number) or low is not None and number < low or high is not None and number > high
                or above is not None and number <= above or below is not None and number >= below):  # fmt: skip
            raise self._wrong(f"{number:g}" if isinstance(number, float) else str(number),
                              f"must be {self.range or 'a finite number'}")
        return number

    def _chosen(self, text: str) -> str:
        if self.choices is not None and text not in self.choices:
            raise UsageError(f"unknown {self.name.replace('_', ' ')} {text!r}",
                             remedy=f"one of {' '.join(self.choices)}")
        return text

    def _wrong(self, value: str, what: str) -> UsageError:
        return UsageError(f"{value} {what}", where=self.name)

    @staticmethod
    def _kind(kinds) -> str:
        names = {bool: "True or False", int: "a whole number", float: "a number", str: "text", Path: "a path",
                 dict: "a mapping", tuple: "a sequence"}  # fmt: skip
        return " or ".join(names[kind] for kind in kinds)


def setting(default=MISSING, help: str = "", *, choices: Collection[str] | None = None, **more):
    """A field of a settings class; see `Setting` for the keywords. A field without a default is required."""
    described = Setting(help, choices=None if choices is None else tuple(choices), **more)
    return field(default=default, metadata={SETTING: described})


def changed(base: type, name: str, default=MISSING, **changes):
    """The field of a base class with other properties, such as the default of one task."""
    before = base.__dataclass_fields__[name]
    value = before.default if default is MISSING else default
    return field(default=value, metadata={SETTING: replace(before.metadata[SETTING], **changes)})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting, changed))
def described(cls: type):
    """The decorator of a settings class: a frozen dataclass of keywords, whose methods are those of `Settings`.

    A plain dataclass works, too, but compiles methods of its own at every start, which `--help` waits for: 2 ms.
    """
    return dataclass(frozen=True, init=False, repr=False, eq=False)(cls)


@described
class Settings:
    """The base of all settings: checks the type and range of every field when it is made."""

    def __init__(self, **values):
        own = names_of(type(self))
        if unknown := [name for name in values if name not in own]:
            raise TypeError(f"{type(self).__name__} has no setting {unknown[0]!r}")
        for name in own:
            object.__setattr__(self, name, values[name] if name in values else getattr(type(self), name))
        self.__post_init__()

    def __eq__(self, other) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __post_init__(self):
        for described in fields_of(type(self)):
            object.__setattr__(self, described.name, described.convert(getattr(self, described.name)))

    def as_dict(self) -> dict:
        """The settings that decide a result, as plain values."""
        values = asdict(self)
        return {s.name: values[s.name] for s in fields_of(type(self)) if s.recorded}

    @classmethod
    def from_dict(cls, values: dict) -> Settings:
        """Settings by name; those that are None keep their defaults. Raises UsageError for an unknown name."""
        return choose(cls, values)


@cache
def fields_of(cls: type) -> tuple[Setting, ...]:
    """The described fields of a settings class, in order."""
    owner = {name: base for base in reversed(cls.__mro__) for name in vars(base).get("__annotations__", ())}
    return tuple(replace(f.metadata[SETTING], name=f.name, default=None if f.default is MISSING else f.default,
                         **_kinds(f.type, owner[f.name].__module__)) for f in fields(cls))


def names_of(cls: type) -> tuple[str, ...]:
    """The names of the fields of a settings class."""
    return tuple(f.name for f in fields(cls))


def choose(cls: type, values: dict, others: Iterable[type] = (), reason: str = ""):
    """The settings of a class from values by name; those that are None are not given.

    others: the settings classes of the other tasks. A name that only they have is a UsageError that says it has no
    effect with `reason`, such as "--task segment"; a name that none has is unknown.
    """
    values = {name: value for name, value in values.items() if value is not None}
    own = names_of(cls)
    for name in values:
        if name not in own:
            flag = f"--{name.replace('_', '-')}"
            if any(name in names_of(other) for other in others):
                raise UsageError(f"{flag} has no effect with {reason}", remedy="leave it out")
            raise UsageError(f"unknown setting {name!r}", remedy=f"the settings are {' '.join(own)}")
    return cls(**values)


def duration(text: str) -> float:
    """Seconds, from `90s`, `10m`, `1.5h` or a bare number of seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smh]?)", text.strip())
    if match is None or float(match[1]) == 0:
        raise UsageError(f"{text!r} is no time such as 90s, 10m or 1.5h")
    return float(match[1]) * SECONDS[match[2]]


@cache
def _kinds(hint, module: str) -> dict:
    """kinds, item and optional of an annotation such as `tuple[int, ...] | None`, which a module may hold as text.

    get_type_hints does the same for a class, and evaluates each of its annotations, which `--help` waits for.
    """
    if isinstance(hint, str):
        hint = eval(hint, vars(sys.modules[module]))  # source code of a settings class
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = tuple(get_origin(part) or part for part in parts if part is not type(None))
    item = next((get_args(part)[0] for part in parts if get_origin(part) is tuple), None)
    return {"kinds": kinds, "item": item, "optional": type(None) in parts}
