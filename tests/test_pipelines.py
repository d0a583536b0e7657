"""Every line of pipelines.txt, run by bash on the real executables in a folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_data import make

HERE = Path(__file__).parent
LINES = [line for line in (HERE / "pipelines.txt").read_text(encoding="utf-8").splitlines()
         if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines")
    make(folder)
    return folder


@pytest.mark.parametrize("line", LINES, ids=[f"{i:02d}" for i in range(len(LINES))])
def test_pipeline(line, example, tmp_path):
    shutil.copytree(example, tmp_path, dirs_exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = f"source '{HERE / 'pipelines.sh'}'\n{line}\n"
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path}, timeout=120,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == 0, f"{line}\n--- out\n{ran.stdout[-2000:]}\n--- err\n{ran.stderr[-3000:]}"
