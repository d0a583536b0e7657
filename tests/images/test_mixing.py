"""Cases mixed within a batch: what goes into the image goes into the truth, in the same share."""

import numpy as np
import pytest

from mrilib.training.sampling import cutmix, mixup


def batch(shape=(6, 20, 24, 2)):
    """Case i holds the value i everywhere, is of class i, and its label map is i."""
    number = np.arange(shape[0], dtype=np.float32)
    images = np.broadcast_to(number.reshape(-1, *(1,) * (len(shape) - 1)), shape).copy()
    return images, np.eye(shape[0], dtype=np.float32), images[..., 0].astype(np.uint8)


@pytest.mark.parametrize("shape", [(6, 20, 24, 2), (5, 8, 9, 10, 1)])
@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_truth_says_what_is_in_the_image(mix, shape):
    images, classes, labels = batch(shape)
    for seed in range(5):
        mixed, truth = mix(images, classes, np.random.default_rng(seed))
        shares = truth @ np.arange(len(images))
        assert np.allclose(mixed.reshape(len(images), -1).mean(1), shares, atol=1e-4)
        assert np.allclose(truth.sum(1), 1, atol=1e-5) and mixed.dtype == truth.dtype == np.float32
        one_hot = np.eye(len(images), dtype=np.float32)[labels]
        mixed, truth = mix(images, one_hot, np.random.default_rng(seed))
        assert np.allclose(truth @ np.arange(len(images)), mixed[..., 0], atol=1e-4)
    assert np.array_equal(images, batch(shape)[0]) and (truth > 0).sum() > one_hot.sum() * (mix is mixup)


def test_label_maps_are_cut_alike():
    images, _, labels = batch()
    mixed, truth = cutmix(images, labels, np.random.default_rng(1))
    assert np.array_equal(truth, mixed[..., 0]) and truth.dtype == np.uint8 and not np.array_equal(truth, labels)


def test_the_same_generator_mixes_the_same():
    images, classes, _ = batch()
    for mix in (mixup, cutmix):
        first, again, other = (mix(images, classes, np.random.default_rng(s))[0] for s in (3, 3, 4))
        assert np.array_equal(first, again) and not np.array_equal(first, other)
