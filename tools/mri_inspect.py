"""mri-inspect: what a folder, a case, a model or this machine holds."""

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, progress, to_terminal, write

MODELS = (".h5", ".keras")


@click.command()
@options.cases
@options.scheme_of_cases
@click.option("--device", is_flag=True, help="What this machine offers, and why a GPU lies idle.")
@click.option("--duplicates/--no-duplicates", default=True, show_default=True, help="Look for copies among the cases.")
@click.option("--per-case", type=options.FileToWrite(), help="CSV of each case: size, spacing, values, labels.")
@click.option("--copies", type=options.FileToWrite(), help="CSV to list every pair of copies in.")
@options.json_
@options.jobs
@options.common
def main(paths, null, root, layout, device, duplicates, per_case, copies, as_json, jobs):
    """Show what a folder, a case, a model or this machine holds.

    PATHS are images, folders or model files; with none, names are read from
    standard input. Of cases: first copies and subjects that the parts of a
    given split share, then the layout understood, classes, sizes, spacings,
    orientation, channels, values, label numbers with what they mean and how
    large their regions are, damaged files (exit 1). Of a model: its record,
    without opening the model. Lines are `name: text`.

    \b
    Examples:
      mri-inspect scans/
      mri-inspect model.h5
      mri-inspect --device
    """
    import json

    from mri_tools.common import inspecting
    from mrilib import duplicates as duplicates_of
    from mrilib import inspect
    from mrilib.errors import UsageError
    from mrilib.store import write_text
    from mrilib.unused import notes

    if copies and not duplicates:
        raise UsageError("--copies has no effect with --no-duplicates")
    if device:
        if paths or per_case or copies:
            raise UsageError("--device is about this machine and takes no PATHS")
        return inspecting.machine(as_json, write)
    models = [path for path in paths if path.suffix.lower() in MODELS]
    if models and (len(models) < len(paths) or per_case or copies):
        raise UsageError("models are inspected by themselves", remedy="give cases to another mri-inspect")
    if models:
        return inspecting.models(models, as_json, write)
    unused: list = []
    with progress("look") as bar:
        cases, seen, failed = inspecting.look_at_all(paths, null, root, layout, jobs, duplicates, bar.step,
                                                     lambda left: unused.extend(notes(left)))
    for error in failed:
        complain(error, error)
    pairs = inspect.copies(cases, seen)
    lines = inspecting.about(paths, cases, seen, failed, unused, pairs)
    if copies:
        write_text(copies, duplicates_of.table(cases, pairs))
    if per_case:
        inspecting.write_table(per_case, cases, seen)
    if as_json:
        write(json.dumps({"summary": lines, "cases": inspecting.as_dicts(cases, seen),
                          "copies": duplicates_of.rows(cases, pairs),
                          "damaged": [str(error) for error in failed]}, indent=1) + "\n")
    elif to_terminal():
        inspecting.show(lines, write)
    else:
        write("".join(f"{name}: {text}\n" for name, text in lines))
    return SOME_FAILED if failed else DONE


run = entry(main)
