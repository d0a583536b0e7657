"""The plan of a network, from sizes, spacing and memory."""

import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.training import plan
from mrilib.training.segment_settings import SegmentSettings, complete

GIB = 1 << 30


def planned(sizes, spacing, memory=6 * GIB, gpu=False, **more):
    given = complete(SegmentSettings(**more), validated=False)
    return plan.complete(given, sizes, spacing, memory=memory, gpu=gpu)


def test_isotropic_volumes_get_a_network_of_volumes_and_stacks_one_of_slices():
    head = planned([(140, 170, 140)], (1, 1, 1), gpu=True)
    assert head.dimension == 3 and head.norm == "instance" and head.context == 0
    assert planned([(140, 170, 140)], (1, 1, 1)).dimension == 2  # on a CPU
    assert planned([(140, 170, 140)], (1, 1, 1), gpu=True, stem=2).dimension == 2
    for sizes, spacing in (([(36, 235, 190)], (1, 1, 1)), ([(20, 230, 190)], (5.5, 0.9, 0.9)),
                           ([(1, 256, 256)], (1, 1, 1))):  # fmt: skip
        assert planned(sizes, spacing, gpu=True).dimension == 2
    stack = planned([(36, 235, 190)], (1, 1, 1))
    assert stack.context == 1 and planned([(1, 256, 256)], (1, 1, 1)).context == 0
    assert stack.norm == "instance" and planned([(36, 235, 190)], (1, 1, 1), backbone="mobilenet").norm == "batch"
    assert planned([(36, 235, 190)] * 8, (1, 1, 1)).norm == "batch"


def test_patches_fit_the_levels_the_volume_and_the_memory():
    for sizes, spacing, more in (([(140, 170, 140)], (1, 1, 1), {}), ([(36, 235, 190)], (1, 1, 1), {}),
                                 ([(30, 300, 300)], (3, 0.7, 0.7), {"dimension": 3}), ([(40, 50, 44)], (1, 1, 1), {})):
        made = planned(sizes, spacing, **more)
        strides = plan.strides_of(made.patch, spacing[-made.dimension :], made.levels, made.stem)
        assert made.stem == (2 if made.dimension == 2 else 1)  # on a CPU
        assert (np.array(made.patch) % (np.prod(strides, axis=0) * made.stem) == 0).all()
    voxels = [p[0] * p[1] * p[2] for p in (planned([(140, 170, 140)], (1, 1, 1), memory=m * GIB, gpu=True).patch
                                           for m in (2, 8, 64))]
    assert voxels[0] < voxels[1] <= voxels[2]


def test_a_coarse_axis_is_halved_later():
    made = planned([(30, 300, 300)], (3, 0.7, 0.7), dimension=3)
    assert plan.strides_of(made.patch, (3, 0.7, 0.7), made.levels, made.stem)[0] == (1, 2, 2)


def test_spacing_is_the_median_where_cases_differ_and_is_left_alone_where_they_do_not():
    assert plan.spacing_of([(1, 1, 1), (1.001, 1, 1)]) is None
    assert plan.spacing_of([(1, 1, 1), (2, 1, 1), (2, 1, 1)]) == (2, 1, 1)
    assert plan.spacing_of([(1, 1, 1), (2, 1, 1)], stated=False) is None


def test_a_patch_says_whether_the_network_is_of_volumes():
    assert planned([(99, 99, 99)], (1, 1, 1), patch=(64, 64, 64)).dimension == 3
    assert planned([(99, 99, 99)], (1, 1, 1), patch=(64, 64), gpu=True).dimension == 2
    assert planned([(99, 99, 99)], (1, 1, 1), patch=(64,), gpu=True).patch == (64, 64, 64)
    assert planned([(99, 99, 99)], (1, 1, 1), patch=(64,), backbone="mobilenet").patch == (64, 64)
    for more, what in (({"context": 1}, "--context is for 2D networks"), ({"stem": 2}, "--stem 2 is for 2D networks"),
                       ({"backbone": "mobilenet"}, "a backbone is 2D"),
                       ({"dimension": 2}, "--patch of 3 numbers for a 2D network")):
        with pytest.raises(UsageError, match=what):
            planned([(99, 99, 99)], (1, 1, 1), patch=(64, 64, 64), **more)


def test_what_cannot_be_is_said():
    with pytest.raises(UsageError, match=r"no room for 2 levels \(a larger --patch\)"):  # one level is no U-Net
        planned([(5, 7, 6)], (1, 1, 1))
    with pytest.raises(UsageError, match="too thin for a 3D network"):
        planned([(5, 200, 200)], (5, 1, 1), dimension=3)
    with pytest.raises(UsageError, match="2 numbers for a 3D network"):
        planned([(99, 99, 99)], (1, 1, 1), dimension=3, patch=(64, 64))
    with pytest.raises(UsageError, match="--stem 2 is for 2D networks"):
        planned([(99, 99, 99)], (1, 1, 1), dimension=3, stem=2)
