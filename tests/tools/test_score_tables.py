"""mri-score of several tables of classes or of boxes, and --check of them, as their users run them."""

import csv
import io
import json
import subprocess

import numpy as np
import pytest
from forked import BIN

TEAMS = ("anna", "bela", "cleo", "dora", "emil")


def score(*arguments, cwd=None):
    return subprocess.run([BIN / "mri-score", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, cwd=cwd, timeout=120)


def rows(done):
    assert done.returncode in (0, 1), done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def board(table, metric):
    return {row["submission"]: row for row in table if row["metric"] == metric}


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Forty cases, and five tables: one good, one with a case missing, one with a stranger's case, one with an unknown
    class, one with a row that is none; each worse than the one before."""
    root = tmp_path_factory.mktemp("classes")
    (root / "t.csv").write_text("file,class\n" + "".join(f"c{i}.png,{['no', 'yes'][i % 2]}\n" for i in range(40)))
    noise = np.random.default_rng(0).normal(size=40)
    for j, team in enumerate(TEAMS):
        p = 1 / (1 + np.exp(-(2 * (np.arange(40) % 2) - 1) * 2 + 1.2 * j * noise))
        lines = [f"c{i},{'yes' if v > 0.5 else 'no'},{1 - v:.6f},{v:.6f}" for i, v in enumerate(p)]
        if team == "bela":
            del lines[6]
        elif team == "cleo":
            lines.append("stranger,yes,0.1,0.9")
        elif team == "emil":
            lines[7] = "c7,yes,0.1,1.9"
        head = "case,class,p_no,p_yes"
        if team == "dora":
            head, lines = f"{head},p_cat", [f"{line},0" for line in lines]
            lines[8] = "c8,cat,0,0,1"
        (root / f"{team}.csv").write_text("\n".join([head, *lines]) + "\n")
    return root


FAULTS = ("cases have no prediction", "cleo: 1 predictions are of no case in the reference: stranger",
          "dora: 1 predictions are of class cat, which the reference does not have (its own: no yes): c8",
          "emil: emil.csv, line 9: p_yes is '1.9', not a probability")


def test_tables_of_classes_are_ranked_by_their_metrics_on_the_same_resamples(classes):
    done = score(*(f"{team}.csv" for team in TEAMS[::-1]), "-r", "t.csv", "--resamples", 500, cwd=classes)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for line in (*FAULTS[1:], "each of the 5 is a submission of its own",
                 *(f"{n}: 1 cases have no prediction and are counted as wrong: c{i}" for n, i in
                   (("bela", 6), ("dora", 8), ("emil", 7)))):
        assert sum(line in said for said in done.stderr.splitlines()) == 1, (line, done.stderr)
    table = rows(done)
    assert [row["submission"] for row in table if row["metric"] == "place"] == list(TEAMS)
    assert {n: row["missing"] for n, row in board(table, "place").items()} == dict(zip(TEAMS, "01011", strict=True))
    assert "ranked by accuracy, roc_auc" in table[-1]["rules"]
    accuracy = {n: float(row["value"]) for n, row in board(table, "accuracy").items()}
    assert sorted(accuracy.values(), reverse=True) == list(accuracy.values())[::-1] and accuracy["anna"] == 100
    tests = {(r["submission"], r["against"]): r for r in table if r["metric"] == "p accuracy"}
    assert len(tests) == 10
    worst = tests["emil", "anna"]
    assert float(worst["high"]) == pytest.approx(accuracy["emil"] - accuracy["anna"], abs=1e-3)
    assert float(worst["low"]) <= float(worst["value"]) < 0.05
    alone = rows(score("anna.csv", "-r", "t.csv", "--resamples", 500, cwd=classes))
    alone = {row["metric"]: row["value"] for row in alone}
    assert all(row["value"] == alone[row["metric"]] for row in table if row["submission"] == "anna"
               and row["metric"] in ("accuracy", "roc_auc", "brier"))


def test_ranked_by_what_is_asked_for_with_json_cases_and_limits(classes):
    done = score("anna.csv", "cleo.csv", "-r", "t.csv", "--rank-by", "log_loss,f1", "--json", "--per-case", "each.csv",
                 "--fail-under", "accuracy=99", "-q", cwd=classes)
    found = json.loads(done.stdout)
    places = [row for row in found["leaderboard"] if row["metric"] == "place"]
    assert [row["submission"] for row in places] == ["anna", "cleo"] and "by log_loss, f1" in places[0]["rules"]
    assert found["submissions"]["cleo"] == {"missing": [], "seen": {}}
    assert "cleo: accuracy is" in done.stderr and "anna: accuracy" not in done.stderr
    each = list(csv.DictReader((classes / "each.csv").open()))
    assert {row["submission"] for row in each} == {"anna", "cleo"} and len(each) == 80
    drawn = subprocess.run([BIN / "mri-view", "each.csv", "-o", "each.png"], cwd=classes, capture_output=True,
                           text=True, timeout=60)
    assert drawn.returncode == 0 and "3 charts" in drawn.stderr  # a confusion matrix each, and one ROC
    for options, said in ((("anna.csv", "--rank-by", "brier"), "--rank-by has no effect with one submission"),
                          (("anna.csv", "cleo.csv", "--rank-by", "speed"), "--rank-by speed: is not among the metrics"),
                          (("anna.csv", "cleo.csv", "--rank-by", "roc_auc_macro"), "is for three classes and more")):
        wrong = score(*options, "-r", "t.csv", cwd=classes)
        assert wrong.returncode == 2 and said in wrong.stderr, wrong.stderr


def test_check_of_tables_of_classes(classes):
    done = score("--check", *(f"{team}.csv" for team in TEAMS), "--like", "t.csv", cwd=classes)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{n}: {k} of 40 predictions are well formed"
                                        for n, k in zip(TEAMS, (40, 39, 40, 39, 39), strict=True)]
    for line in FAULTS:
        assert line in done.stderr
    for wrong, said in ((("--rank-by", "accuracy"), "--rank-by has no effect with --check"),
                        (("--scheme", "binary"), "--scheme has no effect with classes")):
        done = score("--check", "anna.csv", "--like", "t.csv", *wrong, cwd=classes)
        assert done.returncode == 2 and said in done.stderr
    (classes / "teams").mkdir()
    (classes / "teams/anna.csv").write_bytes((classes / "anna.csv").read_bytes())
    done = score("--check", "teams", "--like", "t.csv", cwd=classes)
    assert done.returncode == 1 and "is a table, in a folder that is taken for label maps (name" in done.stderr
    good = score("--check", "anna.csv", "--like", "t.csv", cwd=classes)
    assert (good.returncode, good.stdout) == (0, "predictions: 40 of 40 predictions are well formed\n"), good.stderr


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Twenty images of 80 x 60 pixels with a box each, and four tables whose boxes are ever farther off."""
    from PIL import Image as Picture

    root = tmp_path_factory.mktemp("boxes")
    rng = np.random.default_rng(0)
    true = [(x, y, x + 20, y + 15) for x, y in rng.integers(20, 30, (20, 2)).tolist()]
    (root / "t.csv").write_text("file,x0,y0,x1,y1,class\n" + "".join(
        f"s{i}.png,{','.join(map(str, box))},t\n" for i, box in enumerate(true)))
    for i in range(20):
        Picture.new("L", (80, 60)).save(root / f"s{i}.png")
    for j, team in enumerate(TEAMS[:4]):
        away = rng.normal(0, 1.5 * j + 0.2, (20, 4))
        lines = [f"s{i},{','.join(f'{v:.2f}' for v in np.array(box) + a)},t,0.{rng.integers(10, 99)}"
                 for i, (box, a) in enumerate(zip(true, away, strict=True))]
        if team == "bela":
            del lines[4]
        elif team == "cleo":
            lines[5] = "s5,30,20,94,35,t,0.9"
        elif team == "dora":
            lines[6] = "s6,30,20,64,nan,t,0.9"
            lines.append("stranger,1,1,5,5,t,0.5")
        (root / f"{team}.csv").write_text("case,x0,y0,x1,y1,class,score\n" + "\n".join(lines) + "\n")
    return root


def test_tables_of_boxes_are_ranked(boxes):
    done = score(*(f"{team}.csv" for team in TEAMS[3::-1]), "-r", "t.csv", "--rank-by", "ap,iou", "--resamples",
                 300, cwd=boxes)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    table = rows(done)
    assert [row["submission"] for row in table if row["metric"] == "place"] == list(TEAMS[:4])
    assert {n: row["missing"] for n, row in board(table, "place").items()} == dict(zip(TEAMS, "0101", strict=False))
    assert "dora: dora.csv, line 8: x0 y0 x1 y1 score are not all numbers" in done.stderr
    assert float(board(table, "sensitivity_at_8")["anna"]["value"]) == 1
    tests = {(r["metric"], r["submission"], r["against"]): float(r["value"]) for r in table if r["against"]}
    assert len(tests) == 12 and tests["p iou", "dora", "anna"] < 0.01
    froc = subprocess.run([BIN / "mri-view", "-o", "froc.png"], input=done.stdout, cwd=boxes, capture_output=True,
                          text=True, timeout=60)
    assert (froc.returncode, froc.stdout) == (0, "froc.png\n") and "1 chart" in froc.stderr, froc.stderr


def test_check_of_tables_of_boxes(boxes):
    done = score("--check", *(f"{team}.csv" for team in TEAMS[:4]), "--like", "t.csv", cwd=boxes)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{n}: {k} of 20 predictions are well formed"
                                        for n, k in zip(TEAMS, (20, 19, 19, 19), strict=False)]
    for said in ("bela: 1 cases have no prediction: s4",
                 "cleo: s5: a box reaches out of the image: 30,20,94,35 of 80 x 60 pixels",
                 "dora.csv, line 8: x0 y0", "dora: 1 predictions are of no case in the reference: stranger"):
        assert sum(said in line for line in done.stderr.splitlines()) == 1, said
