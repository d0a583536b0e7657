"""Preparing from Python: the same bytes as the tools, and a folder that the library accepts as its own."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from forked import BIN
from pipeline_data import cut, head, save

import mrilib as mri
from mrilib.errors import CaseError, UsageError


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library") / "scans"
    for i in range(6):
        save(folder / ("yes" if i % 2 else "no") / f"{i}.png", head(i))
    return folder


def bytes_of(folder):
    """Every file below a folder; records without the name of the program."""
    found = {}
    for path in sorted(Path(folder).rglob("*.*")):
        data = path.read_bytes()
        if path.name == "recipe.json":
            data = json.dumps({k: v for k, v in json.loads(data).items() if k != "made_by"}).encode()
        found[path.relative_to(folder).as_posix()] = data
    return found


def tool(*arguments, cwd):
    ran = subprocess.run([BIN / arguments[0], *map(str, arguments[1:])], cwd=cwd, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


SAME = {
    "denoise": (("mri-denoise", "--method", "median", "--radius", "2"),
                lambda scans, out: mri.denoise(scans, "median", radius=2, out=out, jobs=1)),
    "normalize": (("mri-normalize", "--size", "40,50", "--crop", "--method", "percentile", "--high", "98"),
                  lambda scans, out: mri.normalize(scans, "percentile", size=(50, 40), crop=True, high=98, out=out)),
    "learned": (("mri-normalize", "--method", "nyul", "--learn", "SCANS"),
                lambda scans, out: mri.normalize(scans, "nyul", learn=scans, out=out, jobs=2)),
    "augment": (("mri-augment", "-n", "2", "--rotate", "10", "--preset", "light", "--seed", "4"),
                lambda scans, out: mri.augment(scans, 2, changes="light", rotate=10, seed=4, out=out, jobs=1)),
    "prepare": (("mri-normalize", "--crop", "--size", "40", "--method", "zscore"),
                lambda scans, out: mri.prepare(str(scans), ["crop", ("resize", {"size": 40}), "zscore"], str(out))),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_the_library_writes_what_the_tool_writes(scans, tmp_path, name):
    arguments, function = SAME[name]
    arguments = [str(scans) if text == "SCANS" else text for text in arguments]
    tool(*arguments, scans, "-o", "tool", cwd=tmp_path)
    cases = function(scans, tmp_path / "library")
    assert bytes_of(tmp_path / "library") == bytes_of(tmp_path / "tool")
    assert json.loads((tmp_path / "library/recipe.json").read_text())["made_by"] == f"mrilib {mri.__version__}"
    assert {case.class_name for case in cases} == {"yes", "no"} and all(case.path.exists() for case in cases)
    assert len(cases) == (12 if name == "augment" else 6) and cases[0].root == tmp_path / "library"


def test_what_was_prepared_can_be_prepared_further(scans, tmp_path, caplog):
    cases = mri.find(scans)
    first = mri.denoise(cases, "median", out=tmp_path / "a", jobs=1)
    second = mri.prepare(first, ["zscore"], tmp_path / "b", jobs=1)
    steps = json.loads((tmp_path / "b/recipe.json").read_text())["steps"]
    assert [step["step"] for step in steps] == ["median", "zscore"] and [c.id for c in second] == [c.id for c in cases]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "b").rglob("*.tif")}
    again = mri.prepare(first, ["zscore"], tmp_path / "b", jobs=1)
    assert again == second and times == {path: path.stat().st_mtime_ns for path in times}  # kept
    with pytest.raises(UsageError, match="another recipe"):
        mri.prepare(first, ["minmax"], tmp_path / "b", jobs=1)
    mri.prepare(first, ["minmax"], tmp_path / "b", jobs=1, force=True)
    like = mri.normalize(scans, like=tmp_path / "b", out=tmp_path / "c", jobs=1)
    assert len(like) == 6
    assert bytes_of(tmp_path / "c")["no/0.tif"] == bytes_of(tmp_path / "b")["no/0.tif"]


def test_steps_that_learn_learn_from_the_source_or_from_others(scans, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "mrilib"):
        mri.prepare(scans, ["crop", "histogram"], tmp_path / "own", jobs=1)
    assert "from 6 cases" in caplog.text
    mri.prepare([scans / "yes"], ["crop", "histogram"], tmp_path / "others", learn=scans, jobs=1)
    own, others = (json.loads((tmp_path / name / "recipe.json").read_text())["steps"] for name in ("own", "others"))
    assert own == others and own[1]["learned"]
    with pytest.raises(UsageError, match="learn has no effect"):
        mri.prepare(scans, ["crop"], tmp_path / "none", learn=scans)


def test_one_bad_case_is_named_and_the_rest_is_done(scans, tmp_path, caplog):
    for i in range(3):
        save(tmp_path / f"in/{i}.png", head(i))
    cut(tmp_path / "in/1.png")
    failed = []
    cases = mri.denoise(tmp_path / "in", "median", out=tmp_path / "out", jobs=1, on_error=failed.append)
    assert [case.id for case in cases] == ["0", "2"]
    assert len(failed) == 1 and isinstance(failed[0], CaseError) and failed[0].where == tmp_path / "in/1.png"
    assert not caplog.text
    mri.denoise(tmp_path / "in", "median", out=tmp_path / "out", jobs=1)
    assert "in/1.png: " in caplog.text and caplog.records[0].levelname == "WARNING"
    with pytest.raises(CaseError, match=r"in/1\.png"):
        mri.denoise(tmp_path / "in/1.png", "median", out=tmp_path / "none", jobs=1)


def test_progress_and_executors(scans, tmp_path):
    steps = []

    class Progress:
        def __init__(self, label, total=None, unit="case"):
            steps.append(label)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def step(self, n=1):
            steps.append(n)

        def note(self, text):
            pass

    with ThreadPoolExecutor(2) as executor:
        mri.denoise(scans, "median", out=tmp_path / "out", jobs=executor, progress=Progress)
    assert steps == ["denoise", *[1] * 6]
    assert bytes_of(tmp_path / "out") == bytes_of_tool(scans, tmp_path)


def bytes_of_tool(scans, tmp_path):
    tool("mri-denoise", "--method", "median", scans, "-o", "tool", cwd=tmp_path)
    return bytes_of(tmp_path / "tool")


@pytest.mark.parametrize(("call", "says"), [
    (lambda s, o: mri.normalize(s, low=-5, out=o), "low: -5 must be"),
    (lambda s, o: mri.normalize(s, size="big", out=o), "size: 'big' must be a sequence"),
    (lambda s, o: mri.normalize(s, "zscor", out=o), "unknown method 'zscor'"),
    (lambda s, o: mri.normalize(s, colour=True, out=o), "unknown setting 'colour'"),
    (lambda s, o: mri.denoise(s, sigma="x", out=o), "sigma: 'x' must be a number"),
    (lambda s, o: mri.denoise(s, "median", sigma=3, out=o), "--sigma has no effect on median"),
    (lambda s, o: mri.prepare(s, ["n5"], o), "unknown step 'n5'"),
    (lambda s, o: mri.prepare(s, "zscore", o), "give a list"),
    (lambda s, o: mri.prepare(s, [("percentile", {"low": 200})], o), "low: 200 must be"),
    (lambda s, o: mri.prepare(s, ["zscore"], o, job=2), "unknown setting 'job'"),
    (lambda s, o: mri.prepare(s, ["zscore"], s / "out"), "lies in the input"),
    (lambda s, o: mri.prepare(s / "nowhere", ["zscore"], o), "no such file or folder"),
    (lambda s, o: mri.augment(s, out=o), "nothing would be changed"),
    (lambda s, o: mri.augment(s, rotat=3, out=o), "unknown transform rotat"),
])  # fmt: skip
def test_wrong_use_is_named_before_anything_is_written(scans, tmp_path, call, says):
    with pytest.raises(UsageError) as wrong:
        call(scans, tmp_path / "out")
    assert says in str(wrong.value) and not os.listdir(tmp_path)


def test_the_package_is_light_until_it_is_used():
    code = ("import sys, mrilib\nassert not {'numpy', 'click', 'SimpleITK'} & set(sys.modules), 'heavy'\n"
            "print(all(name in dir(mrilib) for name in mrilib.PUBLIC))\n"
            "assert all(callable(getattr(mrilib, name)) for name in mrilib.PUBLIC)")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "True\n", ran.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mri.nothing  # noqa: B018


def test_a_link_to_the_input_is_not_written_through(scans, tmp_path):
    save(tmp_path / "in/a.tif", head(1).astype(np.uint8))
    before = (tmp_path / "in/a.tif").read_bytes()
    mri.denoise(tmp_path / "in", "median", out=tmp_path / "out", jobs=1)
    (tmp_path / "out/a.tif").unlink()
    (tmp_path / "out/a.tif").symlink_to("../in/a.tif")
    with pytest.raises(CaseError, match="is a link to the input"):
        mri.denoise(tmp_path / "in", "median", out=tmp_path / "out", jobs=1)
    assert (tmp_path / "in/a.tif").read_bytes() == before
