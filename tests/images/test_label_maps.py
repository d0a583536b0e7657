"""Label maps: whole numbers in whatever type they are stored, on their image's grid or brought to it, or refused."""

import numpy as np
import pytest
from pipeline_data import save

from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk, nifti

GRID = Grid.of((6, 8, 10), (2.0, 1.0, 1.0), (5.0, 6.0, 7.0))


def case(folder, array, grid=GRID, scheme=None, suffix=".mha"):
    import SimpleITK as sitk

    path = folder / f"label{suffix}"
    sitk.WriteImage(itk.to_itk(Image(array, grid)), str(path))
    return Case("p", folder, {"image": path}, label=path, scheme=scheme)


def blocks(kind, values=(0, 1, 2, 4)):
    return np.resize(np.repeat(values, 5), GRID.size).astype(kind)


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_whole_numbers_of_any_type(kind, tmp_path):
    label = files.read_label(case(tmp_path, blocks(kind), suffix=".nii.gz"), GRID)
    assert label.array.dtype == np.uint8 and np.array_equal(label.array, blocks("u1")) and label.grid.same_as(GRID)


@pytest.mark.parametrize(("values", "kind", "numbers"), [
    ((0, 255), "u1", {0, 1}), ((0, 65535), "u2", {0, 1}), ((0, 128, 255), "u1", {0, 128, 255}), ((255,), "u1", {1}),
    ((0, 255), "f4", {0, 1}), ((0, 1), "u1", {0, 1}),
])  # fmt: skip
def test_a_mask_of_black_and_white_is_nought_and_one(values, kind, numbers, tmp_path):
    assert set(np.unique(files.read_label(case(tmp_path, blocks(kind, values))).array)) == numbers


def test_numbers_that_were_scaled_to_integers_are_whole_again(tmp_path):
    """As SPM writes a mask, 255 times 1/255, and nibabel floats into a header of int16."""
    from mrilib.evaluation import foreign

    for kind, values, slope in (("u1", (0, 255), 1 / 255), ("i2", (0, 8192, 16383, 32767), 4 / 32767)):
        head = bytearray(nifti.header_bytes(Image(blocks(kind, values), GRID)))
        head[112:120] = np.array([slope, 0], "<f4").tobytes()
        (path := tmp_path / "a.nii").write_bytes(bytes(head) + blocks(kind, values).tobytes())
        label = files.read_label(Case("p", tmp_path, {"image": path}, label=path))
        assert np.array_equal(label.array, blocks("u1", np.rint(np.multiply(values, slope))))
        assert np.array_equal(files.whole_numbers(foreign.read(path).array), label.array)


@pytest.mark.parametrize(("array", "said"), [
    (np.full(GRID.size, 0.5, np.float32), "label.mha: is no label map: it holds other values than whole numbers"),
    (np.full(GRID.size, np.nan, np.float32), "is no label map: it holds NaN or infinite values"),
    (np.full(GRID.size, -1, np.int16), "is no label map: it holds -1 to -1, labels are 0 to 255"),
    (np.full(GRID.size, 300, np.int16), "is no label map: it holds 300 to 300"),
    (np.zeros((*GRID.size, 2), np.float32), "is no label map: it holds 2 channels"),
])  # fmt: skip
def test_what_is_no_label_map(array, said, tmp_path):
    with pytest.raises(CaseError, match=said):
        files.read_label(case(tmp_path, array))


def test_a_number_that_the_scheme_lacks(tmp_path):
    assert files.read_label(case(tmp_path, blocks("u1"), scheme="brats2020")).array.max() == 4
    with pytest.raises(CaseError, match=r"label.mha: label 4 is not in scheme brats2023 .0 1 2 3."):
        files.read_label(case(tmp_path, blocks("u1"), scheme="brats2023"))


def test_another_grid_that_covers_the_image_is_brought_to_it(tmp_path):
    fine = Grid.of((24, 16, 20), (0.5, 0.5, 0.5), tuple(GRID.to_world((0, 0, 0)) - (0.75, 0.25, 0.25)))
    array = np.repeat(np.repeat(np.repeat(blocks("u1"), 4, 0), 2, 1), 2, 2)
    label = files.read_label(case(tmp_path, array, fine), GRID)
    assert np.array_equal(label.array, blocks("u1")) and label.grid.same_as(GRID)
    flipped = Grid.of(GRID.size, GRID.spacing, tuple(GRID.to_world((5, 0, 0))), np.diag((-1.0, 1.0, 1.0)))
    label = files.read_label(case(tmp_path, blocks("u1")[::-1], flipped), GRID)
    assert np.array_equal(label.array, blocks("u1"))


@pytest.mark.parametrize(("grid", "said"), [
    (Grid.of(GRID.size, GRID.spacing), "covers 5 % of its image .* of 10x8x6, 1,1,2 mm"),  # its header lost
    (Grid.of(GRID.size, (1.0, 1.0, 1.0), GRID.origin), "covers 50 % of its image .* of 10x8x6, 1,1,1 mm"),
    (Grid.of((5, 8, 10), GRID.spacing, GRID.origin), "covers 83 % of its image .* of 10x8x5, 1,1,2 mm"),
    (Grid.of((8, 10)), "is 2D, its image 3D"),
])  # fmt: skip
def test_another_grid_that_does_not_cover_the_image_is_refused(grid, said, tmp_path):
    with pytest.raises(CaseError, match=f"label.mha: {said}"):
        files.read_label(case(tmp_path, np.zeros(grid.size, np.uint8), grid), GRID)


def test_a_mask_of_a_picture_must_be_of_its_size(tmp_path):
    save(tmp_path / "a.png", np.zeros((10, 12), np.uint8))
    save(tmp_path / "a_mask.png", np.zeros((10, 13), np.uint8))
    one = Case("a", tmp_path, {"image": tmp_path / "a.png"}, label=tmp_path / "a_mask.png")
    with pytest.raises(CaseError, match="is of 13x10 voxels, its image of 12x10"):
        files.read_label(one, files.read_case(one).grid)


def test_a_jpeg_keeps_no_numbers(tmp_path):
    mask = np.zeros((40, 50), np.uint8)
    save(tmp_path / "empty.jpg", mask)
    mask[11:23, 13:31] = 255
    save(tmp_path / "mask.jpg", mask)
    empty, full = (Case("a", tmp_path, {}, label=tmp_path / name) for name in ("empty.jpg", "mask.jpg"))
    assert not files.read_label(empty).array.any()
    with pytest.raises(CaseError, match="mask.jpg: is no label map: JPEG does not keep its numbers .save masks as"):
        files.read_label(full)
