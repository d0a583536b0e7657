"""Charts of scores, drawn by Pillow: box plots, Bland-Altman, confusion matrix, ROC, FROC. Each is (y, x, 3) uint8.

Pillow draws them because it is here already; matplotlib would add 40 MB and a second to what needs lines and letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

WIDE, HIGH, MARGIN, LETTERS = 640, 440, 64, 14
PAPER, INK, FAINT, MARK, SECOND = (255, 255, 255), (30, 30, 30), (205, 205, 205), (40, 100, 190), (220, 90, 60)
CURVES = (MARK, SECOND, (60, 150, 80), (150, 80, 170), (120, 120, 120))


class _Axes:
    """A sheet with two axes from low to high, in the units of the data."""

    def __init__(self, title: str, x: tuple[float, float], y: tuple[float, float], x_name: str, y_name: str,
                 x_ticks: bool = True, y_ticks: bool = True):
        from PIL import Image, ImageDraw, ImageFont

        self.picture = Image.new("RGB", (WIDE, HIGH), PAPER)
        self.draw, self.font = ImageDraw.Draw(self.picture), ImageFont.load_default(LETTERS)
        self.x, self.y = _widened(*x), _widened(*y)
        self.text((WIDE / 2, 16), title)
        self.text((WIDE / 2, HIGH - 14), x_name)
        self.draw.text((8, 30), y_name, INK, self.font)
        for value in _ticks(*self.y) if y_ticks else ():
            place = self.at(self.x[0], value)[1]
            self.draw.line((MARGIN, place, WIDE - 20, place), FAINT)
            self.draw.text((MARGIN - 6, place), f"{value:g}", INK, self.font, anchor="rm")
        for value in _ticks(*self.x) if x_ticks else ():
            self.text((self.at(value, 0)[0], HIGH - MARGIN + 14), f"{value:g}")
        self.draw.rectangle((MARGIN, 50, WIDE - 20, HIGH - MARGIN), outline=INK)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return MARGIN + across * (WIDE - 20 - MARGIN), HIGH - MARGIN - up * (HIGH - MARGIN - 50)

    def text(self, place, text: str, colour=INK) -> None:
        self.draw.text(place, text, colour, self.font, anchor="mm")

    def dot(self, x: float, y: float, colour=MARK) -> None:
        px, py = self.at(x, y)
        self.draw.ellipse((px - 3, py - 3, px + 3, py + 3), fill=colour)

    def line(self, points, colour=MARK, width: int = 2) -> None:
        self.draw.line([self.at(*p) for p in points], colour, width)

    def made(self) -> np.ndarray:
        return np.asarray(self.picture)


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 1, high + 1)


def _ticks(low: float, high: float) -> list[float]:
    """Five or so round numbers within a range."""
    step = 10 ** np.floor(np.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    return [round(float(v), 10) + 0.0 for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def box_plot(title: str, groups: Mapping[str, Sequence[float]], unit: str = "") -> np.ndarray:
    """Boxes from quartile to quartile with the median, whiskers to the last value within 1.5 boxes (Tukey 1977), each
    value a dot. NaN is left out. Raises ValueError when no value is left."""
    kept = {name: np.array([v for v in values if not np.isnan(v)]) for name, values in groups.items()}
    kept = {name: values for name, values in kept.items() if len(values)}
    if not kept:
        raise ValueError("no value to draw")
    every = np.concatenate(list(kept.values()))
    low, high = (0.0, 1.0) if every.min() >= 0 and every.max() <= 1 else (min(every.min(), 0.0), every.max() * 1.05)
    axes = _Axes(title, (0, len(kept)), (low, high), "", unit, x_ticks=False)
    for i, (name, values) in enumerate(kept.items()):
        q1, median, q3 = np.percentile(values, (25, 50, 75))
        reach = 1.5 * (q3 - q1)
        ends = values[(values >= q1 - reach) & (values <= q3 + reach)]
        for j, value in enumerate(values):
            axes.dot(i + 0.5 + 0.14 * ((j * 0.618) % 1 - 0.5), value, FAINT)
        axes.line([(i + 0.3, q1), (i + 0.7, q1), (i + 0.7, q3), (i + 0.3, q3), (i + 0.3, q1)])
        axes.line([(i + 0.3, median), (i + 0.7, median)], SECOND, 3)
        axes.line([(i + 0.5, ends.min()), (i + 0.5, q1)])
        axes.line([(i + 0.5, q3), (i + 0.5, ends.max())])
        axes.text((axes.at(i + 0.5, low)[0], HIGH - MARGIN + 14), name[-int(90 / len(kept) + 3):])
    return axes.made()


def bland_altman(title: str, measured: Sequence[float], reference: Sequence[float], unit: str = "") -> np.ndarray:
    """Difference of two measurements over their mean, with its mean and limits of agreement, mean +- 1.96 SD (1986)."""
    pairs = np.array([(m, r) for m, r in zip(measured, reference, strict=True) if not np.isnan(m + r)], float)
    if not len(pairs):
        raise ValueError("no pair to draw")
    away, middle = pairs[:, 0] - pairs[:, 1], pairs.mean(1)
    bias, spread = away.mean(), away.std(ddof=1) if len(away) > 1 else 0.0
    limits = [bias - 1.96 * spread, bias, bias + 1.96 * spread]
    span = (min(away.min(), limits[0]), max(away.max(), limits[2]))
    pad = 0.08 * (span[1] - span[0] or 1)
    axes = _Axes(title, (0, float(middle.max()) * 1.05), (span[0] - pad, span[1] + pad), f"mean of the two ({unit})",
                 f"difference ({unit})")
    for value, text in zip(limits, ("-1.96 SD", "mean", "+1.96 SD"), strict=True):
        axes.line([(axes.x[0], value), (axes.x[1], value)], SECOND, 1 if text != "mean" else 2)
        place = axes.at(axes.x[1], value)
        axes.draw.text((place[0] - 4, place[1] - 9), f"{text} {value:.4g}", SECOND, axes.font, anchor="rm")
    for x, y in zip(middle, away, strict=True):
        axes.dot(x, y)
    return axes.made()


def confusion(title: str, counts: np.ndarray, true: Sequence[str], called: Sequence[str]) -> np.ndarray:
    """A grid of counts (true, called), darker where more of a true class's cases are."""
    axes = _Axes(title, (0, len(called)), (0, len(true)), "predicted class", "true class", x_ticks=False, y_ticks=False)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for i, j in np.ndindex(counts.shape):
        (x0, y1), (x1, y0) = axes.at(j, len(true) - 1 - i), axes.at(j + 1, len(true) - i)
        shade = tuple(int(255 - (255 - c) * share[i, j]) for c in MARK)
        axes.draw.rectangle((x0, y0, x1, y1), fill=shade, outline=INK)
        axes.text(((x0 + x1) / 2, (y0 + y1) / 2), f"{counts[i, j]:.0f}", PAPER if share[i, j] > 0.5 else INK)
    for i, name in enumerate(true):
        axes.draw.rectangle((0, axes.at(0, len(true) - i - 0.5)[1] - 9, MARGIN - 2,
                             axes.at(0, len(true) - i - 0.5)[1] + 9), fill=PAPER)
        axes.draw.text((MARGIN - 6, axes.at(0, len(true) - i - 0.5)[1]), name[:8], INK, axes.font, anchor="rm")
    for j, name in enumerate(called):
        axes.text((axes.at(j + 0.5, 0)[0], HIGH - MARGIN + 14), name[:12])
    return axes.made()


def roc(title: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Sensitivity over 1 - specificity, a curve for each name: (positive (n,) bool, score (n,)), with its area."""
    axes = _Axes(title, (0, 1), (0, 1), "1 - specificity", "sensitivity")
    axes.line([(0, 0), (1, 1)], FAINT, 1)
    for i, (name, (positive, score)) in enumerate(curves.items()):
        order = np.argsort(-score, kind="stable")
        last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
        hits = np.r_[0, np.cumsum(positive[order])[last]] / max(positive.sum(), 1)
        false = np.r_[0, np.cumsum(~positive[order])[last]] / max((~positive).sum(), 1)
        axes.line(list(zip(false, hits, strict=True)), CURVES[i % len(CURVES)])
        area = float(np.sum(np.diff(false) * (hits[1:] + hits[:-1]) / 2))
        place = axes.at(0.98, 0.06 * (len(curves) - i))
        axes.draw.text(place, f"{name}: {area:.3f}", CURVES[i % len(CURVES)], axes.font, anchor="rm")
    return axes.made()


def froc(title: str, curves: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> np.ndarray:
    """Sensitivity over false marks a case, each twice the one before, a curve for each name: points (false a case,
    sensitivity, low, high), the interval NaN where there is none; beside a name the mean, LUNA16's score."""
    each = sorted({point[0] for points in curves.values() for point in points})
    if not each:
        raise ValueError("no point to draw")
    axes = _Axes(title, (np.log2(each[0]) - 0.3, np.log2(each[-1]) + 0.3), (0, 1), "false boxes a case", "sensitivity",
                 x_ticks=False)
    for false in each:
        axes.text((axes.at(np.log2(false), 0)[0], HIGH - MARGIN + 14), f"{false:g}")
    ends = sorted([0, 1, *(p[1] for points in curves.values() for p in points if p[0] >= each[-1] / 2)])
    free = max(range(1, len(ends)), key=lambda k: ends[k] - ends[k - 1])  # names where no curve is at its right end
    for i, (name, points) in enumerate(curves.items()):
        colour, aside = CURVES[i % len(CURVES)], 0.04 * (i - (len(curves) - 1) / 2)
        for false, value, low, high in points:
            axes.dot(np.log2(false) + aside, value, colour)
            if not np.isnan(low + high):
                axes.line([(np.log2(false) + aside, low), (np.log2(false) + aside, high)], colour, 1)
        axes.line([(np.log2(false) + aside, value) for false, value, *_ in points], colour)
        place = axes.at(axes.x[1] - 0.1, (ends[free] + ends[free - 1]) / 2 + 0.06 * ((len(curves) - 1) / 2 - i))
        axes.draw.text(place, f"{name}: {np.mean([p[1] for p in points]):.3f}", colour, axes.font, anchor="rm")
    return axes.made()


def sheet(charts: Sequence[np.ndarray], columns: int = 2) -> np.ndarray:
    """Charts side by side, row by row. Raises ValueError for none."""
    if not charts:
        raise ValueError("no chart to show")
    columns = min(columns, len(charts))
    made = np.full((-(-len(charts) // columns) * HIGH, columns * WIDE, 3), 255, np.uint8)
    for i, chart in enumerate(charts):
        y, x = i // columns * HIGH, i % columns * WIDE
        made[y : y + HIGH, x : x + WIDE] = chart
    return made
