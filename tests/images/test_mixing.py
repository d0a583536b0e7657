"""Cases mixed within a batch: what goes into the image goes into the truth, in the same share."""

import numpy as np
import pytest

from mrilib.training.sampling import cutmix, mixup, mosaic


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


def test_the_boxes_of_a_mosaic_lie_on_what_they_mark():
    rng = np.random.default_rng(0)
    images, boxes = np.zeros((6, 32, 48, 1), np.float32), np.zeros((6, 2, 5), np.float32)
    boxes[:, 1, 4] = -1
    for i in range(6):
        x, y = 2 * rng.integers(2, 12, 2)
        images[i, y : y + 8, x : x + 12] = i + 1
        boxes[i, 0] = x, y, x + 12, y + 8, i
    same, kept = mosaic(images, boxes, rng, 0.0)
    assert np.array_equal(same, images) and np.array_equal(kept[:, :2], boxes) and (kept[:, 2:, 4] == -1).all()
    mixed, moved = mosaic(images, boxes, rng, 1.0)
    for image, own in zip(mixed, moved, strict=True):
        marked = own[own[:, 4] >= 0]
        assert len(marked) == 4 and own.shape == (8, 5)
        for x0, y0, x1, y1, kind in marked.astype(int):
            assert (image[y0:y1, x0:x1] == kind + 1).all() and image[y0 - 1, x0, 0] == image[y0, x1, 0] == 0
        assert (image > 0).sum() == sum((b[2] - b[0]) * (b[3] - b[1]) for b in marked)
