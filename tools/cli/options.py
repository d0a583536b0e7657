"""Options, each named once: the same name, letter, default and help in every tool."""

from __future__ import annotations

import json
import re
from functools import wraps
from pathlib import Path

import click

from mrilib import __version__
from mrilib.cases import CHANNELS, LAYOUTS, Reading

SCHEME = "mri_tools.scheme"  # where in click's context the label scheme waits for the cases


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
        if not 1 <= len(parts) <= 3 or min(parts) <= 0:
            self.fail(f"{value!r}: one to three numbers above 0", param, ctx)
        return parts


class Names(click.ParamType):
    """Names joined by commas (`--channels t1,flair,t1ce`)."""

    name = "NAME,…"

    def convert(self, value, param, ctx):
        parts = tuple(value) if isinstance(value, (tuple, list)) else tuple(v.strip() for v in value.split(","))
        if not all(re.fullmatch(r"[A-Za-z0-9][\w+-]*", part) for part in parts) or len(set(parts)) < len(parts):
            self.fail(f"{value!r}: names, each once, of letters, digits, - _ and +", param, ctx)
        return tuple(CHANNELS.get(part.lower(), part) for part in parts)


def _known_scheme(ctx, param, value):
    """Refuse a scheme that is none before any work, and keep it for the reading of cases."""
    if value is not None:
        from mrilib.labels import scheme

        scheme(value)
        ctx.meta[SCHEME] = value
    return value


def _load_config(ctx, param, path):
    """Take defaults from a TOML or JSON file whose keys are option names; an unknown key is an error."""
    if path is None:
        return
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")  # a name of bytes that are no text
        settings = json.loads(text) if str(path).endswith(".json") else tomllib.loads(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise click.UsageError(f"{path}: cannot be read as settings: {why}") from error
    settings = {key.replace("-", "_"): value for key, value in settings.items()}
    known = {p.name for p in ctx.command.params}
    names = {flag.lstrip("-").replace("-", "_"): p.name for p in ctx.command.params for flag in p.opts}
    if strange := sorted(key for key in settings if key not in known and key not in names):
        raise click.UsageError(f"{path}: unknown option {strange[0]!r}")
    ctx.default_map = {names.get(key, key): value for key, value in settings.items()}


def write_config(path: Path, ctx: click.Context) -> None:
    """Write every option of this run, given or default, as a TOML file that --config takes back."""
    import tomli_w

    from mrilib.store import write_text

    options = {}
    for p in ctx.command.params:
        value = ctx.params.get(p.name)
        if not isinstance(p, click.Option) or p.name in ("config", "write_config") or value in (None, ()):
            continue
        name = next((o for o in p.opts if o.startswith("--")), p.opts[0]).lstrip("-")
        options[name] = _toml_value(value)
    write_text(path, f"# {ctx.info_name} {__version__}\n{tomli_w.dumps(options)}")


def _toml_value(value):
    if isinstance(value, tuple | list):
        return [_toml_value(part) for part in value]
    return value if isinstance(value, bool | int | float) else str(value)


class FileToWrite(click.Path):
    """A file, device, FIFO or link that results can be written to; what cannot be is wrong use before any work."""

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx):
        from mrilib.targets import check_file

        path = super().convert(value, param, ctx)
        check_file(path)
        return path


class FolderToWrite(click.Path):
    """A folder that results are written below; made when it is not there."""

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx):
        from mrilib.targets import check_folder

        path = super().convert(value, param, ctx)
        check_folder(path)
        return path


def several(*decorators):
    def decorate(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


paths = click.argument("paths", nargs=-1, metavar="[PATHS]...", type=click.Path(path_type=Path))
null = click.option("-0", "--null", is_flag=True, help="Names end with NUL, not a newline, both ways.")
root = click.option("--root", type=click.Path(path_type=Path, file_okay=False),
                    help="Folder that ids are counted from.  [default: the folder given]")
layout = click.option("--layout", type=click.Choice(list(LAYOUTS)),
                      help="How the folder is laid out.  [default: seen by itself]")
force = click.option("--force", is_flag=True, help="Replace what another run left in the output.")
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
                    help="Where chance starts; the same seed gives the same result.")
dry_run = click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
json_ = click.option("--json", "as_json", is_flag=True, help="Results as JSON.")
jobs = click.option("-j", "--jobs", type=click.IntRange(1),
                    help="Cases done side by side.  [default: all cores, or 2 to predict label maps]")
suffix = click.option("--suffix", type=click.Choice([".tif", ".png", ".nii.gz", ".nii", ".mha"]),
                      help="File format.  [default: .tif in 2D, .nii.gz for volumes]")
device = click.option("--device", default="auto", show_default=True, metavar="auto|cpu|gpu[:N]",
                      help="Where the network runs.")
model = click.option("-m", "--model", "models", required=True, multiple=True, type=click.Path(path_type=Path),
                     metavar="FILE", help="Model file; several, or a pattern in quotes, are averaged.")

# Every tool: how much it says, and its settings as a file.
common = several(
    click.option("--config", type=click.Path(path_type=Path), is_eager=True, expose_value=False,
                 callback=_load_config, help="Take options from this TOML file."),
    click.option("--write-config", type=FileToWrite(), help="Write all options of this run as TOML."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
    click.version_option(__version__, message="%(prog)s %(version)s"),
)

channels = click.option("--channels", type=Names(), metavar="NAME,…",
                        help="Name the channels that one file holds, or choose among named ones.")
as_ = click.option("--as", "as_", type=click.Choice(["volumes", "slices"]), default="volumes", show_default=True,
                   help="What a stack of numbered slices is taken for.")
fix = click.option("--fix-orientation", is_flag=True,
                   help="Read a NIfTI header whose qform and sform disagree by its sform, skewed axes by the nearest "
                        "right angles.")
_scheme = {
    "metavar": "NAME|1=a,2=b", "callback": _known_scheme,
    "help": "What the numbers of the label maps mean: binary, brats2013, brats2020, brats2023, msd, or one's own such "
            "as 1=necrotic,2=oedema,4=enhancing.  [default: as the layout says]",
}  # fmt: skip
scheme = click.option("--scheme", **_scheme)  # for tools that work with it
scheme_of_cases = click.option("--scheme", "scheme_of_cases", **_scheme)  # for tools that hand it on with their cases


def cases(command):
    """Tools that take cases: PATHS or names on standard input, and how to read them, in one: `layout` is a Reading."""
    @wraps(command)
    def with_reading(*, layout, channels, as_, fix_orientation, **others):
        others.pop("scheme_of_cases", None)
        known = click.get_current_context().meta.get(SCHEME)
        reading = Reading(layout, channels or (), as_ == "slices", known, fix_orientation)
        return command(layout=reading, **others)

    return several(paths, null, root, layout, channels, as_, fix)(with_reading)


# Which cases of a split a tool works on.
split = several(
    click.option("--split", type=click.Path(path_type=Path), help="split.csv of mri-split."),
    click.option("--fold", type=click.IntRange(0), help="Fold of the split that is held out."),
)
part = click.option("--part", type=click.Choice(["train", "validation", "test"]), default=None,
                    help="Only cases of this part of --split, or of the split that the data set states.")


def output(default: str, what: str = "Folder for the results.", kind=FolderToWrite):
    """-o with a visible default, named for the work."""
    return click.option("-o", "--output", type=kind(), default=Path(default), show_default=True, help=what)


def output_file(what: str):
    """-o for a table; standard output unless given."""
    return click.option("-o", "--output", type=FileToWrite(), help=what + "  [default: standard output]")


def xyz_to_array(values, dimension: int | None = None):
    """Numbers given in x,y,z order, in array order; one number is repeated for each axis (2 unless said)."""
    if values is None:
        return None
    if len(values) == 1:
        values = values * (dimension or 2)
    return list(values[::-1])
