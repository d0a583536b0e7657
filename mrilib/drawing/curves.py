"""Training curves of one or several runs, from the records of their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from mrilib.drawing.charts import CURVES


def charts_of(records: Mapping[str, dict]) -> dict[str, Callable]:
    """The charts of model records by name of a run: metric -> function of the axes to draw on.

    A metric and its value on the validation cases share a chart. Empty for records without a curve.
    """
    runs = {name: record.get("training", {}) for name, record in records.items()}
    metrics = dict.fromkeys(key.removeprefix("validation_") for run in runs.values() for point in run.get("curve") or ()
                            for key in point if key != "epoch")
    return {metric: partial(curve, title=metric.replace("_", " "), runs=runs, metric=metric) for metric in metrics}


def curve(axes, title: str, runs: Mapping[str, dict], metric: str) -> None:
    """A metric by epoch, a line for each run, dashed for validation; a dot marks the epoch whose weights are kept."""
    for place, (name, run) in enumerate(runs.items()):
        colour = CURVES[place % len(CURVES)]
        for key, style in ((metric, "-"), (f"validation_{metric}", "--")):
            points = [(point["epoch"], point[key]) for point in run.get("curve") or () if point.get(key) is not None]
            if not points:
                continue
            label = f"{name}, validation" if style == "--" else name
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
            kept = [point for point in points if point[0] == run.get("best_epoch")]
            axes.plot(*(zip(*kept, strict=True) if kept else ((), ())), "o", color=colour)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.legend(loc="best", frameon=False)
