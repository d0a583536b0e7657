"""mri-score: what was given decides who scores it, and which options make sense."""

from __future__ import annotations

from types import SimpleNamespace

import click
from click.core import ParameterSource

from mri_tools.common import submitted
from mrilib.errors import UsageError

OF_MAPS = ("scheme", "predicted_scheme", "regions", "each_label", "metrics", "hd95", "tolerances", "lesion_dilation",
           "lesion_connectivity", "lesion_volume", "lesion_penalty", "empty", "jobs",
           "fix_orientation")
OF_CLASSES = ("positive",)
OF_SEVERAL = ("rank_by",)
OF_FIGURES = ("reference", "output", "per_case", "as_json", "fail_under", "models", "dry_run", "regions", "each_label",
              "metrics", "hd95", "tolerances", "lesion_dilation", "lesion_connectivity", "lesion_volume",
              "lesion_penalty", "empty", "allow_missing", "positive", "level", "resamples", "seed", "group_by",
              "rank_by")


def score(predictions: tuple, null: bool, layout, given: dict) -> int:
    """Score what was given as the options say; returns the exit code. layout: a Reading."""
    o = SimpleNamespace(**given, layout=layout)
    if o.check:
        from mri_tools.common import checking

        _no_effect("--check", OF_FIGURES)
        if o.like is None:
            raise UsageError("--check needs --like", remedy="name the folder of the cases")
        found = submitted.given(predictions, null)
        if isinstance(found[0], submitted.Table):
            _no_effect("tables", ("scheme", "predicted_scheme"))
        return checking.check(found, o)
    if o.like is not None:
        raise UsageError("--like has no effect without --check")
    if o.reference is None:
        raise click.UsageError("Missing option '--reference' / '-r'.")
    found = submitted.given(predictions, null)
    if isinstance(found[0], submitted.Table):
        from mri_tools.common import scoring_boxes, scoring_classes, scoring_tables

        _no_effect("tables", (*OF_MAPS, "dry_run"))
        kind = scoring_boxes if "x0" in found[0].columns else scoring_classes
        if kind is scoring_boxes:
            _no_effect("boxes", OF_CLASSES)
        submissions = submitted.apart(found)
        _no_effect("one submission", OF_SEVERAL if len(submissions) == 1 else ())
        return scoring_tables.score(submissions, o, kind)
    from mri_tools.common import scoring_maps

    _no_effect("label maps", OF_CLASSES)
    _no_effect("one submission", OF_SEVERAL if len(found) == 1 else ())
    return scoring_maps.score(found, o)


def _no_effect(what: str, names: tuple[str, ...]) -> None:
    """Raise UsageError when an option that changes nothing here stands on the command line."""
    context = click.get_current_context()
    for param in context.command.params:
        if param.name in names and context.get_parameter_source(param.name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"{param.opts[-1]} has no effect on {what}")
