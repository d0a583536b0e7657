"""mri-view's work from Python."""

import logging

import numpy as np
import pytest
from PIL import Image
from pipeline_data import head

from mrilib import cases
from mrilib.drawing import montage, table_of, view
from mrilib.errors import CaseError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    for i in range(6):
        path = folder / ("yes" if i % 2 else "no") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(head(100 + i, 90, 80)).save(path)
    return folder


def test_cases_paths_and_text_make_the_same_sheet(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, "mrilib")
    found = list(cases.find([folder]))
    for shown, name in ((found, "a"), (str(folder), "b"), ([folder / "no", folder / "yes"], "c"), (found[0], "d")):
        assert view(shown, str(tmp_path / f"{name}.png"), size=64) == tmp_path / f"{name}.png"
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "d.png").size[0] == 64 + 2 * montage.BAR
    assert "6 of 6 shown" in caplog.text and "1 of 1 shown" in caplog.text


def test_a_table_is_text_rows_or_a_file(folder, tmp_path):
    rows = [{"case": "no/0", "class": "yes", "p_no": 0.2, "p_yes": 0.8}, {"case": "yes/1", "class": "yes", "p_no": 0.4,
                                                                          "p_yes": 0.6}]
    text = "case,class,p_no,p_yes\r\nno/0,yes,0.2,0.8\r\nyes/1,yes,0.4,0.6\r\n"
    assert table_of(rows).splitlines() == text.splitlines()
    (tmp_path / "t.csv").write_text(text)
    for shown, name in ((rows, "a"), (text, "b"), (str(tmp_path / "t.csv"), "c"), ([tmp_path / "t.csv"], "d")):
        view(shown, tmp_path / f"{name}.png", cases=str(folder), mistakes=True)
        assert (tmp_path / f"{name}.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert (np.asarray(Image.open(tmp_path / "a.png"))[0] == montage.WRONG).all()
    assert table_of([folder]) is None and table_of([]) is None


def test_scores_become_charts(tmp_path):
    rows = [{"metric": "predicted yes", "class": name, "value": value, "cases": "all"}
            for name, value in (("yes", 4), ("no", 1))]
    view(rows, tmp_path / "c.svg")
    assert b"confusion matrix" in (tmp_path / "c.svg").read_bytes()
    with pytest.raises(UsageError, match="no effect on scores"):
        view(rows, tmp_path / "d.svg", mistakes=True)
    with pytest.raises(CaseError, match="no row that makes a chart"):
        view("metric,value,cases,class\r\naccuracy,0.5,all,\r\n", tmp_path / "d.svg")


def test_one_bad_case_does_not_stop_the_others(folder, tmp_path):
    errors = []
    (tmp_path / "bad.png").write_bytes(b"")
    view([folder, tmp_path / "bad.png"], tmp_path / "s.png", on_error=errors.append)
    assert [str(error) for error in errors] == [f"{tmp_path / 'bad.png'}: the file is empty (copy it again)"]
    with pytest.raises(CaseError, match="nothing to show"):
        view(tmp_path / "bad.png", tmp_path / "t.png", on_error=errors.append)
    with pytest.raises(UsageError, match="is a PNG"):
        view(folder, tmp_path / "t.svg")


@pytest.fixture
def boxed(tmp_path):
    """Four images: a box that is found, one that is missed, a false box in a negative, and a found one of a class."""
    for name in ("found", "missed", "none", "other"):
        path = tmp_path / f"set/{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((64, 64), 90, np.uint8)).save(path)
    (tmp_path / "set/cases.csv").write_text("file,x0,y0,x1,y1,class\nfound.png,8,8,24,24,a\nmissed.png,32,32,56,56,a\n"
                                            "none.png,,,,,\nother.png,8,8,24,24,b\n")
    (tmp_path / "p.csv").write_text("case,x0,y0,x1,y1,class,score,seen\nfound,9,8,24,24,a,0.9,\n"
                                    "found,40,40,50,50,a,0.1,\nnone,16,40,32,56,a,0.7,\nother,8,8,24,24,b,0.8,\n")
    return tmp_path


def test_boxes_are_judged_misses_first_then_false_boxes(boxed):
    from mrilib.drawing.boxes import of_boxes

    shown = of_boxes((boxed / "p.csv").read_text(), list(cases.find([boxed / "set"])), mistakes=False)
    assert [(one.case.id, one.caption[1], one.wrong) for one in shown] == [
        ("missed", "1 missed, IoU 0.00", True), ("none", "1 false", True), ("found", "1 false, IoU 0.94", True),
        ("other", "IoU 1.00", False)]
    colours = {one.case.id: [(mark.colour, mark.text) for mark in one.marked] for one in shown}
    assert colours == {"missed": [(montage.MISSED, "")], "none": [(montage.WRONG, "a 0.70")],
                       "found": [(montage.BOX_COLOUR, ""), (montage.FOUND, "a 0.90"), (montage.WRONG, "a 0.10")],
                       "other": [(montage.BOX_COLOUR, ""), (montage.FOUND, "b 0.80")]}
    sure = of_boxes((boxed / "p.csv").read_text(), list(cases.find([boxed / "set"])), True, min_score=0.75)
    assert [(one.case.id, one.caption[1]) for one in sure] == [("missed", "1 missed, IoU 0.00")]


def test_a_box_of_another_class_is_false_and_the_reference_missed(boxed):
    from mrilib.drawing.boxes import matched

    reference = [(0, 0, 10, 10, "a"), (20, 0, 30, 10, "b"), (40, 0, 60, 20, "a", "crowd")]
    predicted = [(0, 0, 10, 10, "b", 0.9), (20, 0, 30, 10, "b", 0.8), (45, 5, 50, 10, "a", 0.7)]
    assert matched(predicted, reference, ["a", "b"]) == (["false", "hit", "ignored"], [False, True, False])
    assert matched(predicted, reference, []) == (["hit", "hit", "ignored"], [True, True, False])


def test_a_sheet_of_boxes_shows_their_colours(boxed):
    view(boxed / "p.csv", boxed / "sheet.png", cases=boxed / "set", columns=4, size=64)
    sheet = np.asarray(Image.open(boxed / "sheet.png"))
    wide = 64 + 2 * montage.BAR
    x, y = montage.BAR + 32, montage.BAR + 32  # the corner of the missed box, on the first tile
    assert tuple(sheet[y, x]) == montage.MISSED and tuple(sheet[0, 0]) == montage.WRONG
    assert tuple(sheet[montage.BAR + 50, wide + montage.BAR + 16]) == montage.WRONG  # the false box, on the second
    assert tuple(sheet[montage.BAR + 22, 2 * wide + montage.BAR + 23]) == montage.FOUND
    with pytest.raises(UsageError, match="--min-score has no effect without a table of boxes"):
        view(boxed / "set", boxed / "s.png", min_score=0.5)
