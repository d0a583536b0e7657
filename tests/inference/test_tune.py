from dataclasses import replace

import numpy as np
import pytest
from model_records import map_record

from mrilib.inference.postprocess import apply, check
from mrilib.inference.segment import decode
from mrilib.inference.tune import Choice, components, tune

BINARY = map_record(scheme="binary")
REGIONS = map_record(values=[0, 1, 2], regions={"outer": [1, 2], "inner": [2]}, paint=[1, 2])
MM = (2.0, 1.0, 1.0)


def case(seed, specks=0, certainty=0.9, hole=False):
    """(probabilities of a tumour, where it is): a ball found rightly, false specks of 2 voxels around it."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((12, 30, 30))
    truth = (z - 6) ** 2 * 4 + (y - 15) ** 2 + (x - rng.integers(12, 18)) ** 2 < 60
    p = np.where(truth, certainty, 0.05).astype(np.float32)
    for _ in range(specks):
        at = tuple(rng.integers(1, n - 1) for n in p.shape)
        if not truth[at[0] - 1 : at[0] + 2, at[1] - 2 : at[1] + 3, at[2] - 1 : at[2] + 2].any():
            p[at[0], at[1] : at[1] + 2, at[2]] = 0.9
    if hole:
        middle = tuple(int(i) for i in np.argwhere(truth).mean(0))
        p[middle] = 0.1
    return p, truth


def dice(found, truth):
    return 2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1)


def test_specks_are_learned_away_and_the_settings_do_what_they_promise():
    cases = []
    for i in range(8):
        p, truth = case(i, specks=6)
        cases.append((np.stack([1 - p, p], -1), truth.astype(np.uint8), MM))
    settings, lines = tune(cases, BINARY)
    assert settings == {"min_volume": {"tumour": 10.0}} and "min volume 10 gains" in lines[0]
    check(settings, BINARY)
    plain, mended = [], []
    for p, truth, spacing in cases:
        found = decode(p, BINARY)
        plain.append(dice(found > 0, truth > 0))
        mended.append(dice(apply(found, spacing, settings, BINARY) > 0, truth > 0))
    assert np.mean(mended) == 1 and np.mean(plain) < 0.998


def test_a_model_that_is_too_sure_or_too_shy_gets_another_threshold():
    shy = [(np.stack([p, p], -1), t * np.uint8(2), MM) for p, t in (case(i, certainty=0.43) for i in range(6))]
    settings, _ = tune(shy, REGIONS)
    assert settings["threshold"]["inner"] == pytest.approx(0.2) and set(settings) == {"threshold"}
    found = decode(shy[0][0], replace(REGIONS, postprocess=settings))
    assert np.array_equal(found, shy[0][1])


def test_holes_are_filled_where_that_helps():
    cases = [(np.stack([1 - p, p], -1), t.astype(np.uint8), MM) for p, t in (case(i, hole=True) for i in range(6))]
    assert tune(cases, BINARY)[0] == {"fill_holes": ["tumour"]}


def test_what_does_not_help_others_is_not_kept():
    good = [(np.stack([1 - p, p], -1), t.astype(np.uint8), MM) for p, t in (case(i) for i in range(6))]
    assert tune(good, BINARY) == ({}, [])
    one = [*good[:5]]
    p, truth = case(9, specks=5)
    one.append((np.stack([1 - p, p], -1), truth.astype(np.uint8), MM))  # one case of six would gain: by chance, perhaps
    assert tune(one, BINARY)[0] == {}
    assert tune(good[:2], BINARY) == ({}, []) and tune([], BINARY) == ({}, [])
    noise = np.random.default_rng(0)
    cases = [(noise.random((6, 9, 9, 2), np.float32), noise.integers(0, 2, (6, 9, 9)).astype(np.uint8), MM)
             for _ in range(8)]  # fmt: skip
    assert "keep_largest" not in tune(cases, BINARY)[0]


def test_dice_from_pieces_is_dice_from_voxels():
    rng = np.random.default_rng(3)
    for _ in range(5):
        mask, truth = rng.random((6, 14, 14)) > 0.8, rng.random((6, 14, 14)) > 0.7
        mask[1:5, 2:9, 2:9] = True
        mask[2, 4, 4] = mask[3, 6, 6] = False
        found = components(mask, truth, MM)
        for choice, settings in ((Choice(), {}), (Choice(min_volume=20.0), {"min_volume": {"1": 20}}),
                                 (Choice(keep_largest=True), {"keep_largest": ["1"]}),
                                 (Choice(min_volume=20.0, fill_holes=True),
                                  {"min_volume": {"1": 20}, "fill_holes": ["1"]})):  # fmt: skip
            done = apply(mask.astype(np.uint8), MM, settings, replace(BINARY, scheme="")) > 0
            assert found.dice(choice) == pytest.approx(dice(done, truth))
    empty = np.zeros((3, 3, 3), bool)
    assert components(empty, empty, MM).dice(Choice(keep_largest=True)) == 1
    assert components(empty, ~empty, MM).dice(Choice()) == 0 == components(~empty, empty, MM).dice(Choice())
