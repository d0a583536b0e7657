"""DICOM as it lies on the media of a clinic: no suffix or any, beside viewers, reports and drawings."""

import numpy as np
import pytest
import SimpleITK as sitk
from test_cases_boxes import picture
from test_cases_layouts import series
from test_unused import notes_of

from mrilib import cases
from mrilib.images.io import files

NAMES = {  # how files of a series are called, by their number
    "no suffix": "IM{:06d}",
    "upper case": "I{:04d}.DCM",
    "Siemens": "P1.MR.HEAD.0001.{:04d}.2019.01.01.IMA",
    "dotted": "1.3.12.2.1107.5.2.30.{}",
    "numbers": "{:08d}",
    "MR": "MR.1.2.840.{}.dicom",
    "any": "slice{}.img2",
}


def study(folder, name, **options):
    """A series whose files are called by a pattern; returns its voxels."""
    array = series(folder, "1", "AX T1 SE", **options)
    for i, path in enumerate(sorted(folder.glob("*.dcm"))):
        path.rename(folder / name.format(i))
    return array


@pytest.mark.parametrize("kind", NAMES)
def test_a_series_whatever_its_files_are_called(kind, tmp_path):
    array = study(tmp_path / "p1/a", NAMES[kind])
    case, = cases.find([tmp_path])
    assert (case.id, list(case.channels), case.layout) == ("p1/a", ["t1"], "dicom")
    assert np.array_equal(files.read_case(case).array, array)


def test_a_folder_of_a_cd(tmp_path):
    array = study(tmp_path / "DICOM/ST000000/SE000000", "IM{:06d}")
    header = next((tmp_path / "DICOM/ST000000/SE000000").iterdir()).read_bytes()[:400]
    (tmp_path / "DICOMDIR").write_bytes(header)
    for name in ("VIEWER/logo.png", "VIEWER/skin/splash.jpg", "VIEWER/skin/button.gif"):
        picture(tmp_path / name)
    for name in ("AUTORUN.INF", "VIEWER/viewer.exe", "VIEWER/help.html", "README.TXT"):
        (tmp_path / name).write_text("text")
    case, = cases.find([tmp_path])
    assert case.id == "DICOM/ST000000/SE000000" and np.array_equal(files.read_case(case).array, array)
    assert notes_of(tmp_path) == {"images": ["VIEWER/logo.png", "VIEWER/skin/button.gif", "VIEWER/skin/splash.jpg"]}


def test_pictures_and_a_dicom_file_of_its_own_are_all_read_or_named(tmp_path):
    for i in range(8):
        picture(tmp_path / f"scans/{i}.png")
    series(tmp_path / "one", "1", "AX T1", size=(1, 6, 7), suffix="")
    assert [case.id for case in cases.find([tmp_path])] == [f"scans/{i}" for i in range(8)]
    assert notes_of(tmp_path) == {"DICOM files that are no series of slices": ["one/10"]}


def test_a_segmentation_and_a_report_beside_a_series_are_no_images(tmp_path):
    study(tmp_path / "p1/a", "{}.dcm")
    drawn = sitk.GetImageFromArray(np.eye(6, 7, dtype=np.uint8))
    for modality in ("SEG", "RTSTRUCT", "SR"):
        drawn.SetMetaData("0008|0060", modality)
        drawn.SetMetaData("0020|000e", f"9.9.{len(modality)}")
        sitk.WriteImage(drawn, str(tmp_path / f"p1/{modality}.dcm"))
    (tmp_path / "p1/plan.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 20)
    assert [case.id for case in cases.find([tmp_path])] == ["p1/a"]
    left = notes_of(tmp_path)
    assert sorted(path for paths in left.values() for path in paths) == [
        "p1/RTSTRUCT.dcm", "p1/SEG.dcm", "p1/SR.dcm", "p1/plan.dcm"]
    assert "p1/SEG.dcm" in left["label maps"]
