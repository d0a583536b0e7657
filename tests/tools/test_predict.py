"""mri-predict as its user runs it. Each run that reaches the network takes seconds, so each checks much."""

import csv
import io
import json
import os
import subprocess

import numpy as np
import pytest
from forked import BIN

from mrilib.recipe import Recipe, Step
from mrilib.store import content_hash

STEPS = (Step("median", {"radius": 1}), Step("resize", {"size": [32, 32], "fit": "pad"}),
         Step("nyul", {"region": "foreground", "low": 1, "high": 99},
              {"standard": {"image": [0, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 1]}}))  # fmt: skip


def predict(*arguments, given="", cwd=None):
    return subprocess.run([BIN / "mri-predict", *map(str, arguments)], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Twenty images as given, of many sizes, in class folders; two ids would collide, one name has a space."""
    from PIL import Image as Picture

    folder = tmp_path_factory.mktemp("data") / "raw"
    rng = np.random.default_rng(0)
    names = [f"{k}/{k} {i}.png" for k in ("no", "yes") for i in range(9)] + ["yes/Y.jpg", "yes/Y.png"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(rng.integers(0, 256, rng.integers(30, 80, 2), np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory, raw):
    """Two models that saw a case each, whose recipes have learned otherwise, and one with other classes."""
    from mrilib import gpu

    gpu.setup("cpu", mixed="off")
    import keras

    from mrilib.models import file
    from mrilib.models.classifier import classifier

    folder = tmp_path_factory.mktemp("models")
    for i, classes in enumerate((["no", "yes"], ["no", "yes"], ["a", "b"])):
        keras.utils.set_random_seed(i)
        *plain, nyul = STEPS
        learned = {"standard": {"image": [v ** (1 + i / 2) for v in nyul.learned["standard"]["image"]]}}
        steps = (*plain, Step(nyul.step, nyul.parameters, learned))
        seen = {f"any/{i}": {"content": content_hash([raw / "no" / f"no {i}.png"]), "part": "train"}}
        record = {
            "task": "classify", "classes": classes, "channels": ["image"], "shape": [32, 32, 1],
            "recipe": Recipe(steps).as_dict(), "architecture": {"backbone": "small", "width": 0.5},
            "training": {"cases": seen},
        }  # fmt: skip
        file.save(classifier("small", (32, 32, 1), 2, width=0.5, low=-2, high=2), folder / f"fold{i}.h5", record)
    return folder


def test_the_folder_as_given_equals_the_pipe_and_the_prepared_folder(raw, models, tmp_path):
    model = models / "fold0.h5"
    direct = predict("-m", model, raw)
    assert direct.returncode == 0, direct.stderr
    found = rows(direct.stdout)
    assert direct.stdout.splitlines()[0] == "case,class,p_no,p_yes,seen"
    assert [r["case"] for r in found] == sorted(r["case"] for r in found) and len(found) == 20
    assert {"yes/Y.jpg", "yes/Y.png", "no/no 3"} <= {r["case"] for r in found}
    for row in found:
        assert float(row["p_no"]) + float(row["p_yes"]) == pytest.approx(1, abs=2e-6)
        assert row["class"] == ("no" if float(row["p_no"]) > 0.5 else "yes")
    assert {r["case"]: r["seen"] for r in found if r["seen"]} == {"no/no 0": "train"}
    assert len({r["p_no"] for r in found}) == 20
    assert "device cpu" in direct.stderr and "20 done" in direct.stderr

    line = ('set -o pipefail; "$1"/mri-denoise --method median "$2" | "$1"/mri-normalize --like "$3" | '
            '"$1"/mri-predict -m "$3"')
    piped = subprocess.run(["bash", "-c", line, "bash", BIN, raw, model], capture_output=True, text=True, cwd=tmp_path)
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout == direct.stdout

    names = "\n".join(str(p) for p in sorted((tmp_path / "denoised").rglob("*.tif"), reverse=True))
    half = predict("-m", model, "-j", 1, "-o", tmp_path / "half.csv", "-q", given=names)
    assert (half.returncode, half.stdout, half.stderr) == (0, "", "")
    assert rows((tmp_path / "half.csv").read_text()) == found[::-1]


def test_an_ensemble_with_damaged_cases_explained(raw, models, tmp_path):
    """Each model is given the case by its own recipe, whose landmarks differ."""
    from PIL import Image as Picture

    from mrilib.cases import find
    from mrilib.inference.ensemble import vectors as alone
    from mrilib.inference.prepare import prepare
    from mrilib.models.file import load

    (tmp_path / "cut.png").write_bytes((raw / "no" / "no 1.png").read_bytes()[:300])
    ones = [raw / "no" / "no 0.png", tmp_path / "cut.png", raw / "no" / "no 1.png", raw / "yes" / "Y.png"]
    done = predict("-m", models / "fold[01].h5", "--no-flips", "--json", "--explain", tmp_path / "cam", "-v",
                   "--threads", 1, "--device", "cpu", "--batch-size", 2, given="\n".join(map(str, ones)))
    assert done.returncode == 1
    assert "cut.png: is damaged or cut short" in done.stderr and "3 done, 1 failed" in done.stderr
    found = json.loads(done.stdout)
    assert [(r["case"], r["seen"]) for r in found] == [("no 0", "train"), ("no 1", "train"), ("Y", "")]
    assert all(sum(r["probabilities"].values()) == pytest.approx(1, abs=2e-6) for r in found)
    each = [alone(model, [prepare(next(find([ones[0]])), Recipe.from_dict(record["recipe"]).steps,
                                          ["image"]).array])[0] for model, record in map(load, sorted(
                                              models.glob("fold[01].h5")))]  # fmt: skip
    assert list(found[0]["probabilities"].values()) == pytest.approx(np.mean(each, 0), abs=2e-6)
    assert abs(each[0] - each[1]).max() > 1e-3
    for case, path in (("no 0", ones[0]), ("Y", ones[3])):
        picture = Picture.open(tmp_path / "cam" / f"{case}.png")
        assert picture.size == Picture.open(path).size and picture.mode == "RGB"


def test_a_fold_of_a_split_is_predicted_and_what_is_missing_is_named(raw, models, tmp_path):
    split = tmp_path / "split.csv"
    lines = [f"no/no {i},,no/no {i},{i % 2},train" for i in range(4)] + ["gone,,gone,1,train"]
    split.write_text("case,subject,group,fold,part\n" + "\n".join(lines) + "\n")
    done = predict("-m", models / "fold0.h5", raw, "--split", split, "--fold", 1)
    assert done.returncode == 1
    assert [r["case"] for r in rows(done.stdout)] == ["no/no 1", "no/no 3"]
    assert "gone: is in the split, but was not given" in done.stderr
    wrong = predict("-m", models / "fold0.h5", raw, "--split", split, "--fold", 1, "--part", "validation")
    assert wrong.returncode == 2 and "is not one model trained with" in wrong.stderr


def test_dry_run_lists_the_steps_left_to_do(raw, models, tmp_path):
    subprocess.run([BIN / "mri-denoise", raw / "no", "--method", "median", "-o", tmp_path / "d", "-q"], check=True,
                   capture_output=True)
    done = predict("-m", models / "fold0.h5", tmp_path / "d", "--dry-run")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 9
    assert all("-> resize(" in line and "median" not in line for line in done.stdout.splitlines())
    assert "device" not in done.stderr


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["-m", "nowhere.h5", "RAW"], 2, "nowhere.h5: no such model file"),
    (["-m", "MODELS/x*.h5", "RAW"], 2, "no model file matches"),
    (["-m", "MODELS/text.h5", "RAW"], 2, "is not an HDF5 file"),
    (["-m", "MODELS/cut.h5", "RAW"], 2, "damaged or cut short"),
    (["-m", "MODELS/fold?.h5", "RAW"], 2, "fold2.h5: cannot be averaged with .*its classes is a b, not no yes"),
    (["-m", "MODELS/fold0.h5", "nowhere"], 2, "nowhere: no such file"),
    (["-m", "MODELS/fold0.h5"], 1, "nothing to do"),
    (["-m", "MODELS/fold0.h5", "OTHER"], 2, "other: prepared otherwise: step 1 is zscore"),
    (["-m", "MODELS/fold0.h5", "PARTED/1.tif"], 1, "parted from its recipe.json"),
    (["-m", "MODELS/fold0.h5", "RAW", "--fold", "1"], 2, "--fold has no effect without --split"),
    (["-m", "MODELS/fold0.h5", "RAW", "--explain", "RAW/cam"], 2, "raw/cam: lies in the input"),
    (["RAW"], 2, "Missing option.*--model"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_before_tensorflow_starts(raw, models, other, arguments, code, said):
    import re

    (models / "text.h5").write_text("no model")
    (models / "cut.h5").write_bytes((models / "fold0.h5").read_bytes()[:20000])
    places = {"RAW": raw, "MODELS": models, "OTHER": other, "PARTED": other.parent / "parted"}
    filled = [re.sub("RAW|MODELS|OTHER|PARTED", lambda m: str(places[m[0]]), a) for a in arguments]
    before = os.times().children_user
    done = predict(*filled)
    assert done.returncode == code and re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and "device cpu" not in done.stderr
    assert rows(done.stdout) == []
    assert os.times().children_user - before < 3, "TensorFlow was loaded"


@pytest.fixture(scope="module")
def other(raw, tmp_path_factory):
    """A folder of another recipe, and one of its files without that recipe."""
    folder = tmp_path_factory.mktemp("other") / "other"
    subprocess.run([BIN / "mri-normalize", raw / "no", "-o", folder, "-q"], check=True, capture_output=True)
    parted = folder.parent / "parted"
    parted.mkdir()
    (parted / "1.tif").write_bytes((folder / "no 1.tif").read_bytes())
    return folder
