"""Tables of cases as people's spreadsheets save them."""

import numpy as np
import pytest
from pipeline_data import save

from mrilib import cases
from mrilib.errors import UsageError

ROWS = [("File", "Class", "Subject"), *((f"img/{kind}{i}.png", kind, f"p {i}") for kind in ("yes", "no")
                                        for i in range(3))]


@pytest.fixture
def folder(tmp_path):
    for name, *_ in ROWS[1:]:
        save(tmp_path / name, np.zeros((10, 20), np.uint8))
    return tmp_path


def read(folder, text, encoding="utf-8"):
    """(cases, errors) of a table of this text."""
    (folder / "any.csv").write_bytes(text.encode(encoding))
    errors = []
    return list(cases.find([folder / "any.csv"], on_error=errors.append)), [str(error) for error in errors]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with mark", "utf-16-be with mark"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_in_any_dialect(separator, encoding, end, folder):
    mark = "\ufeff" if "with mark" in encoding else ""
    text = mark + end.join(separator.join(row) for row in ROWS) + end
    found, errors = read(folder, text, encoding.removesuffix(" with mark"))
    assert errors == []
    assert [(case.id, case.class_name, case.subject) for case in found] == sorted(
        (name[:-4], kind, subject) for name, kind, subject in ROWS[1:])


@pytest.mark.parametrize("blank", ["", ",,", " , ,", ",,,,", '"","",""'])
@pytest.mark.parametrize("place", [1, 4, 7])
def test_an_empty_row_loses_no_case(blank, place, folder):
    lines = [",".join(row) for row in ROWS]
    lines.insert(place, blank)
    found, errors = read(folder, "\n".join(lines) + "\n")
    assert len(found) == 6 and errors == []


def test_a_row_without_a_file_is_one_error(folder):
    lines = [",".join(row) for row in ROWS]
    lines.insert(3, ",yes,p 9")
    found, errors = read(folder, "\n".join(lines) + "\n")
    assert len(found) == 6
    assert errors == [f"{folder}/any.csv, line 4: names no file (fill in the column file, or take the line away)"]


def test_a_line_that_names_the_separator_is_passed_over(folder):
    found, errors = read(folder, "sep=;\r\n" + "\r\n".join(";".join(row) for row in ROWS))
    assert len(found) == 6 and errors == []


def test_rows_shorter_and_longer_than_the_header(folder):
    found, errors = read(folder, "file,class,subject\nimg/yes0.png\nimg/no0.png,no,p 1,more,and more\n")
    assert [(case.id, case.class_name, case.subject) for case in found] == [("img/no0", "no", "p 1"),
                                                                            ("img/yes0", None, None)]
    assert errors == []


def test_parts_of_a_given_split(folder):
    parts = ["train", "Training", "val", "validation", "test", ""]
    lines = ["file,class,Part", *(f"{row[0]},{row[1]},{part}" for row, part in zip(ROWS[1:], parts, strict=True))]
    found, _ = read(folder, "\n".join(lines))
    assert {case.id: case.part for case in found} == {
        "img/yes0": "train", "img/yes1": "train", "img/yes2": "validation", "img/no0": "validation",
        "img/no1": "test", "img/no2": None}
    with pytest.raises(UsageError, match="line 3: other is no part of a split"):
        read(folder, "file,part\nimg/yes0.png,train\nimg/yes1.png,other\n")
    with pytest.raises(UsageError, match="yes0.png is of part test, in an earlier line of train"):
        read(folder, "file,part\nimg/yes0.png,train\nimg/yes0.png,test\n")


def test_numbers_with_a_decimal_comma(folder):
    found, errors = read(folder, "file;x0;y0;x1;y1;class\nimg/yes0.png;1,5;2;8,25;9;glioma\n")
    assert errors == [] and found[0].boxes == ((1.5, 2, 8.25, 9, "glioma"),)


def test_a_table_without_the_column_says_what_it_is_called(folder):
    with pytest.raises(UsageError, match=r"has no column file \(columns: image_path label\) \(call the column"):
        read(folder, "image_path;label\nimg/yes0.png;yes\n")
