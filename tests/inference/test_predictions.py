"""Label maps as files: which are complete, which go, and what is refused before a network runs."""

from dataclasses import replace

import numpy as np
import pytest
from model_records import map_record

from mrilib.cases import Reading, find
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.inference.predictions import Target, finished, ready, write
from mrilib.inference.prepare import prepare_volume

GRID = Grid.of((8, 12, 10), (1.5, 1.0, 1.0), (-20.0, 10.0, 5.0))
VALUES = np.random.default_rng(0).integers(0, 900, GRID.size).astype(np.int16)
RECORD = map_record(scheme="brats2020", values=[0, 2, 4])


@pytest.fixture
def volume(tmp_path):
    files.write(tmp_path / "p0.nii.gz", Image(VALUES, GRID))
    return next(iter(find([tmp_path / "p0.nii.gz"])))


def test_a_map_is_complete_for_these_channels_of_its_file_in_this_order(tmp_path):
    files.write(tmp_path / "p.nii.gz", Image(np.stack([VALUES, VALUES[::-1]], -1), GRID, ("t1", "flair")))
    record = replace(RECORD, channels=["flair", "t1"])
    first, second = (next(iter(find([tmp_path / "p.nii.gz"], Reading(channels=c))))
                     for c in (("t1", "flair"), ("flair", "t1")))
    target = Target(tmp_path / "out", "h")
    made = prepare_volume(first, (), record.channels)
    write(first, made, np.ones((*GRID.size, 3), np.float32), record, target, settings={}, origin={})
    assert finished(first, target) == tmp_path / "out/p.nii.gz" and finished(second, target) is None


def test_what_other_settings_made_of_a_case_goes_when_they_are_replaced(volume, tmp_path):
    made = prepare_volume(volume, (), RECORD.channels)
    for name, suffix, record in (("a", ".nii.gz", RECORD), ("b", ".nii", replace(RECORD, values=[0, 2, 1]))):
        target = Target(tmp_path / "out", name, suffix, tmp_path / "maps")
        write(volume, made, np.ones((*GRID.size, 3), np.float32), record, target, settings={}, origin={})
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"p0.nii", "p0.json"}
    assert {p.name for p in (tmp_path / "maps/p0").iterdir()} == {"background.nii", "oedema.nii", "necrotic.nii"}


def test_a_volume_whose_map_is_to_be_a_picture_is_refused_before_it_is_computed(volume, tmp_path):
    with pytest.raises(CaseError, match=r"p0.nii.gz: is a volume, and a volume cannot be a \.tif"):
        ready(volume, (), ["image"], None, True, Target(tmp_path / "out", "h", ".tif"), (), True)


def test_a_picture_is_refused_by_a_model_of_volumes_and_the_one_slice_of_a_volume_is_not(tmp_path):
    files.write(tmp_path / "a.png", Image(VALUES[4], Grid.of((12, 10))))
    files.write(tmp_path / "b.nii.gz", Image(VALUES[4:5], Grid.of((1, 12, 10))))
    picture, slice_ = find([tmp_path])
    target = Target(tmp_path / "out", "h")
    with pytest.raises(CaseError, match=r"a.png: is a picture; this model takes volumes"):
        ready(picture, (), ["image"], [2.0, 2.0, 2.0], True, target, (), True)
    for case, spacing, deep in ((slice_, [2.0, 2.0, 2.0], True), (slice_, [1.0, 1.0], True),
                                (picture, [1.0, 1.0, 1.0], False), (picture, None, False)):
        size = (1, 6, 5, 1) if case is slice_ and spacing[-1] == 2 else (1, 12, 10, 1)
        assert ready(case, (), ["image"], spacing, True, target, (), deep).array.shape == size
