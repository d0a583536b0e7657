"""Fifty hostile files among four good ones: each tool names the bad, does the good, and never shows a traceback."""

import os
import subprocess
from pathlib import Path

import hostile
import pytest
from forked import BIN


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    return root, hostile.make(root)


def run(*words, **more):
    return subprocess.run([BIN / words[0], *map(str, words[1:])], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, **more)


@pytest.mark.parametrize("tool", ["mri-denoise", "mri-normalize"])
def test_the_good_are_done_and_the_bad_are_named(tool, data, tmp_path):
    root, bad = data
    ran = run(tool, root, "-o", tmp_path / "out")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr and "unexpected" not in ran.stderr
    done = {Path(line).relative_to(tmp_path / "out").with_suffix("").as_posix() for line in ran.stdout.splitlines()}
    assert {name.rsplit(".", 1)[0] for name in hostile.GOOD} <= done
    assert {"yes/bad/folder.png/inside", "yes/bad/cmyk"} <= done
    for name in bad:
        stem = name.split(".")[0]
        printed = [line for line in ran.stderr.splitlines() if line.startswith(f"{tool}: {root / name}: ")]
        assert len(printed) == 1 or stem in {d.split(".")[0] for d in done}, name


@pytest.mark.parametrize("words", [
    ("mri-split", "IN", "--folds", "2"),
    ("mri-inspect", "IN"),
    ("mri-view", "IN", "-o", "OUT/sheet.png"),
    ("mri-augment", "IN", "-n", "1", "--rotate", "10", "-o", "OUT/augmented"),
], ids=lambda words: words[0])
def test_every_tool_lives_through_them(words, data, tmp_path):
    root, _ = data
    ran = run(*(w.replace("IN", str(root)).replace("OUT", str(tmp_path)) for w in words))
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr and "unexpected" not in ran.stderr
    assert ran.stdout
    assert "cut30.png" in ran.stderr + ran.stdout
    assert not list(tmp_path.rglob(".[0-9]*"))


def test_a_file_without_permission(tmp_path):
    """Root may read all; then there is nothing to refuse and the case is done."""
    hostile.make(tmp_path / "in")
    locked = tmp_path / "in" / hostile.GOOD[0]
    locked.chmod(0)
    ran = run("mri-normalize", locked, "-o", tmp_path / "out")
    if os.access(locked, os.R_OK):
        assert ran.returncode == 0
    else:
        assert ran.returncode == 1 and "ermission" in ran.stderr and "Traceback" not in ran.stderr
