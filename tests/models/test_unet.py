"""U-Nets: shapes, what a wrong patch says, and that they live in a model file."""

import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models import file, unet
from mrilib.models.logits import with_logits


@pytest.mark.parametrize(("shape", "stem", "norm", "residual"), [
    ((32, 16, 2), 1, "instance", False), ((32, 16, 2), 2, "batch", True), ((32, 16, 2), 1, "group", True),
    ((8, 16, 16, 1), 1, "instance", True), ((8, 16, 16, 1), 1, "batch", False), ((8, 16, 16, 1), 1, "group", False),
])  # fmt: skip
def test_a_model_file_brings_back_the_same_probabilities(shape, stem, norm, residual, tmp_path):
    import keras

    model = unet.unet(shape, 3, levels=3, width=4, norm=norm, residual=residual, stem=stem, dropout=0.2,
                      deep_supervision=True)  # fmt: skip
    outputs = model.outputs
    assert [tuple(o.shape[1:-1]) for o in outputs] == [shape[:-1], tuple(n // 2 // stem for n in shape[:-1])]
    assert model.get_layer("decoder0_conv").output.shape[1:-1] == tuple(n // stem for n in shape[:-1])
    plain = unet.without_supervision(model)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    before = plain.predict(x, verbose=0)
    assert before.shape == (2, *shape[:-1], 3) and np.allclose(before.sum(-1), 1, atol=1e-5)
    file.save(plain, tmp_path / "m.h5", {"task": "segment"})
    assert np.array_equal(file.load(tmp_path / "m.h5")[0].predict(x, verbose=0), before)
    again = keras.models.load_model(tmp_path / "m.h5", compile=False)
    assert np.array_equal(again.predict(x, verbose=0), before)


def test_regions_are_sigmoid_and_may_overlap():
    model = unet.unet((16, 16, 1), 2, levels=2, width=4, activation="sigmoid")
    found = model.predict(np.zeros((1, 16, 16, 1), np.float32), verbose=0)
    assert np.allclose(found, 0.5)  # all logits are 0 for an image of nothing


def test_a_backbone_becomes_an_encoder_and_keeps_its_weights(tmp_path):
    from mrilib.models.classifier import classifier

    giver = classifier("mobilenet", (64, 64, 3), 2, width=0.25)
    path = tmp_path / "classifier.h5"
    file.save(giver, path, {"task": "classify", "architecture": {"backbone": "mobilenet", "width": 0.25}})
    model = unet.backbone_unet("mobilenet", (64, 96, 6), 2, width=0.25, weights=path)
    assert model.output_shape == (None, 64, 96, 2)
    mine, theirs = ({layer.name: layer for layer in of.layers} for of in (model, giver))
    for name in ("conv_pw_3", "conv_dw_13"):
        assert np.array_equal(mine[name].get_weights()[0], theirs[name].get_weights()[0])
    first = theirs["conv1"].get_weights()[0]
    assert np.allclose(mine["conv1"].get_weights()[0], np.concatenate([first, first], 2) / 2)


def test_a_backbone_with_channel_attention_gives_its_maps_and_one_without_halves_is_refused():
    model = unet.backbone_unet("efficientnetb0", (64, 96, 3), 2)
    assert model.get_layer("head_0_up").input.shape[1:3] == (2, 3) and model.output_shape == (None, 64, 96, 2)
    with pytest.raises(UsageError, match="alexnet passes no maps"):
        unet.backbone_unet("alexnet", (64, 96, 3), 2)


@pytest.mark.parametrize(("shape", "more", "what"), [
    ((30, 32, 1), {}, "cannot be made 4 times coarser where it has 30"),
    ((32, 32, 1), {"norm": "layer"}, "unknown norm"),
    ((32, 32, 1), {"strides": [(2, 2)]}, "1 strides for 3 levels"),
    ((36, 32, 1), {"stem": 2}, "cannot be made 8 times coarser where it has 36"),
    ((32, 32, 32, 1), {"stem": 2}, "a stem of 2"),
    ((32, 32, 1), {"stem": 0}, "a stem of 0"),
    ((32, 1), {}, "a patch of 1 axes"),
    ((32, 32, 1), {"strides": [(2, 2, 2), (2, 2, 2)]}, "strides .* for a patch of 2 axes"),
    ((32, 32, 1), {"strides": [(2, 2), (0, 2)]}, "strides .* for a patch of 2 axes"),
    ((32, 32, 1), {"activation": "tanh"}, "unknown activation 'tanh'"),
    ((32, 32, 1), {"outputs": 0}, "0 outputs"),
    *[((32, 32, 1), {"outputs": outputs, "activation": activation, **more}, what)
      for outputs, activation in ((1, "sigmoid"), (2, "softmax"))
      for more, what in (({"levels": 1}, "make no U-Net"), ({"levels": 0}, "make no U-Net"),
                         ({"width": 0}, "make no U-Net"), ({"depth": 0}, "make no U-Net"),
                         ({"dropout": 1.0}, "dropout"), ({"norm": "layer"}, "unknown norm"))],
    ((32, 32, 1), {"outputs": 1}, "1 output of softmax"),
])  # fmt: skip
def test_what_cannot_be_is_said(shape, more, what):
    with pytest.raises(UsageError, match=what):
        unet.unet(shape, **{"outputs": 2, "levels": 3, "width": 4, **more})


@pytest.mark.parametrize(("shape", "more", "what"), [
    ((64, 64, 1), {"name": "vgg19"}, "unknown backbone 'vgg19'"),
    ((64, 64, 1), {"norm": "layer"}, "unknown norm"),
    ((64, 64, 1), {"dropout": 1.0}, "dropout"),
    ((64, 64, 1), {"name": "vgg16", "width": 0.5}, "no width"),
    ((64, 64, 1), {"width": -1}, "no width"),
    ((64, 64, 1), {"low": 1, "high": 1}, "have no range"),
    ((64, 64, 1), {"outputs": 1}, "1 output of softmax"),
    ((64, 64, 1), {"outputs": 0, "activation": "sigmoid"}, "0 outputs"),
    ((64, 64, 1), {"activation": "tanh"}, "unknown activation"),
    ((64, 60, 1), {}, "not a multiple of 32"),
    ((0, 64, 1), {}, "not a multiple of 32"),
    ((64, 64, 64, 1), {}, "a backbone is 2D"),
])  # fmt: skip
def test_what_cannot_be_is_said_of_a_backbone(shape, more, what):
    with pytest.raises(UsageError, match=what):
        unet.backbone_unet(**{"name": "mobilenet", "shape": shape, "outputs": 2, "width": 0.25, **more})


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_trained_network_gives_the_logits_of_the_kept_one(activation, deep_supervision):
    model = unet.unet((16, 16, 1), 2, levels=3, width=4, activation=activation, deep_supervision=deep_supervision)
    trained = with_logits(model)
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 1)).astype(np.float32)
    ends = [np.asarray(end) for end in (trained(x) if deep_supervision else [trained(x)])]
    expected = [np.asarray(end) for end in (model(x) if deep_supervision else [model(x)])]
    for logits, probabilities in zip(ends, expected, strict=True):
        each = np.exp(logits)
        each = each / each.sum(-1, keepdims=True) if activation == "softmax" else each / (1 + each)
        assert np.allclose(each, probabilities, atol=1e-6)
    assert [id(w) for w in trained.weights] == [id(w) for w in model.weights]


def test_strides_leave_coarse_axes_alone():
    model = unet.unet((4, 32, 32, 1), 2, levels=3, width=4, strides=[(1, 2, 2), (2, 2, 2)])
    assert model.get_layer("encoder2_0_conv").output.shape[1:4] == (2, 8, 8)
