import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_records import map_record

from mrilib.errors import UsageError
from mrilib.inference.postprocess import apply, check, fallback, parts_of, regions_of, scored

BRATS = map_record(values=[0, 1, 2, 4], scheme="brats2020")
PLAIN = map_record(values=[0, 1, 2])
OWN = map_record(values=[0, 1, 2], regions={"outer": [1, 2], "inner": [2]}, paint=[1, 2])
MM = (1.0, 1.0, 1.0)


def test_parts_are_regions_and_labels_by_name():
    assert parts_of(BRATS) == {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,), "necrotic": (1,), "oedema": (2,),
                               "enhancing": (4,)}  # fmt: skip
    assert scored(BRATS) == ["WT", "TC", "ET"] and scored(PLAIN) == ["1", "2"] and scored(OWN) == ["outer", "inner"]


@pytest.mark.parametrize(("record", "numbers", "value"), [
    (BRATS, (4,), 1), (BRATS, (1, 4), 2), (BRATS, (1, 2, 4), 0), (BRATS, (2,), 0), (PLAIN, (1,), 0), (OWN, (2,), 1),
    (map_record(values=[0, 1, 2, 3], scheme="msd"), (3,), 2),
    (map_record(values=[0, 1, 2, 3], scheme="msd"), (2, 3), 1),
])  # fmt: skip
def test_what_a_region_loses_stays_in_the_region_around_it(record, numbers, value):
    assert fallback(numbers, regions_of(record)) == value


def scene():
    """A tumour with a core and an enhancing spot, and two islands of oedema, one of one voxel."""
    array = np.zeros((8, 20, 20), np.uint8)
    array[2:6, 3:12, 3:12] = 2
    array[3:5, 5:9, 5:9] = 1
    array[3, 6, 6] = 4
    array[1:3, 15:18, 15:18] = 2
    array[7, 19, 0] = 2
    return array


def test_small_pieces_go_by_their_volume_in_mm():
    array = scene()
    done = apply(array, (2.0, 1.0, 1.0), {"min_volume": {"WT": 2.1}}, BRATS)
    assert done[7, 19, 0] == 0 and (done != array).sum() == 1
    assert np.array_equal(apply(array, (2.0, 1.0, 1.0), {"min_volume": {"WT": 2.0}}, BRATS), array)
    done = apply(array, MM, {"min_volume": {"ET": 5}}, BRATS)
    assert done[3, 6, 6] == 1 and (done != array).sum() == 1
    done = apply(array, MM, {"min_volume": {"TC": 1000}}, BRATS)
    assert set(np.unique(done)) == {0, 2} and np.array_equal(done > 0, array > 0)


def test_the_largest_piece_alone_is_kept():
    done = apply(scene(), MM, {"keep_largest": ["all"]}, PLAIN)
    assert (done > 0).sum() == 4 * 81 and done[1, 16, 16] == 0
    assert np.array_equal(apply(scene(), MM, {"keep_largest": ["WT"]}, BRATS), done)


def test_holes_take_the_nearest_label():
    array = scene()
    array[3:5, 8:10, 8:10] = 0
    done = apply(array, MM, {"fill_holes": ["WT"]}, BRATS)
    assert done[3, 8, 8] == 1 and done[3, 9, 9] == 2 and (done[2:6, 3:12, 3:12] > 0).all()
    assert (done != array).sum() == 8
    flat = np.zeros((1, 9, 9), np.uint8)
    flat[0, 2:7, 2:7] = 1
    flat[0, 4, 4] = 0
    assert apply(flat, MM, {"fill_holes": ["all"]}, PLAIN).sum() == 25
    assert apply(flat[0], MM[:2], {"fill_holes": ["1"]}, PLAIN).sum() == 25


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, (3, 6, 6), elements=st.sampled_from([0, 0, 1, 2, 4])),
       st.sampled_from([{"min_volume": {"ET": 2, "WT": 4}}, {"keep_largest": ["TC"]}, {"keep_largest": ["all"]},
                        {"fill_holes": ["WT"]}, {"min_volume": {"oedema": 3}}]))  # fmt: skip
def test_doing_it_twice_changes_nothing_and_only_holes_add(array, wanted):
    before = array.copy()
    once = apply(array, MM, wanted, BRATS)
    assert np.array_equal(array, before)
    assert np.array_equal(apply(once, MM, wanted, BRATS), once)
    if "fill_holes" not in wanted:
        assert not once[array == 0].any()
    else:
        assert np.array_equal(once[array > 0], array[array > 0])


@pytest.mark.parametrize("wrong", [
    {"min_volume": {"XX": 3}}, {"min_volume": {"WT": -1}}, {"threshold": {"ET": 1}}, {"keep_largest": ["5"]},
    {"threshold": {"all": 0.5}}, {"smooth": []}, {"min_volume": {"ET": float("nan")}}, {"keep_largest": "ET"},
    {"min_volume": ["ET"]}, {"threshold": {"ET": "half"}}, {"fill_holes": {"ET": 1}}, {"min_volume": 3},
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(wrong):
    check({"min_volume": {"WT": 3, "4": 2, "all": 1}, "threshold": {"ET": 0.4}, "fill_holes": ["oedema"]}, BRATS)
    with pytest.raises(UsageError):
        check(wrong, BRATS)
