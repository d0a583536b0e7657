"""The brain is found in heads with their skull; what is none is refused, what is stripped already is left."""

import numpy as np
import pytest
from scipy.ndimage import binary_closing, binary_fill_holes

from mrilib import phantom
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.steps.brain import brain
from mrilib.images.steps.intensity import zscore

SIZE = (80, 92, 80)


def head(number=1, channels=phantom.CHANNELS):
    """A phantom with its skull, channels and noise, and where its brain is."""
    depth = phantom.head(1, number, SIZE, True)[1]
    images, _ = phantom.volume(1, number, True, SIZE)
    array = np.stack([images[c] for c in channels], -1)
    truth = binary_fill_holes(binary_closing(depth < 1.5, iterations=2))
    return Image(array, Grid.of(SIZE, (2.0, 2.0, 2.0)), tuple(channels)), truth


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("number", [1, 2])
def test_the_brain_is_found_with_one_mask_for_all_channels(number):
    image, truth = head(number)
    made, measured = brain(image)
    inside = (made.array != 0).any(-1)
    assert dice(inside, truth) > 0.93
    assert all(((made.array[..., i] == image.array[..., i]) | ~inside).all() for i in range(4))
    assert abs(measured["brain"] - inside.sum() * 8 / 1000) < 0.02 * measured["brain"] and 0.4 < measured["share"] < 0.8
    scaled, _ = zscore(made)  # what is measured over the foreground is measured over the brain
    assert abs(scaled.array[inside].mean()) < 0.02 and abs(scaled.array[inside].std() - 1) < 0.05


def test_size_and_place_of_the_head_change_nothing():
    image, truth = head(1, ("t1",))
    one = image.array[..., 0]
    for array, spacing, back in ((one, (0.7, 0.7, 0.7), lambda m: m),
                                 (np.pad(one * np.float32(1e-3), ((0, 20), (9, 0), (0, 4))), (2, 2, 2),
                                  lambda m: m[:-20, 9:, :-4])):  # fmt: skip
        made, _ = brain(Image(array, Grid.of(array.shape, spacing)))
        assert dice(back(made.array != 0), truth) > 0.92


def test_thick_slices_are_borne_with():
    image, truth = head(2, ("flair",))
    thick = Image(image.array[::3, ..., 0], Grid.of((27, *SIZE[1:]), (6.0, 2.0, 2.0)))
    made, _ = brain(thick)
    assert dice(made.array != 0, truth[::3]) > 0.9
    slab = Image(made.array[8:19], Grid.of((11, *SIZE[1:]), (6.0, 2.0, 2.0)))  # the brain meets the border
    inside = slab.array != 0
    scaled, _ = zscore(slab)
    assert abs(scaled.array[inside].mean()) < 1e-3 and abs(scaled.array[inside].std() - 1) < 1e-3


def test_a_stripped_brain_and_a_given_mask():
    image, truth = head(1)
    stripped = image.with_array(np.where(truth[..., None], image.array, 0))
    made, measured = brain(stripped)
    assert np.array_equal(made.array, stripped.array) and measured["share"] == 1
    assert abs(measured["brain"] - truth.sum() * 8 / 1000) < 0.1
    given, _ = brain(image, mask=truth)
    assert np.array_equal(given.array, stripped.array)


@pytest.mark.parametrize(("array", "says"), [
    (np.random.default_rng(0).normal(100, 10, (40, 40, 40)), "no brain found"), (np.zeros((40, 40, 40)), "one value"),
    (np.full((9, 9, 9), np.nan), "NaN"), (np.ones((40, 40)), "is no volume"),
])  # fmt: skip
def test_what_holds_no_brain_is_refused(array, says):
    with pytest.raises(CaseError, match=says):
        brain(Image(array.astype(np.float32), Grid.of(array.shape)))
