"""Tables of predictions as spreadsheets and other programs save them."""

import csv
import io

import pytest

from mrilib import tables as dialects
from mrilib.errors import UsageError
from mrilib.evaluation import tables

ROWS = [["case", "class", "p_no", "p_yes", "seen"], ["a", "yes", "0.25", "0.75", ""], ["b, c", "no", "1", "0", "train"]]
BOXES = [["case", "x0", "y0", "x1", "y1", "class", "score"], ["a", "1.5", "2", "3", "4", "t", "0.5"], ["b"] + [""] * 6]


def text(rows, delimiter=",", end="\r\n", decimal="."):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(
        [[v.replace(".", decimal) if v[:1].isdigit() else v for v in row] for row in rows])
    return out.getvalue()


VARIANTS = {
    "semicolon": lambda rows: text(rows, ";").encode(),
    "decimal comma": lambda rows: text(rows, ";", decimal=",").encode("utf-8-sig"),
    "tab": lambda rows: text(rows, "\t", "\n").encode(),
    "bar": lambda rows: text(rows, "|").encode(),
    "utf-16": lambda rows: text(rows).encode("utf-16"),
    "utf-16 big endian": lambda rows: b"\xfe\xff" + text(rows, "\t").encode("utf-16-be"),
    "utf-16 without mark": lambda rows: text(rows).encode("utf-16-le"),
    "byte order mark": lambda rows: text(rows).encode("utf-8-sig"),
    "upper case": lambda rows: text([[v if v[:2] == "p_" else v.title() for v in rows[0]], *rows[1:]]).encode(),
    "spaces": lambda rows: text([[f" {v} " for v in rows[0]], *rows[1:]], ";").encode(),
    "empty rows": lambda rows: text([*rows, [""] * len(rows[0]), [" "] * len(rows[0])]).encode(),
    "empty rows within": lambda rows: text([*rows[:2], [""] * len(rows[0]), *rows[2:]], ";").encode(),
    "quoted empty row": lambda rows: text(rows).encode() + b'"","",""\r\n',
    "sep line": lambda rows: b"sep=;\r\n" + text(rows, ";").encode(),
    "empty lines at the end": lambda rows: text(rows, ";", "\r\n").encode() + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_classes_of_any_dialect(name):
    plain = dialects.plain(dialects.decoded(VARIANTS[name](ROWS)))
    found = tables.read(plain, "t.csv", tables.ClassTable())
    assert found.of == {"a": ("yes", {"no": 0.25, "yes": 0.75}), "b, c": ("no", {"no": 1, "yes": 0})}
    assert found.seen == {"a": "", "b, c": "train"}


@pytest.mark.parametrize("name", VARIANTS)
def test_boxes_of_any_dialect(name):
    found = tables.read(dialects.plain(dialects.decoded(VARIANTS[name](BOXES))), "t.csv", tables.Boxes())
    assert found.of == {"a": [(1.5, 2, 3, 4, "t", 0.5)], "b": []}


def test_what_is_plain_stays_as_it_is():
    assert dialects.plain(text(ROWS)) == text(ROWS)
    assert dialects.plain("") == "" and dialects.plain("case,class\n") == "case,class\n"


@pytest.mark.parametrize("first", ["", "sep=;\n", "\n\n"])
def test_lines_keep_their_numbers(first):
    given = first + 'case;class\na;"y\nes"\n;\nb;yes;more\n'
    line = 5 + first.count("\n")
    with pytest.raises(UsageError, match=f"t.csv, line {line}: has 3 fields, not 2"):
        tables.read(dialects.plain(given), "t.csv", tables.ClassTable())
    given = first + "case;x0;y0;x1;y1;class;score\na;1;2;3;4;t;1\n;;;;;;\nb;1;2;x;4;t;1\n"
    with pytest.raises(UsageError, match=f"t.csv, line {4 + first.count(chr(10))}: x0 y0"):
        tables.read(dialects.plain(given), "t.csv", tables.Boxes())
