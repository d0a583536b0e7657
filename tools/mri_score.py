"""mri-score: predictions against the truth."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.settings import Command
from mri_tools.common import score_options


@click.command(cls=Command)
@click.argument("predictions", nargs=-1, metavar="[PREDICTIONS]...", type=click.Path(path_type=Path))
@options.null
@score_options.truth
@score_options.rules
@score_options.statistics
@score_options.results
def main(predictions, null, layout, channels, as_, fix_orientation, **given):
    """Score predictions against the truth, with intervals, and rank submissions.

    PREDICTIONS are label maps (a folder, a zip archive, or names of files), or
    tables as mri-predict writes them (case,class,p_<class>… or
    case,x0,y0,x1,y1,class,score,seen); with none, or -, names or a table are
    read from standard input. Several folders or archives are submissions, which
    are ranked; so are tables that name the same cases, while those that share
    none, such as folds, are one. A case without prediction counts as
    wrong: Dice 0. Intervals come from a bootstrap over the groups of --split,
    else over subjects, else cases. When the model saw some of the cases, the
    figures without them follow. On a terminal a table to read, in a pipe CSV:
    metric,class (or part),value,low,high,unit,n,cases,level,resamples,seed,
    resampled, where cases is all, unseen or a group; of label maps a row for
    each case and figure comes first. What is not defined is empty. Settings
    written with --write-config are the rules of a challenge: --config takes
    them back.

    \b
    Examples:
      mri-score predictions/ --reference truth/ --per-case cases.csv
      mri-predict scans/ --model m.h5 | mri-score --reference scans/
      cat fold[0-9].csv | mri-score --reference scans/ --split split.csv
      mri-score team*/ team*.zip -r truth/ --config rules.toml | mri-view
      mri-score team*.csv -r cases.csv --rank-by roc_auc,brier
      mri-score --check mine.zip --like cases/
      mri-score p/ -r truth/ | awk -F, '$1 == "dice" && $8 == "all" {print $2, $3}'
    """
    import os

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads only cost, on products this small
    from mri_tools.common import scoring_run
    from mrilib.cases import Reading

    reading = Reading(layout, channels or (), as_ == "slices", fix=fix_orientation)
    return scoring_run.score(predictions, null, reading, given)


run = entry(main)
