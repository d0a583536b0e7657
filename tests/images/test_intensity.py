"""Intensity steps against numpy and scikit-image, and the foreground they measure."""

import numpy as np
import pytest
from pipeline_data import head

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.registry import LEARNERS, NORMALIZERS
from mrilib.images.steps.foreground import foreground, otsu
from mrilib.images.steps.intensity import minmax, percentile, robust, whitestripe, zscore

STEPS = (zscore, minmax, percentile, robust)


def image(array):
    return Image(array, Grid.of(array.shape[:2]), ("a", "b") if array.ndim == 3 else ())


def test_the_scales_are_those_of_numpy():
    array = head(1).astype(np.float64)
    assert np.allclose(zscore(image(array), region="image")[0].array, (array - array.mean()) / array.std(), atol=1e-5)
    assert np.allclose(minmax(image(array))[0].array, (array - array.min()) / np.ptp(array), atol=1e-6)
    low, middle, high = np.percentile(array, (25, 50, 75))
    spread = (high - low) / 1.349
    assert np.allclose(robust(image(array), region="image")[0].array, (array - middle) / spread, atol=1e-4)
    low, high = np.percentile(array, (2, 95))
    made, measured = percentile(image(array), low=2, high=95)
    assert np.allclose(made.array, np.clip((array - low) / (high - low), 0, 1), atol=1e-6)
    assert np.allclose([measured["low"], measured["high"]], [[low], [high]])
    open_ended = percentile(image(array), low=60, high=95, clip=False)[0].array
    assert open_ended.min() < 0 and open_ended.max() > 1


@pytest.mark.parametrize("step", STEPS)
def test_a_linear_change_of_the_scanner_changes_nothing(step):
    array = head(3).astype(np.float32)
    for region in ("image", "foreground"):
        first = step(image(array), region=region)[0].array
        second = step(image(array * 7.5 + 1000), region=region)[0].array
        assert np.allclose(first, second, atol=1e-3)


def test_channels_are_scaled_each_alone():
    made, measured = zscore(image(np.stack([head(1) * 1.0, head(2) * 50.0], -1)), region="image")
    assert np.allclose(made.array.mean((0, 1)), 0, atol=1e-4) and np.allclose(made.array.std((0, 1)), 1, atol=1e-4)
    assert len(measured["mean"]) == 2 and made.channels == ("a", "b")


def test_the_foreground_is_the_head():
    y, x = np.mgrid[-1:1:72j, -1:1:64j]
    inside = (x / 0.7) ** 2 + (y / 0.8) ** 2 < 1
    for array in (head(4), np.where(inside, head(4), 0)):  # air with noise, air set to nothing
        found = foreground(array.astype(np.float32))
        assert (found == inside).mean() > 0.95
    values = head(4)[foreground(head(4).astype(np.float32))]
    made, _ = zscore(image(head(4)), region="foreground")
    assert np.isclose(made.array[inside].mean(), 0, atol=0.05)
    noise = np.random.default_rng(0).integers(0, 60, (72, 64))  # a channel that does not show the head
    alone, together = (zscore(given, region="foreground")[1]["mean"] for given in (
        image(head(4)), Image(np.stack([head(4), noise, head(5)], -1), Grid.of((72, 64)), ("a", "b", "c"))))
    assert np.isclose(alone[0], together[0], rtol=0.02)
    mask = np.zeros((72, 64), bool)
    mask[30:40, 30:40] = True
    assert np.isclose(minmax(image(head(4)), mask=mask)[1]["low"][0], head(4)[mask].min())
    assert values.min() > 20


def test_otsu_is_that_of_scikit_image():
    from skimage.filters import threshold_otsu

    for seed in range(5):
        array = head(seed).astype(np.float32)
        assert abs(otsu(array) - threshold_otsu(array)) <= np.ptp(array) / 128


@pytest.mark.parametrize("step", STEPS)
def test_images_without_a_scale_are_refused(step):
    for array in (np.full((9, 9), 5.0), np.full((9, 9), 1e6) + 1e-4 * np.eye(9)):
        with pytest.raises(CaseError, match="all values are"):
            step(image(array))
    for bad in (np.nan, np.inf):
        array = np.eye(9)
        array[2, 3] = bad
        with pytest.raises(CaseError, match="NaN or infinite"):
            step(image(array))
    with pytest.raises(CaseError, match="channel b, "):
        step(image(np.stack([head(1), np.zeros((72, 64))], -1)))
    with pytest.raises(UsageError, match="unknown region"):
        step(image(head(1)), region="brain")


def test_percentiles_must_be_in_order():
    for low, high in ((50, 50), (90, 10), (-1, 50), (0, 101)):
        with pytest.raises(UsageError, match="not in order"):
            percentile(image(head(1)), low=low, high=high)


def test_every_normaliser_by_name_is_there():
    from importlib import import_module

    for target in (target for name, target in NORMALIZERS.items() if name not in LEARNERS):
        module, name = target.split(":")
        made, measured = getattr(import_module(module), name)(image(head(1)))
        assert made.array.dtype == np.float32 and measured


def test_around_a_stripped_volume_is_exactly_one_value():
    array = np.zeros((8, 9, 10), np.float32)
    array[2:6, 2:7, 2:8] = np.random.default_rng(0).normal(0, 1, (4, 5, 6))  # near 0 and below it too
    array[3, 3, 3] = 1e5
    assert foreground(array).sum() == 120 and foreground(array - 7).sum() == 120
    made, measured = zscore(Image(array, Grid.of(array.shape)), region="foreground")
    assert np.isclose(measured["mean"][0], array[2:6, 2:7, 2:8].mean(), rtol=1e-4)


def test_the_white_stripe_is_where_white_matter_was_put():
    rng = np.random.default_rng(0)
    tissues = np.concatenate([rng.normal(60, 6, 6000), rng.normal(110, 7, 15000), rng.normal(160, 5, 9000)])
    array = np.zeros((12, 60, 60), np.float32)
    array[1:11, 3:57, 2:58] = rng.choice(tissues, (10, 54, 56))
    for peak, place in (("last", 160), ("largest", 110)):
        _, measured = whitestripe(Image(array, Grid.of(array.shape)), peak=peak)
        assert abs(measured["mean"][0] - place) < 3 and measured["sd"][0] < 4
    scaled, _ = whitestripe(Image(array * 3 - 7 * (array != 0), Grid.of(array.shape)))
    plain, _ = whitestripe(Image(array, Grid.of(array.shape)))
    assert np.allclose(scaled.array[array != 0], plain.array[array != 0], atol=0.15)
    with pytest.raises(UsageError, match="unknown peak"):
        whitestripe(Image(array, Grid.of(array.shape)), peak="first")
