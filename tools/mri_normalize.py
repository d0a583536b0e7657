"""mri-normalize: bring images to one geometry and one intensity scale."""

import contextlib
import os
import stat
from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, give_results, progress, say
from mri_tools.cli.settings import Command, from_settings, option, setting_values
from mri_tools.cli.stream import each, report_of
from mrilib.errors import UsageError
from mrilib.recipe.settings import NormalizeSettings


@click.command(cls=Command)
@options.cases
@options.boxes
@options.scheme_of_cases
@from_settings(NormalizeSettings)
@option("--learn", type=click.Path(exists=True, path_type=Path), metavar="PATH", section="intensity",
        help="What nyul and histogram learn from: a folder of training cases, or one case as the reference.")
@options.split
@option("--like", type=click.Path(exists=True, path_type=Path), metavar="PATH", section="input",
        help="Repeat all steps of this model, recipe.json or prepared folder, with what they learned.")
@options.output("normalized")
@option("--field", type=options.FolderToWrite(), metavar="DIR", section="output",
        help="Also write the bias field, as images below this folder.")
@options.suffix
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, learn, split, fold, like, field, suffix, jobs, force, dry_run, **settings):
    """Bring images to one geometry and one intensity scale.

    PATHS are images or folders; without them, names are read from
    standard input. Each finished image is written below the output
    folder and its name is printed, so commands can be joined by a pipe.
    Order of the steps: grey, align, reorient, brain, crop, spacing, size,
    bias, intensity, edges.

    What a method learns is kept in the recipe of the output; prediction and
    --like repeat it. With --learn and without PATHS, its own cases are
    prepared (- reads names from standard input).

    \b
    Examples:
      mri-normalize scans/ --size 224 | mri-predict --model model.h5
      mri-normalize --method nyul --learn train/ -o norm/
      mri-normalize --like norm/ new/ -o norm-new/
    """
    from mrilib import preparation

    settings = setting_values(settings, NormalizeSettings)
    failed = []
    run = options.run_of(paths, suffix=suffix, jobs=jobs, force=force, dry_run=dry_run, progress=progress,
                         on_error=lambda error: (failed.append(error), complain(error, error)))
    if like:
        for name, value in {**settings, "learn": learn, "split": split, "fold": fold}.items():
            if value not in (None, False):
                raise UsageError(f"--{name} has no effect with --like, which says all the steps")
        cases = each(paths, null=null, root=root, layout=layout, on_unused=report_of(dry_run))
        results = preparation.prepared_like(cases, preparation.recipe_at(like), output, run, like, field)
        return give_results(results, "dry run" if dry_run else "cases")
    learning = None
    if learn is not None or split is not None or fold is not None:
        learning = preparation.Learning(learn, split, fold, layout, root)
    cases = each(_paths(paths, learn), null=null, root=root, layout=layout, on_unused=report_of(dry_run))
    results = preparation.normalized(cases, NormalizeSettings.from_dict(settings), output, run, learning, field)
    code = give_results(results, "dry run" if dry_run else "cases")
    return code or (SOME_FAILED if failed else DONE)


def _paths(paths: tuple[Path, ...], learn: Path | None) -> tuple[Path, ...]:
    """The paths to prepare: those given, else the training cases; names that may wait in a pipe are not read then."""
    if paths or learn is None:
        return paths
    with contextlib.suppress(OSError):  # standard input may be closed
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            say(f"prepares the cases of {learn}; names on standard input are not read (- reads them)")
    return (learn,)


run = entry(main)
