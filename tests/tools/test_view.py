"""mri-view, mri-inspect and mri-phantom as their user runs them."""

import csv
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from forked import BIN
from PIL import Image
from pipeline_data import make


def run(*words, text=None, cwd=None):
    return subprocess.run([BIN / words[0], *map(str, words[1:])], capture_output=True, text=True, timeout=60, cwd=cwd,
                          **({"input": text} if text is not None else {"stdin": subprocess.DEVNULL}))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    make(folder)
    return folder


def test_view_draws_cases_and_says_where(data, tmp_path):
    ran = run("mri-view", data / "in", "-o", tmp_path / "sheet.png", "--columns", 3, "--size", 64)
    assert ran.returncode == 0 and ran.stdout == f"{tmp_path / 'sheet.png'}\n"
    assert Image.open(tmp_path / "sheet.png").size[0] == 3 * 70
    few = run("mri-view", data / "many", "-o", tmp_path / "few.png", "--count", 2, "--size", 64)
    assert "2 of 24 shown" in few.stderr and Image.open(tmp_path / "few.png").size[0] == 2 * 70


def test_view_takes_names_and_tables_from_a_pipe(data, tmp_path):
    names = "".join(f"{p}\n" for p in sorted((data / "in/yes").iterdir()))
    assert "3 of 3 shown" in run("mri-view", "-o", tmp_path / "n.png", text=names).stderr
    table = "case,class,p_no,p_yes,seen\nyes/a1,yes,0.1,0.9,\nyes/a2,no,0.8,0.2,\nno/b1,no,0.7,0.3,\n"
    ran = run("mri-view", "--cases", data / "in", "-o", tmp_path / "t.png", text=table)
    assert ran.returncode == 0, ran.stderr
    red = (np.asarray(Image.open(tmp_path / "t.png"))[:3] == (220, 40, 40)).all(-1)
    assert red[:, :166].all() and not red[:, 166:].any()  # the mistake comes first, framed
    wrong = run("mri-view", "--cases", data / "in", "--mistakes", "-o", tmp_path / "m.png", text=table)
    assert "1 of 1 shown" in wrong.stderr


def test_view_refuses_what_cannot_be(data, tmp_path):
    for words in (["-o", "sheet.jpg"], ["--mistakes"], ["--cases", data / "nowhere"], ["--cases", data / "odd"]):
        ran = run("mri-view", data / "in", *words, cwd=tmp_path)
        assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1
    ran = run("mri-view", data / "bad", "-o", tmp_path / "b.png")
    assert ran.returncode == 1 and "2 of 10 shown" in ran.stderr and "cut.png" in ran.stderr


def test_view_draws_predicted_label_maps_over_their_cases(data, tmp_path):
    import SimpleITK as sitk

    scan = sitk.ReadImage(str(data / "mixed/scan.nii.gz"))
    array = np.zeros(scan.GetSize()[::-1], np.uint8)
    array[5, 20:50, 20:40] = 1
    label = sitk.GetImageFromArray(array)
    label.CopyInformation(scan)
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions/recipe.json").write_text('{"format": 1, "steps": []}')
    sitk.WriteImage(label, str(tmp_path / "predictions/scan.nii.gz"))
    ran = run("mri-view", "--cases", data / "mixed", "-o", tmp_path / "p.png", "--size", 128,
              text=f"{tmp_path / 'predictions/scan.nii.gz'}\n")  # fmt: skip
    assert ran.returncode == 0 and "1 of 1 shown" in ran.stderr, ran.stderr
    shown = np.asarray(Image.open(tmp_path / "p.png")).astype(int)
    coloured = (np.ptp(shown, axis=-1) > 60).sum()
    assert 50 < coloured < 1000


def test_view_reads_label_maps_by_the_scheme_that_is_named(tmp_path):
    from mrilib.images.grid import Grid, Image
    from mrilib.images.io import files

    (tmp_path / "BraTS20_Training_001").mkdir()
    for name in ("t1", "flair", "seg"):
        values = np.arange(4 * 8 * 8).reshape(4, 8, 8) % 4
        files.write(tmp_path / f"BraTS20_Training_001/BraTS20_Training_001_{name}.nii.gz",
                    Image(values.astype(np.uint8), Grid.of((4, 8, 8))))
    refused = run("mri-view", tmp_path, "-o", "x.png", cwd=tmp_path)
    assert "label 3 is not in scheme brats2020 (0 1 2 4) (name the right one with --scheme)" in refused.stderr
    assert run("mri-view", tmp_path, "-o", "x.png", "--scheme", "brats2023", cwd=tmp_path).returncode == 0


def test_view_takes_cases_by_chance_from_a_seed(data, tmp_path):
    def sheet(*more):
        ran = run("mri-view", data / "many", "--count", 4, "--size", 64, "-o", tmp_path / "s.png", *more)
        assert ran.returncode == 0, ran.stderr
        return (tmp_path / "s.png").read_bytes()

    even, one = sheet(), sheet("--random", "--seed", 1)
    assert one == sheet("--random", "--seed", 1)
    assert len({even, one, sheet("--random", "--seed", 2)}) == 3
    assert "no effect" in run("mri-view", data / "many", "--seed", 1, cwd=tmp_path).stderr


def test_view_takes_a_table_with_a_mark_of_its_order_and_names_that_are_no_text(data, tmp_path):
    table = tmp_path / "t.csv"
    rows = b"case,class,p_no,p_yes,seen\r\nyes/a1,yes,0.1,0.9,\r\n"
    table.write_bytes(b"\xef\xbb\xbf" + rows)
    assert "1 of 1 shown" in run("mri-view", table, "--cases", data / "in", "-o", tmp_path / "t.png").stderr
    with open(table) as file:
        ran = subprocess.run([BIN / "mri-view", "--cases", data / "in", "-o", tmp_path / "t.png"], stdin=file,
                             capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0 and "1 of 1 shown" in ran.stderr
    table.write_bytes(rows + b"yes/m\xe4rz,no,0.9,0.1,\r\n")
    ran = run("mri-view", table, "--cases", data / "in", "-o", tmp_path / "t.png")
    assert ran.returncode == 2 and "of no case in the reference" in ran.stderr and "unexpected" not in ran.stderr


def test_view_says_why_there_is_nothing_to_show(data, tmp_path):
    right = "case,class,p_no,p_yes,seen\nyes/a1,yes,0.1,0.9,\n"
    ran = run("mri-view", "--cases", data / "in", "--mistakes", "-o", tmp_path / "m.png", text=right)
    assert ran.returncode == 1 and "no mistake" in ran.stderr and not (tmp_path / "m.png").exists()
    for words in ([], ["--cases", data / "in"]):  # mri-predict failed
        ran = run("mri-view", *words, "-o", tmp_path / "m.png", text="")
        assert ran.returncode == 1 and "no name and no table came" in ran.stderr
    ran = run("mri-view", "--cases", tmp_path / "nowhere", text=right, cwd=tmp_path)
    assert ran.returncode == 2 and "nowhere: no such" in ran.stderr
    ran = run("mri-view", data / "in", "--count", 400, "--size", 2048, cwd=tmp_path)
    assert ran.returncode == 2 and "too large a sheet" in ran.stderr


def test_inspect_says_what_a_folder_holds(data, tmp_path):
    ran = run("mri-inspect", data / "in", "--per-case", tmp_path / "cases.csv")
    told = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    assert ran.returncode == 0 and told["cases"] == "8" and told["classes"] == "5 no, 3 yes"
    assert told["understood as"] == "a folder for each class" and told["size"] == "64 x 72"
    rows = list(csv.DictReader((tmp_path / "cases.csv").read_text().splitlines()))
    assert len(rows) == 8 and rows[0]["size"] == "64 72"
    twins = json.loads(run("mri-inspect", data / "mixed", "--json").stdout)
    assert {tuple(c["size"]) for c in twins["cases"]} == {(64, 72), (64, 72, 12)}
    bad = run("mri-inspect", data / "bad")
    assert bad.returncode == 1 and "damaged: 8 files" in bad.stdout


def test_inspect_finds_copies_and_a_recipe(data, tmp_path):
    make(tmp_path)
    (tmp_path / "in/yes/again.png").write_bytes((tmp_path / "in/no/b1.png").read_bytes())
    told = run("mri-inspect", tmp_path / "in").stdout
    assert "copies: 1 exact" in told and "copies of different class: 1 pair: no/b1 (no) and yes/again (yes)" in told
    assert "\ncopies: " not in run("mri-inspect", tmp_path / "in", "--no-duplicates").stdout
    run("mri-denoise", tmp_path / "in", "--method", "median", "-o", tmp_path / "d")
    assert "prepared by: median(radius=1)" in run("mri-inspect", tmp_path / "d").stdout


def test_inspect_says_what_this_machine_offers():
    ran = run("mri-inspect", "--device")
    assert ran.returncode == 0 and re.search(r"^CPU: [1-9]\d* cores?, ", ran.stdout)
    assert run("mri-inspect", "--device", ".").returncode == 2
    assert run("mri-inspect", "nowhere.h5").returncode == 1


def test_phantoms_are_the_same_for_any_jobs_and_go_on_where_they_ended(tmp_path):
    one = run("mri-phantom", "-n", 6, "--size", 64, "-j1", "-o", tmp_path / "a")
    assert one.returncode == 0 and len(one.stdout.splitlines()) == 6
    run("mri-phantom", "-n", 3, "--size", 64, "-j2", "-o", tmp_path / "b")
    run("mri-phantom", "-n", 3, "--first", 3, "--size", 64, "-o", tmp_path / "b", "--force")
    for path in sorted((tmp_path / "a").rglob("*.png")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    assert len(list((tmp_path / "a/tumour").iterdir())) == 3
    assert run("mri-phantom", "-o", tmp_path / "a").returncode == 2
    for option in ("--noise", "--tumours"):
        ran = run("mri-phantom", option, "nan", "-o", tmp_path / "n")
        assert ran.returncode == 2 and "not a number" in ran.stderr and not (tmp_path / "n").exists()
    other = run("mri-phantom", "-n", 2, "--size", 64, "--seed", 1, "--tumours", 1, "--noise", 0.2, "-o", tmp_path / "c")
    assert {Path(p).parent.name for p in other.stdout.split()} == {"tumour"}


def test_phantom_volumes_are_understood(tmp_path):
    ran = run("mri-phantom", "-n", 2, "--kind", "volumes", "--size", 40, "-o", tmp_path / "v")
    assert ran.returncode == 0, ran.stderr
    told = run("mri-inspect", tmp_path / "v").stdout
    assert "channels: 2 t1 t1ce t2 flair" in told and "label maps: 2 of 2" in told and "40 x 40 x 40" in told
