"""mri-predict: apply a model to images."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.settings import Command


@click.command(cls=Command)
@options.cases
@options.model
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="CSV of classes, or folder of label maps.  [default: standard output, or predictions]")
@click.option("--flips/--no-flips", default=True, show_default=True,
              help="Average each image with its mirror image, left to right.")
@click.option("--as-is", is_flag=True, help="Take the images as they are, whatever the model's recipe.")
@options.split
@options.part
@click.option("--batch-size", type=click.IntRange(1),
              help="Images, or windows of images, that go through the network at once.  [default: 16, or by size]")
@options.device
@click.option("--threads", type=click.IntRange(1), help="Threads of the network on the CPU.  [default: all cores]")
@options.json_
@click.option("--explain", type=options.FolderToWrite(), metavar="DIR",
              help="Classes: write where the model looked (Grad-CAM) over each image, as DIR/CASE.png.")
@click.option("--probabilities", type=options.FolderToWrite(), metavar="DIR",
              help="Label maps: also write DIR/CASE/NAME of each label or region, float32.")
@click.option("--overlap", type=click.FloatRange(0, 0.9),
              help="Label maps: share of a window that the next one covers again.  [default: 0.5]")
@click.option("--flip-axes", metavar="x|xy|xyz", help="Label maps: mirror along these axes, all ways.  [default: x]")
@click.option("--mixed-precision", "precision", type=click.Choice(["auto", "off", "float16", "bfloat16"]),
              help="Label maps: compute in half the bits where the device does that fast.  [default: auto]")
@click.option("--keep-largest", is_flag=True, help="Label maps: keep the largest piece alone.")
@click.option("--min-volume", multiple=True, metavar="[PART=]MM3",
              help="Label maps: drop smaller pieces of each region, or of this label or region.")
@click.option("--fill-holes", is_flag=True, help="Label maps: fill holes.")
@click.option("--no-postprocess", is_flag=True,
              help="Label maps: leave out the post-processing that the model keeps, to which the three options above "
                   "add.")
@click.option("--scheme", metavar="NAME|1=a,2=b", help="Label maps: write the numbers of this scheme.  "
                                                       "[default: the model's]")
@click.option("--suffix", type=click.Choice([".nii.gz", ".nii", ".mha", ".png", ".tif"]),
              help="Label maps: file format.  [default: .nii.gz]")
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, models, output, flips, as_is, split, fold, part, batch_size, device, threads,
         as_json, explain, probabilities, overlap, flip_axes, precision, keep_largest, min_volume, fill_holes,
         no_postprocess, scheme, suffix, jobs, force, dry_run):
    """Apply a model to images: a table of classes, or label maps.

    PATHS are images or folders; with none, their names are read from
    standard input. The model file knows how its images must be prepared:
    images as given go through all of that, prepared ones through what is
    left of it.

    A model that classifies gives a table (CSV) on standard output: case,
    class, the probability of each class, and whether the model saw the case.
    One that segments writes a label map of each case on the grid that the
    case was first given on, and prints its name; a complete one of the same
    model and settings is kept.

    \b
    Examples:
      mri-predict -m model.h5 scans/ | mri-score --reference scans/
      mri-normalize scans/ | mri-predict -m seg.h5 | mri-score -r scans/
      mri-predict -m 'fold*.h5' scans/ --min-volume ET=50 -o submission
    """
    from mri_tools.common import predicting
    from mri_tools.common.convert import refuse_beside, refuse_output_in_input
    from mrilib.targets import check_file, check_folder

    chosen = predicting.Models(models)
    wanted = predicting.cases_of_split(split, fold, part, chosen)
    found = predicting.selected(paths, wanted, part, null=null, root=root, layout=layout)
    if chosen.task == "classify":
        from mri_tools.common import predicting_classes

        predicting.refuse(chosen, {
            "probabilities": probabilities, "overlap": overlap, "flip-axes": flip_axes, "mixed-precision": precision,
            "keep-largest": keep_largest, "min-volume": min_volume, "fill-holes": fill_holes,
            "no-postprocess": no_postprocess, "scheme": scheme, "suffix": suffix, "force": force,
        })  # fmt: skip
        if output:
            check_file(output)
        if explain:
            refuse_output_in_input(paths, explain)
        if dry_run:
            return predicting.rehearse(found, chosen, as_is)
        network = predicting_classes.Network(chosen, device=device, threads=threads, batch_size=batch_size or 16,
                                             flips=flips)
        table = predicting_classes.Table(chosen, output, as_json)
        return predicting_classes.run(found, chosen, network, table, as_is=as_is, explain=explain, jobs=jobs)
    from mri_tools.common import predicting_maps

    predicting.refuse(chosen, {"json": as_json, "explain": explain})
    output = output or Path("predictions")
    check_folder(output)
    refuse_output_in_input(paths, output)
    if probabilities:
        refuse_beside(paths, probabilities, output)
    settings = predicting_maps.settings_of(
        chosen, flips=flips, axes=flip_axes, overlap=overlap, precision=precision, as_is=as_is, scheme=scheme,
        suffix=suffix, stored=not no_postprocess, keep_largest=keep_largest, min_volume=min_volume,
        fill_holes=fill_holes)
    if dry_run:
        return predicting.rehearse(found, chosen, as_is, output)
    network = predicting_maps.Network(chosen, settings, device=device, threads=threads, batch_size=batch_size)
    return predicting_maps.run(found, chosen, settings, network, output, probabilities=probabilities, force=force,
                               jobs=jobs)


run = entry(main)
