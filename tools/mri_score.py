"""mri-score: predictions against the truth."""

from pathlib import Path

import click

from mri_tools.common import options
from mri_tools.common.run import entry


@click.command()
@click.argument("predictions", nargs=-1, metavar="[PREDICTIONS]...", type=click.Path(path_type=Path))
@options.null
@click.option("-r", "--reference", required=True, type=click.Path(path_type=Path),
              help="The truth: a folder of cases with their classes or label maps, or a CSV of them.")
@options.layout
@options.as_
@options.scheme
@click.option("--predicted-scheme", metavar="SCHEME",
              help="Of predictions whose record does not say.  [default: the reference's]")
@click.option("--labels", "each_label", is_flag=True, help="Score each label as well as the regions.")
@click.option("--empty", type=click.Choice(["worst", "skip", "nan"]), default="worst", show_default=True,
              help="A part that both lack is perfect and one that either lacks gets the worst value; or is left out; "
                   "or is undefined, as is its mean.")
@options.output_file("Table of figures.")
@click.option("--per-case", type=click.Path(path_type=Path), help="CSV with a row for each case.")
@options.split
@options.part
@click.option("-m", "--model", "models", multiple=True, type=click.Path(path_type=Path),
              help="Look in this model's record for cases that it saw.")
@click.option("--positive", metavar="CLASS", help="Of two classes the one to be found.  [default: yes, tumour, …]")
@click.option("--level", type=click.FloatRange(0, 100, True, True), default=95, show_default=True,
              help="Of the intervals, in percent.")
@click.option("--resamples", type=click.IntRange(100), default=2000, show_default=True, help="Of the bootstrap.")
@options.seed
@click.option("--allow-missing", is_flag=True, help="Leave cases without a prediction out; else they count as wrong.")
@click.option("--fail-under", multiple=True, metavar="METRIC=VALUE", help="Exit 1 when a figure is lower.")
@options.json_
@options.jobs
@options.common
def main(predictions, null, layout, as_, **given):
    """Score predictions against the truth, with intervals.

    PREDICTIONS are label maps (a folder of them, or their names), or tables as
    mri-predict writes them (case,class,p_<class>…); with none, or -, names or a
    table are read from standard input. A case without prediction counts as
    wrong: Dice 0. Where both maps lack a part its Dice is 1, where one does 0.
    Intervals come from a bootstrap over the groups of --split, else over
    subjects, else cases. When the model saw some of the cases, the figures
    without them follow. On a terminal a table to read, in a pipe CSV:
    metric,class (or part),value,low,high,unit,n,cases,level,resamples,seed,
    resampled, where cases is all or unseen; of label maps a row for each case
    and figure comes first. A figure that is not defined is empty.

    \b
    Examples:
      mri-score predictions/ --reference truth/ --per-case cases.csv
      mri-predict scans/ --model m.h5 | mri-score --reference scans/
      cat fold[0-9].csv | mri-score --reference scans/ --split split.csv
      mri-score p/ -r truth/ | awk -F, '$1 == "dice" && $8 == "all" {print $2, $3}'
    """
    import os

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads only cost, on products this small
    from mri_tools.common import scoring_classes, scoring_maps, submitted
    from mrilib.cases import Reading

    given["layout"] = Reading(layout, slices=as_ == "slices")
    found = submitted.given(predictions, null)
    if isinstance(found[0], submitted.Table):
        return scoring_classes.score(found, **given)
    return scoring_maps.score(found, **given)


run = entry(main)
