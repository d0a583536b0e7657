"""The score of label maps: from files to the metrics of each case and part, their summary, and who leads."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mrilib import labels
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation import leaderboard, report
from mrilib.evaluation.reference import Reference, units_of, with_label_maps
from mrilib.evaluation.scorer import Entry, Scorer, paired
from mrilib.evaluation.settings import MapSettings
from mrilib.evaluation.statistics import SPREAD, summary
from mrilib.evaluation.submissions import Maps, Submission, tell_mixed
from mrilib.evaluation.tables import Values

log = logging.getLogger("mrilib")
EMPTY = {"worst": "both empty 1, one empty 0", "skip": "empty left out", "nan": "empty undefined"}
STATES = ("both_empty", "one_empty", "missing")
PER_WORKER = 4  # cases whose work takes as long as the start of a worker


@dataclass
class Predictions:
    """The label maps of a submission, and the results (pairs.Scored), by case."""

    files: dict[str, object]
    results: dict = field(default_factory=dict)


class MapScorer(Scorer):
    """The score of label maps."""

    KIND = "label maps"
    OF, EXAMPLE, MISSING = "part", "dice=0.8", "counted as wrong, Dice 0"
    settings = MapSettings
    columns = ("metric", "part", "value", "low", "high", "unit", "n", "cases", "level", "resamples", "seed",
               "resampled", "case", "sd", "median", "q1", "q3", *STATES, "submission", "rules", "against")
    columns_of_several = ()
    has_workers = True

    def __init__(self, settings: MapSettings):
        super().__init__(settings)
        self.measured = settings.measured()
        self.METRICS = settings.metrics or tuple(self.measured.metrics)
        self.rules = None

    @classmethod
    def takes(cls, submission: Submission) -> bool:
        return isinstance(submission, Maps)

    def reference(self, reference: Reference) -> Reference:
        return with_label_maps(reference)

    def entry(self, submission: Maps, reference: Reference, several: bool) -> Entry:
        if not submission.files and not several:
            for error in submission.problems:
                log.warning("%s", error)
            raise UsageError("holds no label map", where=submission.name, remedy="name the folder of the predictions")
        pairs, faults = paired(submission.name, submission.files, submission.problems, reference, strict=not several)
        files = {case: submission.files[name] for case, name in pairs.items()}
        tell_mixed(files.values())
        return Entry(submission.name, Predictions(files), pairs, faults)

    def read_whole(self, submission: Maps, reference: Reference):
        return Values(submission.files), submission.problems

    def checks(self, predictions, pairs: dict[str, str], like: Reference) -> tuple[str, list[tuple]]:
        tell_mixed(predictions.of[name] for name in pairs.values())
        scheme = self.settings_used.predicted_scheme or self.settings_used.scheme
        scheme = labels.scheme(scheme) if scheme else None
        return "well_formed", [(case, (like.cases[case], predictions.of[name], scheme)) for case, name in pairs.items()]

    def begin(self, entries: list[Entry], reference: Reference, asked: Iterable[str]) -> None:
        _not_swapped(entries, reference)
        if len(entries) > 1:
            self._ranked_metrics()

    def measure(self, entries: list[Entry], reference: Reference, jobs, progress) -> None:
        """Score each case. Raises UsageError when the reference is wrong.

        Without a scheme, guess it from the values in the first label map, and start again when another one holds more:
        so most label maps are read once."""
        from mrilib.parallel import cores

        if jobs is None:
            jobs = min(cores(), max(len(reference.chosen) * len(entries) // PER_WORKER, 1))
        scheme, how = scheme_of(self.settings_used, reference)
        # a region of the user's own may unite values that the first label map lacks
        values = set() if scheme else _values(reference, None if self.settings_used.region else 1, jobs)
        while True:
            self.rules, line = rules_of(self.settings_used, scheme or labels.of_values(values), how, guessed=not scheme)
            if scheme:
                log.info("%s", line)
            warnings: list[str] = []
            more = self._results(entries, reference, jobs, progress,
                                 warnings.append if not scheme else lambda text: log.warning("%s", text))
            if not more:
                break
            values |= more
        if not scheme:
            log.info("%s", line)
        for text in warnings:
            log.warning("%s", text)

    def _results(self, entries: list[Entry], reference: Reference, jobs, progress, warn) -> set[int]:
        """Fill in the results of each case. Returns the values of a label map that do not suit a guessed scheme."""
        from mrilib.parallel import ordered

        several = len(entries) > 1
        fate = "left out" if self.settings_used.allow_missing else self.MISSING
        calls = ((name, (reference.cases[name], reference.itself,
                         [entry.predictions.files.get(name) for entry in entries], self.rules))
                 for name in reference.chosen)
        alike = dict.fromkeys((entry.name for entry in entries), 0)
        for entry in entries:
            entry.missing, entry.refused = [], set()
        with progress("score", len(reference.chosen)) as bar:
            for name, results in ordered("mrilib.evaluation.pairs:score", calls, jobs):
                _raise(name, results)
                if isinstance(results, set):
                    return results
                for entry, one in zip(entries, results, strict=True):
                    entry.predictions.results[name] = one
                    entry.seen[name] = one.seen
                    alike[entry.name] += one.same_file
                    if one.error is not None:
                        warn(f"{entry.name}: {fate}: {one.error}" if several else str(one.error))
                        entry.refused.add(name)
                    if one.error is not None or name not in entry.predictions.files:
                        entry.missing.append(name)
                bar.step()
        for entry in entries:
            if alike[entry.name]:
                warn(f"{entry.name + ': ' if several else ''}{alike[entry.name]} predictions are the very label maps "
                     "of the reference: is the truth scored against itself?")
        return set()

    def unit(self, metric: str) -> str:
        return self._described(metric).unit

    def better(self, metric: str) -> int:
        return self._described(metric).better

    @staticmethod
    def _described(metric: str):
        from mrilib.evaluation.metrics import segmentation  # here, for tables need none of its imports

        return segmentation.metric(metric)

    def about(self, names: Sequence[str], cases: str, resampled: str) -> dict:
        return {**super().about(names, cases, resampled), "rules": self.rules_text()}

    def rules_text(self) -> str:
        """By what rules the label maps were scored."""
        text = [f"scheme {self.rules.scheme}", EMPTY[self.measured.empty],
                f"missing: {'left out' if self.settings_used.allow_missing else 'worst value'}"]
        if self.measured.surfaces:
            text.append(f"hd95 {self.measured.hd95}")
        if (rule := self.measured.lesions) is not None and any(name.startswith("lesion") for name in self.METRICS):
            text.append(f"lesions: {rule.connectivity} neighbours, dilation {rule.dilation}, over {rule.min_volume:g} "
                        f"mm3, penalty {rule.penalty:g} mm")
        return "; ".join(text)

    def rows(self, entry: Entry, names: Sequence[str], units, about: dict) -> list[dict]:
        results = [entry.predictions.results[name].parts for name in names]
        places = [(metric, part) for metric in self.METRICS for part in results[0]]
        values = np.array([[parts[part][metric] for metric, part in places] for parts in results])
        over_cases = summary(values, units, skip_nan=self.measured.empty != "nan", level=about["level"],
                             count=about["resamples"], seed=about["seed"])
        missing = len(entry.missing) if about["cases"] == "all" else len(set(names) & set(entry.missing))
        states = {part: [_state(parts[part]) for parts in results] for part in results[0]}
        rows = []
        for i, (metric, part) in enumerate(places):
            empty = {name: sum(state[name] for state in states[part]) for name in ("both_empty", "one_empty")}
            rows.append({"metric": metric, "part": part, "value": float(over_cases["mean"][i]),
                         "low": float(over_cases["low"][i]), "high": float(over_cases["high"][i]),
                         "unit": self.unit(metric), **about, "n": int(over_cases["n"][i]),
                         **{name: float(over_cases[name][i]) for name in SPREAD}, **empty, "missing": missing})
        return rows

    def _ranked_metrics(self) -> tuple[str, ...]:
        return leaderboard.ranked_metrics(self.settings_used.rank_by, ["dice", "hd95"], self.METRICS, self.better)

    def leaderboard(self, entries: list[Entry], reference: Reference) -> list[dict]:
        """A case that a submission lacks, or that is left out of its metrics, is its worst."""
        units, resampled = units_of(reference.chosen, reference)
        places = [(metric, part) for metric in self._ranked_metrics() for part in self.rules.parts]
        values = np.array([[[entry.predictions.results[name].parts[part][metric] if name in set(entry.cases)
                             else np.nan for metric, part in places] for name in reference.chosen]
                           for entry in entries])
        return leaderboard.by_cases(entries, values, places, [self.better(metric) for metric, _ in places], units,
                                    self.about(reference.chosen, "all", resampled))

    def _parts(self, entries: list[Entry]):
        for entry in entries:
            for name in entry.cases:
                for part, values in entry.predictions.results[name].parts.items():
                    yield entry, name, part, values

    def case_metrics(self, entries: list[Entry], several: bool) -> list[dict]:
        return [{"metric": metric, "part": part, "value": values[metric], "unit": self.unit(metric), "case": name,
                 **_state(values), **({"submission": entry.name} if several else {})}
                for entry, name, part, values in self._parts(entries) for metric in self.METRICS]

    def case_table(self, entries: list[Entry], several: bool) -> list[list]:
        rows = [[*(["submission"] * several), "case", "part", *self.METRICS, "state", "seen", "problem"]]
        for entry, name, part, values in self._parts(entries):
            error = entry.predictions.results[name].error
            rows.append([*([entry.name] * several), name, part, *(values[metric] for metric in self.METRICS),
                         values["state"], entry.seen[name], error.what if error is not None else ""])
        return rows

    def header(self) -> dict:
        return {"rules": self.rules_text()}

    def as_json(self, entry: Entry) -> dict:
        results = {name: entry.predictions.results[name] for name in entry.cases}
        return {"cases": {name: {part: {n: values[n] for n in (*self.METRICS, "state")}
                                 for part, values in one.parts.items()} for name, one in results.items()},
                "missing": entry.missing,
                "problems": {name: str(one.error) for name, one in results.items() if one.error is not None},
                "seen": {name: part for name, part in entry.seen.items() if part}}

    def view(self, rows: list[dict], several: bool) -> list:
        """A line for each metric and part; of several submissions a table each."""
        tables = []
        for submission, cases, own in report.sets_of(rows):
            first = own[0]
            title = {"all": "all cases", "unseen": "cases the model never saw"}.get(cases, cases)
            columns = ("metric", "part", "mean", f"{first['level']:g} % interval", "sd", "median", "quartiles", "cases",
                       "empty: both", "one")
            table = report.table(
                f"{submission}: {title}" if several else title, columns,
                f"{first['rules']}; {first['level']:g} % interval of the mean: BCa bootstrap, {first['resamples']} "
                f"resamples by {first['resampled']}, seed {first['seed']} (up to 4: Student's t); {first['missing']} "
                "missing")
            last = None
            for row in own:
                if last not in (None, row["metric"]):
                    table.add_section()
                name = row["metric"].replace("_", " ") + (f" ({row['unit']})" if row["unit"] else "")
                low, high = report.short(row["low"]), report.short(row["high"])
                table.add_row(name if row["metric"] != last else "", row["part"], report.short(row["value"]),
                              "" if math.isnan(row["low"]) else f"{low} to {high}", report.short(row["sd"]),
                              report.short(row["median"]), f"{report.short(row['q1'])} to {report.short(row['q3'])}",
                              str(row["n"]), str(row["both_empty"]), str(row["one_empty"]))
                last = row["metric"]
            tables.append(table)
        return tables


def scheme_of(settings: MapSettings, reference: Reference) -> tuple[labels.Scheme | None, str]:
    """The label scheme of the reference, and where it comes from; None where only the values can tell.

    Raises UsageError for cases of different schemes.
    """
    schemes = {case.scheme for case in reference.scored if case.scheme}
    if settings.scheme:
        return labels.scheme(settings.scheme), "--scheme"
    if len(schemes) == 1:
        return labels.scheme(schemes.pop()), "as the layout says"
    if schemes:
        raise UsageError(f"cases of {len(schemes)} schemes ({', '.join(sorted(schemes))})", where=reference.path,
                         remedy="score them one by one")
    if dataset := reference.dataset_scheme:
        return labels.scheme(dataset), "as the dataset.json of the reference says"
    return None, "by the numbers in the reference"


def rules_of(settings: MapSettings, scheme: labels.Scheme, how: str, guessed: bool):
    """The rules of a score, as pairs.Rules, and a line about the scheme. how: where the scheme comes from.

    Raises UsageError for settings that do not suit the scheme.
    """
    from mrilib.evaluation import pairs

    parts = pairs.parts_of(scheme, settings.labels)
    if settings.region:
        parts = {**settings.region, **(scheme.single if settings.labels else {})}
        if strange := {value for values in parts.values() for value in values} - set(scheme.values):
            raise UsageError(f"--region: label {min(strange)} is not in scheme {scheme}")
    predicted = labels.scheme(settings.predicted_scheme) if settings.predicted_scheme else None
    rules = pairs.Rules(scheme, parts, predicted, settings.measured(), guessed)
    numbers = ", ".join(f"{name} {'+'.join(map(str, values))}" for name, values in parts.items())
    if scheme.name:
        ignored = "" if scheme.ignore is None else f"; voxels of value {scheme.ignore} are left out"
        return rules, f"scheme {scheme}, {how}: {numbers}{ignored}"
    return rules, (f"no scheme is known by the numbers {' '.join(map(str, scheme.values))}: each is a label of its own "
                   f"(for regions and names --scheme {'|'.join(labels.SCHEMES)})")


def _values(reference: Reference, count: int | None, jobs) -> set[int]:
    """The values in the first `count` label maps of the reference, in all where it is None."""
    from mrilib.parallel import ordered

    calls = ((case.id, (case, reference.itself)) for case in reference.scored[:count])
    values: set[int] = set()
    for name, some in ordered("mrilib.evaluation.pairs:values_in", calls, 1 if count == 1 else jobs):
        _raise(name, some)
        values |= set(some)
    return values


def _raise(name: str, result: object) -> None:
    """Raise a result that is an error; a CaseError, which is about the reference, as a UsageError."""
    if isinstance(result, CaseError):
        raise UsageError(result.what, where=result.where, remedy=result.remedy or "mend the reference first")
    if isinstance(result, BaseException):
        raise result if isinstance(result, MriError | MemoryError) else RuntimeError(f"{name}: {result!r}")


def _state(values: dict) -> dict:
    state = values["state"]
    one = state in ("reference_empty", "prediction_empty")
    return {"both_empty": int(state == "both_empty"), "one_empty": int(one), "missing": int(state == "missing")}


def _not_swapped(entries: list[Entry], reference: Reference) -> None:
    """Raises UsageError when a model predicted the reference, by its records, and none of the predictions."""
    from mrilib.evaluation import foreign

    def by_model(path):
        return path is not None and bool(foreign.record(path).get("model"))

    predictions = (path for entry in entries for path in list(entry.predictions.files.values())[:1])
    if by_model(reference.label_map(reference.scored[0])) and not any(map(by_model, predictions)):
        raise UsageError("holds what a model predicted, and PREDICTIONS do not", where=reference.path,
                         remedy="are the two swapped?")


def listed(scorer: MapScorer, submissions: list[Maps], reference: Reference) -> tuple[list[str], bool]:
    """A line for each submission and case, `case: prediction -> reference`, and whether each has a prediction."""
    several = len(submissions) > 1
    entries = [scorer.entry(submission, reference, several) for submission in submissions]
    scorer.begin(entries, reference, ())
    lines = [f"{entry.name + ': ' if several else ''}{case.id}: "
             f"{entry.predictions.files.get(case.id, 'no prediction')} -> {reference.label_map(case)}"
             for entry in entries for case in reference.scored]
    return lines, all(case in entry.predictions.files for entry in entries for case in reference.chosen)
