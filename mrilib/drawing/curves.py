"""Training curves of one or several runs, from the records of their models."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from mrilib import tables
from mrilib.drawing.charts import CURVES
from mrilib.errors import CaseError, UsageError

START = "epoch,"  # of the CSV that mri-train writes beside a model


def read(shown) -> dict[str, dict]:
    """Records that hold only the curve, by the name of the run, of the curve CSV files of mri-train.

    Empty unless all paths are such files. Raises UsageError for a value that is no number.
    """
    parts = [shown] if isinstance(shown, str | Path) else shown if isinstance(shown, list | tuple) else []
    if not all(isinstance(one, Path) or isinstance(one, str) and "\n" not in one for one in parts):
        return {}
    paths = [Path(one) for one in parts]
    if not all(path.suffix.lower() == ".csv" and path.is_file() for path in paths):
        return {}
    texts = {path: tables.text_of(path) for path in paths}
    if not all(text.startswith(START) for text in texts.values()):
        return {}
    runs = {}
    for path, text in texts.items():
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        try:
            points = [{key: float(value) for key, value in row.items() if value} for row in rows]
        except (TypeError, ValueError) as error:
            raise UsageError(f"cannot be read: {error}", where=path, remedy="give mri-train's curve") from error
        name = path.name.removesuffix(".csv").removesuffix(".curve")
        runs[name if name not in runs else str(path)] = {"training": {"curve": points}}
    if runs and not any(run["training"]["curve"] for run in runs.values()):
        raise CaseError("nothing to show (no epoch has ended)")
    return runs


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
