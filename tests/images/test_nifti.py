"""NIfTI headers that place an image in two ways, or askew, are refused in a line; --fix-orientation takes them."""

import gzip
import struct
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk, nifti, placement

SIZE = (4, 5, 6)


def turned(angles):
    x, y, z = angles
    about = [np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]),
             np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]),
             np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])]
    return about[0] @ about[1] @ about[2]


def save(path, grid, seed=0):
    array = np.random.default_rng(seed).normal(size=grid.size).astype(np.float32)
    sitk.WriteImage(itk.to_itk(Image(array, grid)), str(path))
    return array


def patched(path, change):
    """Rewrite a .nii with its 12 numbers of the sform, and its codes, changed."""
    raw = bytearray(path.read_bytes())
    rows = np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)
    codes = change(rows) or (1, 1)
    struct.pack_into("<12f", raw, 280, *rows.ravel())
    struct.pack_into("<hh", raw, 252, *codes)
    path.write_bytes(raw)
    return rows


@settings(max_examples=40, deadline=None)
@given(angles=st.lists(st.floats(-3.1, 3.1), min_size=3, max_size=3), flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
       spacing=st.tuples(*[st.sampled_from([0.4, 1.0, 5.5])] * 3))
def test_the_header_gives_the_grid_that_itk_gives(tmp_path_factory, angles, flips, spacing):
    path = tmp_path_factory.mktemp("place") / "a.nii"
    grid = Grid.of(SIZE, spacing, (10.0, -20.0, 33.0), turned(angles) * flips)
    array = save(path, grid)
    found = placement.of(nifti.header(path.read_bytes()))
    assert placement.wrong(found) is None
    assert placement.grid(found).same_as(grid, 1e-3)
    back = files.read(path)
    assert back.grid.same_as(grid, 1e-3) and np.array_equal(back.array, array)


@pytest.mark.parametrize("tilt", [0, 1e-4, 5e-4, 2e-3, 2e-2])
def test_rounding_of_a_quaternion_near_half_a_turn_is_no_conflict(tilt):
    """Coronal volumes, as FreeSurfer's (LIA): of so large a one float32 leaves the ends a third of a voxel apart."""
    size = (256, 512, 512)
    array = np.broadcast_to(np.uint8(0), size)
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            turn = turned((tilt, tilt, -tilt)) @ np.eye(3)[:, order] * signs
            head = nifti.header_bytes(Image(array, Grid.of(size, (1.0, 0.5, 0.5), direction=turn)))
            assert placement.wrong(placement.of(nifti.header(head))) is None


def shift(rows):
    rows[0, 3] += 7


def flip(rows):
    rows[0] *= -1


def skew(rows):
    rows[0, 1] = 0.1
    return 0, 1


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("change", "said"), [
    (shift, "its qform and sform put it in two places, up to 7 mm apart .--fix-orientation takes the sform"),
    (flip, "its qform and sform put it in two places"),
    (skew, "the axes of its sform are 2.9 degrees off a right angle .--fix-orientation takes the nearest"),
])  # fmt: skip
def test_a_header_in_conflict_is_refused_or_taken_by_its_sform(change, said, zipped, tmp_path):
    path = tmp_path / "a.nii"
    array = save(path, Grid.of(SIZE, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)))
    rows = patched(path, change)
    if zipped:
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.nii.gz"
    with pytest.raises(CaseError, match=said):
        files.read(path)
    image = files.read(path, fix=True)
    assert np.array_equal(image.array, array)
    corner = np.array([(0, 0, 0), (3, 4, 5)], float)  # z y x
    wanted = corner[:, ::-1] @ rows[:, :3].T + rows[:, 3]  # RAS, x y z
    have = image.grid.to_world(corner)[:, ::-1] * (-1, -1, 1)
    assert np.abs(have - wanted).max() < (0.3 if change is skew else 1e-4)
    direction = np.array(image.grid.direction)
    assert np.allclose(direction @ direction.T, np.eye(3), atol=1e-6)


def test_a_header_that_gives_one_place_or_none_is_no_conflict(tmp_path):
    path = tmp_path / "a.nii"
    for codes in ((0, 4), (1, 0), (0, 0)):
        save(path, Grid.of(SIZE, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)))
        patched(path, lambda rows, codes=codes: (shift(rows), codes)[1])
        assert files.read(path).grid.spacing == (3, 2, 1)
    assert np.array_equal(files.read(path, fix=True).array, files.read(path).array)


@pytest.mark.parametrize("off", [3e-5, 3e-4, 9e-4])
def test_axes_that_rounding_has_skewed_are_read_where_the_sform_stands_alone(off, tmp_path):
    """ITK refuses them from about 2e-4 on, and nothing helped: they are too straight to be mended."""
    from mrilib.evaluation import foreign

    path = tmp_path / "a.nii"
    array = save(path, Grid.of(SIZE, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)))

    def change(rows):
        rows[0, 1] = 2 * off
        return 0, 1

    patched(path, change)
    for image in (files.read(path), foreign.read(path)):
        assert np.array_equal(image.array, array)
        assert image.grid.same_as(Grid.of(SIZE, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)), 0.02)
    assert foreign.grid(path).same_as(files.read(path, fix=True).grid)


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1)])
def test_a_length_below_nought_mirrors_nothing(codes, tmp_path):
    path, grid = tmp_path / "a.nii", Grid.of(SIZE, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0), turned((0.3, -0.2, 0.5)))
    array = save(path, grid)
    patched(path, lambda rows: codes)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<f", raw, 80, -1.0)
    path.write_bytes(raw)
    image = files.read(path)
    assert np.array_equal(image.array, array) and image.grid.same_as(grid)


def test_what_cannot_be_read_of_a_mended_file_is_said_of_that_file(tmp_path):
    from mrilib.evaluation import foreign

    path = tmp_path / "a.nii"
    save(path, Grid.of(SIZE, (3.0, 2.0, 1.0)))
    raw = bytearray(path.read_bytes()[:352] + bytes(8 * np.prod(SIZE)))
    struct.pack_into("<hh", raw, 70, 32, 64)  # complex numbers
    struct.pack_into("<f", raw, 80, -1.0)
    path.write_bytes(raw)
    for read in (files.read, foreign.read):
        with pytest.raises(CaseError, match=r"a\.nii: holds complex numbers .save their magnitude"):
            read(path)


def test_one_slice_whose_place_is_mended_is_2d_for_training_and_for_scoring(tmp_path):
    from mrilib.evaluation import foreign

    path = tmp_path / "a.nii"
    array = save(path, Grid.of((1, 5, 6), (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)))
    patched(path, shift)
    one, other = files.read(path, fix=True), foreign.read(path, fix=True)
    assert np.array_equal(one.array, array[0]) and np.array_equal(other.array, array[0])
    assert one.grid.same_as(other.grid) and one.grid.same_as(foreign.grid(path, fix=True))
