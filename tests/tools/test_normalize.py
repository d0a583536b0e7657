"""mri-normalize as its user runs it: every option changes the result, and each is in the recipe."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from forked import BIN
from pipeline_data import head, save, volume

from mrilib import cases
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files


def normalize(*arguments, cwd, given=""):
    return subprocess.run([BIN / "mri-normalize", *map(str, arguments)], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


@pytest.fixture
def picture(tmp_path):
    array = np.zeros((90, 100), np.uint8)
    array[10:82, 20:84] = head(3)
    save(tmp_path / "in/a.png", array)
    return array


def made(folder, *words, out="out"):
    ran = normalize("in", *words, "-o", out, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return files.read(folder / ran.stdout.splitlines()[0])


def test_a_case_called_recipe_does_not_take_the_place_of_the_folders_recipe(tmp_path, picture):
    save(tmp_path / "in/yes/recipe.png", picture)
    ran = normalize("in", "-o", "out", "--crop", cwd=tmp_path)
    assert ran.returncode == 1 and "recipe.png: its record would be called recipe.json" in ran.stderr
    assert ran.stdout == "out/a.tif\n" and not (tmp_path / "out/yes").exists()


def test_the_road_of_classification(tmp_path, picture):
    image = made(tmp_path, "--crop", "--size", 48, "--method", "percentile", "--edges", "sobel")
    assert image.array.shape == (48, 48, 2) and image.channels == ("image", "image-sobel")
    assert image.array[..., 0].min() == 0 and image.array[..., 0].max() == 1
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert [s["step"] for s in recipe["steps"]] == ["crop", "resize", "percentile", "sobel"]
    assert recipe["steps"][2]["parameters"] == {"region": "image", "low": 1, "high": 99, "clip": True}
    version = subprocess.run([BIN / "mri-normalize", "--version"], capture_output=True, text=True).stdout.strip()
    assert recipe["made_by"] == version and version.startswith("mri-normalize ")
    measured = json.loads((tmp_path / "out/a.json").read_text())["measured"]
    assert [m["step"] for m in measured] == ["crop", "resize", "percentile", "sobel"]


PLAIN = ("--crop", "--size", "40", "--method", "percentile")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder in which PLAIN has been run on in/ into out/."""
    folder = tmp_path_factory.mktemp("plain")
    array = np.zeros((90, 100), np.uint8)
    array[10:82, 20:84] = head(3)
    save(folder / "in/a.png", array)
    made(folder, *PLAIN)
    return folder


@pytest.mark.parametrize("more", [
    ("--margin", "6"), ("--spacing", "2"), ("--size", "40,30"), ("--fit", "crop"), ("--fit", "keep"),
    ("--method", "minmax"), ("--method", "robust"), ("--method", "none"),
    ("--method", "whitestripe"), ("--method", "tissue"), ("--method", "tissue", "--tissue", "csf"),
    ("--region", "foreground"),
    ("--low", "60"), ("--high", "90"),
    ("--no-clip",), ("--edges", "sobel"), ("--bias", "n4"),
])  # fmt: skip
def test_every_option_changes_values_and_recipe(plain, more):
    words = PLAIN[:3] if "--method" in more else PLAIN
    out = "-".join(more)
    other, first = made(plain, *words, *more, out=out), files.read(plain / "out/a.tif")
    assert other.array.shape != first.array.shape or not np.array_equal(other.array, first.array)
    assert (plain / out / "recipe.json").read_text() != (plain / "out/recipe.json").read_text()


def test_the_peak_changes_the_white_stripe(plain):
    last, largest = (made(plain, "--method", "whitestripe", "--peak", peak, out=peak) for peak in ("last", "largest"))
    assert (plain / "last/recipe.json").read_text() != (plain / "largest/recipe.json").read_text()
    assert last.array.shape == largest.array.shape


def test_defaults_are_spelt_out_in_the_recipe(plain):
    made(plain, *PLAIN, "--margin", "0.0", "--fit", "pad", "--region", "image", "--low", 1, "--high", 99.0, "--clip",
         out="spelt")
    assert (plain / "spelt/recipe.json").read_text() == (plain / "out/recipe.json").read_text()


def test_every_format_holds_the_same_image(plain):
    first = files.read(plain / "out/a.tif")
    for suffix in (".png", ".nii.gz", ".nii", ".mha"):
        other = made(plain, *PLAIN, "--suffix", suffix, out=f"as{suffix}")
        assert (plain / f"as{suffix}" / f"a{suffix}").is_file()
        assert np.allclose(other.array, first.array, atol=1e-5) and other.grid.same_as(first.grid, 1e-4)


def test_pictures_and_volumes_take_one_size_for_all_axes(tmp_path):
    save(tmp_path / "in/a.png", head(1))
    volume(tmp_path / "in/b.nii.gz", 2)
    ran = normalize("in", "--size", 24, "--method", "minmax", "-o", "out", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    flat, deep = (files.read(tmp_path / line) for line in ran.stdout.splitlines())
    assert flat.grid.size == (24, 24) and deep.grid.size == (24, 24, 24)
    assert max(deep.grid.spacing) / min(deep.grid.spacing) < 1.05  # square to the rounding of a side
    ran = normalize("in", "--spacing", "1,1,3", "--method", "minmax", "-o", "mm", cwd=tmp_path)
    assert ran.returncode == 1 and "in/a.png: spacing has 3 numbers, the image 2 axes" in ran.stderr
    assert files.read(tmp_path / "mm/b.nii.gz").grid.spacing == (3.0, 1.0, 1.0)


def test_keep_pads_and_crops_without_a_new_value(tmp_path, picture):
    image = made(tmp_path, "--size", "60,120", "--fit", "keep", "--method", "none")
    assert image.array.dtype == np.uint8 and image.grid.size == (120, 60)
    assert np.array_equal(image.array[15:105], picture[:, 20:80])


def test_colour_can_be_kept_or_made_grey(tmp_path):
    save(tmp_path / "in/a.png", np.stack([head(1), head(2), head(3)], -1))
    assert made(tmp_path, "--method", "minmax").channels == ("red", "green", "blue")
    ran = normalize("in", "--grey", "--method", "minmax", "-o", "grey", cwd=tmp_path)
    assert files.read(tmp_path / ran.stdout.strip()).array.ndim == 2


def test_the_field_times_what_is_left_is_what_was_given(tmp_path):
    from mrilib import phantom

    for number in (1, 2):
        phantom.write_volume(tmp_path / "in", 1, number, True, (40, 48, 40), 0.02)
    words = ("in", "--bias", "n4", "--method", "none", "--field", "fields")
    first = normalize(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    for case in cases.find([tmp_path / "in"]):
        for name, path in case.channels.items():
            given, made = files.read(path), files.read(tmp_path / "normalized" / path.relative_to(tmp_path / "in"))
            field = files.read(tmp_path / f"fields/{case.id}-{name}.nii.gz")
            assert field.array.dtype == np.float32 and field.grid.same_as(given.grid, 1e-6) and field.array.std() > 0.01
            assert np.allclose(field.array * made.array, given.array, rtol=1e-6)
    (tmp_path / f"fields/{case.id}-t2.nii.gz").unlink()
    again = normalize(*words, cwd=tmp_path)
    assert again.stdout == first.stdout and (tmp_path / f"fields/{case.id}-t2.nii.gz").is_file()


def test_the_field_lies_on_the_grid_that_the_bias_was_found_on(plain):
    image = made(plain, *PLAIN, "--bias", "n4", "--field", "fields", out="biased")
    assert files.read(plain / "fields/a.tif").grid.same_as(image.grid, 1e-4)


def test_what_is_not_brain_becomes_nothing_and_can_be_cut_away(tmp_path, picture):
    from mrilib import phantom

    phantom.write_volume(tmp_path / "in", 1, 1, True, (64, 72, 64), 0.02)
    ran = normalize("in", "--brain", "--crop", "--method", "none", cwd=tmp_path)
    assert ran.returncode == 0 and "no case uses 1 images (a.png)" in ran.stderr and len(ran.stderr.splitlines()) == 2
    case = next(cases.find([tmp_path / ran.stdout.strip()]))
    image, given = files.read_case(case), files.read_case(next(cases.find([tmp_path / "in/Phantom-00001-000"])))
    inside = (image.array != 0).any(-1)
    assert inside.any((1, 2)).all() and inside.any((0, 2)).all() and inside.any((0, 1)).all()  # cut to it
    start = np.rint(given.grid.to_index(image.grid.to_world((0, 0, 0)))).astype(int)
    same = given.array[tuple(slice(a, a + n) for a, n in zip(start, image.grid.size, strict=True))]
    assert np.array_equal(image.array[inside], same[inside])
    assert 0.3 < inside.sum() / (given.array[..., 0] > 99).sum() < 0.9
    recipe = json.loads((tmp_path / "normalized/recipe.json").read_text())
    assert [s["step"] for s in recipe["steps"]] == ["brain", "crop"]


def test_one_job_and_several_write_the_same_bytes(tmp_path):
    for i in range(5):
        save(tmp_path / f"in/{i}.png", head(i, 150, 140))
    volume(tmp_path / "in/v.nii.gz", 3)
    for jobs in (1, 4):
        ran = normalize("in", "--crop", "--spacing", 1.3, "-j", jobs, "-o", f"out{jobs}", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    one, four = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()}
                 for f in (tmp_path / "out1", tmp_path / "out4"))
    assert one == four and len(one) == 13


@pytest.mark.parametrize(("words", "says"), [
    (("--margin", "3"), "--margin has no effect without --crop"),
    (("--field", "f"), "--field has no effect without --bias"),
    (("--bias", "n4", "--field", "normalized/f"), "lies in the output"),
    (("--fit", "crop"), "--fit has no effect without --size"), (("--low", "3"), "--low has no effect on zscore"),
    (("--method", "none"), "nothing to do"), (("--method", "percentile", "--low", "99"), "in order"),
    (("--method", "none", "--region", "image", "--crop"), "no effect with --method none"),
    (("--size", "0"), "above 0"), (("--size", "4,x"), "is not X,Y"), (("--size", "1,2,3,4"), "one to three"),
    (("--spacing", "-1"), "above 0"), (("--spacing", "nan"), "not a number"),
    (("--crop", "--margin", "inf"), "not a number"), (("-o", "in/out"), "lies in the input"),
])  # fmt: skip
def test_wrong_use_is_said_in_one_line(tmp_path, picture, words, says):
    ran = normalize("in", *words, cwd=tmp_path)
    assert ran.returncode == 2 and says in ran.stderr, ran.stderr
    assert len(ran.stderr.splitlines()) == 1 and "Traceback" not in ran.stderr
    assert list(cases.find([tmp_path / "in"]))[0].id == "a"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """train/ and new/, heads of several scanners, with split.csv of train/."""
    folder = tmp_path_factory.mktemp("stage")
    for i in range(6):
        save(folder / ("train" if i < 4 else "new") / f"{i}.png", (head(i, 80, 70) * (0.3 + 0.1 * i)).astype(np.uint8))
    (folder / "split.csv").write_text("case,subject,group,fold,part\n" + "".join(
        f"{i},,{i},,{'train' if i < 3 else 'test'}\n" for i in range(4)))
    return folder


LEARN = ("-j", 1, "--crop", "--size", "48", "--method", "nyul")


def learned(folder, *words, out):
    ran = normalize(*words, "-o", out, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    steps = json.loads((folder / out / "recipe.json").read_text())["steps"]
    return ran, next(s["learned"]["standard"] for s in steps if s["learned"])


def test_a_scale_is_learned_after_the_earlier_steps_and_repeated_on_other_cases(stage):
    one, standard = learned(stage, *LEARN, "--learn", "train", out="one")
    assert len(one.stdout.splitlines()) == 4 and len(standard["image"]) == 11 and "from 4 cases of train" in one.stderr
    stamps = {p: p.stat().st_mtime_ns for p in (stage / "one").iterdir()}
    again, _ = learned(stage, *LEARN, "--learn", "train", "-j", 2, "train", out="one")
    assert again.stdout == one.stdout and stamps == {p: p.stat().st_mtime_ns for p in (stage / "one").iterdir()}
    both, _ = learned(stage, *LEARN, "--learn", "train", "train", "new", out="both")
    assert len(both.stdout.splitlines()) == 6
    unread = "names on standard input are not read (- reads them)"  # where the test's pipe could hold some
    assert unread in one.stderr and unread not in both.stderr
    ran = normalize(*LEARN[:5], "--method", "none", "train", "-o", "half", cwd=stage)
    assert ran.returncode == 0
    _, same = learned(stage, "-j", 1, "--method", "nyul", "--learn", "half", out="whole")
    assert same == standard
    _, other = learned(stage, *LEARN, "--learn", "train", "--split", "split.csv", out="split")
    assert other != standard
    for source, given, count in (("one", "new", 2), ("one/recipe.json", "half", 4)):
        like, same = learned(stage, "--like", source, given, "-j", 1, out=f"like-{given}")
        assert same == standard and len(like.stdout.splitlines()) == count
        for line in like.stdout.splitlines():
            assert Path(stage / line).read_bytes() == (stage / "both" / Path(line).name).read_bytes()


def test_one_case_as_reference_gives_its_histogram(stage):
    words = ("-j", 1, "--method", "histogram", "--region", "image")
    learned(stage, *words, "--learn", "train/0.png", "new", out="matched")
    reference = files.read(stage / "train/0.png").array
    for name in ("4", "5"):
        found = files.read(stage / f"matched/{name}.tif").array
        assert np.allclose(np.percentile(found, (30, 50, 90)), np.percentile(reference, (30, 50, 90)), atol=1.5)


def test_a_bad_training_case_is_named_and_the_rest_are_learned_from(stage, tmp_path):
    for name in "012":
        save(tmp_path / f"train/{name}.png", head(int(name)))
    (tmp_path / "train/1.png").write_bytes((tmp_path / "train/1.png").read_bytes()[:200])
    ran = normalize("-j", 1, "--method", "nyul", "--learn", "train", stage / "new", "-o", "out", cwd=tmp_path)
    assert ran.returncode == 1 and "train/1.png: is damaged or cut short" in ran.stderr
    assert "from 2 cases" in ran.stderr and len(ran.stdout.splitlines()) == 2


@pytest.mark.parametrize(("words", "says"), [
    (("--method", "nyul"), "--method nyul learns from other cases (name them with --learn"),
    (("--learn", "in"), "--learn has no effect on zscore (nyul and histogram learn)"),
    (("--split", "s.csv"), "--split has no effect without --learn"),
    (("--like", "in"), "in: holds no recipe.json"), (("--like", "in/a.png"), "in/a.png: is not a model file"),
    (("--like", "out", "--crop"), "--crop has no effect with --like"),
    (("--like", "out", "--method", "zscore"), "--method has no effect with --like"),
    (("--method", "nyul", "--learn", "out"), "in: prepared otherwise than the cases learned from"),
    (("--method", "nyul", "--low", "99", "--learn", "in"), "in order"),
    (("--method", "none", "--tissue", "wm", "--crop"), "--tissue has no effect with --method none"),
])  # fmt: skip
def test_wrong_use_of_what_others_taught_is_said_in_one_line(plain, words, says):
    ran = normalize("in", *words, "-o", "other", cwd=plain)
    assert ran.returncode == 2 and says in ran.stderr, ran.stderr
    assert not (plain / "other").exists()
    errors = [line for line in ran.stderr.splitlines() if "learned " not in line or says in line]
    assert len(errors) == 1 and "Traceback" not in ran.stderr


def test_data_prepared_otherwise_than_its_example_is_refused(plain):
    made(plain, "--method", "minmax", out="ranged")
    ran = normalize("--like", "out", "ranged", "-o", "other", cwd=plain)
    assert ran.returncode == 2 and "ranged: prepared otherwise: step 1 is minmax" in ran.stderr


def test_a_dry_run_lists_cases_and_outputs(tmp_path, picture):
    ran = normalize("in", "--size", 40, "--dry-run", cwd=tmp_path)
    assert ran.returncode == 0 and ran.stdout == "a: image=in/a.png -> normalized/a\n"
    assert not (tmp_path / "normalized").exists()


def test_options_can_be_written_and_read_as_a_file(tmp_path, picture):
    first = normalize("in", *PLAIN, "--write-config", "my.toml", "-o", "out", cwd=tmp_path)
    second = normalize("in", "--config", "my.toml", "-o", "again", cwd=tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert (tmp_path / "again/recipe.json").read_text() == (tmp_path / "out/recipe.json").read_text()
    (tmp_path / "my.toml").write_text("sise = 40\n")
    assert "unknown option 'sise'" in normalize("in", "--config", "my.toml", cwd=tmp_path).stderr


def test_a_brain_too_large_for_its_head_is_doubted_once_where_it_is_made(tmp_path):
    """Two channels whose headers lay them 5 mm apart, so that the bone of each is hidden by the other's scalp."""
    from mrilib import phantom

    images, _ = phantom.volume(1, 1, True, (64, 72, 64), 0.02)
    t1, t1ce, apart = images["t1"], images["t1ce"], np.roll(images["t2"], 2, 1)
    for case, name, array in (("good", "t1n", t1), ("good", "t2w", t1ce), ("far", "t1n", t1), ("far", "t2w", apart)):
        (tmp_path / "in" / case).mkdir(parents=True, exist_ok=True)
        files.write(tmp_path / f"in/{case}/{case}-{name}.nii.gz", Image(array, Grid.of(array.shape)))
    ran = normalize("in", "--brain", "--method", "none", cwd=tmp_path)
    said = [line for line in ran.stderr.splitlines() if "% of the head" in line]
    assert ran.returncode == 0 and len(said) == 1 and "in/far: its brain is 8" in said[0] and "mri-view" in said[0]
    assert len(ran.stdout.splitlines()) == 2
    again = subprocess.run([BIN / "mri-denoise", "--method", "median"], input=ran.stdout, cwd=tmp_path, text=True,
                           capture_output=True)  # fmt: skip
    assert again.returncode == 0 and "of the head" not in again.stderr
