"""The leaderboard of several submissions: rows of ranks and of paired tests, and a table to read."""

from __future__ import annotations

from mri_tools.cli.output import say
from mri_tools.common.score_text import console, short, text_of
from mrilib.errors import UsageError

MOST_PAIRS = 190  # of twenty submissions; of more only the first test is made, not each figure's


def ranked_figures(asked: tuple[str, ...] | None, usual: list[str], figures, better) -> tuple[str, ...]:
    """The figures that are ranked: those asked for, else the usual ones. better: name -> 1, -1, or 0 for neither.

    Raises UsageError for one that is not measured, or has no better and worse.
    """
    chosen = asked or [name for name in usual if name in figures]
    for name in chosen:
        if name not in figures:
            raise UsageError(f"--rank-by {name}: is not among the figures", remedy=f"known: {' '.join(figures)}")
        if not better(name):
            raise UsageError(f"--rank-by {name}: neither a high nor a low one is better")
    if not chosen:
        raise UsageError("no figure to rank by is measured", remedy="name some with --rank-by")
    return tuple(chosen)


def of_cases(names: list[str], missing: list[int], values, places: list[tuple[str, str]], better, units, common: dict,
             ) -> list[dict]:
    """The leaderboard by the ranks of each case. values: (submissions, cases, figures), which figure of which part
    each is: places; better: (figures,). names, missing: of the submissions."""
    from mrilib.evaluation import leaderboard

    made = leaderboard.rank(values, better, units, level=common["level"], count=common["resamples"],
                            seed=common["seed"])
    tested = [("rank", "", made.by_case), *((metric, part, values[:, :, k]) for k, (metric, part) in enumerate(places))]
    tests = [(metric, part, leaderboard.compare(of, units)) for metric, part, of in _few(tested, names)]
    ranked = ", ".join(dict.fromkeys(metric for metric, _ in places))
    common = {**common, "rules": f"{common['rules']}; each case ranked by {ranked}; p: paired Wilcoxon test, Holm's "
                                 "correction"}
    return _rows(names, missing, made, tests, common)


def of_figures(names: list[str], missing: list[int], figures: list, ranked: tuple[str, ...], better, units,
               common: dict) -> list[dict]:
    """The leaderboard by figures of all cases together. figures: of each submission, weights (r, n) -> (r, ranked)."""
    import numpy as np

    from mrilib.evaluation import leaderboard

    values, drawn = leaderboard.draw(figures, units, count=common["resamples"], seed=common["seed"])
    made = leaderboard.rank_together(values, drawn, better, level=common["level"])
    count = len(np.unique(units))
    tests = [(metric, "", leaderboard.compare_together(values[:, k], drawn[:, :, k], count))
             for metric, k in _few([(metric, k) for k, metric in enumerate(ranked)], names)]
    common = {**common, "rules": f"ranked by {', '.join(ranked)}; p: paired bootstrap test, Holm's correction"}
    return _rows(names, missing, made, tests, common)


def _few(tested: list, names: list[str]) -> list:
    if len(names) * (len(names) - 1) // 2 <= MOST_PAIRS:
        return tested
    if tested[1:]:
        say(f"{len(names)} submissions: they are compared in pairs by {tested[0][0]} alone, not by each figure")
    return tested[:1]


def _rows(names, missing, made, tests, common: dict) -> list[dict]:
    """Rows of `rank` (value: mean rank; low, high: interval of the place), `place`, `first` (share of resamples won),
    then of the paired tests: metric `p <figure>`, a submission against another, value p after Holm, low p as it is,
    high the difference of the two."""
    import numpy as np

    table = []
    for i in np.argsort(made.place, kind="stable"):
        mine = {**common, "submission": names[i], "missing": missing[i]}
        table += [{"metric": "rank", "value": float(made.mean_rank[i]), **mine},
                  {"metric": "place", "value": float(made.place[i]), "low": float(made.low[i]),
                   "high": float(made.high[i]), **mine},
                  {"metric": "first", "value": float(made.first[i]), **mine}]
    for metric, part, some in tests:
        table += [{"metric": f"p {metric}", "part": part, "value": test.holm, "low": test.p, "high": test.difference,
                   "submission": names[test.first], "against": names[test.second], **common} for test in some]
    return table


def show(board: list[dict], write) -> None:
    """The leaderboard for a person: places with how sure they are, and the test against the next one."""
    from rich.table import Table

    places = [row for row in board if row["metric"] == "place"]
    of = {(row["metric"], row["submission"]): row["value"] for row in board if "against" not in row}
    first, pairs = places[0], [row for row in board if "against" in row]
    tests = {frozenset((row["submission"], row["against"])): row["value"] for row in pairs
             if (row["metric"], row.get("part")) == (pairs[0]["metric"], pairs[0].get("part"))}
    shown = Table(title="leaderboard", caption=f"{first['rules']}; places of {first['resamples']} bootstrap resamples "
                  f"by {first['resampled']}, seed {first['seed']}")
    for name in ("place", "submission", "mean rank", f"{first['level']:g} % of places", "first in", "missing",
                 f"{pairs[0]['metric']}, to the next"):
        shown.add_column(name, justify="left" if name == "submission" else "right")
    for row, after in zip(places, [*places[1:], None], strict=True):
        name = row["submission"]
        p = tests[frozenset((name, after["submission"]))] if after else None
        shown.add_row(f"{row['value']:.0f}", name, short(of["rank", name]), f"{row['low']:.0f} to {row['high']:.0f}",
                      f"{100 * of['first', name]:.0f} %", str(row["missing"]),
                      "" if p is None else "< 0.001" if p < 0.001 else text_of(round(p, 3)))
    screen = console()
    screen.print(shown)
    write(screen.file.getvalue())
