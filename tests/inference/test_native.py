import numpy as np
import pytest
from model_records import map_record
from scipy.spatial.transform import Rotation

from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample
from mrilib.inference.native import each_output, label_map
from mrilib.inference.prepare import upright
from mrilib.inference.segment import decode

RECORD = map_record(values=[0, 1, 4], scheme="brats2020")
REGIONS = map_record(values=[0, 1, 2], regions={"a": [1, 2], "b": [2]}, paint=[1, 2])


def blobs(size, k, seed=0):
    """Smooth probabilities (*size, k) whose first output is the background."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(*size, k)).astype(np.float32)
    smooth = np.stack([ndimage.gaussian_filter(noise[..., i], 3) for i in range(k)], -1) * 300
    p = np.exp(smooth - smooth.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def middle(p):
    """The same, background but for the middle half."""
    inside = tuple(slice(n // 4, n - n // 4) for n in p.shape[:-1])
    result = np.zeros_like(p)
    result[..., 0] = 1
    result[inside] = p[inside]
    return result


def test_a_crop_of_a_turned_volume_goes_back_to_its_very_voxels():
    rng = np.random.default_rng(1)
    native = Grid.of((20, 24, 18), (3.0, 0.9, 1.1), (5.0, -7.0, 9.0), [[0, 0, -1], [1, 0, 0], [0, -1, 0]])
    numbers = rng.choice([0, 1, 4], native.size).astype(np.uint8)
    up = upright(Image(numbers, native))
    assert np.allclose(np.asarray(up.grid.direction), np.eye(3))
    inside = (slice(2, 15), slice(1, 20), slice(3, 17))
    part = np.ascontiguousarray(up.array[inside])
    grid = up.grid.moved([s.start for s in inside], part.shape)
    p = np.stack([part == v for v in (0, 1, 4)], -1).astype(np.float32)
    found = label_map(p, grid, native, RECORD)
    wanted = resample(Image(part, grid), native, order=0).array
    assert np.array_equal(found, wanted) and (found > 0).sum() == (part > 0).sum()
    wide = np.pad(numbers, 3)  # and one that is larger than the native grid
    p = np.stack([wide == v for v in (0, 1, 4)], -1).astype(np.float32)
    assert np.array_equal(label_map(p, native.moved((-3, -3, -3), wide.shape), native, RECORD), numbers)


@pytest.mark.parametrize(("spacing", "turn"), [((1.0, 2.0, 2.0), 0), ((5.0, 1.0, 1.2), 0), ((0.7, 0.8, 0.9), 20)])
@pytest.mark.parametrize("record", [RECORD, REGIONS], ids=["labels", "regions"])
def test_resampling_the_part_with_labels_equals_resampling_all(spacing, turn, record):
    grid = Grid.of((30, 36, 33), (1.5, 1.5, 1.5), (-20.0, -25.0, -22.0))
    direction = Rotation.from_euler("zyx", [turn, turn / 2, 0], degrees=True).as_matrix()
    native = Grid.of([int(60 / s) for s in spacing], spacing, (-30.0, -28.0, -31.0), direction)
    p = middle(blobs(grid.size, 3))
    p = p if record is RECORD else np.ascontiguousarray(p[..., 1:])
    each = list(each_output(p, grid, native, record))
    assert all(e.dtype == np.float32 and e.shape == native.size for e in each)
    whole = decode(np.stack(each, -1), record)
    found = label_map(p, grid, native, record)
    assert (found > 0).sum() > 200 and (found != whole).sum() <= 2  # but for the rounding of a Gaussian's tail
    here = label_map(p, grid, grid, record)
    there = resample(Image(here, grid), native, order=0).array
    assert 2 * ((there > 0) & (found > 0)).sum() / ((there > 0).sum() + (found > 0).sum()) > 0.85


def test_nothing_found_and_nothing_shared_is_background():
    grid, native = Grid.of((9, 9, 9)), Grid.of((5, 7, 8), (2.0, 2.0, 2.0))
    empty = np.zeros((9, 9, 9, 3), np.float32)
    empty[..., 0] = 1
    assert not label_map(empty, grid, native, RECORD).any()
    full = np.zeros_like(empty)
    full[..., 2] = 1
    far = Grid.of((5, 7, 8), (2.0, 2.0, 2.0), (100.0, 0.0, 0.0))
    assert not label_map(full, grid, far, RECORD).any()
    assert [float(e.max()) for e in each_output(full, grid, far, RECORD)] == [1, 0, 0]
    assert (label_map(full, grid, Grid.of((3, 3, 3), (2.0, 2.0, 2.0), (2.0, 2.0, 2.0)), RECORD) == 4).all()


def test_pictures_go_back_too():
    p = middle(blobs((30, 32), 3, 4))
    grid, native = Grid.of((30, 32), (2.0, 2.0), (0.5, 0.5)), Grid.of((60, 64))
    found = label_map(p, grid, native, RECORD)
    assert found.shape == (60, 64) and set(np.unique(found)) <= {0, 1, 4} and found.any()
    assert np.array_equal(label_map(p, grid, grid, RECORD), decode(p, RECORD))
