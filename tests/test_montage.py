"""Sheets of pictures: what is drawn where."""

import numpy as np
import pytest

from mrilib.drawing import montage
from mrilib.images.grid import Grid, Image


def image(array, spacing=None, channels=()):
    dimension = array.ndim - bool(channels)
    return Image(array, Grid.of(array.shape[:dimension], spacing), channels)


def test_a_picture_keeps_its_aspect_in_mm_and_its_order_of_grey():
    array = np.tile(np.arange(40, dtype=np.float32), (20, 1))
    shown = montage.picture(image(array, (2.0, 1.0)), 64)
    assert shown.shape == (64, 64, 3) and (shown[0, 2:] > 0).all()  # 20 voxels of 2 mm are as high as 40 of 1
    assert (np.diff(shown[32, :, 0].astype(int)) >= 0).all()
    flat = montage.picture(image(array), 64)
    assert not flat[:16].any() and not flat[48:].any() and flat[16:48].any()


def test_of_a_volume_the_slice_with_most_label_is_shown_outlined():
    array = np.zeros((5, 30, 30), np.float32)
    array[1] = 100
    label = np.zeros(array.shape, np.uint8)
    label[1, 10:20, 10:20] = 2
    shown = montage.picture(image(array), 30, label)
    edge = (shown == montage.OUTLINE_COLOURS[1]).all(-1)
    assert edge.any() and not edge[12:18, 12:18].any() and edge[9:21, 9:21].sum() == edge.sum()


def test_nan_and_flat_images_are_drawn_black_not_refused():
    assert montage.picture(image(np.full((8, 8), np.nan, np.float32)), 32).shape == (32, 32, 3)
    assert montage.picture(image(np.full((8, 8), 7, np.uint8)), 32).max() == 0


def test_a_box_is_drawn_at_its_pixels():
    shown = montage.picture(image(np.zeros((64, 64), np.uint8)), 64, boxes=((10, 20, 30, 50, "x"),))
    yellow = np.argwhere((shown == montage.BOX_COLOUR).all(-1))
    assert yellow.min(0).tolist() == [20, 10] and yellow.max(0).tolist() == [49, 29]


def test_a_montage_marks_mistakes():
    tile = montage.Tile(np.full((40, 40, 3), 90, np.uint8), ("a", "yes: no 80 %"))
    wrong = montage.Tile(tile.picture, tile.caption, wrong=True)
    sheet = montage.montage([tile, wrong, tile], 2)
    red = (sheet == montage.WRONG).all(-1)
    assert not red[:46, :46].any() and red[:3, 46:92].all()
    assert sheet.shape[1] == 2 * 46 and sheet.shape[0] % 2 == 0
    with pytest.raises(ValueError, match="no tile"):
        montage.montage([], 3)
