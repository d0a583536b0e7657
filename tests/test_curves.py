"""The curves of runs from mri-train's CSV files."""

import pytest

import mrilib
from mrilib.drawing import curves
from mrilib.errors import CaseError, UsageError

FIRST = "epoch,learning_rate,loss,validation_loss\n1,0.1,2,3\n2,0.1,1,2.5\n"


def test_runs_share_a_chart_of_each_metric(tmp_path):
    (tmp_path / "a.curve.csv").write_text(FIRST)
    (tmp_path / "b.curve.csv").write_text("epoch,learning_rate,loss\n1,0.1,1.5\n")
    paths = [tmp_path / "a.curve.csv", tmp_path / "b.curve.csv"]
    runs = curves.read(paths)
    assert runs["a"]["training"]["curve"][1] == {"epoch": 2, "learning_rate": 0.1, "loss": 1, "validation_loss": 2.5}
    assert list(curves.charts_of(runs)) == ["learning_rate", "loss"]
    text = mrilib.view(paths, out=tmp_path / "c.svg").read_text()
    assert all(word in text for word in (">a<", ">b<", ">a, validation<", ">loss<", ">epoch<"))


def test_other_files_are_no_curves(tmp_path):
    (tmp_path / "a.curve.csv").write_text(FIRST)
    (tmp_path / "scores.csv").write_text("metric,class\n")
    assert curves.read([tmp_path / "scores.csv"]) == {}
    assert curves.read([tmp_path / "a.curve.csv", tmp_path / "scores.csv"]) == {}
    (tmp_path / "a.curve.csv").write_text("epoch,loss\n1,low\n")
    with pytest.raises(UsageError, match="low"):
        curves.read(tmp_path / "a.curve.csv")
    (tmp_path / "a.curve.csv").write_text("epoch,loss\n")
    with pytest.raises(CaseError, match="no epoch"):
        curves.read(tmp_path / "a.curve.csv")
