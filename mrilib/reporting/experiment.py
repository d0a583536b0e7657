"""What the paths of a report are: model files, splits, scores, predictions, cases."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from mrilib import tables
from mrilib.cases import Case
from mrilib.drawing.contents import of_folder
from mrilib.errors import UsageError
from mrilib.sources import cases_of

MODELS = (".h5", ".keras")


@dataclass
class Experiment:
    """The parts of an experiment. scores: texts of mri-score's tables by name. classes, boxes: texts of tables of
    predictions. split: rows. maps: predicted label maps. cases: what the predictions are about."""

    models: list[Path] = field(default_factory=list)
    scores: dict[str, str] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    split: list[dict] = field(default_factory=list)
    maps: list[Case] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)


def sort_out(shown, folder: Path | None, layout, root, fail) -> Experiment:
    """Sort the paths (or the text of one table) of a report by what they hold.

    Paths of cases are the cases themselves, or with `folder` predicted label maps of its cases. Raises UsageError for a
    CSV of another kind.
    """
    parts, others = Experiment(), []
    for one in [shown] if isinstance(shown, str | Path) else list(shown):
        if isinstance(one, str) and "\n" in one:
            _add_table(parts, one, "table")
        elif isinstance(one, str | Path) and Path(one).suffix.lower() in MODELS:
            parts.models.append(Path(one))
        elif isinstance(one, str | Path) and Path(one).suffix.lower() == ".csv" and Path(one).name != "cases.csv":
            _add_table(parts, tables.text_of(one), str(one))
        else:
            others.append(one)
    if folder is not None:
        parts.cases = of_folder(folder, layout, root, fail)
        parts.maps = cases_of(others, fail, None, None) if others else []
    elif others:
        parts.cases = cases_of(others, fail, layout, root)
    return parts


def _add_table(parts: Experiment, text: str, name: str) -> None:
    columns = next(csv.reader(io.StringIO(text, newline="")), [])
    if columns[:1] == ["metric"] or {"case", "reference", "prediction"} <= {*columns}:
        parts.scores[name] = text
    elif {"case", "part"} <= {*columns}:
        parts.split += csv.DictReader(io.StringIO(text, newline=""))
    elif {"case", "x0", "y0", "x1", "y1"} <= {*columns}:
        parts.boxes.append(text)
    elif {"case", "class"} <= {*columns}:
        parts.classes.append(text)
    elif columns[:1] != ["epoch"]:  # a curve: the model's record holds it, too
        raise UsageError("is no table of mri-split, mri-predict or mri-score", where=name,
                         remedy="leave it out of the report")
