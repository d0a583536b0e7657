"""mri-tune: search for the settings of a training, or compare given ones."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import complain, emit, progress, to_terminal, write
from mri_tools.cli.settings import Command, from_settings, option, setting_values
from mrilib import tasks
from mrilib.errors import UsageError
from mrilib.tuning.settings import TuneSettings

FILE = click.Path(path_type=Path)


@click.command(cls=Command)
@options.cases
@options.boxes
@option("--task", type=click.Choice([tasks.AUTO, *tasks.TASKS]), default=tasks.AUTO, show_default=True,
        section="input", help="What to predict; auto: the first that fits the cases.")
@option("--search", "search", multiple=True, metavar="NAME=VALUES", section="search",
        help="A setting of mri-train, or of the preprocessing (denoise, normalize, normalize-size …), and its values: "
        "A,B,C or LOW:HIGH[:log]; one value fixes it. Repeat for others.  [default: a short space of the task]")
@option("--space", type=FILE, section="search", help="TOML file of NAME = \"VALUES\" instead of --search.")
@option("--compare", multiple=True, type=FILE, metavar="FILE", section="search",
        help="Compare TOML files of options of mri-train, without a search. Repeat for others.")
@option("--seeds", type=click.IntRange(1), section="search",
        help="Number of seeds that --compare trains each of its files with.  [default: 1]")
@option("--show", type=FILE, metavar="STUDY", section="output", help="Print the table of a study, and do nothing.")
@from_settings(TuneSettings)
@option("--split", type=FILE, section="validation", help="Split file: its folds, or its training and validation "
        "cases. Its test cases are not read.")
@options.device
@option("--threads", type=click.IntRange(1), section="machine", help="Number of cores used.  [default: all]")
@options.seed
@option("-o", "--output", type=options.FileToWrite(), section="output",
        help="Model file of the best, trained on all cases.  [default: best.h5; none with --compare]")
@option("--study", type=options.FolderToWrite(), section="output",
        help="Folder of the trials; several processes can share it.  [default: beside the model file]")
@options.json_
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, task, search, space, compare, seeds, show, split, device, threads, output, study,
         as_json, force, dry_run, **chosen):
    """Search for the settings of a training, or compare given ones.

    PATHS are images or folders; without them, their names are read from standard input. Each trial trains on folds that
    divide no subject and no copies, and is judged case by case on what it did not see; one that is worse than the best
    stops early. The best is trained on all cases: its name is printed when its file is complete, its settings stand
    beside it for mri-train --config, and the table goes to standard error. The same command continues a study, and
    several at the same time share it. --compare and --show print the table.

    \b
    Examples:
      mri-tune scans/ --budget 1h -o best.h5
      mri-tune scans/ --search backbone=small,resnet18 --search learning-rate=1e-4:1e-2:log --trials 30
      mri-tune scans/ --search normalize=zscore,nyul --search normalize-size=160 --sampler grid
      mri-tune scans/ --compare small.toml --compare resnet.toml --seeds 3
      mri-tune --show best.study
    """
    from mri_tools.cli import stream
    from mrilib.training.budget import process_start
    from mrilib.tuning import report
    from mrilib.tuning import run as tuning_run
    from mrilib.tuning.study import Study

    began = process_start()

    def give(found):
        write(found.json() if as_json else found.text() if to_terminal() else found.csv())

    if show is not None:
        give(report.findings(Study(show)))
        return 0
    if seeds and not compare:
        raise UsageError("--seeds has no effect without --compare", remedy="leave it out")
    if sum(map(bool, (search, space, compare))) > 1:
        raise UsageError("--search, --space and --compare exclude each other", remedy="give one of them")
    cases, failed = stream.gather(paths, null=null, root=root, layout=layout, on_unused=stream.report_of(dry_run))
    chosen_task = tasks.detect(cases, task)
    settings = TuneSettings.from_dict(setting_values(chosen, TuneSettings))
    output = output or (None if compare else Path("best.h5"))
    tuning = tuning_run.Tuning(
        chosen_task, cases, settings, output=output, split=split, force=force, began=began, progress=progress,
        folder=study or (output or Path("compared.h5")).with_suffix(".study"),
        fail=lambda error: complain(error, error), fixed={"device": device, "threads": threads},
        **tuning_run.searched(chosen_task, search, space, compare, seeds or 1, settings))  # fmt: skip
    if dry_run:
        write("".join(f"{line}\n" for line in tuning.lines()))
        return 1 if failed else 0
    found, model = tuning.run()
    if output is None:
        give(found)
    else:
        tuning_run.tell(found)
        if model is not None:
            emit(model.path)
    return 1 if failed or tuning.failed else 0


run = entry(main)
