"""The one resampling: equal to SimpleITK's of the same transform, whatever bends the image, the way and the threads."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from mrilib.images.augment import affine, splines, transforms, warp
from mrilib.images.augment import draw as augment
from mrilib.images.grid import Grid, Image
from mrilib.images.io.itk import to_itk
from mrilib.images.steps.foreground import border, outline

SPACING = {2: (1.5, 0.8), 3: (3.0, 1.0, 1.2)}
AFFINE = {2: {"rotate": [17.0], "shear": [4.0, -7.0], "stretch": [1.1, 0.9], "shift": [2.3, -1.1]},
          3: {"rotate": [7.0, -12.0, 20.0], "shear": [3.0, 0.0, -4.0, 2.0, 0.0, 1.0], "stretch": [1.0, 1.2, 0.9],
              "scale": 1.05, "shift": [1.0, -2.5, 3.1], "flip": ["lr"]}}  # fmt: skip
ELASTIC = {"elastic": 4.0, "elastic_width": 12.0, "seed": 5}


def picture(shape, channels=1):
    """Smooth values, (*shape, channels), and a label map."""
    cells = tuple(max(1, n // 5) for n in shape)
    points = np.random.default_rng(1).random((*splines.control_shape(shape, cells), channels))
    array = splines.field(points, shape).astype(np.float32)
    return array, (array[..., 0] > np.median(array[..., 0])).astype(np.uint8) * 3


def theirs(array, drawn, grid, how, outside):
    """One channel resampled by SimpleITK through the field of displacements that `places` says."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1)
    away = (warp.places(drawn, grid) - index) * grid.spacing
    field = sitk.GetImageFromArray(np.ascontiguousarray(away[..., ::-1]), isVector=True)
    image = to_itk(Image(array, grid))
    field.CopyInformation(image)
    return sitk.GetArrayFromImage(sitk.Resample(image, image, sitk.DisplacementFieldTransform(field), how, outside))


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("shape", [(50, 60), (11, 30, 26)])
def test_it_agrees_with_simpleitk(shape, bent):
    n = len(shape)
    grid, (array, label) = Grid.of(shape, SPACING[n]), picture(shape, 4)
    drawn = {**AFFINE[n], **(ELASTIC if bent else {})}
    if bent and n == 2:
        drawn["perspective"] = [3.0, -2.0, 0.0, 4.0, -3.0, 1.0, 2.0, 2.0]
    made, moved = augment.apply_pair(array, label, drawn, grid.spacing)
    for i in range(4):
        want = theirs(array[..., i], drawn, grid, sitk.sitkLinear, float(border(array[..., i]).min()))
        assert np.abs(made[..., i] - want).max() < 1e-4
        alone = augment.apply_pair(array[..., i : i + 1], None, drawn, grid.spacing)[0]
        assert np.allclose(alone[..., 0], made[..., i], atol=1e-6)
    assert (moved != theirs(label, drawn, grid, sitk.sitkNearestNeighbor, 0)).mean() < 1e-3
    whole = {**drawn, "interpolation": "cubic", "labels": "smooth"}
    cubic, smooth = augment.apply_pair(array, label, whole, grid.spacing)
    want = theirs(array[..., 0], drawn, grid, sitk.sitkBSpline, 0)
    inside = (slice(2, -2),) * n
    within = ((warp.places(drawn, grid) >= 2) & (warp.places(drawn, grid) <= np.subtract(shape, 3))).all(-1)
    assert np.abs(cubic[..., 0] - want)[within].max() < 0.02 > np.abs(cubic - made)[within].mean()
    gauss = theirs(label, drawn, grid, sitk.sitkLabelLinear, 0)
    assert (smooth[inside] != gauss[inside]).mean() < 0.01 and set(np.unique(smooth)) == {0, 3}


@pytest.mark.parametrize("shape", [(50, 60), (11, 30, 26)])
def test_the_elastic_field_is_the_bspline_of_itk(shape):
    grid = Grid.of(shape, SPACING[len(shape)])
    points = warp.controls(ELASTIC, grid) * grid.spacing
    spline = sitk.BSplineTransform(len(shape), 3)
    spline.SetTransformDomainMeshSize([k - 3 for k in points.shape[:-1]][::-1])
    spline.SetTransformDomainPhysicalDimensions((np.subtract(shape, 1) * grid.spacing)[::-1].tolist())
    spline.SetParameters(np.moveaxis(points[..., ::-1], -1, 0).ravel().tolist())
    image = to_itk(Image(picture(shape)[0][..., 0], grid))
    want = sitk.GetArrayFromImage(sitk.Resample(image, image, spline, sitk.sitkLinear, 0.0))
    got = augment.apply_pair(picture(shape)[0], None, ELASTIC, grid.spacing)[0][..., 0]
    moved = np.abs(warp.places(ELASTIC, grid) - np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))
    inside = (slice(1, -1),) * len(shape)  # ITK leaves some of the outermost voxels where they are
    assert np.abs(got - want)[inside][want[inside] != 0].max() < 1e-4 and 0.5 < (moved * grid.spacing).max() <= 4.0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, bool])
def test_labels_of_any_type_keep_it_and_their_values(dtype):
    label = (np.arange(40 * 30).reshape(40, 30) % 7 > 3).astype(dtype)
    if dtype is np.int32:
        label[label > 0] = 70000
    for how in ("nearest", "smooth"):
        moved = warp.warp(None, label, {"rotate": [20.0], "labels": how}, Grid.of((40, 30)))[1]
        assert moved.dtype == dtype and set(np.unique(moved)) == set(np.unique(label))


def test_smooth_labels_round_off_what_nearest_makes_jagged():
    y, x = np.mgrid[:80, :80]
    ball = ((y - 39.5) ** 2 + (x - 39.5) ** 2 < 9**2).astype(np.uint8)
    drawn, grid = {"scale": 3.0}, Grid.of((80, 80))
    ideal = ((y - 39.5) ** 2 + (x - 39.5) ** 2 < 27**2).astype(np.uint8)
    wrong = {how: (warp.warp(None, ball, {**drawn, "labels": how}, grid)[1] != ideal).sum()
             for how in ("nearest", "smooth")}
    assert wrong["smooth"] < wrong["nearest"]


def test_threads_and_slabs_change_no_bit(monkeypatch):
    from mrilib.images import compiled

    array, label = picture((24, 80, 70), 3)
    drawn = {**AFFINE[3], **ELASTIC, "noise": 0.1, "bias": 0.3, "blur": 1.0, "ghosting": 0.2, "sharpen": 0.5}
    made = {}
    for n in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", n)
        monkeypatch.setattr(compiled.os, "sched_getaffinity", lambda pid: range(8), raising=False)
        assert compiled.threads() == int(n) and array.size > 1 << 18
        made[n] = augment.apply_pair(array, label, drawn, SPACING[3])
    assert np.array_equal(made["1"][0], made["3"][0]) and np.array_equal(made["1"][1], made["3"][1])


def test_calls_side_by_side_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    array, label = picture((20, 90, 80), 2)
    drawn = {**AFFINE[3], **ELASTIC, "noise": 0.1, "bias": 0.3, "low_resolution": [1.0, 2.0, 1.5]}
    alone = augment.apply_pair(array, label, drawn, SPACING[3])
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: augment.apply_pair(array, label, drawn, SPACING[3]), range(8)):
            assert np.array_equal(made[0], alone[0]) and np.array_equal(made[1], alone[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_boxes_hold_all_of_their_object_where_the_image_is_bent(seed):
    label = np.zeros((48, 60), np.uint8)
    label[10:30, 15:40] = 1
    grid = Grid.of(label.shape, (1.5, 0.7))
    chosen = transforms.settings({"rotate": 30, "scale": 0.2, "elastic": "5%@0.7", "perspective": "15%@0.7"})
    drawn = augment.draw(chosen, np.random.default_rng(seed), grid)
    rows, columns = np.nonzero(warp.warp(None, label, drawn, grid)[1])
    x0, y0, x1, y1, kind = warp.boxes([(15, 10, 40, 30, "tumour")], drawn, grid)[0]
    assert (x0 <= columns.min(), columns.max() < x1, y0 <= rows.min(), rows.max() < y1) == (True,) * 4
    assert kind == "tumour"
    if any(name in drawn for name in warp.BENDING):  # no larger than it has to be
        assert x1 - x0 <= columns.max() - columns.min() + 3 and y1 - y0 <= rows.max() - rows.min() + 3
    assert warp.boxes([(0, 0, 3, 3)], {**ELASTIC, "shift": [-200.0, 0.0]}, grid) == []


@pytest.mark.parametrize("shape", [(60, 70), (16, 40, 44)])
def test_the_head_stays_in_view(shape):
    n = len(shape)
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) - np.divide(shape, (2.0, 3.0, 2.5)[:n])
    head = ((at / np.divide(shape, 4)) ** 2).sum(-1) < 1
    array = (head * 100.0).astype(np.float32)[..., None]
    grid, points = Grid.of(shape, (2.0, 1.0, 1.2)[-n:]), outline(array)
    chosen = transforms.settings({"rotate": 30, "scale": "0.8:1.2", "shift": "40%", "flip": "lr"})
    lost = {True: [], False: []}
    for copy in range(30):
        for kept in lost:
            drawn = augment.draw(chosen, augment.generator(0, "a", copy), grid, points if kept else None)
            moved = warp.warp(None, head.astype(np.uint8), drawn, grid)[1]
            want = head.sum() * drawn["scale"] ** n
            lost[kept].append(1 - moved.sum() / want)
    assert max(lost[True]) < 0.05 and max(lost[False]) > 0.2
    large = transforms.settings({"scale": "3:3", "shift": "40%"})
    big = augment.draw(large, augment.generator(0, "a", 1), grid, points)
    moved = warp.warp(None, head.astype(np.uint8), big, grid)[1]
    assert moved.mean() > 0.5  # what cannot fit is centred
    still = augment.draw(transforms.settings({"gamma": 0.2}), augment.generator(0, "a", 1), grid, points)
    assert "shift" not in still


def test_without_a_head_the_outline_is_the_image():
    assert outline(np.zeros((4, 6, 1), np.float32)).tolist() == [[0, 0], [0, 5], [3, 0], [3, 5]]


@pytest.mark.parametrize(("given", "shape", "says"), [
    ({"elastic": 20, "elastic_width": 30}, (60, 70), "may fold"), ({"elastic": "11%"}, (60, 70), "may fold"),
    ({"perspective": "30%"}, (60, 70), "quarter"), ({"perspective": 5}, (9, 20, 20), "for pictures"),
])  # fmt: skip
def test_what_would_fold_the_image_is_refused(given, shape, says):
    from mrilib.errors import UsageError

    with pytest.raises(UsageError, match=says):
        augment.draw(transforms.settings(given), augment.generator(0, "a", 0), Grid.of(shape))


@pytest.mark.parametrize(("size", "spacing", "tilts"), [
    ((40, 50, 60), (1, 1, 1), True), ((20, 60, 60), (1, 1, 1), False), ((30, 60, 60), (4, 1, 1), False),
    ((50, 40, 12), (1, 1, 4), False), ((9, 20, 20), (2.5, 1, 1), True),
])  # fmt: skip
def test_slabs_and_thick_slices_are_not_tilted(size, spacing, tilts):
    chosen = transforms.settings({"rotate": 20, "shear": 10})
    drawn = augment.draw(chosen, augment.generator(0, "a", 1), Grid.of(size, spacing))
    matrix = np.abs(affine.world_matrix(drawn, 3) - np.eye(3))
    across = 2 if spacing[2] == 4 else 0
    assert (matrix[across].max() > 0.01) == (matrix[:, across].max() > 0.01) == tilts
    assert np.delete(np.delete(matrix, across, 0), across, 1).max() > 0.01


@pytest.mark.parametrize("drawn", [
    {"rotate": [30.0], "shear": [4.0, -7.0], "stretch": [1.1, 0.9], "shift": [2.3, -1.1], "flip": ["lr"]},
    {"rotate": [10.0], "perspective": [3.0, -2.0, 1.0, 2.0, -3.0, 1.0, 2.0, 0.0]}])
def test_boxes_of_ellipses_follow_the_ellipse(drawn):
    """As its pixels do, moved as an image: no larger, no smaller."""
    grid, box = Grid.of((80, 96), (1.0, 1.0)), [30.0, 30.0, 62.0, 48.0, "tumour"]
    y, x = np.mgrid[:80, :96] + 0.5
    shape = ((x - 46) / 16) ** 2 + ((y - 39) / 9) ** 2 <= 1
    moved = warp.warp(None, shape.astype(np.uint8), drawn, grid)[1]
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    (made,) = warp.ellipses([box], drawn, grid)
    np.testing.assert_allclose(made[:4], [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=1.0)
    assert made[4] == "tumour"


def test_an_ellipse_whose_middle_leaves_the_image_is_left_out():
    grid = Grid.of((80, 96), (1.0, 1.0))
    assert warp.ellipses([[10.0, 30.0, 40.0, 48.0]], {"shift": [0.0, -30.0]}, grid) == []
    assert warp.ellipses([[10.0, 30.0, 40.0, 48.0]], {"shift": [0.0, -20.0]}, grid) == [[0.0, 30.0, 20.0, 48.0]]
    assert warp.ellipses([[10.0, 30.0, 40.0, 48.0]], {"gamma": 1.1}, grid) == [[10.0, 30.0, 40.0, 48.0]]
