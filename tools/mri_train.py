"""mri-train: fit a model to cases."""

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import complain, emit, progress, write
from mri_tools.cli.settings import Command, from_settings, option, setting_values
from mrilib import tasks


@click.command(cls=Command)
@options.cases
@options.boxes
@option("--task", type=click.Choice([tasks.AUTO, *tasks.TASKS]), default=tasks.AUTO, show_default=True,
        section="input", help="What to predict: " + "; ".join(f"{task.name}: {task.title}" for task in tasks.every())
        + "; auto: the first of these that fits the cases. With --help, show the options of the task.")
@options.scheme
@from_settings(*(task.settings for task in tasks.every()), tasks=tasks.TASKS)
@options.split
@options.device
@options.seed
@options.output("model.h5", "Model file, .h5 or .keras.", options.FileToWrite)
@option("--curve", type=options.FileToWrite(), section="output",
        help="Table of the epochs (CSV).  [default: beside the model]")
@option("--resume", is_flag=True, section="output", help="Resume an interrupted run with the same options.")
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, task, split, fold, output, curve, resume, force, dry_run, **chosen):
    """Train a model on cases.

    PATHS are images or folders; without them, their names are read from standard input. The model file holds all that
    mri-predict needs; its name is printed when it is complete. Options that depend on the task are listed by
    mri-train --task NAME --help.

    \b
    Examples:
      mri-normalize scans/ --size 160 | mri-train -o model.h5
      mri-train patients/ --budget 30m -o seg.h5
    """
    from mri_tools.cli import stream
    from mrilib.training.budget import process_start
    from mrilib.training.run import Training

    began = process_start()
    cases, failed = stream.gather(paths, null=null, root=root, layout=layout,
                                  on_unused=stream.report_of(dry_run))
    chosen_task = tasks.detect(cases, task)
    settings = tasks.settings_of(chosen_task, setting_values(chosen, *(every.settings for every in tasks.every())))
    training = Training(chosen_task, cases, settings, output=output, curve=curve, split=split, fold=fold, resume=resume,
                        force=force, began=began, progress=progress,
                        fail=lambda error: complain(error, error))
    if dry_run:
        for line in training.lines():
            write(f"{line}\n")
    else:
        for model in training.models():
            emit(model.path)
    return 1 if failed or training.failed else 0


run = entry(main)
