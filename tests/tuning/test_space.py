"""What can be searched, and which settings a trial gets."""

import pytest

from mrilib import tasks
from mrilib.errors import UsageError
from mrilib.tuning import space
from mrilib.tuning.space import Dimension

CLASSIFY, SEGMENT = tasks.get("classify"), tasks.get("segment")


@pytest.mark.parametrize("text, dimension", [
    ("backbone=small,resnet18", Dimension("backbone", ("small", "resnet18"))),
    ("learning-rate=1e-4:1e-2:log", Dimension("learning_rate", (), 1e-4, 1e-2, True, False)),
    ("batch-size=4:16", Dimension("batch_size", (), 4, 16, False, True)),
    ("--dropout=0.5", Dimension("dropout", ("0.5",))),
    ("normalize=zscore,nyul,none", Dimension("normalize", ("zscore", "nyul", "none"))),
])  # fmt: skip
def test_a_dimension_is_read(text, dimension):
    assert space.read([text], CLASSIFY) == [dimension]


@pytest.mark.parametrize("text, what", [
    ("backbone", "has no values"), ("backbone=", "has no values"), ("colour=red", "colour is no setting of classify"),
    ("backbone=smal", "unknown backbone 'smal'"), ("learning-rate=1e-2:1e-4:log", "no range"),
    ("learning-rate=-1,1", "-1 must be above 0"), ("batch-size=4:8:linear", "no range"), ("patch=8x8", "no setting of"),
    ("learning-rate=0:1:log", "must be above 0"), ("folds=3", "no setting of"), ("epochs=1.5", "no number"),
    ("normalize=zscor", "unknown method"),
])  # fmt: skip
def test_what_is_no_dimension_is_refused(text, what):
    with pytest.raises(UsageError, match=what):
        space.read([text], CLASSIFY)


def test_every_setting_of_a_task_can_be_searched():
    names = set(space.settings_of(SEGMENT))
    assert {"backbone", "patch", "loss", "denoise", "normalize", "normalize_bias", "denoise_sigma"} <= names
    assert all(space.read(task.space, task) for task in tasks.every())


def test_values_become_settings():
    chosen = space.chosen({"patch": "96x64", "deep_supervision": "yes", "epochs": "3", "class_weights": "balanced",
                           "backbone": "default", "denoise": "median", "normalize": "zscore",
                           "normalize_size": "64x32"}, SEGMENT)  # fmt: skip
    assert chosen.training == {"patch": (64, 96), "deep_supervision": True, "epochs": 3, "class_weights": "balanced"}
    assert [step.step for step in chosen.steps] == ["median", "resize", "zscore"]
    assert chosen.steps[1].parameters["size"] == [32, 64]
    assert not chosen.learns and space.chosen({"normalize": "nyul"}, SEGMENT).learns


def test_without_preprocessing_there_are_no_steps():
    assert space.chosen({"denoise": "none", "normalize": "none"}, CLASSIFY).steps == ()
    with pytest.raises(UsageError, match="--denoise-sigma has no effect"):
        space.chosen({"denoise_sigma": "0.1"}, CLASSIFY)


def test_what_has_no_effect_is_left_out():
    def check(parameters):
        if "momentum" in parameters and parameters["optimizer"] != "sgd":
            raise UsageError("--momentum has no effect with --optimizer adamw")

    assert space.only_effective({"optimizer": "adamw", "momentum": "0.9"}, check) == {"optimizer": "adamw"}
    assert space.only_effective({"optimizer": "sgd", "momentum": "0.9"}, check) == {"optimizer": "sgd",
                                                                                   "momentum": "0.9"}


def test_a_grid_has_every_combination_once_and_no_range():
    both = space.read(["backbone=small,resnet18", "epochs=1,2,3"], CLASSIFY)
    assert len({tuple(each.values()) for each in space.grid(both)}) == 6
    with pytest.raises(UsageError, match="grid needs values"):
        space.grid(space.read(["epochs=1:3"], CLASSIFY))


def test_a_file_holds_a_space(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text('backbone = ["small", "resnet18"]\nlearning-rate = "1e-4:1e-2:log"\nepochs = 3\n'
                    'normalize-size = [[64, 32], [96, 96]]\n', encoding="utf-8")
    assert [str(d) for d in space.of_file(file, CLASSIFY)] == [
        "backbone=small,resnet18", "learning-rate=0.0001:0.01:log", "epochs=3", "normalize-size=64x32,96x96"]
    file.write_text("bones = 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="bones is no setting"):
        space.of_file(file, CLASSIFY)
