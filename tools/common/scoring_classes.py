"""mri-score of tables of classes: from the tables to the figures of all cases, and without those the model saw."""

from __future__ import annotations

from mri_tools.common import scoring
from mri_tools.common.reference import groups_of, mark_seen, need_classes, read_predictions, read_reference, units_of
from mri_tools.common.run import DONE, SOME_FAILED, complain, say, to_terminal, write
from mrilib.errors import UsageError
from mrilib.metrics import submission
from mrilib.records import write_text


def score(tables: list, o) -> int:
    """Score tables of classes as the options of mri-score say; returns the exit code."""
    limits = dict(scoring.limit(text) for text in o.fail_under)
    truth = read_reference(o.reference, o.layout, o.split, o.fold, o.part)
    need_classes(truth)
    submitted = read_predictions(tables)
    matched = submission.match(submitted, truth.classes).only(truth.chosen)
    mark_seen(matched, truth, o.models)
    missing = [name for name, place in zip(matched.ids, matched.predicted, strict=True) if place < 0]
    if others := len(submitted.classes) - (len(matched.ids) - len(missing)):
        say(f"{others} predictions are of cases that are not to be scored")
    if missing:
        what = "left out" if o.allow_missing else "counted as wrong"
        complain(f"{len(missing)} cases have no prediction and are {what}: {submission.some(missing)}")
    if o.allow_missing:
        matched = matched.only([name for name in matched.ids if name not in set(missing)])
    if not matched.ids:
        raise UsageError("no case is left to score")
    positive = scoring.positive_class(matched, o.positive)
    scoring.check_limits(limits, matched)
    unseen = [name for name, seen in zip(matched.ids, matched.seen, strict=True) if not seen]
    groups = {"all": matched.ids}
    if 0 < len(unseen) < len(matched.ids):
        groups["unseen"] = unseen
    if o.group_by:
        groups |= groups_of(o.group_by, matched.ids)
    table = []
    for name, ids in groups.items():
        some = matched.only(ids)
        units, resampled = units_of(some.ids, truth)
        table += scoring.rows(some, units, positive, name, o.level, o.resamples, o.seed, resampled)
    if count := len(matched.ids) - len(unseen):
        trained = matched.seen.count("train")
        say(f"the model saw {count} of the {len(matched.ids)} cases ({trained} in training, {count - trained} in "
            "validation): " + ("figures without them follow" if unseen else "these figures say little"))
    if o.per_case:
        write_text(o.per_case, scoring.case_table(matched))
    text = scoring.as_json(table, missing, matched) if o.as_json else None
    if o.output:
        write_text(o.output, text or scoring.as_csv(table))
    elif text is None and to_terminal():
        scoring.show(table, write)
    else:
        write(text or scoring.as_csv(table))
    under = scoring.below(table, limits)
    for line in under:
        complain(line)
    return SOME_FAILED if under or (missing and not o.allow_missing) else DONE
