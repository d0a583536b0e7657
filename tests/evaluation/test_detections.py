"""Predicted boxes as COCO results and YOLO texts."""

import json
import logging

import numpy as np
import pytest
from forked import BIN
from pipeline_data import save

import mrilib
from mrilib.errors import UsageError

NAMES = ("00054_1", "00054_2", "scan b", "empty")
WIDTH, HEIGHT = 200, 100
BOX = (20, 10, 60, 50)


@pytest.fixture
def images(tmp_path):
    for n, name in enumerate(NAMES):
        save(tmp_path / f"set/images/{name}.png", np.full((HEIGHT, WIDTH), n, np.uint8))
    return tmp_path


def coco_reference(folder, first=11, kinds=("glioma", "other")):
    content = {"images": [{"id": first + n, "file_name": f"{name}.png"} for n, name in enumerate(NAMES)],
               "categories": [{"id": 3 + n, "name": kind} for n, kind in enumerate(kinds)],
               "annotations": [{"id": n, "image_id": first + n, "category_id": 3 + n % len(kinds),
                                "bbox": [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]} for n in range(3)]}
    (folder / "set/annotations.json").write_text(json.dumps(content))
    return content


def yolo_reference(folder, kinds=None):
    share = f"{40 / WIDTH} {30 / HEIGHT} {40 / WIDTH} {40 / HEIGHT}"
    for n, name in enumerate(NAMES):
        path = folder / f"set/labels/{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{n % len(kinds) if kinds else 0} {share}\n" if n < 3 else "")
    if kinds:
        (folder / "set/data.yaml").write_text(f"names: {json.dumps(list(kinds))}\n")


def entry(number, score=0.9, kind=3, box=BOX, **more):
    x0, y0, x1, y1 = box
    return {"image_id": number, "category_id": kind, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score, **more}


def scored(predictions, reference, **more):
    scores = mrilib.score(predictions, reference=reference, resamples=100, **more)
    return {(row["metric"], row["class"]): row["value"] for row in scores.rows if row["cases"] == "all"}, scores


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_coco_results_are_scored_by_the_ids_of_the_reference(images):
    coco_reference(images)
    results = [entry(11), entry(12, kind=4), entry(13), entry(14, 0.1)]
    value, scores = scored(written(images / "p.json", results), images / "set")
    assert value["ap50", ""] == value["ap50", "glioma"] == value["ap50", "other"] == value["hit_rate", ""] == 1
    assert scores.complete
    value, scores = scored(written(images / "p.json", results[:1]), images / "set")
    assert scores.complete and value["ap50", "other"] == 0  # an image that is not named has no box
    assert 0 < value["ap50_agnostic", ""] < 1


@pytest.mark.parametrize("ids", [("images/00054_1", "images/00054_2", "images/scan b"),
                                 ("00054_1.png", "00054_2.png", "scan b.png"), ("00054_1", "00054_2", "scan b")])
def test_image_ids_that_are_names(ids, images):
    yolo_reference(images)
    value, _ = scored(written(images / "p.json", [entry(number) for number in ids]), images / "set")
    assert value["ap50", ""] == 1 and value["iou", ""] == 1
    named = [entry(n, file_name=f"{name}.png") for n, name in enumerate(NAMES[:3])]
    assert scored(written(images / "p.json", named), images / "set")[0]["ap50", ""] == 1


def test_image_ids_that_are_the_number_in_a_name(images):
    for n in (7, 12):
        save(images / f"n/images/{n:05}.png", np.full((HEIGHT, WIDTH), n, np.uint8))
        written(images / f"n/labels/{n:05}.txt", "0 .2 .3 .2 .4\n")
    value, _ = scored(written(images / "p.json", [entry(7), entry(12)]), images / "n")
    assert value["ap50", ""] == 1


def test_a_coco_file_of_predictions_lists_its_images_itself(images):
    yolo_reference(images)
    content = coco_reference(images, first=500)
    (images / "set/annotations.json").unlink()
    content["annotations"] = [{**note, "score": 0.5} for note in content["annotations"]]
    assert scored(written(images / "p.json", content), images / "set")[0]["ap50", ""] == 1


def test_rows_of_boxes_as_json(images):
    yolo_reference(images)
    rows = [{"case": f"images/{name}", "x0": 20, "y0": 10, "x1": 60, "y1": 50, "class": "", "score": 0.9}
            for name in NAMES[:3]] + [{"case": "images/empty"}]
    assert scored(written(images / "p.json", rows), images / "set")[0]["ap50", ""] == 1


@pytest.mark.parametrize("content, what", [
    ([entry(99), entry(11)], "1 boxes are of images that the reference does not have: 99"),
    ([entry(11), {"category_id": 3, "bbox": [1, 2, 3, 4], "score": 1}], "p.json, entry 1: has no image_id"),
    ([entry(11, score=None)], "p.json, entry 0: has a bbox or score that is none"),
    ([{"image_id": 11, "category_id": 3, "bbox": [1, 2, 3], "score": 1}], "entry 0: has a bbox or score that is none"),
    ([{"image_id": 11, "category_id": 3, "bbox": [1, 2, 3, 4]}], "entry 0: has no score"),
    ([entry(11, box=(20, 10, 20, 50))], "entry 0: has a box 20 10 0 40 of score 0.9, without an area"),
    ([entry(11, score=float("nan"))], "of score nan, without an area or no number"),
    ([7], "entry 0: has a bbox or score that is none"), ({"boxes": []}, "is no COCO result"),
    ([entry(11, kind=8)], "class predicted '8' is none of the reference's"), ("[{", "is no JSON that can be read"),
])  # fmt: skip
def test_wrong_coco_results(content, what, images):
    coco_reference(images)
    with pytest.raises(UsageError) as error:
        scored(written(images / "p.json", content), images / "set")
    assert what in str(error.value)


def test_several_results_are_submissions_and_folds_are_one(images, caplog):
    coco_reference(images)
    one = written(images / "one.json", [entry(11), entry(12, kind=4), entry(13), {"image_id": 11}])
    two = written(images / "two.json", [entry(11, box=(20, 10, 50, 50))])
    with caplog.at_level(logging.WARNING, "mrilib"):
        _, scores = scored([one, two], images / "set")
    assert [row["submission"] for row in scores.leaderboard if row["metric"] == "place"] == ["one", "two"]
    assert "entry 3: has no bbox" in caplog.text and scores.entries[0].faults == 1
    folds = [written(images / f"fold{n}.json", [entry(11 + n, kind=3 + n % 2)]) for n in range(3)]
    value, scores = scored(folds, images / "set")
    assert not scores.several and value["ap50", ""] == 1


def test_yolo_texts_are_scored(images, caplog):
    yolo_reference(images, ("glioma", "other"))
    for n, name in enumerate(NAMES[:3]):
        written(images / f"pred/labels/{name}.txt", f"{n % 2} 0.2 0.3 0.2 0.4 0.{9 - n}\n")
    value, scores = scored(images / "pred", images / "set")
    assert value["ap50", "glioma"] == value["ap50", "other"] == 1 and value["iou", ""] == pytest.approx(1)
    assert scores.complete
    texts = sorted((images / "pred/labels").iterdir())
    assert scored(texts, images / "set")[0] == pytest.approx(value, nan_ok=True)
    from mrilib.evaluation import submissions

    found = submissions.of_bytes("".join(f"{path}\n" for path in texts).encode(), "standard input")
    assert scored(found, images / "set")[0] == pytest.approx(value, nan_ok=True)
    written(images / "pred/labels/scan b.txt", "0 0.2 0.3 0.2 0.4\n")
    with caplog.at_level(logging.WARNING, "mrilib"):
        scored(images / "pred", images / "set")
    assert "1 boxes have no score and count as equally sure" in caplog.text
    for lines, what in (("0 0.2 0.3 0.2\n", "line 1: is no line `class cx cy w h score`"),
                        ("0 40 30 40 40 .9\n", "a box of YOLO lies in 0 to 1"),
                        ("2 .2 .3 .2 .4 .9\n", "line 1: class 2 has no name in")):
        written(images / "pred/labels/scan b.txt", lines)
        with pytest.raises(UsageError) as error:
            scored(images / "pred", images / "set")
        assert what in str(error.value)
    written(images / "pred/labels/scan b.txt", "0 .2 .3 .2 .4 .9\n")
    written(images / "pred/labels/gone.txt", "0 .2 .3 .2 .4 .9\n")
    with pytest.raises(UsageError, match="of no case in the reference: .*labels/gone"):
        scored(images / "pred", images / "set")


def test_results_come_down_a_pipe(images):
    import subprocess

    coco_reference(images, kinds=("glioma",))
    done = subprocess.run([BIN / "mri-score", "-r", "set", "--resamples", "100"], cwd=images,
                          input=json.dumps([entry(11), entry(12), entry(13)]), capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0 and "ap50,,1," in done.stdout, done.stderr
