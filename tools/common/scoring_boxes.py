"""What mri-score makes of tables of boxes: predictions matched with the truth, rows of figures with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from mri_tools.common.reference import Reference
from mrilib.errors import UsageError
from mrilib.evaluation import pairing

FROC = tuple(f"sensitivity_at_{false}" for false in ("0.125", "0.25", "0.5", "1", "2", "4", "8"))
FIGURES = ("ap", "ap50", "ap75", "froc", *FROC, "iou", "hit_rate")
BETTER = dict.fromkeys(FIGURES, 1)
SUCH_AS, MISSING = "ap50=0.5", "counted as without a box"


@dataclass
class Matched:
    """Predicted and true boxes of each case by its id, and the classes that are told apart ([""]: none)."""

    predicted: dict[str, list[tuple]]
    true: dict[str, list[tuple]]
    classes: list[str]


def check_truth(truth: Reference) -> None:
    from mrilib.evaluation.metrics.boxes import to_find

    if not any(to_find(truth.cases[name].boxes) for name in truth.chosen):
        raise UsageError("no case has a box", where=truth.path, remedy="give images with YOLO or COCO boxes, or a "
                         "CSV with columns file,x0,y0,x1,y1")


def nothing():
    from mrilib.evaluation.metrics.boxes import Boxes

    return Boxes()


def read(text: str, where, before=None, problems: list | None = None):
    from mrilib.evaluation.metrics import boxes

    return boxes.read(text, where, before, problems)


def known_classes(truth: Reference) -> set[str]:
    """The classes of the true boxes, where they are told apart."""
    known = {box[4] or "" for name in truth.chosen for box in truth.cases[name].boxes}
    return known if len(known) > 1 else set()


def strange(given, truth: Reference) -> dict[str, list[str]]:
    """Cases with a box of a class that the reference does not have, by what is wrong with them."""
    known = known_classes(truth)
    found: dict[str, list[str]] = {}
    if known and {box[4] for some in given.of.values() for box in some} > {""}:
        for case, some in given.of.items():
            for kind in sorted({box[4] for box in some} - known):
                what = f"have a box of class {kind!r}, which the reference does not have ({' '.join(sorted(known))})"
                found.setdefault(what, []).append(case)
    return found


def match(given, pairs: dict[str, str], truth: Reference) -> Matched:
    """Raises UsageError for a class that no true box has; without classes, or with one, none are told apart."""
    predicted = {name: given.of[pairs[name]] for name in truth.chosen if name in pairs}
    true = {name: truth.cases[name].boxes for name in truth.chosen}
    known, called = known_classes(truth), {box[4] for some in predicted.values() for box in some}
    if not known or called <= {""}:
        return Matched(predicted, true, [""])
    if wrong := sorted(called - known):
        raise UsageError(f"the class predicted {wrong[0]!r} is none of the reference's ({pairing.some(sorted(known))})",
                         remedy="give both the same names")
    return Matched(predicted, true, sorted(known))


def rules(entries: list, truth: Reference, limits: dict, o) -> None:
    """Boxes have none."""


def _figures(matched: Matched, names: list[str]):
    from mrilib.evaluation.metrics.boxes import all_figures

    return all_figures(matched.predicted, {name: matched.true[name] for name in names}, matched.classes)


def rows(matched: Matched, names: list[str], units, rules, about: dict) -> list[dict]:
    """Every figure of these cases with its interval. units: (n,) group of each case; about: what each row says."""
    from mrilib.evaluation.statistics import bootstrap

    made = bootstrap(_figures(matched, names), units, level=about["level"], count=about["resamples"],
                     seed=about["seed"])
    return [{"metric": name, "class": "", "value": float(made[name][0]), "low": float(made[name][1]),
             "high": float(made[name][2]), "unit": "", **about} for name in FIGURES]


def usual(entries: list, rules) -> list[str]:
    return ["ap50", "froc"]


def ranked(entry, names: tuple[str, ...], rules):
    """The figures that submissions are ranked by, weights (r, n) -> (r, names)."""
    import numpy as np

    figures = _figures(entry.matched, list(entry.matched.true))

    def chosen(weights):
        made = figures(weights)
        return np.stack([made[name] for name in names], 1)

    return chosen


def case_rows(matched: Matched, names: list[str]):
    """case, true, predicted, iou: numbers of boxes, and the overlap of the surest one."""
    from mrilib.evaluation.metrics.boxes import to_find, top_iou

    for name in names:
        predicted, true = matched.predicted.get(name, ()), matched.true[name]
        count = len(to_find(true))
        yield {"case": name, "true": count, "predicted": len(predicted),
               "iou": f"{top_iou(predicted, true):.6g}" if count else ""}
