"""A new task is one file and one line: it then trains, predicts, scores and shows in --help through the executables."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LINE = 'TASKS["regress"] = "mrilib.tasks.regress:Regress"'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs an executable of the suite with a copy of the library that has one file and one line more."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "mrilib" / "tasks").mkdir(parents=True)
    for source, target in ((ROOT / "mrilib", folder / "mrilib"), (ROOT / "mrilib" / "tasks", folder / "mrilib/tasks")):
        for path in source.iterdir():
            if path.name not in ("tasks", "__pycache__") and path != ROOT / "mrilib/tasks/__init__.py":
                (target / path.name).symlink_to(path)
    (folder / "mrilib/tasks/regress.py").symlink_to(Path(__file__).with_name("regress.py"))
    registry = (ROOT / "mrilib/tasks/__init__.py").read_text(encoding="utf-8")
    before, brace, after = registry.partition("\n}\n")
    (folder / "mrilib/tasks/__init__.py").write_text(f"{before}{brace}{LINE}\n{after}", encoding="utf-8")
    for i in range(16):
        rng = np.random.default_rng(i)
        pixels = rng.integers(0, 40, (16, 16)) + rng.integers(0, 200)
        (folder / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "in" / f"{i:02}.png")
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "120"}

    def of(tool, *arguments, code=0):
        ran = subprocess.run([BIN / tool, *map(str, arguments)], cwd=folder, env=environment, capture_output=True,
                             text=True, stdin=subprocess.DEVNULL, timeout=600)
        assert ran.returncode == code, ran.stderr
        return ran

    return of


def test_its_help_lists_its_options_alone(run):
    assert "[auto|classify|segment|localise|regress]" in run("mri-train", "--help").stdout
    own = " ".join(run("mri-train", "--task", "regress", "--help").stdout.split())
    assert "--learning-rate" in own and "[default: 0.001]" in own and "--head" not in own and "--patch" not in own
    assert "--head has no effect with --task regress" in run(
        "mri-train", "in", "--task", "regress", "--head", "mean", code=2).stderr


def test_it_trains_predicts_and_scores(run):
    train = ("mri-train", "in", "--task", "regress", "--device", "cpu", "--threads", 1, "--epochs", 150, "--batch-size",
             4, "--learning-rate", 2, "--weight-decay", 0, "--validation", 0.25)
    trained = run(*train)
    assert trained.stdout == "model.h5\n" and "12 cases" in trained.stderr and "validation epoch 150" in trained.stderr
    assert "model.h5 is up to date: skipped" in run(*train).stderr
    table = run("mri-predict", "-m", "model.h5", "in", "--device", "cpu", "-o", "means.csv")
    assert "16 done" in table.stderr
    scored = run("mri-score", "means.csv", "-r", "in").stdout
    row = next(row for row in csv.DictReader(scored.splitlines()) if row["metric"] == "mae" and row["cases"] == "all")
    assert float(row["value"]) < 5 and row["n"] == "16"  # of means from 20 to 220


def test_its_model_shows_what_it_is(run):
    assert "regress" in run("mri-inspect", "model.h5").stdout
