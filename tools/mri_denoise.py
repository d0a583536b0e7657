"""mri-denoise: remove noise from images."""

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import give_results
from mri_tools.cli.settings import Command, from_settings, option, setting_values
from mri_tools.cli.stream import each, report_of
from mrilib.recipe.settings import DenoiseSettings


@click.command(cls=Command)
@options.cases
@options.scheme_of_cases
@from_settings(DenoiseSettings)
@options.output("denoised")
@option("--residual", type=options.FolderToWrite(), metavar="DIR", section="output",
        help="Also write what was removed, as images below this folder.")
@options.suffix
@options.jobs
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, residual, suffix, jobs, force, dry_run, **settings):
    """Remove noise from images and volumes.

    PATHS are images or folders; without them, names are read from
    standard input. Each finished image is written below the output
    folder and its name is printed, so commands can be joined by a pipe.

    \b
    nlm        non-local means between two passes over cosine blocks; the most
               accurate, also where the noise varies across the image
    median     median filter
    gaussian   Gaussian filter
    bilateral  average of near voxels of similar values
    curvature  diffusion along edges, not across them
    tv         total variation: flat regions with sharp edges
    wavelet    soft thresholds on wavelet coefficients

    \b
    Example:
      mri-denoise scans/ | mri-normalize --size 224
    """
    from mrilib.preparation import denoised

    settings = DenoiseSettings.from_dict(setting_values(settings, DenoiseSettings))
    cases = each(paths, null=null, root=root, layout=layout, on_unused=report_of(dry_run))
    run = options.run_of(paths, suffix=suffix, jobs=jobs, force=force, dry_run=dry_run)
    return give_results(denoised(cases, settings, output, run, residual), "dry run" if dry_run else "cases")


run = entry(main)
