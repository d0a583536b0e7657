"""Distances between surfaces: worked examples, plain distance maps, and what must hold for any pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mrilib.evaluation.metrics import lesions, segmentation, surface


def balls(shape, *many):
    grid = np.indices(shape)
    made = np.zeros(shape, np.uint8)
    for *centre, radius in many:
        away = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        made[away <= radius**2] = 1
    return made


def test_two_boxes_by_hand():
    one, other = np.zeros((10, 12, 14), np.uint8), np.zeros((10, 12, 14), np.uint8)
    one[2:6, 3:8, 4:9] = 1
    other[2:6, 3:8, 7:12] = 1  # three voxels on along x
    for elements in (True, False):
        apart = surface.between(one, other, (2.0, 1.0, 0.5), elements)
        assert surface.percentile(apart, 100) == pytest.approx(1.5)
    assert surface.within(surface.between(one, other, (2, 1, 0.5)), 1.5) == 1
    square = np.zeros((10, 10), np.uint8)
    square[3:7, 3:7] = 1
    apart = surface.between(square, square, (1.0, 1.0))
    assert apart.reference_sizes.sum() == pytest.approx(12 + 4 * np.sqrt(0.5))  # corners are cut
    assert (surface.percentile(apart, 95), surface.mean(apart), surface.within(apart, 0)) == (0, 0, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1.0, 1.0, 1.0), (4.0, 0.8, 1.1), (1.0, 2.5)]), st.booleans())
def test_distances_are_those_of_a_distance_map(seed, spacing, elements):
    rng = np.random.default_rng(seed)
    shape = (9, 12, 11) if len(spacing) == 3 else (30, 24)
    one, other = ((rng.random(shape) < rng.choice([0.002, 0.05, 0.5])).astype(np.uint8) for _ in range(2))
    one.flat[0] = other.flat[-1] = 1
    mine = surface.between(one, other, spacing, elements)
    if elements:
        edges = [surface.is_surface(surface.codes(mask)) for mask in (one, other)]
    else:
        edges = [mask.astype(bool) ^ ndimage.binary_erosion(mask) for mask in (one, other)]
    for away, points, targets in ((mine.to_reference, *edges), (mine.to_prediction, *edges[::-1])):
        assert np.allclose(away, ndimage.distance_transform_edt(~targets, sampling=spacing)[points], atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_swapped_turned_and_scaled_pairs_keep_their_distances(seed):
    rng = np.random.default_rng(seed)
    one, other = ((ndimage.gaussian_filter(rng.normal(size=(12, 13, 14)), 1) > 0.1).astype(np.uint8) for _ in range(2))
    spacing = (2.0, 1.0, 1.5)
    apart, back = surface.between(one, other, spacing), surface.between(other, one, spacing)
    turned = surface.between(one.transpose(2, 0, 1), other.transpose(2, 0, 1), (1.5, 2.0, 1.0))
    double = surface.between(one, other, (4.0, 2.0, 3.0))
    flipped = surface.between(one[::-1, :, ::-1], other[::-1, :, ::-1], spacing)
    for percent in (50, 95, 100):
        value = surface.percentile(apart, percent)
        assert surface.percentile(back, percent) == pytest.approx(value)
        assert surface.percentile(turned, percent) == surface.percentile(flipped, percent) == pytest.approx(value)
        assert surface.percentile(double, percent) == pytest.approx(2 * value)
    assert surface.mean(turned) == pytest.approx(surface.mean(apart))
    assert surface.within(double, 2) == pytest.approx(surface.within(apart, 1))


def test_area_of_a_ball_and_its_distance_to_a_wider_one():
    small, wide = balls((50, 50, 50), (25, 25, 25, 15)), balls((50, 50, 50), (25, 25, 25, 18))
    apart = surface.between(small, wide, (1.0, 1.0, 1.0))
    assert apart.prediction_sizes.sum() == pytest.approx(4 * np.pi * 15.3**2, rel=0.06)
    assert 2.3 < surface.mean(apart) < 3.1  # elements of stairs lie up to a voxel's diagonal inwards or outwards
    assert 2.5 < surface.percentile(apart, 95) < 3.7
    with pytest.raises(ValueError, match="empty"):
        surface.between(small, np.zeros_like(small), (1, 1, 1))


def test_lesions_by_hand():
    shape = (20, 60, 60)
    truth = balls(shape, (10, 12, 12, 5), (10, 40, 40, 5), (10, 12, 45, 1))  # the last of 7 mm3: left out
    called = balls(shape, (10, 12, 13, 5), (10, 50, 10, 4))
    made = lesions.lesion_wise(called, truth, (1.0, 1.0, 1.0))
    one, same = balls(shape, (10, 12, 12, 5)), balls(shape, (10, 12, 13, 5))
    dice = 2 * (one & same).sum() / (one.sum() + same.sum())
    hd95 = surface.percentile(surface.between(same, one, (1.0, 1.0, 1.0)), 95)
    assert made == pytest.approx({"lesion_dice": dice / 3, "lesion_hd95": (hd95 + 374 * 2) / 3, "lesion_f1": 0.5,
                                  "lesions_found": 1, "lesions_missed": 1, "lesions_made_up": 1})
    near = balls(shape, (10, 12, 12, 4), (10, 12, 23, 4))  # two voxels apart: one lesion once dilated
    assert lesions.lesion_wise(called, near, (1.0, 1.0, 1.0))["lesions_found"] == 1
    apart = lesions.Settings(dilation=0, min_volume=0)
    assert lesions.lesion_wise(called, near, (1.0, 1.0, 1.0), apart)["lesions_missed"] == 1
    corner = np.zeros((6, 6), np.uint8)
    corner[1, 1] = corner[2, 2] = 1
    assert lesions.lesion_wise(corner, corner, (1.0, 1.0), apart)["lesions_found"] == 1
    by_faces = lesions.Settings(dilation=0, connectivity=6, min_volume=0)
    assert lesions.lesion_wise(corner, corner, (1.0, 1.0), by_faces)["lesions_found"] == 2


def test_no_lesion_anywhere_or_on_one_side():
    nothing, something = np.zeros((9, 9, 9), np.uint8), balls((9, 9, 9), (4, 4, 4, 3))
    names = ("lesion_dice", "lesion_hd95", "lesion_f1")
    for pair, values in (((nothing, nothing), (1, 0, 1)), ((something, nothing), (0, 374, 0)),
                         ((nothing, something), (0, 374, 0))):
        made = lesions.lesion_wise(*pair, (1.0, 1.0, 1.0))
        assert tuple(made[name] for name in names) == values


def test_grown_masks_are_scipy_s():
    rng = np.random.default_rng(0)
    for shape, rank in (((12, 14, 10), 2), ((30, 20), 1)):
        mask = rng.random(shape) < 0.01
        expected = ndimage.binary_dilation(mask, ndimage.generate_binary_structure(len(shape), rank), iterations=3)
        assert (lesions.dilated(mask, 3) == expected).all()


@pytest.mark.parametrize(("pair", "state", "dice", "distance", "lesion"), [
    ("nothing nothing", "both_empty", 1, 0, 1), ("something nothing", "reference_empty", 0, np.sqrt(600), 0),
    ("nothing something", "prediction_empty", 0, np.sqrt(600), 0), ("something something", "", 1, 0, 1),
])  # fmt: skip
def test_empty_parts_by_the_stated_rule(pair, state, dice, distance, lesion):
    maps = {"nothing": np.zeros((10, 10, 10), np.uint8), "something": balls((10, 10, 10), (4, 4, 4, 3))}
    given_maps = [maps[name] for name in pair.split()]
    found = segmentation.measure(*given_maps, (2.0, 1.0, 1.0), {"it": (1,)})["it"]
    assert found["state"] == state and found["dice"] == dice and found["nsd_1mm"] == dice
    assert found["hd95"] == found["hd"] == found["assd"] == pytest.approx(distance)
    assert found["lesion_dice"] == lesion
    undefined = segmentation.measure(*given_maps, (2, 1, 1), {"it": (1,)}, None, segmentation.Settings(empty="skip"))
    assert np.isnan(undefined["it"]["hd95"]) == bool(state)


def test_what_is_not_asked_for_is_not_there():
    one = balls((10, 10, 10), (4, 4, 4, 3))
    few = segmentation.Settings(surfaces=False, lesions=None)
    assert list(segmentation.measure(one, one, (1, 1, 1), {"it": (1,)}, None, few)["it"])[:-1] == few.metrics
    every = segmentation.Settings(tolerances=(1, 2.5))
    found = segmentation.measure(one, one, (1, 1, 1), {"it": (1,)}, None, every)["it"]
    assert list(found)[:-1] == every.metrics and found["nsd_2.5mm"] == 1
    assert list(segmentation.missing({"it": (1,)}, one, (1, 1, 1), every)["it"])[:-1] == every.metrics
