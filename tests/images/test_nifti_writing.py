"""Volumes written by our own hand are those that ITK reads: values, places, both forms, the same bytes again."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk, nifti, placement


def turned(seed, handed):
    """An oblique grid, left-handed for handed -1."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn[:, 0] *= np.sign(np.linalg.det(turn)) * handed
    return Grid.of((5, 6, 7), tuple(rng.uniform(0.3, 6, 3)), tuple(rng.uniform(-200, 200, 3)), turn)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("handed", [1, -1])
def test_itk_reads_values_and_place(tmp_path, suffix, kind, handed):
    for seed in range(4):
        grid = turned(seed, handed)
        array = np.random.default_rng(seed).uniform(0, 250 if kind == "uint8" else 2500, grid.size).astype(kind)
        path = tmp_path / f"{seed}{suffix}"
        files.write(path, Image(array, grid), recipe_hash="0123456789abcdef")
        for back in (files.read(path), itk.from_itk(sitk.ReadImage(str(path)))):
            assert np.array_equal(back.array, array) and back.array.dtype == kind and back.grid.same_as(grid, 1e-3)
        assert files.read_recipe_hash(path) == "0123456789abcdef"
        data = (gzip.open if suffix == ".nii.gz" else open)(path, "rb").read(544)
        assert placement.wrong(placement.of(nifti.header(data))) is None  # qform and sform agree
        assert np.frombuffer(data, "<i2", 2, 252).tolist() == [1, 1]


def test_the_bytes_are_the_same_again_and_what_is_not_ours_goes_to_itk(tmp_path):
    image = Image(np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32), turned(1, 1))
    for name in ("a", "b"):
        files.write(tmp_path / f"{name}.nii.gz", image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert not nifti.writes(np.zeros((4, 5)), Grid.of((4, 5)))
    assert not nifti.writes(image.array.astype(np.int32), image.grid)
