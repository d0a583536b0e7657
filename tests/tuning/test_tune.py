"""mri-tune as its users run it: tiny searches on phantoms, from files to a model."""

import csv
import io
import os
import shutil
import subprocess

import pytest
from forked import BIN

ENV = {**os.environ, "COLUMNS": "120"}
SMALL = ("--search", "epochs=1", "--search", "backbone=small", "--folds", "2", "--threads", "1")


def tool(name, *arguments, code=0, cwd=None):
    ran = subprocess.run([BIN / name, *map(str, arguments)], capture_output=True, encoding="utf-8", env=ENV, cwd=cwd,
                         stdin=subprocess.DEVNULL, timeout=300)
    assert ran.returncode == code, ran.stderr
    return ran


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune") / "slices"
    tool("mri-phantom", "-n", 16, "--size", "32,32", "-o", folder)
    return folder


@pytest.fixture(scope="module")
def searched(slices, tmp_path_factory):
    """(the model file, what was said) of a search of two trials."""
    model = tmp_path_factory.mktemp("study") / "best.h5"
    ran = tool("mri-tune", slices, *SMALL, "--search", "learning-rate=1e-4:1e-2:log", "--trials", 2, "--sampler",
               "random", "--prune", 0, "-o", model)
    return model, ran


def test_a_search_ends_with_a_model_its_settings_and_a_table(searched, slices, tmp_path):
    model, ran = searched
    assert ran.stdout == f"{model}\n"
    assert "2 trials: accuracy, 2 folds" in ran.stderr and "corrected for being chosen among 2" in ran.stderr
    rows = list(csv.DictReader(io.StringIO(tool("mri-tune", "--show", model.with_suffix(".study")).stdout)))
    assert sorted(row["trial"] for row in rows) == ["0", "1"] and rows[0]["verdict"] == "best"
    assert [float(row["cases"]) for row in rows] == [16] * 2 and all(float(row["seconds"]) > 0 for row in rows)
    assert float(rows[0]["low"]) < float(rows[0]["value"]) < float(rows[0]["high"])
    assert "search: best of 2 trials: accuracy" in tool("mri-inspect", model).stdout
    again = tool("mri-train", slices, "--config", model.with_suffix(".toml"), "--threads", 1, "-o",
                 tmp_path / "again.h5")
    assert again.stdout == f"{tmp_path / 'again.h5'}\n"
    assert tool("mri-predict", slices, "--model", model, "-o", tmp_path / "p.csv").returncode == 0


def test_the_same_command_continues(searched, slices, tmp_path):
    shutil.copytree(searched[0].parent, tmp_path / "copy")
    model = tmp_path / "copy/best.h5"
    common = (slices, *SMALL, "--search", "learning-rate=1e-4:1e-2:log", "--sampler", "random", "--prune", 0, "-o",
              model)
    ran = tool("mri-tune", *common, "--trials", 2)
    assert "trial 0:" not in ran.stderr and ran.stdout == f"{model}\n"
    shutil.rmtree(model.with_suffix(".study") / "trials/0001")  # as if it had been killed
    before = (searched[0].with_suffix(".study") / "trials/0001/cases.csv").read_bytes()
    ran = tool("mri-tune", *common, "--trials", 2)
    assert "trial 1:" in ran.stderr and "trial 0:" not in ran.stderr
    assert (model.with_suffix(".study") / "trials/0001/cases.csv").read_bytes() == before
    refused = tool("mri-tune", slices, *SMALL, "--search", "dropout=0,0.5", "--trials", 2, "-o", model, code=2)
    assert "is another study" in refused.stderr


def test_given_settings_are_compared(slices, tmp_path):
    (tmp_path / "plain.toml").write_text('epochs = 1\nbackbone = "small"\n', encoding="utf-8")
    (tmp_path / "fast.toml").write_text('epochs = 1\nbackbone = "small"\nlearning-rate = 0.01\ntask = "classify"\n'
                                        'normalize = "percentile"\n', encoding="utf-8")
    ran = tool("mri-tune", slices, "--compare", tmp_path / "plain.toml", "--compare", tmp_path / "fast.toml", "--seeds",
               1, "--folds", 2, "--threads", 1, cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    assert {row["trial"] for row in rows} == {"plain", "fast"} and rows[0]["difference"] == "0"
    assert len(list((tmp_path / "compared.study/trials").iterdir())) == 2
    assert len(list((tmp_path / "compared.study/prepared").iterdir())) == 1


def test_test_cases_are_never_read(tmp_path):
    for part in ("train", "test"):
        tool("mri-phantom", "-n", 12, "--size", "32,32", "--seed", len(part), "-o", tmp_path / "given" / part)
    for path in (tmp_path / "given/test").rglob("*.png"):
        path.chmod(0)
        path.write_bytes(b"no picture") if os.geteuid() == 0 else None
    ran = tool("mri-tune", tmp_path / "given", *SMALL, "--trials", 1, "-o", tmp_path / "best.h5")
    assert ran.stdout and "no picture" not in ran.stderr and "cannot be read" not in ran.stderr
    cases = (tmp_path / "best.study/trials/0000/cases.csv").read_text(encoding="utf-8")
    assert cases.count("\n") == 13 and "test" not in cases.replace("case,fold", "")


@pytest.mark.parametrize("arguments, what", [
    (("--search", "colour=red"), "colour is no setting of classify"),
    (("--search", "backbone=small", "--space", "x.toml"), "exclude each other"),
    (("--seeds", "2"), "--seeds has no effect without --compare"),
    (("--show", "nowhere"), "is no study"),
    (("--compare", "nowhere.toml"), "cannot be read as a search space"),
    (("--sampler", "grid", "--search", "epochs=1:3"), "grid needs values"),
    (("--search", "weights=nowhere.h5"), "no such file"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_any_training(slices, tmp_path, arguments, what):
    ran = tool("mri-tune", slices, *arguments, code=2, cwd=tmp_path)
    assert what in ran.stderr and not list(tmp_path.iterdir())


def test_a_dry_run_makes_nothing(slices, tmp_path):
    ran = tool("mri-tune", slices, *SMALL, "--trials", 4, "--dry-run", cwd=tmp_path)
    assert "search backbone=small" in ran.stdout and "4 trials on 2 folds" in ran.stdout
    assert ran.stdout.count(": fold") == 16 and not list(tmp_path.iterdir())


def test_trials_that_all_fail_say_why(slices, tmp_path):
    ran = tool("mri-tune", slices, "--search", "backbone=alexnet", "--trials", 1, "-o", tmp_path / "best.h5", code=2)
    assert "no trial came to its end" in ran.stderr and "too small for alexnet" in ran.stderr
