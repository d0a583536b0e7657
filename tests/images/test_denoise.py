"""Denoising: the noise is found and grows less, the image stays."""

import numpy as np
import pytest

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.steps import denoise, edges
from mrilib.images.steps import noise as noises


def truth(shape=(128, 120)):
    """A head of three tissues in dark air, with soft edges, values 0 to 200."""
    from scipy.ndimage import gaussian_filter

    y, x = np.mgrid[-1 : 1 : shape[-2] * 1j, -1 : 1 : shape[-1] * 1j]
    r = np.hypot(x, y * 0.9)
    slices = np.select([r < 0.3, r < 0.6, r < 0.8], [200.0, 90.0, 150.0])
    slices[(np.abs(x - 0.2) < 0.1) & (np.abs(y) < 0.2)] = 40
    slices = gaussian_filter(slices, 0.6)
    return slices if len(shape) == 2 else np.stack([slices] * shape[0])


def noisy(level, shape=(128, 120), spacing=None):
    array = truth(shape) + np.random.default_rng(0).normal(0, level, shape)
    return Image(array.astype(np.float32), Grid.of(shape, spacing))


def error(array, shape=(128, 120)):
    clean = truth(shape)
    return float(np.sqrt(((array - clean)[clean > 5] ** 2).mean()))


@pytest.mark.parametrize("level", [4, 10, 20, 40])
@pytest.mark.parametrize("shape", [(128, 120), (6, 90, 90)])
def test_the_noise_is_estimated_to_a_tenth(level, shape):
    array = noisy(level, shape).array
    few = 0.15 if level < 5 else 0.1  # the little that edges add counts more beside little noise
    assert abs(noises.noise_level(array) / level - 1) < few
    stripped = np.where(truth(shape) > 5, array, 0).astype(np.float32)  # no air to look at
    assert abs(noises.noise_level(stripped) / level - 1) < few


def test_no_noise_is_no_noise():
    assert noises.noise_level(np.zeros((20, 20), np.float32)) == 0
    assert noises.noise_level(np.ones((2, 20), np.float32)) == 0
    flat = Image(truth().round() // 50 * 50, Grid.of((128, 120)))
    for step in (denoise.bilateral, denoise.curvature, denoise.tv, denoise.wavelet, denoise.nonlocal_means):
        made, measured = step(flat)
        assert np.array_equal(made.array, flat.array) and measured["sigma"] == [0.0]


@pytest.mark.parametrize("step", [denoise.median, denoise.gaussian, denoise.bilateral, denoise.curvature, denoise.tv,
                                  denoise.wavelet, denoise.nonlocal_means])
def test_every_method_comes_nearer_to_the_truth(step):
    image = noisy(15)
    made, _ = step(image)
    assert made.array.dtype == np.float32 and made.grid == image.grid
    assert error(made.array) < 0.7 * error(image.array)


@pytest.mark.parametrize("step", [denoise.bilateral, denoise.curvature])
def test_edges_stay_better_than_under_a_gaussian(step):
    image = noisy(8)
    gradient = np.hypot(*np.gradient(truth()))
    edge = gradient > 20
    blurred = denoise.gaussian(image)[0].array
    assert np.abs(step(image)[0].array - truth())[edge].mean() < np.abs(blurred - truth())[edge].mean()


def test_a_given_sigma_is_used_and_an_estimate_is_noted():
    image = noisy(10)
    for step in (denoise.bilateral, denoise.curvature):
        found, measured = step(image)
        assert abs(measured["sigma"][0] - 10) < 1
        given, noted = step(image, sigma=30)
        assert noted["sigma"] == [30]
        assert np.abs(given.array - image.array).mean() > np.abs(found.array - image.array).mean()


def test_widths_are_in_mm():
    image = noisy(10, (6, 40, 40), (4.0, 2.0, 2.0))
    made, measured = denoise.gaussian(image)
    assert measured == {"width": 2.0}
    from scipy.ndimage import gaussian_filter

    assert np.allclose(made.array, gaussian_filter(image.array, (0.5, 1, 1), mode="nearest"), atol=1e-3)
    assert denoise.bilateral(image, width=3.0)[1]["width"] == 3.0


def test_the_median_is_that_of_scipy():
    from scipy.ndimage import median_filter

    image = noisy(10)
    for radius in (1, 2):
        made, _ = denoise.median(image, radius=radius)
        assert np.array_equal(made.array, median_filter(image.array, 2 * radius + 1, mode="nearest"))


def test_channels_are_cleaned_each_alone():
    first, second = noisy(5), noisy(25)
    both = Image(np.stack([first.array, second.array], -1), first.grid, ("a", "b"))
    made, measured = denoise.bilateral(both)
    assert np.allclose(made.array[..., 0], denoise.bilateral(first)[0].array, atol=1e-4)
    assert measured["sigma"][1] > 4 * measured["sigma"][0]


@pytest.mark.parametrize("step", [denoise.median, denoise.gaussian, denoise.bilateral, denoise.curvature, edges.sobel])
def test_nan_is_refused(step):
    with pytest.raises(CaseError, match="NaN"):
        step(Image(np.full((9, 9), np.nan), Grid.of((9, 9))))


def test_sobel_is_that_of_scikit_image():
    from skimage.filters import sobel

    image = noisy(5)
    made, _ = edges.sobel(image)
    assert made.channels == ("image", "image-sobel") and np.array_equal(made.array[..., 0], image.array)
    # scikit-image takes the difference of neighbours two apart whole and the root of the mean square over axes
    assert np.allclose(made.array[..., 1], sobel(image.array) / np.sqrt(2), atol=1e-3)


def test_sobel_measures_slopes_by_the_smallest_side():
    z, _, x = np.meshgrid(np.arange(8.0), np.arange(9.0), np.arange(10.0), indexing="ij")
    ramp = (3 * x + 8 * z).astype(np.float32)  # 8 a slice of 4 mm is 2 a mm, beside 3 a voxel of 1 mm
    made, _ = edges.sobel(Image(ramp, Grid.of(ramp.shape, (4.0, 1.0, 1.0))))
    assert np.allclose(made.array[2:-2, 2:-2, 2:-2, 1], np.hypot(3, 2), atol=1e-4)
    two = edges.sobel(Image(np.stack([ramp, ramp], -1), Grid.of(ramp.shape), ("t1", "t2")))[0]
    assert two.channels == ("t1", "t2", "t1-sobel", "t2-sobel")


def rician(clean, sigma, seed=1):
    """The magnitude of a signal with noise in its real and its imaginary part, float32."""
    rng = np.random.default_rng(seed)
    return np.hypot(clean + rng.normal(0, sigma, clean.shape), rng.normal(0, sigma, clean.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def anatomy():
    """The T2 of a phantom without noise, as far as it has none: (z, y, x) float32, air 0."""
    from mrilib import phantom

    tissue = phantom.head(4, 2, (80, 96, 80), tumour=True)[0][28:52]
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.array(phantom.LOOKS["t2"], np.float32)[tissue] * 250, 0.5) * (tissue > 0)


@pytest.mark.parametrize(("share", "margin"), [(0.02, 0.2), (0.09, 1)])  # of sharp flat pieces, which suit bilateral
def test_nonlocal_means_beats_the_simple_ones_and_those_of_scikit_image(anatomy, share, margin):
    from skimage.restoration import denoise_nl_means

    sigma, inside = 250 * share, anatomy > 0
    image = Image(rician(anatomy, sigma), Grid.of(anatomy.shape))
    made, measured = denoise.nonlocal_means(image)
    assert abs(measured["sigma"][0] / sigma - 1) < 0.1

    def lost(array):
        return 10 * np.log10(((array - anatomy)[inside] ** 2).mean())

    other = denoise_nl_means(image.array, patch_size=3, patch_distance=3, h=0.8 * sigma, sigma=sigma, fast_mode=True)
    rivals = [other, *(step(image)[0].array for step in (denoise.median, denoise.bilateral, denoise.curvature))]
    assert lost(made.array) < min(map(lost, rivals)) - margin  # dB


def test_rician_noise_leaves_no_bias_where_the_signal_is_weak():
    image = Image(rician(np.full((16, 40, 40), 30.0), 20), Grid.of((16, 40, 40)))
    assert abs(denoise.nonlocal_means(image, sigma=20)[0].array.mean() - 30) < 1.5
    assert denoise.nonlocal_means(image, sigma=20, noise="gaussian")[0].array.mean() > 35
    air = Image(rician(np.zeros((16, 40, 40)), 20), Grid.of((16, 40, 40)))
    assert denoise.nonlocal_means(air, sigma=20)[0].array.mean() < 5


def test_nothing_around_a_stripped_head_stays_nothing_and_a_mask_is_kept_to(anatomy):
    head = np.pad(anatomy, ((2, 2), (0, 0), (0, 0)))
    stripped = np.where(head > 0, rician(head, 15), 0).astype(np.float32)
    image = Image(stripped, Grid.of(stripped.shape))
    assert (denoise.nonlocal_means(image)[0].array[head == 0] == 0).all()
    near, far = (denoise.nonlocal_means(Image(a, Grid.of(a.shape)))[0].array for a in (
        np.pad(stripped, 9), np.pad(stripped, (17, 12))))  # fmt: skip
    assert np.array_equal(near[9:-9, 9:-9, 9:-9], far[17:-12, 17:-12, 17:-12])
    mask = np.zeros(stripped.shape, bool)
    mask[8:16, 30:60, 30:60] = True
    made, _ = denoise.nonlocal_means(image, mask=mask)
    assert np.array_equal(made.array[~mask], stripped[~mask]) and not np.array_equal(made.array[mask], stripped[mask])


def test_the_bits_do_not_hang_on_the_number_of_threads(anatomy, monkeypatch):
    from mrilib.images import kernels

    image = Image(rician(anatomy, 15), Grid.of(anatomy.shape))
    several = denoise.nonlocal_means(image)[0].array
    monkeypatch.setattr(kernels, "cores", lambda: 1)
    assert np.array_equal(denoise.nonlocal_means(image)[0].array, several)


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 40, 9), (2, 5, 40), (7, 7), (40, 4), (3, 3)])
def test_thin_images_and_thick_slices_are_denoised_as_far_as_they_go(shape):
    array = np.random.default_rng(0).normal(100, 10, shape).astype(np.float32)
    image = Image(array, Grid.of(shape, (5.0, 1.0, 1.0)[-len(shape):]))
    made, _ = denoise.nonlocal_means(image, sigma=10)
    assert made.array.shape == shape and np.isfinite(made.array).all()
    assert made.array.std() < array.std() or min(shape[-2:]) < 4


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_huge_and_tiny_values_are_denoised_like_others(size):
    image = noisy(10, (8, 40, 40))
    plain, measured = denoise.nonlocal_means(image)
    other, seen = denoise.nonlocal_means(image.with_array(image.array * np.float32(size)))
    assert np.allclose(other.array / np.float32(size), plain.array, atol=0.01)
    assert np.isclose(seen["sigma"][0] / size, measured["sigma"][0], rtol=1e-3)


def test_noise_that_varies_is_followed_and_even_noise_treated_as_ever(anatomy):
    varies = np.linspace(0.5, 1.5, anatomy.shape[1])[None, :, None] * np.ones(anatomy.shape)
    inside = anatomy > 0
    for field, gain in ((np.ones(anatomy.shape), 0.0), (varies, 0.5)):
        image = Image(rician(anatomy, 12 * field), Grid.of(anatomy.shape))
        even, _ = denoise.nonlocal_means(image)
        made, measured = denoise.nonlocal_means(image, varying=True)
        lost, least = (10 * np.log10(((a.array - anatomy)[inside] ** 2).mean()) for a in (even, made))
        assert lost - least >= gain and abs(measured["sigma"][0] / np.median(12 * field[inside]) - 1) < 0.15
        assert (measured["spread"][0] > 1.3) == bool(gain)
        assert gain or np.array_equal(even.array, made.array)
        found, spread = noises.inhomogeneity(image.array, image.grid.spacing)
        assert spread == pytest.approx(measured["spread"][0], abs=1e-3) and (found is None) == (not gain)
        if gain:
            ratio = found[inside] / field[inside]
            assert ratio.std() / ratio.mean() < 0.15 and found.shape == image.array.shape
    with pytest.raises(UsageError, match="one for the whole image"):
        denoise.nonlocal_means(image, sigma=10, varying=True)
