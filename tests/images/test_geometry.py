"""Geometry steps: every voxel stays where it was in the world."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_data import head

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample
from mrilib.images.steps.geometry import crop_to_head, pad_or_crop, resize, spacing


def ramp(grid: Grid) -> Image:
    """An image whose value is a linear function of the place in the world, which linear interpolation keeps."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1)
    return Image((grid.to_world(index) @ np.arange(1, grid.dimension + 1) + 7).astype(np.float32), grid)


def error_inside(image: Image, native: Grid, rim: float) -> float:
    """The largest error of a ramp, away from the border of the native grid by `rim` of its voxels."""
    index = np.stack(np.meshgrid(*map(np.arange, image.grid.size), indexing="ij"), -1)
    world = image.grid.to_world(index)
    place = native.to_index(world)
    inside = ((place >= rim) & (place <= np.subtract(native.size, 1 + rim))).all(-1)
    expected = world @ np.arange(1, image.grid.dimension + 1) + 7
    return float(np.abs(image.array - expected)[inside].max()) if inside.any() else 0.0


@st.composite
def grids(draw, least=6):
    n = draw(st.sampled_from([2, 3]))
    turn = draw(st.permutations(range(n)))
    signs = draw(st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n))
    direction = np.eye(n)[list(turn)] * signs
    return Grid.of(draw(st.lists(st.integers(least, 20), min_size=n, max_size=n)),
                   tuple(draw(st.lists(st.sampled_from([0.5, 1.0, 1.25, 3.0]), min_size=n, max_size=n))),
                   tuple(draw(st.lists(st.integers(-50, 50), min_size=n, max_size=n))), direction)


@settings(max_examples=60, deadline=None)
@given(grids(), st.integers(3, 30), st.sampled_from(["pad", "crop"]))
def test_resize_keeps_places(grid, size, fit):
    made, _ = resize(ramp(grid), size=[size], fit=fit)
    assert made.grid.size == (size,) * grid.dimension
    shrink = max(np.divide(made.grid.spacing, grid.spacing))
    step = max(made.grid.spacing) * sum(range(1, grid.dimension + 1))  # what one voxel along all axes makes at most
    # Pillow samples its triangle filter at whole voxels: places are right to a tenth of a voxel
    assert error_inside(made, grid, rim=shrink + 1) < 0.1 * step


@settings(max_examples=60, deadline=None)
@given(grids(), st.sampled_from([0.4, 0.8, 1.0, 2.0]))
def test_spacing_keeps_places(grid, wanted):
    made, measured = spacing(ramp(grid), spacing=[wanted])
    assert made.grid.spacing == (wanted,) * grid.dimension
    assert measured["size"] == list(made.grid.size)
    shrink = max(np.divide(made.grid.spacing, grid.spacing))
    assert error_inside(made, grid, rim=2 * shrink + 1) < 1e-2


@settings(max_examples=60, deadline=None)
@given(grids(), st.data())
def test_pad_or_crop_moves_no_value(grid, data):
    size = data.draw(st.lists(st.integers(1, 30), min_size=grid.dimension, max_size=grid.dimension))
    made, measured = pad_or_crop(ramp(grid), size=size)
    assert made.grid.size == tuple(size)
    assert error_inside(made, grid, rim=0) < 1e-3
    assert np.allclose(made.grid.origin, grid.to_world(measured["start"]))


@settings(max_examples=30, deadline=None)
@given(grids(), grids())
def test_resample_agrees_with_the_world(grid, other):
    target = Grid.of([8] * grid.dimension, (0.5,) * grid.dimension, tuple(grid.to_world(np.array(grid.size) / 3)))
    assert error_inside(resample(ramp(grid), target), grid, rim=3) < 1e-2


def test_a_label_map_comes_back_to_the_native_grid():
    labels = np.zeros((40, 50), np.uint8)
    labels[10:20, 15:35] = 4
    native = Image(labels, Grid.of(labels.shape, (0.5, 0.7), (3.0, -2.0)))
    there = resample(native, resize(native, size=[160])[0].grid, order=0)
    back = resample(there, native.grid, order=0)
    assert set(np.unique(there.array)) == {0, 4} and there.array.dtype == np.uint8
    assert (back.array == labels).mean() > 0.99


def test_resample_equals_simpleitk():
    import SimpleITK as sitk

    from mrilib.images.io.itk import to_itk

    array = np.random.default_rng(0).random((9, 20, 17)).astype(np.float32)
    image = Image(array, Grid.of(array.shape, (3.0, 1.0, 1.2), (1.0, 2.0, 3.0)))
    target = Grid.of((12, 18, 18), (2.0, 0.9, 0.8), (2.0, 3.0, 4.0))
    reference = to_itk(Image(np.zeros(target.size, np.float32), target))
    theirs = sitk.GetArrayFromImage(sitk.Resample(to_itk(image), reference, sitk.Transform(), sitk.sitkLinear, -1.0))
    assert np.allclose(resample(image, target, outside=-1.0).array, theirs, atol=1e-5)


def test_shrinking_is_antialiased_as_in_scikit_image():
    from skimage.transform import resize as theirs

    picture = head(3, 256, 256).astype(np.float32)
    made, _ = resize(Image(picture, Grid.of(picture.shape)), size=[64])
    other = theirs(picture, (64, 64), order=1, anti_aliasing=True, preserve_range=True)
    assert np.abs(made.array - other).mean() < 0.02 * picture.max()
    stripes = np.tile([0.0, 100.0], (64, 32)).astype(np.float32)
    flat, _ = resize(Image(stripes, Grid.of(stripes.shape)), size=[16])
    assert np.abs(flat.array - 50).max() < 15  # point sampling would give stripes or a constant 0


def test_one_number_stands_for_all_axes():
    flat, volume = (Image(np.random.default_rng(0).random(s), Grid.of(s)) for s in ((10, 12), (5, 10, 12)))
    assert resize(flat, size=[24])[0].grid.size == (24, 24)
    assert resize(volume, size=24)[0].grid.size == (24, 24, 24)
    assert spacing(volume, spacing=[0.5])[0].grid.size == (10, 20, 24)
    with pytest.raises(CaseError, match="size has 2 numbers"):
        resize(volume, size=[24, 24])
    for wrong in (0, -3, 2.5):
        with pytest.raises(UsageError):
            pad_or_crop(flat, size=[wrong])


def test_pixels_that_are_not_square_become_so():
    image = Image(np.random.default_rng(0).random((20, 40)), Grid.of((20, 40), (2.0, 1.0)))
    made, _ = resize(image, size=[40])
    assert np.allclose(made.grid.spacing, (1.0, 1.0))


@pytest.mark.parametrize(("air", "frame"), [(0, 0), (0, 1), (0, 2), (0, 4), (20, 0), (20, 4), (255, 0)])
def test_the_crop_holds_the_head_and_little_else(air, frame):
    brain = head(2, 120, 100)
    inside = np.full((200, 220), air, np.uint8)
    inside[30:150, 60:160] = np.where(brain > 40, np.where(air > 100, 110, brain), air)
    truth = [np.flatnonzero((inside != air).any(1 - axis)) for axis in (0, 1)]
    if frame:
        inside[:frame] = inside[-frame:] = inside[:, :frame] = inside[:, -frame:] = 255
    inside[185:190, 5:9] = 200  # a letter
    made, measured = crop_to_head(Image(inside, Grid.of(inside.shape)))
    low, high = measured["box"]
    for axis in (0, 1):
        assert -3 <= truth[axis][0] - low[axis] <= 3
        assert -3 <= high[axis] - 1 - truth[axis][-1] <= 3
    assert np.allclose(made.grid.origin, low)


def test_the_crop_keeps_a_dim_scalp_beside_a_bright_lesion():
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    array = np.zeros((200, 200), np.float32)
    array[(x**2 + y**2 < 0.8**2) & (x**2 + y**2 > 0.65**2)] = 45
    array[x**2 + y**2 < 0.6**2] = 60
    array[(x - 0.2) ** 2 + y**2 < 0.35**2] = 255
    low, high = crop_to_head(Image(array, Grid.of(array.shape)))[1]["box"]
    assert max(low) <= 22 and min(high) >= 178


def test_the_margin_is_in_mm():
    array = np.zeros((100, 100), np.float32)
    array[40:60, 30:70] = 100
    image = Image(array, Grid.of(array.shape, (2.0, 1.0)))
    (low, high), (wide_low, wide_high) = (crop_to_head(image, margin=m)[1]["box"] for m in (0, 10))
    assert np.array_equal(np.subtract(low, wide_low), [5, 10])
    assert np.array_equal(np.subtract(wide_high, high), [5, 10])


def test_what_cannot_be_cropped_or_scaled_says_so():
    flat = Image(np.full((9, 9), 3.0), Grid.of((9, 9)))
    with pytest.raises(CaseError, match="no head"):
        crop_to_head(flat)
    with pytest.raises(CaseError, match="NaN"):
        resize(flat.with_array(np.full((9, 9), np.nan)), size=[4])


def test_the_fast_opening_and_percentile_are_those_of_the_libraries():
    from scipy import ndimage

    from mrilib.images.steps.foreground import opened, tenth

    rng = np.random.default_rng(0)
    for shape in ((256, 200), (1, 5), (2, 2), (1, 1), (50, 3), (20, 30, 10)):
        for share in (0.0, 0.6, 0.95, 1.0):
            mask = rng.random(shape) < share
            assert np.array_equal(opened(mask), ndimage.binary_opening(mask)), (shape, share)
    for count in (1, 2, 3, 7, 11, 996, 1020, 4097):
        values = (rng.random(count) * 255).astype(np.float32)
        assert tenth(values) == pytest.approx(np.percentile(values, 10), rel=1e-6)
