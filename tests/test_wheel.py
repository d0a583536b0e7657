"""What is installed from a wheel works outside the source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = "import sys; from importlib import import_module; sys.argv = sys.argv[1:]; import_module(sys.argv[0]).run()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that a wheel of the tracked files unpacks to."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, folder], cwd=folder / "source", check=True, capture_output=True)
    wheel, = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site, cwd, *arguments):
    return subprocess.run([sys.executable, "-P", "-c", RUN, *arguments], cwd=cwd, capture_output=True, text=True,
                          timeout=120, env={**os.environ, "PYTHONPATH": str(site)})  # fmt: skip


def test_every_module_of_the_tree_is_in_the_wheel_and_nothing_else(installed):
    names = {path.relative_to(installed).as_posix() for suffix in ("py", "css", "js")
             for path in installed.rglob(f"*.{suffix}")}
    wanted = [f"{top}/*.{suffix}" for top in ("mrilib", "tools") for suffix in ("py", "css", "js")]
    tracked = subprocess.run(["git", "ls-files", *wanted], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout.split()  # fmt: skip
    present = {name for name in tracked if (ROOT / name).is_file()}
    assert names == {name.replace("tools/", "mri_tools/", 1) for name in present}


def test_tools_and_their_workers_run_from_the_wheel(installed, tmp_path):
    where = subprocess.run([sys.executable, "-P", "-c", "import mrilib, mri_tools; print(mrilib.__file__)"],
                           cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(installed)})
    assert Path(where.stdout.strip()).is_relative_to(installed), where.stderr
    for arguments in (["mri_tools.mri_phantom", "-n", "4", "--size", "64", "-j2", "-o", "scans"],
                      ["mri_tools.mri_inspect", "-j2", "scans"],
                      ["mri_tools.mri_split", "-j1", "scans", "--folds", "2"],
                      ["mri_tools.mri_view", "scans", "-o", "sheet.png"],
                      ["mri_tools.mri_view", "scans", "--report", "page.html"]):
        ran = run(installed, tmp_path, *arguments)
        assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
