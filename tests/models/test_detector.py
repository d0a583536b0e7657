"""The detector and its losses: shapes, what it refuses, and that a loss falls where a box is learned."""

import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models import backbones, box_losses, file, safety
from mrilib.models.detector import cells, detector, with_logits
from mrilib.training.localise import half_side, least_score

SHAPE = (64, 96, 1)
BOX = (20.0, 10.0, 50.0, 40.0)
NONE = (0, 0, 0, 0, -1)


@pytest.fixture(scope="module")
def network(device):
    return detector("small", SHAPE, 2, width=0.5, filters=8, half=10.0)


def test_each_cell_gives_the_typical_box_before_training(network, tmp_path):
    values = network.predict_on_batch(np.zeros((1, *SHAPE), np.float32))
    assert values.shape == (1, 8 * 12, 6)
    assert np.all((values[..., 4:] > 0) & (values[..., 4:] < 0.1))
    assert 5 < np.median(values[..., :4]) < 20
    logits = with_logits(network).predict_on_batch(np.zeros((1, *SHAPE), np.float32))
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[..., 4:])), values[..., 4:], rtol=1e-4)
    file.save(network, tmp_path / "m.h5", {})
    safety.check(tmp_path / "m.h5")


@pytest.mark.parametrize(("change", "said"), [
    ({"shape": (60, 96, 1)}, "multiples of 32"), ({"stride": 5}, "stride of 5"), ({"classes": 0}, "no detector"),
    ({"name": "alexnet"}, "no feature map at 8 pixels"), ({"half": 0.0}, "no detector")])  # fmt: skip
def test_what_cannot_be_is_refused(device, change, said):
    values = {"name": "small", "shape": SHAPE, "classes": 1, **change}
    with pytest.raises(UsageError, match=said):
        detector(values.pop("name"), values.pop("shape"), values.pop("classes"), **values)


@pytest.mark.parametrize("name", list(box_losses.ASSIGNMENTS))
@pytest.mark.parametrize("overlap", list(box_losses.OVERLAPS))
def test_the_loss_is_least_for_the_right_box_and_finite_without_one(device, name, overlap):
    places = cells(SHAPE, 8)
    loss = box_losses.ASSIGNMENTS[name](places, 8, 1, overlap=overlap)
    target = np.array([[(*BOX, 0), NONE], [NONE, NONE]], np.float32)

    def of(box, score, where=0.5):
        """The loss of a network that gives this box, with a logit, at the cells near a part of the box's width."""
        x = BOX[0] + where * (BOX[2] - BOX[0])
        near = ((places - [x, 25]) ** 2).sum(1) < 8**2
        sides = np.concatenate([places - box[:2], np.array(box[2:]) - places], 1).clip(1)
        one = np.column_stack([sides, np.where(near, score, -6)]).astype(np.float32)
        none = np.column_stack([sides, np.full(len(places), -6)]).astype(np.float32)
        return float(loss(target, np.stack([one, none])))

    right = of(BOX, 4)
    assert np.isfinite(right) and right < of((10, 5, 40, 45), 4) and right < of(BOX, -6)
    assert right < of(BOX, 4, where=1.8)  # a score beside the box
    assert np.isfinite(float(loss(target[1:], np.zeros((1, len(places), 5), np.float32))))


def test_overlaps_agree_with_their_papers(device):
    one, other = np.array([[0, 0, 10, 10.0]], np.float32), np.array([[5, 0, 15, 20.0]], np.float32)
    assert float(box_losses.iou(one, other)[0]) == pytest.approx(50 / 250)
    assert float(box_losses.giou(one, other)[0]) == pytest.approx(50 / 250 - 50 / 300)
    shape = 4 / np.pi**2 * (np.arctan(1) - np.arctan(0.5)) ** 2
    wanted = 0.2 - 50 / (15**2 + 20**2) - shape**2 / (1 - 0.2 + shape)
    assert float(box_losses.ciou(one, other)[0]) == pytest.approx(wanted, rel=1e-5)


def test_the_typical_side_is_of_real_boxes_only():
    target = np.array([[(0, 0, 16, 4, 0), NONE, NONE], [NONE] * 3], np.float32)
    assert half_side(target) == 4
    with pytest.raises(UsageError, match="no case with a box"):
        half_side(target[1:])


def test_the_least_score_keeps_ap50_and_drops_what_adds_nothing():
    true = {0: [(*BOX, "")], 1: []}
    predicted = {0: [(*BOX, "", 0.8), (60, 40, 90, 60, "", 0.3)], 1: [(0, 0, 9, 9, "", 0.2)]}
    least, best = least_score(true, predicted)
    assert least == 0.8 and best == 0.8
    assert least_score(true, {0: [], 1: []}) == (0.0, 0.0)


@pytest.mark.parametrize(("name", "first"), [("small", "stage3_1_conv1"), ("mobilenet", "conv_dw_4")])
def test_the_layers_of_the_finest_maps_are_told_from_the_others(device, name, first):
    model = detector(name, SHAPE, 1, width=0.5, filters=8, half=10.0)
    assert backbones.first_at(model, 8) == first
    learning = backbones.freeze(model, first)
    assert learning[0] == first and any(layer.startswith("head_") for layer in learning)
