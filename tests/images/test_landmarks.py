"""Learned histograms and tissue means, against their formulae, scikit-image and voxelwise fuzzy c-means."""

from pkgutil import resolve_name

import numpy as np
import pytest
from pipeline_data import head

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.registry import LEARNERS
from mrilib.images.steps import landmarks
from mrilib.images.steps.tissue import membership, tissue

ALL = {"region": "image"}
NYUL = {**ALL, "low": 1, "high": 99}
MARKS = [1, *range(10, 100, 10), 99]


def image(array, *names):
    return Image(array, Grid.of(array.shape[: array.ndim - bool(names[1:])]), names)


def scan(seed, gain=1.0, offset=0.0):
    """A head in floating point, for no two of its values are alike."""
    return head(seed).astype(float) * gain + offset + np.random.default_rng(seed).random((72, 64))


def standard_of(*arrays):
    return landmarks.nyul_standard([landmarks.nyul_landmarks(image(a), **NYUL) for a in arrays])


def test_nyul_is_the_formula_of_its_paper():
    from scipy.interpolate import interp1d

    training, new = [scan(1, 2), scan(2, 0.5, 30), scan(3)], scan(4, 3, -20)
    made, measured = landmarks.nyul(image(new), **NYUL, **standard_of(*training))
    scale = np.zeros(11)
    for array in training:
        ends = np.percentile(array, (1, 99))
        scale += interp1d(ends, (0, 1), fill_value="extrapolate")(np.percentile(array, MARKS)) / 3
    expected = interp1d(np.percentile(new, MARKS), scale, fill_value="extrapolate")(new)
    assert np.allclose(made.array, expected, atol=1e-5) and made.array.min() < 0 and made.array.max() > 1
    assert np.allclose([measured["low"][0], measured["high"][0]], np.percentile(new, (1, 99)))


def test_what_was_learned_from_outlasts_any_scanner():
    standard = standard_of(scan(1), scan(2))
    first = landmarks.nyul(image(scan(3)), **NYUL, **standard)[0].array
    assert np.allclose(landmarks.nyul(image(scan(3) * 40 - 900), **NYUL, **standard)[0].array, first, atol=1e-4)
    assert np.allclose(np.percentile(first, MARKS), standard["standard"]["image"], atol=1e-3)
    assert standard_of(scan(1) * 7 + 3, scan(2)) == standard  # nor does it ask which scanner was brighter


def test_a_matched_histogram_is_that_of_scikit_image():
    from skimage.exposure import match_histograms

    reference, new = scan(1, 3, 100), scan(2) ** 2
    learned = landmarks.histogram_standard([landmarks.histogram_quantiles(image(reference), **ALL)])
    made, _ = landmarks.histogram(image(new), **ALL, **learned)
    error = np.abs(made.array - match_histograms(new, reference))
    assert error.mean() < 0.005 * np.ptp(reference) and np.quantile(error, 0.99) < 0.03 * np.ptp(reference)
    same, _ = landmarks.histogram(image(reference), **ALL, **learned)
    assert np.allclose(same.array, reference, atol=1e-3)
    scaled = [landmarks.histogram_quantiles(image(reference * k), **ALL) for k in (1, 5)]
    assert np.allclose(landmarks.histogram_standard(scaled)["standard"]["image"],
                       3 * np.array(learned["standard"]["image"]), rtol=1e-5)  # one shape, at the mean width


@pytest.mark.parametrize("step", ["nyul", "histogram"])
def test_ties_and_outliers_keep_the_order_of_values(step):
    given = NYUL if step == "nyul" else ALL
    seen, standard = (resolve_name(target) for target in LEARNERS[step])
    function = getattr(landmarks, step)
    learned = standard([seen(image(scan(1)), **given)])
    array = np.where(head(2) < 90, 0, head(2) // 40 * 40).astype(np.float32)  # half of it one value, few others
    array[0, 0], array[0, 1] = -5000, 60000
    made, _ = function(image(array), **given, **learned)
    order = np.argsort(array, axis=None, kind="stable")
    assert np.isfinite(made.array).all() and (np.diff(made.array.ravel()[order]) >= 0).all()
    with pytest.raises(CaseError, match="all values are"):
        seen(image(np.full((9, 9), 5.0)), **given)


def test_each_channel_has_a_scale_of_its_own_name():
    array = np.stack([scan(1), scan(2) ** 2], -1)
    learned = landmarks.nyul_standard([landmarks.nyul_landmarks(image(array, "t1", "t2"), **NYUL)])
    assert list(learned["standard"]) == ["t1", "t2"]
    made = landmarks.nyul(image(array, "t1", "t2"), **NYUL, **learned)[0].array
    other = landmarks.nyul(image(array[..., ::-1], "t2", "t1"), **NYUL, **learned)[0].array
    assert np.array_equal(made, other[..., ::-1])
    assert np.array_equal(landmarks.nyul(image(scan(1), "t1"), **NYUL, **learned)[0].array, made[..., 0])
    with pytest.raises(CaseError, match=r"channel flair is none of those learned from \(t1 t2\)"):
        landmarks.nyul(image(scan(1), "flair"), **NYUL, **learned)
    lone = standard_of(scan(1))  # no name
    assert landmarks.nyul(image(scan(1), "flair"), **NYUL, **lone)[0].array.shape == (72, 64)
    with pytest.raises(UsageError, match="not in order"):
        landmarks.nyul_landmarks(image(scan(1)), **{**NYUL, "low": 99})
    with pytest.raises(CaseError, match="the recipe learned 3"):
        landmarks.nyul(image(scan(1)), **NYUL, standard={"image": [0, 1, 2]})


def brain(levels, seed=0):
    """A volume whose middle is fluid, grey and white matter at these levels, and where each is."""
    rng = np.random.default_rng(seed)
    which = np.full((12, 40, 40), -1)
    which[1:11, 3:37, 2:38] = rng.choice(3, (10, 34, 36), p=(0.2, 0.45, 0.35))
    return np.where(which < 0, 0, rng.normal(np.array(levels)[which], 5)).astype(np.float32), which


def test_the_mean_of_a_tissue_becomes_one():
    array, which = brain((40, 100, 160))
    for place, name in enumerate(("csf", "gm", "wm")):
        made, _ = tissue(image(array), tissue=name)
        assert abs(made.array[which == place].mean() - 1) < 0.05 and (made.array[which < 0] == 0).all()
        assert np.allclose(tissue(image(array * 30), tissue=name)[0].array, made.array, atol=1e-4)
    t2, _ = brain((200, 90, 50))
    both, _ = tissue(image(np.stack([t2, array], -1), "t2", "t1"))  # found in t1, whatever t2 shows
    assert np.allclose(both.array[which == 2].mean(0), 1, atol=0.05)
    for name, levels in (("t2", (200, 90, 50)), ("flair", (30, 150, 100)), ("t1ce", (40, 100, 160))):
        made, _ = tissue(image(brain(levels)[0], name))  # alone, by the contrast that its name tells
        assert abs(made.array[which == 2].mean() - 1) < 0.1
    with pytest.raises(CaseError, match="mean of csf is -.*not above 0"):
        tissue(image(array - 110 * (which >= 0)), tissue="csf")
    with pytest.raises(UsageError, match="unknown tissue bone"):
        tissue(image(array), tissue="bone")


def test_the_classes_are_those_of_fuzzy_c_means_on_voxels():
    array, which = brain((40, 90, 160))
    values = array[which >= 0].astype(float)
    centres = np.array([10.0, 100.0, 150.0])
    for _ in range(100):
        near = 1 / np.maximum((values - centres[:, None]) ** 2, 1e-9)
        share = near / near.sum(0)
        centres = (share**2 @ values) / (share**2).sum(1)
    for place in range(3):
        assert np.abs(membership(values, place) - share[place]).max() < 0.05
    with pytest.raises(CaseError, match="brain: all values are 7"):
        membership(np.full(50, 7.0), 0, "brain")
