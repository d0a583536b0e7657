"""mri-score: predictions against the truth."""

from pathlib import Path

import click

from mri_tools.common import options
from mri_tools.common.run import DONE, SOME_FAILED, complain, entry, say, to_terminal, write


@click.command()
@click.argument("predictions", nargs=-1, metavar="[PREDICTIONS]...", type=click.Path(path_type=Path))
@click.option("-r", "--reference", required=True, type=click.Path(path_type=Path),
              help="The truth: a folder of cases with their classes, or a CSV of them.")
@options.layout
@options.output_file("Table of figures.")
@click.option("--per-case", type=click.Path(path_type=Path), help="CSV of each case: truth, prediction, whether right.")
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
@options.common
def main(predictions, reference, layout, output, per_case, split, fold, part, models, positive, level, resamples, seed,
         allow_missing, fail_under, as_json):
    """Score predictions against the truth, with intervals.

    PREDICTIONS are tables as mri-predict writes them (case,class,p_<class>…);
    with none, or -, they are read from standard input. Accuracy is correct /
    total x 100 %; a case without prediction is wrong. Intervals come from a
    bootstrap over the groups of --split, else over cases. When the model saw
    some of the cases, the figures without them follow. On a terminal a table
    to read, in a pipe CSV:
    metric,class,value,low,high,unit,n,cases,level,resamples,seed,resampled,
    where cases is all or unseen; a figure that is not defined is empty.

    \b
    Examples:
      mri-predict scans/ --model m.h5 | mri-score --reference scans/
      cat fold[0-9].csv | mri-score --reference scans/ --split split.csv
      mri-score p.csv -r scans/ | awk -F, '$1 == "accuracy" {print $3, $4, $5}'
    """
    import os

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads only cost, on products this small
    from mri_tools.common import scoring
    from mri_tools.common.reference import mark_seen, read_predictions, read_reference, units_of
    from mrilib.errors import UsageError
    from mrilib.metrics import submission
    from mrilib.records import write_text

    limits = dict(scoring.limit(text) for text in fail_under)
    truth = read_reference(reference, layout, split, fold, part)
    submitted = read_predictions(predictions)
    matched = submission.match(submitted, truth.classes).only(truth.chosen)
    mark_seen(matched, truth, models)
    missing = [name for name, place in zip(matched.ids, matched.predicted, strict=True) if place < 0]
    if others := len(submitted.classes) - (len(matched.ids) - len(missing)):
        say(f"{others} predictions are of cases that are not to be scored")
    if missing:
        what = "left out" if allow_missing else "counted as wrong"
        complain(f"{len(missing)} cases have no prediction and are {what}: {submission.some(missing)}")
    if allow_missing:
        matched = matched.only([name for name in matched.ids if name not in set(missing)])
    if not matched.ids:
        raise UsageError("no case is left to score")
    positive = scoring.positive_class(matched, positive)
    scoring.check_limits(limits, matched)
    unseen = [name for name, seen in zip(matched.ids, matched.seen, strict=True) if not seen]
    table = []
    for name, some in (("all", matched), ("unseen", matched.only(unseen))):
        if name == "all" or 0 < len(unseen) < len(matched.ids):
            units, resampled = units_of(some.ids, truth.group)
            table += scoring.rows(some, units, positive, name, level, resamples, seed, resampled)
    if count := len(matched.ids) - len(unseen):
        trained = matched.seen.count("train")
        say(f"the model saw {count} of the {len(matched.ids)} cases ({trained} in training, {count - trained} in "
            "validation): " + ("figures without them follow" if unseen else "these figures say little"))
    if per_case:
        write_text(per_case, scoring.case_table(matched))
    text = scoring.as_json(table, missing, matched) if as_json else None
    if output:
        write_text(output, text or scoring.as_csv(table))
    elif text is None and to_terminal():
        scoring.show(table, write)
    else:
        write(text or scoring.as_csv(table))
    under = scoring.below(table, limits)
    for line in under:
        complain(line)
    return SOME_FAILED if under or (missing and not allow_missing) else DONE


run = entry(main)
