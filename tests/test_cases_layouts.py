"""The layouts of public data sets, built small: each found without being told, with channels, labels, schemes."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from pipeline_data import save

from mrilib import cases, labels
from mrilib.cases import Reading
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk


def volume(path, seed=0, label=False, size=(4, 5, 6), **where):
    """A volume of noise, or of the labels of a scheme (msd unless said), written by ITK as other programs would."""
    rng = np.random.default_rng(seed)
    values = labels.scheme(label if isinstance(label, str) else "msd").values if label else ()
    array = rng.choice(values, size).astype(np.uint8) if values else rng.integers(0, 999, size).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(itk.to_itk(Image(array, Grid.of(size, **where))), str(path))
    return array


def told(path, reading=None):
    """id -> case of a folder in which nothing is wrong."""
    return {case.id: case for case in cases.find([path], reading)}


def with_errors(path):
    errors = []
    found = [case.id for case in cases.find([path], on_error=errors.append)]
    return found, [str(error) for error in errors]


BRATS = {  # a case's name, its files' start and ends: t1 t1ce t2 flair label; subject; scheme
    "2013": ("pat1", "VSD.Brain.XX.O.", ("MR_T1.54513.mha", "MR_T1c.54514.mha", "MR_T2.54515.mha", "MR_Flair.54512.mha",
                                         "OT.54517.mha"), None, "brats2013"),
    "deepmedic": ("brats_2013_pat0003_1", "", ("T1_subtrMeanDivStd.nii.gz", "T1c_subtrMeanDivStd.nii.gz",
                                               "T2_subtrMeanDivStd.nii.gz", "Flair_subtrMeanDivStd.nii.gz",
                                               "OTMultiClass.nii.gz"), "brats_2013_pat0003", "brats2013"),
    "2018": ("Brats18_TCIA08_167_1", "Brats18_TCIA08_167_1_", ("t1.nii.gz", "t1ce.nii.gz", "t2.nii.gz", "flair.nii.gz",
                                                               "seg.nii.gz"), "Brats18_TCIA08_167", "brats2020"),
    "2020": ("BraTS20_Training_001", "BraTS20_Training_001_", ("t1.nii", "t1ce.nii", "t2.nii", "flair.nii", "seg.nii"),
             "BraTS20_Training_001", "brats2020"),
    "2020-355": ("BraTS20_Training_355", "", ("BraTS20_Training_355_t1.nii", "BraTS20_Training_355_t1ce.nii",
                                              "BraTS20_Training_355_t2.nii", "BraTS20_Training_355_flair.nii",
                                              "W39_1998.09.19_Segm.nii"), "BraTS20_Training_355", "brats2020"),
    "2021": ("BraTS2021_00002", "BraTS2021_00002_", ("t1.nii.gz", "t1ce.nii.gz", "t2.nii.gz", "flair.nii.gz",
                                                     "seg.nii.gz"), "BraTS2021_00002", "brats2020"),
    "2023": ("BraTS-GLI-00005-100", "BraTS-GLI-00005-100-", ("t1n.nii.gz", "t1c.nii.gz", "t2w.nii.gz", "t2f.nii.gz",
                                                             "seg.nii.gz"), "BraTS-GLI-00005", "brats2023"),
    "UPENN": ("UPENN-GBM-00001_11", "UPENN-GBM-00001_11_", ("T1.nii.gz", "T1GD.nii.gz", "T2.nii.gz", "FLAIR.nii.gz",
                                                            "segm.nii.gz"), "UPENN-GBM-00001", None),
    "exam": ("p7", "", ("T1_AX_SE_10_se2d1_t1.nii.gz", "MRHR_T1_AX_POST_GAD_SE_13_se2d1r_t1c.nii.gz",
                        "MRHR_T2_AX_SE_2_tse2d1_11_t2.nii.gz", "MRHR_FLAIR_AX_SE_IR_5_tir2d1_21_fla.nii.gz",
                        "gt.nii.gz"), None, None),
}  # fmt: skip


@pytest.mark.parametrize("year", BRATS)
def test_brats_of_any_year(year, tmp_path):
    name, start, ends, subject, scheme = BRATS[year]
    kinds = [False, False, False, False, scheme or True]
    arrays = [volume(tmp_path / "set" / name / f"{start}{end}", i, kinds[i]) for i, end in enumerate(ends)]
    volume(tmp_path / "set" / name / "brainmask.nii.gz", 9)
    case, = cases.find([tmp_path / "set"])
    assert [case] == list(cases.find([tmp_path / "set" / name]))
    assert (case.id, list(case.channels), case.subject, case.scheme) == (name, ["t1", "t1ce", "t2", "flair"], subject,
                                                                         scheme)
    assert case.path == tmp_path / "set" / name and case.label.name == f"{start}{ends[4]}" and case.layout == "brats"
    image = files.read_case(case)
    assert image.channels == ("t1", "t1ce", "t2", "flair")
    assert all(np.array_equal(image.array[..., i], array) for i, array in enumerate(arrays[:4]))
    assert np.array_equal(files.read_label(case).array, arrays[4])
    two, = cases.find([tmp_path / "set"], Reading(channels=("flair", "t1")))
    assert np.array_equal(files.read_case(two).array, image.array[..., [3, 0]])


def test_a_case_that_lacks_a_channel_is_named(tmp_path):
    for i, name in enumerate(("p1", "p2", "p3")):
        for channel in ("t1", "t2", "flair", "seg")[: 4 - (i == 2) * 2]:
            volume(tmp_path / name / f"{name}_{channel}.nii.gz")
    (tmp_path / "p3/p3_t2.nii.gz").rename(tmp_path / "p3/p3_t1ce.nii.gz")
    found, errors = with_errors(tmp_path)
    assert found == ["p1", "p2"]
    assert errors == [f"{tmp_path}/p3: has no t2 flair; the other cases have t1 t2 flair (add it, or choose others "
                      "with --channels)"]
    assert list(told(tmp_path, Reading(channels=("t1",)))) == ["p1", "p2", "p3"]


def test_channel_files_of_many_cases_in_one_folder(tmp_path):
    for name in ("a", "b_2"):
        for i, channel in enumerate(("flair", "t1", "seg")):
            volume(tmp_path / f"{name}_{channel}.nii.gz", i, channel == "seg")
    found = told(tmp_path)
    assert {k: (list(c.channels), c.label.name) for k, c in found.items()} == {
        "a": (["t1", "flair"], "a_seg.nii.gz"), "b_2": (["t1", "flair"], "b_2_seg.nii.gz")}


def test_cases_of_one_channel_and_a_label_map_in_one_folder(tmp_path):
    for name in ("a_flair", "a_seg", "b_flair", "b_seg", "c_flair"):
        volume(tmp_path / f"{name}.nii.gz", label="seg" in name)
    found = told(tmp_path)
    assert {k: (list(c.channels), c.label and c.label.name) for k, c in found.items()} == {
        "a": (["flair"], "a_seg.nii.gz"), "b": (["flair"], "b_seg.nii.gz"), "c": (["flair"], None)}


def test_a_folder_for_each_channel(tmp_path):
    _, start, ends, *_ = BRATS["2013"]
    for name in ("HG/0001", "HG/0002"):
        for end in ends:
            volume(tmp_path / name / f"{start}{end[:-10]}" / f"{start}{end}", label=end[:2] == "OT")
    found = told(tmp_path)
    assert {k: (*c.channels, c.label.name, c.scheme, c.path) for k, c in found.items()} == {
        k: ("t1", "t1ce", "t2", "flair", f"{start}{ends[4]}", "brats2013", tmp_path / k)
        for k in ("HG/0001", "HG/0002")}
    assert told(found["HG/0001"].path).keys() == {"0001"}


UCSF = ("ADC", "brain_parenchyma_segmentation", "brain_segmentation", "DTI_eddy_FA", "DWI", "FLAIR", "FLAIR_bias",
        "SWI", "SWI_bias", "T1", "T1_bias", "T1c", "T1c_bias", "T2", "T2_bias", "tumor_segmentation")


def test_the_label_map_of_the_tumour_where_the_files_of_all_cases_lie_in_one_folder(tmp_path):
    for name in ("UCSF-PDGM-0004", "UCSF-PDGM-0004_FU003d", "UCSF-PDGM-0005"):
        for end in UCSF:
            volume(tmp_path / f"{name}_{end}.nii.gz", label="segmentation" in end)
    volume(tmp_path / "UCSF-PDGM-0005_2_T1.nii.gz")  # a visit with one sequence: its T1 is not a second one of 0005
    found = told(tmp_path)
    alone = found.pop("UCSF-PDGM-0005_2_T1")
    assert len(alone.channels) == 1 and alone.label is None
    assert list(found) == ["UCSF-PDGM-0004", "UCSF-PDGM-0004_FU003d", "UCSF-PDGM-0005"]
    for name, case in found.items():
        ends = [path.name.removeprefix(f"{name}_") for path in (*case.channels.values(), case.label)]
        assert ends == ["T1.nii.gz", "T1c.nii.gz", "T2.nii.gz", "FLAIR.nii.gz", "tumor_segmentation.nii.gz"]


def test_the_label_map_of_the_tumour_among_those_of_the_brain(tmp_path):
    for name in ("UCSF-PDGM-0004", "UCSF-PDGM-0005"):
        for end in UCSF:
            volume(tmp_path / f"{name}_nifti/{name}_{end}.nii.gz", label="segmentation" in end)
    found = told(tmp_path)
    assert list(found) == ["UCSF-PDGM-0004_nifti", "UCSF-PDGM-0005_nifti"]
    for case in found.values():
        ends = [path.name.removeprefix(f"{case.subject}_") for path in (*case.channels.values(), case.label)]
        assert ends == ["T1.nii.gz", "T1c.nii.gz", "T2.nii.gz", "FLAIR.nii.gz", "tumor_segmentation.nii.gz"]
    (tmp_path / "UCSF-PDGM-0005_nifti/UCSF-PDGM-0005_tumor_segmentation.nii.gz").unlink()
    found, errors = with_errors(tmp_path)
    assert found == ["UCSF-PDGM-0004_nifti"]
    assert errors == [f"{tmp_path}/UCSF-PDGM-0005_nifti: has 2 files for label map: UCSF-PDGM-0005_"
                      "brain_parenchyma_segmentation.nii.gz and UCSF-PDGM-0005_brain_segmentation.nii.gz (move all but "
                      "one away, or name the files in a CSV)"]


@pytest.mark.parametrize(("names", "label"), [
    (("p1_t1", "p1_flair", "p1_seg", "p1_other_seg", "p1_tumor_core_seg"), "p1_seg"),
    (("t1", "flair", "seg", "brain_seg", "t1_bias"), "seg"),
    (("flair", "brain_label", "lesion_label"), "lesion_label"),
])  # fmt: skip
def test_the_label_map_that_is_meant(names, label, tmp_path):
    for name in names:
        volume(tmp_path / f"p1/{name}.nii.gz")
    case, = told(tmp_path / "p1").values()
    assert (case.id, case.label.name) == ("p1", f"{label}.nii.gz")


def test_nnunet(tmp_path):
    write(tmp_path / "dataset.json", {"channel_names": {"0": "FLAIR", "1": "T1w", "2": "T1gd"},
                                      "labels": {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3],
                                                 "enhancing tumor": [3]}})
    for name, folder in (("BRATS_001", "Tr"), ("BRATS_002", "Tr"), ("BRATS_485", "Ts")):
        for n in range(3):
            volume(tmp_path / f"images{folder}/{name}_{n:04d}.nii.gz", n)
        if folder == "Tr":
            volume(tmp_path / f"labelsTr/{name}.nii.gz", 7, label=True)
    found = told(tmp_path)
    assert list(found) == ["imagesTr/BRATS_001", "imagesTr/BRATS_002", "imagesTs/BRATS_485"]
    one, test = found["imagesTr/BRATS_001"], found["imagesTs/BRATS_485"]
    assert (list(one.channels), one.scheme, one.layout) == (["flair", "t1", "t1ce"], "msd", "nnunet")
    assert (one.label, test.label) == (tmp_path / "labelsTr/BRATS_001.nii.gz", None)
    assert files.read_case(one).channels == ("flair", "t1", "t1ce") and files.read_label(one).array.max() == 3
    inside = told(tmp_path / "imagesTr")
    assert list(inside) == ["BRATS_001", "BRATS_002"] and inside["BRATS_001"].label == one.label
    (tmp_path / "imagesTr/BRATS_002_0001.nii.gz").unlink()
    found, errors = with_errors(tmp_path)
    assert found == ["imagesTr/BRATS_001", "imagesTs/BRATS_485"]
    assert errors == [f"{tmp_path}/imagesTr/BRATS_002_0000.nii.gz: channel 0001 (t1) is missing (add it, or leave the "
                      "case out)"]


def write(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")


def test_nnunet_without_its_json_and_with_pictures(tmp_path):
    for name in ("a", "b"):
        for n in range(2):
            volume(tmp_path / f"in/{name}_{n:04d}.nii.gz", n)
    assert {k: list(c.channels) for k, c in told(tmp_path / "in").items()} == {"a": ["c0", "c1"], "b": ["c0", "c1"]}
    write(tmp_path / "two/dataset.json", {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"tumor": 1}})
    save(tmp_path / "two/imagesTr/x_0000.png", np.full((5, 6, 3), 7, np.uint8))
    save(tmp_path / "two/labelsTr/x.png", np.ones((5, 6), np.uint8))
    case, = told(tmp_path / "two").values()
    assert files.read_case(case).array.shape == (5, 6, 3) and list(case.channels) == ["r", "g", "b"]
    assert (case.scheme, files.read_label(case).array.sum()) == ("binary", 30)


def test_the_decathlon(tmp_path):
    write(tmp_path / "dataset.json", {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "tensorImageSize": "4D",
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}})
    grid = {"spacing": (2.0, 1.0, 1.5), "origin": (3.0, 4.0, 5.0)}
    arrays = [volume(tmp_path / f"parts/{n}.nii.gz", n, **grid) for n in range(4)]
    (tmp_path / "imagesTr").mkdir()
    four = sitk.JoinSeries([sitk.ReadImage(str(tmp_path / f"parts/{n}.nii.gz")) for n in range(4)])
    sitk.WriteImage(four, str(tmp_path / "imagesTr/BRATS_001.nii.gz"))
    volume(tmp_path / "labelsTr/BRATS_001.nii.gz", 7, label=True, **grid)
    (tmp_path / "imagesTr/._BRATS_001.nii.gz").write_bytes(b"a Mac was here")
    for n in range(4):
        (tmp_path / f"parts/{n}.nii.gz").unlink()
    case, = told(tmp_path).values()
    assert (case.id, list(case.channels), case.scheme, case.layout) == ("imagesTr/BRATS_001",
                                                                        ["flair", "t1", "t1ce", "t2"], "msd", "msd")
    image = files.read_case(case)
    assert np.array_equal(image.array, np.stack(arrays, -1)) and image.channels == tuple(case.channels)
    assert image.grid.spacing == (2, 1, 1.5) and image.grid.same_as(files.read_label(case).grid)
    flair, = told(tmp_path, Reading(channels=("t2",))).values()
    assert np.array_equal(files.read_case(flair).array, arrays[3])
    (tmp_path / "dataset.json").unlink()
    case, = told(tmp_path).values()
    with pytest.raises(CaseError, match="has 4 dimensions .*name the channels of the fourth with --channels"):
        files.read_case(case)
    named, = told(tmp_path, Reading(channels=("flair", "t1", "t1ce", "t2"))).values()
    assert np.array_equal(files.read_case(named).array, image.array) and named.label == case.label
    wrong, = told(tmp_path, Reading(channels=("flair", "t1"))).values()
    with pytest.raises(CaseError, match="holds 4 channels, not 2 .flair t1."):
        files.read_case(wrong)


def test_bids(tmp_path):
    for name in ("sub-01/ses-1", "sub-01/ses-2", "sub-02"):
        start = f"{name}/anat/{name.replace('/', '_')}"
        for i, end in enumerate(("T1w", "ce-gadolinium_T1w", "FLAIR")):
            volume(tmp_path / f"{start}_{end}.nii.gz", i)
        volume(tmp_path / f"{name}/func/{name.replace('/', '_')}_task-rest_bold.nii.gz")
    volume(tmp_path / "sub-02/anat/sub-02_dseg.nii.gz", 5, label=True)
    volume(tmp_path / "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_label-lesion_mask.nii.gz", 6, label=True)
    volume(tmp_path / "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_desc-brain_mask.nii.gz", 6, label=True)
    volume(tmp_path / "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_desc-preproc_T1w.nii.gz", 6)
    found = told(tmp_path)
    assert {k: (list(c.channels), c.subject, c.label and c.label.name) for k, c in found.items()} == {
        "sub-01/ses-1": (["t1", "t1ce", "flair"], "sub-01", "sub-01_ses-1_label-lesion_mask.nii.gz"),
        "sub-01/ses-2": (["t1", "t1ce", "flair"], "sub-01", None),
        "sub-02": (["t1", "t1ce", "flair"], "sub-02", "sub-02_dseg.nii.gz")}
    assert files.read_case(found["sub-02"]).channels == ("t1", "t1ce", "flair")
    assert list(told(tmp_path / "sub-02")) == ["sub-02"]
    volume(tmp_path / "sub-02/anat/sub-02_run-2_T1w.nii.gz")
    found, errors = with_errors(tmp_path)
    assert found == ["sub-01/ses-1", "sub-01/ses-2"]
    assert "sub-02: has 2 files for t1: sub-02_T1w.nii.gz and sub-02_run-2_T1w.nii.gz (move all but" in errors[0]


def series(folder, uid, description, size=(5, 6, 7), skip=(), study="1.2.3", patient="P1", contrast="", suffix=".dcm"):
    """A DICOM series as a scanner writes it, its files in disorder; returns its voxels."""
    array = np.random.default_rng(len(uid)).integers(0, 500, size).astype(np.int16)
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetImageIO("GDCMImageIO")
    for z in range(size[0]):
        if z in skip:
            continue
        piece = sitk.GetImageFromArray(array[z])
        piece.SetSpacing((0.9, 0.8))
        for key, value in {"0020|000d": study, "0020|000e": f"{study}.{uid}", "0008|103e": description,
                           "0010|0020": patient, "0018|0010": contrast, "0008|0018": f"{study}.{uid}.{z + 1}",
                           "0020|0013": str(z + 1), "0020|0032": f"-10\\-20\\{3 * z}",
                           "0020|0037": "1\\0\\0\\0\\1\\0", "0008|0060": "MR",
                           "0018|0050": "3", "0008|0016": "1.2.840.10008.5.1.4.1.1.4"}.items():  # fmt: skip
            piece.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}_{(z * 3) % size[0]}.dcm"))
        writer.Execute(piece)
        if not suffix:
            (folder / f"{uid}_{(z * 3) % size[0]}.dcm").rename(folder / f"{uid}{(z * 3) % size[0]}")
    return array


@pytest.mark.parametrize("apart", [False, True])
def test_dicom_series_of_a_study_are_the_channels_of_a_case(apart, tmp_path):
    places = [tmp_path / "set/p1" / (name if apart else "") for name in "abc"]
    t1 = series(places[0], "1", "AX T1 SE")
    after = series(places[1], "22", "t1_mpr_post_GAD")
    flair = series(places[2], "333", "Ax T2 FLAIR")
    case, = told(tmp_path / "set").values()
    assert (case.id, case.subject, list(case.channels), case.layout) == ("p1", "P1", ["t1", "t1ce", "flair"], "dicom")
    image = files.read_case(case)
    assert np.array_equal(image.array, np.stack([t1, after, flair], -1))
    assert np.allclose(image.grid.spacing, (3, 0.8, 0.9)) and np.allclose(image.grid.origin, (0, -20, -10))
    assert len(case.image_files) == 15 and case.path == tmp_path / "set/p1"
    assert list(told(tmp_path / "set/p1")) == ["p1"]


def test_two_studies_in_one_dicom_folder_are_two_cases(tmp_path):
    first = series(tmp_path / "set/pat", "1", "AX T1")
    later = series(tmp_path / "set/pat", "22", "AX T1", study="1.2.9")
    for path in (tmp_path / "set", tmp_path / "set/pat"):
        found = told(path)
        assert {k: c.subject for k, c in found.items()} == {"pat": "P1", "pat-2": "P1"}
        assert np.array_equal(files.read_case(found["pat"]).array, first)
        assert np.array_equal(files.read_case(found["pat-2"]).array, later)
    both = cases.find([tmp_path / "set", tmp_path / "set/pat"], root=tmp_path / "set")
    assert [case.id for case in both] == ["pat", "pat-2"]  # named twice, they are no more


def test_dicom_series_that_do_not_say_what_they_are_stay_apart(tmp_path):
    one = series(tmp_path / "p1", "1", "localizer of some kind")
    series(tmp_path / "p1", "22", "AX T1", contrast="Gadovist")
    found = told(tmp_path)
    assert {k: list(c.channels) for k, c in found.items()} == {"p1/AX-T1": ["t1ce"],
                                                               "p1/localizer-of-some-kind": ["image"]}
    assert np.array_equal(files.read_case(found["p1/localizer-of-some-kind"]).array, one)


def test_dicom_without_suffix_and_with_a_slice_missing(tmp_path):
    array = series(tmp_path / "p1", "1", "AX T2", suffix="")
    case, = told(tmp_path).values()
    assert list(case.channels) == ["t2"] and np.array_equal(files.read_case(case).array, array)
    series(tmp_path / "p2", "1", "AX T2", skip=(2,), study="1.9", patient="P2")
    with pytest.raises(CaseError, match="slices lie 3 to 6 mm apart: one is missing"):
        files.read_case(next(iter(told(tmp_path / "p2").values())))


def test_a_table_whose_masks_lie_beside_its_images(tmp_path):
    for name in ("1", "2"):
        save(tmp_path / f"images/{name}.jpg", np.zeros((10, 20), np.uint8))
    save(tmp_path / "masks/1.png", np.eye(10, 20, dtype=np.uint8) * 255)
    (tmp_path / "cases.csv").write_text("file,class,subject\nimages/1.jpg,glioma,7\nimages/2.jpg,other,8\n")
    found = told(tmp_path)
    assert [(c.class_name, c.subject, c.label) for c in found.values()] == [
        ("glioma", "7", tmp_path / "masks/1.png"), ("other", "8", None)]
    assert files.read_label(found["images/1"]).array.sum() == 10
