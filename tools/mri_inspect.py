"""mri-inspect: what a folder, a case, a model or this machine holds."""

import click

from mri_tools.cli import options
from mri_tools.cli.main import entry
from mri_tools.cli.output import DONE, SOME_FAILED, complain, progress, write, write_lines
from mri_tools.cli.settings import Command

MODELS = (".h5", ".keras")


@click.command(cls=Command)
@options.cases
@options.boxes
@options.scheme_of_cases
@click.option("--device", is_flag=True, help="Show what this machine offers, and why a GPU lies idle.")
@click.option("--duplicates/--no-duplicates", default=True, show_default=True,
              help="Search for copies among the cases.")
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
    from mri_tools.cli import stream
    from mrilib import inspection
    from mrilib.errors import CaseError, UsageError
    from mrilib.store import write_text

    if copies and not duplicates:
        raise UsageError("--copies has no effect with --no-duplicates")
    tables = per_case or copies
    if device:
        if paths or tables:
            raise UsageError("--device is about this machine and takes no PATHS")
        return _write([inspection.of_machine()], as_json)
    models = [path for path in paths if path.suffix.lower() in MODELS]
    if models and (len(models) < len(paths) or tables):
        raise UsageError("models are inspected by themselves", remedy="give cases to another mri-inspect")
    if models:
        reports = []
        for path in models:
            try:
                reports.append(inspection.of_model(path))
            except CaseError as error:
                complain(error, error)
        _write(reports, as_json, indent=None)
        return DONE if len(reports) == len(models) else SOME_FAILED
    unused: list = []
    cases = stream.each(paths, null=null, root=root, layout=layout, on_unused=unused.append)
    report = inspection.of_cases(cases, unused, title=" ".join(map(str, paths)), copies=duplicates, jobs=jobs,
                                 progress=progress)
    for error in report.errors:
        complain(error, error)
    if per_case:
        write_text(per_case, report.per_case())
    if copies:
        write_text(copies, report.copies_table())
    _write([report], as_json)
    return SOME_FAILED if report.errors else DONE


def _write(reports: list, as_json: bool, indent: int | None = 1) -> int:
    """Write reports to standard output; returns the exit code."""
    import json

    for report in reports:
        if as_json:
            write(json.dumps(report.data, indent=indent) + "\n")
        else:
            write_lines(report.lines)
    return DONE


run = entry(main)
