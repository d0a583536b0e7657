"""Options generated from typed settings, their help in sections, and options read from and written to a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import click

from mrilib import __version__
from mrilib.config import SECTIONS, Setting, fields_of
from mrilib.errors import UsageError

OTHERS = "options"  # the section of options that name none
LAST = "common"  # the section of the options that every tool has


class Option(click.Option):
    """An option with the section of `--help` that it stands in.

    settings: for an option that is generated, its description by the name of each task that has it, and under "" that
    for all tasks, where all have it.
    """

    def __init__(self, *names, section: str = OTHERS, settings: dict[str, Setting] | None = None, **more):
        super().__init__(*names, **more)
        self.section, self.settings = section, settings or {}

    def describe(self, task: str) -> bool:
        """Take help and values from the description for a task; False when the task ("": all) lacks the option."""
        if self.settings and task not in self.settings:
            return False
        if self.settings:
            described = self.settings[task]
            self.help, self.metavar = _help_of(described), described.metavar
            if not self.is_flag and not self.secondary_opts:
                self.type = click.types.convert_type(_type_of(described))
        return True


def option(*names, **more):
    """click.option with a section."""
    return click.option(*names, cls=Option, **more)


class Command(click.Command):
    """A command whose `--help` is in sections, and shows the options and defaults of one task beside `--task NAME`."""

    def parse_args(self, ctx, args):
        ctx.meta["task"] = _value_of("--task", args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx, formatter):
        rows: dict[str, list] = {}
        task = ctx.meta.get("task")
        task = task if task and _is_task(self, task) else ""
        for param in (p for p in self.get_params(ctx) if isinstance(p, click.Option)):
            section = getattr(param, "section", OTHERS)
            if isinstance(param, Option) and not param.describe(task):
                continue
            if (row := param.get_help_record(ctx)) is not None:
                rows.setdefault(LAST if row[0] == "--help" or row[0] == "--version" else section, []).append(row)
        rest = [section for section in rows if section not in (*SECTIONS, LAST)]
        for section in (name for name in (SECTIONS[0], *rest, *SECTIONS[1:], LAST) if name in rows):
            with formatter.section(section.capitalize()):
                formatter.write_dl(rows[section])


def _is_task(command: click.Command, task: str) -> bool:
    return any(task in getattr(param, "settings", {}) for param in command.params)


def _value_of(name: str, args: list[str]) -> str | None:
    """The value of an option among arguments that are not parsed yet."""
    for place, text in enumerate(args):
        if text == name and place + 1 < len(args):
            return args[place + 1]
        if text.startswith(f"{name}="):
            return text.partition("=")[2]
    return None


class AnyOf(click.ParamType):
    """A value that one of several types takes: those of the tasks, of which one is chosen later."""

    name = "VALUE"

    def __init__(self, *kinds):
        self.kinds = [click.types.convert_type(kind) for kind in kinds]

    def convert(self, value, param, ctx):
        errors = []
        for kind in self.kinds:
            try:
                return kind.convert(value, param, ctx)
            except click.BadParameter as error:
                errors.append(error)
        raise errors[0]


class Number(click.FloatRange):
    """A finite number in a range; NaN is in every range of click."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class Pair(click.ParamType):
    """Numbers joined by commas, in x,y,z order (`--size 224,224`); one number stands for all axes."""

    name = "X,Y[,Z]"

    def __init__(self, number=int):
        self.number = number

    def convert(self, value, param, ctx):
        if isinstance(value, (tuple, list)):
            return tuple(value)
        if isinstance(value, (int, float)):
            return (self.number(value),)
        try:
            parts = tuple(self.number(v) for v in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        if not all(math.isfinite(part) for part in parts):
            self.fail(f"{value!r} is not a number", param, ctx)
        if not 1 <= len(parts) <= 3 or min(parts) <= 0:
            self.fail(f"{value!r}: one to three numbers above 0", param, ctx)
        return parts


class Parsed(click.ParamType):
    """A value that the setting itself reads from text."""

    def __init__(self, setting: Setting):
        self.setting, self.name = setting, setting.metavar or "TEXT"

    def convert(self, value, param, ctx):
        try:
            return self.setting.convert(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def from_settings(*classes: type, tasks: Iterable[str] = (), leave: Iterable[str] = ()) -> Callable:
    """A decorator that adds an option for each field of settings classes; one option for each name.

    tasks: the name of the task of each class. leave: names of fields that have no option here. An option that is not
    given is None, so that the library fills in the default.
    """
    tasks = tuple(tasks) or ("",)
    by_name: dict[str, dict[str, Setting]] = {}
    for cls, task in zip(classes, tasks, strict=True):
        for described in fields_of(cls):
            if described.option and described.name not in leave:
                by_name.setdefault(described.name, {})[task] = described
    for name, settings in by_name.items():
        if len(settings) == len(tasks) > 1:
            settings[""] = _for_all(name, list(settings.values()), classes)

    def decorate(command):
        for name in reversed(by_name):
            command = _option_of(name, by_name[name])(command)
        return command

    return decorate


def _for_all(name: str, settings: list[Setting], classes: tuple[type, ...]) -> Setting:
    """The description of a setting for all tasks: that of the class that all of them derive from, where one has it."""
    first = settings[0]
    if all(described == first for described in settings):
        return first
    base = next((cls for cls in classes[0].__mro__ if all(issubclass(other, cls) for other in classes)
                 and name in getattr(cls, "__dataclass_fields__", ())), None)
    described = next(s for s in fields_of(base) if s.name == name) if base else first
    shown = {other.shown or other.default for other in settings}
    if not base:  # what differs between tasks follows a colon
        described = replace(described, help=f"{first.help.partition(':')[0].removesuffix('.')}.",
                            metavar="|".join(dict.fromkeys(s.metavar or "NAME" for s in settings)))
    return replace(described, shown="depends on the task") if len(shown) > 1 else described


def _option_of(name: str, settings: dict[str, Setting]):
    described = settings.get("") or next(iter(settings.values()))
    more: dict = {"help": _help_of(described), "section": described.section, "settings": settings, "default": None}
    flag = described.flag
    if bool in described.kinds:
        if described.off:
            flag = f"{flag}/--{described.off.removeprefix('--')}"
        else:
            more["is_flag"] = True
    elif described.metavar:
        more["metavar"] = described.metavar
    if bool not in described.kinds:
        kinds = {(s.choices, s.range, s.parse): _type_of(s) for s in settings.values()}
        more["type"] = next(iter(kinds.values())) if len(kinds) == 1 else AnyOf(*kinds.values())
    if tuple in described.kinds and not described.axes and described.parse is None:
        more |= {"multiple": True, "default": None}
    return option(flag, name, **more)


def _type_of(described: Setting):
    number = described.item if tuple in described.kinds else next(iter(described.kinds))
    if described.parse is not None:
        return Parsed(described)
    if described.axes:
        return Pair(number)
    if described.choices is not None:
        return click.Choice(list(described.choices))
    if number in (int, float):
        low = described.low if described.above is None else described.above
        high = described.high if described.below is None else described.below
        kind = click.IntRange if number is int else Number
        return kind(low, high, min_open=described.above is not None, max_open=described.below is not None)
    return click.Path(path_type=Path) if number is Path else str


def _help_of(described: Setting) -> str:
    """The help with the default in words, where there is one."""
    default = described.default
    shown = described.shown
    if shown is None and default is not None and default is not False and default != ():
        if isinstance(default, bool):
            shown = described.name.replace("_", "-")
        elif isinstance(default, tuple):
            shown = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in default[::-1])
        else:
            shown = f"{default:g}" if isinstance(default, float) else str(default)
    return described.help + (f"  [default: {shown}]" if shown else "")


def setting_values(options: dict, *classes: type) -> dict:
    """The values of options that are fields of settings classes, by name, without those that are not set.

    Numbers of axes come in x,y,z order and go out in array order.
    """
    values = {}
    for described in {s.name: s for cls in classes for s in fields_of(cls)}.values():
        value = options.get(described.name)
        if value is not None and value != ():
            values[described.name] = tuple(value)[::-1] if described.axes else value
    return values


def load_config(ctx, param, path):
    """Take defaults from a TOML or JSON file whose keys are option names; an unknown key is an error."""
    if path is None:
        return
    import json
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")  # a name of bytes that are no text
        settings = json.loads(text) if str(path).endswith(".json") else tomllib.loads(text)
        settings = {key.replace("-", "_"): value for key, value in settings.items()}
    except (OSError, ValueError, AttributeError) as error:
        why = getattr(error, "strerror", None) or error
        raise click.UsageError(f"{path}: cannot be read as settings: {why}") from error
    parameters = {p.name for p in ctx.command.params}
    names = {flag.lstrip("-").replace("-", "_"): p.name for p in ctx.command.params for flag in p.opts}
    if strange := sorted(key for key in settings if key not in parameters and key not in names):
        raise click.UsageError(f"{path}: unknown option {strange[0]!r}")
    ctx.default_map = {names.get(key, key): value for key, value in settings.items()}


def write_config(path: Path, ctx: click.Context) -> None:
    """Write every option of this run that is not the library's default as a TOML file that --config takes back."""
    import tomli_w

    from mrilib.store import write_text

    values = {}
    for p in ctx.command.params:
        value = ctx.params.get(p.name)
        if not isinstance(p, click.Option) or p.name in ("config", "write_config") or value in (None, ()):
            continue
        name = next((o for o in p.opts if o.startswith("--")), p.opts[0]).lstrip("-")
        values[name] = _toml_value(value)
    write_text(path, f"# {ctx.info_name} {__version__}\n{tomli_w.dumps(values)}")


def _toml_value(value):
    if isinstance(value, tuple | list):
        return [_toml_value(part) for part in value]
    if isinstance(value, dict):
        return {name: _toml_value(part) for name, part in value.items()}
    return value if isinstance(value, bool | int | float) else str(value)
