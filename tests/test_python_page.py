"""The examples of docs/python.md, run in their order in one folder of phantoms."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
BUDGET = 'budget="30m"'


def test_every_example_runs(tmp_path):
    for options in (["-n", "24", "--size", "64", "-o", "scans"],
                    ["-n", "6", "--kind", "volumes", "--size", "48", "-o", "patients"],
                    ["-n", "12", "--kind", "boxes", "--size", "64", "-o", "boxes"]):
        subprocess.run([BIN / "mri-phantom", *options], cwd=tmp_path, check=True, capture_output=True)
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(examples) == 4 and sum(example.count(BUDGET) for example in examples) == 3
    quick = "\n".join(examples).replace(BUDGET, "epochs=1", 1).replace(BUDGET, "epochs=1, steps=3", 1)
    quick = quick.replace(BUDGET, "epochs=1").replace("160", "48").replace("256", "64")
    (tmp_path / "examples.py").write_text(quick, encoding="utf-8")
    ran = subprocess.run([sys.executable, "examples.py"], cwd=tmp_path, capture_output=True, encoding="utf-8",
                         env={**os.environ, "PYTHONUTF8": "1"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    for name in ("split.csv", "model.h5", "predictions.csv", "predictions.png", "seg.h5", "overlays.png", "boxes.h5",
                 "boxes.csv"):
        assert (tmp_path / name).is_file(), name
    assert "understood as: a folder for each class" in ran.stdout and "accuracy" in ran.stdout
    assert "ap50" in ran.stdout
    assert "Dice" in ran.stdout or "dice" in ran.stdout
