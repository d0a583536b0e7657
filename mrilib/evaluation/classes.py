"""The score of classes: predictions matched with the reference, metrics of all cases together and of each class."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

import numpy as np

from mrilib.errors import UsageError
from mrilib.evaluation import report
from mrilib.evaluation.metrics.classes import all_metrics, confusion
from mrilib.evaluation.reference import Reference
from mrilib.evaluation.scorer import Entry, Scorer
from mrilib.evaluation.settings import POSITIVE, ClassSettings
from mrilib.evaluation.statistics import bootstrap, wilson
from mrilib.evaluation.submissions import Submission, Tables
from mrilib.evaluation.tables import ClassTable, match

log = logging.getLogger("mrilib")
OVERALL = ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc", "kappa", "roc_auc_macro",
           "average_precision_macro", "log_loss", "brier", "calibration_error")
EACH = ("sensitivity", "specificity", "precision", "f1", "roc_auc", "average_precision")
OF_PROBABILITIES = {"roc_auc_macro", "average_precision_macro", "log_loss", "brier", "calibration_error", "roc_auc",
                    "average_precision"}
OF_THREE = ("roc_auc_macro", "average_precision_macro")
NO_INTERVAL = {"calibration_error"}  # resamples are less calibrated than the cases: 95 % held the truth 80 times of 100


class ClassScorer(Scorer):
    """The score of tables of classes, with or without probabilities."""

    KIND = "classes"
    METRICS = (*OVERALL, *EACH)
    LOWER = frozenset({"log_loss", "brier", "calibration_error"})
    EXAMPLE = "accuracy=90"
    settings = ClassSettings
    positive: str | None = None
    classes: Sequence[str] = ()

    @classmethod
    def takes(cls, submission: Submission) -> bool:
        return isinstance(submission, Tables) and "class" in submission.columns and "x0" not in submission.columns

    def reference(self, reference: Reference) -> Reference:
        if without := [case.id for case in reference.scored if case.class_name is None]:
            raise UsageError(f"{len(without)} cases have no class, the first {without[0]}", where=reference.path,
                             remedy="give a folder with a folder for each class, or a CSV with columns file,class")
        return reference

    def nothing(self):
        return ClassTable()

    def strange(self, predictions, reference: Reference) -> dict[str, list[str]]:
        classes = _classes(reference)
        strange: dict[str, list[str]] = {}
        for case, (predicted, _) in predictions.of.items():
            if classes and predicted not in classes:
                what = (f"are of class {predicted}, which the reference does not have (its own: "
                        f"{' '.join(sorted(classes))})")
                strange.setdefault(what, []).append(case)
        return strange

    def match(self, entry: Entry, reference: Reference):
        class_of = {case.id: case.class_name or "" for case in reference.cases.values()}
        return match(entry.predictions, class_of, entry.pairs).only(reference.chosen)

    def begin(self, entries: list[Entry], reference: Reference, asked: Iterable[str]) -> None:
        """Settle which class is the positive one (None: each). Raises UsageError for a metric that these predictions do
        not have, or a wrong --positive."""
        predicting = [entry for entry in entries if len(entry.missing) < len(reference.chosen)]
        self.classes = entries[0].predictions.classes if len(entries) == 1 else sorted(_classes(reference))
        self.positive = self._positive_class()
        for option, names in (("--fail-under", asked), ("--rank-by", self.settings_used.rank_by or ())):
            for name in names:
                if name in OF_PROBABILITIES and predicting and all(
                        entry.predictions.probability is None for entry in predicting):
                    raise UsageError(f"{option} {name}: needs probabilities, which the table lacks")
                if name in OF_THREE and len(self.classes) < 3:
                    raise UsageError(f"{option} {name}: is for three classes and more")
                if name in EACH and option == "--rank-by" and self.positive is None:
                    raise UsageError(f"--rank-by {name}: is a metric of each class", remedy="with two of them, name "
                                     "the positive one with --positive; with more, rank by one of all classes, such "
                                     "as f1_macro")

    def _positive_class(self) -> str | None:
        """The class that sensitivity is about when there are two; None for more, or when no name tells (logged)."""
        chosen, classes = self.settings_used.positive, self.classes
        if chosen is not None and chosen not in classes:
            raise UsageError(f"--positive {chosen} is none of the classes {' '.join(classes)}")
        if chosen is not None and len(classes) != 2:
            raise UsageError(f"--positive has no effect with {len(classes)} classes", remedy="each has its own metrics")
        if chosen is None and len(classes) == 2:
            named = [name for name in classes if name.lower() in POSITIVE]
            chosen = named[0] if len(named) == 1 else None
            if chosen is None:
                log.info("neither %s nor %s is plainly the positive class: metrics of both follow (--positive)",
                         *classes)
        return chosen

    def measures(self, entry: Entry, names: Sequence[str]):
        return self._measures(entry.predictions.only(names))[0]

    def _measures(self, matched):
        """The metrics as a function of weights, the classes that are shown, and those that have curves."""
        count = len(matched.classes)
        shown = [matched.classes.index(self.positive)] if self.positive else list(range(count))
        curves = shown if count == 2 else list(range(count))
        return all_metrics(matched.truth, matched.predicted, matched.probability, count, curves), shown, curves

    def rows(self, entry: Entry, names: Sequence[str], units, about: dict) -> list[dict]:
        matched = entry.predictions.only(names)
        count, (measures, shown, curves) = len(matched.classes), self._measures(matched)
        measured = bootstrap(measures, units, level=about["level"], count=about["resamples"], seed=about["seed"])
        # of how many units each share is one, where it is 0 or 1 in all resamples
        of = {"accuracy": lambda _: units >= 0, "sensitivity": lambda c: matched.truth == c,
              "specificity": lambda c: matched.truth != c, "precision": lambda c: matched.predicted == c}
        rows = []
        for name in (name for name in self.METRICS if name in measured):
            overall = name in OVERALL
            for c in [0] if overall else shown:
                place = () if overall else (curves if name in OF_PROBABILITIES else range(count)).index(c)
                value, low, high = (float(v[place]) for v in measured[name])
                if name in NO_INTERVAL:
                    low = high = math.nan
                if name in of and value in (0, 1) and math.isnan(low):
                    low, high = wilson(value, len(np.unique(units[of[name](c)])), about["level"])
                times, unit = (100, "%") if name == "accuracy" else (1, "")
                rows.append({"metric": name, "class": "" if overall else matched.classes[c], "value": value * times,
                             "low": low * times, "high": high * times, "unit": unit, **about})
        counts = confusion(matched.truth, matched.predicted, count)(np.ones((1, len(units))))[0]
        for i, true in enumerate(matched.classes):
            for j, predicted in enumerate([*matched.classes, "nothing"]):
                if predicted != "nothing" or counts[:, j].any():
                    rows.append({"metric": f"predicted {predicted}", "class": true, "value": float(counts[i, j]),
                                 "unit": "cases", "n": about["n"], "cases": about["cases"]})
        return rows

    def default_ranking(self, entries: list[Entry]) -> list[str]:
        """Accuracy, and the area under the curve where all that predict anything have one."""
        predicting = [entry for entry in entries if (entry.predictions.predicted >= 0).any()]
        area = "roc_auc" if self.positive else "roc_auc_macro" if len(self.classes) > 2 else None
        ready = area and predicting and all(entry.predictions.probability is not None for entry in predicting)
        return ["accuracy", *([area] if ready else [])]

    def ranked(self, entry: Entry, reference: Reference, metrics: Sequence[str]):
        matched = entry.predictions
        measures, shown, curves = self._measures(matched)
        lacking = [name for name in metrics if name in OF_PROBABILITIES and matched.probability is None]
        if lacking and (matched.predicted >= 0).any():
            log.warning("%s: gives no probabilities and is last by %s", entry.name, ", ".join(lacking))

        def of(measured, name):
            if name in lacking:
                return np.full(len(measured["accuracy"]), np.nan)
            if name in EACH:
                return measured[name][:, curves.index(shown[0]) if name in OF_PROBABILITIES else shown[0]]
            return measured[name] * (100 if name == "accuracy" else 1)

        def chosen(weights):
            measured = measures(weights)
            return np.stack([of(measured, name) for name in metrics], 1)

        return chosen

    def case_row(self, entry: Entry, name: str) -> dict:
        """case, reference, prediction, correct[, p_…]."""
        matched = entry.predictions
        i = matched.place[name]
        true, predicted = int(matched.truth[i]), int(matched.predicted[i])
        row = {"case": name, "reference": matched.classes[true],
               "prediction": matched.classes[predicted] if predicted >= 0 else "", "correct": int(true == predicted)}
        if matched.probability is not None:
            row |= {f"p_{c}": f"{p:.6f}" if predicted >= 0 else ""
                    for c, p in zip(matched.classes, matched.probability[i], strict=True)}
        return row

    def view(self, rows: list[dict], several: bool) -> list:
        tables = []
        for *_, own in report.sets_of(rows):
            matrix = report.confusion(own)
            tables += [*report.tables_of(own), *([matrix] if matrix else [])]
        return tables


def _classes(reference: Reference) -> set[str]:
    return {case.class_name for case in reference.cases.values() if case.class_name}
