"""Slice stacks: a folder of numbered slices is one volume, in order of the number, with its masks."""

import re

import numpy as np
import pytest
from pipeline_data import save

from mrilib import cases, recipe
from mrilib.cases import Reading
from mrilib.errors import CaseError, UsageError
from mrilib.images.io import files
from mrilib.store import write_json

NUMBERS = range(1, 12)


def colours(seed, size=(10, 14)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def stack(folder, numbers=NUMBERS, masks=True, name=None, size=(10, 14)):
    """Slices NAME_1.tif … of three channels; slice 2 is grey; the mask of slice n has n pixels of 255."""
    name = name or folder.name
    for n in numbers:
        array = colours(n, size)
        array[..., 1:] = array[..., :1] if n == 2 else array[..., 1:]
        save(folder / f"{name}_{n}.tif", array)
        if masks:
            mask = np.zeros(size, np.uint8)
            mask.flat[:n] = 255
            save(folder / f"{name}_{n}_mask.tif", mask)
    return folder


@pytest.fixture
def folder(tmp_path):
    for name in ("TCGA_CS_5395_19981004", "p2"):
        stack(tmp_path / "set" / name)
    return tmp_path / "set"


def test_a_folder_of_slices_is_a_volume_in_order_of_the_number(folder):
    tcga, other = cases.find([folder])
    assert (tcga.id, tcga.subject, other.id, other.subject) == ("TCGA_CS_5395_19981004", "TCGA_CS_5395", "p2", "p2")
    assert other.path == other.label == folder / "p2" and other.layout == "stacks" and other.class_name is None
    assert list(other.channels) == ["red", "green", "blue"]
    image, label = files.read_case(other), files.read_label(other)
    assert image.array.shape == (11, 10, 14, 3) and image.channels == ("red", "green", "blue")
    for z, n in enumerate(NUMBERS):
        assert np.array_equal(image.array[z, ..., 0], colours(n)[..., 0])
    assert label.array.dtype == np.uint8 and label.array.sum(axis=(1, 2)).tolist() == list(NUMBERS)
    assert label.grid.same_as(image.grid) and set(np.unique(label.array)) == {0, 1}
    assert [p.name for p in other.image_files[8:]] == ["p2_9.tif", "p2_10.tif", "p2_11.tif"]
    assert recipe.input_files(other) == [*other.image_files, *other.label_files] and len(other.label_files) == 11


def test_one_folder_alone_is_the_same_case(folder, monkeypatch):
    first = list(cases.find([folder]))[1]
    assert list(cases.find([folder / "p2"])) == [first]
    assert list(cases.find([folder / "p2"], root=folder)) == [first]
    monkeypatch.chdir(folder / "p2")
    assert [c.id for c in cases.find([(folder / "p2").relative_to(folder / "p2")])] == ["p2"]


def test_channels_are_named_or_chosen(folder):
    named = list(cases.find([folder], Reading(channels=("t1", "flair", "t1ce"))))[1]
    assert files.read_case(named).channels == ("t1", "flair", "t1ce")
    assert np.array_equal(files.read_case(named).array[0], colours(1))
    green = list(cases.find([folder], Reading(channels=("green",))))[1]
    image = files.read_case(green)
    assert np.array_equal(image.array[1], colours(2)[..., 0]) and not image.has_channels
    with pytest.raises(CaseError, match="has channels red green blue, not t1 flair .name others with --channels"):
        list(cases.find([folder], Reading(channels=("t1", "flair"))))


def test_slices_one_by_one_keep_their_channels_and_subject(folder):
    found = list(cases.find([folder / "p2"], Reading(slices=True, channels=("t1", "flair", "t1ce"))))
    assert len(found) == 11 and {c.subject for c in found} == {"p2"}
    two = next(c for c in found if c.id == "p2/p2_2")
    image = files.read_case(two)  # its colours are equal: three channels all the same
    assert image.array.shape == (10, 14, 3) and image.channels == ("t1", "flair", "t1ce")
    assert files.read_label(two).array.sum() == 2 and two.path == folder / "p2/p2_2.tif"


def test_grey_slices_without_masks_need_the_folders_name_or_to_be_told(tmp_path):
    for n in NUMBERS:
        save(tmp_path / f"set/p1/slice_{n}.png", colours(n)[..., 0])
        save(tmp_path / f"set/p2/p2-{n}.png", colours(n)[..., 0])
    assert [c.id for c in cases.find([tmp_path / "set/p2"])] == ["p2"]
    assert {c.layout for c in cases.find([tmp_path / "set/p1"])} == {"plain"}
    one, two = cases.find([tmp_path / "set"], "stacks")
    assert (one.id, two.id, list(one.channels)) == ("p1", "p2", ["image"])
    image = files.read_case(one)
    assert image.array.shape == (11, 10, 14) and np.array_equal(image.array[10], colours(11)[..., 0])


def test_class_folders_of_numbered_images_are_no_stacks(tmp_path):
    for kind in ("yes", "no", "images"):
        for n in range(1, 5):
            save(tmp_path / kind / f"{kind}_{n}.png", colours(n)[..., 0])
    assert len(list(cases.find([tmp_path]))) == 12


@pytest.mark.parametrize(("change", "said"), [
    (lambda p: (p / "p2_4.tif").unlink(), "p2: mask p2_4_mask.tif has no slice"),
    (lambda p: [q.unlink() for q in p.glob("p2_4*")], "p2: slice 4 is missing between 1 and 11 .add it, or"),
    (lambda p: (p / "p2_4_mask.tif").unlink(), "p2: has 10 masks for 11 slices; p2_4.tif has none"),
    (lambda p: save(p / "p2_04.tif", colours(4)), "p2: has two slices of number 4"),
])  # fmt: skip
def test_a_stack_that_is_not_whole_is_named_and_the_others_go_on(change, said, folder):
    change(folder / "p2")
    errors = []
    assert [c.id for c in cases.find([folder], on_error=errors.append)] == ["TCGA_CS_5395_19981004"]
    assert len(errors) == 1 and re.search(said, str(errors[0]))
    one_by_one = cases.find([folder / "p2"], Reading(slices=True))  # the remedy that it names
    assert len(list(one_by_one)) == len([p for p in (folder / "p2").iterdir() if "mask" not in p.name])


def test_slices_of_different_sizes_are_refused(folder):
    save(folder / "p2/p2_3.tif", colours(3, (10, 13)))
    with pytest.raises(CaseError, match="slice p2_3.tif is 10x13x3, the first 10x14x3"):
        files.read_case(list(cases.find([folder]))[1])


def test_a_prepared_stack_comes_back_as_the_same_case(folder, tmp_path):
    case = list(cases.find([folder], Reading(channels=("t1", "flair", "t1ce"), scheme="binary")))[1]
    write_json(tmp_path / "out/recipe.json", recipe.Recipe((recipe.Step("median", {"radius": 1}),)).as_dict())
    made, _ = recipe.prepare_case(case, (), tmp_path / "out", None, "0123")
    assert made == tmp_path / "out/p2" and sorted(p.name for p in made.iterdir()) == [
        "p2-flair.nii.gz", "p2-seg.nii.gz", "p2-t1.nii.gz", "p2-t1ce.nii.gz"]
    for path in (tmp_path / "out", made):
        back, = cases.find([path])
        assert (back.id, back.subject, back.scheme, back.path) == ("p2", "p2", "binary", made)
        assert np.array_equal(files.read_case(back).array, files.read_case(case).array)
        assert files.read_case(back).channels == ("t1", "flair", "t1ce")
        assert np.array_equal(files.read_label(back).array, files.read_label(case).array)
    assert recipe.source_record(back)["content"] == recipe.source_record(case)["content"]


def test_a_prepared_colour_slice_keeps_its_names(folder, tmp_path):
    reading = Reading(channels=("t1", "flair", "t1ce"), slices=True)
    case = next(c for c in cases.find([folder], reading) if c.id == "p2/p2_2")
    write_json(tmp_path / "out/recipe.json", recipe.Recipe().as_dict())
    recipe.prepare_case(case, (), tmp_path / "out", None, "")
    back, = cases.find([tmp_path / "out"])
    assert (back.id, list(back.channels), back.subject) == ("p2/p2_2", ["t1", "flair", "t1ce"], "p2")
    assert np.array_equal(files.read_case(back).array, files.read_case(case).array)
    assert np.array_equal(files.read_label(back).array, files.read_label(case).array)


def test_where_no_stack_is_the_layout_says_so(tmp_path):
    save(tmp_path / "a.png", colours(1))
    with pytest.raises(UsageError, match="holds no case .looked for stacks: slice stacks"):
        list(cases.find([tmp_path], "stacks"))


def test_numbered_images_with_masks_are_a_stack_only_below_the_folder_given(tmp_path):
    stack(tmp_path / "set/p1", name="img")
    assert [c.id for c in cases.find([tmp_path / "set"])] == ["p1"]
    assert len(list(cases.find([tmp_path / "set/p1"]))) == 11
    for path in tmp_path.rglob("img_4*"):
        path.unlink()
    found = list(cases.find([tmp_path / "set"]))  # with a gap they are images, each with its mask
    assert len(found) == 10 and all(c.label for c in found) and {c.layout for c in found} == {"masks"}


def test_prepared_pictures_stay_pictures(tmp_path):
    stack(tmp_path / "set/p1", range(1, 5), name="p1")
    write_json(tmp_path / "out/recipe.json", recipe.Recipe().as_dict())
    for case in cases.find([tmp_path / "set"], Reading(slices=True)):
        recipe.prepare_case(case, (), tmp_path / "out", None, "")
    found = list(cases.find([tmp_path / "out"]))
    assert [c.id for c in found] == [f"p1/p1_{n}" for n in range(1, 5)] and all(c.label for c in found)
