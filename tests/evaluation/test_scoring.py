"""Scoring as a function of the library, with the scorers of the tasks and one of a task that is not in the suite."""

import csv
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk
from forked import BIN

import mrilib as mri
from mrilib import tasks
from mrilib.errors import UsageError
from mrilib.evaluation.scorer import Scorer
from mrilib.evaluation.settings import BoxSettings
from mrilib.evaluation.submissions import Tables
from mrilib.tasks import scoring
from mrilib.tasks.scoring import score


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Six cases with a tumour of 4 x 4 x 4 voxels, and predictions of 4 x 4 x 3."""
    root = tmp_path_factory.mktemp("scoring")
    for i in range(6):
        label = np.zeros((8, 10, 12), np.uint8)
        label[2:6, 3:7, 1 + i : 5 + i] = 1
        save(root / f"truth/p{i}/p{i}_t1.nii.gz", np.zeros(label.shape, np.int16))
        save(root / f"truth/p{i}/p{i}_seg.nii.gz", label)
        label[5] = 0
        save(root / f"pred/p{i}.nii.gz", label)
    return root


def test_label_maps_as_the_executable_scores_them(maps):
    scores = mri.score(maps / "pred", reference=str(maps / "truth"), level=90, tolerance=(1, 2), jobs=1)
    done = subprocess.run([BIN / "mri-score", "pred", "-r", "truth", "--level", "90", "--tolerance", "1", "--tolerance",
                           "2"], cwd=maps, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and scores.csv() == done.stdout and scores.complete
    assert "0.857" in str(scores) and "\x1b" not in str(scores) and "object at" not in repr(scores)
    row = next(row for row in scores if row["metric"] == "dice")
    assert row["value"] == pytest.approx(2 * 48 / (48 + 64)) == scores.value("dice", "tumour")
    assert row["n"] == 6 and row["level"] == 90 and len(scores) == len(scores.rows) and scores[0] in scores.rows
    assert {"nsd_1mm", "nsd_2mm"} <= {row["metric"] for row in scores}


def test_names_of_files_an_executor_and_progress(maps):
    steps = []

    class Progress:
        def __init__(self, label, total=None, unit="case"):
            steps.append((label, total))

        def __enter__(self):
            return self

        def step(self, n=1):
            steps.append(n)

        def __exit__(self, *_):
            pass

    files = sorted((maps / "pred").iterdir())
    with ThreadPoolExecutor(2) as executor:
        scores = score([str(path) for path in files[:5]], maps / "truth", jobs=executor, progress=Progress,
                       region={"half": (1,)}, metrics=("dice",), allow_missing=True)
    assert steps == [("score", 6), 1, 1, 1, 1, 1, 1]
    assert [row["part"] for row in scores] == ["half"] and scores[0]["missing"] == 1 and scores.complete
    assert not score(files[:5], maps / "truth", metrics=("dice",), jobs=1).complete


def test_the_reference_is_not_changed(maps):
    from mrilib.evaluation import reference

    found = reference.read(maps / "truth")
    (maps / "more").mkdir(exist_ok=True)
    assert reference.with_label_maps(found).chosen == found.chosen and not found.itself
    alone = reference.read(maps / "pred")
    assert reference.with_label_maps(alone).itself and not alone.itself


def test_a_scheme_that_only_the_last_label_map_tells(tmp_path, caplog):
    """The values of the first label map are those of binary, of the second brats2020, of the third neither."""
    for n, (values, parts) in enumerate([((1, 1, 1), {"tumour"}), ((1, 4, 2), {"WT", "TC", "ET"}),
                                         ((1, 4, 3), {"1", "3", "4"})]):
        for i, value in enumerate(values):
            label = np.zeros((6, 6, 6), np.uint8)
            label[1:4], label[4] = 1, value
            save(tmp_path / f"{n}/truth/p{i}.nii.gz", label)
            save(tmp_path / f"{n}/pred/p{i}.nii.gz", label[::-1].copy())
        with caplog.at_level("INFO", "mrilib"):
            scores = score(tmp_path / f"{n}/pred", tmp_path / f"{n}/truth", jobs=1)
        assert {row["part"] for row in scores} == parts and scores[0]["n"] == 3 and scores.complete
        assert sum("by the numbers" in text for text in caplog.messages) == 1
        caplog.clear()
    with pytest.raises(UsageError, match="label 7 is not in scheme"):
        score(tmp_path / "1/pred", tmp_path / "1/truth", jobs=1, region={"x": (7,)})
    assert score(tmp_path / "1/pred", tmp_path / "1/truth", jobs=1, region=("x=2+4",)).value("dice", "x") < 1


def test_a_dataset_json_beside_label_maps_alone_tells_their_scheme(tmp_path):
    label = np.zeros((6, 6, 6), np.uint8)
    label[2:4], label[4:] = 1, 9
    for i in range(2):
        save(tmp_path / f"raw/labelsTr/p{i}.nii.gz", label)
        save(tmp_path / f"pred/p{i}.nii.gz", (label == 1).astype(np.uint8))
    (tmp_path / "raw/dataset.json").write_text('{"labels": {"background": 0, "cyst": 1, "ignore": 9}}')
    scores = score(tmp_path / "pred", tmp_path / "raw/labelsTr", jobs=1, metrics=("dice", "specificity"))
    assert scores.value("dice", "cyst") == scores.value("specificity", "cyst") == 1
    assert "1=cyst,9=ignore" in scores[0]["rules"]


def test_classes_from_rows_and_settings_that_do_not_suit(tmp_path):
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"p{i}.png,{('no', 'yes')[i % 2]}\n" for i in range(8)))
    rows = [{"case": f"p{i}", "class": "yes" if i > 3 else "no", "seen": None} for i in range(8)]
    scores = score(rows, tmp_path / "t.csv", seed=3, fail_under=("accuracy=60",))
    assert scores.value("accuracy") == 50 and scores.failed == ["accuracy is 50, under 60"]
    assert scores.value("sensitivity", "yes") == 0.5
    for settings, said in (({"hd95": "pooled"}, "--hd95 has no effect with classes"),
                           ({"level": "high"}, "level: 'high'"), ({"levels": 3}, "unknown setting"),
                           ({"resamples": 5}, "resamples: 5 must be 100 or more"),
                           ({"rank_by": ("accuracy",)}, "no effect with one submission"),
                           ({"jobs": 2}, "--jobs has no effect with classes"),
                           ({"positive": "maybe"}, "--positive maybe is none of the classes")):
        with pytest.raises(UsageError, match=said):
            score(rows, tmp_path / "t.csv", **settings)
    with pytest.raises(UsageError, match="has no column that tells what is predicted"):
        score([{"case": "p0", "p": 1}], tmp_path / "t.csv")


@pytest.mark.parametrize(("settings", "said"), [
    ({"lesion_connectivity": 7}, "must be 6, 18 or 26"), ({"region": ("TC",)}, "is not NAME=1"),
    ({"metrics": ("speed",)}, "unknown metric"), ({"empty": "maybe"}, "unknown empty 'maybe'"),
    ({"tolerance": (-1,)}, "tolerance: -1 must be 0 or more"), ({"scheme": "brats1999"}, "unknown label scheme"),
])  # fmt: skip
def test_wrong_settings_of_label_maps_are_named(maps, settings, said):
    with pytest.raises(UsageError, match=said):
        score(maps / "pred", maps / "truth", jobs=1, **settings)


class Ages(Scorer):
    """The score of a task that is not in the suite: the age of a person, in a CSV case,age."""

    KIND, METRICS, LOWER, EXAMPLE = "ages", ("mae", "bias"), frozenset({"mae"}), "mae=5"

    @classmethod
    def takes(cls, submission):
        return isinstance(submission, Tables) and "age" in submission.columns

    def value(self, row):
        return float(row["age"])

    def match(self, entry, reference):
        return {case.id: entry.predictions.of.get(entry.pairs.get(case.id), 0.0) - float(case.class_name)
                for case in reference.scored}

    def measures(self, entry, names):
        error = np.array([entry.predictions[name] for name in names])
        return lambda weights: {"mae": weights @ abs(error) / weights.sum(1), "bias": weights @ error / weights.sum(1)}

    def better(self, metric):
        return 0 if metric == "bias" else super().better(metric)

    def case_row(self, entry, name):
        return {"case": name, "error": f"{entry.predictions[name]:g}"}


class Age(tasks.Task):
    name, title, scorer = "age", "the age of a person", f"{__name__}:Ages"


@pytest.fixture
def ages(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Ages.__module__])
    monkeypatch.setitem(tasks.TASKS, "age", f"{__name__}:Age")
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"p{i}.png,{50 + i}\n" for i in range(10)))
    for name, off in (("one", 2), ("two", -3)):
        (tmp_path / f"{name}.csv").write_text("case,age,seen\n" + "".join(
            f"p{i},{50 + i + off * (i % 2)},{'train' if i == 0 else ''}\n" for i in range(10)))
    return tmp_path


def test_a_task_of_ones_own_is_scored_as_the_others(ages):
    scores = score(ages / "one.csv", ages / "t.csv")
    assert scores.value("mae") == 1 and scores.value("bias") == 1
    assert scores.value("mae", cases="unseen") == pytest.approx(10 / 9)
    assert scores[0]["low"] < 1 < scores[0]["high"]
    rows = list(csv.DictReader(io.StringIO(scores.per_case())))
    assert rows[1] == {"case": "p1", "error": "2", "seen": ""} and "mae" in scores.text()
    ranked = score([ages / "one.csv", ages / "two.csv"], ages / "t.csv")
    assert [row["submission"] for row in ranked.leaderboard if row["metric"] == "place"] == ["one", "two"]
    (ages / "bad.csv").write_text("case,age\np0,young\n")
    with pytest.raises(UsageError, match="bad.csv, line 2: cannot be read"):
        score(ages / "bad.csv", ages / "t.csv")


def test_every_task_names_a_scorer_with_its_settings():
    for task in tasks.every():
        scorer = next(one for one in scoring.scorers() if f"{one.__module__}:{one.__name__}" == task.scorer)
        assert scorer.settings is task.scoring
    assert {one.settings for one in scoring.scorers()} >= {BoxSettings}
