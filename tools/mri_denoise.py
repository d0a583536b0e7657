"""mri-denoise: remove noise from images."""

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import program
from mri_tools.cli.settings import Command
from mrilib.images.registry import DENOISERS


@click.command(cls=Command)
@options.cases
@options.scheme_of_cases
@options.output("denoised")
@click.option("--method", type=click.Choice(list(DENOISERS)), default="nlm", show_default=True,
              help="How noise is removed.")
@click.option("--sigma", type=click.FloatRange(0, min_open=True),
              help="Standard deviation of the noise, for all but median and gaussian.  [default: estimated]")
@click.option("--noise", type=click.Choice(["rician", "gaussian"]),
              help="What nlm takes it for: a scanner's magnitude, or else.  [default: rician]")
@click.option("--varying/--even", default=None,
              help="Whether nlm follows noise that varies slowly by much.  [default: varying, unless --sigma]")
@click.option("--radius", type=click.IntRange(1), help="Half width of the median's window, in voxels.  [default: 1]")
@click.option("--width", type=click.FloatRange(0, min_open=True),
              help="Reach of gaussian and bilateral, in mm.  [default: 1 voxel; of bilateral 1.2]")
@click.option("--residual", type=options.FolderToWrite(), metavar="DIR",
              help="Write what was removed, too, as images below this folder.")
@options.suffix
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, method, sigma, noise, varying, radius, width, residual,
         suffix, jobs, force, dry_run):
    """Remove noise from images and volumes.

    PATHS are images or folders; with none, their names are read from
    standard input. Each finished image is written below the output
    folder and its name is printed, so commands can be joined by a pipe.

    \b
    nlm        non-local means between two passes of cosine blocks: the best,
               where noise varies across the image, too
    median     the middle of each window
    gaussian   smooths alike everywhere
    bilateral  smooths among like values only
    curvature  diffuses along edges, not across
    tv         total variation: flat pieces, sharp edges
    wavelet    soft thresholds on wavelets

    \b
    Example:
      mri-denoise scans/ | mri-normalize --size 224
    """
    from mri_tools.common.convert import convert
    from mrilib.errors import UsageError
    from mrilib.recipe.definition import Step, complete

    if varying and sigma:
        raise UsageError("--varying has no effect beside --sigma, which is one for the whole image")
    if method == "nlm" and varying is None:
        varying = sigma is None
    given = {"sigma": sigma, "noise": noise, "varying": varying, "radius": radius, "width": width}
    steps = [Step(method, complete(method, given))]
    return convert(paths, steps, output, program=program(), suffix=suffix, null=null, root=root, layout=layout,
                   jobs=jobs, force=force, dry_run=dry_run, residual=residual)


run = entry(main)
