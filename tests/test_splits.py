"""No group is ever parted, whatever the cases; classes stay even; a split file comes back as it went."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrilib import splits
from mrilib.cases import Case
from mrilib.errors import UsageError
from mrilib.store import write_text

PARTS = {"train", "validation", "test"}


def case(name, kind=None, subject=None):
    return Case(name, Path(), {}, subject=subject, class_name=kind)


@st.composite
def sets(draw):
    """Cases of some classes or none, in groups of 1 to 12."""
    kinds = draw(st.sampled_from([[None], ["a", "b"], ["a", "b", "c"]]))
    cases, group = [], []
    for g, size in enumerate(draw(st.lists(st.integers(1, 12), min_size=4, max_size=30))):
        for i in range(size):
            cases.append(case(f"c{g}/{i}", draw(st.sampled_from(kinds))))
            group.append(f"g{g}")
    return cases, group


def made_or_refused(*arguments, **options):
    try:
        return splits.make(*arguments, **options)
    except UsageError:
        return None


@settings(max_examples=25, deadline=None)
@given(sets(), st.integers(2, 5), st.integers(0, 5), st.randoms())
def test_no_group_is_parted_and_the_order_of_cases_is_no_matter(data, folds, seed, random):
    cases, group = data
    for options in ({"folds": folds}, {"validation": 0.15, "test": 0.2}, {"validation": 0.2, "test": 0}):
        rows = made_or_refused(cases, group, seed=seed, **options)
        if rows is None:  # too few for that
            assert len(set(group)) < 5 or max(Counter(c.class_name for c in cases).values()) < 5
            continue
        assert [r.case for r in rows] == [c.id for c in cases]
        for g in set(group):
            assert len({(r.fold, r.part) for r in rows if r.group == g}) == 1
        wanted = set(range(folds)) if "folds" in options else {"train"} | {k for k, v in options.items() if v}
        assert {r.fold if "folds" in options else r.part for r in rows} == wanted
        turned = random.sample(range(len(cases)), len(cases))
        again = splits.make([cases[i] for i in turned], [group[i] for i in turned], seed=seed, **options)
        assert sorted(again, key=lambda r: r.case) == sorted(rows, key=lambda r: r.case)


@settings(max_examples=15, deadline=None)
@given(sets(), st.integers(0, 4))
def test_every_fold_is_tested_once_and_its_validation_parts_no_group(data, seed):
    cases, group = data
    rows = made_or_refused(cases, group, folds=3, seed=seed)
    tested = []
    for fold in range(3) if rows else ():
        try:
            parts = splits.parts(rows, fold, validation=0.3, seed=seed, classes={c.id: c.class_name for c in cases})
        except UsageError:  # the other folds are one group
            return
        assert sorted(parts) == sorted(PARTS) and parts["train"]
        assert sorted(i for ids in parts.values() for i in ids) == sorted(c.id for c in cases)
        of = dict(zip((c.id for c in cases), group, strict=True))
        places = [{of[i] for i in ids} for ids in parts.values()]
        assert not (places[0] & places[1] or places[1] & places[2] or places[0] & places[2])
        tested += parts["test"]
    assert sorted(tested) == sorted(c.id for c in cases) or rows is None


def test_fractions_and_classes_are_kept():
    cases = [case(f"{i}", "rare" if i % 10 == 0 else "common") for i in range(400)]
    rows = splits.make(cases, [c.id for c in cases], validation=0.15, test=0.25, seed=3)
    kind = {c.id: c.class_name for c in cases}
    counts = Counter((r.part, kind[r.case]) for r in rows)
    assert counts == {("train", "rare"): 24, ("train", "common"): 216, ("validation", "rare"): 6,
                      ("validation", "common"): 54, ("test", "rare"): 10, ("test", "common"): 90}
    assert {r.part for r in splits.make(cases, [c.id for c in cases], validation=0, test=0, seed=0)} == {"train"}
    other = splits.make(cases, [c.id for c in cases], validation=0.15, test=0.25, seed=4)
    assert other != rows


def test_groups_join_subjects_and_copies():
    cases = [case("b"), case("s1/x", subject="p1"), case("s1/y", subject="p1"), case("s2/x", subject="p2"), case("a")]
    assert splits.grouping(cases) == ["b", "p1", "p1", "p2", "a"]
    assert splits.grouping(cases, [(0, 4, "near"), (2, 3, "exact")]) == ["a", "p1", "p1", "p1", "a"]
    assert splits.grouping(cases, [(0, 1, "near")]) == ["p1", "p1", "p1", "p2", "a"]


@pytest.mark.parametrize(("options", "said"), [
    ({"folds": 5}, "5 folds cannot be made of 4 groups"),
    ({"folds": 1}, "1 folds cannot be made"),
    ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
    ({"validation": 0.5, "test": 0.45}, "leave nothing to train on"),
    ({"validation": -0.1, "test": 0.1}, "leave nothing to train on"),
])  # fmt: skip
def test_what_cannot_be_made_is_said(options, said):
    cases = [case(str(i), "a") for i in range(8)]
    with pytest.raises(UsageError, match=said):
        splits.make(cases, [str(i % 4) for i in range(8)], **options)


def test_too_few_groups_or_cases():
    with pytest.raises(UsageError, match="3 parts cannot be made of 2 groups"):
        splits.make([case("a"), case("b")], ["a", "b"])
    with pytest.raises(UsageError, match="no case"):
        splits.make([], [])
    with pytest.raises(UsageError, match="two cases are called a"):
        splits.make([case("a"), case("a"), case("b")], ["a", "a", "b"], folds=2)
    with pytest.raises(UsageError, match="no class has more than 2 cases"):
        splits.make([case(str(i), str(i // 2)) for i in range(8)], [str(i) for i in range(8)], folds=3)


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(names, st.tuples(names, st.integers(0, 5)), min_size=1, max_size=20))
def test_a_split_file_comes_back_as_it_went(tmp_path_factory, known):
    folds = dict(known.values())  # a group lies in one fold
    rows = [splits.Row(i, "", g, folds[g], "train") for i, (g, _) in known.items()]
    path = tmp_path_factory.mktemp("split") / "split.csv"
    write_text(path, splits.write(rows))
    assert list(splits.read(path).values()) == rows


@pytest.mark.parametrize(("text", "said"), [
    ("case,fold\na,1\n", "is no split"),
    ("", "is no split"),
    ("case,subject,group,fold,part\n", "names no case"),
    ("case,subject,group,fold,part\na,,g,0,train\nb,,h,0,train\na,,g,0,train\n", "line 4: names a a second time"),
    ("case,subject,group,fold,part\na,,g,0,test\nb,,g,0,train\n", "parts group g: its cases are in 2 places"),
    ("case,subject,group,fold,part\na,,g,0,train\nb,,g,1,train\n", "parts group g"),
    ("case,subject,group,fold,part\na,p,g,0,train\nb,p,h,1,train\n", "parts subject p"),
    ("case,subject,group,fold,part\na,,g,x,train\n", "fold 'x' is not a number"),
    ("case,subject,group,fold,part\na,,g,0,training\n", "part 'training' is none of"),
    ("case,subject,group,fold,part\na\n", "part None is none of"),
])  # fmt: skip
def test_what_is_no_split_is_said(text, said, tmp_path):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        splits.read(tmp_path / "s.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        splits.read(tmp_path / "missing.csv")


def test_a_split_of_fewer_columns_is_one_too(tmp_path):
    (tmp_path / "s.csv").write_text("case,part\na,train\nb,test\n")
    rows = list(splits.read(tmp_path / "s.csv").values())
    assert splits.parts(rows) == {"train": ["a"], "validation": [], "test": ["b"]}
    with pytest.raises(UsageError, match="fold 0 is not in the split, which has no folds"):
        splits.parts(rows, 0)
    folded = splits.make([case(str(i)) for i in range(6)], [str(i) for i in range(6)], folds=2)
    with pytest.raises(UsageError, match="choose one with --fold"):
        splits.parts(folded)
