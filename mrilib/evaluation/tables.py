"""Tables as people's programs save them, brought to the one form that the readers of predictions know."""

from __future__ import annotations

import codecs
import csv
import io
import re

DELIMITERS = (",", ";", "\t", "|")
COLUMNS = ("case", "class", "x0", "y0", "x1", "y1", "score", "seen")
NUMBERS = re.compile(r"p_|[xy][01]$|score$")


def decoded(data: bytes) -> str:
    """The text of a table in UTF-8 or UTF-16, with or without a byte order mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data[:2].count(0) == 1:  # UTF-16 without a mark: one byte of an ASCII letter is 0
        return data.decode("utf-16-le" if data[1] == 0 else "utf-16-be", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def plain(text: str) -> str:
    """A table of predictions with commas, known column names in lower case, and no row of empty fields.

    Lines keep their numbers. A table with semicolons may have decimal commas.
    """
    lines = text
    if lines[:4].lower() == "sep=":  # a line that some spreadsheets put first
        lines = "\n" + lines.partition("\n")[2]
    first = lines.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    headers = {d: next(csv.reader([first], delimiter=d), []) for d in DELIMITERS}
    known = {d: sum(name.strip().lower() in COLUMNS for name in names) for d, names in headers.items()}
    delimiter = max(DELIMITERS, key=lambda d: (known[d], len(headers[d])))
    names = [name.strip().lower() if name.strip().lower() in COLUMNS else name.strip() for name in headers[delimiter]]
    if delimiter == "," and names == headers[","] and not re.search(r'^[,\s"]*[,"][,\s"]*$', lines, re.MULTILINE):
        return lines
    return _rewritten(lines, delimiter, headers[delimiter], names)


def _rewritten(lines: str, delimiter: str, header: list[str], names: list[str]) -> str:
    decimal = [delimiter == ";" and bool(NUMBERS.match(name)) for name in names]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    reader, line = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter), 0
    for row in reader:
        out.write("\n" * (reader.line_num - line - 1 - sum(value.count("\n") for value in row)))
        line = reader.line_num
        if not any(value.strip() for value in row):
            out.write("\n")
        elif row == header:
            writer.writerow(names)
        else:
            writer.writerow([value.replace(",", ".") if i < len(decimal) and decimal[i] else value
                             for i, value in enumerate(row)])
    return out.getvalue()
