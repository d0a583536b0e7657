"""Charts of scores, drawn by matplotlib: box plots, Bland-Altman, confusion matrix, ROC, FROC.

Each function draws on the axes of a figure; `save` writes a figure as PNG, SVG or PDF by the suffix of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

SUFFIXES = (".png", ".svg", ".pdf")
COLUMNS = 2
WIDTH, HEIGHT, DPI = 6.4, 4.4, 150  # of one chart, inches; pixels an inch of a PNG
STYLE = {"font.size": 9, "axes.titlesize": 10, "axes.axisbelow": True, "axes.grid": False, "svg.fonttype": "none",
         "svg.hashsalt": "mri-suite", "pdf.fonttype": 42}  # text stays text; the same chart is the same bytes
CURVES = ("#2864be", "#dc5a3c", "#3c9650", "#9650aa", "#787878", "#b8860b")
FAINT = "#cdcdcd"


def figure(charts: Sequence[Callable]):
    """A figure of charts, row by row; each is a function that draws on the axes it is given. ValueError for none."""
    if not charts:
        raise ValueError("no chart to show")
    import matplotlib
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(charts))
    rows = -(-len(charts) // columns)
    with matplotlib.rc_context(STYLE):
        sheet = Figure(figsize=(columns * WIDTH, rows * HEIGHT), layout="constrained")
        for place, draw in enumerate(charts):
            draw(sheet.add_subplot(rows, columns, place + 1))
    return sheet


def save(sheet, output: Path) -> None:
    """Write a figure: SVG or PDF where the name says so, else PNG."""
    import matplotlib

    from mrilib.store import whole

    suffix = output.suffix.lower() if output.suffix.lower() in SUFFIXES else ".png"
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    with matplotlib.rc_context(STYLE), whole(output, suffix=suffix) as temporary:
        sheet.savefig(temporary, format=suffix[1:], dpi=DPI, metadata=undated)


def box_plot(axes, title: str, groups: Mapping[str, Sequence[float]], unit: str = "") -> None:
    """Boxes from quartile to quartile with the median, whiskers to the last value within 1.5 boxes (Tukey 1977), each
    value a dot. NaN is left out. Raises ValueError when no value is left."""
    values_of = {name: np.array([v for v in values if not np.isnan(v)]) for name, values in groups.items()}
    values_of = {name: values for name, values in values_of.items() if len(values)}
    if not values_of:
        raise ValueError("no value to draw")
    places = np.arange(1, len(values_of) + 1)
    axes.boxplot(list(values_of.values()), positions=places, widths=0.5, showfliers=False,
                 medianprops={"color": CURVES[1], "linewidth": 2})
    for place, values in zip(places, values_of.values(), strict=True):
        beside = place + 0.16 * np.cos(np.arange(len(values)) * 2.4)  # spread out, the same way each time
        axes.plot(beside, values, "o", color=CURVES[0], markersize=3, alpha=0.6, linestyle="none")
    axes.set_xticks(places, list(values_of), rotation=30 if max(map(len, values_of)) > 60 / len(values_of) else 0)
    _named(axes, title, "", unit)


def bland_altman(axes, title: str, predicted: Sequence[float], reference: Sequence[float], unit: str = "") -> None:
    """Difference of two measurements over their mean, with its mean and limits of agreement, mean +- 1.96 SD (1986)."""
    pairs = np.array([(p, r) for p, r in zip(predicted, reference, strict=True) if not np.isnan(p + r)], float)
    if not len(pairs):
        raise ValueError("no pair to draw")
    difference, mean = pairs[:, 0] - pairs[:, 1], pairs.mean(1)
    bias, deviation = difference.mean(), difference.std(ddof=1) if len(pairs) > 1 else 0.0
    axes.plot(mean, difference, "o", color=CURVES[0], markersize=4, linestyle="none")
    for name, value in (("-1.96 SD", bias - 1.96 * deviation), ("mean", bias), ("+1.96 SD", bias + 1.96 * deviation)):
        axes.axhline(value, color=CURVES[1], linewidth=2 if name == "mean" else 1,
                     linestyle="-" if name == "mean" else "--")
        axes.annotate(f"{name} {_short(value)}", (1, value), xycoords=("axes fraction", "data"), xytext=(-4, 3),
                      textcoords="offset points", ha="right", color=CURVES[1])
    axes.set_xlim(left=0)
    axes.margins(y=0.12)
    _named(axes, title, f"mean of the two ({unit})", f"difference ({unit})")


def confusion(axes, title: str, counts: np.ndarray, reference: Sequence[str], predicted: Sequence[str]) -> None:
    """A grid of counts (reference, predicted), darker where more of a reference class's cases are."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(counts.shape):
        colour = "white" if share[i, j] > 0.5 else "black"
        axes.text(j, i, f"{counts[i, j]:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(predicted)), predicted)
    axes.set_yticks(range(len(reference)), reference)
    axes.tick_params(length=0)
    _named(axes, title, "predicted class", "reference class")


def roc(axes, title: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Sensitivity over 1 - specificity, a curve for each name: (positive (n,) bool, score (n,)), with its area."""
    from sklearn.metrics import auc, roc_curve

    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1)
    for place, (name, (positive, score)) in enumerate(curves.items()):
        false, hits, _ = roc_curve(positive, score, drop_intermediate=False)
        axes.plot(false, hits, color=CURVES[place % len(CURVES)], label=f"{name}: {auc(false, hits):.3f}")
    axes.legend(loc="lower right", frameon=False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    _named(axes, title, "1 - specificity", "sensitivity")


def froc(axes, title: str, curves: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> None:
    """Sensitivity over false boxes a case, a curve for each name: points (false a case, sensitivity, low, high), the
    interval NaN where there is none; beside a name the mean, LUNA16's score. Raises ValueError for no point."""
    ticks = sorted({point[0] for points in curves.values() for point in points})
    if not ticks:
        raise ValueError("no point to draw")
    for place, (name, points) in enumerate(curves.items()):
        false, value, low, high = np.array(points, float).T
        false = false * 2 ** (0.04 * (place - (len(curves) - 1) / 2))  # beside one another
        errors = np.nan_to_num(np.array([value - low, high - value])).clip(0)
        axes.errorbar(false, value, yerr=errors, color=CURVES[place % len(CURVES)], marker="o", markersize=4,
                      elinewidth=1, capsize=2, label=f"{name}: {value.mean():.3f}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="best", frameon=False)
    _named(axes, title, "false boxes a case", "sensitivity")


def _short(value: float) -> str:
    """A number in four digits, or all digits before the point."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _named(axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
