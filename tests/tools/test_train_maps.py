"""mri-train for label maps, as its user runs it, on volumes of two bright boxes."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from forked import BIN, INSTALLED
from segment_data import write

QUICK = ["--device", "cpu", "--threads", "1", "--batch-size", "2", "--learning-rate", "0.01", "--average", "0",
         "--warmup", "0", "--augment", "none", "--width", "4", "--levels", "2"]  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps") / "in"
    for i in range(8):
        write(folder, i)
    return folder


def run(tool, *arguments, cwd: Path):
    return subprocess.run([BIN / tool, *map(str, arguments)], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=600)


def record_of(path: Path) -> dict:
    import h5py

    with h5py.File(path) as file:
        return json.loads(file.attrs["mri"])


def test_killed_and_resumed_it_writes_the_very_same_file(cases, tmp_path):
    options = [cases, *QUICK, "--patch", "16,16,8", "--epochs", "6", "--steps", "5", "--validation", "0.25",
               "--validate-every", "3", "--residual", "--levels", "3", "--deep-supervision",
               "--average", "1"]  # fmt: skip
    whole = run("mri-train", *options, "-o", "whole.h5", cwd=tmp_path)
    assert (whole.returncode, whole.stdout) == (0, "whole.h5\n"), whole.stderr
    for part in ("labels: 1 necrotic, 2 oedema, 4 enhancing (scheme brats2020)", "plan: 3D, residual U-Net of 3 levels",
                 "applying zscore(region=foreground) now, and again in mri-predict", "waiting for batches",
                 "mean Dice"):  # fmt: skip
        assert part in whole.stderr
    assert not (tmp_path / "whole.h5.cache").exists() and not (tmp_path / "whole.h5.checkpoint").exists()
    rows = list(csv.DictReader((tmp_path / "whole.curve.csv").open()))
    assert [bool(row["validation_dice"]) for row in rows] == [False, False, True] * 2

    cache, curve = tmp_path / "broken.h5.cache", tmp_path / "broken.curve.csv"
    for reached in (lambda: [*cache.glob("*/case.json")], lambda: curve.exists() and curve.read_text().count("\n") > 2):
        words = [INSTALLED / "mri-train", *map(str, options), "-o", "broken.h5", "--resume"]
        broken = subprocess.Popen(words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        while not reached() and broken.poll() is None:
            time.sleep(0.01)
        broken.send_signal(signal.SIGKILL)  # while it prepares, then while it trains
        broken.communicate()
        assert cache.exists()
    assert not (tmp_path / "broken.h5").exists() and (tmp_path / "broken.h5.checkpoint").exists()
    resumed = run("mri-train", *options, "-o", "broken.h5", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0 and "resuming after epoch" in resumed.stderr
    assert re.search(r"epochs +6 of 6, [1-5] now: (5|10|15|20|25) of 30 steps in", resumed.stderr)
    assert (tmp_path / "broken.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert run("mri-train", *options, "-o", "whole.h5", cwd=tmp_path).stderr.count("is up to date: skipped") == 1
    other = run("mri-train", *options, "--tune-postprocess", "-o", "whole.h5", cwd=tmp_path)
    assert other.returncode == 2 and "whole.h5: is a model of another run: tune_postprocess was" in other.stderr


def test_the_spacing_of_training_is_that_of_use(tmp_path):
    for i in range(3):
        write(tmp_path / "in", i, spacing=(2.0 + i, 0.5, 0.5), size=(12, 40, 32))
    one = run("mri-train", "in", "--spacing", "1", "--dry-run", cwd=tmp_path)
    assert "--spacing: (1.0, 1.0, 1.0)" in one.stdout.splitlines()
    ran = run("mri-train", "in", *QUICK, "--spacing", "1,1", "--stem", "1", "--epochs", "1", "--steps", "1",
              cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert record_of(tmp_path / "model.h5")["spacing"] == [1.0, 1.0]  # the slices, of any distance, stay as they are


def test_folds_agree_on_spacing_and_labels_whatever_each_trains_on(tmp_path):
    for i in range(2):
        write(tmp_path / "in", i, spacing=(2.0, 1.0 + i, 1.0 + i), empty=i == 0)
    (tmp_path / "s.csv").write_text(run("mri-split", "in", "--folds", "2", cwd=tmp_path).stdout)
    for fold in range(2):
        run("mri-train", "in", *QUICK, "--split", "s.csv", "--fold", fold, "--patch", "16,16,8", "--epochs", "1",
            "--steps", "1", "--cache", "cache", "-o", f"m{fold}.h5", cwd=tmp_path)
    made = list(tmp_path.glob("m?.h5"))
    assert made and all(record_of(path)["spacing"] == [2.0, 1.5, 1.5] for path in made)
    assert all(record_of(path)["values"] == [0, 1, 2, 4] for path in made)


def test_folds_of_slices_for_regions_make_a_road_to_dice(cases, tmp_path):
    ran = run("mri-train", cases, *QUICK, "--dimension", "2", "--targets", "regions", "--norm", "batch", "--folds", "2",
              "--steps", "60", "--epochs", "2", "--validation", "0.3", "--sampling", "equal",
              "--loss", "tversky+0.5*focal", "-o", "m.h5", "--curve", "c.csv", cwd=tmp_path)  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "m-fold0.h5\nm-fold1.h5\n"), ran.stderr
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["c-fold0.csv", "c-fold1.csv", "m-split.csv"]
    split = (tmp_path / "m-split.csv").read_text()
    other = run("mri-train", cases, *QUICK, "--folds", "2", "--seed", "1", "-o", "m.h5", cwd=tmp_path)
    assert other.returncode == 2 and "m-split.csv: is another split, that of m-fold0.h5" in other.stderr
    assert (tmp_path / "m-split.csv").read_text() == split  # the models go by it
    record = record_of(tmp_path / "m-fold0.h5")
    assert (record["regions"], record["paint"], record["context"]) == (
        {"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]}, [2, 1, 4], 1)
    line = ('set -o pipefail; for i in 0 1; do "$1"/mri-normalize "$2" -o n -q | "$1"/mri-predict -m m-fold$i.h5 -q '
            '--split m-split.csv --fold $i -o p$i; done | "$1"/mri-score -r "$2" --split m-split.csv')
    scored = subprocess.run(["bash", "-c", line, "bash", BIN, cases], cwd=tmp_path, capture_output=True, text=True)
    assert scored.returncode == 0, scored.stderr
    dice = {row["part"]: row for row in csv.DictReader(scored.stdout.splitlines())
            if row["metric"] == "dice" and row["cases"] == "all"}
    assert float(dice["WT"]["value"]) > 0.8 and dice["WT"]["n"] == "8"


def test_folds_keep_copies_together_and_a_dry_run_writes_nothing(cases, tmp_path):
    for i in range(4):
        shutil.copytree(cases / f"BraTS20_Training_{i:03d}", tmp_path / "in" / f"a{i}" / f"BraTS20_Training_{i:03d}")
        shutil.copytree(tmp_path / "in" / f"a{i}", tmp_path / "in" / f"b{i}")  # of another subject, but the same
    ran = run("mri-train", "in", "--folds", "4", "--patience", "3", "--dry-run", cwd=tmp_path)
    assert (ran.returncode, os.listdir(tmp_path)) == (0, ["in"]), ran.stderr
    places = [line.rsplit(" ", 1)[1] for line in ran.stdout.splitlines() if line.startswith(("a", "b"))]
    assert len(places) == 8 * 4 and "validation" in places
    for fold in range(0, 32, 8):
        assert places[fold : fold + 4] == places[fold + 4 : fold + 8]


def test_a_model_of_more_folds_is_named(tmp_path):
    for i in range(2):
        write(tmp_path / "in", i)
    for path in tmp_path.glob("in/*/*_seg.nii.gz"):
        path.write_bytes(b"cut")  # so that it ends before it trains
    (tmp_path / "m-fold2.h5").touch()
    ran = run("mri-train", "in", "--folds", "2", "--force", "-o", "m.h5", cwd=tmp_path)
    assert "m-fold2.h5 is of a run of more folds and not replaced" in ran.stderr


def test_the_schedule_follows_the_budget_and_ends_within_it(cases, tmp_path):
    ran = run("mri-train", cases, *QUICK, "--patch", "16,16,8", "--budget", "20s", "--steps", "1", "-o", "m.h5",
              cwd=tmp_path)
    if ran.returncode == 3:  # a machine so slow that the time was used up before the first step says so
        assert "the budget of 20 s was gone before the first step" in ran.stderr
        return
    assert ran.returncode == 0, ran.stderr
    curve = record_of(tmp_path / "m.h5")["training"]["curve"]
    assert curve[-1]["learning_rate"] < 0.3 * curve[0]["learning_rate"] or len(curve) < 3


def test_a_budget_counts_from_the_start_of_the_process():
    """A process that sleeps before its first import still counts the sleep."""
    code = ("import time; time.sleep(2); from mrilib.training.budget import process_start; "
            "print(time.monotonic() - process_start())")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0 and float(ran.stdout) >= 1.9, ran.stderr


FOLDS = """
import sys, time
from pathlib import Path
from mrilib import tasks
from mrilib.cases import find
from mrilib.results import Silent
from mrilib.training.run import Training

class Stop(Exception):
    pass

class FirstEpoch(Silent):
    def note(self, text):
        raise Stop

task = tasks.get("segment")
settings = tasks.settings_of(task, {"folds": 2, "budget": "1000s", "threads": 1, "device": "cpu", "patch": (8, 16, 16),
                                    "steps": 1, "batch_size": 2, "width": 4, "levels": 2})
training = Training(task, list(find([Path(sys.argv[1])])), settings, output=Path("m.h5"), progress=FirstEpoch,
                    began=time.monotonic() - 550)
try:
    next(training.models())
except Stop:
    print("trained")
"""


def test_the_folds_share_the_time_that_preparing_took(cases, tmp_path):
    ran = subprocess.run([sys.executable, "-c", FOLDS, cases], cwd=tmp_path, capture_output=True, text=True,
                         timeout=600)
    assert ran.stdout == "trained\n", ran.stderr  # of its 500 s the first model would have had none left


def test_a_resumed_budget_is_told_in_seconds(tmp_path, caplog):
    from mrilib.results import Silent
    from mrilib.training.checkpoint import State
    from mrilib.training.segment_settings import SegmentSettings
    from mrilib.training.watch import Watch

    with caplog.at_level("INFO", "mrilib"), Watch(SegmentSettings(budget=60.0), tmp_path / "c.csv", Silent) as watch:
        watch("begin", None, {"steps": 100})
        watch("resume", State(epoch=12, step=1200, seconds=30.4), None)
    assert "resuming after epoch 12, 30 s of the budget used" in caplog.text


@pytest.mark.parametrize(("options", "what"), [
    (["--head", "mean"], "--head has no effect with --task segment (leave it out)"),
    (["--loss", "dise"], "unknown loss 'dise'"),
    (["--sampling", "natural"], "unknown sampling 'natural' (one of foreground uniform equal)"),
    (["--foreground", "0.3", "--sampling", "uniform"], "--foreground has no effect"),
    (["--epochs", "3", "--budget", "10m"], "give one of them"),
    (["--budget", "soon"], "no time such as 90s"),
    (["--backbone", "small", "--levels", "3"], "--levels has no effect with --backbone"),
    (["--context", "1", "--dimension", "3"], "--context is for 2D networks"),
    (["--tune-postprocess"], "--tune-postprocess needs validation cases"),
    (["--validate-every", "2"], "--validate-every needs validation cases"),
    (["--class-weights", "balanced"], "--class-weights has no effect on --loss dice+ce"),
    (["--folds", "2", "--fold", "1"], "--folds makes its own split"),
    (["--scheme", "brats1999"], "unknown label scheme"),
    (["--task", "classify"], "no case has a class"),
    (["--mixup", "0.2", "--cutmix", "1"], "--mixup and --cutmix exclude each other"),
    (["--weights", "imagenet", "--backbone", "small"], "no ImageNet weights for small"),
    (["--loss", "dice+weighted-ce", "--class-weights", "none"], "weighted-ce without weights is ce"),
    (["--epochs", "0"], "0 epochs train nothing"),
    (["--loss", "focal", "--class-weights", "a=1"], "but the outputs are background necrotic oedema enhancing"),
    (["--device", "tpu"], "device tpu is not known"),
    (["--targets", "regions", "--scheme", "1=a,2=b,4=c"], "has no regions"),
])  # fmt: skip
def test_wrong_use_is_one_line_and_writes_nothing(cases, tmp_path, options, what):
    ran = run("mri-train", cases, *options, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, os.listdir(tmp_path)) == (2, "", []), ran.stderr
    assert what in ran.stderr.splitlines()[-1] and "Traceback" not in ran.stderr


def test_maps_of_two_schemes_are_not_joined_by_naming_one(cases):
    from mrilib.cases import find
    from mrilib.errors import UsageError
    from mrilib.training.prepared import scheme_of

    one, two = list(find([cases]))[:2]
    with pytest.raises(UsageError, match="brats2020 and msd .train on one of them"):
        scheme_of([one, replace(two, scheme="msd")], [[0, 1], [0, 1]], None)
    with pytest.raises(UsageError, match="an unknown one and brats2020 .--scheme"):
        scheme_of([one, replace(two, scheme=None)], [[0, 1], [0, 1]], None)


def test_pictures_among_volumes_are_refused(cases):
    from mrilib.cases import find
    from mrilib.errors import UsageError
    from mrilib.training.prepared import planned_spacing

    case = next(find([cases]))
    for spacings in (((1, 1, 1), (1, 1), (1, 1, 1)), ((1, 1), (1, 1, 1), (1, 1, 1))):
        with pytest.raises(UsageError, match="1 of 3 cases are pictures, the others volumes"):
            planned_spacing([(case, (spacing, ("image",), [0, 1])) for spacing in spacings], None)


def test_pictures_and_stacks_of_them_have_no_spacing(cases):
    from mrilib.cases import Case, find
    from mrilib.errors import UsageError
    from mrilib.training.prepared import planned_spacing

    picture = Case("a", Path(), {"image": Path("a.png")})
    stack = Case("b", Path(), {"image": Path("b")}, slices={"image": (Path("b/1.tif"), Path("b/2.tif"))})
    flat, deep = ((1.0, 1.0), ("image",), [0, 1]), ((1.0, 1.0, 1.0), ("image",), [0, 1])
    assert planned_spacing([(picture, flat)], None) == planned_spacing([(stack, deep)], None) == (None, False)
    assert planned_spacing([(stack, deep)], (2.0, 2.0)) == ((2.0, 2.0), False)
    assert planned_spacing([(next(find([cases])), flat)], (2.0, 2.0)) == ((2.0, 2.0), True)  # a volume's one slice
    with pytest.raises(UsageError, match="--spacing has no effect on pictures"):
        planned_spacing([(picture, flat)], (2.0, 2.0))


def test_a_plan_that_cannot_be_says_what_would(cases, tmp_path):
    ran = run("mri-train", cases, "--device", "cpu", "--patch", "16,16,8", "--dimension", "3", "--levels", "5",
              cwd=tmp_path)
    assert ran.returncode == 2 and "has no room for 5 levels (--levels 3" in ran.stderr


def test_a_damaged_case_is_named_and_the_rest_train(cases, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(cases, folder)
    path = next(folder.glob("*003/*_flair.nii.gz"))
    path.write_bytes(path.read_bytes()[:500])
    ran = run("mri-train", folder, *QUICK, "--patch", "16,16,8", "--epochs", "1", "--steps", "1", "--validation", "0.2",
              cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "model.h5\n")
    assert f"{path}: is damaged or cut short" in ran.stderr
    assert len(record_of(tmp_path / "model.h5")["training"]["cases"]) == 7


def test_a_dry_run_says_that_a_case_without_a_label_map_is_left_out(cases, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(cases, folder)
    next(folder.glob("*003/*_seg.nii.gz")).unlink()
    lines = run("mri-train", folder, *QUICK, "--validation", "0", "--dry-run", cwd=tmp_path).stdout.splitlines()
    parts = [line.rpartition(" ")[2] for line in lines if line.startswith("BraTS20")]
    assert parts == ["out" if i == 3 else "train" for i in range(len(parts))] and len(parts) > 4


def test_without_a_case_left_to_validate_with_there_is_no_early_stop(cases, tmp_path):
    for i in range(3):
        shutil.copytree(cases / f"BraTS20_Training_{i:03d}", tmp_path / "in" / f"BraTS20_Training_{i:03d}")
    next(tmp_path.glob("in/*000/*_flair.nii.gz")).write_bytes(b"cut")
    rows = [f"BraTS20_Training_{i:03d},{'train' if i else 'validation'}" for i in range(3)]
    (tmp_path / "s.csv").write_text("\n".join(["case,part", *rows]))
    ran = run("mri-train", "in", *QUICK, "--split", "s.csv", "--patience", "1", "--epochs", "1", "--steps", "1",
              cwd=tmp_path)
    assert ran.returncode == 2 and "no case is left to validate with" in ran.stderr.splitlines()[-1]
