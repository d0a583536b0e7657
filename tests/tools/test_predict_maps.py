"""mri-predict with models that segment, as its user runs it; each run that reaches the network checks much."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from forked import BIN, INSTALLED
from scipy.spatial.transform import Rotation

from mrilib.cases import find
from mrilib.images.boxes import of_label_map
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.images.resampling import resample
from mrilib.inference.predictions import Target, finished
from mrilib.models.file import read_record
from mrilib.recipe import Recipe, Step
from mrilib.store import content_hash

STEPS = (Step("spacing", {"spacing": [2, 2, 2]}), Step("zscore", {"region": "image"}))
RECORD = {"task": "segment", "dimension": 3, "context": 0, "patch": [12, 12, 12], "channels": ["image"],
          "spacing": [2.0, 2.0, 2.0], "scheme": "brats2020", "values": [0, 2, 4], "regions": None, "postprocess": {},
          "recipe": Recipe(STEPS).as_dict(), "architecture": {}, "settings": {}}  # fmt: skip


def predict(*arguments, given="", cwd=None):
    return subprocess.run([BIN / "mri-predict", *map(str, arguments)], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


def head(seed=0):
    """(z, y, x) int16, 1.5 x 1 x 1 mm: a head with a bright lump, brighter in its middle, right of the midline."""
    z, y, x = np.mgrid[0:28, 0:44, 0:40].astype(float)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 4, z.shape)
    inside = ((z - 14) / 12) ** 2 + ((y - 22) / 19) ** 2 + ((x - 20) / 17) ** 2 < 1
    far = ((z - 13) * 1.5) ** 2 + (y - 18 - seed) ** 2 + (x - 27) ** 2
    return (inside * 300 + (far < 64) * 300 + (far < 20) * 350 + noise + 20).astype(np.int16)


GRID = Grid.of((28, 44, 40), (1.5, 1.0, 1.0), (-20.0, 10.0, 5.0))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "raw"
    folder.mkdir()
    for i in range(4):
        array = head(i)
        files.write(folder / f"p{i}.nii.gz", Image(array, GRID))
        files.write(folder / f"p{i}_mask.nii.gz", Image(np.digitize(array, (450, 790)).astype(np.uint8) * 2, GRID))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory, raw):
    """Two networks that tell how bright a small neighbourhood is, and one for another spacing."""
    from mrilib import gpu

    gpu.setup("cpu", mixed="off")
    import keras
    from keras import layers

    from mrilib.models import file

    folder = tmp_path_factory.mktemp("models")
    for i, (patch, level) in enumerate((([12, 12, 12], 2.0), ([12, 12, 12], 2.2), ([8, 8, 8], 2.0))):
        image = keras.Input((*patch, 1))
        mean = layers.Conv3D(1, 3, padding="same", use_bias=False)
        scores = layers.Conv3D(3, 1)
        model = keras.Model(image, layers.Activation("softmax", name="probabilities")(scores(mean(image))))
        mean.set_weights([np.full((3, 3, 3, 1, 1), 1 / 27, np.float32)])
        scores.set_weights([np.array([0, 9, 18], np.float32).reshape(1, 1, 1, 1, 3),
                            -np.array([0, 9 * level, 9 * level + 9 * 4], np.float32)])
        seen = {"x": {"content": content_hash([raw / f"p{i}.nii.gz"]), "part": "train"}}
        record = {**RECORD, "patch": patch, "training": {"cases": seen}}
        file.save(model, folder / f"fold{i}.h5", {**record, "spacing": [1.0, 1.0, 1.0]} if i == 2 else record)
    return folder


@pytest.fixture(scope="module")
def plain(raw, models, tmp_path_factory):
    """The folder as given, predicted: (output, what the run said)."""
    folder = tmp_path_factory.mktemp("plain")
    done = predict("-m", models / "fold0.h5", raw, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "predictions", done


def maps(folder):
    return {p.name: files.read(p).array for p in sorted(Path(folder).rglob("*.nii.gz"))}


def test_each_case_gets_a_label_map_on_its_native_grid_and_a_record(raw, plain):
    output, done = plain
    assert done.stdout.splitlines() == [f"predictions/p{i}.nii.gz" for i in range(4)]
    assert "device cpu" in done.stderr and "4 done" in done.stderr
    for i in range(4):
        made = files.read(output / f"p{i}.nii.gz")
        assert made.grid.same_as(GRID, 1e-6) and made.array.dtype == np.uint8
        bright = head(i) > 450
        assert 2 * (bright & (made.array > 0)).sum() / (bright.sum() + (made.array > 0).sum()) > 0.8
        assert set(np.unique(made.array)) == {0, 2, 4}
        record = json.loads((output / f"p{i}.json").read_text())
        assert record["scheme"] == "brats2020" and record["seen"] == ("train" if i == 0 else "")
        assert record["content"] == content_hash([raw / f"p{i}.nii.gz"]) and len(record["model"]) == 1
        assert Grid.from_dict(record["native_grid"]).same_as(GRID, 1e-6)
        assert record["outputs"] == {f"p{i}.nii.gz": (output / f"p{i}.nii.gz").stat().st_size}


def test_prepared_and_half_prepared_cases_give_the_very_same_maps_and_a_score(raw, models, plain, tmp_path):
    line = ('set -o pipefail; "$1"/mri-normalize --region image --spacing 2,2,2 "$2" | '
            '"$1"/mri-predict --model "$3" | tee made | "$1"/mri-score --reference "$2" && '
            '"$1"/mri-normalize --spacing 2,2,2 --method none "$2" -o half')
    piped = subprocess.run(["bash", "-c", line, "bash", BIN, raw, models / "fold0.h5"], capture_output=True, text=True,
                           cwd=tmp_path)
    assert piped.returncode == 0, piped.stderr
    wanted = maps(plain[0])
    assert all(np.array_equal(a, wanted[n]) for n, a in maps(tmp_path / "predictions").items())
    assert (tmp_path / "made").read_text() == plain[1].stdout
    assert json.loads((tmp_path / "predictions/p0.json").read_text())["seen"] == "train"
    scores = [r for r in csv.DictReader(io.StringIO(piped.stdout)) if r["metric"] == "dice" and r["cases"] == "all"]
    assert {r["part"]: float(r["value"]) > 0.7 for r in scores} == {"WT": True, "TC": True, "ET": True}
    assert {r["n"] for r in scores} == {"4"} and "saw" in piped.stderr
    half = predict("-m", models / "fold0.h5", "half", "-o", "other", "-q", "-j", 1, cwd=tmp_path)
    assert (half.returncode, half.stderr) == (0, "")
    assert all(np.array_equal(a, wanted[n]) for n, a in maps(tmp_path / "other").items())


def test_a_case_in_any_type_file_and_orientation_gives_the_same_map_in_the_world(models, plain, tmp_path):
    array = head(0)
    shifted = Rotation.from_euler("zyx", [14, -9, 6], degrees=True).as_matrix()
    oblique = Grid.of(GRID.size, GRID.spacing, tuple(shifted @ GRID.origin), shifted)
    order, signs = (2, 0, 1), (-1, 1, -1)
    turned = array.transpose(order)[tuple(slice(None, None, s) for s in signs)]
    first = [0 if s > 0 else n - 1 for s, n in zip(signs, turned.shape, strict=True)]
    start = np.zeros(3)
    start[list(order)] = first
    direction = np.eye(3)[:, order] * signs
    other = Grid.of(turned.shape, tuple(GRID.spacing[a] for a in order), tuple(GRID.to_world(start)), direction)
    mirrored = Grid.of(GRID.size, GRID.spacing, tuple(GRID.to_world([0, 0, 39])), np.diag([1, 1, -1]))
    given = {
        "float.nii": Image(array.astype(np.float32) + np.float32(1e-4), GRID), "meta.mha": Image(array, GRID),
        "zip.nii.gz": Image(array, GRID), "oblique.nii.gz": Image(array, oblique),
        "turned.nii.gz": Image(turned, other),
        "mirrored.nii.gz": Image(np.ascontiguousarray(array[:, :, ::-1]), mirrored),
    }  # fmt: skip
    (tmp_path / "in").mkdir()
    for name, image in given.items():
        files.write(tmp_path / "in" / name, image)
    done = predict("-m", models / "fold0.h5", "in", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = Image(files.read(plain[0] / "p0.nii.gz").array, GRID)
    for name, image in given.items():
        made = files.read(tmp_path / "predictions" / f"{name.split('.')[0]}.nii.gz")
        assert made.grid.same_as(image.grid, 1e-4), name
        if name.startswith("oblique"):
            made = made.with_array(made.array, GRID)
        back = resample(made, GRID, order=0).array
        assert (back != wanted.array).sum() <= 2, name


def test_again_is_cheap_and_another_model_is_refused(raw, models, plain, tmp_path):
    stamps = {p: p.stat().st_mtime_ns for p in plain[0].rglob("*.*")}
    again = predict("-m", models / "fold0.h5", raw, cwd=plain[0].parent)
    assert again.stdout == plain[1].stdout and "device" not in again.stderr
    assert {p: p.stat().st_mtime_ns for p in plain[0].rglob("*.*")} == stamps
    for options, said in ((("-m", models / "fold1.h5"), "holds predictions of another model"),
                          (("-m", models / "fold0.h5", "--no-flips"), "other settings: flips 'x', now ''")):
        done = predict(*options, raw, cwd=plain[0].parent)
        assert done.returncode == 2 and said in done.stderr and "--force replaces" in done.stderr
    done = predict("-m", models / "fold1.h5", raw, "-o", tmp_path / "y", "--probabilities", plain[0])
    assert done.returncode == 2 and "predictions: holds predictions of another model" in done.stderr
    (tmp_path / "p0.nii.gz").write_bytes((raw / "p0.nii.gz").read_bytes())
    assert predict("-m", models / "fold0.h5", tmp_path, "-o", tmp_path / "x").returncode == 2  # within the input


def test_an_ensemble_with_probabilities_post_processing_and_another_scheme(raw, models, tmp_path):
    (tmp_path / "cut.nii.gz").write_bytes((raw / "p1.nii.gz").read_bytes()[:900])
    names = [raw / "p0.nii.gz", tmp_path / "cut.nii.gz", raw / "p1.nii.gz"]
    options = ("-m", models / "fold[01].h5", "--probabilities", "maps", "--min-volume", 40, "--min-volume", "ET=1e6",
               "--fill-holes", "--keep-largest", "--scheme", "msd", "--overlap", 0.25, "--flip-axes", "xyz",
               "--mixed-precision", "off", "--threads", 1, "--batch-size", 3)  # fmt: skip
    done = predict(*options, cwd=tmp_path, given="\n".join(map(str, names)))
    assert done.returncode == 1 and "cut.nii.gz: " in done.stderr and "2 done, 1 failed" in done.stderr
    assert done.stdout.splitlines() == ["predictions/p0.nii.gz", "predictions/p1.nii.gz"]
    record = json.loads((tmp_path / "predictions/p1.json").read_text())
    assert record["scheme"] == "msd" and record["seen"] == "train" and len(record["model"]) == 2
    made = files.read(tmp_path / "predictions/p1.nii.gz").array
    parts = {n: files.read(tmp_path / f"maps/p1/{n}.nii.gz") for n in ("background", "oedema", "enhancing")}
    assert all(p.array.dtype == np.float32 and p.grid.same_as(GRID, 1e-6) for p in parts.values())
    total = sum(p.array for p in parts.values())
    assert total == pytest.approx(np.ones(GRID.size), abs=1e-4)
    likeliest = np.stack([p.array for p in parts.values()], -1).argmax(-1)
    assert np.array_equal(made, likeliest) and set(np.unique(made)) == {0, 1, 2}  # ET became msd's non-enhancing
    again = predict(*options, cwd=tmp_path, given="\n".join(map(str, names[:1])))
    assert again.stdout == "predictions/p0.nii.gz\n" and "device" not in again.stderr
    case, target = next(iter(find([names[0]]))), Target(tmp_path / "predictions", record["recipe"], ".nii.gz",
                                                        tmp_path / "maps")
    assert finished(case, target) == tmp_path / "predictions/p0.nii.gz"
    (tmp_path / "maps/p0/oedema.nii.gz").unlink()
    assert finished(case, target) is None and finished(case, replace(target, probabilities=None)) is not None
    assert finished(case, replace(target, probabilities=tmp_path / "elsewhere")) is None


def test_options_of_post_processing_add_to_what_the_model_keeps(models, tmp_path):
    import h5py

    from mrilib.inference.maps import identity_of
    from mrilib.inference.settings import MapPredictSettings
    from mrilib.tasks.predicting import predictor_of

    path = tmp_path / "tuned.h5"
    path.write_bytes((models / "fold0.h5").read_bytes())
    kept = {"min_volume": {"WT": 100.0, "ET": 10.0}, "keep_largest": ["TC"], "threshold": {"ET": 0.4}}
    with h5py.File(path, "r+") as file:
        file.attrs["mri"] = json.dumps({**json.loads(file.attrs["mri"]), "postprocess": kept})

    def post(*volumes, stored=True, largest=False, holes=False):
        settings = MapPredictSettings(no_postprocess=not stored, keep_largest=largest, min_volume=volumes,
                                      fill_holes=holes)
        return identity_of(predictor_of(path, {}).models, settings).postprocess

    assert post() == kept
    assert post("ET=50", "TC=5") == {**kept, "min_volume": {"WT": 100, "ET": 50, "TC": 5}}
    assert post("WT=0", largest=True, holes=True) == {"min_volume": {"WT": 0, "ET": 10}, "keep_largest": ["TC", "all"],
                                                      "threshold": {"ET": 0.4}, "fill_holes": ["all"]}
    assert post("ET=50", stored=False) == {"min_volume": {"ET": 50}}
    for label in ("enhancing", "4"):  # which are ET
        assert post(f"{label}=0")["min_volume"] == {"WT": 100, "ET": 0}
        assert post(f"{label}=5", "20", stored=False)["min_volume"] == {"WT": 20, "TC": 20, "ET": 5}
    assert post("oedema=3")["min_volume"] == {"WT": 100, "ET": 10, "oedema": 3}


def test_slices_are_not_flipped_through(raw, models, tmp_path):
    import h5py

    shutil.copy(models / "fold0.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["mri"] = json.dumps({**json.loads(file.attrs["mri"]), "dimension": 2, "patch": [12, 12]})
    done = predict("-m", "m.h5", raw, "--flip-axes", "xz", cwd=tmp_path)
    assert done.returncode == 2 and "--flip-axes: z has no effect" in done.stderr and not done.stdout


def test_maps_that_a_forced_run_of_another_model_left_behind_are_said(raw, models, plain, tmp_path):
    from mrilib.inference.maps import open_output
    from mrilib.tasks.predicting import predictor_of

    def complaints(*options):
        words = [BIN / "mri-score", *options]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stderr.splitlines() if "of another model" in line]

    for name in ("p/fold0", "p/fold1"):
        shutil.copytree(plain[0], tmp_path / name)
    (tmp_path / "p/fold0/p0.nii.gz").unlink()
    for i in (1, 2, 3):
        (tmp_path / f"p/fold1/p{i}.nii.gz").unlink()
    predictor = predictor_of(models / "fold1.h5", {}, tmp_path / "mixed")
    shutil.copytree(plain[0], tmp_path / "mixed", dirs_exist_ok=True)
    identity = {"models": predictor.models.hashes(), **asdict(predictor.identity)}
    name = open_output(tmp_path / "mixed", identity, force=True)  # as a run begins, and here does one case
    record = tmp_path / "mixed/p2.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "recipe": name}))
    folds = ["p/fold1/p0.nii.gz", *(f"p/fold0/p{i}.nii.gz" for i in (1, 2, 3))]
    assert complaints(*folds, "-r", raw, "--metrics", "dice") == []
    for options in (("-r", raw, "--metrics", "dice"), ("--check", "--like", raw)):
        said, = complaints("mixed", *options)
        assert "mixed: 3 of 4 label maps are of another model, or other settings, than its recipe.json" in said


def test_a_model_trained_on_pictures_takes_pictures(tmp_path):
    for i in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        files.write(tmp_path / f"in/p{i}.png", Image(head(i)[14].clip(0).astype(np.uint16), Grid.of((44, 40))))
        files.write(tmp_path / f"in/p{i}_mask.png", Image((head(i)[14] > 450).astype(np.uint8), Grid.of((44, 40))))
    done = subprocess.run([BIN / "mri-train", "in", "--device", "cpu", "--threads", "1", "--epochs", "1", "--steps",
                           "1", "--warmup", "0", "--patch", "32", "--width", "4", "--levels", "2", "--seed", "1"],
                          cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = predict("-m", "model.h5", "in", "--suffix", ".png", cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"predictions/p{i}.png" for i in range(3)]), done.stderr
    assert read_record(tmp_path / "model.h5")["spacing"] is None
    assert files.read(tmp_path / "predictions/p0.png").array.shape == (44, 40)
    boxes = predict("-m", "model.h5", "in", "--boxes", "--merge", "3", "--smallest", "2", cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(boxes.stdout)))
    for i in range(3):  # the boxes are those around the components of the label maps
        label = files.read(tmp_path / f"predictions/p{i}.png").array
        own = [row for row in rows if row["case"] == f"p{i}" and row["x0"]]
        sides = sorted(tuple(float(row[side]) for side in ("x0", "y0", "x1", "y1")) for row in own)
        assert sides == sorted(of_label_map(label, (1, 1), 3, 2))
        assert all(0.3 < float(row["score"]) <= 1 for row in own)
    assert any(row["x0"] for row in rows), boxes.stderr


def test_boxes_of_volumes_are_those_of_the_label_maps_and_are_scored(raw, models, plain, tmp_path):
    boxes = predict("-m", models / "fold0.h5", raw, "--boxes", "-o", "boxes.csv", cwd=tmp_path)
    assert (boxes.returncode, boxes.stdout) == (0, ""), boxes.stderr
    rows = list(csv.DictReader((tmp_path / "boxes.csv").read_text().splitlines()))
    assert list(rows[0]) == ["case", "x0", "y0", "z0", "x1", "y1", "z1", "class", "score", "seen"]
    for name, label in maps(plain[0]).items():
        own = [row for row in rows if row["case"] == name.split(".")[0]]
        sides = sorted(tuple(float(row[side]) for side in ("x0", "y0", "x1", "y1", "z0", "z1")) for row in own)
        assert sides == sorted(of_label_map(label))
    scored = subprocess.run([BIN / "mri-score", "boxes.csv", "--reference", raw, "--boxes-from", "labels"],
                            cwd=tmp_path, capture_output=True, text=True)
    values = {row["metric"]: float(row["value"] or "nan") for row in csv.DictReader(io.StringIO(scored.stdout))
              if row["cases"] == "all" and not row["class"]}
    assert values["ap50"] > 0.9 and values["hit_rate"] == 1, (scored.stderr, rows)
    (tmp_path / "flat.csv").write_text("case,x0,y0,x1,y1,class,score\np0,1,1,9,9,,1\n")
    flat = subprocess.run([BIN / "mri-score", "flat.csv", "--reference", raw, "--boxes-from", "labels",
                           "--allow-missing"], cwd=tmp_path, capture_output=True, text=True)
    assert flat.returncode == 2 and "predicted boxes are of images, those of the reference of volumes" in flat.stderr


def test_killed_at_any_time_and_begun_again_it_ends_with_the_same_bytes(raw, models, plain, tmp_path):
    words = [INSTALLED / "mri-predict", "-m", models / "fold0.h5", raw]
    for wait in ("recipe.json", "p1.json"):
        process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not (tmp_path / "predictions" / wait).exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (tmp_path / "predictions/p0.nii.gz").write_bytes(b"short")
    done = predict(*words[1:], cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == plain[1].stdout
    made = {p.name: p.read_bytes() for p in sorted((tmp_path / "predictions").rglob("*"))}
    assert made == {p.name: p.read_bytes() for p in sorted(plain[0].rglob("*"))}


def test_a_network_that_is_not_what_its_record_says_ends_the_run_at_once(raw, models, tmp_path):
    import h5py

    shutil.copy(models / "fold0.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["mri"] = json.dumps({**json.loads(file.attrs["mri"]), "patch": [16, 16, 16]})
    done = predict("-m", "m.h5", raw, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("do not trust this file") == 1, done.stderr


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["-m", "MODELS/fold?.h5", "RAW"], 2, "fold2.h5: cannot be averaged with .*its spacing is 1.0 1.0 1.0"),
    (["-m", "MODELS/fold0.h5", "OTHER"], 2, "other: prepared otherwise: step 1 is zscore"),
    (["-m", "MODELS/fold0.h5", "CHANNELS"], 1, "has channels t1 flair; the model was trained on image"),
    (["-m", "MODELS/fold0.h5", "RAW", "--explain", "x"], 2, "--explain has no effect with a model to segment"),
    (["-m", "MODELS/fold0.h5", "RAW", "--json"], 2, "--json has no effect"),
    (["-m", "MODELS/fold0.h5", "RAW", "--min-volume", "XX=3"], 2, "min volume: XX is no label or region"),
    (["-m", "MODELS/fold0.h5", "RAW", "--min-volume", "a few"], 2, "is not MM3 or PART=MM3"),
    (["-m", "MODELS/fold0.h5", "RAW", "--scheme", "binary"], 2, "has no place in binary"),
    (["-m", "MODELS/fold0.h5", "RAW", "--boxes", "--suffix", ".nii"], 2, "--suffix has no effect with --boxes"),
    (["-m", "MODELS/fold0.h5", "RAW", "--merge", "3"], 2, "have no effect without --boxes"),
    (["-m", "MODELS/fold0.h5", "RAW", "--suffix", ".png"], 2, "a volume cannot be a .png"),
    (["-m", "MODELS/fold0.h5", "RAW", "--flip-axes", "xq"], 2, "no axis 'q' to flip"),
    (["-m", "MODELS/fold0.h5", "RAW", "-o", "OTHER"], 2, "other: holds prepared cases, no predictions"),
    (["-m", "MODELS/fold0.h5", "RAW", "--probabilities", "RAW/p"], 2, "raw/p: lies in the input"),
    (["-m", "MODELS/fold0.h5", "RAW", "--probabilities", "predictions"], 2, "lies in the output"),
    (["-m", "MODELS/fold0.h5", "RAW", "-o", "MODELS"], 2, "is not empty and not an output"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_before_tensorflow_starts(raw, models, other, tmp_path, arguments, code, said):
    places = {"RAW": raw, "MODELS": models, "OTHER": other, "CHANNELS": other.parent / "channels"}
    filled = [re.sub("RAW|MODELS|OTHER|CHANNELS", lambda m: str(places[m[0]]), a) for a in arguments]
    before = os.times().children_user
    done = predict(*filled, cwd=tmp_path)
    assert done.returncode == code and re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and "device cpu" not in done.stderr and done.stdout == ""
    assert os.times().children_user - before < 3, "TensorFlow was loaded"


@pytest.fixture(scope="module")
def other(raw, tmp_path_factory):
    """A folder of another recipe, and a case of other channels."""
    folder = tmp_path_factory.mktemp("other") / "other"
    subprocess.run([BIN / "mri-normalize", raw / "p0.nii.gz", "-o", folder, "-q"], check=True, capture_output=True)
    for name in ("t1", "flair"):
        path = folder.parent / "channels/c" / f"c-{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, Image(head(0), GRID))
    return folder


def test_a_failure_while_tensorflow_loads_is_named(raw, models, tmp_path):
    """It was swallowed with TensorFlow's chatter in 12 of 25 runs; tests/test_stderr.py fixes the moment."""
    shutil.copy(raw / "p0.nii.gz", tmp_path / "b.nii.gz")
    files.write(tmp_path / "a.nii.gz", Image(np.zeros(GRID.size, np.int16), GRID))
    done = predict("-m", models / "fold0.h5", "a.nii.gz", "b.nii.gz", cwd=tmp_path)
    assert done.returncode == 1 and "a.nii.gz: image: all values are 0" in done.stderr, done.stderr
    assert done.stderr.endswith("1 done, 1 failed\n")
