"""mri-train as its user runs it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from forked import BIN, INSTALLED
from PIL import Image

TRAIN = BIN / "mri-train"
QUICK = ["--backbone", "lenet", "--device", "cpu", "--threads", "1", "--batch-size", "8"]


def write(folder: Path, name: str, kind: str, seed: int, size: int = 32):
    chance = np.random.default_rng(seed)
    image = chance.integers(0, 120, (size, size)).astype(np.uint8)
    if kind == "yes":
        y, x = chance.integers(4, 16, 2)
        image[y : y + 10, x : x + 10] += 120
    (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / kind / name)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train") / "in"
    for i in range(24):
        write(folder, f"p {i}.png", "yes" if i % 2 else "no", i)
    return folder


def train(*arguments, cwd: Path):
    return subprocess.run([TRAIN, *map(str, arguments)], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=600)


def test_killed_and_resumed_it_writes_the_very_same_file(images, tmp_path):
    options = [images, *QUICK, "--epochs", "12", "--patience", "12", "--average", "2", "--augment", "light"]
    whole = train(*options, "-o", "whole.h5", cwd=tmp_path)
    assert whole.returncode == 0 and whole.stdout == "whole.h5\n"
    said = whole.stderr
    assert all(line.startswith("mri-train: ") for line in said.splitlines()) and len(said.splitlines()) < 20
    for part in ("made one of 24 groups", "device cpu, 1 thread", "train      2", "validation ", "written    whole.h5"):
        assert part in said
    curve = (tmp_path / "whole.curve.csv").read_text().splitlines()
    assert curve[0] == ("epoch,learning_rate,loss,accuracy,validation_loss,validation_accuracy,"
                        "validation_balanced_accuracy") and len(curve) == 13

    broken = subprocess.Popen([INSTALLED / "mri-train", *map(str, options), "-o", "broken.h5"], cwd=tmp_path,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen = tmp_path / "broken.curve.csv"
    while not (seen.exists() and seen.read_text().count("\n") > 3) and broken.poll() is None:
        time.sleep(0.01)
    broken.send_signal(signal.SIGKILL)
    broken.communicate()
    assert (tmp_path / "broken.h5.checkpoint").exists() and not (tmp_path / "broken.h5").exists()
    again = train(*options, "-o", "broken.h5", "--resume", cwd=tmp_path)
    assert again.returncode == 0 and "resuming after epoch" in again.stderr
    assert (tmp_path / "broken.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert seen.read_text().splitlines() == curve
    assert not [p for p in tmp_path.iterdir() if "checkpoint" in p.name or p.name.startswith(".")]

    kept = train(*options, "-o", "whole.h5", cwd=tmp_path)
    assert (kept.returncode, kept.stdout) == (0, "whole.h5\n") and "whole.h5 is up to date: skipped" in kept.stderr
    other = train(*options, "-o", "whole.h5", "--dropout", "0.1", cwd=tmp_path)
    assert (other.returncode, other.stdout) == (2, "")
    assert "whole.h5: is a model of another run: dropout was 0.3, now 0.1 (--force replaces it" in other.stderr


def test_the_record_says_how_it_came_to_be(images, tmp_path):
    from mrilib.models.file import read_record
    from mrilib.store import content_hash

    names = sorted(p.relative_to(images).with_suffix("").as_posix() for p in images.rglob("*.png"))
    rows = [f"{name},,{name},{i % 3},train" for i, name in enumerate(names)]
    (tmp_path / "split.csv").write_text("\n".join(["case,subject,group,fold,part", *rows]) + "\n")
    ran = train(images, *QUICK, "--epochs", 1, "--split", "split.csv", "--fold", 1, "--validation", "0.25",
                "--sampling", "equal", "--seed", 7, "--curve", "c/e.csv", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "model.h5\n"), ran.stderr
    record = read_record(tmp_path / "model.h5")
    cases = record["training"]["cases"]
    assert (record["task"], record["classes"], record["shape"]) == ("classify", ["no", "yes"], [32, 32, 1])
    assert set(cases) == {n for i, n in enumerate(names) if i % 3 != 1}
    assert sorted(known["part"] for known in cases.values()) == ["train"] * 12 + ["validation"] * 4
    assert cases["no/p 0"]["content"] == content_hash([images / "no" / "p 0.png"])
    assert record["settings"]["sampling"] == "equal" and record["settings"]["seed"] == 7
    assert record["training"]["split"] | {"content": ""} == {"file": "split.csv", "content": "", "fold": 1,
                                                             "validation": 0.25}
    assert len(record["training"]["curve"]) == 1 and (tmp_path / "c" / "e.csv").exists()
    assert record["training"]["device"] == {"kind": "cpu", "precision": "mixed_bfloat16" if _fast() else "float32",
                                            "threads": 1, "replicas": 1}


def _fast() -> bool:
    from mrilib.gpu import device as gpu_device

    return gpu_device.cpu_policy(gpu_device.cpu_flags()) == "mixed_bfloat16"


@pytest.mark.parametrize(("options", "what"), [
    (["-o", "model.txt"], "a model file ends with .h5 or .keras"),
    (["--fold", "1"], "--fold needs --split"),
    (["--task", "segment"], "no case has a label map"),
    (["--levels", "3"], "--levels has no effect with --task classify (leave it out)"),
    (["--scheme", "binary", "--task", "classify"], "--scheme has no effect with --task classify"),
    (["--size", "64"], "the images are 32 x 32, not 64 x 64 (bring them to that size first"),
    (["--weights", "nothing.h5"], "nothing.h5: no such file"),
    (["--freeze"], "--freeze needs --weights"),
    (["--patience", "3", "--validation", "0"], "--patience needs validation cases"),
    (["--class-weights", "no=1"], "--class-weights has no effect on --loss ce"),
    (["--class-weights", "no:1"], "balanced, none or class=number"),
    (["--loss", "focal", "--class-weights", "no=0,yes=1"], "weights must be above 0"),
    (["--loss", "focal", "--class-weights", "no=1,maybe=2", "--dry-run"], "but the classes are no yes"),
    (["--augment", "much"], "much"),
    (["--device", "tpu"], "device tpu is not known"),
    (["--epochs", "0"], "0 epochs train nothing"),
    (["--batch-size", "0"], "0 is not in the range"),
])  # fmt: skip
def test_wrong_use_is_one_line_and_writes_nothing(images, tmp_path, options, what):
    ran = train(images, *QUICK[:2], *options, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert what in ran.stderr.splitlines()[-1] and "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_images_that_cannot_be_trained_on(images, tmp_path):
    write(tmp_path / "sizes", "a.png", "no", 1)
    write(tmp_path / "sizes", "b.png", "yes", 2, size=40)
    ran = train("sizes", cwd=tmp_path)
    assert ran.returncode == 2 and "b.png: is 40 x 40, sizes/no/a.png is 32 x 32" in ran.stderr
    assert "mri-normalize --size" in ran.stderr
    one = train(images / "no", "--root", images, cwd=tmp_path)
    assert one.returncode == 2 and "nothing to tell apart" in one.stderr
    (tmp_path / "flat").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "flat" / "a.png")
    bare = train("flat", cwd=tmp_path)
    assert bare.returncode == 2 and "no case has a class" in bare.stderr


def test_dry_run_lists_and_does_nothing(images, tmp_path):
    ran = train(images, "--dry-run", "--validation", "0.25", "--write-config", "s.toml", cwd=tmp_path)
    assert ran.returncode == 0 and ran.stdout.count(" class=yes ") == 12
    assert ran.stdout.count(" validation\n") == 6 and "--schedule: cosine\n" in ran.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["s.toml"]


def test_copies_are_looked_for_on_as_many_cores_as_threads_says(images):
    code = ("import resource, sys\nfrom pathlib import Path\nfrom mrilib.training.parts import grouped\n"
            "from mrilib import cases\ngrouped(list(cases.find([Path(sys.argv[1])])), 1)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    ran = subprocess.run([sys.executable, "-c", code, images], capture_output=True, text=True, timeout=600)
    assert ran.stdout == "0\n"  # no worker process


def test_a_class_that_is_in_the_test_part_alone_is_named(images, tmp_path):
    for kind in ("no", "rare", "yes"):
        for i in range(3):
            write(tmp_path / "in", f"{i}.png", kind, i)
    rows = [f"{kind}/{i},{'test' if kind == 'rare' else 'train'}" for kind in ("no", "rare", "yes") for i in range(3)]
    (tmp_path / "s.csv").write_text("\n".join(["case,part", *rows]))
    ran = train("in", "--layout", "classes", "--split", "s.csv", "--dry-run", cwd=tmp_path)
    assert ran.returncode == 0 and "the model will not know rare: all cases of that class are in the" in ran.stderr


def test_one_damaged_case_does_not_stop_the_rest(images, tmp_path):
    for kind in ("no", "yes"):
        for i in range(4):
            write(tmp_path / "in", f"{i}.png", kind, i)
    (tmp_path / "in" / "no" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = train("in", *QUICK, "--epochs", 1, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "model.h5\n")
    assert "mri-train: in/no/0.png: " in ran.stderr and "no 3, yes 4" in ran.stderr
    subprocess.run([BIN / "mri-split", "in", "--folds", "2", "-o", "f.csv"], cwd=tmp_path, check=False)
    split = train("in", *QUICK, "--epochs", 1, "--split", "f.csv", "--fold", 0, "-o", "split.h5", cwd=tmp_path)
    assert (split.returncode, split.stdout) == (1, "split.h5\n") and "mri-train: in/no/0.png: " in split.stderr
    rows = [f"{kind}/{i},{'train' if i or kind == 'yes' else 'validation'}" for kind in ("no", "yes") for i in range(4)]
    (tmp_path / "s.csv").write_text("\n".join(["case,part", *rows]))
    held = train("in", *QUICK, "--patience", 2, "--split", "s.csv", "-o", "held.h5", cwd=tmp_path)
    assert held.returncode == 2 and "no case is left to validate with" in held.stderr.splitlines()[-1]


def test_a_gpu_that_is_not_there_is_the_machines_fault_before_anything_is_read(tmp_path):
    for kind in ("no", "yes"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        (tmp_path / "in" / kind / "0.png").write_bytes(b"cut")
    ran = subprocess.run([INSTALLED / "mri-train", "in", "--device", "gpu"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                         text=True, capture_output=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, timeout=600)
    assert ran.returncode == 3 and "TensorFlow finds no GPU here" in ran.stderr and "0.png" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
