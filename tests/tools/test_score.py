"""mri-score as its user runs it."""

import csv
import io
import json
import os
import resource
import subprocess

import numpy as np
import pytest
from forked import BIN, INSTALLED

HEAD = "case,class,p_no,p_yes,seen\n"


def score(*arguments, given="", cwd=None, out=subprocess.PIPE):
    return subprocess.run([BIN / "mri-score", *map(str, arguments)], input=given, stdout=out, stderr=subprocess.PIPE,
                          text=True, cwd=cwd, timeout=120)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def rows_of(done, cases="all"):
    """{(metric, class): row} of the table printed."""
    assert done.returncode in (0, 1), done.stderr
    return {(r["metric"], r["class"]): r for r in rows(done.stdout) if r["cases"] == cases}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Sixty files that are never opened, in two class folders, and a split in which three always stay together."""
    folder = tmp_path_factory.mktemp("score") / "truth"
    for i in range(60):
        path = folder / ("yes" if i % 3 else "no") / f"{i} a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    lines = [f"{'yes' if i % 3 else 'no'}/{i} a,,g{i // 3},{i // 3 % 2},train" for i in range(60)]
    (folder.parent / "split.csv").write_text("case,subject,group,fold,part\n" + "\n".join(lines) + "\n")
    return folder


def predictions(wrong=(0, 1, 2, 30, 40), leave=(), seen=(), only=range(60)):
    """A table in which the cases of `wrong` are called wrongly."""
    lines = []
    for i in only:
        if i in leave:
            continue
        is_yes = (i % 3 != 0) != (i in wrong)
        p = 0.8 + i / 1000 if is_yes else 0.2 + i / 1000
        lines.append(f"{'yes' if i % 3 else 'no'}/{i} a,{'yes' if is_yes else 'no'},{1 - p:.6f},{p:.6f},"
                     f"{'train' if i in seen else ''}\n")
    return HEAD + "".join(lines)


def test_the_metrics_of_a_pipe(truth):
    from sklearn import metrics

    done = score("--reference", truth, given=predictions())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "metric,class,value,low,high,unit,n,cases,level,resamples,seed,resampled"
    found = rows_of(done)
    accuracy = found["accuracy", ""]
    assert float(accuracy["value"]) == pytest.approx(100 * 55 / 60, abs=1e-3) and accuracy["unit"] == "%"
    assert 75 < float(accuracy["low"]) < 91 < float(accuracy["high"]) < 100
    assert (accuracy["n"], accuracy["level"], accuracy["resamples"], accuracy["seed"], accuracy["resampled"]) == (
        "60", "95", "2000", "0", "case")
    y = np.array([i % 3 != 0 for i in range(60)])
    p = np.array([float(r["p_yes"]) for r in rows(predictions())])
    assert float(found["roc_auc", "yes"]["value"]) == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-5)
    assert float(found["sensitivity", "yes"]["value"]) == pytest.approx(37 / 40)
    assert float(found["specificity", "yes"]["value"]) == pytest.approx(18 / 20)
    assert ("sensitivity", "no") not in found
    counts = {(called, true): found[f"predicted {called}", true]["value"] for called in ("no", "yes")
              for true in ("no", "yes")}
    assert counts == {("no", "no"): "18", ("yes", "no"): "2", ("no", "yes"): "3", ("yes", "yes"): "37"}


def test_intervals_follow_the_options(truth):
    plain = rows_of(score("-r", truth, given=predictions()))["accuracy", ""]
    split = ("--split", truth.parent / "split.csv")
    grouped = rows_of(score("-r", truth, *split, given=predictions()))["accuracy", ""]
    assert grouped["resampled"] == "group" and grouped["value"] == plain["value"] and grouped["low"] != plain["low"]
    narrow = rows_of(score("-r", truth, "--level", 50, given=predictions()))["accuracy", ""]
    assert float(plain["low"]) < float(narrow["low"]) < float(narrow["high"]) < float(plain["high"])
    few = rows_of(score("-r", truth, "--resamples", 100, "--seed", 3, given=predictions()))["log_loss", ""]
    many = rows_of(score("-r", truth, given=predictions()))["log_loss", ""]
    assert few["resamples"] == "100" and few["seed"] == "3" and few["low"] != many["low"]
    perfect = rows_of(score("-r", truth, given=predictions(wrong=())))
    assert float(perfect["accuracy", ""]["low"]) == pytest.approx(93.98, abs=0.01)  # Wilson's for 60 of 60
    assert float(perfect["specificity", "yes"]["low"]) == pytest.approx(0.8389, abs=1e-4)  # and for 20 of 20
    assert perfect["roc_auc", "yes"]["low"] == ""


def test_missing_cases_are_wrong_and_named_or_left_out(truth):
    done = score("-r", truth, given=predictions(leave=(3, 4)))
    assert done.returncode == 1
    assert "2 cases have no prediction and are counted as wrong: no/3 a, yes/4 a" in done.stderr
    found = rows_of(done)
    assert float(found["accuracy", ""]["value"]) == pytest.approx(100 * 53 / 60, abs=1e-3)
    assert found["predicted nothing", "no"]["value"] == found["predicted nothing", "yes"]["value"] == "1"
    done = score("-r", truth, "--allow-missing", given=predictions(leave=(3, 4)))
    assert done.returncode == 0 and "are left out" in done.stderr
    assert rows_of(done)["accuracy", ""]["n"] == "58"


def test_seen_cases_are_counted_and_the_metrics_given_without_them(truth):
    done = score("-r", truth, given=predictions(seen=range(30)))
    assert "the model saw 30 of the 60 cases (30 in training, 0 in validation): metrics without them" in done.stderr
    assert float(rows_of(done)["accuracy", ""]["value"]) == pytest.approx(91.6667, abs=1e-3)
    assert float(rows_of(done, "unseen")["accuracy", ""]["value"]) == pytest.approx(100 * 28 / 30, abs=1e-3)
    done = score("-r", truth, given=predictions(seen=range(60)))
    assert "these metrics say little" in done.stderr and rows_of(done, "unseen") == {}


def test_a_model_tells_which_cases_it_saw(truth, tmp_path):
    import h5py

    (tmp_path / "in/yes").mkdir(parents=True)
    (tmp_path / "in/no").mkdir()
    for i in range(8):
        (tmp_path / f"in/{'yes' if i % 2 else 'no'}/{i}.png").write_text(f"content {i}")
    from mrilib.store import content_hash

    seen = {f"x{i}": {"content": content_hash([tmp_path / f"in/{'yes' if i % 2 else 'no'}/{i}.png"]), "part": part}
            for i, part in ((0, "train"), (5, "validation"))}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["mri"] = json.dumps({"format": 1, "task": "classify", "training": {"cases": seen}})
    table = HEAD + "".join(f"{'yes' if i % 2 else 'no'}/{i},yes,0.3,0.7,\n" for i in range(8))
    done = score("-r", "in", "-m", "m.h5", "--json", given=table, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seen"] == {"no/0": "train", "yes/5": "validation"}
    assert "(1 in training, 1 in validation)" in done.stderr


def test_tables_of_folds_and_a_fold_of_a_table(truth, tmp_path):
    by_fold = [[i for i in range(60) if i // 3 % 2 == fold] for fold in (0, 1)]
    for fold, only in enumerate(by_fold):
        (tmp_path / f"fold{fold}.csv").write_text(predictions(only=only))
    whole = score("-r", truth, given=predictions()).stdout
    assert score("-r", truth, "fold0.csv", "fold1.csv", cwd=tmp_path).stdout == whole
    assert score("-r", truth, given=predictions(only=by_fold[0]) + predictions(only=by_fold[1])).stdout == whole
    split = ("--split", truth.parent / "split.csv")
    one = score("-r", truth, *split, "--fold", 1, tmp_path / "fold1.csv")
    assert one.returncode == 0 and rows_of(one)["accuracy", ""]["n"] == "30" and one.stderr == ""
    same = score("-r", truth, *split, "--fold", 1, given=predictions())
    assert same.stdout == one.stdout and "30 predictions are of cases that are not to be scored" in same.stderr
    part = score("-r", truth, "--split", "p.csv", "--part", "validation", given=predictions(), cwd=tmp_path)
    assert part.returncode == 2
    (tmp_path / "p.csv").write_text(
        "case,part\nno/0 a,test\nyes/1 a,validation\nyes/2 a,validation\nno/3 a,validation\n")
    part = score("-r", truth, "--split", "p.csv", "--part", "validation", given=predictions(), cwd=tmp_path)
    assert rows_of(part)["accuracy", ""]["n"] == "3" and "56 cases of the reference are not in the split" in part.stderr


def test_the_reference_may_be_prepared_or_a_table(truth, tmp_path):
    from PIL import Image as Picture

    for i in range(6):
        path = tmp_path / f"raw/{'yes' if i % 2 else 'no'}/{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.random.default_rng(i).integers(0, 255, (20, 20), np.uint8)).save(path)
    subprocess.run([BIN / "mri-normalize", tmp_path / "raw", "-o", tmp_path / "made", "-q"], check=True,
                   capture_output=True)
    names = [f"{'yes' if i % 2 else 'no'}/{i}" for i in range(6)]
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"{n}.png,{n.split('/')[0]}\n" for n in names))
    table = "case,class\n" + "".join(f"{n},yes\n" for n in names)
    texts = {score("-r", tmp_path / r, given=table).stdout for r in ("raw", "made", "t.csv")}
    short = score("-r", tmp_path / "raw", given=table.replace("yes/", "").replace("no/", ""))
    assert len(texts | {short.stdout}) == 1 and rows_of(short)["accuracy", ""]["value"] == "50"
    assert ("log_loss", "") not in rows_of(short)


def test_outputs(truth, tmp_path):
    done = score("-r", truth, "-o", "s.csv", "--per-case", "cases.csv", given=predictions(leave=[7]), cwd=tmp_path)
    assert done.stdout == "" and rows((tmp_path / "s.csv").read_text())[0]["metric"] == "accuracy"
    each = {r["case"]: r for r in rows((tmp_path / "cases.csv").read_text())}
    assert each["no/0 a"] == {"case": "no/0 a", "reference": "no", "prediction": "yes", "correct": "0",
                              "p_no": "0.200000", "p_yes": "0.800000", "seen": ""}
    assert (each["yes/7 a"]["prediction"], each["yes/7 a"]["p_yes"], each["yes/7 a"]["correct"]) == ("", "", "0")
    found = json.loads(score("-r", truth, "--json", given=predictions(leave=[7])).stdout)
    assert found["missing"] == ["yes/7 a"] and found["figures"][0]["metric"] == "accuracy"
    done = score("-r", truth, given=predictions(), out=open("/dev/full", "w"))  # noqa: SIM115  closed with the process
    assert done.returncode == 3 and "standard output: cannot write" in done.stderr


def test_a_person_gets_a_table(truth, tmp_path):
    import pty

    (tmp_path / "p.csv").write_text(predictions())
    leader, follower = pty.openpty()
    ran = subprocess.Popen([INSTALLED / "mri-score", tmp_path / "p.csv", "-r", truth], stdout=follower, stdin=follower,
                           env={**os.environ, "NO_COLOR": "1"})
    os.close(follower)
    said = b""
    try:
        while block := os.read(leader, 4096):
            said += block
    except OSError:  # the other end is closed
        pass
    assert ran.wait() == 0
    text = said.decode()
    assert "91.7 %" in text and "balanced accuracy" in text and "BCa bootstrap" in text and "true class" in text
    assert "\x1b" not in text


def test_limits_and_the_class_to_be_found(truth):
    assert score("-r", truth, "--fail-under", "accuracy=91", given=predictions()).returncode == 0
    done = score("-r", truth, "--fail-under", "accuracy=92", "--fail-under", "f1=0.99", given=predictions())
    assert done.returncode == 1
    assert "accuracy is 91.6667, under 92" in done.stderr and "f1 of yes is 0.936709, under 0.99" in done.stderr
    assert ("sensitivity", "no") in rows_of(score("-r", truth, "--positive", "no", given=predictions()))


def test_classes_without_a_plain_positive_and_three_of_them(tmp_path):
    (tmp_path / "two.csv").write_text("file,class\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(20)))
    table = "case,class\n" + "".join(f"{i},{'ab'[i % 3 % 2]}\n" for i in range(20))
    done = score("-r", tmp_path / "two.csv", given=table)
    assert "neither a nor b is plainly the positive class" in done.stderr
    assert {c for m, c in rows_of(done) if m == "f1"} == {"a", "b"}
    (tmp_path / "three.csv").write_text("file,class\n" + "".join(f"{i}.png,{'abc'[i % 3]}\n" for i in range(21)))
    table = "case,class,p_a,p_b,p_c\n" + "".join(
        f"{i},{'abc'[i % 3]},{','.join('0.5' if j == i % 3 else '0.25' for j in range(3))}\n" for i in range(21))
    done = score("-r", tmp_path / "three.csv", given=table)
    assert done.stderr == "" and float(rows_of(done)["roc_auc_macro", ""]["value"]) == 1
    assert {c for m, c in rows_of(done) if m == "roc_auc"} == {"a", "b", "c"}


@pytest.mark.parametrize(("options", "given", "code", "said"), [
    (["-r", "TRUTH"], "", 1, "standard input: nothing to do"),
    (["-r", "nowhere"], HEAD, 2, "nowhere: no such file"),
    (["-r", "TRUTH", "nowhere.csv"], "", 2, "nowhere.csv: cannot be read"),
    (["-r", "TRUTH", "TRUTH"], "", 2, "the file is empty"),
    (["-r", "TRUTH"], "/some/path.tif\n", 2, "/some/path.tif: no such file"),
    (["-r", "TRUTH"], HEAD + "no/0 a,no,1,0,\nno/x,no,1,0,\nno/y,no,1,0,\n", 2,
     "2 predictions are of no case in the reference: no/x, no/y"),
    (["-r", "TRUTH"], HEAD + "no/0 a,no,1,0,\nno/0 a,no,1,0,\n", 2, "line 3: names no/0 a a second time"),
    (["-r", "TRUTH"], HEAD + "no/0 a,no,nan,0,\n", 2, "line 2: p_no is 'nan', not a probability"),
    (["-r", "TRUTH"], "case,class\nno/0 a,cat\n", 2, "the classes predicted (cat) are none of the reference's"),
    (["-r", "TRUTH", "--fold", "1"], HEAD, 2, "--fold has no effect without --split"),
    (["-r", "TRUTH", "--split", "SPLIT"], HEAD + "no/0 a,no,1,0,\n", 1, "59 cases have no prediction"),
    (["-r", "TRUTH", "--split", "SPLIT", "--fold", "7"], HEAD, 2, "fold 7 is not in the split"),
    (["-r", "TRUTH", "--split", "SPLIT", "--part", "test"], HEAD, 2, "choose one with --fold"),
    (["-r", "TRUTH", "--split", "SPLIT", "--fold", "1", "--part", "train"], HEAD, 2, "--part train has no effect"),
    (["-r", "TRUTH/no", "--split", "SPLIT"], HEAD, 2, "which the reference lacks"),
    (["-r", "TRUTH", "--allow-missing"], HEAD, 2, "no case is left to score"),
    (["-r", "TRUTH", "--fail-under", "speed=3"], HEAD, 2, "unknown metric"),
    (["-r", "TRUTH", "--fail-under", "accuracy"], HEAD, 2, "not METRIC=VALUE"),
    (["-r", "TRUTH", "--fail-under", "brier=1"], "case,class\nno/0 a,no\n", 2, "needs probabilities"),
    (["-r", "TRUTH", "--fail-under", "roc_auc_macro=1"], HEAD + "no/0 a,no,1,0,\n", 2, "three classes and more"),
    (["-r", "TRUTH", "--positive", "cat"], HEAD + "no/0 a,no,1,0,\n", 2, "--positive cat is none of the classes"),
    (["-r", "TRUTH", "-m", "nowhere.h5"], HEAD + "no/0 a,no,1,0,\n", None, "nowhere.h5"),
    ([], HEAD, 2, "Missing option"),
])  # fmt: skip
def test_wrong_use(truth, options, given, code, said, tmp_path):
    places = {"TRUTH": str(truth), "SPLIT": str(truth.parent / "split.csv")}
    filled = [o.replace("TRUTH", places["TRUTH"]).replace("SPLIT", places["SPLIT"]) for o in options]
    done = score(*filled, given=given, cwd=tmp_path)
    assert done.returncode == code or (code is None and done.returncode), done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert (done.stdout == "") == (said != "59 cases have no prediction")


def test_five_thousand_rows_within_seconds(tmp_path):
    rng = np.random.default_rng(0)
    is_yes = rng.random(5000) < 0.5
    p = np.clip(0.3 + 0.4 * is_yes + rng.normal(0, 0.3, 5000), 0, 1)
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"{i}.png,{'yes' if y else 'no'}\n"
                                                             for i, y in enumerate(is_yes)))
    (tmp_path / "p.csv").write_text(HEAD + "".join(f"{i},{'yes' if v > 0.5 else 'no'},{1 - v:.6f},{v:.6f},\n"
                                                   for i, v in enumerate(p)))

    def cpu():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    times = []
    for _ in range(3):
        before = cpu()
        assert score("p.csv", "-r", "t.csv", cwd=tmp_path).returncode == 0
        times.append(cpu() - before)
    assert min(times) <= 2.5  # 1.4 to 2.2 s measured on a loaded machine
