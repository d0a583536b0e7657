"""Channels come to lie on each other: registration finds a known turn, headers alone are believed when told to."""

import json
import subprocess

import numpy as np
import pytest
from forked import BIN

from mrilib import phantom
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk
from mrilib.images.resampling import resample
from mrilib.images.steps.align import align, register, together
from mrilib.images.steps.geometry import reorient


@pytest.fixture(scope="module")
def head():
    """{channel: Image} of one phantom on one grid of 2 mm voxels, little noise."""
    images, _ = phantom.volume(3, 1, size=(72, 84, 72), noise=0.01)
    grid = Grid.of((72, 84, 72), (2.0, 2.0, 2.0), (10.0, -20.0, 5.0))
    return {name: Image(array, grid) for name, array in images.items()}


def turned(grid: Grid, degrees, shift) -> Grid:
    """The grid turned about the world's z, y and x axes and its own middle, then shifted (mm)."""
    spin = np.eye(3)
    for angle, (i, j) in zip(np.deg2rad(degrees), ((1, 2), (0, 2), (0, 1)), strict=True):
        one = np.eye(3)
        one[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        spin = spin @ one
    middle = grid.to_world((np.asarray(grid.size) - 1) / 2)
    origin = spin @ (np.asarray(grid.origin) - middle) + middle + shift
    return Grid.of(grid.size, grid.spacing, tuple(origin), spin @ np.asarray(grid.direction))


def test_a_known_turn_and_shift_between_unlike_channels_is_found(head):
    wrong = turned(head["t2"].grid, (6, -4, 3), (5, -7, 4))
    turn, shift, found = register(head["t1"], Image(head["t2"].array, wrong))
    points = np.argwhere(head["t1"].array > 100)[::97]
    miss = np.linalg.norm(found.to_world(points) - head["t2"].grid.to_world(points), axis=1)
    assert miss.mean() < 1.6 and miss.max() < 3  # within a voxel of 2 mm, where the headers were wrong by 9 mm and more
    assert 6 < turn < 9 and 8 < shift < 12


def test_channels_that_lie_well_are_not_interpolated(head):
    two = {name: head[name] for name in ("t1", "t2")}
    made, measured = together(two)
    assert measured["moved"] == [{"channel": "t2", "turn": 0.0, "shift": 0.0}]
    assert np.array_equal(made.array, files.stacked(two).array) and made.channels == ("t1", "t2")
    again, _ = align(files.stacked(head), method="headers")
    assert np.array_equal(again.array, files.stacked(head).array) and again.channels == tuple(head)


def test_headers_alone_are_believed_when_told_to(head):
    wrong = Image(head["t2"].array, turned(head["t2"].grid, (6, 0, 0), (0, 4, 0)))
    made, measured = together({"t1": head["t1"], "t2": wrong}, method="headers")
    assert np.allclose(made.array[..., 1], resample(wrong, head["t1"].grid).array)
    assert measured["moved"] == [{"channel": "t2", "turn": 0.0, "shift": 0.0}]
    with pytest.raises(UsageError, match="unknown method of alignment"):
        together(head, method="affine")
    with pytest.raises(CaseError, match="has 2 axes, the first 3"):
        together({"t1": head["t1"], "t2": Image(np.zeros((4, 5)), Grid.of((4, 5)))}, method="headers")


@pytest.mark.parametrize("code", ["RAS", "LPS", "LIA", "PSR", "ira"])
def test_reorient_is_that_of_itk(head, code):
    import SimpleITK as sitk

    array = head["t1"].array[:20, :30, :40]
    oblique = turned(Grid.of(array.shape, (3.0, 1.0, 2.0), (4.0, 5.0, 6.0)), (20, -10, 95), (1, 2, 3))
    given = Image(array, oblique)
    made, measured = reorient(given, orientation=code)
    back = itk.from_itk(sitk.DICOMOrient(itk.to_itk(given), code.upper()))
    assert back.grid.same_as(made.grid) and np.array_equal(back.array, made.array)
    there, _ = reorient(made, orientation=measured["given"])
    assert there.grid.same_as(given.grid) and np.array_equal(there.array, given.array)


def test_reorient_runs_to_the_right_the_front_and_upwards():
    made, measured = reorient(Image(np.arange(24.0).reshape(2, 3, 4), Grid.of((2, 3, 4))))  # ITK's world: L, P, S
    assert measured == {"given": "LPS"}
    assert made.array[0, 0, 0] == 11 and np.array_equal(np.diag(made.grid.direction), [1, -1, -1])
    flat = Image(np.zeros((3, 4)), Grid.of((3, 4)))
    assert reorient(flat) == (flat, {"given": ""})
    for code in ("RAX", "RA", "RRS", ""):
        with pytest.raises(UsageError, match="orientation"):
            reorient(flat, orientation=code)


def normalize(folder, *words):
    return subprocess.run([BIN / "mri-normalize", *map(str, words)], cwd=folder, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL)


def test_a_case_of_unlike_grids_is_denoised_aligned_and_written_with_its_label(tmp_path, head):
    grid = head["t1"].grid
    coarse = Grid.of((72, 42, 36), (2.0, 4.0, 4.0), tuple(grid.to_world([0, 0.5, 0.5])))
    for name, part in (("t1", head["t1"]), ("t2", resample(head["t2"], coarse)),
                       ("seg", Image((head["t1"].array > 300).astype(np.uint8), grid))):
        (tmp_path / "in/p").mkdir(parents=True, exist_ok=True)
        files.write(tmp_path / f"in/p/p-{name}.nii.gz", part)
    ran = normalize(tmp_path, "in", "-o", "no")
    assert ran.returncode == 1 and "channel t2 lies on another grid" in ran.stderr and "--align" in ran.stderr
    alone = subprocess.run([BIN / "mri-denoise", "in", "--method", "gaussian", "-o", "clean"], cwd=tmp_path,
                           capture_output=True, text=True, timeout=120)
    assert alone.returncode == 0 and alone.stdout == "clean/p\n", alone.stderr
    assert files.read(tmp_path / "clean/p/p-t2.nii.gz").grid.same_as(coarse, 1e-2)
    ran = normalize(tmp_path, "clean", "--align", "headers", "--reorient", "LPS", "--crop", "--spacing", 3, "--size",
                    "50,60,52", "--fit", "keep", "--region", "foreground", "-o", "out")
    assert ran.returncode == 0, ran.stderr
    parts = [files.read(tmp_path / f"out/p/p-{name}.nii.gz") for name in ("t1", "t2", "seg")]
    assert all(p.grid.same_as(parts[0].grid) and p.grid.size == (52, 60, 50) for p in parts)
    label = parts[2].array > 0
    assert label.any() and parts[0].array[label].mean() > parts[0].array[~label].mean() + 1
    record = json.loads((tmp_path / "out/p.json").read_text())
    assert record["native_grid"] == grid.as_dict()
    assert [m["step"] for m in record["measured"]] == ["gaussian", "gaussian", "align", "reorient", "crop", "spacing",
                                                       "pad", "zscore"]
