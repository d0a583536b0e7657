"""Prepared volumes: what runs that differ leave each other."""

import numpy as np
import pytest
from segment_data import arrays, write

from mrilib.cases import find
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.labels import SCHEMES
from mrilib.recipe import Recipe
from mrilib.training import volumes
from mrilib.training.segment import SegmentData

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


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "places.npz", "case.json"])
def test_a_case_of_the_cache_that_was_cut_short_is_prepared_again(tmp_path, name):
    write(tmp_path / "in", 0)
    (case,) = find([tmp_path / "in"])
    cut = tmp_path / "cache" / volumes.prepare(case, (), ["t1ce", "flair"], None, [0, 1, 2], tmp_path / "cache") / name
    before = cut.read_bytes()
    cut.write_bytes(before[:100])
    volumes.prepare(case, (), ["t1ce", "flair"], None, [0, 1, 2], tmp_path / "cache")
    assert cut.read_bytes() == before


def test_label_maps_that_were_corrected_are_other_data(tmp_path):
    write(tmp_path / "in", 0)
    _, label = arrays(0)
    hashes = []
    for mended in (label, np.where(label, 3 - label, 0).astype(np.uint8)):  # of the same place and size
        files.write(next(tmp_path.glob("in/*/*_seg.nii.gz")), Image(mended, Grid.of(label.shape, (1.0, 1.0, 1.0))))
        names = [volumes.prepare(c, (), ["t1ce", "flair"], None, [0, 1, 2], tmp_path / "cache")
                 for c in find([tmp_path / "in"])]
        data = SegmentData(volumes.load(tmp_path / "cache", names), ["train"], SCHEMES["brats2020"], Recipe())
        hashes.append(data.hash)
    assert hashes[0] != hashes[1]
