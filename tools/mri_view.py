"""mri-view: pictures of cases and of predictions."""

from pathlib import Path

import click

from mri_tools.common import options
from mri_tools.common.run import DONE, SOME_FAILED, complain, emit, entry, progress, say


@click.command()
@options.cases
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("montage.png"), show_default=True,
              help="PNG to write.")
@click.option("--cases", "folder", type=click.Path(path_type=Path),
              help="Where the cases of a table of predictions lie, with their true classes.")
@click.option("--count", type=click.IntRange(1), default=48, show_default=True,
              help="Most cases to show, evenly taken; of predictions, mistakes first.")
@click.option("--columns", type=click.IntRange(1), default=8, show_default=True, help="Pictures side by side.")
@click.option("--size", type=click.IntRange(32, 2048), default=160, show_default=True, help="Of a picture, in pixels.")
@click.option("--mistakes", is_flag=True, help="Show wrong predictions only.")
@options.common
def main(paths, null, root, layout, output, folder, count, columns, size, mistakes):
    """Draw a sheet of cases, or of predictions with mistakes marked.

    PATHS are images or folders, or a table of mri-predict; with none, names
    or such a table are read from standard input. Label maps are drawn as
    outlines, boxes as boxes.

    \b
    Examples:
      mri-view scans/ -o scans.png
      mri-predict scans/ --model m.h5 | mri-view --cases scans/ -o seen.png
    """
    from mri_tools.common import viewing
    from mrilib.errors import UsageError

    if output.suffix.lower() != ".png":
        raise UsageError("the picture is a PNG", where=output, remedy="end its name with .png")
    names, table = viewing.given(paths, null)
    if table is None and (mistakes or folder):
        raise UsageError(f"--{'mistakes' if mistakes else 'cases'} has no effect without a table of predictions")
    if table is not None:
        if folder is None:
            raise UsageError("a table of predictions needs --cases", remedy="name the folder that it is about")
        wanted, failed = viewing.predicted(table, folder, layout, root, mistakes)
    else:
        wanted, failed = viewing.listed(names, layout, root)
    for error in failed:
        complain(error, error)
    shown = wanted[:count] if table is not None else [wanted[i * len(wanted) // count] for i in range(count)
                                                      ] if len(wanted) > count else wanted
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
        raise UsageError("nothing to show" + (": no mistake" if mistakes and not failed else ""))
    viewing.write(output, tiles, columns)
    say(f"{len(tiles)} of {len(wanted)} shown")
    emit(output)
    return SOME_FAILED if failed else DONE


run = entry(main)
