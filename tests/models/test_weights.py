"""Networks that start from a model of another task, and U-Nets that start from another U-Net."""

import logging

import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models import file, unet
from mrilib.models.classifier import classifier
from mrilib.models.detector import detector
from mrilib.models.weights import check, is_plain_unet, settings_of
from mrilib.training.classify_settings import ClassifySettings
from mrilib.training.segment_settings import SegmentSettings, complete
from mrilib.training.settings import check_weights, resolved

MAKERS = {
    "classify": lambda channels, **more: classifier("lenet", (64, 64, channels), 2, **more),
    "segment": lambda channels, **more: unet.backbone_unet("lenet", (64, 64, channels), 3, **more),
    "localise": lambda channels, **more: detector("lenet", (64, 64, channels), 1, filters=8, **more),
}
BACKBONE = {"backbone": "lenet", "width": 1.0}
PLAIN = {"dimension": 2, "levels": 2, "depth": 1, "stem": 1, "residual": False, "norm": "batch", "width": 4.0}


def saved(model, path, task: str, architecture: dict, **more):
    file.save(model, path, {"task": task, "architecture": architecture, **more})
    return path


@pytest.fixture(scope="module")
def givers(tmp_path_factory):
    """task -> model file of a network of 3 channels."""
    folder = tmp_path_factory.mktemp("givers")
    return {task: saved(make(3), folder / f"{task}.h5", task, BACKBONE) for task, make in MAKERS.items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model file of a U-Net without a backbone, of 3 channels and 2 outputs."""
    path = tmp_path_factory.mktemp("plain") / "plain.h5"
    architecture = {"backbone": None, **{name: value for name, value in PLAIN.items() if name != "dimension"}}
    return saved(small_unet(3, 2), path, "segment", architecture, dimension=2)


def small_unet(channels: int, outputs: int, **more):
    return unet.unet((16, 16, channels), outputs, **{"levels": 2, "width": 4, "depth": 1, "norm": "batch", **more})


def kernels(network, names) -> list[np.ndarray]:
    return [np.asarray(network.get_layer(name).kernel) for name in names]


@pytest.mark.parametrize("giver", MAKERS)
@pytest.mark.parametrize("taker", MAKERS)
def test_the_backbone_of_any_task_serves_every_task(givers, giver, taker, caplog):
    caplog.set_level(logging.INFO, "mrilib")
    network = MAKERS[taker](3, weights=givers[giver])
    first = file.load(givers[giver])[0]
    for mine, theirs in zip(kernels(network, ("conv1", "conv2")), kernels(first, ("conv1", "conv2")), strict=True):
        assert np.array_equal(mine, theirs)
    whole = len(network.weights)
    outputs = {"classify": 2, "segment": 2, "localise": 4}[taker]  # kernel and bias of each last layer
    taken = whole - outputs if giver == taker else 4
    assert caplog.messages == [f"{taken} of {whole} arrays from {giver}.h5; the rest starts at random"]
    if giver == taker == "segment":
        assert np.array_equal(*(kernels(each, ["head_0_out_conv"])[0] for each in (network, first)))
        assert not np.array_equal(*(kernels(each, ["logits"])[0] for each in (network, first)))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_equal_channels_answer_as_before_whatever_their_number(givers, channels, caplog):
    caplog.set_level(logging.INFO, "mrilib")
    network = MAKERS["segment"](channels, weights=givers["classify"])
    (mine,), (theirs,) = (kernels(each, ["conv1"]) for each in (network, file.load(givers["classify"])[0]))
    if channels == 2:  # the third channel has no place
        assert mine == pytest.approx(theirs[:, :, :2] * 1.5)
    else:
        assert mine.sum(2) == pytest.approx(theirs.sum(2), abs=1e-6)
    assert f"; the first layer takes {channels} channels instead of 3; the rest" in caplog.text


def test_a_unet_without_a_backbone_starts_from_another_of_its_shape(plain, caplog):
    from mrilib.models.weights import load_weights

    caplog.set_level(logging.INFO, "mrilib")
    assert settings_of(plain, None) == PLAIN and is_plain_unet(plain)
    network, before = small_unet(6, 4), file.load(plain)[0]
    load_weights(network, plain, backbone=None, **PLAIN)
    first, deep = "encoder0_0_conv", "decoder0_conv"
    assert np.array_equal(*(kernels(each, [deep])[0] for each in (network, before)))
    assert kernels(network, [first])[0] == pytest.approx(np.tile(kernels(before, [first])[0], (1, 1, 2, 1)) / 2)
    whole = len(network.weights)
    assert caplog.messages == [f"{whole - 2} of {whole} arrays from plain.h5; the first layer takes 6 channels instead "
                               "of 3; the rest starts at random"]  # fmt: skip
    other = small_unet(3, 2, strides=[(2, 1)])
    with pytest.raises(UsageError, match="plain.h5: layer decoder0_up has another shape"):
        load_weights(other, plain, backbone=None, **PLAIN)


@pytest.mark.parametrize(("wanted", "what"), [
    ({"backbone": "small", "width": 1.0}, r"is a model of backbone lenet, not small \(--backbone lenet\)"),
    ({"backbone": "lenet", "width": 0.5}, r"is a model of width 1.0, not 0.5 \(--width 1.0\)"),
    ({"backbone": None, **PLAIN}, "is a model of backbone lenet, not None"),
])  # fmt: skip
def test_another_backbone_or_width_is_refused(givers, wanted, what):
    with pytest.raises(UsageError, match=f"localise.h5: {what}"):
        check(givers["localise"], **wanted)


@pytest.mark.parametrize(("change", "what"), [
    ({"backbone": "lenet", "width": 1.0}, "is a U-Net without a backbone: it has no weights for lenet"),
    ({"levels": 3}, r"is a model of levels 2, not 3 \(--levels 2\)"),
    ({"residual": True}, r"is a model of residual False, not True \(--plain\)"),
    ({"dimension": 3}, "is a model of dimension 2, not 3"),
])  # fmt: skip
def test_another_shape_of_a_unet_is_refused(plain, change, what):
    with pytest.raises(UsageError, match=f"plain.h5: {what}"):
        check(plain, **{"backbone": None, **PLAIN, **change})


def test_settings_that_are_not_given_are_those_of_the_file(givers, plain, tmp_path):
    of_backbone = complete(resolved(SegmentSettings(weights=str(givers["classify"]))), validated=False)
    assert (of_backbone.backbone, of_backbone.width) == ("lenet", 1.0)
    of_unet = complete(resolved(SegmentSettings(weights=str(plain))), validated=False)
    assert of_unet.backbone is None and {name: getattr(of_unet, name) for name in PLAIN} == PLAIN
    for settings in (of_backbone, of_unet, ClassifySettings(weights=str(givers["segment"]), backbone="lenet", width=1)):
        check_weights(settings)
    with pytest.raises(UsageError, match="is a U-Net without a backbone: it has no weights for mobilenet"):
        check_weights(ClassifySettings(weights=str(plain), backbone="mobilenet"))
    for content, what in ((b"", "is empty"), (b"text", "is not an HDF5 file"),
                          (givers["segment"].read_bytes()[:5000], "is damaged or cut short")):  # fmt: skip
        (tmp_path / "no.h5").write_bytes(content)
        with pytest.raises(UsageError, match=f"no.h5: {what}"):
            resolved(SegmentSettings(weights=str(tmp_path / "no.h5")))
