"""mri-split: train, validation and test sets, or folds, that share no subject and no copies."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, progress, write
from mri_tools.cli.settings import Command


@click.command(cls=Command)
@options.cases
@options.output_file("CSV for the split.")
@click.option("--folds", type=click.IntRange(2), help="Number of folds, instead of three parts.")
@click.option("--validation", type=click.FloatRange(0, 1, max_open=True),
              help="Share of the cases in the validation set.  [default: 0.15]")
@click.option("--test", type=click.FloatRange(0, 1, max_open=True),
              help="Share of the cases in the test set.  [default: 0.15]")
@click.option("--duplicates", type=click.Choice(["near", "exact", "none"]), default="near", show_default=True,
              help="Copies that must stay together.")
@click.option("--distance", type=click.IntRange(0, 64), help="Bits of 64 in which near copies differ.  [default: 10]")
@click.option("--given", type=click.Choice(["keep", "ignore"]),
              help="Split that the data set states (folders train/ and test/, or a column part); keep goes before "
                   "--folds.  [default: keep, but ignore with --folds]")
@click.option("--groups", type=click.Path(path_type=Path, dir_okay=False),
              help="CSV `case,group` of further cases that must stay together.")
@click.option("--copies", type=options.FileToWrite(), help="CSV to list every pair of copies in.")
@options.seed
@options.json_
@options.jobs
@options.common
def main(paths, null, root, layout, output, folds, validation, test, duplicates, distance, given, groups, copies,
         seed, as_json, jobs):
    """Divide cases so that no subject and no copies are separated.

    PATHS are images or folders; with none, their names are read from
    standard input. The split is a table case,subject,group,fold,part,
    stratified by class; a summary goes to standard error. Copies are equal
    images and near copies: scaled, recompressed, cropped, mirrored. A data set
    that states its parts (folders train/ and test/) keeps them: training cases
    that are copies of test cases, or of the same subject, are excluded.
    --folds divides all cases, unless --given keep.

    \b
    Examples:
      mri-split scans/ --folds 5 > split.csv
      mri-split scans/ --validation 0.1 --test 0.2 -o split.csv
    """
    import json

    from mri_tools.cli.stream import gather
    from mrilib.errors import UsageError
    from mrilib.splits.divide import split
    from mrilib.store import write_text

    if folds and given != "keep" and (validation is not None or test is not None):
        raise UsageError("--validation and --test have no effect with --folds")
    if distance is not None and duplicates != "near":
        raise UsageError("--distance has no effect without --duplicates near")
    if copies and duplicates == "none":
        raise UsageError("--copies has no effect with --duplicates none")
    cases, failed = gather(paths, null=null, root=root, layout=layout)

    def fail(error):
        failed.append(error)
        complain(error, error)

    divided = split(cases, folds=folds, validation=validation, test=test, seed=seed, copies=duplicates,
                    distance=distance, given=given, groups=groups, jobs=jobs, on_error=fail, progress=progress)
    if copies:
        write_text(copies, divided.copies_table())
    text = json.dumps(divided.data(), indent=1) + "\n" if as_json else str(divided)
    if output:
        write_text(output, text)
    else:
        write(text)
    return SOME_FAILED if failed else DONE


run = entry(main)
