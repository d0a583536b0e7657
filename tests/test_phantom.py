"""Made-up heads: repeatable, labelled truly, and not to be told apart by brightness alone."""

import numpy as np
import pytest

from mrilib import phantom
from mrilib.cases import find
from mrilib.errors import UsageError


def test_a_head_hangs_on_its_seed_and_number_alone():
    first, label = phantom.slice2d(3, 5, True, (96, 80))
    again, _ = phantom.slice2d(3, 5, True, (96, 80))
    assert np.array_equal(first, again)
    assert first.shape == label.shape == (96, 80) and first.dtype == np.uint8
    assert not np.array_equal(first, phantom.slice2d(3, 6, True, (96, 80))[0])
    assert not np.array_equal(first, phantom.slice2d(4, 5, True, (96, 80))[0])


@pytest.mark.parametrize("number", range(6))
def test_labels_are_there_with_a_tumour_only(number):
    assert not phantom.slice2d(0, number, False, (96, 96))[1].any()
    label = phantom.slice2d(0, number, True, (96, 96))[1]
    assert set(np.unique(label)) <= {0, 1, 2, 3}
    assert 0.002 < (label > 0).mean() < 0.3


def test_the_head_lies_within_the_picture():
    for number in range(10):
        tissue, _, _ = phantom.head(1, number, (100, 140), number % 2 == 0)
        edge = np.concatenate([tissue[0], tissue[-1], tissue[:, 0], tissue[:, -1]])
        assert (edge == phantom.AIR).mean() > 0.9
        assert (tissue != phantom.AIR).mean() > 0.25


def test_a_volume_has_four_channels_on_one_grid():
    images, label = phantom.volume(0, 1, True, (40, 48, 40))
    assert list(images) == ["t1", "t1ce", "t2", "flair"]
    assert {i.shape for i in images.values()} == {(40, 48, 40)} and set(np.unique(label)) == {0, 1, 2, 3}
    rim, core = images["t1ce"][label == 3].mean(), images["t1ce"][label == 1].mean()
    assert rim > 1.5 * core  # the rim enhances
    assert images["flair"][label == 2].mean() > images["flair"][label == 0].mean()  # oedema is bright


def test_brightness_alone_does_not_tell_the_classes_apart():
    heads = [phantom.slice2d(7, i, bool(i % 2), (96, 96))[0] for i in range(80)]
    truth = np.arange(80) % 2 == 1
    for figure in (np.max, np.mean):
        values = np.array([figure(h) for h in heads])
        best = max(((values > t) == truth).mean() for t in np.unique(values))
        assert max(best, 1 - best) < 0.75


def test_too_small_a_head_is_refused():
    with pytest.raises(UsageError, match="too small"):
        phantom.slice2d(0, 0, True, (16, 96))


def test_a_tumour_takes_the_shape_it_is_given_within_the_brain():
    shape = np.zeros((40, 40, 40), np.uint8)
    shape[5:35, 5:35, 5:35], shape[12:28, 12:28, 12:28], shape[16:24, 16:24, 16:24] = 2, 3, 1
    _, label = phantom.volume(0, 1, True, (64, 72, 64), shape=shape)
    tissue, depth, _ = phantom.head(0, 1, (64, 72, 64), False)
    assert set(np.unique(label)) == {0, 1, 2, 3} and (depth[label > 0] < 1.5).all()
    z, y, x = np.nonzero(label == 1)
    assert np.prod([np.ptp(axis) + 1 for axis in (z, y, x)]) == z.size  # a box of necrosis stays a box
    with pytest.raises(UsageError, match="no tumour"):
        phantom.volume(0, 1, True, (64, 72, 64), shape=np.zeros((5, 5, 5), np.uint8))


def test_a_boxed_phantom_has_the_box_of_its_tumour_and_an_empty_text_without_one(tmp_path):
    for number in (0, 1):
        phantom.write_boxed(tmp_path, 0, number, bool(number), (96, 80), 0.04)
    cases = {case.id: case for case in find([tmp_path])}
    y, x = np.nonzero(phantom.slice2d(0, 1, True, (96, 80), 0.04)[1])
    assert cases["images/phantom00000"].boxes == ()
    (box,) = cases["images/phantom00001"].boxes
    np.testing.assert_allclose(box[:4], (x.min(), y.min(), x.max() + 1, y.max() + 1), atol=1e-3)
    assert box[4] == "tumour"
