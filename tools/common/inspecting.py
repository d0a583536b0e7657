"""What mri-inspect says: of cases looked at side by side, of models, of this machine."""

from __future__ import annotations

import json
from pathlib import Path

from mri_tools.cli.output import DONE, SOME_FAILED, complain, describe
from mri_tools.cli.stream import each
from mri_tools.common.score_text import console
from mrilib.cases import Case
from mrilib.errors import CaseError, MriError
from mrilib.parallel import cores, ordered
from mrilib.store import csv_text, write_text


def look_at_all(paths, null, root, layout, jobs, copies: bool, step, on_unused):
    """(cases that can be read, what is seen in each, errors of the others)."""
    def calls():
        for case in each(paths, null=null, root=root, layout=layout, on_unused=on_unused):
            yield case, case if isinstance(case, CaseError) else (case, copies)

    cases, seen, failed = [], [], []
    for case, answer in ordered("mrilib.inspect:look", calls(), jobs or cores()):
        if isinstance(answer, BaseException):
            if isinstance(answer, MriError | MemoryError) and not isinstance(answer, CaseError):
                raise answer
            failed.append(answer if case is answer else CaseError(describe(case, answer)))
        else:
            cases.append(case)
            seen.append(answer)
        step()
    if not cases and not failed:
        raise CaseError("nothing to do (no case came)")
    return cases, seen, failed


def about(paths, cases: list[Case], seen: list, failed: list, unused: list, pairs: list) -> list[tuple[str, str]]:
    """The report, line by line: leaks first, then layout, recipe, what no case uses, and what the cases hold."""
    from mrilib import inspect, leaks
    from mrilib.recipe import Recipe

    lines = [("given", " ".join(map(str, paths)))] if paths else []
    lines += leaks.findings(cases, pairs)
    if cases:
        lines.append(("understood as", layout_of(cases)))
    for root in dict.fromkeys(case.root for case in cases):
        steps = Recipe.of_root(root).steps
        if steps:
            lines.append(("prepared by", " | ".join(map(str, steps))))
    lines += [(note.title, note.text) for note in unused]
    lines += inspect.summary(cases, seen, pairs)
    if failed:
        lines.append(("damaged", f"{len(failed)} files: {'; '.join(str(e) for e in failed[:3])}"
                      + (" …" if len(failed) > 3 else "")))
    return lines


def layout_of(cases: list[Case]) -> str:
    """How the cases were laid out, in words."""
    from mrilib.cases import explain

    names = dict.fromkeys(case.layout or "plain" for case in cases)
    texts = [explain(name) for name in names]
    return "; ".join(texts)


def as_dicts(cases: list[Case], seen: list) -> list[dict]:
    return [{"case": case.id, "subject": case.subject, "class": case.class_name, "part": case.part,
             "layout": case.layout, "size": list(one.size), "spacing": list(one.spacing),
             "orientation": one.orientation, "type": one.kind, "channels": list(one.channels), "low": one.low,
             "median": one.middle, "high": one.high, "scheme": case.scheme, "labels": one.labels,
             "boxes": len(case.boxes)}
            for case, one in zip(cases, seen, strict=True)]  # fmt: skip


def write_table(path: Path, cases: list[Case], seen: list) -> None:
    rows = as_dicts(cases, seen)
    write_text(path, csv_text([rows[0] if rows else ["case"], *(map(_cell, row.values()) for row in rows)]))


def _cell(value) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}:{count}" for key, count in value.items())
    if isinstance(value, list):
        return " ".join(_cell(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def models(paths: list[Path], as_json: bool, write) -> int:
    """The record of each model file."""
    from mrilib import inspect
    from mrilib.models.file import read_record

    code = DONE
    for path in paths:
        try:
            record = read_record(path)
            lines = [("model", str(path)), *inspect.model(record)]
        except CaseError as error:
            complain(error, error)
            code = SOME_FAILED
            continue
        write(json.dumps(record) + "\n" if as_json else "".join(f"{name}: {text}\n" for name, text in lines))
    return code


def machine(as_json: bool, write) -> int:
    """What this machine offers for training."""
    from mrilib import gpu

    lines = gpu.diagnose()
    write(json.dumps(lines, indent=1) + "\n" if as_json else "".join(f"{line}\n" for line in lines))
    return DONE


def show(lines: list[tuple[str, str]], write) -> None:
    """The report as a table for a person."""
    from rich.table import Table

    screen, table = console(), Table(show_header=False)
    for name, text in lines:
        table.add_row(name, text)
    screen.print(table)
    write(screen.file.getvalue())
