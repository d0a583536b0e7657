"""Copies and subjects that cross the parts of a given split are found and come first."""

from pathlib import Path

from mrilib.cases import Case
from mrilib.leaks import copies_across, findings


def case(name, part=None, subject=None, class_name=None):
    return Case(name, Path(), {"image": Path(f"{name}.png")}, subject=subject, part=part, class_name=class_name)


def test_a_set_without_parts_or_faults_has_no_findings():
    assert findings([]) == []
    assert findings([case("a"), case("b")], [(0, 1, "near")]) == []
    parted = [case("a", "train", "p1"), case("b", "train", "p1"), case("c", "test", "p2")]
    assert findings(parted, [(0, 1, "exact")]) == []


def test_a_copy_of_a_copy_counts_and_an_exact_one_before_a_near_one():
    cases = [case("extra"), case("t1", "train"), case("t2", "train"), case("v1", "validation"),
             case("x1", "test"), case("x2", "test"), case("x3", "test"), case("x4", "test")]  # fmt: skip
    # extra stands for all that equal it: t1, x1; t2 is near to extra, x2 is near to extra, x3 is near to t2 alone
    pairs = [(0, 1, "exact"), (0, 4, "exact"), (0, 2, "near"), (0, 5, "near"), (2, 6, "near"), (3, 7, "near")]
    parts = [one.part for one in cases]
    assert copies_across(parts, pairs, "test", {"train"}) == {4: (1, "exact"), 5: (1, "near"), 6: (2, "near")}
    assert copies_across(parts, pairs, "test", {"validation"}) == {7: (3, "near")}
    assert copies_across(parts, pairs, "validation", {"train"}) == {}
    (title, text), = findings(cases, pairs)
    assert title == "LEAK, copies across parts"
    assert text.startswith("3 of 4 test cases are copies of train cases (1 exact, 2 near); 1 of 4 test cases are "
                           "copies of validation cases (1 near); such as x1 of t1, x2 of t1, x3 of t2 …")
    assert "mri-split" in text and "--copies FILE" in text


def test_subjects_of_several_parts_are_a_leak_without_any_copy():
    cases = [case(f"{part}/{i}", part, f"p{i}") for part, count in (("train", 9), ("validation", 2), ("test", 3))
             for i in range(count)]  # fmt: skip
    (title, text), = findings(cases)
    assert title == "LEAK, subjects across parts"
    assert text == ("all 3 subjects of test are in train too; all 2 subjects of validation are in train too; 2 of 3 "
                    "subjects of test are in validation too: p0, p1, p2 (mri-split keeps copies and subjects together)")


def test_names_that_begin_alike_may_be_persons():
    def found(train, test):
        return dict(findings([case(f"{part}/{name}", part) for part, names in (("train", train), ("test", test))
                              for name in names]))  # fmt: skip

    title = "perhaps a LEAK, names across parts"
    text = found(["00054_1", "00054_2", "00060_7", "p"], ["00054_9", "00061_1"])[title]
    assert text.startswith("1 of 2 beginnings of names of test are in train too: 00054 (if each stands for a person")
    assert title in found(["pat12_slice_4", "pat13 (2)"], ["pat12_slice_5", "pat13 (3)"])
    assert title not in found(["Tr-gl_0010", "Tr-gl_0011"], ["Te-gl_0010", "Te-gl_0011"])
    assert title not in found(["image_1", "gg (1)"], ["image_2", "gg (2)"])  # a word is no person
    assert title not in found(["set2023_1", "set2023_2"], ["set2023_3", "set2023_4"])  # nor is the name of all


def test_the_worst_comes_first_and_classes_last():
    cases = [case("a", "train", "p1", "yes"), case("b", "test", "p1", "no"), case("c", "test", "p2", "no")]
    titles = [title for title, _ in findings(cases, [(0, 1, "near")])]
    assert titles == ["LEAK, copies across parts", "LEAK, subjects across parts", "copies of different class",
                      "subjects of several classes"]
