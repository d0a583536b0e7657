"""The rows of a leaderboard of several submissions: ranks, places and paired tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from mrilib.errors import UsageError

log = logging.getLogger("mrilib")
MOST_PAIRS = 190  # of twenty submissions; of more only the first test is made, not that of each metric


def ranked_metrics(asked: tuple[str, ...] | None, default: list[str], metrics: Sequence[str],
                   better: Callable[[str], int]) -> tuple[str, ...]:
    """The metrics that are ranked: those asked for, else the default ones.

    better: name -> 1, -1, or 0 for neither. Raises UsageError for a metric that is not measured, or not ordered.
    """
    chosen = asked or [name for name in default if name in metrics]
    for name in chosen:
        if name not in metrics:
            raise UsageError(f"--rank-by {name}: is not among the metrics", remedy=f"known: {' '.join(metrics)}")
        if not better(name):
            raise UsageError(f"--rank-by {name}: neither a high nor a low value is better")
    if not chosen:
        raise UsageError("no metric to rank by is measured", remedy="name some with --rank-by")
    return tuple(chosen)


def by_cases(entries: list, values, places: list[tuple[str, str]], better: Sequence[int], units, about: dict,
             ) -> list[dict]:
    """The leaderboard by ranks in each case. values: (submissions, cases, metrics); places: (metric, part) of each;
    better: (metrics,); about: what every row tells."""
    from mrilib.evaluation import leaderboard

    ranking = leaderboard.rank(values, better, units, level=about["level"], count=about["resamples"],
                               seed=about["seed"])
    tested = [("rank", "", ranking.by_case),
              *((metric, part, values[:, :, k]) for k, (metric, part) in enumerate(places))]
    tests = [(metric, part, leaderboard.compare(of, units)) for metric, part, of in _few(tested, entries)]
    ranked = ", ".join(dict.fromkeys(metric for metric, _ in places))
    about = {**about, "rules": f"{about['rules']}; each case ranked by {ranked}; p: paired Wilcoxon test, Holm's "
                               "correction"}
    return _rows(entries, ranking, tests, about)


def by_metrics(entries: list, functions: list[Callable], metrics: tuple[str, ...], better: Sequence[int], units,
               about: dict) -> list[dict]:
    """The leaderboard by metrics of all cases together. functions: of each submission, weights (r, n) -> (r, metrics);
    others: as of by_cases."""
    import numpy as np

    from mrilib.evaluation import leaderboard

    values, drawn = leaderboard.draw(functions, units, count=about["resamples"], seed=about["seed"])
    ranking = leaderboard.rank_together(values, drawn, better, level=about["level"])
    count = len(np.unique(units))
    tests = [(metric, "", leaderboard.compare_together(values[:, k], drawn[:, :, k], count))
             for metric, k in _few([(metric, k) for k, metric in enumerate(metrics)], entries)]
    about = {**about, "rules": f"ranked by {', '.join(metrics)}; p: paired bootstrap test, Holm's correction"}
    return _rows(entries, ranking, tests, about)


def _few(tested: list, entries: list) -> list:
    if len(entries) * (len(entries) - 1) // 2 <= MOST_PAIRS:
        return tested
    if tested[1:]:
        log.info("%d submissions: they are compared in pairs by %s alone, not by each metric", len(entries),
                 tested[0][0])
    return tested[:1]


def _rows(entries: list, ranking, tests: list, about: dict) -> list[dict]:
    """Rows of `rank` (value: mean rank), `place` (low, high: its interval), `first` (share of resamples won), then of
    the paired tests: metric `p <metric>`, a submission against another, value p after Holm, low p as it is, high the
    difference of the two."""
    import numpy as np

    rows = []
    for i in np.argsort(ranking.place, kind="stable"):
        own = {**about, "submission": entries[i].name, "missing": len(entries[i].missing)}
        rows += [{"metric": "rank", "value": float(ranking.mean_rank[i]), **own},
                 {"metric": "place", "value": float(ranking.place[i]), "low": float(ranking.low[i]),
                  "high": float(ranking.high[i]), **own},
                 {"metric": "first", "value": float(ranking.first[i]), **own}]
    for metric, part, pairs in tests:
        rows += [{"metric": f"p {metric}", "part": part, "value": test.holm, "low": test.p, "high": test.difference,
                  "submission": entries[test.first].name, "against": entries[test.second].name, **about}
                 for test in pairs]
    return rows
