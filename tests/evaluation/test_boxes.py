"""Boxes: by hand, against pycocotools, and through the executable."""

import contextlib
import csv
import io
import json
import math
import subprocess

import numpy as np
import pytest
from forked import BIN

from mrilib.errors import UsageError
from mrilib.evaluation import tables
from mrilib.evaluation.metrics import boxes


def scene(seed, cases=25, classes=("a", "b"), crowds=False):
    """True boxes and predictions near some of them, with false ones, equal scores and empty cases among them; crowds:
    wide regions among the true boxes, with several predictions inside each."""
    rng = np.random.default_rng(seed)
    true, predicted = {}, {}
    for i in range(cases):
        def box(most=40):
            corner, size = rng.uniform(0, 60, 2), rng.uniform(8, most, 2)
            return (*corner, *(corner + size))

        true[f"c{i}"] = [(*box(), str(rng.choice(classes))) for _ in range(rng.integers(0, 4))]
        near = [(*(np.array(b[:4]) + rng.normal(0, 2.5, 4)), b[4] if rng.random() < 0.9 else classes[0],
                 round(float(rng.random()), 2)) for b in true[f"c{i}"] if rng.random() < 0.8]
        predicted[f"c{i}"] = near + [(*box(), str(rng.choice(classes)), round(float(rng.random() * 0.8), 2))
                                     for _ in range(rng.integers(0, 3))]
        for _ in range(rng.integers(0, 3) if crowds else 0):
            region = (*box(80), str(rng.choice(classes)))
            true[f"c{i}"].insert(int(rng.integers(0, len(true[f"c{i}"]) + 1)), (*region, "crowd"))
            for _ in range(rng.integers(0, 4)):
                low = rng.uniform(region[:2], region[2:4])
                inside = (*low, *np.minimum(low + rng.uniform(6, 30, 2), np.add(region[2:4], 8)))
                predicted[f"c{i}"].append((*inside, region[4], round(float(rng.random()), 2)))
    return predicted, true


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_pycocotools(seed, crowds):
    predicted, true = scene(seed, crowds=crowds)
    predicted, true = ({name: sorted(listed, key=lambda box: box[4]) for name, listed in boxes_of.items()}
                       for boxes_of in (predicted, true))  # pycocotools takes equal scores class by class
    made = boxes.all_metrics(predicted, true, ["a", "b"], (16, 32))(np.ones((1, len(true))))
    peer = of_coco(predicted, true)
    assert {name: made[name][0] for name in peer} == pytest.approx(peer, abs=1e-6, nan_ok=True)
    assert sum(np.isfinite(list(peer.values()))) > 15


def test_average_precision_of_one_class_is_pycocotools():
    predicted, true = scene(7, classes=("a",))
    made = boxes.all_metrics(predicted, true, [""], (16, 32))(np.ones((1, len(true))))
    peer = {name: value for name, value in of_coco(predicted, true).items() if isinstance(name, str)}
    assert {name: made[name][0] for name in peer} == pytest.approx(peer, abs=1e-6, nan_ok=True)
    assert made["ap"] == made["ap_agnostic"] and ("ap", "a") not in made


def of_coco(predicted, true) -> dict:
    """Average precisions as pycocotools has them, of the classes a and b: their mean, each class, both as one class,
    and by size."""
    from pycocotools import coco
    from pycocotools.cocoeval import COCOeval

    ids, kinds = {name: i + 1 for i, name in enumerate(true)}, {"a": 1, "b": 2}

    def wide(b):
        return [b[0], b[1], b[2] - b[0], b[3] - b[1]]

    notes = [{"image_id": ids[n], "category_id": kinds[b[4]], "bbox": wide(b), "area": wide(b)[2] * wide(b)[3],
              "iscrowd": int(boxes.mark_of(b) == "crowd")} for n, some in true.items() for b in some]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {"images": [{"id": i} for i in ids.values()], "categories": [{"id": k} for k in kinds.values()],
                         "annotations": [{**note, "id": i + 1} for i, note in enumerate(notes)]}
        truth.createIndex()
        found = truth.loadRes([{"image_id": ids[n], "category_id": kinds[b[4]], "bbox": wide(b), "score": b[5]}
                               for n, some in predicted.items() for b in some])
        result = {}
        for kinds_apart in (1, 0):
            peer = COCOeval(truth, found, "bbox")
            peer.params.useCats = kinds_apart
            peer.params.areaRng = [[0, 1e10], [0, 16**2], [16**2, 32**2], [32**2, 1e10]]
            peer.evaluate()
            peer.accumulate()
            precision = peer.eval["precision"][..., -1]  # thresholds, recalls, classes, areas
            sizes = ("", "_small", "_medium", "_large") if kinds_apart else ("_agnostic",)
            for name, at in (("ap", slice(None)), ("ap50", slice(0, 1)), ("ap75", slice(5, 6))):
                for area, size in enumerate(sizes):
                    values = precision[at, :, :, area]
                    result[f"{name}{size}"] = values[values > -1].mean() if (values > -1).any() else math.nan
                for place, kind in enumerate("ab" if kinds_apart else ""):
                    values = precision[at, :, place, 0]
                    result[name, kind] = values[values > -1].mean() if (values > -1).any() else math.nan
    return result


def test_marked_regions_neither_found_nor_counted():
    """A crowd takes any number of boxes by the share inside it, a region to ignore takes one that overlaps it."""
    true = {"one": [(0, 0, 10, 10, "t"), (40, 0, 80, 40, "t", "crowd")], "two": [(0, 0, 10, 10, "t", "ignore")],
            "three": []}
    predicted = {"one": [(45, 5, 55, 15, "t", 0.99), (50, 20, 60, 30, "t", 0.98), (0, 0, 10, 10, "t", 0.9)],
                 "two": [(0, 0, 10, 10, "t", 0.95)]}
    made = {n: v[0] for n, v in boxes.all_metrics(predicted, true, [""])(np.ones((1, 3))).items()}
    assert all(made[name] == 1 for name in ("ap", "ap50", "froc", "iou", "hit_rate"))
    predicted["two"].append((0, 0, 10, 9, "t", 0.94))  # a second box on a region that takes one is false
    made = {n: v[0] for n, v in boxes.all_metrics(predicted, true, [""])(np.ones((1, 3))).items()}
    assert made["ap50"] == 0.5 and made["hit_rate"] == 1
    nothing = boxes.all_metrics({}, {"two": true["two"]}, [""])(np.ones((1, 1)))
    assert np.isnan([v[0] for v in nothing.values()]).all()


def test_by_hand():
    assert boxes.iou([[0, 0, 2, 2]], [[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6]]).tolist() == [[1 / 7, 1, 0]]
    true = {"one": [(0, 0, 10, 10, "t")], "two": [(0, 0, 10, 10, "t")], "none": []}
    predicted = {"one": [(0, 0, 10, 10, "t", 0.9), (20, 20, 30, 30, "t", 0.8)], "none": [(0, 0, 5, 5, "t", 0.95)]}
    made = {n: v[0] for n, v in boxes.all_metrics(predicted, true, [""])(np.ones((1, 3))).items()}
    assert made["ap50"] == pytest.approx(51 * 0.5 / 101)  # half is found, behind one false box
    assert made["iou"] == made["hit_rate"] == 0.5
    assert made["froc"] == pytest.approx(0.5 * 5 / 7) and made["sensitivity_at_1"] == 0.5  # from 1 false of 3 cases on


def test_weights_are_copies_of_cases():
    predicted, true = scene(3, 8)
    weights = np.array([[2, 0, 1, 3, 0, 1, 0, 2]])
    copies = [(n, k) for n, w in zip(true, weights[0], strict=True) for k in range(w)]
    twice = boxes.all_metrics({f"{n}{k}": predicted[n] for n, k in copies}, {f"{n}{k}": true[n] for n, k in copies},
                              ["a", "b"])(np.ones((1, len(copies))))
    once = boxes.all_metrics(predicted, true, ["a", "b"])(weights)
    for name in ("iou", "hit_rate"):
        assert once[name] == pytest.approx(twice[name])
    assert once["ap"] == pytest.approx(twice["ap"], abs=0.03)  # of equal scores the order differs


@pytest.mark.parametrize(("text", "said"), [
    ("case,x0,y0,x1\n", "has no column y1"), ("case,x0,y0,x1,y1,class,score\na,1,2,x,4,t,1\n", "line 2: x0 y0"),
    ("case,x0,y0,x1,y1,class,score\na,5,2,3,4,t,1\n", "no area"),
    ("case,x0,y0,x1,y1,class,score\na,1,2,nan,4,t,1\n", "not all numbers"),
    ("case,x0,y0,x1,y1,class,score,seen\na,1,2,3,4,t,1,maybe\n", "seen is 'maybe'"),
])  # fmt: skip
def test_bad_tables(text, said):
    with pytest.raises(UsageError, match=said):
        tables.read(text, "t.csv", tables.Boxes())


def test_through_the_executable(tmp_path):
    (tmp_path / "t.csv").write_text("file,x0,y0,x1,y1,class\n" + "".join(
        f"s{i}.png,10,10,{30 + i},30,t\n" for i in range(12)) + "empty.png,,,,,\n")
    table = "case,x0,y0,x1,y1,class,score,seen\n" + "".join(
        f"s{i},10,10,30,30,t,0.{9 - i % 3},{'train' if i < 2 else ''}\n" for i in range(11)) + "empty,,,,,,,\n"
    (tmp_path / "p.csv").write_text(table)
    done = subprocess.run([BIN / "mri-score", "p.csv", "-r", "t.csv", "--per-case", "c.csv"], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 1 and "1 cases have no prediction and are counted as without a box: s11" in done.stderr
    assert "the model saw 2 of the 13 cases" in done.stderr
    rows = {(r["metric"], r["cases"]): r for r in csv.DictReader(io.StringIO(done.stdout))}
    assert len(rows) == len(done.stdout.splitlines()) - 1  # each metric once
    assert float(rows["hit_rate", "all"]["value"]) == pytest.approx(11 / 12, abs=1e-5)
    assert float(rows["iou", "all"]["value"]) == pytest.approx(sum(20 / (20 + i) for i in range(11)) / 12, abs=1e-5)
    assert float(rows["ap50", "all"]["value"]) == pytest.approx(92 / 101, abs=1e-5)
    assert rows["ap", "unseen"]["n"] == "11" and float(rows["iou", "all"]["low"]) < float(rows["iou", "all"]["high"])
    each = {r["case"]: r for r in csv.DictReader((tmp_path / "c.csv").open())}
    assert each["s0"]["iou"] == "1" and each["empty"]["iou"] == "" and each["s11"]["predicted"] == "0"
    over = subprocess.run([BIN / "mri-score", "p.csv", "-r", "t.csv", "--fail-under", "hit_rate=0.99", "-q",
                           "--allow-missing"], cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert over.returncode == 0, over.stderr


def test_crowds_of_a_coco_file_through_the_executable(tmp_path):
    """COCO's evaluation gives 1.000 here: no box is predicted where only a crowd is marked."""
    from PIL import Image

    notes = []
    for i in range(4):
        Image.fromarray(np.full((64, 64), 90 + i, np.uint8)).save(tmp_path / f"p{i}.png")
        notes += [{"id": 2 * i + 1, "image_id": i, "category_id": 1, "bbox": [10, 10, 12, 12], "iscrowd": 0},
                  {"id": 2 * i + 2, "image_id": i, "category_id": 1, "bbox": [36, 36, 20, 20], "iscrowd": 1}]
    (tmp_path / "annotations.json").write_text(json.dumps({
        "images": [{"id": i, "file_name": f"p{i}.png", "width": 64, "height": 64} for i in range(4)],
        "annotations": notes, "categories": [{"id": 1, "name": "tumour"}]}))
    (tmp_path / "p.csv").write_text("case,x0,y0,x1,y1,class,score\n" + "".join(
        f"p{i},10,10,22,22,tumour,0.9\np{i},40,40,50,50,tumour,0.95\n" for i in range(4)))
    done = subprocess.run([BIN / "mri-score", "p.csv", "-r", ".", "--per-case", "c.csv"], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = {r["metric"]: float(r["value"] or "nan") for r in csv.DictReader(io.StringIO(done.stdout))}
    assert rows["ap"] == rows["ap_small"] == rows["ap_agnostic"] and math.isnan(rows["ap_large"])
    assert rows["ap"] == rows["ap50"] == rows["froc"] == rows["iou"] == rows["hit_rate"] == 1
    assert {r["true"] for r in csv.DictReader((tmp_path / "c.csv").open())} == {"1"}


def test_each_class_and_sizes_through_the_executable(tmp_path):
    """Two classes are told apart; --fail-under looks at their mean; --sizes sets what is small."""
    (tmp_path / "t.csv").write_text("file,x0,y0,x1,y1,class,subject\n" + "".join(
        f"s{i}.png,10,10,{40 + 40 * (i % 2)},40,{'ab'[i % 2]},p{i // 2}\n" for i in range(12)))
    (tmp_path / "p.csv").write_text("case,x0,y0,x1,y1,class,score\n" + "".join(
        f"s{i},10,10,{40 + 40 * (i % 2)},40,{'a' if i != 1 else 'b'},0.9\n" for i in range(12)))
    done = subprocess.run([BIN / "mri-score", "p.csv", "-r", "t.csv", "--sizes", "40,200", "--fail-under", "ap50=0.5"],
                          cwd=tmp_path, text=True, capture_output=True, timeout=60)
    rows = {(r["metric"], r["class"]): r for r in csv.DictReader(io.StringIO(done.stdout))}
    value = {key: float(row["value"] or "nan") for key, row in rows.items()}
    assert len(rows) == len(done.stdout.splitlines()) - 1
    assert value["ap50", "a"] > 0.5 > value["ap50", "b"] > 0
    assert value["ap50", ""] == pytest.approx((value["ap50", "a"] + value["ap50", "b"]) / 2, abs=1e-5)
    assert value["ap50_agnostic", ""] == 1 and value["hit_rate", ""] == 1
    assert value["ap50_small", ""] > value["ap50_medium", ""] > 0 and math.isnan(value["ap50_large", ""])
    assert rows["ap50", "a"]["resampled"] == "subject"
    assert done.stderr.count("under 0.5") == (value["ap50", ""] < 0.5)
    wrong = subprocess.run([BIN / "mri-score", "p.csv", "-r", "t.csv", "--sizes", "96,32"], cwd=tmp_path, text=True,
                           capture_output=True, timeout=60)
    assert wrong.returncode == 2 and "sizes: 96,32 must be two numbers, the smaller one first" in wrong.stderr
