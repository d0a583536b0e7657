"""mri-denoise as its user runs it."""

import json
import subprocess

import numpy as np
import pytest
from forked import BIN
from pipeline_data import head, save

from mrilib.images.io import files
from mrilib.images.registry import DENOISERS


def denoise(*arguments, cwd, given=""):
    return subprocess.run([BIN / "mri-denoise", *map(str, arguments)], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "in/a.png", head(3))
    noise = np.random.default_rng(0).normal(0, 12, (72, 64))
    save(tmp_path / "in/b.png", (head(3) + noise).clip(0, 255).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("method", list(DENOISERS))
def test_every_method_runs_and_says_what_it_did(folder, method):
    ran = denoise("in", "--method", method, cwd=folder)
    assert ran.returncode == 0 and ran.stdout == "denoised/a.tif\ndenoised/b.tif\n"
    noisy, clean = (files.read(folder / name).array.astype(float) for name in ("in/b.png", "denoised/b.tif"))
    assert np.abs(clean - head(3)).mean() < np.abs(noisy - head(3)).mean()
    recipe = json.loads((folder / "denoised/recipe.json").read_text())
    assert [s["step"] for s in recipe["steps"]] == [method]
    measured = json.loads((folder / "denoised/b.json").read_text())["measured"][0]
    assert measured["step"] == method
    if method in ("bilateral", "curvature", "tv", "wavelet", "nlm"):
        assert 9 < measured["sigma"][0] < 15


@pytest.mark.parametrize(("method", "option"), [
    ("median", ("--radius", 2)), ("gaussian", ("--width", 2.5)), ("bilateral", ("--width", 3)),
    ("bilateral", ("--sigma", 40)), ("curvature", ("--sigma", 60)),
    ("nlm", ("--sigma", 30)), ("nlm", ("--noise", "gaussian")), ("tv", ("--sigma", 30)), ("wavelet", ("--sigma", 30)),
])  # fmt: skip
def test_every_option_changes_the_result(folder, method, option):
    for words in ((), option):
        assert denoise("in", "--method", method, *words, "-o", f"out{len(words)}", cwd=folder).returncode == 0
    first, second = (files.read(folder / f"out{n}/b.tif").array for n in (0, 2))
    assert not np.array_equal(first, second)
    assert json.loads((folder / "out2/recipe.json").read_text())["steps"][0]["parameters"][option[0][2:]] == option[1]


@pytest.mark.parametrize(("words", "says"), [
    (("--method", "median", "--sigma", 3), "--sigma has no effect on median (its own options: --radius)"),
    (("--method", "gaussian", "--radius", 3), "--radius has no effect on gaussian"),
    (("--method", "curvature", "--width", 3), "--width has no effect on curvature"),
    (("--method", "tv", "--even"), "--varying has no effect on tv"), (("--radius", 2), "--radius has no effect on nlm"),
    (("--sigma", 3, "--varying"), "--varying has no effect beside --sigma"),
    (("--method", "median", "--radius", 0), "--radius"), (("--method", "bilateral", "--sigma", 0), "--sigma"),
    (("--method", "gaussian", "--width", "nan"), "--width"), (("--method", "n4"), "n4"),
    (("--method", "tv", "--noise", "rician"), "--noise has no effect on tv"),
    (("--residual", "in/r"), "lies in the input"), (("--residual", "denoised/r"), "lies in the output"),
])  # fmt: skip
def test_options_without_effect_are_refused(folder, words, says):
    ran = denoise("in", *words, cwd=folder)
    assert ran.returncode == 2 and says in ran.stderr and len(ran.stderr.splitlines()) == 1, ran.stderr
    assert not (folder / "denoised").exists()


def test_noise_is_taken_for_even_when_asked_or_told_how_strong(folder):
    for words, varying in (((), True), (("--even",), False), (("--sigma", 12), False)):
        out = f"out{len(words)}{varying}"
        assert denoise("in", *words, "-o", out, cwd=folder).returncode == 0
        step = json.loads((folder / out / "recipe.json").read_text())["steps"][0]
        assert (step["step"], step["parameters"]["varying"]) == ("nlm", varying)
        assert ("spread" in json.loads((folder / out / "b.json").read_text())["measured"][0]) == varying


def test_the_residual_is_what_was_removed(folder):
    ran = denoise("in", "--residual", "lost", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    for name in ("a", "b"):
        before, after, lost = (files.read(folder / p).array.astype(np.float32)
                               for p in (f"in/{name}.png", f"denoised/{name}.tif", f"lost/{name}.tif"))
        assert np.array_equal(before - after, lost)
    ran = denoise("lost", "-o", "again", cwd=folder)
    assert (ran.returncode, ran.stdout) == (1, "") and "lost/a.tif: was prepared by this suite" in ran.stderr
    (folder / "lost/b.tif").unlink()
    assert denoise("in", "--residual", "lost", cwd=folder).returncode == 0 and (folder / "lost/b.tif").is_file()
