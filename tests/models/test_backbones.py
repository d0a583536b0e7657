import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models import file
from mrilib.models.applications import NETWORKS, imagenet_file, imagenet_network
from mrilib.models.backbones import BACKBONES, backbone_layers, freeze, layer_names
from mrilib.models.classifier import classifier
from mrilib.models.weights import settings_of


def pixels(channels=1, size=64):
    return np.random.default_rng(0).uniform(-2, 5, (2, size, size, channels)).astype(np.float32)


def layer_output(model, name, values):
    import keras

    return np.asarray(keras.Model(model.input, model.get_layer(name).output)(values))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_one_graph_that_comes_back_from_its_file(name, tmp_path):
    import keras

    model = classifier(name, (64, 64, 1), 3, dropout=0.1, low=-2, high=5)
    assert model.layers[0].name == "image" and model.layers[-1].name == "probabilities"
    assert not [layer for layer in model.layers if hasattr(layer, "layers")]
    found = np.asarray(model(pixels()))
    assert found.shape == (2, 3) and found.dtype == np.float32
    assert found.sum(-1) == pytest.approx([1, 1], abs=1e-5)
    file.save(model, tmp_path / "m.h5", {"task": "classify"})
    plain = keras.models.load_model(tmp_path / "m.h5", compile=False)
    assert np.array_equal(np.asarray(plain(pixels())), found)


@pytest.mark.parametrize("name", ["small", "lenet", "mobilenet", "efficientnetb0"])
def test_any_number_of_channels_goes_in(name):
    for channels in (2, 4):
        assert classifier(name, (48, 64, channels), 2).output_shape == (None, 2)


def test_the_lowest_and_the_highest_pixel_become_minus_one_and_one():
    model = classifier("lenet", (16, 16, 1), 2, low=-2, high=6)
    values = np.full((1, 16, 16, 1), -2, np.float32)
    values[0, :8] = 6
    scaled = layer_output(model, "scale", values)
    assert scaled[0, 0] == pytest.approx(1, abs=1e-6) and scaled[0, -1] == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize(("name", "mode"), [("vgg16", "caffe"), ("resnet50", "caffe"), ("densenet121", "torch"),
                                            ("mobilenet", "tf"), ("mobilenetv2", "tf")])  # fmt: skip
def test_a_backbone_gets_the_pixels_of_its_imagenet_weights(name, mode):
    from keras.src.applications.imagenet_utils import preprocess_input

    model = classifier(name, (32, 32, 1), 2, low=0, high=255)
    grey = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 1)).astype(np.float32)
    expected = preprocess_input(grey.repeat(3, -1).copy(), mode=mode)
    assert layer_output(model, "pixels" if NETWORKS[name].pixels else "rgb", grey) == pytest.approx(expected, abs=1e-3)


def test_efficientnet_gets_0_to_255():
    model = classifier("efficientnetb0", (32, 32, 1), 2, low=0, high=1)
    found = layer_output(model, "pixels", np.linspace(0, 1, 1024, dtype=np.float32).reshape(1, 32, 32, 1))
    assert (found.min(), found.max()) == pytest.approx((0, 255), abs=1e-3)


def test_width_changes_the_number_of_filters():
    for name in ("small", "lenet", "mobilenet"):
        assert classifier(name, (32, 32, 1), 2, width=0.5).count_params() < \
            classifier(name, (32, 32, 1), 2).count_params()


@pytest.mark.parametrize(("given", "said"), [
    ({"name": "vgg19"}, "unknown backbone"),
    ({"name": "vgg16", "width": 0.5}, "no width"),
    ({"name": "vgg16", "shape": (16, 64, 1)}, "too small"),
    ({"shape": (8, 64, 64, 1)}, "2D"),
    ({"classes": 1}, "needs 2 or more"),
    ({"dropout": 1.0}, "dropout"),
    ({"low": 1, "high": 1}, "have no range"),
    ({"weights": "imagenet"}, "no ImageNet weights for lenet"),
    ({"weights": "missing.h5"}, "no such file"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_its_reason(given, said):
    with pytest.raises(UsageError, match=said):
        classifier(**{"name": "lenet", "shape": (32, 32, 1), "classes": 2, **given})


def test_widths_without_imagenet_weights_are_refused():
    for call in (imagenet_file, imagenet_network):
        with pytest.raises(UsageError, match="width 0.6"):
            call("mobilenet", 0.6)


def offline(folder, *codes):
    """What each code prints, or the error it raises, in a process whose KERAS_HOME is a folder and that reaches no
    server."""
    where = {"KERAS_HOME": str(folder), "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    code = """import sys
from pathlib import Path
from mrilib import gpu; gpu.setup('cpu', mixed='off')
from mrilib.errors import UsageError
from mrilib.models.applications import check_imagenet
from mrilib.models.classifier import classifier
for code in sys.argv[1:]:
    try:
        exec(code)
    except UsageError as error:
        print(error)
    print(end='\\0')"""
    ran = subprocess.run([sys.executable, "-c", code, *codes], capture_output=True, text=True, check=True,
                         env={**os.environ, **where})
    return ran.stdout.split("\0")[:-1]


def test_imagenet_weights_of_keras_out_of_reach_in_its_cache_damaged_and_of_another_hash(tmp_path, keras_weights):
    network, file = keras_weights
    place, other = (tmp_path / "models" / imagenet_file(*of).name for of in (("mobilenet", 0.25), ("vgg16",)))
    build = "classifier('mobilenet', (64, 64, {}), 2, width={}, weights='imagenet')"
    checked, out_of_reach, taken, damaged, changed = offline(
        tmp_path, "check_imagenet('mobilenet', 0.75)", build.format(1, 0.75),
        f"Path({str(place.parent)!r}).mkdir(exist_ok=True); "
        f"Path({str(place)!r}).write_bytes(Path({str(file.with_name('published_no_top.h5'))!r}).read_bytes()); "
        f"check_imagenet('mobilenet', 0.25); print({build.format(3, 0.25)}.get_layer('conv1').get_weights()[0].sum())",
        f"Path({str(place)!r}).write_bytes(b'cut'); {build.format(3, 0.25)}",
        f"Path({str(other)!r}).write_bytes(b'cut'); classifier('vgg16', (32, 32, 3), 2, weights='imagenet')",
    )  # fmt: skip
    for said in (checked, out_of_reach):
        assert "cannot be fetched" in said
        assert "/mobilenet/mobilenet_7_5_224_tf_no_top.h5 into " + str(tmp_path / "models") in said
    assert float(taken) == pytest.approx(network.get_layer("conv1").get_weights()[0].sum(), rel=1e-5)
    assert f"{place}: is not the file of ImageNet weights of mobilenet" in damaged and "delete it" in damaged
    assert "hash does not match" in changed and "cannot be fetched" in changed and other.name in changed


@pytest.fixture(scope="module")
def keras_weights(tmp_path_factory):
    """A network of keras.applications with its weights as Keras saves them; beside these, in the older form that it
    published them in."""
    import keras

    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None)
    folder = tmp_path_factory.mktemp("weights")
    network.save_weights(folder / "w.weights.h5")
    network.save(folder / "published_no_top.h5")
    return network, folder / "w.weights.h5"


def test_weights_of_keras_give_the_features_of_keras(keras_weights):
    network, path = keras_weights
    for channels, weights in ((1, path), (3, path), (3, path.with_name("published_no_top.h5"))):
        model = classifier("mobilenet", (64, 64, channels), 2, width=0.25, weights=weights, low=0, high=1)
        values = np.random.default_rng(0).uniform(0, 1, (1, 64, 64, channels)).astype(np.float32)
        expected = np.asarray(network(2 * values.repeat(3 // channels, -1) - 1))
        assert np.asarray(layer_output(model, backbone_layers(model)[-1].name, values)) == \
            pytest.approx(expected, abs=1e-5)


def test_six_equal_channels_answer_as_three_do(keras_weights):
    _, path = keras_weights
    values = np.random.default_rng(0).uniform(0, 1, (1, 64, 64, 1)).astype(np.float32)
    three, six = (
        layer_output(classifier("mobilenet", (64, 64, n), 2, width=0.25, weights=path, low=0, high=1), "conv1_relu",
                     values.repeat(n, -1))
        for n in (3, 6)
    )  # fmt: skip
    assert three.max() > 0 and six == pytest.approx(three, abs=1e-5)


def test_efficientnets_imagenet_statistics_are_means_and_deviations(tmp_path):
    import keras

    def normalization(model):
        return next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))

    network = keras.applications.EfficientNetB0(include_top=False, weights=None)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalization(network).set_weights([mean, deviation, np.array(0, np.int32)])  # as the published file has them
    network.save_weights(tmp_path / "e.weights.h5")
    model = classifier("efficientnetb0", (32, 32, 3), 2, low=0, high=1, weights=tmp_path / "e.weights.h5")
    values = np.random.default_rng(0).uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    found = layer_output(model, normalization(model).name, values)
    assert found == pytest.approx((values - mean) / deviation, abs=1e-5)


def test_weights_that_do_not_fit_are_refused(keras_weights, tmp_path):
    _, path = keras_weights
    with pytest.raises(UsageError, match="not the weights of mobilenet of width 0.5"):
        classifier("mobilenet", (64, 64, 1), 2, width=0.5, weights=path)
    with pytest.raises(UsageError, match="not the weights of vgg16"):
        classifier("vgg16", (64, 64, 1), 2, weights=path)
    with pytest.raises(UsageError, match="Keras has no weights for small"):
        classifier("small", (64, 64, 1), 2, weights=path)
    text = tmp_path / "text.h5"
    text.write_text("not weights")
    with pytest.raises(UsageError, match="not an HDF5 file"):
        classifier("mobilenet", (64, 64, 1), 2, weights=text)


def test_a_file_of_weights_tells_its_network(keras_weights, tmp_path):
    _, path = keras_weights
    for name in (path.name, "published_no_top.h5"):
        assert [settings_of(path.with_name(name), asked) for asked in (None, "mobilenet")] == [{"width": 0.25}] * 2
    assert settings_of(path, "vgg16") == {}
    model = classifier("small", (32, 32, 1), 2, width=0.5)
    file.save(model, tmp_path / "ours.h5", {"task": "classify", "architecture": {"backbone": "small", "width": 0.5}})
    assert settings_of(tmp_path / "ours.h5", None) == {"backbone": "small", "width": 0.5}
    assert settings_of(tmp_path / "ours.h5", "mobilenet") == {}


def test_a_renamed_file_of_weights_is_told_what_keras_needs(keras_weights, tmp_path):
    shutil.copy(keras_weights[1], tmp_path / "renamed.h5")
    with pytest.raises(UsageError, match="by a name that ends in .weights.h5"):
        classifier("mobilenet", (64, 64, 1), 2, width=0.25, weights=tmp_path / "renamed.h5")


def test_a_model_of_ours_gives_its_backbone_to_another_task(tmp_path):
    first = classifier("small", (32, 32, 1), 2, width=0.5)
    record = {"task": "classify", "architecture": {"backbone": "small", "width": 0.5}}
    file.save(first, tmp_path / "first.h5", record)
    second = classifier("small", (48, 48, 2), 3, width=0.5, weights=tmp_path / "first.h5")
    mine, theirs = first.get_layer("stage1_1_conv1").kernel, second.get_layer("stage1_1_conv1").kernel
    assert np.array_equal(mine, theirs)
    stem = np.asarray(first.get_layer("stem_conv").kernel)
    assert np.asarray(second.get_layer("stem_conv").kernel) == pytest.approx(stem.repeat(2, 2) / 2)
    with pytest.raises(UsageError, match="width 0.5, not 1"):
        classifier("small", (32, 32, 1), 2, weights=tmp_path / "first.h5")


def test_freeze_leaves_the_head_or_all_from_a_layer_on():
    model = classifier("small", (32, 32, 1), 2)
    assert freeze(model) == ["logits"]
    names = layer_names(model)
    assert freeze(model, names[-4]) == [*names[-4:], "logits"]
    assert len(freeze(model, names[0])) == len(names) + 1
    with pytest.raises(UsageError, match="no layer 'nowhere'.*stem_conv"):
        freeze(model, "nowhere")
