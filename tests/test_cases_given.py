"""Folders of a given split are parts and never classes; classes are the other folders; label maps are no images."""

from collections import Counter

import numpy as np
import pytest
from pipeline_data import save

from mrilib import cases
from mrilib.cases import Reading
from mrilib.cases.given import part_and_rest
from mrilib.cases.names import is_mask_folder
from mrilib.images.io import files
from mrilib.store import write_json


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def head(seed, size=48):
    """A disc whose brightness and lesion depend on the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
    disc = np.where(x**2 / rng.uniform(0.4, 0.9) + y**2 < 0.7, 110 + 60 * np.cos(4 * x + 9 * rng.random()), 4)
    cx, cy = rng.uniform(-0.5, 0.5, 2)
    return np.where((x - cx) ** 2 + (y - cy) ** 2 < 0.05, 220, disc).clip(0, 255).astype(np.uint8)


def found_in(folder, **options):
    return list(cases.find([folder], **options))


def told(folder, **options):
    """(class, part) -> number of cases."""
    return Counter((c.class_name, c.part) for c in found_in(folder, **options))


@pytest.mark.parametrize(("name", "part"), [
    ("train", "train"), ("Training", "train"), ("TRAIN", "train"), ("trn", "train"), ("Train_Set", "train"),
    ("trainset", "train"), ("train_images", "train"), ("TrainingData", "train"), ("imagesTr", "train"),
    ("val", "validation"), ("valid", "validation"), ("Validation", "validation"), ("dev", "validation"),
    ("VAL", "validation"), ("test", "test"), ("Testing", "test"), ("TEST", "test"), ("hold-out", "test"),
    ("Test Images", "test"), ("imagesTs", "test"), ("contest", None), ("trainer", None), ("glioma", None),
    ("valley", None), ("devic", None), ("0", None),
])  # fmt: skip
def test_folders_that_are_parts_by_their_name_alone(name, part):
    found, _, proof = part_and_rest(name)
    assert (found if proof else None) == part


@pytest.mark.parametrize("parts", [
    ("Training", "Testing"), ("train", "test"), ("TRAIN", "VAL", "TEST"), ("train", "valid"), ("trn", "dev", "tst"),
    ("train_set", "test_set"), ("tr", "te"), ("train2017", "val2017"), ("MICCAI_X_TrainingData", "MICCAI_X_TestData"),
])  # fmt: skip
@pytest.mark.parametrize("way", ["{part}/{kind}", "{kind}/{part}", "brain set/{part}/{kind}", "{part}/images/{kind}",
                                 "images/{part}/{kind}", "{part}/{kind}/images", "a/{kind}/b/{part}"])
def test_a_part_at_any_place_around_classes_of_any_name(parts, way, tmp_path):
    kinds = ("astrocytoma", "ependymoma", "schwannoma")
    for part in parts:
        for kind in kinds:
            for i in range(4):
                touch(tmp_path / way.format(part=part, kind=kind) / f"im{i}.jpg")
    expected = {"Testing": "test", "TEST": "test", "test": "test", "valid": "validation", "VAL": "validation",
                "dev": "validation", "tst": "test", "te": "test", "test_set": "test", "val2017": "validation",
                "MICCAI_X_TestData": "test"}  # fmt: skip
    assert told(tmp_path) == {(kind, expected.get(part, "train")): 4 for part in parts for kind in kinds}
    found = found_in(tmp_path)
    assert sorted(c.id for c in found) == sorted(c.path.relative_to(tmp_path).with_suffix("").as_posix() for c in found)
    assert told(tmp_path, layout="classes") == told(tmp_path)


def test_words_of_classes_and_part_and_class_in_one_name(tmp_path):
    for name in ("train_glioma", "test_glioma", "train_healthy", "test_healthy"):
        for i in range(3):
            touch(tmp_path / "a" / name / f"{i}.png")
    assert told(tmp_path / "a") == {("glioma", "train"): 3, ("glioma", "test"): 3, ("healthy", "train"): 3,
                                    ("healthy", "test"): 3}
    for name in ("Training/glioma_tumor/1.jpg", "Testing/no_tumor/1.jpg"):
        touch(tmp_path / "b" / name)
    assert told(tmp_path / "b") == {("glioma_tumor", "train"): 1, ("no_tumor", "test"): 1}


def test_a_test_part_without_classes(tmp_path):
    for kind in ("astro", "menin"):
        for i in range(3):
            touch(tmp_path / f"train/{kind}/{i}.png")
            touch(tmp_path / f"test/{kind}{i}.png")
    assert told(tmp_path) == {("astro", "train"): 3, ("menin", "train"): 3, (None, "test"): 6}


def test_parts_alone_are_no_classes(tmp_path):
    for part in ("Training", "Testing"):
        for i in range(5):
            touch(tmp_path / part / f"{i}.png")
    assert told(tmp_path) == {(None, "train"): 5, (None, "test"): 5}
    assert {c.layout for c in found_in(tmp_path)} == {"plain"}


@pytest.mark.parametrize("way", ["images/{part}/x{i}", "{part}/images/x{i}"])
def test_yolo_and_mask_twins_in_parts(way, tmp_path):
    for part in ("train", "valid", "test"):
        for i in range(3):
            image = tmp_path / "y" / f"{way.format(part=part, i=i)}.png"
            save(image, np.full((10, 10), i, np.uint8))
            text = tmp_path / "y" / f"{way.format(part=part, i=i).replace('images', 'labels')}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("0 0.5 0.5 0.2 0.2\n")
            touch(tmp_path / "m" / f"{way.format(part=part, i=i)}.png")
            touch(tmp_path / "m" / f"{way.format(part=part, i=i).replace('images', 'masks')}.png")
    for name, layout in (("y", "yolo"), ("m", "masks")):
        found = found_in(tmp_path / name)
        assert Counter(c.part for c in found) == {"train": 3, "validation": 3, "test": 3}
        assert {c.layout for c in found} == {layout} and {c.class_name for c in found} == {None}
        assert all(c.boxes or c.label for c in found)


def test_patients_in_parts_are_one_subject_wherever_they_are(tmp_path):
    for part, case in (("train", "BraTS-GLI-00005-100"), ("test", "BraTS-GLI-00005-101"), ("val", "BraTS-GLI-7-000")):
        for channel in ("t1n", "t1c", "t2w", "t2f", "seg"):
            touch(tmp_path / part / case / f"{case}-{channel}.nii.gz")
    found = {c.part: c for c in found_in(tmp_path)}
    assert found["train"].subject == found["test"].subject == "BraTS-GLI-00005"
    assert {c.layout for c in found.values()} == {"brats"} and found["validation"].id == "val/BraTS-GLI-7-000"


def test_a_prepared_case_keeps_its_part(tmp_path):
    from mrilib import recipe

    for part in ("train", "test"):
        for i in range(3):
            save(tmp_path / "in" / part / "glioma" / f"{i}.png", head(i))
    write_json(tmp_path / "out/recipe.json", recipe.Recipe().as_dict())
    for case in found_in(tmp_path / "in"):
        path, _ = recipe.prepare_case(case, (), tmp_path / "out", None, "")
        back, = cases.find([path])
        assert (back.part, back.class_name, back.id) == (case.part, case.class_name, case.id)
    assert told(tmp_path / "out") == told(tmp_path / "in") == {("glioma", "train"): 3, ("glioma", "test"): 3}


def test_folders_above_the_classes(tmp_path):
    for way in ("one/Brain_Cancer/{}", "two/a/b/c/{}", "copy/{}", "copy/brain_set/{}"):
        for kind in ("menin", "astro"):
            for i in range(3):
                touch(tmp_path / way.format(kind) / f"{i}.png")
    for name in ("one", "two", "copy"):
        assert {c.class_name for c in found_in(tmp_path / name)} == {"menin", "astro"}


@pytest.mark.parametrize("names", [("brain_glioma", "brain_menin", "brain_tumor"), ("astro", "schwann"),
                                   ("grade2", "grade3")])
@pytest.mark.parametrize("above", ["", "Brain_Cancer", "Brain/Training"])
def test_numbered_pictures_of_different_heads_are_classes(names, above, tmp_path, caplog):
    caplog.set_level("INFO", "mrilib")
    for k, name in enumerate(names):
        for i in range(6):
            save(tmp_path / above / name / f"{name}_{i:04d}.png", head(100 * k + i))
    found = found_in(tmp_path)
    assert {c.class_name for c in found} == set(names) and len(found) == 6 * len(names)
    assert "for classes" in caplog.text and "--layout stacks" in caplog.text
    assert len(found_in(tmp_path, layout="stacks")) == len(names)  # the remedy that it names


def test_numbered_pictures_of_different_sizes_are_classes(tmp_path):
    for name in ("p1", "p2"):
        for i in range(4):
            save(tmp_path / name / f"{name}_{i}.png", np.full((20 + i, 20), 9, np.uint8))
    assert told(tmp_path) == {("p1", None): 4, ("p2", None): 4}


@pytest.mark.parametrize("names", [("p1", "p2", "p3"), ("anna", "bob")])
@pytest.mark.parametrize("above", ["", "train", "set/sub"])
def test_slices_of_one_head_are_a_stack(names, above, tmp_path, caplog):
    caplog.set_level("INFO", "mrilib")
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    for k, name in enumerate(names):
        for i in range(20):
            r = 0.9 - ((i - 9.5) / 11) ** 2
            plane = np.where(x**2 + y**2 < r, 120 + 50 * np.cos(5 * x + k), 0) + 80 * ((x - i / 20) ** 2 + y**2 < 0.05)
            save(tmp_path / above / name / f"{name}_{i}.png", plane.clip(0, 255).astype(np.uint8))
    found = found_in(tmp_path)
    assert [c.id.split("/")[-1] for c in found] == list(names) and {c.layout for c in found} == {"stacks"}
    assert "for one volume each" in caplog.text and "--layout classes" in caplog.text
    assert {c.class_name for c in found_in(tmp_path, layout="classes")} == set(names)


@pytest.mark.parametrize("name", ["labelsTr", "masks", "annotations", "labels", "Ground Truth", "groundtruth", "GT",
                                  "train_masks", "Segmentations", "label_maps", "SegmentationMasks"])
def test_folders_of_label_maps_are_neither_classes_nor_images(name, tmp_path):
    assert is_mask_folder(name)
    for i in range(4):
        touch(tmp_path / "pictures" / f"{i}.png")
        touch(tmp_path / name / f"other{i}x.png")
    assert [c.id for c in found_in(tmp_path)] == [f"pictures/{i}" for i in range(4)]
    assert told(tmp_path) == {(None, None): 4}
    assert len(found_in(tmp_path / name)) == 4  # a reference: label maps alone
    assert len(found_in(tmp_path, layout="plain")) == 8


@pytest.mark.parametrize("name", ["glioma", "tumor", "label_0", "images", "p1", "masked", "no"])
def test_other_folders_are_not_of_label_maps(name):
    assert not is_mask_folder(name)


@pytest.mark.parametrize(("image", "mask"), [
    ("imgs/{}.png", "masks/{}.png"), ("raw/q/{}.png", "gt/q/{}.png"), ("train/{}.jpg", "train_masks/{}_mask.gif"),
    ("images/img_{}.png", "masks/mask_{}.png"), ("glioma/{}.png", "glioma/masks/{}.png"), ("x/{}.png", "labels/{}.png"),
    ("Original/{}.tif", "Ground Truth/{}.tif"), ("train_images/{}.png", "train_masks/{}.png"),
    ("train/img/{}.png", "train/Annotations/{}.png"), ("images/{}.png", "masks/{}_seg.png"),
])  # fmt: skip
def test_label_maps_in_folders_of_other_names(image, mask, tmp_path):
    for i in range(3):
        touch(tmp_path / image.format(f"p{i}"))
        touch(tmp_path / mask.format(f"p{i}"))
    found = {c.path.relative_to(tmp_path).as_posix(): c.label for c in found_in(tmp_path)}
    assert found == {image.format(f"p{i}"): tmp_path / mask.format(f"p{i}") for i in range(3)}


@pytest.mark.parametrize(("image", "mask"), [
    ("{}/Pre_Scan_T1.nii.gz", "{}/Pre_Mask.nii.gz"), ("{}_T1.nii.gz", "{}_Mask.nii.gz"),
    ("{}_image.png", "{}_label.png"), ("{}.nii.gz", "{}-segmentation.nii.gz"), ("img_{}.png", "mask_{}.png"),
    ("{}/scan.nii.gz", "{}/tumor_mask.nii.gz"), ("{}/flair.nii.gz", "{}/gt.nii.gz"),
])  # fmt: skip
def test_label_maps_beside_images_of_other_names(image, mask, tmp_path):
    for i in range(3):
        touch(tmp_path / image.format(f"p{i}"))
        touch(tmp_path / mask.format(f"p{i}"))
        touch(tmp_path / image.format(f"p{i}").replace("p", "q"))  # an image without a label map
    found = {c.path.relative_to(tmp_path).as_posix(): c.label for c in found_in(tmp_path) if c.label}
    assert {*found.values()} == {tmp_path / mask.format(f"p{i}") for i in range(3)}
    assert not {c.path for c in found_in(tmp_path)} & {*found.values()}


def test_a_mask_of_the_brain_is_no_label_map_and_of_several_none_is_chosen(tmp_path):
    for name in ("a/p1_scan", "a/p1_brain_mask", "b/p1_scan", "b/p1_mask_c", "b/p1_gt"):
        touch(tmp_path / f"{name}.nii.gz")
    assert {c.label for c in found_in(tmp_path / "a")} == {None}
    assert {c.label for c in found_in(tmp_path / "b")} == {None, tmp_path / "b/p1_gt.nii.gz"}


def test_a_tumour_mask_beside_channels_is_their_label_map(tmp_path):
    for channel in ("t1", "t1ce", "t2", "flair", "tumor_mask", "brain_mask"):
        touch(tmp_path / f"p1/p1_{channel}.nii.gz")
    case, = found_in(tmp_path)
    assert list(case.channels) == ["t1", "t1ce", "t2", "flair"] and case.label.name == "p1_tumor_mask.nii.gz"


@pytest.mark.parametrize(("image", "label"), [
    ("sub-1/anat/sub-1_T1w", "sub-1/anat/sub-1_space-orig_lesion-manual_mask"),
    ("sub-1/ses-1/anat/sub-1_ses-1_T1w", "derivatives/manual/sub-1/anat/sub-1_label-lesion_mask"),
    ("sub-1/anat/sub-1_T1w", "sub-1/anat/sub-1_T1w_label-lesion_roi"),
    ("sub-1/anat/sub-1_FLAIR", "sub-1/anat/sub-1_space-T1w_lesionmask"),
    ("sub-1/anat/sub-1_FLAIR", "derivatives/sub-1/sub-1_FLAIR_desc-tumor_dseg"),
])  # fmt: skip
def test_label_maps_of_bids_by_other_names(image, label, tmp_path):
    for name in (image, label, "sub-1/anat/sub-1_desc-brain_mask", "derivatives/bet/sub-1/sub-1_brainmask"):
        touch(tmp_path / f"{name}.nii.gz")
    case, = found_in(tmp_path)
    assert len(case.channels) == 1 and case.label == tmp_path / f"{label}.nii.gz"


def test_a_stack_whose_label_map_lies_in_another_folder(tmp_path):
    for name in ("pat1", "pat2"):
        for i in range(12):
            line = np.eye(9, dtype=np.uint8)
            save(tmp_path / "raw" / name / f"{name}_{i}.png", line + 10 * i)
            save(tmp_path / "gt" / name / f"{name}_{i}.png", line * 255 * (i > 3))
    one, two = found_in(tmp_path)
    assert (one.id, two.id) == ("raw/pat1", "raw/pat2") and two.label == tmp_path / "gt/pat2"
    assert files.read_label(two).array.sum() == 9 * 8 and files.read_case(two).array.shape == (12, 9, 9)


def test_what_folders_above_the_one_given_are_called_says_nothing(tmp_path):
    for kind in ("a", "b"):
        for i in range(3):
            touch(tmp_path / "test/labels/masks/set" / kind / f"{i}.png")
    assert told(tmp_path / "test/labels/masks/set") == {("a", None): 3, ("b", None): 3}


@pytest.mark.parametrize("number", ["", "_0000"])
@pytest.mark.parametrize("table", [True, False])
def test_nnunet_label_maps_named_with_the_number_of_a_channel(number, table, tmp_path):
    for i in range(3):
        touch(tmp_path / f"imagesTr/vert_{i:03d}_0000.nii.gz")
        touch(tmp_path / f"labelsTr/vert_{i:03d}{number}.nii.gz")
    if table:
        write_json(tmp_path / "dataset.json", {"channel_names": {"0": "FLAIR"}, "labels": {"background": 0, "a": 1}})
    found = found_in(tmp_path)
    assert [c.id for c in found] == [f"imagesTr/vert_{i:03d}" for i in range(3)]
    assert all(c.label.parent.name == "labelsTr" and c.part == "train" for c in found)


def test_slices_of_a_part_named_for_it_are_no_stack(tmp_path):
    for part in ("train", "test"):
        for i in range(4):
            save(tmp_path / part / f"{part}_{i}.png", head(i))
    assert told(tmp_path) == {(None, "train"): 4, (None, "test"): 4}
    assert len(found_in(tmp_path, layout=Reading("stacks"))) == 2
