"""Boxes from the cells of a detector: decoding, duplicates, mirror images and several models."""

import numpy as np
import pytest

from mrilib.inference import boxes, slices
from mrilib.models.detector import cells

SHAPE, STRIDE = (64, 96, 1), 8


def given(*found, classes=1):
    """What a detector gives that has boxes (x0, y0, x1, y1, class, score) at the cells nearest to their centres."""
    places = cells(SHAPE, STRIDE)
    values = np.zeros((len(places), 4 + classes), np.float32)
    for x0, y0, x1, y1, kind, score in found:
        cell = int(((places - [(x0 + x1) / 2, (y0 + y1) / 2]) ** 2).sum(1).argmin())
        x, y = places[cell]
        values[cell, :4], values[cell, 4 + kind] = (x - x0, y - y0, x1 - x, y1 - y), score
    return values


def test_cells_are_decoded_surest_first_and_cut_at_the_border():
    found = boxes.decode(given((8, 8, 24, 40, 0, 0.5), (70, 30, 110, 70, 1, 0.9), classes=2), SHAPE, STRIDE)
    np.testing.assert_allclose(found, [[70, 30, 96, 64, 1, 0.9], [8, 8, 24, 40, 0, 0.5]], rtol=1e-6)
    assert boxes.decode(given(), SHAPE, STRIDE).shape == (0, 6)


@pytest.mark.parametrize(("axis", "wanted"), [(2, (56, 6, 90, 26)), (1, (6, 38, 40, 58))])
def test_the_mirror_image_gives_the_same_boxes(axis, wanted):
    values = boxes.mirrored(given((*wanted, 0, 0.7))[None], SHAPE, STRIDE, axis)[0]
    np.testing.assert_allclose(boxes.decode(values, SHAPE, STRIDE)[0, :4], (6, 6, 40, 26), atol=1e-4)


def test_duplicates_of_a_class_are_left_out_or_lowered():
    found = np.array([(0, 0, 20, 20, 0, 0.9), (1, 0, 21, 20, 0, 0.8), (1, 0, 21, 20, 1, 0.7), (40, 40, 60, 60, 0, 0.6)])
    hard = boxes.suppress(found, 0.5)
    assert hard[:, 5].tolist() == [0.9, 0.7, 0.6]
    soft = boxes.suppress(found, soft=True)
    lowered = 0.8 * np.exp(-((19 / 21) ** 2) / 0.5)
    np.testing.assert_allclose(soft[:, 5], [0.9, 0.7, 0.6, lowered])
    assert boxes.suppress(found, most=2)[:, 5].tolist() == [0.9, 0.7]
    assert boxes.suppress(np.zeros((0, 6))).shape == (0, 6)


def test_boxes_of_two_models_are_fused_by_their_scores():
    one = np.array([(0, 0, 20, 20, 0, 0.9), (50, 50, 60, 60, 0, 0.4)])
    other = np.array([(2, 0, 22, 20, 0, 0.3)])
    fused = boxes.fuse([one, other])
    np.testing.assert_allclose(fused, [(0.5, 0, 20.5, 20, 0, 0.6), (50, 50, 60, 60, 0, 0.2)])
    assert boxes.fuse([np.zeros((0, 6)), np.zeros((0, 6))]).shape == (0, 6)


def test_boxes_of_neighbouring_slices_join_over_a_gap_of_one():
    box, far, other = (0, 0, 10, 10, 0, 0.4), (50, 50, 60, 60, 0, 0.9), (0, 0, 10, 10, 1, 0.3)
    moved = (2, 0, 12, 10, 0, 0.8)
    assert slices.joined([(2, [box, far]), (4, [moved, other]), (8, [box])]) == [
        (50, 50, 60, 60, 0, 0.9, 2, 3), (0, 0, 12, 10, 0, 0.8, 2, 5), (0, 0, 10, 10, 0, 0.4, 8, 9),
        (0, 0, 10, 10, 1, 0.3, 4, 5)]
    assert slices.joined([]) == []
