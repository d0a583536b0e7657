"""The bias field is found, and what has none is left."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mrilib import phantom
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.steps import bias


def head(channel="t1", size=(64, 80, 64)):
    """A phantom without bias or noise, stripped to the brain: (z, y, x) float32."""
    tissue, depth, _ = phantom.head(2, 5, size, tumour=True)
    clean = gaussian_filter(np.array(phantom.LOOKS[channel], np.float32)[tissue] * 500, 0.5)
    return np.where(depth < 1, clean, 0).astype(np.float32)


def field(size):
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    return np.exp(0.25 * z - 0.2 * y * y + 0.2 * x * y + 0.1 * x).astype(np.float32)


def spread(ratio):
    return float(ratio.std() / ratio.mean())


@pytest.mark.parametrize(("channel", "left"), [("t1", 0.3), ("t2", 0.3), ("flair", 0.3)])
def test_a_known_field_is_taken_away(channel, left):
    clean = head(channel)
    inside, true = clean > 0, field(clean.shape)
    noise = np.random.default_rng(0).normal(0, 8, clean.shape)
    given = Image(np.where(inside, clean * true + noise, 0).astype(np.float32), Grid.of(clean.shape, (2.0, 2.0, 2.0)))
    made, measured = bias.n4(given)
    found = given.array[inside] / made.array[inside]
    assert spread(found / true[inside]) < left * spread(true[inside])
    assert abs(np.log(found[given.array[inside] > 0]).mean()) < 1e-3
    assert measured["low"][0] < 0.9 and measured["high"][0] > 1.1 and (made.array[~inside] == 0).all()


def test_pictures_and_negative_values_are_borne_with():
    clean = head()[32]
    true = field((4, *clean.shape))[0]
    given = Image(clean * true, Grid.of(clean.shape))
    made, _ = bias.n4(given)
    inside = clean > 0
    assert spread(given.array[inside] / made.array[inside] / true[inside]) < spread(true[inside])
    shifted, _ = bias.n4(given.with_array(np.where(inside, given.array, -5).astype(np.float32)))
    assert np.isfinite(shifted.array).all() and (shifted.array[~inside] < 0).all()


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(CaseError, match="too little above 0"):
        bias.n4(Image(np.zeros((9, 9, 9), np.float32), Grid.of((9, 9, 9))))
    with pytest.raises(CaseError, match="NaN"):
        bias.n4(Image(np.full((9, 9), np.nan), Grid.of((9, 9))))
