"""mri-score of what other tools write: nnU-Net, MONAI, 3D Slicer, detectors, spreadsheets."""

import csv
import io
import json
import subprocess
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from forked import BIN

LABELS = {"background": 0, "edema": 1, "non-enhancing tumor": 2, "enhancing tumour": 3}


def score(*arguments, given=None, cwd=None):
    return subprocess.run([BIN / "mri-score", *map(str, arguments)], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


def means(done, code=0):
    """{(metric, part): value} of the summary over all cases."""
    assert done.returncode == code, done.stderr
    return {(r["metric"], r["part"]): float(r["value"] or "nan") for r in csv.DictReader(io.StringIO(done.stdout))
            if r["cases"] == "all"}


def save(path, array, kind=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array.astype(kind), isVector=False), str(path))


def tumour(seed, labels=(1, 2, 3)):
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:10, :16, :14]
    away = np.sqrt((z - rng.uniform(4, 6)) ** 2 + (y - rng.uniform(7, 9)) ** 2 + (x - rng.uniform(6, 8)) ** 2)
    made = np.zeros(away.shape, np.uint8)
    for radius, label in zip((4, 3, 2), labels, strict=True):
        made[away < radius] = label
    return made


def raw(root, labels=LABELS, change=lambda label: label):
    """nnU-Net raw data of three cases."""
    for i in range(3):
        save(root / f"imagesTr/p_{i}_0000.nii.gz", np.zeros((10, 16, 14)), np.int16)
        save(root / f"labelsTr/p_{i}.nii.gz", change(tumour(i)))
    about = {"channel_names": {"0": "FLAIR"}, "labels": labels, "numTraining": 3, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(about))
    return root


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_voxels_with_the_ignored_value_are_left_out(tmp_path):
    """What is predicted where nobody labelled counts neither for nor against a model, in every metric."""
    def sparse(label):
        label[:, :, 8:] = 4
        return label

    raw(tmp_path / "raw", {**LABELS, "ignore": 4}, sparse)
    for i in range(3):
        other = tumour(i + 50)
        save(tmp_path / f"plain/p_{i}.nii.gz", np.where(np.arange(14) < 8, other, 0))
        save(tmp_path / f"full/p_{i}.nii.gz", np.where(np.arange(14) < 8, other, 3))
        save(tmp_path / f"copied/p_{i}.nii.gz", np.where(np.arange(14) < 8, other, 4))
    made = [score(tmp_path / name, "-r", tmp_path / "raw") for name in ("plain", "full", "copied")]
    assert "scheme msd,4=ignore, as the layout says" in made[0].stderr
    assert "voxels of value 4 are left out" in made[0].stderr
    found = means(made[0])
    half = [(tumour(i + 50)[..., :8] > 0, tumour(i)[..., :8] > 0) for i in range(3)]
    assert found["dice", "WT"] == pytest.approx(np.mean([dice(*pair) for pair in half]), abs=1e-5)
    specific = [(~p & ~r).sum() / (~r).sum() for p, r in half]
    assert found["specificity", "WT"] == pytest.approx(np.mean(specific), abs=1e-5)
    assert found["volume", "WT"] == pytest.approx(np.mean([p.sum() for p, _ in half]), rel=1e-5)
    assert {metric for metric, _ in found} >= {"hd95", "lesion_dice"}
    assert means(made[1]) == found and means(made[2]) == found
    assert found == means(score(tmp_path / "full", "-r", tmp_path / "raw", "--scheme", "msd,4=Ignore"))


def test_a_prediction_may_not_leave_out_what_the_reference_labels(tmp_path):
    raw(tmp_path / "raw", {**LABELS, "ignore": 4})
    for i in range(3):
        save(tmp_path / f"pred/p_{i}.nii.gz", np.where(np.arange(14) < 12, tumour(i), 4))
    done = score(tmp_path / "pred", "-r", tmp_path / "raw")
    assert done.returncode == 1 and "p_0.nii.gz: leaves 320 voxels that the reference labels without a" in done.stderr


def test_regions_of_a_dataset_json_are_scored_by_their_names(tmp_path):
    raw(tmp_path / "raw", {"background": 0, "WT": [1, 2, 3], "TC": [2, 3], "ET": 3, "cavity": 4})
    for i in range(3):
        save(tmp_path / f"pred/p_{i}.nii.gz", tumour(i + 50))
    found = means(score(tmp_path / "pred", "-r", tmp_path / "raw"))
    assert {part for _, part in found} == {"WT", "TC", "ET", "cavity"}
    pairs = [(np.isin(tumour(i + 50), (2, 3)), np.isin(tumour(i), (2, 3))) for i in range(3)]
    assert found["dice", "TC"] == pytest.approx(np.mean([dice(*pair) for pair in pairs]), abs=1e-5)


def output_of_nnunet(folder, labels=LABELS, numbers=(1, 2, 3)):
    """What nnUNetv2_predict writes: label maps, probabilities, and records of the run."""
    for i in range(3):
        save(folder / f"p_{i}.nii.gz", tumour(i + 50, numbers))
        np.savez(folder / f"p_{i}.npz", probabilities=np.zeros((4, 2, 2, 2), np.float16))
        (folder / f"p_{i}.pkl").write_bytes(b"\x80\x04N.")
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    for name in ("plans.json", "predict_from_raw_data_args.json", "summary.json", "postprocessing.pkl", "plans.pkl"):
        (folder / name).write_bytes(b"{}")
    return folder


def packed(folder, path, around=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, around + file.relative_to(folder).as_posix())
    return path


def test_an_output_folder_of_nnunet(tmp_path):
    raw(tmp_path / "raw")
    out = output_of_nnunet(tmp_path / "out")
    expected = None
    for given in (out, packed(out, tmp_path / "flat.zip"), packed(out, tmp_path / "around.zip", "out/")):
        done = score(given, "-r", tmp_path / "raw")
        found = means(done)
        expected = expected or found
        assert found == expected and found["dice", "WT"] > 0.3
        told = [line for line in done.stderr.splitlines() if "beside" in line]
        assert len(told) == 1 and "12 files beside the label maps are left out" in told[0]
        checked = score("--check", given, "--like", tmp_path / "raw")
        assert checked.returncode == 0 and "3 of 3 predictions are well formed" in checked.stdout
    (out / "model.bin").write_bytes(b"1")
    (out / "other.npz").write_bytes(b"1")  # of no label map
    done = score(out, "-r", tmp_path / "raw")
    assert done.returncode == 1
    assert "model.bin: is not an image" in done.stderr and "other.npz: is not an image" in done.stderr
    strange = score(packed(out, tmp_path / "strange.zip"), "-r", tmp_path / "raw")
    assert strange.returncode == 1 and strange.stderr.count("is not a label map by its suffix") == 2


def test_the_dataset_json_of_an_output_folder_tells_what_its_numbers_mean(tmp_path):
    """Predictions in the order of BraTS 2023, a reference in the order of the Decathlon: they meet by name."""
    raw(tmp_path / "raw")
    same = means(score(output_of_nnunet(tmp_path / "same"), "-r", tmp_path / "raw"))
    other = output_of_nnunet(tmp_path / "other", {"background": 0, "NCR": 1, "ED": 2, "ET": 3}, (2, 1, 3))
    assert means(score(other, "-r", tmp_path / "raw")) == same
    assert means(score(packed(other, tmp_path / "other.zip"), "-r", tmp_path / "raw")) == same
    said = means(score(other, "-r", tmp_path / "raw", "--predicted-scheme", "msd"))
    assert said["dice", "TC"] < same["dice", "TC"]
    (other / "dataset.json").write_text('{"labels": {"a": "b"}}')
    done = score(other, "-r", tmp_path / "raw")
    assert done.returncode == 1 and "dataset.json: does not tell what the numbers" in done.stderr
    assert "--predicted-scheme" in done.stderr


@pytest.mark.parametrize("name", ["last", "first", "first of one", "several components"])
def test_one_hot_channels_are_one_label_map(name, tmp_path):
    raw(tmp_path / "raw")
    for i in range(3):
        label = tumour(i + 50)
        save(tmp_path / f"plain/p_{i}.nii.gz", label)
        hot = np.stack([label == value for value in range(4)])  # ITK's last axis is NumPy's first
        if name == "last":
            save(tmp_path / f"hot/p_{i}.nii.gz", hot, np.float32)
        elif name == "first":
            save(tmp_path / f"hot/p_{i}.nii.gz", np.moveaxis(hot, 0, -1), np.float32)
        elif name == "first of one":
            save(tmp_path / f"hot/p_{i}.nii.gz", label[..., None], np.float32)
        else:
            (tmp_path / "hot").mkdir(exist_ok=True)
            image = sitk.GetImageFromArray(np.moveaxis(hot, 0, -1).astype(np.uint8), isVector=True)
            sitk.WriteImage(image, str(tmp_path / f"hot/p_{i}.nii.gz"))
    done = score(tmp_path / "hot", "-r", tmp_path / "raw")
    assert means(done) == means(score(tmp_path / "plain", "-r", tmp_path / "raw"))
    assert "p_0.nii.gz: holds its one channel" in done.stderr if name == "first of one" else (
        "p_0.nii.gz: holds 4 one-hot channels" in done.stderr)
    assert all(line.startswith("mri-score: ") for line in done.stderr.splitlines())


def test_probabilities_are_no_label_map(tmp_path):
    raw(tmp_path / "raw")
    for i in range(3):
        save(tmp_path / f"soft/p_{i}.nii.gz", np.full((4, 10, 16, 14), 0.25), np.float32)
        save(tmp_path / f"many/p_{i}.nii.gz", np.zeros((99, 10, 16, 14)))
    for name, said in (("soft", "it holds 4 channels, which are not one-hot"), ("many", "it holds 99 channels")):
        done = score(tmp_path / name, "-r", tmp_path / "raw")
        assert done.returncode == 1 and f"p_0.nii.gz: is no label map: {said}" in done.stderr


def test_names_of_monai(tmp_path):
    """CASE/CASE_flair_seg.nii.gz is of CASE."""
    for i in range(3):
        save(tmp_path / f"truth/p{i}/p{i}_flair.nii.gz", np.zeros((10, 16, 14)), np.int16)
        save(tmp_path / f"truth/p{i}/p{i}_seg.nii.gz", tumour(i) > 0)
        for name in (f"seg/p{i}_flair/p{i}_flair_seg", f"trans/p{i}_flair_trans", f"pred/p{i}_prediction"):
            save(tmp_path / f"{name}.nii.gz", tumour(i) > 0)
    for name in ("seg", "trans", "pred"):
        assert means(score(tmp_path / name, "-r", tmp_path / "truth"))["dice", "tumour"] == 1


def test_a_segmentation_of_slicer_that_is_cut_to_its_segments(tmp_path):
    raw(tmp_path / "raw")
    for i in range(3):
        label = tumour(i + 50)
        save(tmp_path / f"plain/p_{i}.nii.gz", label)
        inside = np.argwhere(label)
        low, high = inside.min(0), inside.max(0) + 1
        image = sitk.GetImageFromArray(label[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
        image.SetOrigin([float(v) for v in low[::-1]])
        for n, name in enumerate(("oedema", "non-enhancing", "enhancing")):
            image.SetMetaData(f"Segment{n}_ID", f"Segment_{n}")
            image.SetMetaData(f"Segment{n}_Name", name)
            image.SetMetaData(f"Segment{n}_LabelValue", str(n + 1))
            image.SetMetaData(f"Segment{n}_Layer", "0")
        (tmp_path / "cut").mkdir(exist_ok=True)
        sitk.WriteImage(image, str(tmp_path / f"cut/p_{i}.seg.nrrd"), True)
    assert means(score(tmp_path / "cut", "-r", tmp_path / "raw")) == means(score(tmp_path / "plain", "-r",
                                                                                 tmp_path / "raw"))


def test_tables_of_spreadsheets(tmp_path):
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"p{i}.png,{('no', 'yes')[i % 2]}\n" for i in range(8)))
    table = "Case;Class;p_yes;p_no\r\n" + "".join(
        f"p{i};{'yes' if i > 3 else 'no'};0,{i};{f'0,{10 - i}' if i else 1}\r\n" for i in range(8)) + ";;;\r\n"
    plain = table.replace(",", ".").replace(";", ",").replace(",,,\r\n", "").lower()
    (tmp_path / "plain.csv").write_text(plain, newline="")
    (tmp_path / "sheet.csv").write_bytes(table.encode("utf-16"))
    expected = score("plain.csv", "-r", "t.csv", cwd=tmp_path)
    assert expected.returncode == 0, expected.stderr
    assert score("sheet.csv", "-r", "t.csv", cwd=tmp_path).stdout == expected.stdout
    piped = subprocess.run([BIN / "mri-score", "-r", "t.csv"], input=table.encode("utf-8-sig"), cwd=tmp_path,
                           capture_output=True, timeout=60)
    assert piped.stdout.decode() == expected.stdout
