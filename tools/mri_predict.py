"""mri-predict: apply a model to images."""

from pathlib import Path

import click

from mri_tools.common import options
from mri_tools.common.run import entry


@click.command()
@options.cases
@options.model
@options.output_file("CSV to write.")
@options.json_
@click.option("--explain", type=click.Path(path_type=Path), metavar="DIR",
              help="Write where the model looked (Grad-CAM) over each image, as DIR/CASE.png.")
@click.option("--flips/--no-flips", default=True, show_default=True,
              help="Average each image with its mirror image, left to right.")
@click.option("--as-is", is_flag=True, help="Take the images as they are, whatever the model's recipe.")
@options.split
@options.part
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True,
              help="Images that go through the network at once.")
@options.device
@click.option("--threads", type=click.IntRange(1), help="Threads of the network on the CPU.  [default: all cores]")
@options.jobs
@options.dry_run
@options.common
def main(paths, null, root, layout, models, output, as_json, explain, flips, as_is, split, fold, part, batch_size,
         device, threads, jobs, dry_run):
    """Apply a model to images and give a table of classes.

    PATHS are images or folders; with none, their names are read from
    standard input. The model file knows how its images must be prepared:
    images as given go through all of that, prepared ones through what is
    left of it. The table (CSV) goes to standard output: case, class, the
    probability of each class, and whether the model saw the case.

    \b
    Example:
      mri-predict -m model.h5 scans/ | mri-score --reference scans/
    """
    from mri_tools.common import predicting

    chosen = predicting.Models(models)
    wanted = predicting.cases_of_split(split, fold, part, chosen)
    found = predicting.selected(paths, wanted, null=null, root=root, layout=layout)
    if dry_run:
        return predicting.rehearse(found, chosen, as_is)
    network = predicting.Network(chosen, device=device, threads=threads, batch_size=batch_size, flips=flips)
    table = predicting.Table(chosen, output, as_json)
    return predicting.run(found, chosen, network, table, as_is=as_is, explain=explain, jobs=jobs)


run = entry(main)
