"""The score of boxes: predictions matched with the reference, metrics of all cases together."""

from __future__ import annotations

from typing import NamedTuple

from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation import pairing
from mrilib.evaluation.reference import Reference
from mrilib.evaluation.scorer import Entry, Scorer
from mrilib.evaluation.settings import BoxSettings
from mrilib.evaluation.statistics import bootstrap
from mrilib.evaluation.submissions import Submission, Tables
from mrilib.evaluation.tables import Boxes

AP = tuple(f"{name}{ending}" for ending in ("", "_agnostic", "_small", "_medium", "_large")
           for name in ("ap", "ap50", "ap75"))
FROC = tuple(f"sensitivity_at_{false}" for false in ("0.125", "0.25", "0.5", "1", "2", "4", "8"))


class Matched(NamedTuple):
    """Predicted and true boxes of each case by its id, and the classes that are told apart ([""]: none)."""

    predicted: dict[str, list[tuple]]
    true: dict[str, tuple]
    classes: list[str]


class BoxScorer(Scorer):
    """The score of tables of boxes."""

    KIND = "boxes"
    METRICS = (*AP, "froc", *FROC, "iou", "hit_rate")
    EXAMPLE, MISSING = "ap50=0.5", "counted as without a box"
    settings = BoxSettings

    @classmethod
    def takes(cls, submission: Submission) -> bool:
        return isinstance(submission, Tables) and "x0" in submission.columns

    def reference(self, reference: Reference) -> Reference:
        from mrilib.evaluation.metrics.boxes import to_find

        if not any(to_find(case.boxes) for case in reference.scored):
            remedy = ("give images with YOLO, COCO, Pascal VOC, VIA or LabelMe boxes, or a CSV with columns "
                      "file,x0,y0,x1,y1")
            if any(case.label is not None for case in reference.scored):
                remedy = "--boxes-from labels takes them from its label maps"
            raise UsageError("no case has a box", where=reference.path, remedy=remedy)
        return reference

    def checks(self, predictions, pairs: dict[str, str], like: Reference) -> tuple[str, list[tuple]]:
        return "boxes_within", [(case, (like.cases[case], predictions.of[name])) for case, name in pairs.items()
                                if predictions.of[name]]

    def nothing(self):
        return Boxes()

    def entry(self, submission: Tables, reference: Reference, several: bool) -> Entry:
        from mrilib.evaluation.detections import as_tables

        return super().entry(submission if several else as_tables(submission, reference), reference, several)

    def read_whole(self, submission: Tables, reference: Reference):
        from mrilib.evaluation.detections import as_tables

        problems: list[CaseError] = []
        try:
            readable = as_tables(submission, reference, problems)
        except MriError as error:
            problems.append(error.as_kind(CaseError))
            return self.nothing(), problems
        predictions, more = super().read_whole(readable, reference)
        return predictions, problems + more

    def strange(self, predictions, reference: Reference) -> dict[str, list[str]]:
        classes = classes_of(reference)
        found: dict[str, list[str]] = {}
        if classes and {box[4] for boxes in predictions.of.values() for box in boxes} > {""}:
            for case, boxes in predictions.of.items():
                for kind in sorted({box[4] for box in boxes} - classes):
                    what = (f"have a box of class {kind!r}, which the reference does not have "
                            f"({' '.join(sorted(classes))})")
                    found.setdefault(what, []).append(case)
        return found

    def match(self, entry: Entry, reference: Reference) -> Matched:
        """Raises UsageError for a class that no true box has, and for boxes of images beside boxes of volumes; without
        classes, or with one, none are told apart."""
        predicted = {name: entry.predictions.of[entry.pairs[name]] for name in reference.chosen if name in entry.pairs}
        true = {case.id: case.boxes for case in reference.scored}
        _check_kind(predicted, true)
        classes, named = classes_of(reference), {box[4] for boxes in predicted.values() for box in boxes}
        if not classes or named <= {""}:
            return Matched(predicted, true, [""])
        if wrong := sorted(named - classes):
            raise UsageError(f"the class predicted {wrong[0]!r} is none of the reference's "
                             f"({pairing.some(sorted(classes))})", remedy="give both the same names")
        return Matched(predicted, true, sorted(classes))

    def measures(self, entry: Entry, names):
        from mrilib.evaluation.metrics.boxes import all_metrics

        matched = entry.predictions
        return all_metrics(matched.predicted, {name: matched.true[name] for name in names}, matched.classes,
                           self.settings_used.sizes)

    def rows(self, entry: Entry, names, units, about: dict) -> list[dict]:
        """A row for each metric, after the mean over classes one for each class where several are told apart."""
        measured = bootstrap(self.measures(entry, names), units, level=about["level"], count=about["resamples"],
                             seed=about["seed"])
        kinds = entry.predictions.classes
        keys = [(metric, kind) for metric in self.METRICS for kind in dict.fromkeys(("", *kinds))
                if kind == "" or (metric, kind) in measured]
        return [{"metric": metric, "class": kind, **dict(zip(("value", "low", "high"), map(float, measured[
            (metric, kind) if kind else metric]), strict=True)), "unit": "", **about} for metric, kind in keys]

    def default_ranking(self, entries: list[Entry]) -> list[str]:
        return ["ap50", "froc"]

    def case_row(self, entry: Entry, name: str) -> dict:
        """case, true, predicted, iou: numbers of boxes, and the overlap of the surest one."""
        from mrilib.evaluation.metrics.boxes import to_find, top_iou

        predicted, true = entry.predictions.predicted.get(name, ()), entry.predictions.true[name]
        count = len(to_find(true))
        return {"case": name, "true": count, "predicted": len(predicted),
                "iou": f"{top_iou(predicted, true):.6g}" if count else ""}


def _check_kind(predicted: dict, true: dict) -> None:
    of_volumes = [{len(box) > 6 for boxes in listed.values() for box in boxes} for listed in (predicted, true)]
    if len(of_volumes[0] | of_volumes[1]) > 1:
        first, second = ("volumes" if True in one else "images" for one in of_volumes)
        raise UsageError(f"the predicted boxes are of {first}, those of the reference of {second}",
                         remedy="boxes of volumes have z0 and z1, those of images have not")


def classes_of(reference: Reference) -> set[str]:
    """The classes of the true boxes; empty where there is only one."""
    classes = {box[4] or "" for case in reference.scored for box in case.boxes}
    return classes if len(classes) > 1 else set()
