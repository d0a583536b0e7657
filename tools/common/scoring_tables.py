"""mri-score of tables: from the tables of each submission to the figures of all cases, without those that the model
saw and by groups, and who leads. What differs between classes and boxes is in scoring_classes and scoring_boxes."""

from __future__ import annotations

from dataclasses import dataclass

from mri_tools.cli.output import DONE, SOME_FAILED, complain, say, write
from mri_tools.common import boards, score_text
from mri_tools.common.reference import Reference, groups_of, read_reference, seen_by, units_of, unseen
from mri_tools.common.submitted import paired
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.evaluation import pairing
from mrilib.store import csv_text, write_text

COLUMNS = ("metric", "class", "value", "low", "high", "unit", "n", "cases", "level", "resamples", "seed", "resampled")
OF_SEVERAL = ("submission", "against", "missing", "rules")


@dataclass
class Entry:
    """One submission. matched: what its kind makes of its predictions, a missing one among them; cases: those whose
    figures are given; seen: where the model had each of them (train, validation or empty)."""

    name: str
    matched: object
    cases: list[str]
    missing: list[str]
    seen: dict[str, str]
    faults: int = 0


def score(submissions: dict[str, list], o, kind) -> int:
    """Score the tables of each submission as the options of mri-score say; returns the exit code.

    kind: the module that knows classes, or boxes.
    """
    limits = score_text.limits(o.fail_under, kind.FIGURES, kind.SUCH_AS)
    truth = read_reference(o.reference, o.layout, o.split, o.fold, o.part)
    kind.check_truth(truth)
    several = len(submissions) > 1
    known = seen_by(o.models, truth, truth.chosen)
    entries = [_entry(name, tables, truth, known, o, kind, several) for name, tables in submissions.items()]
    rules = kind.rules(entries, truth, limits, o)
    table = [row for entry in entries for row in _rows(entry, truth, rules, o, kind, several)]
    board = _board(entries, truth, rules, o, kind) if several else []
    if o.per_case:
        write_text(o.per_case, _case_table(entries, kind, several))
    _give(entries, table, board, o, several)
    under = score_text.below(table, limits, "class")
    for line in under:
        complain(line)
    wrong = under or any(e.faults or (e.missing and not o.allow_missing) for e in entries)
    return SOME_FAILED if wrong else DONE


def _entry(name: str, tables: list, truth: Reference, known: dict, o, kind, several: bool) -> Entry:
    """What a submission says of the cases to be scored. Of several, what is wrong with one is said, and the rest of it
    and the others go on; a single one must be right as it is."""
    prefix = f"{name}: " if several else ""
    if several:
        given, problems = read_whole(tables, kind, truth)
        pairs, faults = paired(name, given.ids, problems, truth, several)
    else:
        given, faults = None, 0
        for table in tables:
            given = kind.read(table.text, table.where, given)
        pairs = {ref: mine for mine, ref in pairing.pair(given.ids, truth.cases).items()}
        if others := len(set(pairs) - set(truth.chosen)):
            say(f"{others} predictions are of cases that are not to be scored")
    missing = [case for case in truth.chosen if case not in pairs]
    if missing:
        what = "left out" if o.allow_missing else kind.MISSING
        complain(f"{prefix}{len(missing)} cases have no prediction and are {what}: {pairing.some(missing)}")
    cases = [case for case in truth.chosen if not o.allow_missing or case in pairs]
    if not cases and not several:
        raise UsageError("no case is left to score")
    told = {case: given.seen.get(pairs.get(case), "") for case in truth.chosen}
    seen = {case: min({known.get(case, ""), told[case]} - {""}, default="") for case in cases}
    return Entry(name, kind.match(given, pairs, truth), cases, missing, seen, faults)


def read_whole(tables: list, kind, truth: Reference):
    """All predictions of a submission that are well formed, and what is wrong with the others."""
    given, problems = kind.nothing(), []
    for table in tables:
        try:
            given = kind.read(table.text, table.where, given, problems)
        except MriError as error:
            problems.append(CaseError(error.what, where=error.where, remedy=error.remedy))
    for what, cases in kind.strange(given, truth).items():
        given.leave_out(cases)
        problems.append(CaseError(f"{len(cases)} predictions {what}: {pairing.some(cases)}"))
    return given, problems


def _rows(entry: Entry, truth: Reference, rules, o, kind, several: bool) -> list[dict]:
    """Rows over all cases, over those the model never saw, and over each group of --group-by."""
    groups = {"all": entry.cases, "unseen": unseen(entry.seen, f"{entry.name}: " if several else "")}
    if o.group_by:
        mine = set(entry.cases)
        extra = groups_of(o.group_by, truth.chosen).items()
        groups |= {group: [name for name in names if name in mine] for group, names in extra}
    table = []
    for cases, names in groups.items():
        if names:
            units, resampled = units_of(names, truth)
            about = {"n": len(names), "cases": cases, "level": o.level, "resamples": o.resamples, "seed": o.seed,
                     "resampled": resampled}
            table += kind.rows(entry.matched, names, units, rules, about)
    if several:
        table = [{**row, "submission": entry.name, "missing": len(entry.missing)} for row in table]
    return table


def _board(entries: list[Entry], truth: Reference, rules, o, kind) -> list[dict]:
    """The leaderboard by figures of all cases, a missing prediction counted as wrong."""
    ranked = boards.ranked_figures(o.rank_by, kind.usual(entries, rules), kind.FIGURES, lambda name: kind.BETTER[name])
    units, resampled = units_of(truth.chosen, truth)
    figures = [kind.ranked(entry, ranked, rules) for entry in entries]
    common = {"n": len(truth.chosen), "cases": "all", "level": o.level, "resamples": o.resamples, "seed": o.seed,
              "resampled": resampled}
    return boards.of_figures([e.name for e in entries], [len(e.missing) for e in entries], figures, ranked,
                             [kind.BETTER[name] for name in ranked], units, common)


def _case_table(entries: list[Entry], kind, several: bool) -> str:
    """CSV [submission,]case,…,seen with a row for each case."""
    lines = []
    for entry in entries:
        for row in kind.case_rows(entry.matched, entry.cases):
            named = {"submission": entry.name} if several else {}
            lines.append({**named, **row, "seen": entry.seen[row["case"]]})
    columns = list(dict.fromkeys(name for line in lines for name in line if name != "seen")) + ["seen"]
    return csv_text([columns, *([line.get(name, "") for name in columns] for line in lines)])


def _give(entries: list[Entry], table: list[dict], board: list[dict], o, several: bool) -> None:
    """The results, where the options want them."""
    if score_text.to_person(o):
        if board:
            boards.show(board, write)
        show(table, write)
        return
    if not o.as_json:
        score_text.give(score_text.as_csv((*COLUMNS, *(OF_SEVERAL if several else ())), table + board), o)
        return
    of = {entry.name: {"missing": entry.missing, "seen": {name: part for name, part in entry.seen.items() if part}}
          for entry in entries}
    whole = {"leaderboard": board, "submissions": of} if several else of[entries[0].name]
    score_text.give(score_text.as_json({"figures": table, **whole}), o)


def show(table: list[dict], write) -> None:
    """Tables for a person: the figures with their intervals, then the confusion matrix."""
    import math

    from rich.table import Table

    screen = score_text.console()
    for submission, cases in dict.fromkeys((row.get("submission"), row["cases"]) for row in table):
        mine = [row for row in table if (row.get("submission"), row["cases"]) == (submission, cases)]
        first = mine[0]
        about = {"all": "", "unseen": " that the model has not seen (unseen)"}
        title = f"{submission + ': ' if submission else ''}{first['n']} cases{about.get(cases, f': {cases}')}"
        view = Table(title=title, caption=f"{first['level']:g} % interval: BCa bootstrap over each "
                                          f"{first['resampled']}, {first['resamples']} resamples, seed {first['seed']}")
        for name in ("figure", "class", "value", "low", "high"):
            view.add_column(name, justify="left" if name in ("figure", "class") else "right")
        for row in mine:
            if "low" in row:
                places = 1 if row["unit"] == "%" else 3
                numbers = ["–" if math.isnan(row[c]) else f"{row[c]:.{places}f}" for c in ("value", "low", "high")]
                unit = " %" if row["unit"] == "%" else ""
                view.add_row(row["metric"].replace("_", " "), row["class"], numbers[0] + unit, *numbers[1:])
        screen.print(view)
        cells = [row for row in mine if row["metric"].startswith("predicted ")]
        if not cells:
            continue
        matrix = Table(title="true class, by predicted class")
        matrix.add_column("")
        for called in dict.fromkeys(row["metric"] for row in cells):
            matrix.add_column(called, justify="right")
        for true in dict.fromkeys(row["class"] for row in cells):
            matrix.add_row(true, *(f"{row['value']:.0f}" for row in cells if row["class"] == true))
        screen.print(matrix)
    write(screen.file.getvalue())
