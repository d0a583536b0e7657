"""Patches of volumes: what is sampled, that it fits, and that it depends on seed, epoch and number alone."""

import os
import resource

import numpy as np
import pytest
from segment_data import volumes

from mrilib.errors import UsageError


def settings(**more):
    from mrilib.training.segment_settings import SegmentSettings

    return SegmentSettings(**{"dimension": 3, "patch": (8, 8, 8), "context": 0, "foreground": 0.5, "batch_size": 2,
                              "steps": 5, **more})  # fmt: skip


def patches(made, shapes=None, augment=None, scheme="1=one,2=two", **more):
    from mrilib.labels import scheme as named
    from mrilib.training.patches import Patches
    from mrilib.training.segment import targets

    s = settings(**more)
    return Patches(made, s, targets(named(scheme), s), shapes or [s.patch], augment, 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory, device):
    return volumes(tmp_path_factory.mktemp("cache"), 4)


@pytest.mark.parametrize(("sampling", "low", "high"), [("uniform", 0, 0.35), ("foreground", 0.45, 0.7),
                                                       ("equal", 0.6, 0.95)])  # fmt: skip
def test_sampling_shows_labels_as_often_as_its_name_says(made, sampling, low, high):
    sampler = patches(made, sampling=sampling).sampler
    rng = np.random.default_rng(0)
    seen = [int(made[case].label()[tuple(place)]) for case, place in (sampler.draw(rng) for _ in range(400))]
    assert low <= np.mean(np.array(seen) > 0) <= high
    if sampling == "equal":
        assert np.bincount(seen, minlength=3).min() > 70


def test_patches_are_the_same_whichever_thread_makes_them(made):
    from mrilib.training.augment import augmenter

    one, two = (patches(made, augment=augmenter("medium", 2)) for _ in range(2))
    for part in (one, two):
        part.begin(3)
    first = [one[i] for i in range(5)]
    again = [two[i] for i in (4, 0, 2, 1, 3)]
    for i, place in enumerate((4, 0, 2, 1, 3)):
        assert np.array_equal(first[place][0], again[i][0]) and np.array_equal(first[place][1], again[i][1])
    one.begin(4)
    assert not np.array_equal(one[0][0], first[0][0])


def test_more_cases_than_files_that_may_be_open(made):
    known = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 16, known[1]))
    try:
        part = patches(made * 10)
        assert all(part[i][0].shape == (2, 8, 8, 8, 2) for i in range(5))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, known)


def test_image_and_label_stay_in_step_and_coarser_targets_follow(made):
    part = patches(made, shapes=[(8, 8, 8), (4, 4, 4)])
    images, (fine, coarse) = part[0]
    assert images.shape == (2, 8, 8, 8, 2) and images.dtype == np.float32
    assert fine.shape == (2, 8, 8, 8, 3) and coarse.shape == (2, 4, 4, 4, 3)
    assert np.array_equal(coarse, fine[:, 1::2, 1::2, 1::2])
    assert np.array_equal(fine.argmax(-1) > 0, images[..., 0] > 5)  # the data is made so


def test_slices_bring_their_neighbours_and_edges_repeat(made):
    from mrilib.training.patches import cut

    image = made[0].image()
    got = cut(image, np.array([0, 2, 2]), np.array([1, 8, 8]), made[0].air, context=1)
    want = np.concatenate([image[z, 2:10, 2:10] for z in (0, 0, 1)], -1)
    assert got.shape == (1, 8, 8, 6) and np.array_equal(got[0], want.astype(np.float32))


def test_outside_is_air(made):
    from mrilib.training.patches import cut

    got = cut(made[0].image(), np.array([-2, -2, -2]), np.array([4, 4, 4]), np.array([7, 8], np.float32))
    assert (got[:2] == (7, 8)).all() and np.array_equal(got[2:, 2:, 2:], made[0].image()[:2, :2, :2])


def test_label_maps_without_a_label_cannot_be_learned(tmp_path, device):
    with pytest.raises(UsageError, match="no training case has a labelled voxel"):
        patches(volumes(tmp_path, 2, empty=True))


def test_mixed_batches_keep_their_shares_and_come_again(made):
    plain, mixed = patches(made)[0], patches(made, mixup=0.4)[0]
    again = patches(made, mixup=0.4)[0]
    assert all(np.array_equal(a, b) for a, b in zip(mixed, again, strict=True))
    assert not np.array_equal(plain[0], mixed[0])
    assert np.allclose(mixed[1].sum(-1), 1) and 0 < mixed[1].max(-1).min() < 1
    cut = patches(made, cutmix=1.0)[0]
    assert set(np.unique(cut[1])) == {0, 1} and np.array_equal(cut[1].argmax(-1) > 0, cut[0][..., 0] > 5)
