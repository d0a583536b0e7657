"""What mri-score makes of tables of classes: predictions matched with the truth, rows of figures with intervals."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

from mri_tools.cli.output import complain, say
from mri_tools.common.reference import Reference, need_classes
from mrilib.errors import UsageError

OVERALL = ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc", "kappa", "roc_auc_macro",
           "average_precision_macro", "log_loss", "brier", "calibration_error")
EACH = ("sensitivity", "specificity", "precision", "f1", "roc_auc", "average_precision")
FIGURES = (*OVERALL, *EACH)
BETTER = {name: -1 if name in ("log_loss", "brier", "calibration_error") else 1 for name in FIGURES}
OF_PROBABILITIES = {"roc_auc_macro", "average_precision_macro", "log_loss", "brier", "calibration_error", "roc_auc",
                    "average_precision"}
OF_THREE = ("roc_auc_macro", "average_precision_macro")
NO_INTERVAL = {"calibration_error"}  # resamples are less calibrated than the cases: 95 % held the truth 80 times of 100
POSITIVE = ("yes", "tumour", "tumor", "positive", "1", "malignant")
SUCH_AS, MISSING = "accuracy=90", "counted as wrong"

check_truth = need_classes


def nothing():
    from mrilib.evaluation.submission import Submission

    return Submission()


def read(text: str, where, before=None, problems: list | None = None):
    from mrilib.evaluation import submission

    return submission.read(io.StringIO(text, newline=""), where, before, problems)


def strange(given, truth: Reference) -> dict[str, list[str]]:
    """Predictions of classes that the reference does not have, by what is wrong with them."""
    known = {kind for kind in truth.classes.values() if kind}
    found: dict[str, list[str]] = {}
    for case, called in given.classes.items():
        if known and called not in known:
            what = f"are of class {called}, which the reference does not have (its own: {' '.join(sorted(known))})"
            found.setdefault(what, []).append(case)
    return found


def match(given, pairs: dict[str, str], truth: Reference):
    from mrilib.evaluation import submission

    return submission.match(given, truth.classes, pairs).only(truth.chosen)


def rules(entries: list, truth: Reference, limits: dict, o) -> SimpleNamespace:
    """Which class is to be found (None: each), and which there are. Raises UsageError for a limit that these
    predictions have no figure for, or a wrong --positive."""
    given = [e for e in entries if len(e.missing) < len(truth.chosen)]
    classes = entries[0].matched.classes if len(entries) == 1 else sorted({c for c in truth.classes.values() if c})
    positive = _positive_class(classes, o.positive)
    for option, names in (("--fail-under", limits), ("--rank-by", o.rank_by or ())):
        for name in names:
            if name in OF_PROBABILITIES and given and not any(e.matched.probability is not None for e in given):
                raise UsageError(f"{option} {name}: needs probabilities, which the table lacks")
            if name in OF_THREE and len(classes) < 3:
                raise UsageError(f"{option} {name}: is for three classes and more")
            if name in EACH and option == "--rank-by" and positive is None:
                raise UsageError(f"--rank-by {name}: is a figure of each class", remedy="with two of them, say which "
                                 "by --positive; of more, rank by one of all classes, such as f1_macro")
    return SimpleNamespace(positive=positive, classes=classes)


def _positive_class(classes: list[str], chosen: str | None) -> str | None:
    """The class that sensitivity is about when there are two; None for more, or when no name tells (said)."""
    if chosen is not None and chosen not in classes:
        raise UsageError(f"--positive {chosen} is none of the classes {' '.join(classes)}")
    if chosen is not None and len(classes) != 2:
        raise UsageError(f"--positive has no effect with {len(classes)} classes", remedy="each has its own figures")
    if chosen is None and len(classes) == 2:
        named = [c for c in classes if c.lower() in POSITIVE]
        chosen = named[0] if len(named) == 1 else None
        if chosen is None:
            say(f"neither {classes[0]} nor {classes[1]} is plainly the class to be found: figures of both follow "
                "(--positive)")
    return chosen


def _figures(matched, rules):
    """The figures as a function of weights, the classes that are shown, and those that have curves."""
    from mrilib.evaluation.metrics.classes import all_figures

    k = len(matched.classes)
    shown = [matched.classes.index(rules.positive)] if rules.positive else list(range(k))
    curves = shown if k == 2 else list(range(k))
    return all_figures(matched.truth, matched.predicted, matched.probability, k, curves), shown, curves


def rows(matched, names: list[str], units, rules, about: dict) -> list[dict]:
    """Every figure of these cases with its interval. units: (n,) group of each case; about: what each row says."""
    import numpy as np

    from mrilib.evaluation.metrics.classes import confusion
    from mrilib.evaluation.statistics import bootstrap, wilson

    matched = matched.only(names)
    k, (figures, shown, curves) = len(matched.classes), _figures(matched, rules)
    made = bootstrap(figures, units, level=about["level"], count=about["resamples"], seed=about["seed"])
    # of how many units each share is one, where it is 0 or 1 in all resamples
    of = {"accuracy": lambda _: units >= 0, "sensitivity": lambda c: matched.truth == c,
          "specificity": lambda c: matched.truth != c, "precision": lambda c: matched.predicted == c}
    table = []
    for name in (name for name in FIGURES if name in made):
        overall = name in OVERALL
        for c in [0] if overall else shown:
            place = () if overall else (curves if name in OF_PROBABILITIES else range(k)).index(c)
            value, low, high = (float(v[place]) for v in made[name])
            if name in NO_INTERVAL:
                low = high = math.nan
            if name in of and value in (0, 1) and math.isnan(low):
                low, high = wilson(value, len(np.unique(units[of[name](c)])), about["level"])
            times, unit = (100, "%") if name == "accuracy" else (1, "")
            table.append({"metric": name, "class": "" if overall else matched.classes[c], "value": value * times,
                          "low": low * times, "high": high * times, "unit": unit, **about})
    counts = confusion(matched.truth, matched.predicted, k)(np.ones((1, len(units))))[0]
    for i, true in enumerate(matched.classes):
        for j, called in enumerate([*matched.classes, "nothing"]):
            if called != "nothing" or counts[:, j].any():
                table.append({"metric": f"predicted {called}", "class": true, "value": float(counts[i, j]),
                              "unit": "cases", "n": about["n"], "cases": about["cases"]})
    return table


def usual(entries: list, rules) -> list[str]:
    """What submissions are ranked by: accuracy, and the area under the curve where all that say anything have one."""
    given = [entry for entry in entries if (entry.matched.predicted >= 0).any()]
    area = "roc_auc" if rules.positive else "roc_auc_macro" if len(rules.classes) > 2 else None
    ready = area and given and all(entry.matched.probability is not None for entry in given)
    return ["accuracy", *([area] if ready else [])]


def ranked(entry, names: tuple[str, ...], rules):
    """The figures that submissions are ranked by, weights (r, n) -> (r, names); NaN where one has none."""
    import numpy as np

    matched = entry.matched
    figures, shown, curves = _figures(matched, rules)
    lacking = [name for name in names if name in OF_PROBABILITIES and matched.probability is None]
    if lacking and (matched.predicted >= 0).any():
        complain(f"{entry.name}: gives no probabilities and is last by {', '.join(lacking)}")

    def chosen(weights):
        made = figures(weights)
        return np.stack([of(made, name) for name in names], 1)

    def of(made, name):
        if name in lacking:
            return np.full(len(made["accuracy"]), np.nan)
        if name in EACH:
            return made[name][:, curves.index(shown[0]) if name in OF_PROBABILITIES else shown[0]]
        return made[name] * (100 if name == "accuracy" else 1)

    return chosen


def case_rows(matched, names: list[str]):
    """case, reference, prediction, correct[, p_…] of each case."""
    matched = matched.only(names)
    for i, name in enumerate(matched.ids):
        true, called = int(matched.truth[i]), int(matched.predicted[i])
        row = {"case": name, "reference": matched.classes[true], "prediction": matched.classes[called] if called >= 0
               else "", "correct": int(true == called)}
        if matched.probability is not None:
            row |= {f"p_{c}": f"{p:.6f}" if called >= 0 else ""
                    for c, p in zip(matched.classes, matched.probability[i], strict=True)}
        yield row
