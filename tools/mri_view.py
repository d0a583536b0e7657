"""mri-view: pictures of cases and of predictions."""

import sys
from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, emit, progress
from mri_tools.cli.settings import Command


@click.command(cls=Command)
@options.cases
@options.boxes
@options.scheme_of_cases
@click.option("-o", "--output", type=options.FileToWrite(), default=Path("montage.png"), show_default=True,
              help="PNG to write; of charts also SVG or PDF.")
@click.option("--cases", "folder", type=click.Path(path_type=Path),
              help="Folder of the cases that predictions are about.")
@click.option("--count", type=click.IntRange(1), default=48, show_default=True,
              help="Largest number of cases, evenly taken; of predictions, mistakes first.")
@click.option("--columns", type=click.IntRange(1), default=8, show_default=True, help="Number of pictures in a row.")
@click.option("--size", type=click.IntRange(32, 2048), default=160, show_default=True,
              help="Size of a picture, pixels.")
@click.option("--mistakes", is_flag=True, help="Show wrong predictions only.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Leave out predicted boxes of a lower score.")
@click.option("--random", is_flag=True, help="Take cases at random, not evenly.")
@options.seed
@click.option("--filters", metavar="NAME,…", help="Show image, kernel and response: sobel, gaussian, laplacian, or "
              "weights such as \"1 0 -1;2 0 -2;1 0 -1\".")
@click.option("--report", type=options.FileToWrite(), metavar="FILE.html",
              help="Write one HTML page of an experiment: data, model, scores, cases.")
@click.option("--report-size", type=click.FloatRange(0.1, 1000), default=10.0, show_default=True,
              help="Largest size of the page, MB.")
@options.common
def main(paths, null, root, layout, output, folder, count, columns, size, mistakes, min_score, random,
         seed, filters, report, report_size):
    """Draw a sheet of cases, or of predictions with mistakes marked.

    PATHS are images or folders, or the output of mri-predict; with none, names
    or such a table are read from standard input. Label maps are drawn as
    outlines, boxes as boxes; predicted label maps, with --cases, over the
    cases that they are about. A table of boxes is drawn over the cases and
    their reference (yellow): missed boxes (orange) first, then false ones
    (red) and hits (green, IoU 0.5 or more), with their scores. Of a table of
    mri-score: box plots, Bland-Altman of the volumes, the confusion matrix,
    the FROC of boxes; of its --per-case table of classes the ROC, too.
    Of mri-train's curve CSV files: the curves of the runs on shared charts.

    With --report, PATHS are any of: model files, split.csv, tables of mri-predict
    and mri-score, and predicted label maps (with --cases) or cases.

    \b
    Examples:
      mri-view scans/ -o scans.png
      mri-predict scans/ --model m.h5 | mri-view --cases scans/ -o seen.png
      mri-score predictions/ --reference truth/ | mri-view -o scores.png
      mri-view scans/a.png --filters sobel,"0 1 0;1 -4 1;0 1 0" -o edges.png
      mri-view --report r.html --cases scans/ m.h5 split.csv seen.csv scores.csv
    """
    from mrilib.drawing import view
    from mrilib.errors import CaseError, UsageError

    if seed and not random:
        raise UsageError("--seed has no effect without --random")
    shown = _given(paths, null)
    if not shown:
        raise CaseError("nothing to show (no name and no table came)")
    failed = []

    def fail(error):
        failed.append(error)
        complain(error, error)

    if report is not None:
        if mistakes or random or filters is not None or min_score:
            raise UsageError("--report shows every case",
                             remedy="leave out --mistakes, --random, --filters and --min-score")
        from mrilib.reporting import report as write_report

        emit(write_report(shown, report, cases=folder, size=report_size, layout=layout, root=root, on_error=fail,
                          progress=progress))
        return SOME_FAILED if failed else DONE
    emit(view(shown, output, cases=folder, count=count, columns=columns, size=size, mistakes=mistakes,
              min_score=min_score, random=random, seed=seed, filters=filters, layout=layout, root=root, on_error=fail,
              progress=progress))
    return SOME_FAILED if failed else DONE


def _given(paths, null):
    """The names or the text of a table that came on the command line or on standard input."""
    import codecs
    import os

    from mri_tools.cli.stream import from_stdin
    from mrilib.drawing import TABLES
    from mrilib.errors import UsageError

    if not from_stdin(paths):
        for path in paths:
            if not os.path.lexists(path):
                raise UsageError("no such file or folder", where=path, remedy="check the name")
        return list(paths)
    data = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    if data.startswith(tuple(start.encode() for start in TABLES)):
        return data.decode("utf-8", "surrogateescape")
    return [Path(os.fsdecode(name)) for name in data.split(b"\0" if null else b"\n") if name]


run = entry(main)
