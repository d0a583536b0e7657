"""What no case uses is named: in every layout, by every tool, with what to do about it."""

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk
from forked import BIN
from PIL import Image as Picture
from pipeline_data import save
from test_cases_boxes import as_coco, as_via, as_voc, write
from test_cases_layouts import series, volume

from mrilib import cases, unused
from mrilib.cases import LAYOUTS


def picture(path, seed=0, label=False):
    array = np.random.default_rng(seed).integers(0, 255, (16, 20)).astype(np.uint8)
    save(path, np.where(array > 200, 255, 0).astype(np.uint8) if label else array)


def of_csv(folder):
    for name in "ab":
        picture(folder / f"img/{name}.png")
    write(folder / "cases.csv", "file,class\nimg/a.png,yes\nimg/b.png,no\n")


def of_prepared(folder):
    picture(folder.parent / "raw/a.png")
    picture(folder.parent / "raw/b.png", 1)
    ran = subprocess.run([BIN / "mri-normalize", folder.parent / "raw", "-o", folder], capture_output=True)
    assert ran.returncode == 0, ran.stderr


def of_nnunet(folder):
    for i in range(3):
        volume(folder / f"imagesTr/c_{i}_0000.nii.gz", i)
        volume(folder / f"labelsTr/c_{i}.nii.gz", i, True)
    write(folder / "dataset.json", {"channel_names": {"0": "FLAIR"}, "labels": {"background": 0, "tumor": 1},
                                    "file_ending": ".nii.gz"})


def of_msd(folder):
    for i in range(3):
        path = folder / f"imagesTr/c_{i}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.random.default_rng(i).integers(0, 99, (2, 4, 5, 6)).astype(np.int16)
        sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(one) for one in array]), str(path))
        volume(folder / f"labelsTr/c_{i}.nii.gz", i, True)
    write(folder / "dataset.json", {"modality": {"0": "FLAIR", "1": "T1w"},
                                    "labels": {"0": "background", "1": "tumor"}})


def of_bids(folder):
    for name in ("sub-01", "sub-02"):
        for end in ("T1w", "FLAIR"):
            volume(folder / f"{name}/anat/{name}_{end}.nii.gz")


def of_dicom(folder):
    series(folder / "p1", "1", "AX T1 SE")
    series(folder / "p2", "22", "AX T1 SE", study="1.2.9", patient="P2")


def of_coco(folder):
    picture(folder / "images/a.png")
    as_coco(folder, (1, 2, 3, 4))
    known = json.loads((folder / "coco.json").read_text())
    known["images"][0]["file_name"] = "images/a.png"
    write(folder / "coco.json", known)


def of_yolo(folder):
    picture(folder / "images/a.png")
    write(folder / "labels/a.txt", "0 .5 .5 .2 .2\n")
    write(folder / "labels/classes.txt", "glioma\n")


def of_voc(folder):
    picture(folder / "JPEGImages/a.png")
    as_voc(folder / "Annotations", (1, 2, 3, 4), size=(20, 16))


def of_via(folder):
    picture(folder / "images/a.png")
    as_via(folder, (1, 2, 3, 4))


def of_labelme(folder):
    picture(folder / "images/a.png")
    write(folder / "images/a.json", {"shapes": [{"label": "x", "points": [[1, 2], [5, 2], [4, 9]]}],
                                     "imagePath": "a.png"})


def of_brats(folder):
    for name in ("p1", "p2"):
        for end in ("t1", "flair", "seg"):
            volume(folder / name / f"{name}_{end}.nii.gz", label=end == "seg")


def of_stacks(folder):
    for name in ("TCGA_AA", "TCGA_BB"):
        for i in range(1, 5):
            picture(folder / name / f"{name}_{i}.tif", i)
            picture(folder / name / f"{name}_{i}_mask.tif", i, label=True)


def of_masks(folder):
    for i in range(3):
        picture(folder / f"images/s{i}.png", i)
        picture(folder / f"masks/s{i}.png", i, label=True)


def of_classes(folder):
    for kind in ("yes", "no"):
        for i in range(4):
            picture(folder / kind / f"{kind}{i}.png", i)


def of_plain(folder):
    for i in range(4):
        picture(folder / f"x{i}.png", i)


MAKE = {name: globals()[f"of_{name}"] for name in LAYOUTS}


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory):
    """Layout -> a folder of it."""
    top = tmp_path_factory.mktemp("sets")
    for name, make in MAKE.items():
        make(top / name / "set")
    return {name: top / name / "set" for name in MAKE}


def report(folder):
    ran = subprocess.run([BIN / "mri-inspect", folder, "--no-duplicates"], capture_output=True, encoding="utf-8")
    return ran.stdout, ran.stderr


@pytest.mark.parametrize("layout", MAKE)
def test_a_data_set_as_it_should_be_has_nothing_unused(layout, data_sets):
    left = []
    found = list(cases.find([data_sets[layout]], on_unused=left.append))
    assert {case.layout for case in found} == {layout} and left
    assert [str(note) for one in left for note in unused.notes(one)] == []


@pytest.mark.parametrize("place", ["top", "beside"])
@pytest.mark.parametrize("layout", MAKE)
def test_every_file_that_no_case_uses_is_named(layout, place, data_sets, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(data_sets[layout], folder)
    before = list(cases.find([folder]))
    where = folder if place == "top" else before[0].image_files[0].parent
    volumes = layout in ("nnunet", "msd", "bids", "dicom", "brats")
    label = where / ("extra_lesion_seg.nii.gz" if volumes else "extra_label.png")
    (volume if volumes else picture)(label, 5, label=True)
    write(where / "extra_boxes.json", {"things": [{"bbox": [1, 2, 3, 4]}]})
    Picture.fromarray(np.zeros((9, 9), np.uint8)).save(where / "extra_scan.ppm")
    out, errors = report(folder)
    for path in (label, where / "extra_boxes.json", where / "extra_scan.ppm"):
        assert any(path.name in line and ("unused" in line or "used as images" in line or "damaged" in line)
                   for line in out.splitlines()), (path.name, out, errors)
    after = {case.id: case for case in cases.find([folder], on_error=lambda error: None)}
    assert {case.id for case in before} <= set(after) or "damaged" in out


def notes_of(folder, **options):
    """kind -> names of the files."""
    left = []
    list(cases.find([folder], on_unused=left.append, on_error=lambda error: None, **options))
    return {note.kind: [path.relative_to(folder).as_posix() for path in note.files]
            for one in left for note in unused.notes(one)}


@pytest.mark.parametrize("name, text, kind", [
    ("a.txt", "0 0.5 0.5 0.2 0.2\n", "annotation files"),
    ("a.txt", "x.png,10,20,30,40,glioma\n", "annotation files"),
    ("a.xml", "<annotations><image name='x.png'><box label='t' xtl='1'/></image></annotations>", "annotation files"),
    ("a.json", '{"polygons": [[1, 2], [3, 4]]}', "annotation files"),
    ("a.jsonl", '{"image": "x.png", "bbox": [1, 2, 3, 4]}\n', "annotation files"),
    ("a.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\nx.png,9,9,t,1,2,3,4\n", "annotation files"),
    ("a.csv", "ImageId,EncodedPixels\nx.png,1 2 3 4\n", "annotation files"),
    ("a.csv", "x.png,1,2,3,4,tumour\n", "annotation files"),
    ("a.csv", "filename;label\nx.png;yes\n", "tables"),
    ("a.tsv", "image_id\tdiagnosis\n1\tyes\n", "tables"),
    ("a.txt", "Scans of 2019, 3 tesla, 12 patients; see the paper.\n", None),
    ("a.json", '{"RepetitionTime": 2.3, "EchoTime": 0.03}', None),
    ("README.md", "boxes: 1 2 3 4\n", None),
    ("split.csv", "case,subject,group,fold,part\nx1,,0,0,train\n", None),
    ("classes.txt", "yes\nno\n", None),
    ("a.heic", "?", "images in a format that is not read"),
    ("a.mgz", "?", "images in a format that is not read"),
    ("a.npy", "?", "images in a format that is not read"),
    ("scan.jpg.bak", "\xff\xd8\xff\xe0", "images in a format that is not read"),
    ("scan", "\x89PNG\r\n", "images in a format that is not read"),
    ("IM0001", "\0" * 128 + "DICM", "DICOM files that are no series of slices"),
    ("data.zip", "PK", "archives"),
    ("data.tar.gz", "?", "archives"),
    ("Thumbs.db", "?", None),
    (".DS_Store", "?", None),
    ("._x0.png", "?", None),
])  # fmt: skip
def test_the_kind_of_a_file(name, text, kind, tmp_path):
    of_plain(tmp_path)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    assert notes_of(tmp_path) == ({kind: [name]} if kind else {})


def test_label_maps_that_are_used_as_images(tmp_path):
    for name in ("p1", "p2", "p3"):
        volume(tmp_path / name / "Pre_Scan_T1.nii.gz", 1)
        volume(tmp_path / name / "Pre_Mask.nii.gz", 2, "binary")
        volume(tmp_path / name / "Outline.nii.gz", 3, "binary")
    found = notes_of(tmp_path, layout="plain")
    names = [f"p{i}/{name}.nii.gz" for i in (1, 2, 3) for name in ("Outline", "Pre_Mask")]
    assert found == {unused.USED_AS_IMAGE: names}


def test_label_maps_alone_have_a_remedy_of_their_own(tmp_path):
    for i in range(3):
        volume(tmp_path / f"c{i}.nii.gz", i, True)
    out, _ = report(tmp_path)
    assert re.search(r"^label maps used as images: 3: c0.nii.gz, c1.nii.gz, c2.nii.gz \(give the images too", out, re.M)


def test_pictures_of_few_greys_are_told_by_their_values_not_by_their_folders(tmp_path):
    for i in range(4):
        picture(tmp_path / f"lesion/roi{i}.png", i)
        picture(tmp_path / f"normal/annotation{i}.png", i)
    assert notes_of(tmp_path) == {}
    picture(tmp_path / "lesion/outline1.png", 1, label=True)
    assert notes_of(tmp_path) == {unused.USED_AS_IMAGE: ["lesion/outline1.png"]}


def test_a_pipe_in_a_folder_does_not_stop_the_search(tmp_path):
    of_plain(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    os.symlink("nowhere", tmp_path / "link")
    assert notes_of(tmp_path) == {}


def test_files_of_a_case_that_failed_are_named_once(tmp_path):
    of_brats(tmp_path)
    volume(tmp_path / "p2/p2_OT.nii.gz", 3, True)
    volume(tmp_path / "p2/p2_gt.nii.gz", 3, True)
    (tmp_path / "p2/p2_seg.nii.gz").unlink()
    assert notes_of(tmp_path) == {}


def test_each_tool_says_it_in_one_line(tmp_path):
    of_masks(tmp_path / "in")
    picture(tmp_path / "in/masks/left.png", 7, label=True)
    write(tmp_path / "in/boxes.json", {"bbox": [1, 2]})
    folder = tmp_path / "in"
    line = f"{folder}: no case uses 1 label maps (masks/left.png), 1 annotation files (boxes.json); mri-inspect "
    for tool, *options in (["mri-normalize", "-o", tmp_path / "n"], ["mri-denoise", "-o", tmp_path / "d"],
                           ["mri-augment", "--rotate", "5", "-o", tmp_path / "a"], ["mri-split"]):
        ran = subprocess.run([BIN / tool, folder, *options], capture_output=True, encoding="utf-8")
        assert ran.returncode == 0, ran.stderr
        assert [text for text in ran.stderr.splitlines() if "no case uses" in text] == [
            f"{tool}: {line}{folder} says what to do"]
    ran = subprocess.run([BIN / "mri-normalize", folder, "--dry-run", "-o", tmp_path / "x"], capture_output=True,
                         encoding="utf-8")
    assert "unused label maps, 1: masks/left.png (name each as its image" in ran.stderr
    assert "unused annotation files, 1: boxes.json" in ran.stderr
    ran = subprocess.run([BIN / "mri-score", folder / "masks", "--reference", folder], capture_output=True,
                         encoding="utf-8")
    assert "mri-score: " + line in ran.stderr


def test_a_folder_without_a_case_tells_what_it_holds(tmp_path):
    write(tmp_path / "scan.heic", "?")
    write(tmp_path / "more.zip", "?")
    for tool in ("mri-inspect", "mri-split"):
        ran = subprocess.run([BIN / tool, tmp_path], capture_output=True, encoding="utf-8")
        assert ran.returncode == 2 and "holds no case" in ran.stderr
        assert "unused images in a format that is not read, 1: scan.heic (save them as" in ran.stderr
        assert "unused archives, 1: more.zip (unpack them)" in ran.stderr


def test_from_python_unused_files_are_a_warning(tmp_path, caplog):
    """A notebook shows warnings without any set-up; images without an annotation are a kind of their own."""
    from mrilib.sources import each
    from mrilib.tasks.train import cases_of

    for name in "abc":
        picture(tmp_path / f"images/{name}.png")
    write(tmp_path / "labels/a.txt", "0 .5 .5 .2 .2\n")
    write(tmp_path / "labels/b.txt", "")
    for read in (each, cases_of):
        assert [case.id for case in read(tmp_path)] == ["images/a", "images/b"]
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "no case uses 1 images without an annotation (images/c.png)" in caplog.text
        caplog.clear()
