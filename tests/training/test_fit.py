"""The fit: it learns, every setting changes what comes out, it resumes exactly, it runs on two devices."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fitting import fit as fit_task

from mrilib.errors import UsageError
from mrilib.training.augment import augmenter
from mrilib.training.checkpoint import difference
from mrilib.training.classify_settings import ClassifySettings, complete

BASE = {"backbone": "lenet", "head": "mean", "epochs": 1, "batch_size": 8, "warmup": 0.0, "average": 0.0,
        "augment": "none", "learning_rate": 0.01}  # fmt: skip


def fit(data, device, watch=lambda *_: None, checkpoint=None, resume=False, **given):
    import keras

    settings = complete(ClassifySettings(**{**BASE, **given}), validated="validation" in data.parts)
    keras.utils.set_random_seed(settings.seed)
    model, record = fit_task("classify", data, settings, device, watch=watch, path=checkpoint, resume=resume)
    return model, record["training"]


def described(data, settings, device, name="classify"):
    from mrilib import tasks
    from mrilib.training import record

    return record.description(tasks.get(name), data, settings, device)


def weights(model) -> bytes:
    return b"".join(w.tobytes() for w in model.get_weights())


@pytest.fixture(scope="module")
def plain(data, device):
    return weights(fit(data, device)[0])


def test_the_same_run_gives_the_same_bits(data, device, plain):
    assert weights(fit(data, device)[0]) == plain


@pytest.mark.parametrize("change", [
    {"loss": "focal"}, {"loss": "weighted-ce"}, {"loss": "focal", "class_weights": {"no": 1, "yes": 5}},
    {"sampling": "equal"}, {"optimizer": "sgd"}, {"optimizer": "adam"}, {"weight_decay": 0.5}, {"weight_decay": 0.0},
    {"clip": 0.01}, {"schedule": "step"}, {"warmup": 0.7}, {"dropout": 0.6}, {"label_smoothing": 0.3}, {"average": 1.0},
    {"augment": "light"}, {"augment": {"noise": "0.2"}}, {"seed": 1}, {"batch_size": 5}, {"learning_rate": 0.02},
    {"width": 2.0}, {"epochs": 2}, {"head": "mirror"},
], ids=str)  # fmt: skip
def test_each_setting_changes_the_model(data, device, plain, change):
    assert weights(fit(data, device, **change)[0]) != plain


def test_an_average_longer_than_the_run_is_not_the_weights_before_it(data, device):
    def trained(**change):
        model, _ = fit(data, device, epochs=5, schedule="constant", **change)
        return np.concatenate([np.ravel(w) for w in model.trainable_weights])

    end = trained()
    assert np.linalg.norm(trained(average=50.0) - end) < np.linalg.norm(trained(learning_rate=1e-9) - end) / 5


def test_momentum_counts_with_sgd(data, device):
    found = {weights(fit(data, device, optimizer="sgd", momentum=m)[0]) for m in (0.0, 0.9)}
    assert len(found) == 2


def test_it_learns_and_patience_keeps_the_best_epoch(data, device):
    from mrilib.training import classify

    model, known = fit(data, device, epochs=25, patience=4, schedule="constant", average=0.5, dropout=0.0)
    curve = known["curve"]
    losses = [row["validation_loss"] for row in curve]
    assert known["best_epoch"] == int(np.argmin(losses)) + 1
    assert len(curve) == 25 or len(curve) == known["best_epoch"] + 4
    held = data.places("validation")
    predicted = model.predict(data.images[held], batch_size=8, verbose=0)
    assert classify.metrics(data.targets[held], predicted) == known["validation"]
    assert known["validation"]["validation_loss"] == pytest.approx(min(losses), abs=1e-6)
    assert known["validation"]["validation_accuracy"] == 1.0


def test_plateau_lowers_the_rate_when_nothing_gets_better(data, device):
    """At a learning rate of 1e-9 no weight changes, so that no epoch is better than the first."""
    _, known = fit(data, device, epochs=9, schedule="plateau", learning_rate=1e-9, patience=6, optimizer="sgd",
                   momentum=0.0, dropout=0.0)
    curve = known["curve"]
    assert len({row["validation_loss"] for row in curve}) == 1 and len(curve) == 7  # stopped by patience
    # half the patience: three epochs that are not better
    assert [row["learning_rate"] for row in curve] == pytest.approx([1e-9] * 4 + [1e-10] * 3, rel=1e-6)


def test_plateau_keeps_the_rate_while_epochs_get_better(data, device):
    _, known = fit(data, device, epochs=4, schedule="plateau", patience=2, dropout=0.0, learning_rate=0.003)
    losses = [row["validation_loss"] for row in known["curve"]]
    assert losses == sorted(losses, reverse=True)
    assert [row["learning_rate"] for row in known["curve"]] == pytest.approx([0.003] * 4)


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3])
def test_resuming_equals_an_unbroken_run(data, device, tmp_path, at):
    import keras

    given = {"epochs": 3, "average": 1.0, "patience": 3, "augment": "light", "dropout": 0.4}
    whole, known = fit(data, device, **given)

    def stop(event, state, logs):
        if event == "epoch" and state.epoch == at:
            raise Stop

    with pytest.raises(Stop):
        fit(data, device, watch=stop, checkpoint=tmp_path / "c", **given)
    keras.utils.set_random_seed(99)
    again, known_again = fit(data, device, checkpoint=tmp_path / "c", resume=True, **given)
    assert weights(again) == weights(whole) and known_again["curve"] == known["curve"]
    with pytest.raises(UsageError, match="seed was 0, now 5"):
        fit(data, device, checkpoint=tmp_path / "c", resume=True, seed=5, **given)


@pytest.fixture(scope="module")
def given(data, device, tmp_path_factory):
    """A model file of lenet, whose weights others start from."""
    from mrilib.models import file

    path = tmp_path_factory.mktemp("given") / "lenet.h5"
    model, known = fit(data, device, epochs=4)
    file.save(model, path, {"architecture": {"backbone": "lenet", "width": 1.0}, "training": known})
    return str(path), {layer.name: layer.get_weights() for layer in model.layers}


def moved(model, before) -> set[str]:
    return {layer.name for layer in model.layers if layer.weights and not all(
        np.array_equal(a, b) for a, b in zip(layer.get_weights(), before[layer.name], strict=True))}


def test_what_is_frozen_stays(data, device, given):
    path, before = given
    assert moved(fit(data, device, weights=path, freeze=True)[0], before) == {"logits"}
    assert moved(fit(data, device, weights=path, unfreeze_from="conv2")[0], before) == {"conv2", "logits"}
    assert moved(fit(data, device, weights=path)[0], before) == {"conv1", "conv2", "logits"}


def test_the_head_starts_as_a_logistic_regression(data, device, given):
    path, _ = given
    near = {"weights": path, "learning_rate": 1e-9, "epochs": 1, "freeze": True, "dropout": 0.0}
    _, started = fit(data, device, head_start=True, **near)
    _, chance = fit(data, device, head_start=False, **near)
    assert started["curve"][0]["loss"] < chance["curve"][0]["loss"]
    assert started["validation"]["validation_loss"] < chance["validation"]["validation_loss"]


def test_without_epochs_the_head_start_is_all(data, device, given):
    path, before = given
    model, known = fit(data, device, weights=path, epochs=0, augment=None, learning_rate=None, warmup=None,
                       average=None)
    assert known["curve"] == [] and moved(model, before) == {"logits"}
    assert known["best_epoch"] == 0 and known["validation"]["validation_accuracy"] > 0.5


def test_other_weights_under_the_same_name_are_another_run(data, device, given, tmp_path):
    path = tmp_path / "lenet.h5"
    runs = []
    for content in (Path(given[0]).read_bytes(), b"others"):
        path.write_bytes(content)
        runs.append(described(data, ClassifySettings(weights=str(path)), device))
    assert difference(*runs).startswith("weights was lenet.h5 (SHA-256 ")


def test_a_batch_keeps_the_head_in_view_and_a_lone_channel_has_no_tones_apart(device):
    from mrilib.training.batches import Batches

    images = np.zeros((8, 40, 40, 1), np.float32)
    images[:, 3:12, 25:37] = 1
    augment = augmenter("shift=40% flip=lr", 1)
    names = [str(i) for i in range(8)]
    settings = complete(ClassifySettings(**BASE), validated=False)
    batches = Batches(images, np.eye(2, dtype=np.float32)[[0, 1] * 4], names, settings, augment, (1.0, 1.0))
    moved = batches[0][0]
    assert np.allclose(moved.sum((1, 2, 3)), 9 * 12, rtol=1e-3) and not np.array_equal(moved, images)
    with pytest.raises(UsageError, match="one channel, and tones apart is for several"):
        augmenter("gamma=0.3 tones=apart", 1)
    assert augmenter("gamma=0.3 tones=apart", 2)


def test_other_channels_of_the_same_files_are_another_run(data, device, tmp_path):
    from segment_data import volumes

    from mrilib.labels import scheme
    from mrilib.recipe import Recipe
    from mrilib.training import segment
    from mrilib.training.segment_settings import SegmentSettings

    volume, = volumes(tmp_path, 1)
    chosen = [segment.SegmentData([replace(volume, channels=names)], ["train"], scheme("1=one,2=two"), Recipe())
              for names in (("t1ce", "flair"), ("flair", "t1ce"))]
    old, new = (described(each, SegmentSettings(), device, "segment") for each in chosen)
    assert difference(old, new) == 'channels was ["t1ce", "flair"], now ["flair", "t1ce"]'
    old, new = (described(each, ClassifySettings(), device)
                for each in (data, replace(data, channels=["flair"])))
    assert difference(old, new).endswith('now ["flair"]')


def test_class_weights_must_name_the_classes(data, device):
    with pytest.raises(UsageError, match="class weights for a b, but the classes are no yes"):
        fit(data, device, loss="weighted-ce", class_weights={"a": 1, "b": 2})


TWO = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fitting import fit, make_data
from mrilib import gpu
from mrilib.training.classify_settings import ClassifySettings, complete
device = gpu.setup("cpu", mixed="off", seed=0, replicas=2)
settings = complete(ClassifySettings(**json.loads(sys.argv[2])), validated=True)
model, record = fit("classify", make_data(), settings, device)
print(json.dumps([type(device.strategy).__name__, record["training"]["curve"]]))
"""


def test_two_devices_learn_what_one_does(data, device):
    given = {**BASE, "dropout": 0.0, "average": 1.0, "epochs": 2}
    ran = subprocess.run([sys.executable, "-c", TWO, str(Path(__file__).parent), json.dumps(given)],
                         capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
    kind, curve = json.loads(ran.stdout)
    _, alone = fit(data, device, **given)
    assert kind == "MirroredStrategy"
    for row, other in zip(curve, alone["curve"], strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-4)


TWO_OF_MAPS = """
import json, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fitting import fit
from segment_data import volumes
from mrilib import gpu
from mrilib.errors import UsageError
from mrilib.labels import scheme
from mrilib.recipe import Recipe
from mrilib.training import segment
from mrilib.training.segment_settings import SegmentSettings, complete
device = gpu.setup("cpu", mixed="off", seed=0, replicas=2)
import keras
given = SegmentSettings(epochs=2, dimension=3, patch=(8, 8, 8), width=4, levels=2, depth=1, stem=1, steps=3,
                        norm="instance", loss="ce", optimizer="sgd", clip=0.0, augment="none",
                        batch_size=2)
settings = replace(complete(given, validated=False), context=0)
data = segment.SegmentData(volumes(Path(sys.argv[2]), 2), ["train"] * 2, scheme("1=one,2=two"), Recipe())
curves = []
for setup in (device, replace(device, strategy=None, replicas=1)):
    keras.utils.set_random_seed(0)
    curves.append(fit("segment", data, settings, setup)[1]["training"]["curve"])
try:
    fit("segment", data, settings, replace(device, replicas=4))
except UsageError as error:
    print(json.dumps([*curves, str(error)]))
"""


def test_two_devices_learn_label_maps_as_one_does(tmp_path):
    ran = subprocess.run([sys.executable, "-c", TWO_OF_MAPS, str(Path(__file__).parent), str(tmp_path)],
                         capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
    two, one, error = json.loads(ran.stdout)
    for row, other in zip(two, one, strict=True):
        assert row == pytest.approx(other, rel=1e-3)
    assert "a batch of 2 cannot be shared by 4 devices" in error
