"""mri-normalize: bring images to one geometry and one intensity scale."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, program
from mri_tools.cli.settings import Command
from mrilib.images.registry import BIAS, EDGES, NORMALIZERS


@click.command(cls=Command)
@options.cases
@options.scheme_of_cases
@options.output("normalized")
@click.option("--grey", is_flag=True, help="Make colours, as of a photographed screen, one channel.")
@click.option("--reorient", metavar="CODE", help="Turn the axes of volumes by quarters, to RAS or another such code.")
@click.option("--align", type=click.Choice(["rigid", "headers"]),
              help="Bring all channels to the grid of the first: registered to it, or as their headers say.")
@click.option("--brain", is_flag=True, help="Set to 0 what is not brain, in volumes of heads with their skull.")
@click.option("--crop", is_flag=True, help="First cut away what lies around the head, or the brain.")
@click.option("--margin", type=click.FloatRange(0), help="What --crop leaves around the head, in mm.  [default: 0]")
@click.option("--spacing", type=options.Pair(float), help="Resample to this distance of voxels, in mm.")
@click.option("--size", type=options.Pair(), help="Bring to this many voxels, aspect kept.")
@click.option("--fit", type=click.Choice(["pad", "crop", "keep"]),
              help="What --size does: scale and fill up, scale and cut off, or keep the scale.  [default: pad]")
@click.option("--bias", type=click.Choice(list(BIAS)),
              help="Take the bias field away, by N4.")
@click.option("--field", type=options.FolderToWrite(), metavar="DIR",
              help="Write the bias field, too, as images below this folder.")
@click.option("--method", type=click.Choice([*NORMALIZERS, "none"]),
              help="How the scale of intensities is chosen.  [default: zscore]")
@click.option("--learn", type=click.Path(exists=True, path_type=Path), metavar="PATH",
              help="What nyul and histogram learn from: a folder of training cases, or one case as the reference.")
@options.split
@click.option("--region", type=click.Choice(["image", "foreground"]),
              help="Where intensities are measured.  [default: foreground; minmax and percentile image]")
@click.option("--peak", type=click.Choice(["last", "largest"]),
              help="White matter's for whitestripe: last of T1, largest of T2 and FLAIR.  [default: last]")
@click.option("--low", type=click.FloatRange(0, 100), help="Lower percentile.  [default: 1]")
@click.option("--high", type=click.FloatRange(0, 100), help="Upper percentile.  [default: 99]")
@click.option("--clip/--no-clip", default=None, help="Cut values beyond the percentiles.  [default: clip]")
@click.option("--tissue", type=click.Choice(["wm", "gm", "csf"]),
              help="Whose mean becomes 1 with tissue: white matter's, grey matter's or fluid's.  [default: wm]")
@click.option("--edges", type=click.Choice(list(EDGES)), help="Add the strength of edges as a channel.")
@click.option("--like", type=click.Path(exists=True, path_type=Path), metavar="PATH",
              help="Prepare as this model, recipe.json or prepared folder was, by all its steps and what they learned.")
@options.suffix
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, grey, align, reorient, brain, crop, margin, spacing, size, fit, bias, field,
         method, learn, split, fold, region, peak, low, high, clip, tissue, edges, like, suffix, jobs, force, dry_run):
    """Bring images to one geometry and one intensity scale.

    PATHS are images or folders; with none, their names are read from
    standard input. Each finished image is written below the output
    folder and its name is printed, so commands can be joined by a pipe.
    Order: grey, align, reorient, brain, crop, spacing, size, bias, intensity, edges.

    What a method learns is kept with the output's recipe: prediction and
    --like repeat it. With --learn and no PATHS, its own cases are prepared
    (- reads names from standard input).

    \b
    Examples:
      mri-normalize scans/ --size 224 | mri-predict --model model.h5
      mri-normalize --method nyul --learn train/ -o norm/
      mri-normalize --like norm/ new/ -o norm-new/
    """
    from mri_tools.common import recipes
    from mri_tools.common.convert import convert
    from mrilib.errors import UsageError
    from mrilib.recipe.definition import Step, complete

    how = {"program": program(), "suffix": suffix, "null": null, "root": root, "layout": layout, "jobs": jobs,
           "force": force, "dry_run": dry_run, "field": field}  # fmt: skip
    if like:
        recipes.refuse_beside_like(click.get_current_context().params)
        return convert(paths, recipes.like(like, field), output, **how)
    steps = []

    def add(step, **given):
        steps.append(Step(step, complete(step, given)))

    for name, value, other, needs in (("margin", margin, "crop", crop), ("fit", fit, "size", size),
                                      ("field", field, "bias", bias)):  # fmt: skip
        if value is not None and not needs:
            raise UsageError(f"--{name} has no effect without --{other}")
    if grey:
        add("grey")
    if align:
        add("align", method=align)
    if reorient:
        add("reorient", orientation=reorient.upper())
    if brain:
        add("brain")
    if crop:
        add("crop", margin=margin)
    if spacing:
        add("spacing", spacing=list(spacing[::-1]))
    if size and fit == "keep":
        add("pad", size=list(size[::-1]))
    elif size:
        add("resize", size=list(size[::-1]), fit=fit)
    if bias:
        add(bias)
    scale = {"region": region, "peak": peak, "low": low, "high": high, "clip": clip, "tissue": tissue}
    method, place = method or "zscore", len(steps)
    if method != "none":
        add(method, **scale)
        if steps[-1].parameters.get("low", 0) >= steps[-1].parameters.get("high", 1):
            raise UsageError("--low and --high are not in order")
    elif given := [f"--{name}" for name, value in scale.items() if value is not None]:
        raise UsageError(f"{given[0]} has no effect with --method none")
    recipes.check_learning(method, learn, split, fold)
    if edges:
        add(edges)
    if not steps:
        raise UsageError("nothing to do with --method none", remedy="see --help for the steps")
    fine = True
    if learn and not dry_run:
        steps, fine = recipes.learned(steps, place, learn, output, split=split, fold=fold, root=root, layout=layout,
                                      jobs=jobs)
    code = convert(recipes.to_prepare(paths, learn), steps, output, **how)
    return code or (DONE if fine else SOME_FAILED)


run = entry(main)
