"""The parts that a data set states (train/, test/), as mri-split, mri-train, mri-predict and mri-score use them."""

import csv
import io
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from forked import BIN
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter

from mrilib import splits
from mrilib.cases import Case
from mrilib.errors import UsageError


def head(seed, size=64):
    """A head with an inside of its own, (y, x) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    blobs = gaussian_filter(rng.normal(0, 1, (size, size)), size / 12)
    return (((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1) * (110 + 50 * blobs / blobs.std())).clip(0, 255).astype(np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(array).save(path, **options)


def tool(name, *arguments):
    return subprocess.run([BIN / f"mri-{name}", *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          stdin=subprocess.DEVNULL)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def make(folder, leaks, parts=(("train", 10), ("test", 4))):
    """Two classes of heads in parts; `leaks` of the test heads of each class are training heads, recompressed."""
    for k, kind in enumerate(("astro", "healthy")):
        for p, (part, count) in enumerate(parts):
            for i in range(count):
                copied = part == "test" and i < leaks
                seed = 1000 * k + (i if copied else 100 * p + i)
                save(folder / part / kind / f"{part}{i}.{'jpg' if copied else 'png'}", head(seed),
                     **({"quality": 60} if copied else {}))
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clean") / "set", 0)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    return make(tmp_path_factory.mktemp("leaky") / "set", 2)


def test_split_keeps_a_clean_given_split(clean):
    ran = tool("split", clean)
    assert ran.returncode == 0
    parts = {row["case"]: row["part"] for row in rows(ran.stdout)}
    assert {part for name, part in parts.items() if name.startswith("test/")} == {"test"}
    counts = Counter(parts.values())
    assert counts["test"] == 8 and counts["train"] + counts["validation"] == 20 and counts["validation"] >= 2
    assert "given split: 20 train, 8 test" in ran.stderr and "nothing leaks" in ran.stderr
    assert "which the given split lacks" in ran.stderr
    bare = rows(tool("split", clean, "--validation", "0").stdout)
    assert Counter(row["part"] for row in bare) == {"train": 20, "test": 8}


def test_split_excludes_what_leaks_and_says_so_first(leaky, tmp_path):
    ran = tool("split", leaky, "--validation", "0", "-o", tmp_path / "split.csv")
    assert ran.returncode == 0
    first = ran.stderr.splitlines()
    assert "the given split leaks: 4 of 8 test cases are copies of training cases" in first[0]
    assert any("4 train cases are excluded" in line and "--given ignore" in line for line in first[:3])
    made = splits.read(tmp_path / "split.csv")
    assert Counter(row.part for row in made.values()) == {"train": 16, "test": 8, "excluded": 4}
    assert splits.parts(list(made.values()))["train"] == sorted(
        f"train/{kind}/train{i}" for kind in ("astro", "healthy") for i in range(2, 10))


def test_split_told_otherwise(leaky):
    anew = tool("split", leaky, "--given", "ignore")
    assert "all cases are divided anew, those of the given test part, too" in anew.stderr
    of = {row["case"]: (row["group"], row["part"]) for row in rows(anew.stdout)}
    assert {part for _, part in of.values()} == {"train", "validation", "test"}
    assert any(part != "test" for name, (_, part) in of.items() if name.startswith("test/"))
    folds = tool("split", leaky, "--folds", "3")
    assert "--folds: all cases are divided anew" in folds.stderr and len(rows(folds.stdout)) == 28
    kept = tool("split", leaky, "--folds", "3", "--given", "keep")
    assert Counter(row["part"] for row in rows(kept.stdout))["excluded"] == 4
    more = tool("split", leaky, "--test", "0.2")
    assert more.returncode == 0 and "--test has no effect: the data set states its test part" in more.stderr


def test_a_split_that_leaves_nothing_to_train_on_is_refused(tmp_path):
    make(tmp_path / "set", 3, (("train", 3), ("test", 3)))
    ran = tool("split", tmp_path / "set")
    assert ran.returncode == 2 and "every training case is in a group of the given test" in ran.stderr
    assert "--given ignore" in ran.stderr
    folds = tool("split", tmp_path / "set", "--folds", "2", "--given", "keep")
    assert folds.returncode == 0 and "it is not used: 6 of 6 train cases are copies" in folds.stderr
    assert {row["fold"] for row in rows(folds.stdout)} == {"0", "1"}


def test_train_uses_the_given_parts_and_never_the_test_part(clean, leaky, tmp_path):
    settings = ("--backbone", "lenet", "--epochs", "1", "--device", "cpu")
    plan = tool("train", clean, "--dry-run", *settings)
    told = dict(line.rsplit(" ", 1) for line in plan.stdout.splitlines() if "class=" in line)
    assert {part for name, part in told.items() if name.startswith("train/")} == {"train"}
    assert {line.endswith("left out") for line in plan.stdout.splitlines() if line.startswith("test/")} == {True}
    assert "the given split: 20 cases train, none validate, 8 are left out" in plan.stderr
    assert "leaks" not in plan.stderr
    loud = tool("train", leaky, "--dry-run", *settings)
    assert "the given split leaks: 4 of 8 test cases are copies" in loud.stderr.splitlines()[0]
    assert "mri-split" in loud.stderr.splitlines()[1]


def test_a_given_validation_part_validates(tmp_path):
    folder = make(tmp_path / "set", 0, (("Training", 6), ("valid", 3), ("Test", 3)))
    plan = tool("train", folder, "--dry-run", "--backbone", "lenet")
    assert "12 cases train, 6 validate, 6 are left out" in plan.stderr
    assert {line.rsplit(" ", 1)[1] for line in plan.stdout.splitlines() if line.startswith("valid/")} == {"validation"}
    wrong = tool("train", folder, "--dry-run", "--validation", "0.3")
    assert wrong.returncode == 2 and "--validation has no effect: the data set states" in wrong.stderr


def test_predict_and_score_the_given_test_part(clean, tmp_path):
    model = tmp_path / "m.h5"
    assert tool("train", clean, "--backbone", "lenet", "--epochs", "1", "--device", "cpu", "-o", model).returncode == 0
    ran = tool("predict", "-m", model, clean, "--part", "test", "-o", tmp_path / "p.csv", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    assert [row["case"][:5] for row in rows((tmp_path / "p.csv").read_text())] == ["test/"] * 8
    assert "20 cases of other parts" in ran.stderr
    scores = tool("score", tmp_path / "p.csv", "-r", clean, "--part", "test")
    assert scores.returncode == 0, scores.stderr
    assert {row["n"] for row in rows(scores.stdout) if row["metric"] == "accuracy"} == {"8"}
    none = tool("score", tmp_path / "p.csv", "-r", clean, "--part", "validation")
    assert none.returncode == 2 and "has no case of part validation" in none.stderr


def case(name, part, subject=None, kind="a"):
    return Case(name, Path(), {}, subject=subject, class_name=kind, part=part)


def test_subjects_that_cross_a_given_split_are_counted():
    cases = [case("1", "train", "p1"), case("2", "validation", "p1"), case("3", "test", "p2"), case("4", "train", "p3"),
             case("5", "test", "p3"), case("6", "validation", "p4")]
    group = splits.grouping(cases)
    part_of = splits.given_parts(cases)
    found = splits.leaks(cases, part_of, group)
    assert found.cases == {"1": "validation", "4": "test"}
    assert [line.split(" (")[0] for line in found.lines] == ["1 subject", "1 subject"]
    with pytest.raises(UsageError, match="every training case"):
        splits.make_given(cases, group, part_of)


def test_what_is_no_given_split():
    assert splits.given_parts([case("1", "train"), case("2", "train")]) == {}
    assert splits.given_parts([case("1", None), case("2", None)]) == {}
    assert splits.given_parts([case("1", None), case("2", "test")]) == {}
    assert splits.given_parts([case("1", "train"), case("2", "test", kind=None)]) == {"1": "train"}  # nothing to test
    assert splits.given_parts([case("1", "train"), case("2", "test", kind=None), case("3", None)]) == {}
    assert splits.given_parts([case("1", "train"), case("2", "test")]) == {"1": "train", "2": "test"}


def test_a_test_part_without_classes_is_left_out(tmp_path):
    folder = make(tmp_path / "set", 0, (("train", 6),))
    for i in range(4):
        save(folder / f"test/{i}.png", head(900 + i))
    ran = tool("split", folder, "--folds", "2")
    assert "its 12 cases are divided, the other 4 are excluded" in ran.stderr
    of = {row["case"]: (row["fold"], row["part"]) for row in rows(ran.stdout)}
    assert all((fold == "") == name.startswith("test/") == (part == "excluded") for name, (fold, part) in of.items())
    (tmp_path / "split.csv").write_text(ran.stdout)
    read = list(splits.read(tmp_path / "split.csv").values())
    chosen = splits.parts(read, fold=0)
    assert sum(map(len, chosen.values())) == 12
    plan = tool("train", folder, "--dry-run", "--backbone", "lenet")
    assert plan.returncode == 0 and "the other 4 cases are left out" in plan.stderr
