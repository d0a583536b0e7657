"""Tables as spreadsheets and other programs save them, brought to one dialect of CSV and read by column."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection
from pathlib import Path

from mrilib.errors import UsageError

DELIMITERS = (",", ";", "\t", "|")
COLUMNS = ("case", "class", "x0", "y0", "z0", "x1", "y1", "z1", "score", "seen")
NUMBERS = r"p_|[xyz][012]$|[xy]_?(min|max)$|score$|left$|top$|right$|bottom$|width$|height$"  # names of columns


def text_of(path: str | Path) -> str:
    """The text of a file. Raises UsageError for one that cannot be read."""
    try:
        return decoded(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from error


def read(path: str | Path, names: Collection[str] = COLUMNS) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a file, and (line, row by column) of each row. names: as of `plain`.

    Raises UsageError for a file that cannot be read.
    """
    try:
        reader = csv.reader(io.StringIO(plain(text_of(path), names), newline=""))
        rows = [(reader.line_num, values) for values in reader if any(value.strip() for value in values)]
    except csv.Error as error:
        raise UsageError(f"cannot be read: {error}", where=path) from error
    columns = rows[0][1] if rows else []
    return columns, [(line, dict(zip(columns, values, strict=False))) for line, values in rows[1:]]


def decoded(data: bytes) -> str:
    """The text of a table in UTF-8 or UTF-16, with or without a byte order mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data[:2].count(0) == 1:  # UTF-16 without a mark: one byte of an ASCII letter is 0
        return data.decode("utf-16-le" if data[1] == 0 else "utf-16-be", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def plain(text: str, names: Collection[str] = COLUMNS) -> str:
    """A table with commas, decimal points, and no row of empty fields. Lines keep their numbers.

    names: the columns that tell the delimiter, whatever their case; they become lower case.
    """
    if text[:4].lower() == "sep=":  # the first line of some spreadsheets
        text = "\n" + text.partition("\n")[2]
    first = text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    headers = {d: next(csv.reader([first], delimiter=d), []) for d in DELIMITERS}
    hits = {d: sum(column.strip().lower() in names for column in header) for d, header in headers.items()}
    delimiter = max(DELIMITERS, key=lambda d: (hits[d], len(headers[d])))
    header = headers[delimiter]
    columns = [name.lower() if name.lower() in names else name for name in map(str.strip, header)]
    if delimiter == "," and columns == header and not re.search(r'^[,\s"]*[,"][,\s"]*$', text, re.MULTILINE):
        return text
    return _rewritten(text, delimiter, header, columns)


def _rewritten(text: str, delimiter: str, header: list[str], columns: list[str]) -> str:
    decimal = [delimiter == ";" and bool(re.match(NUMBERS, name)) for name in columns]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")  # else a carriage return in a name is not quoted
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 0
    for row in reader:
        out.write("\n" * (reader.line_num - line - 1 - sum(value.count("\n") for value in row)))
        line = reader.line_num
        if not any(value.strip() for value in row):
            out.write("\n")
        elif row == header:
            writer.writerow(columns)
        else:
            writer.writerow([value.replace(",", ".") if i < len(decimal) and decimal[i] else value
                             for i, value in enumerate(row)])
    return out.getvalue()
