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
