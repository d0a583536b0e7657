"""Options, each named once: the same name, letter, default and help in every tool."""

from __future__ import annotations

import re
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import click

from mri_tools.cli.settings import LAST, load_config, option
from mrilib import __version__
from mrilib.cases import CHANNELS, LAYOUTS

if TYPE_CHECKING:
    from mrilib.cases import Reading

SCHEME = "mri_tools.scheme"  # where in click's context the label scheme waits for the cases


class Names(click.ParamType):
    """Names joined by commas (`--channels t1,flair,t1ce`)."""

    name = "NAME,…"

    def convert(self, value, param, ctx):
        parts = tuple(value) if isinstance(value, (tuple, list)) else tuple(v.strip() for v in value.split(","))
        if not all(re.fullmatch(r"[A-Za-z0-9][\w+-]*", part) for part in parts) or len(set(parts)) < len(parts):
            self.fail(f"{value!r}: names, each once, of letters, digits, - _ and +", param, ctx)
        return tuple(CHANNELS.get(part.lower(), part) for part in parts)


def _known_scheme(ctx, param, value):
    """Refuse an unknown scheme before any work, and keep the scheme for the reading of cases."""
    if value is not None:
        from mrilib.labels import scheme

        scheme(value)
        ctx.meta[SCHEME] = value
    return value


class FileToWrite(click.Path):
    """A file, device, FIFO or link that results can be written to; anything else is wrong use before any work."""

    check = "mrilib.targets:check_file"

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx):
        path = super().convert(value, param, ctx)
        resolve_name(self.check)(path)
        return path


class FolderToWrite(FileToWrite):
    """A folder that results are written below, which need not exist."""

    check = "mrilib.targets:check_folder"


def several(*decorators):
    def decorate(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


paths = click.argument("paths", nargs=-1, metavar="[PATHS]...", type=click.Path(path_type=Path))
null = option("-0", "--null", is_flag=True, section="input",
              help="Names on standard input and output end with NUL instead of a newline.")
root = option("--root", type=click.Path(path_type=Path, file_okay=False), section="input",
              help="Folder that the ids of cases start from.  [default: the folder given]")
layout = option("--layout", type=click.Choice(list(LAYOUTS)), section="input",
                help="Layout of the input folder.  [default: detected]")
force = option("--force", is_flag=True, section="output", help="Replace the output of another run.")
seed = option("--seed", type=click.IntRange(0), default=0, show_default=True, section="machine",
              help="Random seed. The same seed gives the same result.")
dry_run = option("--dry-run", is_flag=True, section="output", help="List what would be done, and do nothing.")
json_ = option("--json", "as_json", is_flag=True, section="output", help="Print results as JSON.")
jobs = option("-j", "--jobs", type=click.IntRange(1), section="machine",
              help="Number of workers: cases done at the same time.  [default: all cores, or 2 to predict label maps]")
suffix = option("--suffix", type=click.Choice([".tif", ".png", ".nii.gz", ".nii", ".mha"]), section="output",
                help="File format.  [default: .tif in 2D, .nii.gz for volumes]")
device = option("--device", default="auto", show_default=True, metavar="auto|cpu|gpu[:N]", section="machine",
                help="Device that computes.")
model = option("-m", "--model", "models", required=True, multiple=True, type=click.Path(path_type=Path),
               metavar="FILE", section="input", help="Model file. Several, or a pattern in quotes, are averaged.")

# Every tool: how much it says, and its options as a file.
common = several(
    option("--config", type=click.Path(path_type=Path), is_eager=True, expose_value=False, callback=load_config,
           section=LAST, help="Read options from this TOML file."),
    option("--write-config", type=FileToWrite(), section=LAST, help="Write the options of this run as TOML."),
    option("-q", "--quiet", is_flag=True, section=LAST, help="Print errors only."),
    option("-v", "--verbose", is_flag=True, section=LAST, help="Print more messages."),
    click.version_option(__version__, message="%(prog)s %(version)s"),
)

channels = option("--channels", type=Names(), metavar="NAME,…", section="input",
                  help="Name the channels that one file holds, or choose among named ones.")
as_ = option("--as", "as_", type=click.Choice(["volumes", "slices"]), default="volumes", show_default=True,
             section="input", help="Read a stack of numbered slices as one volume, or as single slices.")
fix = option("--fix-orientation", is_flag=True, section="input",
             help="Accept a NIfTI header whose qform and sform disagree (the sform is used) or whose axes are skewed "
                  "(the nearest right angles are used).")
_scheme = {
    "metavar": "NAME|1=a,2=b", "callback": _known_scheme, "section": "input",
    "help": "Meaning of the numbers in label maps: binary, brats2013, brats2020, brats2023, msd, or a list such as "
            "1=necrotic,2=oedema,4=enhancing.  [default: that of the layout]",
}  # fmt: skip
scheme = option("--scheme", **_scheme)  # for tools that work with it
scheme_of_cases = option("--scheme", "scheme_of_cases", **_scheme)  # for tools that hand it on with their cases


def cases(command):
    """Tools that take cases: PATHS or names on standard input, and how to read them in one: `layout` is a Reading."""
    @wraps(command)
    def with_reading(*, layout, channels, as_, fix_orientation, **others):
        from mrilib.cases import Reading

        others.pop("scheme_of_cases", None)
        scheme = click.get_current_context().meta.get(SCHEME)
        return command(layout=Reading(layout, channels or (), as_ == "slices", scheme, fix_orientation), **others)

    return several(paths, null, root, layout, channels, as_, fix)(with_reading)


boxes_options = several(
    option("--boxes-from", type=click.Choice(["labels"]), section="input",
           help="Take boxes from the connected components of label maps.  [default: as annotated]"),
    option("--merge", type=click.FloatRange(0), metavar="MM", section="input",
           help="With --boxes-from: join components at most this far apart, mm (pixels in pictures without spacing)."
                "  [default: 0]"),
    option("--smallest", type=click.FloatRange(0), metavar="MM2", section="input",
           help="With --boxes-from: leave out boxes of smaller components, mm2.  [default: 0]"),
)


def boxes(command):
    """Below `cases`: boxes from label maps as a part of the Reading `layout`."""
    @wraps(command)
    def with_boxes(*, layout, boxes_from, merge, smallest, **others):
        return command(layout=reading_boxes(layout, boxes_from, merge, smallest), **others)

    return boxes_options(with_boxes)


def reading_boxes(reading: Reading, boxes_from: str | None, merge: float | None, smallest: float | None) -> Reading:
    """A Reading with what --boxes-from, --merge and --smallest say. Raises UsageError for those without an effect."""
    from mrilib.errors import UsageError

    if boxes_from is None:
        for name, value in (("merge", merge), ("smallest", smallest)):
            if value is not None:
                raise UsageError(f"--{name} has no effect without --boxes-from", remedy="add --boxes-from labels")
        return reading
    from mrilib.images.boxes import FromLabels

    return reading._replace(boxes_from=FromLabels(merge or 0.0, smallest or 0.0))


# Which cases of a split a tool works on.
split = several(
    option("--split", type=click.Path(path_type=Path), section="input", help="Table of mri-split."),
    option("--fold", type=click.IntRange(0), section="input", help="Held-out fold of the split."),
)
part = option("--part", type=click.Choice(["train", "validation", "test"]), default=None, section="input",
              help="Use only cases of this part of --split, or of the split that the data set states.")


def output(default: str, what: str = "Folder for the results.", kind=FolderToWrite):
    """-o with a visible default, named for the work."""
    return option("-o", "--output", type=kind(), default=Path(default), show_default=True, section="output", help=what)


def output_file(what: str):
    """-o for a table; standard output by default."""
    return option("-o", "--output", type=FileToWrite(), section="output", help=what + "  [default: standard output]")


def xyz_to_array(values, dimension: int | None = None):
    """Numbers given in x,y,z order, in array order; one number is repeated for each axis (2 unless said)."""
    if values is None:
        return None
    if len(values) == 1:
        values = values * (dimension or 2)
    return list(values[::-1])


def run_of(paths, **more):
    """What the options of a tool that prepares cases say to mrilib.preparation; paths: those on the command line."""
    from mri_tools.cli.output import program
    from mri_tools.cli.stream import STDIN
    from mrilib.recipe.conversion import Run

    return Run(made_by=program(), inputs=[path for path in paths if path != STDIN], **more)
