"""mri-augment: more cases from few, by random changes."""

from pathlib import Path

import click
from click.core import ParameterSource

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, emit, give_results, write
from mri_tools.cli.settings import Command, option
from mri_tools.cli.stream import each, report_of
from mrilib.errors import CaseError, UsageError
from mrilib.images.augment.names import GEOMETRY, INTENSITY


def transforms(command):
    for section, helps in (("intensity", INTENSITY), ("geometry", GEOMETRY)):
        for name in reversed(helps):
            metavar = "lr,ud" if name == "flip" else "RANGE"
            command = option(f"--{name.replace('_', '-')}", metavar=metavar, help=helps[name], section=section)(command)
    return command


@click.command(cls=Command)
@options.cases
@options.scheme_of_cases
@options.split
@option("-n", "--copies", type=click.IntRange(1), help="Number of copies of each case.  [default: 1]")
@option("--preset", type=click.Choice(["light", "medium", "heavy"]), help="Start from this set of changes.")
@option("--settings", type=click.Path(dir_okay=False), help="Start from the changes in a TOML or JSON file.")
@option("--show", is_flag=True, help="Print the changes as such a file; without changes, list all that there are.")
@option("--preview", type=options.FileToWrite(), metavar="PNG",
        help="Only draw twelve copies of the first case, with their numbers.")
@option("--replay", type=click.Path(dir_okay=False, path_type=Path), help="Repeat the copies of an augmented.csv.")
@option("--keep-originals", is_flag=True, help="Also write each case itself.")
@transforms
@option("--interpolation", type=click.Choice(["linear", "cubic"]), section="geometry",
        help="Interpolation of images.  [default: linear]")
@option("--labels", type=click.Choice(["nearest", "smooth"]), section="geometry",
        help="Interpolation of label maps.  [default: nearest]")
@option("--tones", type=click.Choice(["alike", "apart"]), section="intensity",
        help="Draw contrast, brightness and gamma once for all channels, or for each channel.  [default: alike]")
@options.output("augmented")
@options.suffix
@options.seed
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, copies, preset, settings, show, preview, replay, keep_originals, split,
         fold, suffix, seed, jobs, force, dry_run, **changes):
    """Make more cases from few, by random changes.

    PATHS are images or folders; without them, names are read from
    standard input. Label maps and boxes follow; class folders stay.
    What was drawn for each copy is listed in augmented.csv.

    RANGE is a number (15 means -15:15, a factor 0.1 means 0.9:1.1, a
    strength 2 means 0:2) or low:high. A range that ends with @0.3 applies
    with probability 0.3. none removes a change from a set. All changes of
    geometry are one resampling, and the head is kept inside the image.
    With --split only training cases are augmented.

    \b
    Example:
      mri-augment scans/ -n 5 --rotate 15 --scale 0.9:1.1 --flip lr
    """
    from mrilib import splits
    from mrilib.recipe import augmentation

    changes = {name: value for name, value in changes.items() if value is not None}
    seed_given = click.get_current_context().get_parameter_source("seed") == ParameterSource.COMMANDLINE
    _check(replay, {"--preset": preset, "--settings": settings, "--copies": copies, "--show": show,
                    "--preview": preview, "--keep-originals": keep_originals, "--seed": seed_given,
                    **{f"--{name}": True for name in changes}})
    if replay:
        plan = augmentation.replaying(replay)
    else:
        drawn_from = _settings(changes, preset, settings, show)
        if show:
            return DONE
        plan = augmentation.drawing(drawn_from, seed, copies or 1, keep_originals)
    keep = splits.training_cases(split, fold)
    cases = each(paths, null=null, root=root, layout=layout, on_unused=report_of(dry_run))
    if preview:
        return _preview(cases, plan, preview, keep)
    run = options.run_of(paths, suffix=suffix, jobs=jobs, force=force, dry_run=dry_run)
    return give_results(augmentation.augment(cases, plan, output, run, keep), "dry run" if dry_run else "copies")


def _check(replay: Path | None, options: dict) -> None:
    """Raise UsageError for options that have no effect together."""
    if replay and (others := [name.replace("_", "-") for name, value in options.items() if value]):
        raise UsageError(f"{others[0]} has no effect with --replay, which does again what the table says")
    if options["--preview"] and (options["--copies"] or options["--keep-originals"]):
        raise UsageError(f"{'--copies' if options['--copies'] else '--keep-originals'} has no effect with --preview",
                         remedy="it shows twelve copies")
    if options["--preset"] and options["--settings"]:
        raise UsageError("--preset and --settings are both sets to start from", remedy="give one of them")


def _settings(changes: dict, preset: str | None, file: str | None, show: bool):
    """The settings of mrilib.images.augment that the options name; with show, they are printed."""
    from mrilib.images.augment import transforms

    if show and not (changes or preset or file):
        write(transforms.listing())
        return None
    start = {"preset": preset} if preset else transforms.read(Path(file)) if file else {}
    settings = transforms.settings({**start, **changes})
    if not settings:
        raise UsageError("nothing would be changed", remedy="give a change such as --rotate 15, or --preset medium")
    if show:
        import json

        write("".join(f"{name} = {json.dumps(text)}\n" for name, text in settings.as_dict().items()))
    return settings


def _preview(cases, plan: dict, output: Path, keep) -> int:
    from mrilib.drawing.copies import write_sheet
    from mrilib.targets import is_direct

    if output.suffix.lower() != ".png" and (output.suffix or not is_direct(output)):
        raise UsageError("is no .png", where=output, remedy="name a .png after --preview")
    for case in cases:
        if isinstance(case, CaseError):
            raise case
        if keep is None or keep(case):
            write_sheet(output, case, plan["settings"], plan["seed"])
            emit(output)
            return DONE
    raise UsageError("no case for training to show")


run = entry(main)
