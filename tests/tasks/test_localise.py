"""Boxes from pictures to a score, with the executables, on slices with bright spots."""

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from forked import BIN
from PIL import Image

from mrilib.evaluation.metrics import boxes as metrics

TRAIN = ("mri-train", "prepared", "--task", "localise", "--device", "cpu", "--threads", 1, "--epochs", 14,
         "--filters", 16, "--width", 0.5, "--batch-size", 8, "--validation", 0.2, "--augment", "light",
         "--learning-rate", 0.005)


def draw(folder: Path, name: str, seed: int, spots: int, height: int = 72):
    """A picture of 96 pixels across with bright ellipses, and their boxes as YOLO text."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :96] + 0.5
    pixels, lines = rng.integers(0, 40, (height, 96)), []
    for place in range(spots):
        w, h = rng.integers(12, 24, 2)
        cx, cy = rng.uniform(14 + 48 * place, 34 + 48 * place), rng.uniform(14, height - 14)
        inside = ((x - cx) / w * 2) ** 2 + ((y - cy) / h * 2) ** 2 < 1
        pixels[inside] += 180
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]]) + 1
        size = np.array([96, height])
        lines.append(" ".join(map(str, [0, *((low + high) / 2 / size), *((high - low) / size)])) + "\n")
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{name}.png")
    (folder / "labels" / f"{name}.txt").write_text("".join(lines))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs an executable in a folder with spots/, and a model of them in 64 x 64 pixels, model.h5."""
    folder = tmp_path_factory.mktemp("localise")
    for i in range(48):
        draw(folder / "spots", f"s{i:02}", i, spots=(1, 2, 1, 0)[i % 4])
    for i in range(12):
        draw(folder / "others", f"o{i:02}", 100 + i, spots=(1, 2, 1, 0)[i % 4])

    def of(tool, *arguments, code=0, text=None):
        ran = subprocess.run([BIN / tool, *map(str, arguments)], cwd=folder, capture_output=True, text=True,
                             input=text or "", timeout=300)
        assert ran.returncode == code, ran.stderr
        return ran

    of("mri-normalize", "spots", "--size", 64, "-o", "prepared", "-j", 1)
    of.folder, of.trained = folder, of(*TRAIN, "-o", "model.h5")
    return of


def test_other_networks_start_from_a_detector(run):
    masks = run.folder / "masks"
    masks.mkdir()
    for i in range(4):
        pixels = np.asarray(Image.open(run.folder / "spots" / "images" / f"s{i:02}.png"))[:64, :64]
        Image.fromarray(pixels).save(masks / f"s{i:02}.png")
        Image.fromarray((pixels > 100).astype(np.uint8) * 255).save(masks / f"s{i:02}_mask.png")
    short = ("--weights", "model.h5", "--epochs", 1, "--batch-size", 4, "--device", "cpu", "--threads", 1)
    ran = run("mri-train", "masks", "--task", "segment", *short, "--steps", 1, "--patch", "64,64", "-o", "maps.h5")
    assert "arrays from model.h5; the rest starts at random" in ran.stderr
    record = json.loads(run("mri-inspect", "maps.h5", "--json").stdout)
    assert record["architecture"]["backbone"] == "resnet18" and record["architecture"]["width"] == 0.5
    again = run("mri-train", "prepared", "--task", "localise", *short, "--filters", 16, "--weights", "maps.h5",
                "--dry-run")
    assert "--backbone: resnet18\n--width: 0.5\n--weights: maps.h5" in again.stdout
    wrong = run("mri-train", "masks", "--task", "segment", *short, "--backbone", "mobilenet", code=2)
    assert "model.h5: is a model of backbone resnet18, not mobilenet (--backbone resnet18)" in wrong.stderr


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def test_training_says_what_came_out(run):
    assert run.trained.stdout == "model.h5\n"
    assert "validation epoch 14: AP50" in run.trained.stderr and "--min-score" in run.trained.stderr
    assert "up to date: skipped" in run(*TRAIN, "-o", "model.h5").stderr
    shown = run("mri-inspect", "model.h5").stdout
    assert "localise" in shown and "least score" in shown
    auto = run("mri-train", "prepared", "--dry-run").stdout
    assert "--stride: 8" in auto and "s01.tif boxes=2 train" in auto  # the task is detected from the boxes


def test_boxes_of_new_images_lie_on_their_spots(run):
    """In pixels of the images as given, which are larger than the network's."""
    table = run("mri-predict", "-m", "model.h5", "others", "--device", "cpu").stdout
    assert table.splitlines()[0] == "case,x0,y0,x1,y1,class,score,seen"
    scored = rows_of(run("mri-score", "-r", "others", text=table).stdout)
    ap50 = next(float(row["value"]) for row in scored if row["metric"] == "ap50" and row["cases"] == "all")
    assert ap50 > 0.7
    seen = rows_of(run("mri-predict", "-m", "model.h5", "spots", "--device", "cpu").stdout)
    assert {row["seen"] for row in seen} == {"train", "validation"}


def test_a_case_without_a_box_has_a_row_without_numbers(run):
    few = rows_of(run("mri-predict", "-m", "model.h5", "others", "--min-score", 0.99, "--device", "cpu").stdout)
    assert len({row["case"] for row in few}) == 12 and any(row["x0"] == row["score"] == "" for row in few)
    listed = json.loads(run("mri-predict", "-m", "model.h5", "others", "--json", "--device", "cpu").stdout)
    assert {"case", "x0", "score", "seen"} <= set(listed[0])


def test_other_formats_hold_the_same_boxes(run):
    predict = ("mri-predict", "-m", "model.h5", "others", "--device", "cpu", "--soft-nms", "--flip-axes", "xy")
    (run.folder / "boxes.csv").write_text(run(*predict).stdout)
    table = [row for row in rows_of((run.folder / "boxes.csv").read_text()) if row["x0"]]
    run(*predict, "--format", "coco", "-o", "coco.json")
    coco = json.loads((run.folder / "coco.json").read_text())
    assert [box["image_id"] for box in coco] == [row["case"] for row in table]
    wanted = [[float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])] for row in table]
    corners = [[x, y, x + w, y + h] for x, y, w, h in (box["bbox"] for box in coco)]
    np.testing.assert_allclose(corners, wanted, atol=0.02)
    assert [box.get("category_name", "") for box in coco] == [row["class"] for row in table]
    scores = [rows_of(run("mri-score", name, "-r", "others", "-q").stdout) for name in ("boxes.csv", "coco.json")]
    assert [row["value"] for row in scores[0]] == [row["value"] for row in scores[1]] and len(scores[0]) > 5
    names = run(*predict, "--format", "yolo", "-o", "texts", "--explain", "heat").stdout.split()
    assert len(names) == 12 and (run.folder / "heat/images/o00.png").is_file()
    numbers = [list(map(float, line.split())) for name in names
               for line in (run.folder / name).read_text().splitlines()]
    np.testing.assert_allclose([[(x - w / 2) * 96, (y - h / 2) * 72] for _, x, y, w, h, _ in numbers],
                               [box[:2] for box in wanted], atol=0.02)


def test_mistakes_are_told_before_anything_is_done(run):
    assert "multiples of 32" in run("mri-train", "spots", "--device", "cpu", "-o", "odd.h5", code=2).stderr
    assert "--mixup has no effect on boxes" in run("mri-train", "spots", "--task", "localise", "--mixup", 0.2,
                                                   code=2).stderr
    assert "--freeze needs --weights" in run("mri-train", "spots", "--task", "localise", "--freeze", code=2).stderr
    assert "no effect with --no-flips" in run("mri-predict", "-m", "model.h5", "spots", "--no-flips", "--flip-axes",
                                              "x", code=2).stderr
    assert "has the axes x and y" in run("mri-predict", "-m", "model.h5", "spots", "--flip-axes", "z", code=2).stderr



def test_a_volume_goes_through_slice_by_slice_and_its_boxes_are_joined(run):
    """A spot in slices 3 to 8, in a volume whose y axis runs the other way: the box is in voxels of the file."""
    import SimpleITK as sitk

    draw(run.folder / "one", "spot", 200, spots=1)
    spot = np.array(Image.open(run.folder / "one/images/spot.png"))
    _, cx, cy, w, h = map(float, (run.folder / "one/labels/spot.txt").read_text().split())
    empty = np.random.default_rng(0).integers(0, 40, (12, *spot.shape))
    volume = empty.astype(np.uint8)
    volume[3:9] = spot
    volume[6] = empty[6]  # one slice is missed
    image = sitk.GetImageFromArray(volume[:, ::-1])
    image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(run.folder / "head.nii.gz"))
    table = run("mri-predict", "-m", "model.h5", "head.nii.gz", "--device", "cpu").stdout
    assert table.splitlines()[0] == "case,x0,y0,z0,x1,y1,z1,class,score,seen"
    row = max(rows_of(table), key=lambda row: float(row["score"]))
    box = [float(row[side]) for side in ("x0", "y0", "x1", "y1")]
    true = [(cx - w / 2) * 96, (1 - cy - h / 2) * 72, (cx + w / 2) * 96, (1 - cy + h / 2) * 72]
    assert metrics.iou([box], [true])[0, 0] > 0.5, (box, true)
    assert (float(row["z0"]), float(row["z1"])) == (3, 9)
    assert "is a volume, and --format coco is for images" in run(
        "mri-predict", "-m", "model.h5", "head.nii.gz", "--format", "coco", "--device", "cpu", code=1).stderr
    (run.folder / "volume.csv").write_text(table)
    drawn = run("mri-view", "volume.csv", "--cases", "one", code=2).stderr
    assert "the boxes are of volumes" in drawn
