"""mri-split as its user runs it."""

import csv
import io
import json
import subprocess
from collections import Counter

import numpy as np
import pytest
from forked import BIN
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter


def head(seed, height=120, width=100):
    """A head with an inside of its own, (y, x) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    blobs = gaussian_filter(rng.normal(0, 1, (height, width)), height / 12)
    inside = (x / 0.8) ** 2 + (y / 0.9) ** 2 < 1
    return (inside * (110 + 50 * blobs / blobs.std())).clip(0, 255).astype(np.uint8)


def split(*arguments, given="", cwd=None, jobs=("-j", "1")):
    return subprocess.run([BIN / "mri-split", *map(str, arguments), *jobs], input=given, capture_output=True, text=True,
                          cwd=cwd, timeout=120)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """12 heads in each of two classes, three copies of one of them, one of them in the wrong class."""
    folder = tmp_path_factory.mktemp("split") / "scans"
    for i in range(24):
        path = folder / ("yes" if i % 2 else "no") / f"{i} head.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(head(i)).save(path)
    first = Picture.open(folder / "yes/1 head.png")
    first.save(folder / "yes/copy.bmp")
    first.resize((180, 210)).save(folder / "yes/large.jpg", quality=60)
    first.transpose(Picture.Transpose.FLIP_LEFT_RIGHT).save(folder / "no/mirrored.png")
    return folder


COPIES = {"yes/1 head", "yes/copy", "yes/large", "no/mirrored"}


def test_folds_keep_copies_together_and_the_summary_says_so(folder, tmp_path):
    done = split(folder, "--folds", 3, "--copies", tmp_path / "copies.csv")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert done.stdout.splitlines()[0] == "case,subject,group,fold,part"
    assert len(found) == 27 and {r["fold"] for r in found} == {"0", "1", "2"}
    assert {r["part"] for r in found} == {"train"}
    assert {r["case"] for r in found if r["group"] == "no/mirrored"} == COPIES
    assert len({r["fold"] for r in found if r["case"] in COPIES}) == 1
    assert Counter(Counter(r["group"] for r in found).values()) == {1: 23, 4: 1}
    said = done.stderr
    assert "27 cases, no known subjects, 24 groups" in said
    assert "1 groups of copies (4 cases; 1 cases are exact copies of an earlier one, 3 pairs are near copies)" in said
    assert said.count("copies of different class: ") == 1 and "no/mirrored (no) and yes/1 head (yes)" in said
    assert all(line.startswith("mri-split: ") for line in said.splitlines())
    for fold in range(3):
        inside = [r["case"][:2] for r in found if r["fold"] == str(fold)]
        assert f"fold {fold}: {len(inside)} cases in " in said
        assert f": {inside.count('no')} no, {inside.count('ye')} yes" in said
        assert 3 <= inside.count("no") <= 5
    pairs = rows((tmp_path / "copies.csv").read_text())
    assert {(r["case"], r["copy"]): r["kind"] for r in pairs}["yes/1 head", "yes/copy"] == "exact"
    assert len(pairs) == 4 and {r["class_of_copy"] for r in pairs} == {"yes"}


def test_parts_to_a_file_the_same_for_a_seed_and_any_jobs(folder, tmp_path):
    options = (folder, "--validation", 0.2, "--test", 0.2, "--seed", 5)
    done = split(*options, "-o", tmp_path / "split.csv", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (tmp_path / "split.csv").read_text()
    assert Counter(r["part"] for r in rows(text)).keys() == {"train", "validation", "test"}
    assert {r["fold"] for r in rows(text)} == {""}
    assert split(*options, jobs=("-j", "2")).stdout == text
    assert split(*options[:-1], 6).stdout != text
    names = "\n".join(map(str, sorted(folder.rglob("*.*"), reverse=True)))
    piped = split("--root", folder, *options[1:], given=names)
    assert sorted(piped.stdout.splitlines()) == sorted(text.splitlines())
    assert {r["part"] for r in rows(split(folder, "--validation", 0, "--test", 0.3).stdout)} == {"train", "test"}


def test_which_copies_count_is_chosen(folder):
    def groups(*options):
        done = split(folder, "--folds", 2, *options)
        assert done.returncode == 0, done.stderr
        return len({r["group"] for r in rows(done.stdout)})

    assert groups("--duplicates", "exact") == 26 and groups("--duplicates", "none") == 27
    assert groups("--distance", 0) > 24


def test_json(folder):
    found = json.loads(split(folder, "--folds", 2, "--json").stdout)
    assert len(found["rows"]) == 27 and found["rows"][0].keys() == {"case", "subject", "group", "fold", "part"}
    assert {pair["kind"] for pair in found["copies"]} == {"exact", "near"}


def test_groups_of_a_table_and_subjects_stay_together(folder, tmp_path):
    (tmp_path / "g.csv").write_text("case,group\nyes/3 head,a\nno/4 head,a\nno/6 head,b\nyes/1 head,b\n")
    found = {r["case"]: r for r in rows(split(folder, "--folds", 2, "--groups", tmp_path / "g.csv").stdout)}
    assert found["yes/3 head"]["group"] == found["no/4 head"]["group"] == "no/4 head"
    assert {name for name, r in found.items() if r["group"] == found["no/6 head"]["group"]} == COPIES | {"no/6 head"}
    (tmp_path / "wrong.csv").write_text("case,group\nyes/stranger,a\n")
    done = split(folder, "--folds", 2, "--groups", tmp_path / "wrong.csv")
    assert done.returncode == 2 and "wrong.csv: names yes/stranger, which is no case" in done.stderr
    table = ["file,class,subject"] + [f"{p},k{i % 2},s{i // 4}" for i, p in enumerate(sorted(folder.rglob("*.png")))]
    (folder / "table.csv").write_text("\n".join(str(t).replace(f"{folder}/", "") for t in table) + "\n")
    found = rows(split(folder / "table.csv", "--folds", 3).stdout)
    (folder / "table.csv").unlink()
    assert all(len({r["fold"] for r in found if r["subject"] == s}) == 1 for s in {r["subject"] for r in found})


def test_damaged_images_are_named_and_the_others_split(folder, tmp_path):
    for name in ("0 head", "2 head", "4 head"):
        (tmp_path / "in" / f"{name}.png").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.png").write_bytes((folder / f"no/{name}.png").read_bytes())
    (tmp_path / "in/cut.png").write_bytes((folder / "no/0 head.png").read_bytes()[:400])
    done = split("in", "--folds", 2, cwd=tmp_path)
    assert done.returncode == 1 and "mri-split: in/cut.png: is damaged or cut short" in done.stderr
    assert sorted(r["case"] for r in rows(done.stdout)) == ["0 head", "2 head", "4 head"]
    (tmp_path / "bad").mkdir()
    (tmp_path / "in/cut.png").rename(tmp_path / "bad/cut.png")
    done = split("bad", "--folds", 2, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and "no case can be read" in done.stderr


@pytest.mark.parametrize(("options", "code", "said"), [
    (["IN", "--folds", "25"], 2, "25 folds cannot be made of 24 groups"),
    (["IN", "--folds", "2", "--test", "0.1"], 2, "--validation and --test have no effect with --folds"),
    (["IN", "--validation", "0.6", "--test", "0.4"], 2, "leave nothing to train on"),
    (["IN", "--duplicates", "exact", "--distance", "3"], 2, "--distance has no effect without --duplicates near"),
    (["IN", "--duplicates", "none", "--copies", "c.csv"], 2, "--copies has no effect"),
    (["IN", "--groups", "nowhere.csv"], 2, "nowhere.csv: cannot be read"),
    (["nowhere"], 2, "nowhere: no such file or folder"),
    (["IN/yes", "IN/yes/copy.bmp", "IN/no"], 0, ""),
    ([], 1, "nothing to do"),
])  # fmt: skip
def test_wrong_use(folder, options, code, said, tmp_path):
    done = split(*(o.replace("IN", str(folder)) for o in options), cwd=tmp_path)
    assert done.returncode == code and said in done.stderr, done.stderr
    assert (done.stdout == "") == bool(code) and "Traceback" not in done.stderr


def test_two_cases_of_one_id_are_refused(folder, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.png").write_bytes((folder / "no/0 head.png").read_bytes())
    done = split("a", "b", "--folds", "2", cwd=tmp_path)
    assert done.returncode == 2 and "two cases are called x" in done.stderr
