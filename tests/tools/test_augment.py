"""mri-augment as its user runs it."""

import csv
import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from forked import BIN
from pipeline_data import head, save

from mrilib import cases
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files


def augment(*arguments, cwd, given="", tool="mri-augment"):
    return subprocess.run([BIN / tool, *map(str, arguments)], input=given, capture_output=True, text=True, cwd=cwd,
                          timeout=120)


def content(folder):
    """Hash of every file but recipe.json, which names its source."""
    return {p.relative_to(folder).as_posix(): sha256(p.read_bytes()).hexdigest()
            for p in folder.rglob("*") if p.is_file() and p.name != "recipe.json"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Class folders, pictures with mask twins, a table with boxes and subjects, and two channels with a label map."""
    root = tmp_path_factory.mktemp("augment")
    for i, name in enumerate(("yes/a.png", "yes/b b.jpg", "yes/c.tif", "no/d.png", "no/e.bmp", "no/f.png")):
        save(root / "classes" / name, head(i, 60, 52))
    mask = np.zeros((60, 52), np.uint8)
    mask[20:40, 15:35] = 3
    for i in range(3):
        save(root / f"masks/p{i}.png", head(i, 60, 52))
        save(root / f"masks/p{i}_mask.png", mask)
        save(root / f"boxes/p{i}.png", head(i, 60, 52))
    rows = [f"p{i}.png,tumour,s{i % 2},15,20,35,40" for i in range(3)]
    (root / "boxes/cases.csv").write_text("\n".join(["file,class,subject,x0,y0,x1,y1", *rows]) + "\n")
    grid = Grid.of((8, 30, 26), (4.0, 1.0, 1.2), (5.0, -3.0, 2.0))
    for p in ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001"):
        (root / "brats" / p).mkdir(parents=True)
        for c in ("t1c", "t2f"):
            files.write(root / "brats" / p / f"{p}-{c}.nii.gz",
                        Image(np.stack([head(i, 30, 26) for i in range(8)]).astype(np.int16), grid))
        labels = np.zeros(grid.size, np.uint8)
        labels[2:6, 8:20, 6:18] = 2
        files.write(root / "brats" / p / f"{p}-seg.nii.gz", Image(labels, grid))
    return root


def test_copies_come_in_class_folders_with_what_was_drawn(data, tmp_path):
    ran = augment(data / "classes", "-n", 2, "--rotate", "15", "--scale", "0.9:1.1", "--flip", "lr", "-o", "out",
                  cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 12 and all((tmp_path / line).is_file() for line in lines)
    assert lines[:2] == ["out/no/d_aug1.tif", "out/no/d_aug2.tif"]
    found = {c.id: c for c in cases.find([tmp_path / "out"])}
    originals = {c.id: c for c in cases.find([data / "classes"])}
    table = list(csv.DictReader((tmp_path / "out/augmented.csv").open()))
    assert [row["case"] for row in table] == [str(Path(line).with_suffix("").relative_to("out")) for line in lines]
    for row in table:
        case, original = found[row["case"]], originals[row["of"]]
        assert case.class_name == original.class_name and case.subject == original.id
        assert -15 <= float(row["rotate"]) <= 15 and 0.9 <= float(row["scale"]) <= 1.1 and row["gamma"] == ""
        record = json.loads((tmp_path / "out" / f"{row['case']}.json").read_text())
        path = next(iter(original.channels.values()))
        assert record["content"] == sha256(path.read_bytes()).hexdigest()
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["steps"] == [] and recipe["augmentation"]["settings"]["rotate"] == "-15:15"


def test_jobs_order_and_replay_give_the_same_bytes(data, tmp_path):
    words = ("-n", 2, "--preset", "heavy", "--noise", "0.1", "--keep-originals", "--seed", 7)
    first = augment(data / "classes", *words, "-j", 1, "-o", "one", cwd=tmp_path)
    names = sorted((str(p) for p in (data / "classes").rglob("*.*")), reverse=True)
    second = augment("--root", data / "classes", *words, "-j", 3, "-o", "two", cwd=tmp_path, given="\n".join(names))
    replayed = augment(data / "classes", "--replay", "one/augmented.csv", "-o", "three", cwd=tmp_path)
    assert (first.returncode, second.returncode, replayed.returncode) == (0, 0, 0), replayed.stderr
    assert sorted(first.stdout.replace("one/", "two/").splitlines()) == sorted(second.stdout.splitlines())
    wanted = content(tmp_path / "one")
    assert len(wanted) == 6 * 3 * 2 + 1
    pictures = {k: v for k, v in wanted.items() if not k.endswith(".json")}
    assert pictures.items() <= content(tmp_path / "two").items()
    assert content(tmp_path / "three") == wanted
    other = augment(data / "classes", *words[:-1], 8, "-o", "four", cwd=tmp_path)
    assert other.returncode == 0 and content(tmp_path / "four")["yes/a_aug1.tif"] != wanted["yes/a_aug1.tif"]
    assert np.array_equal(files.read(tmp_path / "one/yes/a.tif").array, files.read(data / "classes/yes/a.png").array)


def test_names_with_a_line_end_or_of_bytes_that_are_no_text_are_replayed(tmp_path):
    for i, name in enumerate((b"a\rb.png", b"m\xe4rz.png")):
        save(tmp_path / "in" / os.fsdecode(name), head(i, 40, 36))
    for words in (("--rotate", "10", "-o", "one"), ("--replay", "one/augmented.csv", "-o", "two")):
        ran = subprocess.run([BIN / "mri-augment", "in", "-j1", *words], cwd=tmp_path, capture_output=True)
        assert ran.returncode == 0, ran.stderr
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_again_is_kept_other_settings_are_refused_and_force_leaves_nothing_behind(data, tmp_path):
    assert augment(data / "classes", "-n", 3, "--rotate", 20, "-o", "out", cwd=tmp_path).returncode == 0
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.tif")}
    again = augment(data / "classes", "-n", 3, "--rotate", 20, "-o", "out", cwd=tmp_path)
    assert again.returncode == 0 and stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.tif")}
    refused = augment(data / "classes", "-n", 1, "--rotate", 30, "-o", "out", cwd=tmp_path)
    assert refused.returncode == 2 and "another recipe" in refused.stderr and len(stamps) == 18
    forced = augment(data / "classes", "-n", 1, "--rotate", 30, "-o", "out", "--force", cwd=tmp_path)
    assert forced.returncode == 0
    assert len(list((tmp_path / "out").rglob("*.tif"))) == len(list((tmp_path / "out").rglob("*_aug1.json"))) == 6


def test_label_maps_and_boxes_move_along(data, tmp_path):
    assert augment(data / "masks", "-n", 2, "--preset", "medium", "-o", "masks", cwd=tmp_path).returncode == 0
    for case in cases.find([tmp_path / "masks"]):
        labels = files.read(case.label).array
        assert set(np.unique(labels)) == {0, 3} and labels.shape == (60, 52)
    assert augment(data / "boxes", "-n", 2, "--flip", "lr@1", "-o", "boxes", cwd=tmp_path).returncode == 0
    found = list(cases.find([tmp_path / "boxes"]))
    assert [c.subject for c in found] == ["s0", "s0", "s1", "s1", "s0", "s0"]
    assert all(c.boxes == ((17.0, 20.0, 37.0, 40.0, "tumour"),) for c in found)
    ran = augment(data / "brats", "-n", 1, "--rotate", "20", "--shift", "3", "-o", "brats", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for case in cases.find([tmp_path / "brats"]):
        assert list(case.channels) == ["t1ce", "flair"] and case.subject == "BraTS-GLI-00001"
        image, labels = files.read_case(case), files.read(case.label)
        assert labels.grid.same_as(image.grid) and set(np.unique(labels.array)) == {0, 2}
        first, second = image.array[..., 0], image.array[..., 1]
        assert np.array_equal(first, second)  # both channels moved alike


def test_augmentation_is_no_step_of_the_recipe(data, tmp_path):
    assert augment(data / "classes", "--size", 32, "-o", "n", cwd=tmp_path, tool="mri-normalize").returncode == 0
    ran = augment("n", "-n", 1, "--rotate", 9, "-o", "a", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    before, after = (json.loads((tmp_path / f / "recipe.json").read_text()) for f in "na")
    assert after["steps"] == before["steps"] and after["made_by"].startswith("mri-augment ")
    case = next(cases.find([tmp_path / "a"]))
    record = json.loads((tmp_path / "a/no/d_aug1.json").read_text())
    assert record["native_grid"]["size"] == [60, 52] and record["augmented"]["of"] == "no/d"
    further = augment("a", "--method", "minmax", "-o", "m", cwd=tmp_path, tool="mri-normalize")
    assert further.returncode == 0 and case.class_name == "no"
    assert json.loads((tmp_path / "m/no/d_aug1.json").read_text())["augmented"] == record["augmented"]


def test_only_training_cases_of_a_split_are_augmented(data, tmp_path):
    rows = ["no/d,,g1,,train", "no/e,,g2,,test", "no/f,,g3,,validation", "yes/a,,g4,,train", "yes/b b,,g5,,test"]
    (tmp_path / "split.csv").write_text("\n".join(["case,subject,group,fold,part", *rows]) + "\n")
    ran = augment(data / "classes", "--rotate", 5, "--split", "split.csv", "-o", "out", cwd=tmp_path)
    assert ran.returncode == 1 and "yes/c is not in split.csv" in ran.stderr
    assert ran.stdout.split("\n")[:-1] == ["out/no/d_aug1.tif", "out/yes/a_aug1.tif"]
    assert "3 cases left out" in ran.stderr
    folds = ["no/d,,g1,0,train", "no/e,,g2,1,train", "no/f,,g3,2,train", "yes/a,,g4,0,train", "yes/b b,,g5,1,train",
             "yes/c,,g6,2,train"]  # fmt: skip
    (tmp_path / "folds.csv").write_text("\n".join(["case,subject,group,fold,part", *folds]) + "\n")
    ran = augment(data / "classes", "--rotate", 5, "--split", "folds.csv", "--fold", 1, "-o", "f", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert {Path(line).stem for line in ran.stdout.splitlines()} == {"d_aug1", "f_aug1", "a_aug1", "c_aug1"}


def test_settings_are_shown_as_the_file_that_is_read(data, tmp_path):
    shown = augment("--preset", "medium", "--rotate", "none", "--blur", "1@0.2", "--show", cwd=tmp_path)
    assert shown.returncode == 0 and 'blur = "0:1@0.2"' in shown.stdout and "rotate" not in shown.stdout
    (tmp_path / "my.toml").write_text(shown.stdout)
    again = augment("--settings", "my.toml", "--show", cwd=tmp_path)
    assert again.stdout == shown.stdout
    assert augment(data / "classes", "--settings", "my.toml", "--shear", 3, "-o", "o", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "o/recipe.json").read_text())["augmentation"]["settings"]["shear"] == "-3:3"


def test_a_dry_run_lists_and_does_nothing(data, tmp_path):
    ran = augment(data / "classes", "-n", 2, "--rotate", 5, "--dry-run", cwd=tmp_path)
    assert ran.returncode == 0 and len(ran.stdout.splitlines()) == 12 and not (tmp_path / "augmented").exists()
    assert ran.stdout.splitlines()[0].endswith("-> augmented/no/d_aug1")


@pytest.mark.parametrize(("words", "says"), [
    ((), "nothing would be changed"), (("--rotate", "0"), "does nothing"), (("--shear", "90"), "beyond"),
    (("--scale", "0:1"), "beyond"), (("--preset", "light", "--settings", "x.toml"), "both"),
    (("--settings", "x.toml"), "cannot be read"), (("--replay", "x.csv"), "cannot be read"),
    (("--replay", "x.csv", "--rotate", "3"), "has no effect with --replay"),
    (("--rotate", "5", "--fold", "1"), "--split"),
    (("--interpolation", "cubic"), "nothing moves"), (("--elastic-width", "9"), "without elastic"),
    (("--replay", "x.csv", "--elastic-width", "3"), "--elastic-width has no effect"),
    (("--rotate", "5", "--preview", "x.jpg"), "is no .png"), (("--preview", "x.png"), "nothing would be changed"),
    (("--rotate", "5", "--preview", "x.png", "-n", "2"), "has no effect with --preview"),
    (("--dropout", "1.5"), "whole number"), (("--low-resolution", "0.5:2"), "beyond"),
    (("--rotate", "5", "--split", "x.csv"), "x.csv"), (("--rotate", "5", "-n", "0"), "-n"),
])  # fmt: skip
def test_wrong_use_is_said_before_any_work(data, tmp_path, words, says):
    ran = augment(data / "classes", *words, cwd=tmp_path)
    assert ran.returncode == 2 and says in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert not any(tmp_path.iterdir())


EVERYTHING = ("--preset", "heavy", "--stretch", "0.1", "--elastic", "6%@0.8", "--inverse-gamma", "0.3",
              "--blur", "0.6%", "--bias", "0.4", "--histogram", "0.4", "--low-resolution", "1:2", "--ghosting", "0.3",
              "--sharpen", "0.5", "--rician", "0.05", "--noise", "0.05", "--cutout", "0.2", "--interpolation", "cubic",
              "--labels", "smooth")  # fmt: skip


def test_everything_at_once_is_replayed_to_the_byte_for_pictures_volumes_and_stacks(data, tmp_path):
    for i in range(6):  # slices with mask twins, stacked by their numbers
        save(tmp_path / f"in/TCGA_01/TCGA_01_{i + 8}.tif", np.stack([head(i + c, 30, 26) for c in range(3)], -1))
        save(tmp_path / f"in/TCGA_01/TCGA_01_{i + 8}_mask.tif", np.uint8(255) * (head(i, 30, 26) > 60))
    for name, source, more in (("brats", data / "brats", ("--dropout", "1@0.5")), ("stacks", tmp_path / "in", ()),
                               ("boxes", data / "boxes", ("--perspective", "8%"))):  # fmt: skip
        words = (source, "-n", 2, *EVERYTHING, *more, "--keep-originals")
        first = augment(*words, "-j", 1, "-o", name, cwd=tmp_path)
        assert first.returncode == 0, first.stderr
        second = augment(*words, "-j", 2, "-o", f"{name}2", cwd=tmp_path)
        third = augment(source, "--replay", f"{name}/augmented.csv", "-j", 2, "-o", f"{name}3", cwd=tmp_path)
        assert second.returncode == third.returncode == 0, second.stderr + third.stderr
        wanted = content(tmp_path / name)
        assert content(tmp_path / f"{name}2") == content(tmp_path / f"{name}3") == wanted
        found = {case.id: case for case in cases.find([tmp_path / name])}
        assert len(found) == 3 * len(list(cases.find([source])))
        for case in found.values():
            image, label = files.read_case(case), files.read_label(case)
            assert np.isfinite(image.array).all() and (label is None or label.grid.same_as(image.grid))
            assert case.boxes or label is not None


def test_a_contact_sheet_shows_twelve_draws(data, tmp_path):
    from PIL import Image as Picture

    ran = augment(data / "brats", "--preset", "heavy", "--preview", "sheet.png", "--seed", 4, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "sheet.png\n"), ran.stderr
    with Picture.open(tmp_path / "sheet.png") as sheet:
        tiles = np.asarray(sheet)[:262, : 4 * 262].reshape(262, 4, 262, 3).swapaxes(0, 1)
        assert sheet.width == 4 * 262 and sheet.height > 3 * 262
    assert all(tile.std() > 10 for tile in tiles) and not np.array_equal(tiles[0], tiles[1])
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_show_alone_lists_every_change_and_a_settings_file_of_it_is_no_change(tmp_path):
    shown = augment("--show", cwd=tmp_path)
    assert shown.returncode == 0 and "# low_resolution: Factor by which" in shown.stdout and "heavy lr]" in shown.stdout
    from mrilib.images.augment.transforms import MEANING

    options = augment("--help", cwd=tmp_path).stdout
    assert all(f"--{name.replace('_', '-')} " in options for name in MEANING)


def test_a_lone_channel_cannot_drop_out_and_pictures_have_no_third_axis(data, tmp_path):
    ran = augment(data / "classes", "--dropout", "1", "-o", "a", cwd=tmp_path)
    assert ran.returncode == 1 and "has one channel, and dropout is for several" in ran.stderr
    ran = augment(data / "classes", "--tones", "apart", "--gamma", "0.3", "-o", "t", cwd=tmp_path)
    assert ran.returncode == 1 and "has one channel, and tones apart is for several" in ran.stderr
    for words, says in ((("--flip", "ap"), "for volumes"), (("--elastic", "30%"), "may fold")):
        ran = augment(data / "classes", *words, "-o", "b", cwd=tmp_path)
        assert ran.returncode == 2 and says in ran.stderr and ran.stdout == "" and not (tmp_path / "b").exists()
    ran = augment(data / "brats", "--perspective", "5", "-o", "c", cwd=tmp_path)
    assert ran.returncode == 2 and "for pictures" in ran.stderr


def test_a_table_that_was_spoilt_is_refused(data, tmp_path):
    assert augment(data / "classes", "--preset", "light", "-o", "out", cwd=tmp_path).returncode == 0
    table = (tmp_path / "out/augmented.csv").read_text()
    for old, new in (("case,of", "case,from"), (",1,", ",one,")):
        (tmp_path / "bad.csv").write_text(table.replace(old, new, 1))
        ran = augment(data / "classes", "--replay", "bad.csv", "-o", "again", cwd=tmp_path)
        assert ran.returncode == 2 and "bad.csv" in ran.stderr


def test_a_damaged_case_does_not_stop_the_rest(data, tmp_path):
    shutil.copytree(data / "classes", tmp_path / "in")
    (tmp_path / "in/no/e.bmp").write_bytes((tmp_path / "in/no/e.bmp").read_bytes()[:500])
    ran = augment("in", "-n", 2, "--rotate", 5, cwd=tmp_path)
    assert ran.returncode == 1 and len(ran.stdout.splitlines()) == 10
    assert "in/no/e.bmp" in ran.stderr and "Traceback" not in ran.stderr
