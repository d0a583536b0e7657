"""One self-contained HTML page of an experiment: data, recipe, model, curves, scores, cases and their pictures."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from pathlib import Path

from mrilib.cases import Reading
from mrilib.errors import CaseError, UsageError
from mrilib.results import Silent, of_case
from mrilib.store import write_text

SIZE = 10.0  # MB of a page
SHOWN = 6  # cases of each kind: worst, median, best
RESERVE = 64 << 10  # bytes of a page beyond what was counted

logger = logging.getLogger("mrilib")


def report(shown, out: str | Path = "report.html", *, cases: str | Path | None = None, size: float = SIZE,
           layout: str | Reading | None = None, root: str | Path | None = None,
           on_error: Callable[[CaseError], object] | None = None, progress: Callable | None = None) -> Path:
    """Write one HTML file that shows an experiment and opens without a network; return its path.

    shown: paths of model files, split.csv, tables of mri-predict and mri-score, predicted label maps, or cases; or the
    text of one such table. cases: the folder of the cases that predictions are about. size: the largest size of the
    page in MB; pictures are made smaller or left out to keep it. on_error takes the error of a case; without it the
    error is logged. Raises CaseError when nothing is left to show, UsageError for a table of another kind.
    """
    from mrilib.reporting import experiment, page
    from mrilib.reporting.judged import judged

    fail = on_error or (lambda error: logger.warning("%s", error))
    parts = experiment.sort_out(shown, None if cases is None else Path(cases), layout, root, fail)
    if (parts.classes or parts.boxes) and cases is None and not parts.cases:
        raise UsageError("a table of predictions needs --cases", remedy="name the folder that it is about")
    ones = judged(parts)
    columns = list(dict.fromkeys(name for one in ones for name, value in one.row.items() if value not in ("", None)))
    shared = [("data", "Data", _data(parts, fail, progress)), ("recipe", "Recipe and model", _models(parts)),
              ("training", "Training", _curves(parts)), ("scores", "Scores", _scores(parts))]
    entries = [{"id": _text(one.case.id), "text": _text(one.text), "wrong": one.wrong,
                "row": [_text(one.row.get(name)) for name in columns], "picture": None} for one in ones]
    used = RESERVE + len(page.page("", shared, entries))
    limit = int(size * 1e6)
    if used > limit:
        raise UsageError(f"--report-size {size:g}: the page takes {used / 1e6:.1f} MB without a picture",
                         remedy="allow more")
    _add_pictures(ones, entries, limit - used, fail, progress)
    pictured = sum(entry["picture"] is not None for entry in entries)
    if not (pictured or parts.models or parts.scores or parts.split):
        raise CaseError("nothing to show (no case)")
    chosen = _chosen(ones, entries)
    cards = "".join(page.cards(heading, numbers) for heading, numbers in chosen)
    table = page.case_table(columns) if entries else ""
    note = f"<p>{pictured} of {len(entries)} cases have a picture.</p>" if pictured < len(entries) else ""
    text = page.page(f"Report: {_title(shown, cases)}", [
        *shared, ("cases", "Cases", cards), ("viewer-section", "Slices", page.viewer() if pictured else ""),
        ("all", "All cases", note + table if table else ""),
        ("convolution", "Convolution", page.convolution() if pictured else ""),
        ("origin", "Versions", _versions(parts))], entries)
    write_text(Path(out), text)
    logger.info("%d cases, %d with a picture, %.1f MB", len(entries), pictured, len(text) / 1e6)
    return Path(out)


def _text(value):
    """A value that JSON and UTF-8 hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _title(shown, cases) -> str:
    if cases is not None:
        return str(cases)
    parts = [shown] if isinstance(shown, str | Path) else list(shown)
    names = [str(one) for one in parts if isinstance(one, str | Path) and "\n" not in str(one)]
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "") or "experiment"


def _data(parts, fail, progress) -> str:
    from collections import Counter

    from mrilib import inspection
    from mrilib.reporting import page

    lines = []
    if parts.cases:
        lines += inspection.of_cases(parts.cases, on_error=fail, progress=progress).lines
    if parts.split:
        counts = Counter(f"fold {row['fold']}" if row.get("fold") else row["part"] for row in parts.split)
        lines.append(("split", ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))))
    return page.facts(lines)


def _models(parts) -> str:
    from mrilib import inspection
    from mrilib.reporting import page

    return "".join(f"<h3>{page.escaped(path.name)}</h3>{page.facts(inspection.of_model(path).lines[1:])}"
                   for path in parts.models)


def _svg(draw) -> bytes:
    import matplotlib

    from mrilib.drawing.charts import STYLE, figure

    data = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure([draw]).savefig(data, format="svg", metadata={"Date": None})
    return data.getvalue()


def _curves(parts) -> str:
    from mrilib.drawing import curves
    from mrilib.models.file import read_record
    from mrilib.reporting import page

    charts = curves.charts_of({path.stem: read_record(path) for path in parts.models})
    return '<div class="charts">' + "".join(
        page.chart(_svg(draw), f"{name} by epoch; a dot marks the kept epoch") for name, draw in charts.items()
    ) + "</div>" if charts else ""


def _scores(parts) -> str:
    from mrilib.drawing.scores import charts_of
    from mrilib.reporting import page

    blocks = []
    for name, text in parts.scores.items():
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        if text.startswith("metric,"):
            whole = [row for row in rows if not row.get("case") and row.get("n")]
            columns = [name for name in ("submission", "metric", "class", "part", "value", "low", "high", "unit", "n",
                                         "cases", "against") if any(row.get(name) for row in whole)]
            blocks.append(f"<h3>{page.escaped(Path(name).name)}</h3>"
                          + page.table(columns, ([_number(row.get(column)) for column in columns] for row in whole)))
        try:
            charts = charts_of(text)
        except CaseError:  # a table of which no chart is made, such as a leaderboard
            continue
        titles = [getattr(draw, "keywords", {}).get("title", "chart of scores") for draw in charts]
        blocks.append('<div class="charts">' + "".join(
            page.chart(_svg(draw), title) for draw, title in zip(charts, titles, strict=True)) + "</div>")
    return "".join(blocks)


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def _versions(parts) -> str:
    from mrilib import __version__
    from mrilib.models.file import read_record
    from mrilib.reporting import page

    lines = [("this page", f"mri-suite {__version__}")]
    for path in parts.models:
        record = read_record(path)
        training = record.get("training", {})
        about = {"made by": record.get("made_by"), "seed": training.get("seed"), **training.get("versions", {}),
                 **training.get("device", {})}
        lines.append((path.name, ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)))
    return page.facts(lines)


def _chosen(ones, entries) -> list[tuple[str, list[int]]]:
    """Worst, median and best cases that have a picture; without a score the first."""
    with_picture = [n for n, entry in enumerate(entries) if entry["picture"]]
    order = [n for n in _by_goodness(ones) if entries[n]["picture"]]
    if not order:
        return [("First cases", with_picture[:SHOWN])]
    worst, rest = order[:SHOWN], order[SHOWN:]
    best, rest = rest[-SHOWN:][::-1], rest[:-SHOWN]
    middle = max(0, (len(rest) - SHOWN) // 2)
    return [("Worst", worst), ("Median", rest[middle : middle + SHOWN]), ("Best", best)]


def _by_goodness(ones) -> list[int]:
    return sorted((n for n, one in enumerate(ones) if one.goodness is not None), key=lambda n: ones[n].goodness)


def _add_pictures(ones, entries, budget: int, fail, progress) -> None:
    """Give cases their pictures while the budget lasts: worst and best first, then the others in their order."""
    from mrilib.images.io import files
    from mrilib.reporting.pictures import encoded

    order = _by_goodness(ones)
    middle = len(order) // 2
    first = [*order[: SHOWN], *order[-SHOWN:], *order[max(0, middle - SHOWN) : middle + SHOWN],
             *(n for n in order if ones[n].wrong)]
    queue = list(dict.fromkeys([*first, *order, *range(len(ones))]))
    with (progress or Silent)("draw", len(queue)) as bar:
        for place, number in enumerate(queue):
            one = ones[number]
            try:
                image = files.read_case(one.case)
                reference = files.read_label(one.case, image.grid)
                predicted = None if one.map is None else files.read_case(one.map)
                if predicted is not None and not predicted.grid.same_as(image.grid):
                    raise CaseError("the predicted label map has another grid than the case", where=one.map.path,
                                    remedy="give --cases the cases that were predicted")
                picture = encoded(image, None if predicted is None else predicted.by_channel()[..., 0],
                                  None if reference is None else reference.array, one.boxes,
                                  2 * budget // (len(queue) - place + 1))
            except CaseError as error:
                fail(of_case(one.case, error))
            else:
                length = sum(map(len, picture["sprites"])) + len(picture["label"] or "") + 1000 \
                    + 60 * len(picture["boxes"])
                if length <= budget:
                    entries[number]["picture"] = picture
                    budget -= length
            bar.step()
