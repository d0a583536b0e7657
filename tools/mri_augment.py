"""mri-augment: more cases from few, by random changes."""

import click

from mri_tools.common import options
from mri_tools.common.run import entry

HELP = {
    "flip": "Mirror, each by chance: lr, ud, in volumes ap.",
    "rotate": "Degrees.",
    "shear": "Degrees.",
    "scale": "Factor of size.",
    "shift": "Along each axis, in mm, or % of the image.",
    "blur": "Width of a Gaussian, in mm, or % of the image.",
    "contrast": "Factor about the mean.",
    "brightness": "Factor above the lowest value.",
    "gamma": "Exponent of values scaled to 0..1.",
    "noise": "Deviation, as a share of the range of values.",
}


def transforms(command):
    for name in reversed(HELP):
        metavar = "lr,ud" if name == "flip" else "RANGE"
        command = click.option(f"--{name}", metavar=metavar, help=HELP[name])(command)
    return command


@click.command()
@options.cases
@options.output("augmented")
@click.option("-n", "--copies", type=click.IntRange(1), help="Copies of each case.  [default: 1]")
@transforms
@click.option("--preset", type=click.Choice(["light", "medium", "heavy"]), help="A set of changes to start from.")
@click.option("--settings", type=click.Path(dir_okay=False), help="Start from the changes in a TOML or JSON file.")
@click.option("--show", is_flag=True, help="Print the changes as such a file, and do nothing else.")
@click.option("--replay", type=click.Path(dir_okay=False), help="Make again what an augmented.csv lists.")
@click.option("--keep-originals", is_flag=True, help="Put each case itself beside its copies.")
@options.split
@click.option("--suffix", type=click.Choice([".tif", ".png", ".nii.gz", ".nii", ".mha"]),
              help="File format.  [default: .tif in 2D, .nii.gz for volumes]")
@options.seed
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, copies, preset, settings, show, replay, keep_originals, split, fold, suffix,
         seed, jobs, force, dry_run, **changes):
    """Make more cases from few, by random changes.

    PATHS are images or folders; with none, their names are read from
    standard input. Label maps and boxes move along, class folders stay.
    What was drawn for each copy is listed in augmented.csv.

    RANGE is a number, 15 for -15:15, a factor 0.1 for 0.9:1.1, or low:high;
    with @0.3 behind it, it happens to three copies in ten. none takes a
    change out of a set. With --split only training cases are augmented.

    \b
    Example:
      mri-augment scans/ -n 5 --rotate 15 --scale 0.9:1.1 --flip lr
    """
    from mri_tools.common.augmenting import augment, chosen, wanted

    drawn_from = chosen(changes, preset, settings, replay, copies=copies, keep_originals=keep_originals,
                        seed_given=click.get_current_context().get_parameter_source("seed"), show=show)
    if show:
        return 0
    keep = wanted(split, fold)
    return augment(paths, drawn_from, output, copies=copies or 1, keep_originals=keep_originals, keep=keep,
                   suffix=suffix, seed=seed, null=null, root=root, layout=layout, jobs=jobs, force=force,
                   dry_run=dry_run)


run = entry(main)
