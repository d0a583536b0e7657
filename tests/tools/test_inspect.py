"""mri-inspect as it runs: layouts, schemes and regions in words, and what is wrong in one line."""

import subprocess

import numpy as np
import SimpleITK as sitk
from forked import BIN
from PIL import Image
from pipeline_data import head


def run(*arguments, code=0):
    ran = subprocess.run([BIN / "mri-inspect", "-j1", *arguments], capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr
    return ran.stderr if code else ran.stdout


def volume(path, array, spacing=(1.0, 1.0, 1.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def test_what_the_numbers_mean_is_told_from_the_layout_the_numbers_or_the_user(tmp_path):
    rng = np.random.default_rng(0)
    for name, values in (("BraTS20_Training_001", (0, 1, 2, 4)), ("BraTS20_Training_002", (0, 1, 2, 4))):
        for channel in ("t1", "flair"):
            volume(tmp_path / f"{name}/{name}_{channel}.nii.gz", rng.normal(size=(4, 5, 6)).astype(np.float32))
        label = np.resize(np.repeat(values, 10), (4, 5, 6)).astype(np.uint8)
        volume(tmp_path / f"{name}/{name}_seg.nii.gz", label, (1.0, 2.0, 0.5))
    assert "% of its image and says nothing of the rest" in run(tmp_path, code=1)  # by its spacing
    for path in tmp_path.rglob("*_seg.nii.gz"):
        volume(path, label)
    text = run(tmp_path)
    assert "understood as: a folder for each case, a volume for each channel\n" in text
    assert "label scheme: brats2020\n" in text and "channels: 2 t1 flair\n" in text and "orientation: 2 LPS\n" in text
    assert "labels: 0 background in 2, 1 necrotic in 2, 2 oedema in 2, 4 enhancing in 2\n" in text
    assert "size of WT: 0.09 mL\n" in text and "size of ET: 0.03 mL\n" in text
    config = tmp_path / "settings.toml"
    text = run("--scheme", "1=rim,2=centre,4=scar", "--write-config", config, tmp_path)
    assert run("--config", config, tmp_path) == text
    assert "label scheme: 1=rim,2=centre,4=scar\n" in text and "size of rim: 0.03 mL" in text
    assert "label 4 is not in scheme msd (0 1 2 3) (name the right one" in run("--scheme", "msd", tmp_path, code=1)
    for path in tmp_path.rglob("*_seg.nii.gz"):
        volume(path, np.minimum(label, 3))
        path.rename(path.with_name(path.name.replace("BraTS20_Training", "x")))
    text = run(tmp_path)
    assert "label scheme: not known; what 0 1 2 3 mean is said with --scheme binary|" in text
    assert "labels: 0 background in 2, 1 in 2, 2 in 2, 3 in 2\n" in text and "size of" not in text


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_a_benchmark_whose_test_pictures_are_copies_of_its_training_pictures_says_so_first(tmp_path):
    for i in range(8):
        for part, name in (("Training", f"tr_{i}"), ("Testing", f"te_{i}")):
            array = head(100 + i + (50 if part == "Testing" and i > 4 else 0), 150, 140)
            small = np.asarray(Image.fromarray(array).resize((120, 130))) if part == "Testing" else array
            picture(tmp_path / part / ("glioma" if i % 2 else "pituitary") / f"{name}.png", small)
    picture(tmp_path / "Testing/glioma/same.png", head(101, 150, 140))
    lines = run("--copies", tmp_path / "copies.csv", tmp_path).splitlines()
    leak = lines[1]
    assert leak.startswith("LEAK, copies across parts: 6 of 9 test cases are copies of train cases (1 exact, 5 near)")
    assert "mri-split" in leak and "given split: 8 train, 9 test" in lines
    rows = (tmp_path / "copies.csv").read_text().splitlines()
    assert rows[0] == "case,copy,kind,class,class_of_copy,part,part_of_copy"
    assert len(rows) == 7 and sum(",exact," in row for row in rows) == 1
    assert "--copies has no effect with --no-duplicates" in run("--no-duplicates", "--copies", "x", tmp_path, code=2)


def test_subjects_across_parts_are_told_without_a_look_at_copies(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for i in range(count):
            volume(tmp_path / part / f"BraTS-GLI-0000{i}-00{part == 'test':d}.nii.gz", rng.normal(size=(4, 5, 6)))
    lines = run("--no-duplicates", tmp_path).splitlines()
    assert lines[1].startswith("LEAK, subjects across parts: all 2 subjects of test are in train too: BraTS-GLI-00000")


def test_a_set_full_of_contradictions_stays_short(tmp_path):
    for i in range(30):
        for name in ("yes", "no"):
            picture(tmp_path / name / f"{i}.png", head(i, 60, 50))
    text = run(tmp_path)
    assert "copies of different class: 30 pairs: " in text and len(text.splitlines()) < 16
    assert max(map(len, text.splitlines())) < 400
