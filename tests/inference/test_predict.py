"""mri.predict as a notebook calls it: models from files and from memory, rows and label maps, errors by name."""

import csv
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from model_records import EMPTY, map_record

import mrilib as mri
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.models import unet
from mrilib.models.classifier import classifier
from mrilib.models.record import ClassRecord
from mrilib.tasks.predicting import Model

CLASSES = ClassRecord(task="classify", channels=["image"], recipe=EMPTY, shape=[32, 32, 1], classes=["no", "yes"])
MAPS = map_record(patch=[8, 8], dimension=2, values=[0, 1, 2])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    (folder / "in").mkdir()
    (folder / "volumes").mkdir()
    for i in range(5):
        array = rng.integers(0, 256, (32, 32), np.uint8)
        files.write(folder / "in" / f"p{i}.png", Image(array, Grid.of((32, 32))))
    volume = rng.normal(size=(4, 20, 18)).astype(np.float32)
    files.write(folder / "volumes" / "v.nii.gz", Image(volume, Grid.of(volume.shape)))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("models")
    for name, network, record in (("c", classifier("lenet", (32, 32, 1), 2, low=0, high=255), CLASSES),
                                  ("s", unet.unet((8, 8, 1), 3, levels=2, width=4), MAPS)):  # fmt: skip
        Model(record.to_dict(), network=network).save(folder / f"{name}.h5")
    return folder


def test_rows_are_returned_and_written(images, models, tmp_path):
    rows = mri.predict(models / "c.h5", images / "in", out=tmp_path / "t.csv", jobs=1)
    assert [row["case"] for row in rows] == [f"p{i}" for i in range(5)] and rows.out == tmp_path / "t.csv"
    with open(tmp_path / "t.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()}
                       for row in rows]  # fmt: skip
    assert list(rows[0]) == ["case", "class", "p_no", "p_yes", "seen"]
    assert all(row["p_no"] + row["p_yes"] == pytest.approx(1, abs=2e-6) for row in rows)
    in_memory = Model(CLASSES.to_dict(), network=mri.load_model(models / "c.h5").keras_model)
    cases = mri.find(images / "in")
    with ThreadPoolExecutor(2) as executor:
        for again in (mri.predict(in_memory, cases, jobs=executor), in_memory.predict(cases, jobs=1, batch_size=2)):
            assert again.out is None and again == rows
    assert mri.predict([in_memory, in_memory], str(images / "in"), jobs=1) == rows


def test_label_maps_are_written_and_resumed(images, models, tmp_path):
    path, = mri.predict(models / "s.h5", images / "volumes", out=tmp_path / "maps", jobs=1, flips=False)
    found = files.read(path)
    assert path == tmp_path / "maps/v.nii.gz" and found.array.shape == (4, 20, 18)
    before = path.stat().st_mtime_ns
    model = mri.load_model(str(models / "s.h5"))
    assert list(model.predict(images / "volumes", tmp_path / "maps", flips=False)) == [path]
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="holds predictions with other settings: flips '', now 'x'"):
        model.predict(images / "volumes", tmp_path / "maps")
    from_memory, = mri.predict(Model(MAPS.to_dict(), network=model.keras_model), images / "volumes", jobs=1,
                               flips=False, out=tmp_path / "more", min_volume=["1=5", "3"])  # fmt: skip
    assert files.read(from_memory).array.shape == found.array.shape


def test_a_damaged_case_is_handed_over_or_logged_and_the_others_go_on(images, models, tmp_path, caplog):
    (tmp_path / "cut.png").write_bytes((images / "in/p0.png").read_bytes()[:200])
    given = [images / "in/p1.png", tmp_path / "cut.png"]
    errors = []
    rows = mri.predict(models / "c.h5", given, on_error=errors.append, jobs=1)
    assert [row["case"] for row in rows] == ["p1"] and rows.failed == errors
    assert "cut.png" in str(errors[0]) and isinstance(errors[0], CaseError)
    with caplog.at_level(logging.WARNING, "mrilib"):
        assert len(mri.predict(models / "c.h5", given, jobs=1)) == 1
    assert "cut.png" in caplog.text
    with pytest.raises(CaseError, match="cut.png"):
        mri.predict(models / "c.h5", tmp_path / "cut.png", jobs=1)


@pytest.mark.parametrize(("model", "settings", "said"), [
    ("c.h5", {"overlap": 0.3}, "--overlap has no effect with a model to classify"),
    ("s.h5", {"json": True}, "--json has no effect with a model to segment"),
    ("s.h5", {"overlap": 1.5}, "overlap: 1.5 must be"),
    ("s.h5", {"overlap": "much"}, "overlap: 'much' must be a number"),
    ("c.h5", {"batch_size": 0}, "batch_size: 0 must be"),
    ("c.h5", {"nonsense": 1}, "unknown setting 'nonsense'"),
    ("s.h5", {"min_volume": ["WT=3"]}, "WT is no label or region"),
    ("s.h5", {"flip_axes": "xz"}, "z has no effect"),
    ("s.h5", {"flip_axes": "x", "flips": False}, "--flip-axes has no effect with --no-flips"),
    ("*.h5", {}, "is a model to segment, not to classify"),
    ("missing.h5", {}, "no such model file"),
    ("c.h5", {"fold": 1}, "--fold has no effect without --split"),
])  # fmt: skip
def test_wrong_use_is_an_error_that_names_the_setting(images, models, model, settings, said):
    with pytest.raises(UsageError, match=said):
        mri.predict(models / model, images / "in", jobs=1, **settings)


def test_results_never_lie_in_the_input(images, models):
    for options in ({"out": images / "volumes" / "maps"}, {"out": images / "x", "probabilities": images / "x" / "y"},
                    {"probabilities": images / "volumes"}):  # fmt: skip
        with pytest.raises(UsageError, match="lies in the"):
            mri.predict(models / "s.h5", images / "volumes", **options)


def test_ids_that_would_mix_results_up_are_refused(images, models, tmp_path):
    errors = []
    for name in ("a/p.png", "b/p.png", "recipe.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((images / "in/p0.png").read_bytes())
    given = [tmp_path / "a/p.png", tmp_path / "b/p.png", tmp_path / "a/p.png", tmp_path / "recipe.png"]
    rows = mri.predict(models / "c.h5", given, on_error=errors.append, explain=tmp_path / "cam", jobs=1)
    assert [row["case"] for row in rows] == ["p"] and (tmp_path / "cam/p.png").is_file()
    assert ["has the id p of" in str(e) or "recipe.json" in str(e) for e in errors] == [True, True]
