"""Cases read for training: grey and colour, sizes, recipes, classes."""

import numpy as np
import pytest
from PIL import Image

from mrilib import cases
from mrilib.errors import CaseError, UsageError
from mrilib.tasks.classify import Classify
from mrilib.training.classify import check_classes
from mrilib.training.images import Images


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def raise_it(error):
    raise error


def load(folder, held=(), fail=raise_it):
    found = list(cases.find([folder]))
    images = Images(found, Classify().targets, step=lambda: None, fail=fail)
    data = images.data({c.id: "validation" if c.id in held else "train" for c in found})
    check_classes(data)
    return data


@pytest.mark.parametrize("colour", ["no/1.png", "yes/3.png"])
def test_a_folder_of_grey_and_colour_is_taken_as_grey(tmp_path, colour):
    grey = np.arange(256).reshape(16, 16)
    for name in ("no/1.png", "no/2.png", "yes/3.png", "yes/4.png"):
        write(tmp_path / name, np.stack([grey, grey // 2, grey // 3], -1) if name == colour else grey)
    found = load(tmp_path, held=("no/2",))
    assert found.images.shape == (4, 16, 16, 1) and found.channels == ["image"]
    place = found.ids.index(colour.removesuffix(".png"))
    luminance = grey * 0.299 + grey // 2 * 0.587 + grey // 3 * 0.114
    assert np.allclose(found.images[place, ..., 0], luminance, atol=1e-3)
    assert found.counts("train") == {"no": 1, "yes": 2} and found.counts("validation") == {"no": 1, "yes": 0}
    assert (found.low, found.outputs) == (0.0, ["no", "yes"]) and 200 < found.high <= 255


def test_what_the_hash_names(tmp_path):
    for i, name in enumerate(("no/1.png", "no/2.png", "yes/3.png", "yes/4.png")):
        write(tmp_path / name, np.full((16, 16), 10 * i + 5) + np.eye(16))
    first = load(tmp_path).hash
    assert first == load(tmp_path).hash != load(tmp_path, held=("no/1",)).hash
    write(tmp_path / "no/1.png", np.eye(16))
    assert load(tmp_path).hash != first


def test_bad_cases_and_bad_sets(tmp_path):
    for name in ("no/1.png", "no/2.png", "yes/3.png", "yes/4.png"):
        write(tmp_path / name, np.eye(16) * 9)
    with pytest.raises(UsageError, match="no case of class no is left for training"):
        load(tmp_path, held=("no/1", "no/2"))
    (tmp_path / "no/1.png").write_bytes(b"nothing")
    with pytest.raises(CaseError, match="1.png"):
        load(tmp_path)
    failed = []
    assert load(tmp_path, fail=failed.append).ids == ["no/2", "yes/3", "yes/4"]
    assert [error.where.name for error in failed] == ["1.png"]
    for name in ("no/1.png", "no/2.png", "yes/3.png", "yes/4.png"):
        write(tmp_path / name, np.zeros((16, 16)))
    with pytest.raises(UsageError, match="all training images are empty"):
        load(tmp_path)
