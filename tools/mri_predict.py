"""mri-predict: apply a model to images."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.settings import Command, from_settings, setting_values
from mrilib import tasks

TASKS = tasks.every()


@click.command(cls=Command)
@options.cases
@options.model
@options.split
@options.part
@options.option("-o", "--output", type=click.Path(path_type=Path), section="output",
                help="Table, or folder of label maps.  [default: standard output, or predictions]")
@from_settings(*(task.prediction for task in TASKS), tasks=[task.name for task in TASKS])
@options.device
@options.jobs
@options.json_
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, models, split, fold, part, output, device, jobs, as_json, force, dry_run, **chosen):
    """Apply a model to images: a table of classes or boxes, or label maps.

    PATHS are images or folders; without PATHS, names are read from standard
    input. The model file says how its images must be prepared: raw images go
    through all steps, prepared images through the remaining steps.

    A model that classifies gives a table (CSV) on standard output: case,
    class, the probability of each class, and whether the model saw the case.
    A model that localises gives a row for each box: case, x0, y0, x1, y1 in
    pixels of the image as given, class, score, and whether the model saw the
    case; a row without numbers says that the case has no box. A volume goes
    through slice by slice, and its boxes have z0 and z1, too.
    A model that segments writes a label map of each case on the native grid
    and prints its name. A complete label map of the same model and settings
    is kept. With --boxes it gives the table of boxes instead.

    \b
    Examples:
      mri-predict -m model.h5 scans/ | mri-score --reference scans/
      mri-normalize scans/ | mri-predict -m seg.h5 | mri-score -r scans/
      mri-predict -m 'fold*.h5' scans/ --min-volume ET=50 -o submission
    """
    from mri_tools.cli import output as results
    from mri_tools.cli import stream
    from mrilib.inference import run as road
    from mrilib.inference import selection
    from mrilib.tasks import predicting

    settings = setting_values(chosen, *(task.prediction for task in TASKS))
    settings |= {"device": device, "json": as_json or None, "force": force or None}
    predictor = predicting.predictor_of(models, settings, output)
    ids = selection.ids_of(split, fold, part, predictor.models)
    predictor.check_inputs([path for path in paths if path != stream.STDIN])
    cases = selection.chosen(stream.each(paths, null=null, root=root, layout=layout), ids, part)
    if dry_run:
        return results.give_results(road.rehearse(predictor, cases), "cases")
    with predicting.written(predictor, results.write) as add:
        give = add if predictor.gives_table else results.emit
        return results.give_results(road.predict(predictor, cases, jobs), "cases", give=give)


run = entry(main)
