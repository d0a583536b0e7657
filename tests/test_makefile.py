"""make classify: the whole experiment, its last line, and that finished stages are not done again."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from segment_data import write

ROOT = Path(__file__).parent.parent
LAST = r"accuracy \d+\.\d % \(95 % interval \d+\.\d to \d+\.\d, 24 images, 2 duplicate-safe folds\)"


def make(*words):
    """make in the repository, with the environment that runs the tests, which it may not install anew."""
    given = ["make", "--no-print-directory", "-o", f"{sys.prefix}/installed", f"VENV={sys.prefix}", *words]
    return subprocess.run(given, cwd=ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("make") / "heads & more"
    phantom = Path(sys.executable).with_name("mri-phantom")
    subprocess.run([phantom, "-n", "24", "--size", "64", "-o", folder], check=True, capture_output=True,
                   stdin=subprocess.DEVNULL)
    return folder


def test_classify_runs_every_stage_once(scans):
    settings = (f"DATA={scans}", f"OUT={scans.parent}/out", "FOLDS=2", "SIZE=32",
                "TRAIN=--backbone lenet --epochs 1 --device cpu")
    first = make("-j2", "classify", *settings)
    assert first.returncode == 0, first.stderr
    assert re.fullmatch(LAST, first.stdout.splitlines()[-1])
    assert [stage in first.stdout for stage in ("split:", "prepare:", "train: fold 1", "predict: fold 1")] == [True] * 4
    page = (scans.parent / "out/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 24 and "fold1.h5" in page and "balanced_accuracy" in page
    again = make("classify", *settings)
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert not re.search("^(split|prepare|train|predict):", again.stdout, re.M)
    shifted = make(f"{scans.parent}/out/fold0.h5", *settings, "SEED=1")
    assert "train: fold 0" in shifted.stdout and "prepare:" not in shifted.stdout  # images are prepared the same


def test_segment_ends_with_dice_and_does_nothing_twice(tmp_path):
    for i in range(8):
        write(tmp_path / ("others" if i > 4 else "patients"), i)
    settings = (f"DATA={tmp_path}/patients", f"OUT={tmp_path}/out", "BUDGET=",
                "TRAIN=--patch 16,16,8 --levels 2 --width 8 --epochs 1 --steps 40 --average 0 --warmup 0 "
                "--learning-rate 0.01 --augment none --device cpu")  # fmt: skip
    between = r"95 % interval [01]\.\d{3} to [01]\.\d{3}"
    lines = (rf"Dice WT [01]\.\d{{3}} \({between}, 3 cases\)\nDice TC [01]\.\d{{3}} \({between}, 3 cases\)\n"
             r"Dice ET 1\.000 \(no interval, 3 cases\)")  # these cases have no enhancing label, and all agree on it
    first = make("segment", *settings, f"TEST={tmp_path}/others")
    assert first.returncode == 0, first.stderr
    assert re.fullmatch(lines, "\n".join(first.stdout.splitlines()[-3:]))
    assert float(re.search(r"Dice WT (\S+)", first.stdout)[1]) > 0.5
    again = make("segment", *settings, f"TEST={tmp_path}/others")
    assert not re.search("^(prepare|train|predict):", again.stdout, re.M)
    (tmp_path / "out/test-maps.txt").unlink()  # as if killed before all were predicted
    first_map = tmp_path / "out/predictions/test/BraTS20_Training_005.nii.gz"
    when = first_map.stat().st_mtime_ns
    killed = make("segment", *settings, f"TEST={tmp_path}/others")
    assert re.findall("^(prepare|train|predict):", killed.stdout, re.M) == ["predict"]
    assert first_map.stat().st_mtime_ns == when and killed.stdout.splitlines()[-3:] == first.stdout.splitlines()[-3:]
    settings = (*settings, f"PREDICT=--no-flips --probabilities {tmp_path}/p")
    write(tmp_path / "others", 8)
    (tmp_path / "others/BraTS20_Training_005").rename(tmp_path / "others/BraTS20_Training_009")
    more = make("segment", *settings, f"TEST={tmp_path}/others")
    assert re.findall("^(prepare|train|predict):", more.stdout, re.M) == ["predict"]
    assert re.search(r"Dice WT .*, 4 cases\)", more.stdout) and not first_map.exists()  # of a case that is gone
    held = make("segment", *settings)
    assert held.returncode == 0 and "prepare:" not in held.stdout
    assert re.search(r"Dice WT .*, 1 cases\)", held.stdout)


def test_localise_ends_with_ap50_and_does_nothing_twice(tmp_path):
    phantom = Path(sys.executable).with_name("mri-phantom")
    subprocess.run([phantom, "--kind", "boxes", "-n", "16", "--size", "64", "-o", tmp_path / "heads"], check=True,
                   capture_output=True, stdin=subprocess.DEVNULL)
    settings = (f"DATA={tmp_path}/heads", f"OUT={tmp_path}/out", "BUDGET=", "SIZE=64",
                "TRAIN=--width 0.5 --filters 8 --epochs 1 --device cpu")
    first = make("localise", *settings)
    assert first.returncode == 0, first.stderr
    assert re.fullmatch(r"AP50 [01]\.\d{3} \((95 % interval [01]\.\d{3} to [01]\.\d{3}|no interval), 4 images\)",
                        first.stdout.splitlines()[-1])
    again = make("localise", *settings)
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert not re.search("^(split|prepare|train|predict):", again.stdout, re.M)


@pytest.mark.parametrize(("last", "settings", "folder"), [
    ("map-normalized.txt", "MAPS=--method minmax", "map-normalized"), ("normalized.txt", "SIZE=48", "denoised")])
def test_a_killed_preparation_goes_on_and_a_path_spelt_otherwise_is_the_same(scans, tmp_path, last, settings, folder):
    (tmp_path / "in").symlink_to(scans)
    target = (f"{tmp_path}/out/{last}", f"OUT={tmp_path}/out", "SIZE=32")
    first = make(*target, f"DATA={tmp_path}/in")
    assert first.returncode == 0 and "prepare:" in first.stdout, first.stderr
    image = next((tmp_path / "out" / folder).glob("*/*.tif"))
    when = image.stat().st_mtime_ns
    assert "prepare:" not in make(*target, f"DATA={os.path.relpath(scans, ROOT)}").stdout
    (tmp_path / "out" / last).unlink()  # as if killed before all were prepared
    again = make(*target, f"DATA={tmp_path}/in")
    assert "prepare:" in again.stdout and image.stat().st_mtime_ns == when
    assert make(*target, f"DATA={tmp_path}/in", settings).returncode == 0 and image.stat().st_mtime_ns != when


def test_folds_of_label_maps_are_averaged_on_other_cases_and_one_without_a_map_is_left_out(tmp_path):
    for i in range(5):
        write(tmp_path / ("others" if i > 3 else "patients"), i)
    next(tmp_path.glob("patients/*003/*_seg.nii.gz")).unlink()
    settings = (f"DATA={tmp_path}/patients", f"OUT={tmp_path}/out", "BUDGET=", "FOLDS=2",
                "TRAIN=--patch 16,16,8 --levels 2 --width 4 --epochs 1 --steps 5 --augment none --device cpu")
    crossed = make("segment", *settings)
    assert crossed.returncode == 0, crossed.stderr
    assert "has no label map" in crossed.stderr and re.search(r"Dice WT .*, 3 cases\)", crossed.stdout)
    ran = make("segment", *settings, f"TEST={tmp_path}/others")
    assert ran.returncode == 0, ran.stderr
    assert re.findall("^(prepare|train|predict):", ran.stdout, re.M) == ["predict"]
    record = json.loads(next((tmp_path / "out/predictions/test").glob("*4.json")).read_text())
    assert len(record["model"]) == 2


@pytest.mark.parametrize(("target", "readers"), [("classify", "split denoise view predict score"),
                                                 ("segment", "split normalize predict score"),
                                                 ("localise", "split normalize predict score")])
def test_how_images_are_read_is_told_every_tool_that_reads_them(target, readers, scans, tmp_path):
    told = make("-n", target, f"DATA={scans}", f"TEST={scans}", f"OUT={tmp_path}/out", "READ=--as slices",
                "TRAIN=--seed 7").stdout
    commands = re.findall(r"mri-[a-z]+ [^|;>]*", told.replace("\\\n", ""))
    given = [c.split()[0] for c in commands if f'"{scans}"' in c and "--as slices" in c]
    missed = [c for c in commands if f'"{scans}"' in c and "--as slices" not in c]
    assert not missed and {*given} == {f"mri-{name}" for name in readers.split()}
    assert all(re.search("--seed 0.* --seed 7", c) for c in commands if c.startswith("mri-train"))  # the last counts


@pytest.mark.parametrize("target", ["classify", "segment", "localise"])
def test_a_wrong_name_of_test_images_is_told_before_anything_is_done(target, scans, tmp_path):
    ran = make(target, f"DATA={scans}", "TEST=nowhere", f"OUT={tmp_path}/out", "BUDGET=1s")
    assert ran.returncode == 2 and "TEST=nowhere is no folder" in ran.stderr and ran.stdout == ""


def test_what_is_missing_is_said(scans):
    assert "make classify DATA=folder" in make("classify").stderr
    assert "is no folder" in make("classify", "DATA=nowhere", f"OUT={scans.parent}/none").stderr
    told = make("help").stdout
    assert all(f"  {target} " in told for target in ("install", "demo", "classify", "test", "lint", "bench", "docs"))
