"""mri-score of tables of boxes: from the tables to the figures of all cases, and without those the model saw."""

from __future__ import annotations

import json
import math

from mri_tools.common import scoring
from mri_tools.common.reference import groups_of, read_reference, seen_by, units_of
from mri_tools.common.run import DONE, SOME_FAILED, complain, say, to_terminal, write
from mrilib.errors import UsageError
from mrilib.metrics import pairing
from mrilib.records import csv_text, write_text

FIGURES = ("ap", "ap50", "ap75", "froc", "sensitivity_at_1", "iou", "hit_rate")


def score(tables: list, o) -> int:
    """Score tables of boxes as the options of mri-score say; returns the exit code."""
    from mrilib.metrics import boxes

    limits = dict(_limit(text) for text in o.fail_under)
    truth = read_reference(o.reference, o.layout, o.split, o.fold, o.part)
    true = {name: truth.cases[name].boxes for name in truth.chosen}
    if not any(true.values()):
        raise UsageError("no case has a box", where=o.reference, remedy="give images with YOLO or COCO boxes, or a "
                         "CSV with columns file,x0,y0,x1,y1")
    submitted = None
    for table in tables:
        submitted = boxes.read(table.text, table.where, submitted)
    pairs = {ref: mine for mine, ref in pairing.pair(submitted.of, truth.cases).items()}
    known = seen_by(o.models, truth, truth.chosen)
    seen = {name: known.get(name) or submitted.seen.get(pairs.get(name, ""), "") for name in truth.chosen}
    predicted = {name: submitted.of[pairs[name]] for name in truth.chosen if name in pairs}
    classes = _classes(true, predicted)
    missing = [name for name in truth.chosen if name not in pairs]
    if missing:
        what = "left out" if o.allow_missing else "counted as without a box"
        complain(f"{len(missing)} cases have no prediction and are {what}: {pairing.some(missing)}")
    names = [name for name in truth.chosen if not o.allow_missing or name in pairs]
    groups, unseen = {"all": names}, [name for name in names if not seen[name]]
    if count := len(names) - len(unseen):
        say(f"the model saw {count} of the {len(names)} cases: "
            + ("figures without them follow" if unseen else "these figures say little"))
        if unseen:
            groups["unseen"] = unseen
    if o.group_by:
        groups |= groups_of(o.group_by, names)
    table = [row for cases, some in groups.items() for row in _rows(some, predicted, true, classes, truth, cases, o)]
    if o.per_case:
        write_text(o.per_case, _case_table(names, predicted, true, seen))
    _give(table, missing, o)
    under = [f"{row['metric']} is {row['value']:.6g}, under {limits[row['metric']]:g}" for row in table
             if row["cases"] == "all" and row["metric"] in limits and not row["value"] >= limits[row["metric"]]]
    for line in under:
        complain(line)
    return SOME_FAILED if under or (missing and not o.allow_missing) else DONE


def _classes(true: dict, predicted: dict) -> list[str]:
    """The classes of the true boxes; [""] where they have none or one, or predictions tell none apart."""
    known = {box[4] or "" for some in true.values() for box in some}
    called = {box[4] for some in predicted.values() for box in some}
    if len(known) < 2 or called <= {""}:
        return [""]
    if strange := sorted(called - known):
        raise UsageError(f"the class predicted {strange[0]!r} is none of the reference's "
                         f"({pairing.some(sorted(known))})", remedy="give both the same names")
    return sorted(known)


def _rows(names, predicted, true, classes, truth, cases: str, o) -> list[dict]:
    from mrilib.metrics.boxes import all_figures
    from mrilib.metrics.statistics import bootstrap

    units, resampled = units_of(names, truth)
    figures = all_figures(predicted, {name: true[name] for name in names}, classes)
    made = bootstrap(figures, units, level=o.level, count=o.resamples, seed=o.seed)
    return [{"metric": name, "class": "", "value": float(made[name][0]), "low": float(made[name][1]),
             "high": float(made[name][2]), "unit": "", "n": len(names), "cases": cases, "level": o.level,
             "resamples": o.resamples, "seed": o.seed, "resampled": resampled} for name in FIGURES]


def _case_table(names, predicted, true, seen) -> str:
    """CSV case,true,predicted,iou,seen: numbers of boxes, and the overlap of the surest one."""
    from mrilib.metrics.boxes import top_iou

    rows = [["case", "true", "predicted", "iou", "seen"]]
    for name in names:
        called = predicted.get(name, ())
        overlap = f"{top_iou(called, true[name]):.6g}" if true[name] else ""
        rows.append([name, len(true[name]), len(called), overlap, seen[name]])
    return csv_text(rows)


def _give(table: list[dict], missing: list[str], o) -> None:
    if o.as_json:
        plain = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in table]
        text = json.dumps({"figures": plain, "missing": missing}, indent=1, allow_nan=False) + "\n"
    elif not o.output and to_terminal():
        scoring.show(table, write)
        return
    else:
        text = scoring.as_csv(table)
    if o.output:
        write_text(o.output, text)
    else:
        write(text)


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        if name not in FIGURES:
            raise ValueError
        return name, float(value)
    except ValueError as error:
        raise UsageError(f"--fail-under {text}: not METRIC=VALUE", remedy=f"known: {' '.join(FIGURES)}") from error
