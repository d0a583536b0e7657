"""Tables of predictions: what is taken, what is refused and how it is said, and how names are paired."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrilib.errors import CaseError, UsageError
from mrilib.evaluation import tables
from mrilib.evaluation.pairing import pair
from mrilib.store import csv_text

HEAD = "case,class,p_no,p_yes,seen\n"


def read(text, before=None):
    return tables.read(text, "t.csv", before or tables.ClassTable())


def test_a_table_of_mri_predict():
    found = read(HEAD + "yes/1,yes,0.2,0.8,\nno/2,no,0.600000,0.400001,train\n")
    assert found.of["yes/1"] == ("yes", {"no": pytest.approx(0.2), "yes": pytest.approx(0.8)})
    assert found.seen == {"yes/1": "", "no/2": "train"} and found.of["no/2"][0] == "no"
    assert sum(found.of["no/2"][1].values()) == pytest.approx(1, abs=1e-12)


def test_tables_one_after_the_other():
    found = read(HEAD + "a,no,1,0,\n" + HEAD + "b,yes,0,1,\n\n" + "case,class,seen,p_yes,p_no\nc,yes,,1,0\n")
    assert list(found.of) == ["a", "b", "c"] and found.of["c"][1]["yes"] == 1
    both = read(HEAD + "d,no,1,0,\n", read(HEAD + "a,no,1,0,\n"))
    assert list(both.of) == ["a", "d"]
    with pytest.raises(UsageError, match="t.csv, line 2: names a a second time"):
        read(HEAD + "a,no,1,0,\n", both)
    with pytest.raises(UsageError, match="a second table has other columns"):
        read("case,class\na,no\n", both)
    assert list(read("case,class\ncase,yes\nx,no\n").of) == ["case", "x"]


@pytest.mark.parametrize(("text", "said"), [
    ("name,label\na,b\n", "line 1: does not begin with the line case,class"),
    ("a,no,1,0,\n", "line 1: does not begin with the line case,class"),
    ("case,class,class\n", "does not begin"),
    (HEAD + "a,no,1,0\n", "line 2: has 4 fields, not 5"),
    (HEAD + "a,no,nan,0,\n", "line 2: p_no is 'nan', not a probability"),
    (HEAD + "a,no,-0.1,1.1,\n", "p_no is '-0.1', not a probability"),
    (HEAD + "a,no,inf,0,\n", "not a probability"),
    (HEAD + "a,no,,1,\n", "p_no is '', not a probability"),
    (HEAD + "a,no,0.5,0.4,\n", "line 2: its probabilities sum to 0.9, not 1"),
    (HEAD + "a,na,0.5,0.5,\n", "class na has no column p_na"),
    (HEAD + "a,,0.5,0.5,\n", "gives a no class"),
    (HEAD + "a,no,1,0,perhaps\n", "seen is 'perhaps'"),
    (HEAD + "a,no,1,0,\na,no,1,0,\n", "line 3: names a a second time"),
    (HEAD + "a" * 200000 + ",no,1,0,\n", "line 2: is not a table: field larger"),
    (HEAD + '"a\nb",no,1,0,\nc,no,2,0,\n', "line 4: p_no is '2'"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(text, said):
    with pytest.raises(UsageError, match=said):
        read(text)


def test_nothing_came():
    with pytest.raises(CaseError, match="nothing to do"):
        read("")


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=10)


@given(st.lists(names, min_size=1, unique=True))
def test_names_come_through_whatever_is_in_them(ids):
    text = csv_text([["case", "class"], *([name, "no"] for name in ids)])
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [[name, "no"] for name in ids]
    if ["case", "class"] not in [[name, "no"] for name in ids]:
        assert list(read(text).of) == ids
        assert pair(ids, ids) == {name: name for name in ids}


@pytest.mark.parametrize(("predicted", "reference", "expected"), [
    (["yes/a"], ["no/b", "yes/a"], ["yes/a"]),
    (["a", "b"], ["no/b", "yes/a"], ["yes/a", "no/b"]),
    (["out/a.png", "b_seg"], ["no/b", "yes/a"], ["yes/a", "no/b"]),
    (["Y92.jpg", "Y92.png", "a"], ["yes/Y92.jpg", "yes/Y92.png", "no/a"], ["yes/Y92.jpg", "yes/Y92.png", "no/a"]),
    (["a.nii.gz"], ["s/a"], ["s/a"]),
    ([], ["a"], []),
])  # fmt: skip
def test_pairs(predicted, reference, expected):
    assert list(pair(predicted, reference).items()) == list(zip(predicted, expected, strict=True))


@pytest.mark.parametrize(("predicted", "reference", "said"), [
    (["c"], ["a", "b"], "1 prediction is of no case in the reference: c; cases without prediction: a, b"),
    (["a"], ["yes/a", "no/a"], "1 prediction is of no case"),
    (["x/a", "y/a"], ["yes/a"], "2 predictions are of no case in the reference: x/a, y/a"),
    (["a", "c"], ["a"], "cases without prediction: none"),
])  # fmt: skip
def test_what_fits_no_case_is_listed(predicted, reference, said):
    with pytest.raises(UsageError, match=said):
        pair(predicted, reference)


def test_matched_cases_stand_in_the_order_of_the_reference():
    found = read(HEAD + "b,yes,0.1,0.9,train\na,no,0.7,0.3,\n")
    matched = tables.match(found, {"a": "yes", "c": "no", "b": "yes", "d": ""})
    assert matched.ids == ["a", "c", "b", "d"] and matched.classes == ["no", "yes"]
    assert matched.truth.tolist() == [1, 0, 1, -1] and matched.predicted.tolist() == [0, -1, 1, -1]
    assert matched.probability.tolist() == [[0.7, 0.3], [0.5, 0.5], [0.1, 0.9], [0.5, 0.5]]
    assert matched.seen == ["", "", "train", ""]
    some = matched.only(["b", "a"])
    assert some.ids == ["b", "a"] and some.truth.tolist() == [1, 1] and some.seen == ["train", ""]
    np.testing.assert_allclose(some.probability[:, 1], [0.9, 0.3])
    with pytest.raises(UsageError, match="classes predicted .no, yes. are none of the reference's .glioma."):
        tables.match(found, {"a": "glioma", "b": "glioma"})
    more = tables.match(found, {"a": "no", "b": "glioma"})
    assert more.classes == ["glioma", "no", "yes"] and more.probability[1].tolist() == [0, 0.1, 0.9]
