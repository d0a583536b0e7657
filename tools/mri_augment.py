"""mri-augment: more cases from few, by random changes."""

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.settings import Command

HELP = {
    "flip": "Mirror, each by chance: lr, ud, in volumes ap.",
    "rotate": "Degrees; of volumes about each axis, of thick slices in their plane.",
    "shear": "Degrees.",
    "scale": "Factor of size.",
    "stretch": "Factor of size, each axis its own.",
    "shift": "Along each axis, in mm, or % of the image.",
    "perspective": "How far each corner of a picture is pulled, mm or %.",
    "elastic": "How far points of the image are pulled, mm or %.",
    "elastic-width": "How far these points are apart, mm or %.  [default: 25%]",
    "contrast": "Factor about the mean.",
    "brightness": "Factor above the lowest value.",
    "gamma": "Exponent of values scaled to 0..1.",
    "inverse-gamma": "The same of the values turned over.",
    "histogram": "How far steps of the grey scale move, of a step.",
    "bias": "Strength of a smooth field; 0.3 is some 30 % either way.",
    "blur": "Width of a Gaussian, in mm, or % of the image.",
    "low-resolution": "Times coarser, each axis its own.",
    "ghosting": "Share of the image in displaced copies.",
    "sharpen": "Strength of an unsharp mask.",
    "noise": "Deviation, as a share of the range of values.",
    "rician": "The same of Rician noise.",
    "cutout": "Side of a hole, as a share of the image's.",
    "dropout": "Channels, a whole number, set to their lowest value.",
}


def transforms(command):
    for name in reversed(HELP):
        metavar = "lr,ud" if name == "flip" else "RANGE"
        command = click.option(f"--{name}", metavar=metavar, help=HELP[name])(command)
    return command


@click.command(cls=Command)
@options.cases
@options.scheme_of_cases
@options.output("augmented")
@click.option("-n", "--copies", type=click.IntRange(1), help="Copies of each case.  [default: 1]")
@transforms
@click.option("--interpolation", type=click.Choice(["linear", "cubic"]), help="Of images.  [default: linear]")
@click.option("--labels", type=click.Choice(["nearest", "smooth"]), help="Of label maps.  [default: nearest]")
@click.option("--tones", type=click.Choice(["alike", "apart"]),
              help="Contrast, brightness, gamma: of all channels alike, or of each its own.  [default: alike]")
@click.option("--preset", type=click.Choice(["light", "medium", "heavy"]), help="A set of changes to start from.")
@click.option("--settings", type=click.Path(dir_okay=False), help="Start from the changes in a TOML or JSON file.")
@click.option("--show", is_flag=True, help="Print the changes as such a file; of none, what there is.")
@click.option("--preview", type=options.FileToWrite(), metavar="PNG",
              help="Only show twelve draws of the first case, with their numbers.")
@click.option("--replay", type=click.Path(dir_okay=False), help="Make again what an augmented.csv lists.")
@click.option("--keep-originals", is_flag=True, help="Put each case itself beside its copies.")
@options.split
@options.suffix
@options.seed
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, copies, preset, settings, show, preview, replay, keep_originals, split,
         fold, suffix, seed, jobs, force, dry_run, **changes):
    """Make more cases from few, by random changes.

    PATHS are images or folders; with none, their names are read from
    standard input. Label maps and boxes move along, class folders stay.
    What was drawn for each copy is listed in augmented.csv.

    RANGE is a number, 15 for -15:15, a factor 0.1 for 0.9:1.1, a strength
    2 for 0:2, or low:high; with @0.3 behind it, it happens to three copies
    in ten. none takes a change out of a set. What moves the image is one
    resampling, and the head is kept in view. With --split only training
    cases are augmented.

    \b
    Example:
      mri-augment scans/ -n 5 --rotate 15 --scale 0.9:1.1 --flip lr
    """
    from mri_tools.common.augmenting import augment, chosen, wanted

    drawn_from = chosen(changes, preset, settings, replay, copies=copies, keep_originals=keep_originals,
                        seed_given=click.get_current_context().get_parameter_source("seed"), show=show,
                        preview=preview)
    if show:
        return 0
    keep = wanted(split, fold)
    if preview:
        from mri_tools.common.augment_preview import sheet

        return sheet(paths, drawn_from["settings"], preview, keep, seed=seed, null=null, root=root, layout=layout)
    return augment(paths, drawn_from, output, copies=copies or 1, keep_originals=keep_originals, keep=keep,
                   suffix=suffix, seed=seed, null=null, root=root, layout=layout, jobs=jobs, force=force,
                   dry_run=dry_run)


run = entry(main)
