"""mri-score: predictions against their reference."""

from pathlib import Path

import click
from click.core import ParameterSource

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, emit, progress, to_terminal, write
from mri_tools.cli.settings import Command, from_settings, option, setting_values
from mri_tools.cli.stream import from_stdin
from mrilib import tasks
from mrilib.errors import UsageError
from mrilib.evaluation.settings import BoxSettings

SETTINGS = {**{task.name: task.scoring for task in tasks.every()}, "localise": BoxSettings}
FILE = click.Path(path_type=Path)
OF_SCORES = ("reference", "output", "per_case", "as_json", "fail_under", "model", "dry_run", "group_by",
             "allow_missing", "level", "resamples", "seed", "rank_by", "region", "labels", "metrics", "hd95",
             "tolerance", "lesion_dilation", "lesion_connectivity", "lesion_volume", "lesion_penalty", "empty",
             "positive")  # what --check has no use for


@click.command(cls=Command)
@click.argument("predictions", nargs=-1, metavar="[PREDICTIONS]...", type=FILE)
@options.null
@option("-r", "--reference", type=FILE, section="input",
        help="Reference (ground truth): a folder of cases with their classes, label maps or boxes, or a CSV.")
@options.layout
@options.channels
@options.as_
@options.fix
@options.boxes_options
@options.split
@options.part
@option("-m", "--model", multiple=True, type=FILE, section="input",
        help="Look in the record of this model for cases that it saw.")
@options.scheme
@options.seed
@from_settings(*SETTINGS.values(), tasks=SETTINGS, leave=("scheme", "seed"))
@option("--group-by", type=FILE, section="statistics",
        help="CSV case,<column>…: metrics for each value of each column as well.")
@options.output_file("Table of metrics.")
@option("--per-case", type=options.FileToWrite(), section="output", help="CSV with a row for each case.")
@option("--fail-under", multiple=True, metavar="METRIC=VALUE", section="output",
        help="Exit 1 when a metric is lower.")
@options.json_
@option("--check", is_flag=True, section="output",
        help="Only tell whether a submission is complete and well formed.")
@option("--like", type=FILE, section="input", help="Cases that --check compares with; their reference is not needed.")
@options.dry_run
@options.jobs
@options.common
def main(predictions, null, reference, layout, channels, as_, fix_orientation, boxes_from, merge, smallest, split, fold,
         part, model, group_by, output, per_case, fail_under, as_json, check, like, dry_run, jobs, **settings):
    """Score predictions against a reference, with intervals, and rank submissions.

    PREDICTIONS are label maps (a folder, a zip archive, or names of files), or
    tables as mri-predict writes them (case,class,p_<class>… or
    case,x0,y0,x1,y1,class,score,seen). Boxes may also be COCO results (.json) or
    a folder of YOLO texts with scores. Without any, or with -, names or a table
    are read from standard input. Several folders or archives are submissions,
    which are ranked. Tables that name the same cases are submissions, too;
    tables that share no case, such as folds, are one. A case without a
    prediction counts as wrong: Dice 0. Intervals come from a bootstrap over the
    groups of --split, else over subjects, else over cases. When the model saw
    some of the cases, the metrics without them follow. A terminal shows tables;
    a pipe gets CSV: metric,class (or part),value,low,high,unit,n,cases,level,
    resamples,seed,resampled, where cases is all, unseen or a group. For label
    maps a row for each case and metric comes first. Undefined values are empty.
    A file of --write-config holds the rules of a challenge: --config reads it.

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
    import sys

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads only cost, on products this small
    from mrilib.cases import Reading
    from mrilib.evaluation import submissions
    from mrilib.store import write_text
    from mrilib.tasks import scoring

    stated, defaults = _settings(settings)
    if check:
        _no_effect("--check", OF_SCORES)
        if like is None:
            raise UsageError("--check needs --like", remedy="name the folder of the cases")
    elif like is not None:
        raise UsageError("--like has no effect without --check")
    elif reference is None:
        raise click.UsageError("Missing option '--reference' / '-r'.")
    read = (submissions.of_bytes(sys.stdin.buffer.read(), "standard input", null) if from_stdin(predictions)
            else submissions.read(predictions))
    reading = options.reading_boxes(Reading(layout, channels or (), as_ == "slices", fix=fix_orientation), boxes_from,
                                    merge, smallest)
    shared = {"layout": reading, "split": split,
              "fold": fold, "part": part, "defaults": defaults, **stated}
    if check:
        checked = scoring.check(read, like, jobs=jobs, progress=progress, **shared)
        for one in checked:
            emit(str(one))
        return DONE if all(one.fine for one in checked) else SOME_FAILED
    if dry_run:
        lines, whole = scoring.pairs(read, reference, **shared)
        for line in lines:
            emit(line)
        return DONE if whole else SOME_FAILED
    scores = scoring.score(read, reference, model=model, group_by=group_by, fail_under=fail_under, jobs=jobs,
                           progress=progress, **shared)
    if per_case:
        write_text(per_case, scores.per_case())
    if not output and not as_json and to_terminal():
        write(scores.text())
    elif output:
        write_text(output, scores.json() if as_json else scores.csv())
    else:
        write(scores.json() if as_json else scores.csv())
    for line in scores.failed:
        complain(line)
    return DONE if scores.complete and not scores.failed else SOME_FAILED


def _settings(options_: dict) -> tuple[dict, dict]:
    """Settings of the command line, and those of a --config file, which hold where they have an effect."""
    values = setting_values(options_, *SETTINGS.values())
    source = click.get_current_context().get_parameter_source
    stated = {name: value for name, value in values.items() if source(name) == ParameterSource.COMMANDLINE}
    return stated, {name: value for name, value in values.items() if name not in stated}


def _no_effect(what: str, names: tuple[str, ...]) -> None:
    """Raise UsageError when an option that changes nothing with `what` stands on the command line."""
    context = click.get_current_context()
    for param in context.command.params:
        if param.name in names and context.get_parameter_source(param.name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"{param.opts[-1]} has no effect with {what}", remedy="leave it out")


run = entry(main)
