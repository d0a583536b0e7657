"""Prepared volumes: what runs that differ leave each other."""

import numpy as np
from segment_data import write

from mrilib.cases import find
from mrilib.training import volumes

WAYS = [(None, [0, 1, 2]), ((2.0, 2.0, 2.0), [0, 1, 2]), (None, [0, 2, 1])]


def test_runs_that_differ_share_a_cache(tmp_path):
    write(tmp_path / "in", 0)
    (case,) = find([tmp_path / "in"])

    def prepare(spacing, values):
        return volumes.prepare(case, (), ["t1ce", "flair"], spacing, values, tmp_path / "cache")

    names = [prepare(*way) for way in WAYS]
    fine, coarse, swapped = volumes.load(tmp_path / "cache", names)
    assert (fine.size[0], coarse.size[0]) == (12, 6)
    assert np.array_equal(np.array([0, 2, 1])[fine.label()], swapped.label())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert [prepare(*way) for way in WAYS] == names  # each finds its own, and prepares nothing
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
