"""mri-train: fit a model to cases."""


import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import complain, emit, progress, say
from mri_tools.cli.settings import Command
from mri_tools.common import training_options


@click.command(cls=Command)
@options.cases
@options.output("model.h5", "The model file, .h5 or .keras.", options.FileToWrite)
@click.option("--task", type=click.Choice(["auto", "classify", "segment"]), default="auto", show_default=True,
              help="What the model is to do; auto: classify where cases have classes, else label maps.")
@options.split
@click.option("--validation", type=click.FloatRange(0, 1, max_open=True),
              help="Part of the cases kept for validation.  [default: 0.15 with --patience or plateau, else 0]")
@training_options.network
@training_options.of_classes
@training_options.of_maps
@training_options.learning
@click.option("--curve", type=options.FileToWrite(),
              help="CSV of the epochs.  [default: beside the model]")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run of the same options ended.")
@options.device
@training_options.machine
@options.seed
@options.force
@options.dry_run
@options.common
def main(paths, null, root, layout, output, task, split, fold, validation, size, curve, resume, device, mixed, threads,
         seed, force, dry_run, **given):
    """Fit a model to cases: classes of images, or label maps.

    PATHS are images or folders; with none, their names are read from
    standard input. The model file holds all that mri-predict needs; its
    name is printed when it is complete. For classes, images must be of
    one size. For label maps, images as given are brought to a common
    scale here, and the network is planned from the data.

    \b
    Examples:
      mri-normalize scans/ --size 160 | mri-train -o model.h5
      mri-train patients/ --budget 30m -o seg.h5
    """
    from mri_tools.cli import stream
    from mri_tools.common import training

    training.check_output(output, resume)
    cases, failed = stream.gather(paths, null=null, root=root, layout=layout,
                                  on_unused=stream.in_full if dry_run else stream.briefly)
    task = training.task_of(cases, task)
    settings = training_options.settings({**given, "size": size, "seed": seed}, task)
    if task == "segment":
        from mri_tools.common import segmenting

        return segmenting.run(
            cases, failed, settings, output, split=split, fold=fold, validation=validation, folds=given["folds"],
            scheme=given["scheme"], cache=given["cache"], memory=given["memory"], device=device, mixed=mixed,
            threads=threads, curve=curve, resume=resume, force=force, dry_run=dry_run,
            tune=given["tune_postprocess"])  # fmt: skip
    parts, origin = training.parts(cases, failed, split, fold, validation, settings, threads)
    settings = training.complete(settings, parts, cases)
    if dry_run:
        training.describe(cases, parts, settings, output)
        return 1 if failed else 0
    from mrilib import gpu
    from mrilib.training import classify, data
    from mrilib.training.settings import DEPTHWISE

    setup = gpu.setup(device, mixed=mixed, threads=threads, seed=seed,
                      depthwise=settings.backbone in DEPTHWISE)
    say(setup.line)

    def fail(case, error):
        failed.append(error)
        complain(error if error.where else f"{case.path}: {error}", error)

    with progress("reading", len(parts)) as bar:
        loaded = data.load(cases, parts, step=bar.step, fail=fail)
    training.check_held(settings, len(loaded.places("validation")))
    training.check_size(loaded.images.shape, options.xyz_to_array(size))
    run = classify.description(loaded, settings, setup)
    if training.is_done(output, run, force):
        say(f"{output} is of this very run: kept")
    else:
        checkpoint = training.checkpoint_of(output, run, resume, force)
        with training.Watch(settings, loaded, training.curve_of(output, curve)) as watch:
            model, record = classify.fit(loaded, settings, setup, checkpoint=checkpoint, resume=resume, watch=watch)
        training.save(output, model, {**record, "run": run}, origin, checkpoint)
        watch.summary(model, record, output)
    emit(output)
    return 1 if failed else 0


run = entry(main)
