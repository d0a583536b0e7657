"""Dividing a set of cases from Python."""

import logging

import pytest
from PIL import Image
from pipeline_data import head

from mrilib import cases, splits
from mrilib.errors import UsageError
from mrilib.splits.divide import split


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    for i in range(12):
        path = folder / ("yes" if i % 2 else "no") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(head(100 + i, 90, 80)).save(path)
    Image.fromarray(head(101, 90, 80)).save(folder / "yes/copy.bmp")
    (folder / "yes/empty.png").write_bytes(b"")
    return folder


def test_folds_from_cases_paths_and_text_are_the_same(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, "mrilib")
    made = split(str(folder), folds=3, jobs=1)
    assert "empty.png: the file is empty" in caplog.text and "fold 2: " in caplog.text
    errors = []
    found = [case for case in cases.find([folder]) if "empty" not in case.id]
    again = split(found, folds=3, jobs=1, on_error=errors.append)
    assert errors == [] and again.rows == made.rows
    assert {len(made.parts(fold)["test"]) for fold in range(3)} <= {4, 5}
    together = [r.fold for r in made.rows if r.case in ("yes/1", "yes/copy")]
    assert len(together) == 2 and len(set(together)) == 1
    assert made.copies_table().splitlines()[1].startswith("yes/1,yes/copy,exact,yes,yes")
    assert splits.read(made.save(str(tmp_path / "split.csv"))) == {row.case: row for row in made.rows}


def test_shares_groups_and_wrong_use(folder):
    found = [case for case in cases.find([folder]) if "empty" not in case.id]
    made = split(found, test=0.3, validation=0, copies="none", groups={"no/0": "a", "no/2": "a", "yes/3": "a"}, jobs=1)
    assert len({row.part for row in made.rows if row.case in ("no/0", "no/2", "yes/3")}) == 1
    assert set(made.parts()["test"]) | set(made.parts()["train"]) == {case.id for case in found}
    for wrong, said in (({"folds": 3, "test": 0.2}, "no effect with folds"), ({"copies": "many"}, "not known"),
                        ({"copies": "exact", "distance": 3}, "no effect"), ({"groups": {"x": "a"}}, "names x, which"),
                        ({"given": "perhaps"}, "not known")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            split(found, jobs=1, **wrong)
