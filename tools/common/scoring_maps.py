"""mri-score of label maps: from files to the figures of each case and part, what they say together, and who leads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mri_tools.cli.output import DONE, SOME_FAILED, complain, emit, progress, write
from mri_tools.common import boards, map_tables, map_truth, score_text
from mri_tools.common.reference import groups_of, label_maps, read_reference, seen_by, units_of, unseen
from mri_tools.common.submitted import paired, say_mixed
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation import pairing
from mrilib.parallel import cores, ordered
from mrilib.store import write_text


@dataclass
class Entry:
    """One submission: its files by case, what was found of each case, and who is missing."""

    name: str
    file_of: dict
    faults: int = 0
    results: dict = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def score(submissions: list, o) -> int:
    """Score label maps as the options of mri-score say; returns the exit code."""
    if o.positive is not None:
        raise UsageError("--positive has no effect on label maps")
    truth = read_reference(o.reference, o.layout, o.split, o.fold, o.part)
    itself = label_maps(truth)
    several = len(submissions) > 1
    entries = [_entry(one, truth, several) for one in submissions]
    _not_swapped(entries, truth, itself)
    if o.dry_run:
        return _pairs_listed(entries, truth, several)
    jobs = min(o.jobs or cores(), max(len(truth.chosen) * len(entries) // 4, 1))  # a worker starts in the time of four
    rules = map_truth.rules(truth, itself, o, jobs)
    figures = o.metrics or tuple(rules.settings.figures)
    limits = score_text.limits(o.fail_under, figures, "dice=0.8")
    ranked = _ranked(o.rank_by, figures) if several else ()
    _measure(entries, truth, itself, rules, jobs, "left out" if o.allow_missing else "counted as wrong, Dice 0")
    known = seen_by(o.models, truth, truth.chosen)
    about = map_tables.About(rules, figures, o.allow_missing, o.level, o.resamples, o.seed)
    extra = groups_of(o.group_by, truth.chosen) if o.group_by else {}
    table = []
    for entry in entries:
        entry.results = {name: replace(one, seen=known.get(name) or one.seen) for name, one in entry.results.items()}
        _say_missing(entry, o.allow_missing, several)
        table += _summarised(entry, truth, about, extra, several)
    board = []
    if several:
        board = _board(entries, truth, rules, ranked, about)
    _give(entries, table, board, about, o, several)
    under = score_text.below(table, limits, "part")
    for line in under:
        complain(line)
    wrong = under or any(e.faults or (e.missing and not o.allow_missing) for e in entries)
    return SOME_FAILED if wrong else DONE


def _entry(submission, truth, several: bool) -> Entry:
    """A submission's files beside the cases of the reference; what is wrong with it is said."""
    if not submission.files and not several:
        for error in submission.problems:
            complain(error, error)
        raise UsageError("holds no label map", where=submission.name, remedy="name the folder of the predictions")
    pairs, faults = paired(submission.name, submission.files, submission.problems, truth, several)
    file_of = {ref: submission.files[name] for ref, name in pairs.items()}
    say_mixed(file_of.values())
    return Entry(submission.name, file_of, faults)


def _ranked(asked, figures) -> tuple[str, ...]:
    from mrilib.evaluation.metrics.segmentation import known

    return boards.ranked_figures(asked, ["dice", "hd95"], figures, lambda name: known(name).better)


def _board(entries: list[Entry], truth, rules, ranked: tuple[str, ...], about) -> list[dict]:
    """The leaderboard; a case that a submission lacks, or that is left out of its figures, is its worst."""
    import numpy as np

    from mrilib.evaluation.metrics.segmentation import known

    units, resampled = units_of(truth.chosen, truth)
    places = [(metric, part) for metric in ranked for part in rules.parts]
    values = np.array([[[entry.results[name].parts[part][metric] if name in entry.results else np.nan
                         for metric, part in places] for name in truth.chosen] for entry in entries])
    common = {"n": len(truth.chosen), "cases": "all", "level": about.level, "resamples": about.resamples,
              "seed": about.seed, "resampled": resampled, "rules": about.text()}
    return boards.of_cases([e.name for e in entries], [len(e.missing) for e in entries], values, places,
                           [known(metric).better for metric, _ in places], units, common)


def _not_swapped(entries: list[Entry], truth, itself: bool) -> None:
    """Raises UsageError when the reference is what a model predicted, by its records, and no prediction is."""
    from mrilib.evaluation.foreign import record

    def by_model(path):
        return path is not None and bool(record(path).get("model"))

    case = truth.cases[truth.chosen[0]]
    predictions = (path for entry in entries for path in list(entry.file_of.values())[:1])
    if by_model(case.path if itself else case.label) and not any(map(by_model, predictions)):
        raise UsageError("holds what a model predicted, and PREDICTIONS do not", where=truth.path,
                         remedy="are the two swapped?")


def _pairs_listed(entries: list[Entry], truth, several: bool) -> int:
    for entry in entries:
        for name in truth.chosen:
            prefix = f"{entry.name}: " if several else ""
            case = truth.cases[name]
            emit(f"{prefix}{name}: {entry.file_of.get(name, 'no prediction')} -> {case.label or case.path}")
    return SOME_FAILED if any(name not in e.file_of for e in entries for name in truth.chosen) else DONE


def _measure(entries: list[Entry], truth, itself: bool, rules, jobs: int, fate: str) -> None:
    """Fill in what is found of each case, in the order of the reference. fate: of a prediction that is refused.

    Raises UsageError when it is the reference that is wrong.
    """
    todo = ((name, (truth.cases[name], itself, [e.file_of.get(name) for e in entries], rules)) for name in truth.chosen)
    several = len(entries) > 1
    alike = dict.fromkeys((e.name for e in entries), 0)
    with progress("score", len(truth.chosen)) as bar:
        for name, found in ordered("mrilib.evaluation.pairs:score", todo, jobs):
            if isinstance(found, CaseError):
                raise UsageError(found.what, where=found.where, remedy=found.remedy or "mend the reference first")
            if isinstance(found, BaseException):
                raise found if isinstance(found, MriError | MemoryError) else RuntimeError(f"{name}: {found!r}")
            for entry, one in zip(entries, found, strict=True):
                entry.results[name] = one
                alike[entry.name] += one.same_file
                if one.error is not None:
                    complain(f"{entry.name}: {fate}: {one.error}" if several else one.error, one.error)
                if one.error is not None or name not in entry.file_of:
                    entry.missing.append(name)
            bar.step()
    for entry in entries:
        if alike[entry.name]:
            prefix = f"{entry.name}: " if several else ""
            complain(f"{prefix}{alike[entry.name]} predictions are the very label maps of the reference: "
                     "is the truth scored against itself?")


def _say_missing(entry: Entry, allow: bool, several: bool) -> None:
    """Which cases have no prediction; of several submissions those that were refused have had their line."""
    missing = [name for name in entry.missing if not several or entry.results[name].error is None]
    if missing:
        what = "left out" if allow else "counted as wrong, Dice 0"
        prefix = f"{entry.name}: " if several else ""
        complain(f"{prefix}{len(missing)} cases have no prediction that can be scored and are {what}: "
                 f"{pairing.some(missing)}")
    if allow:
        entry.results = {name: one for name, one in entry.results.items() if name not in set(entry.missing)}
    if not entry.results and not several:
        raise UsageError("no case is left to score")


def _summarised(entry: Entry, truth, about, extra: dict, several: bool) -> list[dict]:
    """Rows over all cases, over those the model never saw, and over each group of --group-by."""
    results = entry.results
    seen = {name: one.seen for name, one in results.items()}
    groups = {"all": list(results), "unseen": unseen(seen, f"{entry.name}: " if several else "")}
    groups |= {group: [name for name in names if name in results] for group, names in extra.items()}
    table = []
    for cases, names in groups.items():
        if names:
            units, resampled = units_of(names, truth)
            missing = len(set(names) & set(entry.missing)) if cases != "all" else len(entry.missing)
            rows = map_tables.summary_rows({name: results[name] for name in names}, units, resampled, cases, about,
                                           missing)
            table += [{**row, "submission": entry.name if several else ""} for row in rows]
    return table


def _give(entries: list[Entry], table, board, about, o, several: bool) -> None:
    """The results, where the options want them."""
    if o.per_case:
        write_text(o.per_case, map_tables.case_table(entries, about, several))
    if score_text.to_person(o):
        if board:
            boards.show(board, write)
        map_tables.show(table, about, write, several)
    elif o.as_json:
        score_text.give(map_tables.as_json(entries, table, board, about), o)
    else:
        rows = [row for entry in entries for row in map_tables.case_rows(entry, about, several)]
        score_text.give(score_text.as_csv(map_tables.COLUMNS, rows + table + board), o)
