"""The leaderboard of several submissions: rows of ranks and of paired tests, and a table to read."""

from __future__ import annotations

from mri_tools.common.map_tables import console, short, text_of
from mri_tools.common.run import say
from mrilib.errors import UsageError

RANKED = ("dice", "hd95")
MOST_PAIRS = 190  # of twenty submissions; of more only the ranks are tested, not each figure


def ranked_figures(asked: tuple[str, ...] | None, figures) -> tuple[str, ...]:
    """The figures that are ranked. Raises UsageError for one that is not measured, or has no better and worse."""
    from mrilib.metrics.segmentation import known

    chosen = asked or [name for name in RANKED if name in figures]
    for name in chosen:
        if name not in figures:
            raise UsageError(f"--rank-by {name}: is not among the figures", remedy=f"known: {' '.join(figures)}")
        if not known(name).better:
            raise UsageError(f"--rank-by {name}: neither a high nor a low one is better")
    if not chosen:
        raise UsageError("no figure to rank by is measured", remedy="name some with --rank-by")
    return tuple(chosen)


def rows(entries: list, names: list[str], rules, ranked: tuple[str, ...], units, resampled: str, about) -> list[dict]:
    """Rows of `rank` (value: mean rank; low, high: interval of the place), `place`, `first` (share of resamples won),
    then of the paired tests: metric `p <figure>`, submission the one, case the other, value p after Holm, low p as it
    is, high the difference of the means."""
    import numpy as np

    from mrilib.metrics import leaderboard
    from mrilib.metrics.segmentation import known

    places = [(metric, part) for metric in ranked for part in rules.parts]
    values = np.array([[[entry.results[name].parts[part][metric] if name in entry.results else np.nan
                         for metric, part in places] for name in names] for entry in entries])
    better = [known(metric).better for metric, _ in places]
    made = leaderboard.rank(values, better, units, level=about.level, count=about.resamples, seed=about.seed)
    common = {"n": len(names), "cases": "all", "level": about.level, "resamples": about.resamples, "seed": about.seed,
              "resampled": resampled, "rules": f"{about.text()}; ranked by {', '.join(ranked)}"}
    table = []
    for i in np.argsort(made.place, kind="stable"):
        mine = {**common, "submission": entries[i].name, "missing": len(entries[i].missing)}
        table += [{"metric": "rank", "value": float(made.mean_rank[i]), **mine},
                  {"metric": "place", "value": float(made.place[i]), "low": float(made.low[i]),
                   "high": float(made.high[i]), **mine},
                  {"metric": "first", "value": float(made.first[i]), **mine}]
    tests = [("rank", "", made.by_case)]
    if len(entries) * (len(entries) - 1) // 2 <= MOST_PAIRS:
        tests += [(metric, part, values[:, :, k]) for k, (metric, part) in enumerate(places)]
    else:
        say(f"{len(entries)} submissions: the ranks are compared in pairs, not each figure")
    for metric, part, of in tests:
        table += [{"metric": f"p {metric}", "part": part, "value": test.holm, "low": test.p, "high": test.difference,
                   "submission": entries[test.first].name, "case": entries[test.second].name, **common}
                  for test in leaderboard.compare(of, units)]
    return table


def show(board: list[dict], about, write) -> None:
    """The leaderboard for a person: places with how sure they are, and the test against the next one."""
    from rich.table import Table

    places = [row for row in board if row["metric"] == "place"]
    of = {(row["metric"], row["submission"]): row["value"] for row in board if "case" not in row}
    tests = {frozenset((row["submission"], row["case"])): row["value"] for row in board if row["metric"] == "p rank"}
    first = places[0]
    shown = Table(title="leaderboard", caption=f"{first['rules']}; places of {first['resamples']} bootstrap resamples "
                  f"by {first['resampled']}; p: paired Wilcoxon test of the ranks, Holm's correction")
    for name in ("place", "submission", "mean rank", f"{about.level:g} % of places", "first in", "missing",
                 "p to the next"):
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
