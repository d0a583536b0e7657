"""Changes of value: each does what its name says, as a reference or a property shows; repeatable by its seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mrilib.images.augment import appearance, transforms
from mrilib.images.augment import draw as augment
from mrilib.images.grid import Grid

SHAPES = [(40, 50, 2), (12, 26, 30, 4), (9, 14, 11, 1)]
SPACING = {2: (1.5, 0.8), 3: (3.0, 1.0, 1.2)}
TINY = [(1, 1, 1), (1, 7, 1), (5, 1, 3), (1, 1, 1, 1), (2, 3, 1, 2), (33, 17, 5)]
SEEDED = {"histogram": 0.5, "bias": 0.4, "ghosting": 0.3, "noise": 0.1, "rician": 0.1, "cutout": 0.4, "dropout": 1}


def values(shape):
    return ndimage.gaussian_filter(np.random.default_rng(3).random(shape), (*(1,) * (len(shape) - 1), 0)).astype(
        np.float32) * 100 - 20


def made(array, **drawn):
    return augment.apply_pair(array, None, {"seed": 7, **drawn}, SPACING[array.ndim - 1])[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_those_of_numpy(shape):
    array = values(shape)
    found = appearance.statistics(array if array.ndim == 4 else array[None])
    axes = tuple(range(array.ndim - 1))
    assert np.array_equal(found.low, array.min(axes)) and np.array_equal(found.high, array.max(axes))
    assert np.allclose(found.mean, array.mean(axes, dtype=float), rtol=1e-5)
    assert np.allclose(found.bright, np.percentile(array, 99.5, axes), atol=0.02 * np.ptp(array))


@pytest.mark.parametrize("shape", SHAPES)
def test_blur_is_that_of_scipy(shape):
    array, spacing = values(shape), SPACING[len(shape) - 1]
    want = ndimage.gaussian_filter(array, (*np.divide(2.0, spacing), 0), mode="nearest", truncate=3)
    assert np.allclose(made(array, blur=2.0), want, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_sharpening_is_that_of_scipy(shape):
    array, n = values(shape), len(shape) - 1
    want = array
    for axis in range(n):
        want = want + 0.7 / n * (want - ndimage.convolve1d(want, [0.5, 0, 0.5], axis, mode="nearest"))
    assert np.allclose(made(array, sharpen=0.7), want, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_low_resolution_keeps_means_and_loses_detail_along_its_axis_alone(shape):
    array, n = values(shape), len(shape) - 1
    for axis in range(n):
        coarse = made(array, low_resolution=[3.0 if i == axis else 1.0 for i in range(n)])
        rough = [np.abs(np.diff(a, axis=axis)).mean() for a in (array, coarse)]
        assert rough[1] < 0.8 * rough[0] and np.isclose(coarse.mean(), array.mean(), atol=0.5)
        line = np.moveaxis(coarse, axis, 0).reshape(shape[axis], -1)
        n_few = round(shape[axis] / 3)
        edges, at = np.arange(n_few + 1) * shape[axis] / n_few, np.arange(shape[axis])
        whole = np.cumsum(np.vstack([0 * line[:1], np.moveaxis(array, axis, 0).reshape(shape[axis], -1)]), axis=0)
        means = np.diff([[np.interp(e, np.arange(shape[axis] + 1), one) for one in whole.T] for e in edges], axis=0)
        means *= n_few / shape[axis]
        want = np.stack([np.interp(at + 0.5, (edges[1:] + edges[:-1]) / 2, one) for one in means.T], 1)
        assert np.allclose(line, want, atol=1e-3)
    flat = np.full(shape, 5.0, np.float32)
    assert np.allclose(made(flat, low_resolution=[2.3] * n, blur=1.0), flat, atol=1e-4)


def test_blur_and_low_resolution_together_are_one_after_the_other():
    array = values(SHAPES[1])
    once = made(array, blur=1.5, low_resolution=[1.0, 2.0, 1.7])
    assert np.allclose(once, made(made(array, blur=1.5), low_resolution=[1.0, 2.0, 1.7]), atol=1e-3)


def test_curves_rise_and_keep_the_lowest_value():
    array = np.linspace(-20, 80, 4000, dtype=np.float32).reshape(40, 50, 2)
    low, high = float(array.min()), float(array.max())
    for drawn in ({"gamma": 0.6}, {"gamma": 1.7}, {"inverse_gamma": 0.6}, {"inverse_gamma": 1.7}, {"histogram": 0.9},
                  {"contrast": 0.8}, {"brightness": 1.2}):
        got = made(array, **drawn)[..., 0].ravel()
        assert (np.diff(got) >= -1e-4).all(), drawn
        assert drawn.keys() & {"contrast"} or np.isclose(got[0], low, atol=0.01), drawn
    share = (array - low) / (high - low)
    want = (1 - (1 - share) ** 1.7) * (high - low) + low
    assert np.allclose(made(array, inverse_gamma=1.7), want, atol=0.2)
    dark = made(array, gamma=1.7)
    assert (dark <= array + 0.6).all() and (made(array, inverse_gamma=1.7) >= array - 0.2).all()


def test_a_curve_is_that_of_its_formula_within_the_stated_error():
    array = np.linspace(-20, 80, 400_000, dtype=np.float32).reshape(500, 800, 1)
    bright = float(appearance.statistics(array[None]).bright[0])
    for gamma in (0.5, 0.7, 1.6):
        want = ((array + 20.0) / (bright + 20)) ** gamma * (bright + 20) - 20
        away = np.abs(made(array, gamma=gamma) - want) / 100
        assert away.max() < 0.006 and away[array > -19].max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_the_bias_field_is_smooth_and_above_air(shape):
    array = np.abs(values(shape)) + 1
    low = array.min(tuple(range(array.ndim - 1)))
    gain = (made(array, bias=0.5) - low) / np.maximum(array - low, 1e-3)
    gain = gain[array - low > 1]
    assert 0.6 <= gain.min() < 0.95 and 1.05 < gain.max() <= 1.66
    flat = np.ones(shape, np.float32)
    flat[(0,) * (len(shape) - 1)] = 0
    field = made(flat, bias=0.5)[(slice(1, None),) * (len(shape) - 1)]
    for axis, n in enumerate(field.shape[:-1]):
        assert np.abs(np.diff(field, 2, axis)).max() < 30 / n**2  # a few bends across the image, not noise


def test_noise_is_normal_independent_and_of_its_strength():
    array = np.zeros((30, 90, 101, 2), np.float32)
    array[..., :50, :] = 100
    sd = 0.1 * 100
    noise = (made(array, noise=0.1) - array) / sd
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    assert abs((noise**3).mean()) < 0.03 and abs((noise**4).mean() - 3) < 0.06
    for axis in range(4):
        a, b = np.take(noise, range(noise.shape[axis] - 1), axis), np.take(noise, range(1, noise.shape[axis]), axis)
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(noise.ravel(), (made(array, noise=0.1, seed=8) - array).ravel())[0, 1]) < 0.01
    rician = made(array, rician=0.1)
    assert rician.min() >= 0  # of air: Rayleigh
    assert np.isclose(rician[array == 0].mean(), sd * np.sqrt(np.pi / 2), rtol=0.01)
    assert np.isclose(rician[array == 100].mean(), np.hypot(100, sd), rtol=0.01)
    assert np.isclose(rician[array == 100].std(), sd, rtol=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_ghosts_are_displaced_copies(shape):
    array = np.zeros(shape, np.float32)
    array[tuple(n // 2 for n in shape[:-1])] = 1
    got = made(array, ghosting=0.4)[..., 0]
    assert np.isclose(got.sum(), 1, atol=1e-5) and np.isclose(got.max(), 0.6, atol=1e-5)
    places = np.argwhere(got > 0)
    assert 2 <= len(places) <= 5 and (np.ptp(places, axis=0) > 0).sum() == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_cutout_and_dropout_take_away_what_they_say(shape):
    array = values(shape)
    low = array.min(tuple(range(array.ndim - 1)))
    hole = (made(array, cutout=0.5) != array).any(-1)
    sides = [np.ptp(np.flatnonzero(hole.any(tuple(a for a in range(hole.ndim) if a != axis)))) + 1
             for axis in range(hole.ndim)]  # fmt: skip
    assert all(abs(side - n / 2) <= 1.5 for side, n in zip(sides, shape, strict=False))
    gone = [(channel == low[i]).all() for i, channel in enumerate(np.moveaxis(made(array, dropout=2), -1, 0))]
    assert sum(gone) == min(2, shape[-1] - 1)


@pytest.mark.parametrize("name", list(transforms.INTENSITY))
def test_each_changes_values_by_its_seed_alone_and_leaves_the_input(name):
    array = values(SHAPES[1])
    kept = array.copy()
    strength = {"low_resolution": [1.0, 2.0, 1.5], "blur": 1.0, "sharpen": 0.5, **SEEDED}.get(name, 1.4)
    first, again = made(array, **{name: strength}), made(array, **{name: strength})
    assert np.array_equal(array, kept) and np.array_equal(first, again) and not np.array_equal(first, array)
    assert first.dtype == np.float32 and first.shape == array.shape and np.isfinite(first).all()
    other = augment.apply_pair(array, None, {"seed": 8, name: strength}, SPACING[3])[0]
    assert np.array_equal(other, first) == (name not in SEEDED)
    flat = np.full((5, 6, 1), 3.0, np.float32)
    assert np.isfinite(made(flat, **{name: strength[1:] if isinstance(strength, list) else strength})).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TINY))
def test_anything_may_be_drawn_for_an_image_of_any_size(seed, shape):
    everything = transforms.settings({
        "flip": "lr,ud", "rotate": 180, "shear": 30, "scale": 0.5, "stretch": 0.3, "shift": "30%", "elastic": "8%@0.7",
        "contrast": 0.5, "brightness": 0.5, "gamma": "0.5:2", "inverse_gamma": "0.5:2", "histogram": 0.9, "bias": 1,
        "blur": "10%", "low_resolution": "1:4", "ghosting": 0.5, "sharpen": 2, "noise": 0.2, "rician": 0.2,
        "cutout": 0.5, "dropout": 1, "interpolation": ["linear", "cubic"][seed % 2], "labels": "smooth"})  # fmt: skip
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    label = (array[..., 0] > 0).astype(np.uint8) * 4
    grid = Grid.of(shape[:-1], SPACING[len(shape) - 1])
    drawn = augment.draw(everything, augment.generator(seed, "a", 1), grid)
    got, moved = augment.apply_pair(array, label, drawn, grid.spacing)
    assert got.shape == shape and np.isfinite(got).all() and set(np.unique(moved)) <= {0, 4}


def test_tones_apart_change_each_channel_by_its_own_and_slices_of_one_kind_alike():
    array = np.tile(values((20, 30, 1)), (1, 1, 6))
    drawn = {"seed": 7, "gamma": 1.6, "contrast": 1.4, "tones": "apart"}
    made = augment.apply_pair(array, None, drawn, SPACING[2], 3)[0]
    kinds = [made[..., i] for i in range(3)]
    assert not any(np.allclose(a, b, atol=0.1) for a, b in zip(kinds, kinds[1:] + kinds[:1], strict=True))
    assert np.array_equal(made[..., :3], made[..., 3:])
    alike = augment.apply_pair(array, None, {"seed": 7, "gamma": 1.6}, SPACING[2], 3)[0]
    assert (alike == alike[..., :1]).all()


def test_dropout_takes_a_kind_of_channel_with_all_its_slices():
    array = values((20, 30, 6))
    made = augment.apply_pair(array, None, {"seed": 7, "dropout": 1}, SPACING[2], 3)[0]
    gone = [i for i in range(6) if (made[..., i] == array[..., i].min()).all()]
    assert len(gone) == 2 and gone[1] - gone[0] == 3
