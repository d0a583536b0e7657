"""mri-score of several submissions, of strangers' ones, and --check, as their users run them."""

import csv
import gzip
import io
import json
import os
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from forked import BIN, INSTALLED

SHAPE = (10, 24, 20)


def score(*arguments, cwd=None, **more):
    return subprocess.run([BIN / "mri-score", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, cwd=cwd, timeout=120, **more)


def rows(done):
    assert done.returncode in (0, 1), done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def save(path, array, spacing=(1.0, 1.0, 2.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path), True)


def tumour(seed, shift=0, labels=(2, 1, 4)):
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    away = np.sqrt((2 * (z - rng.uniform(4, 6))) ** 2 + (y - rng.uniform(9, 13)) ** 2
                   + (x - rng.uniform(7, 10) - shift) ** 2)
    made = np.zeros(SHAPE, np.uint8)
    for radius, label in zip((7, 4.5, 2.5), labels, strict=True):
        made[away < radius] = label
    return made


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    """Eight cases, and five submissions: one good, one with a case missing, one with a case on another grid, one with
    unknown labels, and one as a zip archive that has an escape path in it."""
    root = tmp_path_factory.mktemp("challenge")
    for i in range(8):
        save(root / f"truth/p{i}.nii.gz", tumour(i))
        for j, team in enumerate(("anna", "bela", "cleo", "dora", "emil")):
            save(root / f"{team}/p{i}.nii.gz", tumour(i, j + 1))
    (root / "bela/p3.nii.gz").unlink()
    save(root / "cleo/p4.nii.gz", tumour(4, 3), (1, 1, 1))
    save(root / "dora/p5.nii.gz", tumour(5, 4, (2, 1, 7)))
    with zipfile.ZipFile(root / "emil.zip", "w") as archive:
        for i in range(8):
            archive.write(root / f"emil/p{i}.nii.gz", f"emil/p{i}.nii.gz")
        archive.write(root / "emil/p0.nii.gz", "../../escaped.nii.gz")
    return root


def test_five_submissions_four_clear_lines_one_table_right_ranks(challenge):
    teams = [challenge / name for name in ("dora", "bela", "emil.zip", "anna", "cleo")]
    done = score(*teams, "-r", challenge / "truth")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for line in ("bela: 1 cases have no prediction that can be scored and are counted as wrong, Dice 0: p3",
                 "cleo/p4.nii.gz: grid differs from the reference's: spacing 1,1,1 and 1,1,2 mm",
                 "dora/p5.nii.gz: label 7 is not in scheme brats2020 (0 1 2 4)",
                 "emil.zip:../../escaped.nii.gz: its path leads out of the archive"):
        assert sum(line in said for said in done.stderr.splitlines()) == 1, line
    assert [said.split(": ")[1] for said in done.stderr.splitlines() if "scheme brats2020," not in said] == [
        "emil", "cleo", "dora", "bela"]  # four lines, and the scheme's
    assert "cleo: counted as wrong, Dice 0: " in done.stderr
    assert not list(challenge.parent.rglob("escaped*"))
    table = rows(done)
    place = {r["submission"]: r["value"] for r in table if r["metric"] == "place"}
    assert place == {"anna": "1", "bela": "2", "cleo": "3", "dora": "4", "emil": "5"}
    order = [r["submission"] for r in table if r["metric"] == "place"]
    assert order == sorted(order)
    missing = {r["submission"]: r["missing"] for r in table if r["metric"] == "place"}
    assert missing == {"anna": "0", "bela": "1", "cleo": "1", "dora": "1", "emil": "0"}
    first = {r["submission"]: float(r["value"]) for r in table if r["metric"] == "first"}
    assert first["anna"] > 0.9 and first["emil"] == 0
    tests = [r for r in table if r["metric"] == "p rank"]
    assert len(tests) == 10 and all(float(r["low"]) <= float(r["value"]) <= 1 for r in tests)
    dice = {r["submission"]: float(r["value"]) for r in table
            if (r["metric"], r["part"], r["cases"]) == ("dice", "WT", "all")}
    alone = rows(score(challenge / "bela", "-r", challenge / "truth"))
    assert dice["bela"] == float(next(r["value"] for r in alone if (r["metric"], r["part"], r["cases"]) == (
        "dice", "WT", "all")))


def test_ranks_by_other_metrics_groups_and_json(challenge, tmp_path):
    teams = [challenge / name for name in ("anna", "bela")]
    (tmp_path / "site.csv").write_text("case,site\n" + "".join(f"p{i},{'A' if i < 3 else 'B'}\n" for i in range(8)))
    done = score(*teams, "-r", challenge / "truth", "--rank-by", "lesion_dice", "--group-by", "site.csv", "--json",
                 cwd=tmp_path)
    found = json.loads(done.stdout)
    assert [row["submission"] for row in found["leaderboard"] if row["metric"] == "place"] == ["anna", "bela"]
    assert "ranked by lesion_dice" in found["leaderboard"][0]["rules"]
    groups = {(r["submission"], r["cases"]): r for r in found["figures"] if (r["metric"], r["part"]) == ("dice", "WT")}
    assert groups["bela", "site=A"]["missing"] == 0 and groups["bela", "site=B"]["missing"] == 1
    assert groups["anna", "site=A"]["n"] == 3 and groups["anna", "site=B"]["n"] == 5
    assert found["submissions"]["bela"]["missing"] == ["p3"]
    wrong = score(*teams, "-r", challenge / "truth", "--rank-by", "volume")
    assert wrong.returncode == 2 and "neither a high nor a low value is better" in wrong.stderr


def test_rules_frozen_in_a_file_give_the_same_table(challenge, tmp_path):
    options = ("--scheme", "1=core,2=rim,4=bright", "--region", "all=1+2+4", "--metrics", "dice,hd95,nsd_2mm",
               "--tolerance", "2", "--hd95", "pooled", "--empty", "skip", "--seed", "7", "--resamples", "300")
    first = score(challenge / "anna", "-r", challenge / "truth", *options, "--write-config", tmp_path / "rules.toml")
    assert first.returncode == 0, first.stderr
    again = score(challenge / "anna", "--config", tmp_path / "rules.toml")
    assert again.stdout == first.stdout and again.returncode == 0, again.stderr
    table = rows(first)
    assert {(r["metric"], r["part"]) for r in table} == {(m, "all") for m in ("dice", "hd95", "nsd_2mm")}
    assert "hd95 pooled" in table[-1]["rules"] and "empty left out" in table[-1]["rules"]


def test_a_hostile_archive(challenge, tmp_path):
    good = (challenge / "anna/p0.nii.gz").read_bytes()
    header = gzip.decompress(good)[:352]
    vast = bytearray(header)
    vast[40:56] = np.array([3, 30000, 30000, 30000, 1, 1, 1, 1], "<i2").tobytes()
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p0.nii.gz", good)
        archive.writestr("p1.nii.gz", gzip.compress(bytes(vast)))  # a header that promises 27 TB
        archive.writestr("p2.nii.gz", gzip.compress(header + bytes(100 << 20)))  # unpacks to 100 MB
        archive.writestr("p3.nii", header + bytes(400 << 20))  # a bomb in the archive itself
        archive.writestr("p4.nii.gz", b"no image at all")
        archive.writestr("p5.mha", "ObjectType = Image\nNDims = 3\nDimSize = 20 24 10\nElementType = MET_UCHAR\n"
                                   "ElementDataFile = /etc/hostname\n")
        link = zipfile.ZipInfo("p6.nii.gz")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
        archive.writestr("$(touch pwned).sh", "touch pwned\n")
        archive.writestr("p7.json", "[" * 100000)
        archive.writestr("p7.nii.gz", good)
    code = "import resource, subprocess, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)); " \
           "sys.exit(subprocess.call(sys.argv[1:]))"
    words = [sys.executable, "-c", code, INSTALLED / "mri-score", "bad.zip", "-r", challenge / "truth", "-j1"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    for said in ("p1.nii.gz: grid differs from the reference's: size 30000,30000,30000 and 20,24,10",
                 "p2.nii.gz: holds more than its header says",
                 "p3.nii: unpacks to more than", "p4.nii.gz: cannot be read",
                 "p5.mha: keeps its voxels in another file", "p6.nii.gz: is a link",
                 "sh: is not a label map by its suffix", "p7.nii.gz: the record beside it cannot be read",
                 "7 cases have no prediction"):
        assert said in done.stderr, (said, done.stderr)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.zip"]


def test_a_hostile_folder(challenge, tmp_path):
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "p0.nii.gz").symlink_to(challenge / "truth/p0.nii.gz")
    (folder / "inside").symlink_to(challenge / "truth")
    (folder / "p1.nii.gz").mkdir()
    os.mkfifo(folder / "p2.nii.gz")
    (folder / "p3.py").write_text("print('hello')\n")
    save(folder / "p4.nii.gz", tumour(4))
    (folder / "evil\x1b[31m.nii.gz").write_bytes(b"x")
    done = score(folder, "-r", challenge / "truth")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for said in ("p0.nii.gz: is a link that leads out", "inside: is a link to a folder", "p2.nii.gz: is no file",
                 "p3.py: is not an image by its suffix", "7 cases have no prediction"):
        assert said in done.stderr, (said, done.stderr)
    assert "\x1b" not in done.stderr


def test_the_truth_scored_against_itself_is_noticed(challenge):
    done = score(challenge / "truth", "-r", challenge / "truth")
    assert "8 predictions are the very label maps of the reference" in done.stderr


def test_swapped_sides_are_noticed(challenge, tmp_path):
    save(tmp_path / "predictions/p0.nii.gz", tumour(0, 1))
    (tmp_path / "predictions/p0.json").write_text('{"model": "1234", "seen": ""}')
    done = score(challenge / "truth", "-r", "predictions", cwd=tmp_path)
    assert done.returncode == 2 and "are the two swapped?" in done.stderr and done.stdout == ""
    assert score("predictions", "-r", challenge / "truth", cwd=tmp_path).returncode == 1  # seven are missing


def test_check_tells_a_participant_what_is_wrong_without_the_truth(challenge, tmp_path):
    for i in range(8):
        image = sitk.GetImageFromArray(np.zeros(SHAPE, np.int16))
        image.SetSpacing((1.0, 1.0, 2.0))
        (tmp_path / "cases").mkdir(exist_ok=True)
        sitk.WriteImage(image, str(tmp_path / f"cases/p{i}.nii.gz"))
    good = score("--check", challenge / "anna", "--like", "cases", "--scheme", "brats2020", cwd=tmp_path)
    assert (good.returncode, good.stdout) == (0, "anna: 8 of 8 predictions are well formed\n"), good.stderr
    bad = score("--check", *(challenge / n for n in ("bela", "cleo", "dora", "emil.zip")), "--like", "cases",
                "--scheme", "brats2020", cwd=tmp_path)
    assert bad.returncode == 1
    assert bad.stdout.splitlines() == [f"{n}: {k} of 8 predictions are well formed"
                                       for n, k in (("bela", 7), ("cleo", 7), ("dora", 7), ("emil", 8))]
    for said in ("bela: 1 cases have no prediction: p3", "p4.nii.gz: grid differs", "label 7 is not in scheme",
                 "leads out of the archive"):
        assert said in bad.stderr
    for arguments, said in ((("--check", "x"), "--check needs --like"), (("x", "--like", "cases"), "Missing option"),
                            (("--check", challenge / "anna", "--like", "cases", "-r", "cases"),
                             "--reference has no effect with --check")):
        wrong = score(*arguments, cwd=tmp_path)
        assert wrong.returncode == 2 and (said in wrong.stderr or "--like has no effect" in wrong.stderr)


def test_dry_run_shows_the_pairs_and_does_nothing(challenge, tmp_path):
    done = score(challenge / "bela", "-r", challenge / "truth", "--dry-run", "-o", tmp_path / "s.csv")
    assert done.returncode == 1 and not (tmp_path / "s.csv").exists()
    lines = done.stdout.splitlines()
    assert len(lines) == 8 and lines[3].startswith("p3: no prediction -> ")
    assert lines[0] == f"p0: {challenge}/bela/p0.nii.gz -> {challenge}/truth/p0.nii.gz"


def test_options_without_effect_are_refused(challenge, tmp_path):
    (tmp_path / "t.csv").write_text("case,class\np0,yes\n")
    done = score(tmp_path / "t.csv", "-r", challenge / "truth", "--hd95", "pooled")
    assert done.returncode == 2 and "--hd95 has no effect with classes" in done.stderr
    done = score(challenge / "anna", "-r", challenge / "truth", "--metrics", "speed")
    assert done.returncode == 2 and "--metrics speed: unknown metric" in done.stderr
