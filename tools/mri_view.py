"""mri-view: pictures of cases and of predictions."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, emit, progress, say
from mri_tools.cli.settings import Command


@click.command(cls=Command)
@options.cases
@options.scheme_of_cases
@click.option("-o", "--output", type=options.FileToWrite(), default=Path("montage.png"), show_default=True,
              help="PNG to write.")
@click.option("--cases", "folder", type=click.Path(path_type=Path),
              help="Where the cases lie that a table of predictions, or predicted label maps, are about.")
@click.option("--count", type=click.IntRange(1), default=48, show_default=True,
              help="Most cases to show, evenly taken; of predictions, mistakes first.")
@click.option("--columns", type=click.IntRange(1), default=8, show_default=True, help="Pictures side by side.")
@click.option("--size", type=click.IntRange(32, 2048), default=160, show_default=True, help="Of a picture, in pixels.")
@click.option("--mistakes", is_flag=True, help="Show wrong predictions only.")
@click.option("--random", is_flag=True, help="Take cases by chance, not evenly.")
@options.seed
@options.common
def main(paths, null, root, layout, output, folder, count, columns, size, mistakes, random, seed):
    """Draw a sheet of cases, or of predictions with mistakes marked.

    PATHS are images or folders, or what mri-predict gives; with none, names
    or such a table are read from standard input. Label maps are drawn as
    outlines, boxes as boxes; predicted label maps, with --cases, over the
    cases that they are about. Of what mri-score gives: box plots, Bland-Altman
    of the volumes, the confusion matrix, the FROC of boxes; of its --per-case
    table of classes the ROC as well.

    \b
    Examples:
      mri-view scans/ -o scans.png
      mri-predict scans/ --model m.h5 | mri-view --cases scans/ -o seen.png
      mri-score predictions/ --reference truth/ | mri-view -o scores.png
    """
    from mri_tools.common import charting, viewing
    from mrilib.errors import CaseError, UsageError
    from mrilib.targets import is_direct
    from mrilib.view import plots

    if output.suffix.lower() != ".png" and (output.suffix or not is_direct(output)):
        raise UsageError("the picture is a PNG", where=output, remedy="end its name with .png")
    if seed and not random:
        raise UsageError("--seed has no effect without --random")
    plots.check_sheet(count, columns, size)
    names, table = viewing.given(paths, null)
    if table is None and not names:
        raise CaseError("nothing to show (no name and no table came)")
    if table is not None and charting.is_scores("".join(table)):
        if folder or mistakes or random:
            raise UsageError(f"--{'cases' if folder else 'mistakes' if mistakes else 'random'} has no effect on scores")
        count = charting.draw("".join(table), output)
        say(f"{count} chart{'s' * (count != 1)}")
        emit(output)
        return DONE
    if table is None and mistakes:
        raise UsageError("--mistakes has no effect without a table of predictions")
    if table is not None:
        if random:
            raise UsageError("--random has no effect on a table of predictions", remedy="mistakes are shown first")
        if folder is None:
            raise UsageError("a table of predictions needs --cases", remedy="name the folder that it is about")
        wanted, failed = viewing.predicted(table, folder, layout, root, mistakes)
    elif folder is not None:
        wanted, failed = viewing.overlaid(names, folder, layout, root)
    else:
        wanted, failed = viewing.listed(names, layout, root)
    for error in failed:
        complain(error, error)
    shown = wanted[:count] if table is not None else viewing.choose(wanted, count, seed if random else None)
    tiles = []
    with progress("draw", len(shown)) as bar:
        for one in shown:
            tile = viewing.tile(one, size)
            if isinstance(tile, Exception):
                failed.append(tile)
                complain(tile, tile)
            else:
                tiles.append(tile)
            bar.step()
    if not tiles:
        why = "no mistake" if mistakes else "no case"
        raise CaseError("nothing to show" + ("" if failed else f" ({why})"))
    viewing.write(output, tiles, columns)
    say(f"{len(tiles)} of {len(wanted)} shown")
    emit(output)
    return SOME_FAILED if failed else DONE


run = entry(main)
