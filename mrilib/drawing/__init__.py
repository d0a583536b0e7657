"""Pictures of cases and predictions, side by side on one sheet, and charts of scores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mrilib import tables
from mrilib.cases import Reading
from mrilib.errors import CaseError, UsageError
from mrilib.results import Silent, of_case
from mrilib.sources import cases_of
from mrilib.store import csv_of, whole
from mrilib.targets import is_direct

TABLES = ("case,", "metric,", "submission,case,")  # how a table of predictions or of scores begins

logger = logging.getLogger("mrilib")


def view(shown, out: str | Path = "montage.png", *, cases: str | Path | None = None, count: int = 48, columns: int = 8,
         size: int = 160, mistakes: bool = False, min_score: float = 0.0, random: bool = False, seed: int = 0,
         filters: str | None = None, layout: str | Reading | None = None, root: str | Path | None = None,
         on_error: Callable[[CaseError], object] | None = None, progress: Callable | None = None) -> Path:
    """Draw a sheet of cases or predictions, or charts of scores; return the path of the file.

    shown: cases, paths of them, predicted label maps, a table of predictions or scores (a CSV file, its text, or rows),
    or the curve CSV files of one or several trainings. out: a PNG; of charts also SVG or PDF. cases: the folder of the
    predicted cases. count: the most cases to show, evenly chosen; of predicted classes and boxes mistakes first. size:
    of a picture in pixels. mistakes: show wrong predictions only. min_score: leave out predicted boxes of a lower
    score. random: choose cases at random from `seed`. filters: names or weights of kernels (`filters.kernels_of`); show
    image, kernel and response of each for every case. on_error takes the error of a case; without it the error is
    logged. Raises CaseError when nothing is left to show.
    """
    from mrilib.drawing import boxes, contents, curves, montage, scores
    from mrilib.drawing import filters as convolutions
    from mrilib.images.io import files

    out, folder = Path(out), None if cases is None else Path(cases)
    montage.check_sheet(count, columns, size)
    fail = on_error or (lambda error: logger.warning("%s", error))
    if runs := curves.read(shown):
        if cases is not None or mistakes or random or filters is not None or min_score:
            raise UsageError("curves take no option of cases or predictions", remedy="leave out all but --output")
        return _draw_charts(list(curves.charts_of(runs).values()), out)
    table = table_of(shown)
    if min_score and (table is None or not boxes.is_boxes(table)):
        raise UsageError("--min-score has no effect without a table of boxes")
    if filters is not None and (table is not None or cases is not None):
        raise UsageError("--filters has no effect on predictions and scores", remedy="give cases alone")
    kernels = None if filters is None else convolutions.kernels_of(filters)
    if table is not None and scores.is_scores(table):
        for name, value in (("cases", cases), ("mistakes", mistakes), ("random", random)):
            if value:
                raise UsageError(f"--{name} has no effect on scores")
        return _draw_charts(scores.charts_of(table), out)
    if out.suffix.lower() != ".png" and (out.suffix or not is_direct(out)):
        raise UsageError("the picture is a PNG", where=out, remedy="end its name with .png")
    if table is not None:
        if random:
            raise UsageError("--random has no effect on a table of predictions", remedy="mistakes are shown first")
        if folder is None:
            raise UsageError("a table of predictions needs --cases", remedy="name the folder that it is about")
        cases_about = contents.of_folder(folder, layout, root, fail)
        if boxes.is_boxes(table):
            wanted = boxes.of_boxes(table, cases_about, mistakes, min_score)
        else:
            wanted = contents.of_predictions(table, cases_about, mistakes)
        chosen = wanted[:count]
    elif mistakes:
        raise UsageError("--mistakes has no effect without a table of predictions")
    else:
        given = cases_of(shown, fail, None if folder else layout, root)
        if folder is None:
            wanted = contents.of_cases(given)
        else:
            wanted = contents.of_maps(given, contents.of_folder(folder, layout, None, fail))
        chosen = contents.choose(wanted, count, seed if random else None)
    if kernels is not None:
        montage.check_sheet(len(chosen) * len(kernels) * convolutions.COLUMNS, convolutions.COLUMNS, size)
    drawn, failed = [], 0
    with (progress or Silent)("draw", len(chosen)) as bar:
        for one in chosen:
            try:
                if kernels is None:
                    drawn.append(contents.tile_of(one, size))
                else:
                    drawn += convolutions.tiles(one.case.id, files.read_case(one.case), kernels, size)
            except CaseError as error:
                failed += 1
                fail(of_case(one.case, error))
            bar.step()
    if not drawn:
        why = "" if failed else " (no mistake)" if mistakes else " (no case)"
        raise CaseError(f"nothing to show{why}")
    with whole(out, suffix=".png") as temporary:
        montage.save(drawn, columns if kernels is None else convolutions.COLUMNS, temporary)
    logger.info("%d of %d shown", len(chosen) - failed, len(wanted))
    return out


def table_of(shown) -> str | None:
    """The text of a table of predictions or scores: its text, its rows, or its CSV file; None for anything else."""
    if isinstance(shown, list | tuple) and len(shown) == 1 and isinstance(shown[0], str | Path):
        shown = shown[0]
    if isinstance(shown, str) and shown.startswith(TABLES):
        return shown
    if isinstance(shown, str | Path):
        path = Path(shown)
        if path.suffix.lower() != ".csv" or not path.is_file():
            return None
        text = tables.text_of(path)
        return text if text.startswith(TABLES) else None
    rows = list(shown) if isinstance(shown, Sequence) else []
    return csv_of(rows) if rows and all(isinstance(row, Mapping) for row in rows) else None


def _draw_charts(charts: list[Callable], out: Path) -> Path:
    from mrilib.drawing.charts import SUFFIXES, figure, save

    if out.suffix.lower() not in SUFFIXES and (out.suffix or not is_direct(out)):
        raise UsageError("charts are PNG, SVG or PDF", where=out, remedy="end its name with .png, .svg or .pdf")
    save(figure(charts), out)
    logger.info("%d chart%s", len(charts), "s" * (len(charts) != 1))
    return out
