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
    ({"background": 0, "all": [1, 2], "a, b": 1, "ignore": 3}, "1=a b,2=2,all=1+2"),
])  # fmt: skip
def test_the_labels_of_a_dataset_json(given, name):
    found = labels.of_dataset(given)
    assert found == name and str(labels.scheme(found)) == name


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
