"""mri-score of label maps, as its user runs it."""

import csv
import io
import json
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk
from forked import BIN

SPACING = (1.0, 1.0, 2.0)  # x, y, z


def score(*arguments, given="", cwd=None):
    return subprocess.run([BIN / "mri-score", *map(str, arguments)], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


def rows(done):
    assert done.returncode in (0, 1), done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def means(done, cases="all"):
    """{(metric, part): row} of the summary."""
    return {(r["metric"], r["part"]): r for r in rows(done) if r["cases"] == cases}


def save(path, array, spacing=SPACING, kind=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array.astype(kind))
    image.SetSpacing(spacing[: array.ndim])
    sitk.WriteImage(image, str(path))


def tumour(seed, labels=(2, 1, 4)):
    """A ball of three shells in a (10, 24, 20) map, its place by chance."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:10, :24, :20]
    away = np.sqrt((2 * (z - rng.uniform(4, 6))) ** 2 + (y - rng.uniform(9, 14)) ** 2 + (x - rng.uniform(8, 12)) ** 2)
    made = np.zeros(away.shape, np.uint8)
    for radius, label in zip((7, 4.5, 2.5), labels, strict=True):
        made[away < radius] = label
    return made


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six cases: images with label maps as the truth, and predictions of another tumour."""
    root = tmp_path_factory.mktemp("maps")
    for i in range(6):
        save(root / f"truth/p{i}/p{i}_t1.nii.gz", np.zeros((10, 24, 20)), kind=np.int16)
        save(root / f"truth/p{i}/p{i}_flair.nii.gz", np.zeros((10, 24, 20)), kind=np.int16)
        save(root / f"truth/p{i}/p{i}_seg.nii.gz", tumour(i))
        save(root / f"pred/p{i}.nii.gz", tumour(i + 100))
    return root


def test_metrics_of_a_folder(folders):
    done = score(folders / "pred", "-r", folders / "truth")
    assert done.returncode == 0
    assert "scheme brats2020, by the numbers in the reference: WT 1+2+4, TC 1+4, ET 4" in done.stderr
    found = means(done)
    dices = {}
    for i in range(6):
        p, r = tumour(i + 100), tumour(i)
        for part, numbers in (("WT", (1, 2, 4)), ("TC", (1, 4)), ("ET", (4,))):
            a, b = np.isin(p, numbers), np.isin(r, numbers)
            dices.setdefault(part, []).append(2 * (a & b).sum() / (a.sum() + b.sum()))
    for part, values in dices.items():
        row = found["dice", part]
        assert float(row["value"]) == pytest.approx(np.mean(values), abs=1e-5)
        assert float(row["sd"]) == pytest.approx(np.std(values, ddof=1), abs=1e-5)
        assert float(row["q1"]) == pytest.approx(np.percentile(values, 25), abs=1e-5)
        assert float(row["low"]) < float(row["value"]) < float(row["high"])
        each = [float(r["value"]) for r in rows(done) if (r["metric"], r["part"], r["cases"]) == ("dice", part, "")]
        assert each == pytest.approx(values, abs=1e-5)
    volume = found["reference_volume", "ET"]
    assert volume["unit"] == "mm3"
    assert float(volume["value"]) == pytest.approx(np.mean([2 * (tumour(i) == 4).sum() for i in range(6)]), rel=1e-5)
    assert "both empty 1, one empty 0" in found["dice", "WT"]["rules"]


def test_names_on_standard_input_and_label_maps_alone_as_the_truth(folders, tmp_path):
    by_folder = score(folders / "pred", "-r", folders / "truth").stdout
    names = "".join(f"{folders}/pred/p{i}.nii.gz\n" for i in range(6))
    assert score("-r", folders / "truth", given=names).stdout == by_folder
    assert score("-0", "-r", folders / "truth", given=names.replace("\n", "\0")).stdout == by_folder
    for i in range(6):
        save(tmp_path / f"maps/case-p{i}-seg.nii.gz", tumour(i), kind=np.float32)
        save(tmp_path / f"named/case-p{i}.nii.gz", tumour(i + 100), kind=np.int16)
    alone = score(tmp_path / "named", "-r", tmp_path / "maps")
    assert [r["value"] for r in rows(alone) if r["cases"]] == [
        r["value"] for r in csv.DictReader(io.StringIO(by_folder)) if r["cases"]]


def test_a_file_that_is_named_twice_is_one_and_a_submission_is_named_once(folders, tmp_path):
    save(tmp_path / "p0.nii.gz", tumour(0))
    done = score("-r", folders / "truth", "--allow-missing", given="p0.nii.gz\n./p0.nii.gz\n", cwd=tmp_path)
    assert means(done)["dice", "WT"]["value"] == "1" and "files for one case" not in done.stderr
    done = score(".", ".", "-r", folders / "truth", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and "is named twice" in done.stderr


def test_a_missing_prediction_is_dice_0_and_listed_or_left_out(folders, tmp_path):
    for i in (0, 1, 2, 4):
        save(tmp_path / f"pred/p{i}.nii.gz", tumour(i))
    done = score("pred", "-r", folders / "truth", "--per-case", "cases.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "2 cases have no prediction that can be scored and are counted as wrong, Dice 0: p3, p5" in done.stderr
    row = means(done)["dice", "WT"]
    assert float(row["value"]) == pytest.approx(4 / 6, abs=1e-5) and (row["n"], row["missing"]) == ("6", "2")
    table = list(csv.DictReader((tmp_path / "cases.csv").open()))
    assert {r["case"] for r in table if r["state"] == "missing"} == {"p3", "p5"}
    assert [r["dice"] for r in table if r["case"] == "p3"] == ["0", "0", "0"]
    done = score("pred", "-r", folders / "truth", "--allow-missing", cwd=tmp_path)
    row = means(done)["dice", "WT"]
    assert done.returncode == 0 and row["value"] == "1" and row["n"] == "4" and "missing: left out" in row["rules"]


def test_what_is_wrong_with_a_prediction_is_said_and_the_case_counts_as_missing(folders, tmp_path):
    save(tmp_path / "p/p0.nii.gz", tumour(0), spacing=(1, 1, 3))
    save(tmp_path / "p/p1.nii.gz", tumour(1)[:, :, :-1])
    save(tmp_path / "p/p2.nii.gz", tumour(2, (2, 1, 3)))
    save(tmp_path / "p/p3.nii.gz", tumour(3) * 0.3, kind=np.float32)
    flipped = sitk.GetImageFromArray(tumour(4))
    flipped.SetSpacing(SPACING)
    flipped.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(flipped, str(tmp_path / "p/p4.nii.gz"))
    save(tmp_path / "p/p5.nii.gz", tumour(5))
    save(tmp_path / "p/p5.mha", tumour(5))
    save(tmp_path / "p/stranger.nii.gz", tumour(5))
    done = score("p", "-r", folders / "truth", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for said in ("p0.nii.gz: grid differs from the reference's: spacing 1,1,3 and 1,1,2 mm",
                 "p1.nii.gz: grid differs from the reference's: size 19,24,10 and 20,24,10",
                 "p2.nii.gz: label 3 is not in scheme brats2020 (0 1 2 4)",
                 "p3.nii.gz: is no label map: it holds other values",
                 "p4.nii.gz: grid differs from the reference's: direction",
                 "p5: 2 files for one case: p5.mha, p5.nii.gz",
                 "1 predictions are of no case in the reference: stranger", "6 cases have no prediction"):
        assert said in done.stderr
    assert means(done)["dice", "WT"]["value"] == "0"


def test_a_label_map_on_another_grid_than_its_image_is_compared_on_that_of_the_prediction(tmp_path):
    for i, name in enumerate(("turned", "shifted", "small", "same")):
        made = sitk.GetImageFromArray(tumour(i + 100))
        truth = sitk.GetImageFromArray(tumour(i))
        for image in (made, truth):
            image.SetSpacing(SPACING)
        save(tmp_path / f"plain/{name}.nii.gz", tumour(i))
        image = sitk.Image(truth.GetSize(), sitk.sitkInt16)
        image.CopyInformation(truth)
        if name == "turned":
            truth = sitk.PermuteAxes(truth, (2, 0, 1))
        elif name == "shifted":
            truth.SetOrigin((0.02, 0, 0))
        elif name == "small":
            truth = truth[2:-2, 2:-2, 1:-1]
        for path, one in ((f"truth/{name}/{name}_t1.nii.gz", image), (f"truth/{name}/{name}_seg.nii.gz", truth),
                             (f"pred/{name}.nii.gz", made)):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(one, str(tmp_path / path))
        if name == "turned":
            (tmp_path / "own").mkdir()
            sitk.WriteImage(sitk.PermuteAxes(made, (2, 0, 1)), str(tmp_path / f"own/{name}.nii.gz"))

    def metrics(done, name):
        return {(r["metric"], r["part"]): r["value"] for r in rows(done) if r["case"] == name}

    wanted = score("pred", "-r", "plain", cwd=tmp_path)
    done = score("pred", "-r", "truth", cwd=tmp_path)
    for name in ("turned", "shifted", "same"):
        assert metrics(done, name) == metrics(wanted, name) and name not in done.stderr
    assert "small.nii.gz: grid differs from the reference's: size 20,24,10 and 16,20,8" in done.stderr
    assert metrics(score("own", "-r", "truth", cwd=tmp_path), "turned") == metrics(wanted, "turned")


def test_a_reference_that_was_prepared_to_another_grid_is_named(folders, tmp_path):
    subprocess.run([BIN / "mri-normalize", folders / "truth", "--spacing", "2", "--method", "none", "-o", "norm"],
                   check=True, capture_output=True, cwd=tmp_path)
    done = score(folders / "pred", "-r", "norm", "--metrics", "dice", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("lies on the grid that the case was first given on, its") == 6


def test_schemes_meet_by_name(folders, tmp_path):
    same = means(score(folders / "pred", "-r", folders / "truth"))["dice", "TC"]["value"]
    for i in range(6):
        save(tmp_path / f"msd/p{i}.nii.gz", tumour(i + 100, (1, 2, 3)))
        (tmp_path / f"msd/p{i}.json").write_text('{"scheme": "msd"}')
        save(tmp_path / f"plain/p{i}.nii.gz", tumour(i + 100, (1, 2, 3)))
        save(tmp_path / f"whole/p{i}.nii.gz", tumour(i + 100, (1, 1, 1)))
    assert means(score("msd", "-r", folders / "truth", cwd=tmp_path))["dice", "TC"]["value"] == same
    told = score("plain", "-r", folders / "truth", "--predicted-scheme", "msd", cwd=tmp_path)
    assert means(told)["dice", "TC"]["value"] == same
    swapped = means(score("msd", "-r", folders / "truth", "--labels", cwd=tmp_path))
    assert {part for metric, part in swapped if metric == "dice"} == {"WT", "TC", "ET", "necrotic", "oedema",
                                                                      "enhancing"}
    lacking = score("whole", "-r", folders / "truth", "--predicted-scheme", "binary", cwd=tmp_path)
    assert "its scheme binary has no TC, which scheme brats2020 of the reference has" in lacking.stderr
    own = means(score(folders / "pred", "-r", folders / "truth", "--scheme", "1=a,2=b,4=c"))
    assert {part for metric, part in own if metric == "dice"} == {"a", "b", "c"}


def test_the_scheme_of_a_reference_that_was_predicted_is_what_its_records_say(tmp_path):
    for name, scheme, labels in (("a", "msd", (1, 2, 3)), ("b", "brats2023", (2, 1, 3))):
        save(tmp_path / name / "p.nii.gz", tumour(1, labels))
        (tmp_path / name / "recipe.json").write_text('{"format": 1, "steps": [], "prediction": {}}')
        (tmp_path / name / "p.json").write_text(f'{{"scheme": "{scheme}", "model": ["x"]}}')
    done = score("b", "-r", "a", "--labels", "--metrics", "dice", cwd=tmp_path)
    assert "scheme msd" in done.stderr
    assert {part: float(row["value"]) for (_, part), row in means(done).items()} == dict.fromkeys(
        ("WT", "TC", "ET", "oedema", "non-enhancing", "enhancing"), 1.0)


def test_numbers_that_tell_no_scheme_are_labels_of_their_own(tmp_path):
    save(tmp_path / "t/a.nii.gz", tumour(1, (1, 2, 3)))
    save(tmp_path / "p/a.nii.gz", tumour(2, (1, 2, 3)))
    done = score("p", "-r", "t", cwd=tmp_path)
    assert "no scheme is known by the numbers 0 1 2 3: each is a label of its own" in done.stderr
    assert {part for _, part in means(done)} == {"1", "2", "3"}


def test_a_case_of_the_reference_that_lacks_a_channel_is_scored_where_others_are_chosen(folders, tmp_path):
    import shutil

    shutil.copytree(folders / "truth", tmp_path / "truth")
    (tmp_path / "truth/p2/p2_t1.nii.gz").unlink()
    refused = score(folders / "pred", "-r", "truth", cwd=tmp_path)
    assert refused.returncode == 2 and "has no t1; the other cases have t1 flair" in refused.stderr
    done = score(folders / "pred", "-r", "truth", "--channels", "flair", "--metrics", "dice", cwd=tmp_path)
    assert means(done)["dice", "WT"]["n"] == "6"


def test_empty_parts_by_the_rule(tmp_path):
    nothing = np.zeros((10, 24, 20))
    for name, truth, called in (("both", nothing, nothing), ("missed", tumour(1), nothing),
                                ("made-up", nothing, tumour(1)), ("good", tumour(1), tumour(1))):
        save(tmp_path / f"t/{name}.nii.gz", truth)
        save(tmp_path / f"p/{name}.nii.gz", called)
    worst = means(score("p", "-r", "t", cwd=tmp_path))["dice", "WT"]
    assert (worst["value"], worst["n"], worst["both_empty"], worst["one_empty"]) == ("0.5", "4", "1", "2")
    skip = means(score("p", "-r", "t", "--empty", "skip", cwd=tmp_path))["dice", "WT"]
    assert (skip["value"], skip["n"], skip["both_empty"], skip["one_empty"]) == ("1", "1", "1", "2")
    undefined = means(score("p", "-r", "t", "--empty", "nan", cwd=tmp_path))["dice", "WT"]
    assert undefined["value"] == "" and undefined["both_empty"] == "1"


def test_seen_cases_limits_and_json(folders, tmp_path):
    for i in range(6):
        save(tmp_path / f"p/p{i}.nii.gz", tumour(i + (100 if i > 2 else 0)))
        (tmp_path / f"p/p{i}.json").write_text(json.dumps({"seen": "train" if i < 3 else ""}))
    done = score("p", "-r", folders / "truth", cwd=tmp_path)
    assert "the model saw 3 of the 6 cases (3 in training, 0 in validation): metrics without them" in done.stderr
    every, unseen = means(done)["dice", "ET"], means(done, "unseen")["dice", "ET"]
    assert unseen["n"] == "3" and float(unseen["value"]) < float(every["value"])
    high = score("p", "-r", folders / "truth", "--fail-under", "dice=0.99", "--json", cwd=tmp_path)
    assert high.returncode == 1 and "dice of ET is 0." in high.stderr
    found = json.loads(high.stdout)
    assert found["cases"]["p0"]["WT"]["dice"] == 1 and found["seen"] == {f"p{i}": "train" for i in range(3)}
    assert score("p", "-r", folders / "truth", "--fail-under", "dice=0.1", cwd=tmp_path).returncode == 0


def test_pictures_with_mask_twins(tmp_path):
    from PIL import Image as Picture

    for i, name in enumerate(("one", "two", "three")):
        for path, array in ((f"in/{name}.png", np.full((24, 20), 90)),
                            (f"in/{name}_mask.png", (tumour(i)[5] > 0) * 255),
                            (f"p/{name}.png", (tumour(i + 9)[5] > 0) * 1)):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            Picture.fromarray(array.astype(np.uint8)).save(tmp_path / path)
    done = score("p", "-r", "in", cwd=tmp_path)
    assert done.returncode == 0 and 0.3 < float(means(done)["dice", "tumour"]["value"]) < 1


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["none", "-r", "TRUTH"], 2, "none: no such file or folder"),
    (["PRED", "-r", "TRUTH", "--scheme", "brats2099"], 2, "unknown label scheme"),
    (["PRED", "-r", "TRUTH", "--scheme", "binary"], 2, "is not in scheme binary (0 1)"),
    (["PRED", "-r", "TRUTH", "--fail-under", "speed=1"], 2, "unknown metric"),
    (["PRED", "-r", "TRUTH", "--positive", "yes"], 2, "no effect with label maps"),
    (["PRED", "-r", "PRED/p0.nii.gz"], 1, "5 predictions are of no case in the reference"),
    (["TRUTH/p0/p0_t1.nii.gz", "-r", "PRED"], 1, "5 cases have no prediction"),
])  # fmt: skip
def test_wrong_use(folders, arguments, code, said, tmp_path):
    places = {"TRUTH": str(folders / "truth"), "PRED": str(folders / "pred")}
    for name, place in places.items():
        arguments = [a.replace(name, place) for a in arguments]
    done = score(*arguments, cwd=tmp_path)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_headers_that_place_a_map_in_two_ways_are_named_or_mended(folders, tmp_path):
    import gzip
    import shutil

    for name in ("pred", "truth"):
        shutil.copytree(folders / name, tmp_path / name)
    same = means(score("pred", "-r", "truth", cwd=tmp_path))["dice", "WT"]["value"]
    for path in (tmp_path / "pred/p2.nii.gz", tmp_path / "truth/p4/p4_seg.nii.gz", tmp_path / "pred/p4.nii.gz"):
        head = bytearray(gzip.decompress(path.read_bytes()))
        head[292:296] = (np.frombuffer(head[292:296], "<f4") + 7).astype("<f4").tobytes()  # the sform's x
        path.write_bytes(gzip.compress(bytes(head)))
    done = score("pred", "-r", "truth", cwd=tmp_path)
    assert done.returncode == 2 and "p4_seg.nii.gz: its qform and sform put it in two places, up to 7 mm apart " \
                                    "(--fix-orientation takes the sform)" in done.stderr
    mended = score("pred", "-r", "truth", "--fix-orientation", cwd=tmp_path)  # p2 lies 7 mm away by its sform
    assert mended.returncode == 1 and "p2.nii.gz: grid differs from the reference's: origin" in mended.stderr
    assert "p4" not in mended.stderr
    shutil.copyfile(folders / "pred/p2.nii.gz", tmp_path / "pred/p2.nii.gz")
    assert means(score("pred", "-r", "truth", "--fix-orientation", cwd=tmp_path))["dice", "WT"]["value"] == same
