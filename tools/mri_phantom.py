"""mri-phantom: synthetic heads with and without a tumour."""

from pathlib import Path

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import give_results
from mri_tools.cli.settings import Command, Number, Pair


@click.command(cls=Command)
@options.output("phantoms")
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, help="Number of phantoms.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first phantom.")
@click.option("--kind", type=click.Choice(["slices", "boxes", "volumes"]), default="slices", show_default=True,
              help="Slices in class folders, slices with the boxes of their tumours (YOLO), or volumes of four "
              "channels with label maps.")
@click.option("--tumours", type=Number(0, 1), default=None,
              help="Fraction of phantoms with a tumour.  [default: 0.5 of slices, all volumes]")
@click.option("--size", type=Pair(),
              help="Size in voxels.  [default: random for slices; 96,112,96 for volumes]")
@click.option("--noise", type=Number(0, 1), default=0.04, show_default=True,
              help="Standard deviation of the Rician noise, as a fraction of the brightest tissue.")
@click.option("--contrast", type=Number(0, 0.35), default=0.08, show_default=True,
              help="Relative standard deviation of a tissue's brightness between volumes.")
@click.option("--shapes", type=click.Path(path_type=Path), metavar="DIR",
              help="Take the tumour shapes of volumes from the label maps in this folder.  [default: generated]")
@options.scheme
@options.seed
@options.jobs
@options.force
@options.dry_run
@options.common
def main(output, number, first, kind, tumours, size, noise, contrast, shapes, scheme, seed, jobs, force, dry_run):
    """Generate synthetic heads with and without a tumour, labelled.

    Slices are written as PNG into the folders healthy/ and tumour/, those
    with boxes into images/ and labels/. Volumes are written as one folder per
    case with the file names of BraTS 2023; use --scheme brats2023 with them in
    the other tools. Each phantom depends on the seed and its number only:
    --first continues a set. Phantoms are not anatomy. A model trained on them
    is of no use for people.

    Accuracy on 400 new slices: constant guess 50 %, threshold on the
    brightest pixel 50 %, logistic regression on 32x32 pixels 56 %, a small
    network of mri-train (40 epochs) 93 %.

    \b
    Example:
      mri-phantom -n 200 -o phantoms && make classify DATA=phantoms
    """
    from mrilib.errors import UsageError
    from mrilib.parallel import ordered

    axes = 3 if kind == "volumes" else 2
    if size and len(size) not in (1, axes):
        raise UsageError(f"--size has {len(size)} numbers, a {'slice' if axes == 2 else 'volume'} {axes} axes")
    voxels = options.xyz_to_array(size, axes)
    if voxels and min(voxels) < 32:
        raise UsageError("--size: a head needs at least 32 voxels along each axis")
    if not force and output.is_dir() and any(output.iterdir()):
        raise UsageError("is not empty", where=output, remedy="--force adds to it and replaces, or choose another -o")
    if axes == 2 and (shapes or contrast != 0.08):
        raise UsageError("--shapes and --contrast are for --kind volumes")
    if scheme and not shapes:
        raise UsageError("--scheme has no effect without --shapes")
    known = shapes_of(shapes, scheme) if shapes else [None]
    share = tumours if tumours is not None else 0.5 if axes == 2 else 1.0
    target = {"slices": "mrilib.phantom:write_slice", "boxes": "mrilib.phantom:write_boxed",
              "volumes": "mrilib.phantom:write_volume"}[kind]

    def calls():
        for i in range(first, first + number):
            tumour = int((i + 1) * share) > int(i * share)  # evenly spread, the same for any --first
            more = (contrast, known[i % len(known)]) if axes == 3 else ()
            yield Path(f"phantom {i}"), (output, seed, i, tumour, voxels, noise, *more)

    if dry_run:
        return give_results(((p, f"{p}: {'tumour' if a[3] else 'healthy'} -> {output}") for p, a in calls()), "dry run")
    return give_results(ordered(target, calls(), jobs), "phantoms", number)


def shapes_of(folder: Path, scheme: str | None) -> list:
    """(case, label scheme) of every label map below a folder, with or without an image."""
    from dataclasses import replace

    from mrilib import cases
    from mrilib.errors import UsageError

    if not folder.exists():
        raise UsageError("no such file or folder", where=folder, remedy="check the name after --shapes")
    found = [case if case.label else replace(case, label=case.path) for case in cases.find([folder])]
    if without := next((case for case in found if not (scheme or case.scheme)), None):
        raise UsageError("has no label scheme", where=without.label, remedy="name it with --scheme")
    return [(case, scheme or case.scheme) for case in found]


run = entry(main)
