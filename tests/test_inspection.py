"""What a set of cases is said to hold."""

import numpy as np
import pytest
from PIL import Image

from mrilib import cases, inspection
from mrilib.errors import CaseError
from mrilib.inspection import describe, facts, summary


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(path)


def raise_it(error):
    raise error


def told(folder):
    return dict(inspection.inspect(folder, jobs=1, on_error=raise_it).lines)


def pattern(seed, shape=(40, 48)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def volume(path, array, spacing):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def test_sizes_are_told_in_x_y_order_from_least_to_most(tmp_path):
    for i, shape in enumerate(((40, 48), (60, 50), (44, 90))):
        save(tmp_path / f"{i}.png", pattern(i, shape))
    assert told(tmp_path)["size"] == "48 x 40 to 90 x 60, median 50 x 44"
    one = facts.facts_of(next(cases.find([tmp_path / "1.png"])))
    assert one.size == (50, 60) and one.stored_as == "uint8" and one.low == pattern(1, (60, 50)).min()


def test_a_picture_is_not_said_to_have_pixels_of_one_mm(tmp_path):
    save(tmp_path / "a.png", pattern(1))
    assert told(tmp_path)["spacing, mm"] == "1, or not stated, in 1 pictures"
    volume(tmp_path / "b.nii.gz", np.stack([pattern(i) for i in range(5)]), (1.0, 0.5, 3.0))
    assert told(tmp_path)["spacing, mm"] == "1 x 0.5 x 3; 1, or not stated, in 1 pictures"


def test_colours_that_differ_are_channels_and_grey_stored_as_colour_is_not(tmp_path):
    save(tmp_path / "grey.png", np.repeat(pattern(1)[..., None], 3, -1))
    save(tmp_path / "colour.png", np.stack([pattern(i) for i in range(3)], -1))
    assert told(tmp_path)["channels"] == "1 image, 1 red green blue"


def test_copies_and_their_contradictions_are_told(tmp_path):
    for i in range(4):
        save(tmp_path / ("yes" if i % 2 else "no") / f"{i}.png", pattern(i))
    save(tmp_path / "yes/again.png", pattern(0))
    lines = told(tmp_path)
    assert lines["classes"] == "3 yes, 2 no"
    assert lines["copies"] == "1 exact, 0 near pairs; 4 groups are left to split"
    assert lines["copies of different class"] == ("1 pair: no/0 (no) and yes/again (yes) (correct the class or leave "
                                                  "them out; --copies FILE lists all pairs)")


def test_label_maps_are_counted_and_must_hold_whole_numbers_of_the_same_size(tmp_path):
    save(tmp_path / "a.png", pattern(1))
    label = np.zeros((40, 48), np.uint8)
    label[5:9, 5:9] = 3
    save(tmp_path / "a_mask.png", label)
    save(tmp_path / "b.png", pattern(2))
    lines = told(tmp_path)
    assert lines["label maps"] == "1 of 2" and lines["labels"] == "0 background in 1, 3 in 1"
    save(tmp_path / "a_mask.png", label[:-1])
    with pytest.raises(CaseError, match="voxels"):
        told(tmp_path)
    for bad in (0.5, np.nan):
        folder = tmp_path / str(bad)
        volume(folder / "v.mha", np.ones((4, 5, 6), np.float32), (1.0, 1.0, 1.0))
        volume(folder / "v_seg.mha", np.full((4, 5, 6), bad, np.float32), (1.0, 1.0, 1.0))
        with pytest.raises(CaseError, match="whole numbers"):
            told(folder)


def test_a_case_that_holds_nan_is_damaged_and_no_case_is_no_line(tmp_path):
    volume(tmp_path / "v.mha", np.full((4, 5, 6), np.nan, np.float32), (1.0, 1.0, 1.0))  # ITK reads 0 from a NIfTI
    with pytest.raises(CaseError, match="NaN"):
        told(tmp_path)
    assert summary.content([], []) == []


def test_a_models_record_is_told_and_what_it_lacks_left_out():
    training = {"curve": [{"epoch": 3, "loss": 0.25}], "counts": {"train": {"no": 4, "yes": 6}}}
    record = {"task": "classify", "classes": ["no", "yes"], "shape": [96, 80, 1],
              "settings": {"epochs": 3, "freeze": False}, "training": training}  # fmt: skip
    lines = dict(describe(record))
    assert lines["classes"] == "no, yes" and lines["input"].startswith("96 x 80 x 1")
    assert lines["train"] == "10 cases: 6 yes, 4 no" and lines["last epoch"] == "epoch 3, loss 0.25"
    assert lines["recipe"] == "as given" and lines["settings"] == "epochs 3" and "versions" not in lines


def test_the_values_of_bytes_are_counted_as_those_of_any_type_are():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (2, 1), (7, 5, 1), (6, 4, 3), (4, 5, 6, 2)):
        for high in (1, 2, 200, 256):
            array = rng.integers(0, high, shape).astype(np.uint8)
            expected = (array.min(), np.median(array), array.max())
            assert facts.low_median_high(array) == facts.low_median_high(array.astype(np.int16)) == expected
