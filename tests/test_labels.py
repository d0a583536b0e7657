"""Label schemes: named, spelt, guessed only where the numbers leave no doubt, and turned into one another by name."""

import numpy as np
import pytest

from mrilib import labels
from mrilib.errors import CaseError, UsageError


def test_regions_of_the_known_schemes():
    parts = {name: known.parts for name, known in labels.SCHEMES.items()}
    assert parts["binary"] == {"tumour": (1,)}
    assert parts["brats2013"] == {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}
    assert parts["brats2020"] == {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
    assert parts["brats2023"] == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
    assert parts["msd"] == {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}


def test_a_scheme_of_ones_own():
    assert labels.scheme("brats2020") is labels.SCHEMES["brats2020"]
    own = labels.scheme(" 1=necrotic, 2=edema,4=enhancing tumour ")
    assert own.parts == labels.SCHEMES["brats2020"].parts and labels.scheme(str(own)) == own
    plain = labels.scheme("1=rim,3=centre")
    assert plain.values == (0, 1, 3) and plain.parts == {"rim": (1,), "centre": (3,)}
    cavity = labels.scheme("1=necrotic,2=oedema,3=enhancing,4=resection cavity")
    assert cavity.parts == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "resection cavity": (4,)}
    later = labels.scheme("1=NETC,2=SNFH,3=ET,4=RC")  # as BraTS 2024 calls them
    assert later.parts == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "RC": (4,)}
    spelt = labels.scheme("1=rim,2=centre,3=scar,lesion=1+2")
    assert spelt.parts == {"lesion": (1, 2), "scar": (3,)} and labels.scheme(str(spelt)) == spelt


@pytest.mark.parametrize("text", ["", "brats2019", "1", "1=", "=a", "0=air", "256=a", "1=a,1=b", "1=a,2=a",
                                  "1=a,b=1+2", "x=y"])  # fmt: skip
def test_what_is_no_scheme(text):
    with pytest.raises(UsageError, match="scheme .*--scheme"):
        labels.scheme(text)


@pytest.mark.parametrize(("values", "name"), [((0, 1), "binary"), ((0,), "binary"), ((), "binary"),
                                              ((0, 1, 2, 4), "brats2020"), ((0, 2, 4), "brats2020"),
                                              ((0, 1, 2, 3), ""), ((1, 2, 3, 4), ""), ((0, 2), ""), ((0, 7), "")])
def test_numbers_alone(values, name):
    found = labels.of_values(values)
    assert found.name == name
    if not name:
        assert found.regions == {} and list(found.labels) == sorted(set(values) - {0})


@pytest.mark.parametrize(("given", "name"), [
    ({"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}, "msd"),
    ({"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}, "msd"),
    ({"background": 0, "whole tumor": [1, 2, 3], "tumor core": [1, 3], "enhancing tumor": 3}, "brats2023"),
    ({"background": 0, "NCR": 1, "ED": 2, "ET": 3}, "brats2023"),
    ({"background": 0, "NETC": 1, "SNFH": 2, "ET": 3}, "brats2023"),
    ({"0": "background", "1": "non-enhancing tumor core", "2": "surrounding non-enhancing FLAIR hyperintensity",
      "3": "enhancing tumor"}, "brats2023"),
    ({"0": "background", "1": "necrotic and non-enhancing", "2": "edema", "4": "enhancing"}, "brats2020"),
    ({"background": 0, "necrosis": 1, "edema": 2, "non-enhancing": 3, "enhancing": 4}, "brats2013"),
    ({"background": 0, "tumor": 1}, "binary"),
    ({"background": 0, "Anterior": 1, "Posterior": 2}, "1=anterior,2=posterior"),
    ({"background": 0, "enhancing rim": 1, "enhancing core": 2}, "1=enhancing rim,2=enhancing core"),
    ({"background": 0, "all": [1, 2], "a, b": 1, "ignore": 3}, "1=a b,2=2,all=1+2,a b=1,3=ignore"),
    ({"background": 0, "edema": 1, "non-enhancing": 2, "enhancing": 3, "ignore": 4}, "msd,4=ignore"),
    ({"0": "background", "1": "tumor", "2": "Ignore"}, "binary,2=ignore"),
    ({"background": "0", "tumour": "1", "ignore": "2"}, "binary,2=ignore"),
    ({"background": 0, "WT": [1, 2, 3], "TC": [1, 3], "ET": [3], "ignore": 4}, "brats2023,4=ignore"),
    ({"background": 0, "WT": [1, 2, 4], "TC": [1, 4], "ET": 4}, "brats2020"),
    ({"background": 0, "whole_tumor": [1, 2, 3, 4], "tumor_core": [1, 3, 4], "enhancing_tumor": [4]}, "brats2013"),
    ({"background": 0, "Whole Tumour": [3, 1, 2], "Core": [3, 2], "AET": [3]}, "msd"),
    ({"background": 0, "WT": [1, 2, 3], "TC": [1, 3], "ET": 3, "RC": 4},
     "1=non-enhancing,2=oedema,3=enhancing,4=RC,WT=1+2+3,TC=1+3,ET=3"),
    ({"background": 0, "WT": [1, 2, 3, 4], "TC": [1, 2, 3], "ET": 1, "NET": 2, "CC": 3, "ED": 4},
     "1=enhancing,2=NET,3=CC,4=ED,WT=1+2+3+4,TC=1+2+3,ET=1,NET=2,CC=3,ED=4"),
    ({"background": 0, "whole tumor": [1, 2], "tumor core": [2]}, "1=1,2=TC,WT=1+2,TC=2"),
    ({"background": 0, "lesion": [1, 2], "WT": [1, 2, 3], "whole tumor": [1, 3]},
     "1=1,2=2,3=3,lesion=1+2,WT=1+2+3,whole tumor=1+3"),
])  # fmt: skip
def test_the_labels_of_a_dataset_json(given, name):
    found = labels.of_dataset(given)
    assert found == name and str(labels.scheme(found)) == name


def test_regions_of_a_dataset_json_are_scored_as_it_says():
    """Every region is a part, also one of a single value within a larger one."""
    found = labels.scheme(labels.of_dataset({"background": 0, "WT": [1, 2, 3], "TC": [1, 3], "ET": 3, "RC": 4}))
    assert found.parts == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "RC": (4,)}
    found = labels.scheme(labels.of_dataset({"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2}))
    assert found.parts == {"kidney": (1, 2, 3), "masses": (2, 3), "tumor": (2,)}


@pytest.mark.parametrize("given", [{"a": "b"}, {"a": None}, {"a": 300}, {"a": [1, 300]}, {"ignore": 0, "a": 1},
                                   {"a": 1, "b": 1}, {"a": [1, 2], "ignore": 2}])
def test_labels_of_a_dataset_json_that_cannot_be_understood(given):
    with pytest.raises((ValueError, TypeError)):
        labels.of_dataset(given)


def test_a_core_is_part_of_the_tumour():
    assert labels.scheme("1=edema,2=tumor core,3=enhancing").parts == {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}
    children = labels.scheme("1=ET,2=NET,3=CC,4=ED")  # BraTS-PEDs
    assert children.parts == {"WT": (1, 2, 3, 4), "TC": (1, 2, 3), "ET": (1,)}


def test_the_ignored_value():
    sparse = labels.scheme("msd,4=ignore")
    assert sparse.ignore == 4 and sparse.values == (0, 1, 2, 3) and sparse.allowed == (0, 1, 2, 3, 4)
    assert sparse.parts == labels.SCHEMES["msd"].parts and labels.scheme(str(sparse)) == sparse
    own = labels.scheme("1=rim,2=centre,255=Ignore,lesion=1+2")
    assert own.ignore == 255 and own.labels == {1: "rim", 2: "centre"} and labels.scheme(str(own)) == own
    labels.check((0, 4), sparse)
    with pytest.raises(CaseError, match="label 5 is not in scheme msd,4=ignore .0 1 2 3 4."):
        labels.check((0, 5), sparse)
    for wrong in ("msd,3=ignore", "msd,4=ignore,5=ignore", "4=ignore", "msd,0=ignore", "msd,300=ignore",
                  "msd,brats2020"):
        with pytest.raises(UsageError, match="label scheme"):
            labels.scheme(wrong)
    array = np.array([0, 1, 2, 3, 4])
    assert labels.convert(array, sparse, labels.scheme("brats2023,9=ignore")).tolist() == [0, 2, 1, 3, 9]
    assert labels.convert(array[:4], sparse, labels.SCHEMES["brats2023"]).tolist() == [0, 2, 1, 3]
    with pytest.raises(UsageError, match="ignored value 4"):
        labels.convert(array, sparse, labels.SCHEMES["brats2023"])


def test_a_number_that_the_scheme_lacks_is_named_with_it():
    labels.check((0, 1, 2, 4), labels.SCHEMES["brats2020"])
    with pytest.raises(CaseError, match=r"p1: label 3 is not in scheme brats2020 .0 1 2 4. .name the right one with"):
        labels.check((0, 1, 3), labels.SCHEMES["brats2020"], "p1")


def test_conversion_by_name():
    array = np.array([[0, 1], [2, 4]])
    made = labels.convert(array, labels.scheme("brats2020"), labels.scheme("msd"))
    assert made.dtype == np.uint8 and made.tolist() == [[0, 2], [1, 3]]
    back = labels.convert(made, labels.scheme("msd"), labels.scheme("brats2020"))
    assert back.tolist() == array.tolist()
    whole = labels.convert(np.array([1, 2, 3, 4]), labels.scheme("brats2013"), labels.scheme("brats2023"))
    assert whole.tolist() == [1, 2, 1, 3]
    with pytest.raises(UsageError, match="label 1 .necrotic. of scheme brats2020 has no place in binary"):
        labels.convert(array, labels.scheme("brats2020"), labels.scheme("binary"))
