"""Names, roots and ids: every image is one case, whatever it is called; every layout is seen for what it is."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrilib import cases
from mrilib.cases.layouts.dicom import channel_in
from mrilib.errors import CaseError, UsageError
from mrilib.store import write_json, write_text

FILES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ODD = ["a b", "quo'te\"", "new\nline", "tab\t", "ümläut", "脳", "-dash", "dots.in.name", "$HOME", "*", "a\\b", "Y92",
       "x" * 60, "é", "é", "#1", "semi;colon", "%d", "\x7f", "carriage\rreturn", "Y92.jpg", "t1", " "]  # fmt: skip
stems = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1,
                                                max_size=12)).filter(lambda s: not s.startswith("."))
suffixes = st.sampled_from([".png", ".jpg", ".JPG", ".jpeg", ".tif", ".nii.gz", ".nii", ".mha", ".dcm"])
folders = st.lists(stems.filter(lambda s: s not in cases.MASK_FOLDERS), max_size=2)
trees = st.lists(st.tuples(folders, stems, suffixes), min_size=1, max_size=8)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def plant(folder: Path, tree) -> list[Path]:
    """The files of a tree that can be there together (no file where another has a folder)."""
    made = []
    for parents, stem, suffix in tree:
        path = folder.joinpath(*parents, stem + suffix)
        if path.is_dir():
            continue
        try:
            made.append(touch(path))
        except OSError:
            continue
    return sorted(set(made))


@pytest.fixture
def fresh(tmp_path):
    """A new empty folder at each call."""
    numbers = iter(range(10**6))
    return lambda: tmp_path / str(next(numbers))


@FILES
@given(tree=trees)
def test_every_image_is_one_case_with_an_id_of_its_own(fresh, tree):
    folder = fresh()
    files = plant(folder, tree)
    found = list(cases.find([folder], layout="plain"))
    assert sorted(c.path for c in found) == files
    assert len({c.id for c in found}) == len(found)
    for case in found:
        below = case.path.relative_to(folder).as_posix()
        short = below[: len(below) - len(cases.suffix_of(case.path))]
        rivals = [f for f in files if f.parent == case.path.parent and f != case.path
                  and {cases.stem_of(f), f.name} & {cases.stem_of(case.path)}]
        assert case.id == (below if rivals else short)
        assert case.root == folder and case.channels == {"image": case.path}


@FILES
@given(tree=trees)
def test_the_order_is_that_of_the_names_and_the_way_there_does_not_matter(fresh, tree):
    folder = fresh()
    files = plant(folder, tree)
    found = [(c.id, c.path) for c in cases.find([folder], layout="plain")]
    assert [i for i, _ in found] == sorted((i for i, _ in found), key=lambda i: i.split("/")) or any(
        "Y92" in i or "." in i for i, _ in found)
    one_by_one = [(c.id, c.path) for c in cases.find(files, layout="plain", root=folder)]
    assert sorted(one_by_one) == sorted(found)
    relative = Path(os.path.relpath(folder))
    assert [(c.id, c.path.absolute().resolve()) for c in cases.find([relative], layout="plain")] == [
        (i, p.resolve()) for i, p in found]
    twice = [c.id for c in cases.find([folder, *files], layout="plain", root=folder)]
    assert sorted(twice) == sorted(i for i, _ in found)


@FILES
@given(tree=trees)
def test_a_table_names_the_same_cases(fresh, tree):
    folder = fresh()
    files = plant(folder, tree)
    with open(folder / "cases.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "class", "subject"])
        table.writerows([f.relative_to(folder).as_posix(), f"k{i % 2}", i] for i, f in enumerate(files))
    found = {c.path: c for c in cases.find([folder])}
    assert sorted(found) == files
    assert [found[f].class_name for f in files] == [f"k{i % 2}" for i in range(len(files))]
    assert [found[f].subject for f in files] == [str(i) for i in range(len(files))]
    assert {c.id for c in found.values()} == {c.id for c in cases.find([folder], layout="plain")}


def test_ids_that_would_collide_keep_their_suffix(tmp_path):
    for name in ("yes/Y92.jpg", "yes/Y92.png", "yes/Y93.jpg", "no/Y92.jpg", "yes/Y92.jpg.png"):
        touch(tmp_path / name)
    found = {c.id: c.path.relative_to(tmp_path).as_posix() for c in cases.find([tmp_path])}
    assert found == {"yes/Y92.jpg": "yes/Y92.jpg", "yes/Y92.png": "yes/Y92.png", "yes/Y92.jpg.png": "yes/Y92.jpg.png",
                     "yes/Y93": "yes/Y93.jpg", "no/Y92": "no/Y92.jpg"}


def test_the_root_of_a_name(tmp_path, monkeypatch):
    write_json(tmp_path / "made/recipe.json", {"format": 1, "steps": []})
    prepared, plain = touch(tmp_path / "made/yes/a.tif"), touch(tmp_path / "raw/yes/b.png")

    def ids(*paths, **options):
        return [c.id for c in cases.find(paths, **options)]

    assert ids(prepared) == ids(tmp_path / "made/yes") == ids(tmp_path / "made") == ["yes/a"]
    assert ids(plain) == ["b"] and ids(plain, root=tmp_path / "raw") == ["yes/b"]
    assert ids(tmp_path / "raw/yes") == ["b"] and ids(tmp_path / "raw") == ["yes/b"]
    monkeypatch.chdir(tmp_path / "raw")
    assert ids(Path("yes/b.png")) == ids(Path("./yes/b.png")) == ["yes/b"]
    assert ids(Path("../made/yes/a.tif")) == ["yes/a"]
    touch(tmp_path / "other.png")
    assert ids(Path("../other.png")) == ["other"] and ids(Path("../raw/yes/b.png")) == ["b"]
    assert ids(Path("../raw/yes/b.png"), root=Path()) == ["yes/b"]
    for root in (Path(), tmp_path / "made"):
        with pytest.raises(CaseError, match="does not lie below the root"):
            ids(Path("../other.png"), root=root)


def test_hidden_and_foreign_files_are_no_cases(tmp_path):
    for name in ("a.png", ".hidden.png", ".cache/b.png", "notes.txt", "b.json", "noext", ".png", "c.png.part"):
        touch(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    touch(tmp_path / "folder.png/inside.png")
    assert [c.id for c in cases.find([tmp_path])] == ["a", "folder.png/inside"]


def test_class_folders(tmp_path):
    for name in ("set/Training/glioma_tumor/1.jpg", "set/Testing/no_tumor/1.jpg", "set/Testing/glioma_tumor/1.jpg"):
        touch(tmp_path / name)
    assert {c.id: c.class_name for c in cases.find([tmp_path / "set"])} == {
        "Testing/glioma_tumor/1": "glioma_tumor", "Testing/no_tumor/1": "no_tumor",
        "Training/glioma_tumor/1": "glioma_tumor"}
    for kind in ("cat", "dog"):
        for i in range(3):
            touch(tmp_path / f"own/{kind}/{i}.png")
    assert {c.class_name for c in cases.find([tmp_path / "own"])} == {"cat", "dog"}
    named = cases.Reading(channels=("t1", "t2", "flair"))
    assert {c.class_name for c in cases.find([tmp_path / "own"], layout=named)} == {"cat", "dog"}
    assert {c.class_name for c in cases.find([tmp_path / "own"], layout="plain")} == {None}
    (tmp_path / "own/dog/2.png").unlink()
    assert {c.class_name for c in cases.find([tmp_path / "own"])} == {None}  # two images make no class by themselves
    assert {c.class_name for c in cases.find([tmp_path / "own"], layout="classes")} == {"cat", "dog"}
    touch(tmp_path / "own/stray.png")
    with pytest.raises(UsageError, match="not every case lies in a class folder"):
        list(cases.find([tmp_path / "own"], layout="classes"))


def test_brats_folders(tmp_path):
    for case in ("BraTS-GLI-00005-100", "BraTS-GLI-00005-101", "BraTS20_Training_001"):
        old = case.startswith("BraTS20")
        for channel in ("t1", "t1ce", "t2", "flair", "seg") if old else ("t1n", "t1c", "t2w", "t2f", "seg"):
            touch(tmp_path / case / f"{case}{'_' if old else '-'}{channel}.nii.gz")
    found = {c.id: c for c in cases.find([tmp_path])}
    assert list(found) == ["BraTS-GLI-00005-100", "BraTS-GLI-00005-101", "BraTS20_Training_001"]
    for case in found.values():
        assert list(case.channels) == ["t1", "t1ce", "t2", "flair"]
        assert case.label.name.endswith("seg.nii.gz") and case.path == tmp_path / case.id
    assert [c.subject for c in found.values()] == ["BraTS-GLI-00005", "BraTS-GLI-00005", "BraTS20_Training_001"]


@pytest.mark.parametrize("names", [
    {"a.png": "a_mask.png", "b.tif": "b-seg.png"},
    {"p1/a_1.tif": "p1/a_1_mask.tif", "p2/a_1.tif": "p2/a_1_mask.tif"},
    {"images/a.png": "masks/a.png", "images/b.png": None},
    {"image/a.png": "label/a.png", "image/b.png": None},
    {"Images/p1/a.png": "Masks/p1/a.png", "Images/p2/a.png": "Masks/p2/a_mask.png", "Images/p2/b.png": None},
    {"imagesTr/a.nii.gz": "labelsTr/a.nii.gz"},
])  # fmt: skip
def test_mask_twins(names, tmp_path):
    for image, mask in names.items():
        touch(tmp_path / image)
        if mask:
            touch(tmp_path / mask)
    found = {c.path.relative_to(tmp_path).as_posix(): c.label for c in cases.find([tmp_path])}
    assert found == {image: mask and tmp_path / mask for image, mask in names.items()}
    assert len(list(cases.find([tmp_path], layout="plain"))) == sum(1 + bool(m) for m in names.values())


def test_a_table_with_boxes_labels_and_a_byte_order_mark(tmp_path):
    rows = ("\ufefffile,class,subject,label,x0,y0,x1,y1\nim/a.png,yes,7,m/a.png,1,2,3,4.5\n"
            "im/a.png,yes,7,,5,6,7,8\nb.png,,,,,,,\n")
    write_text(tmp_path / "mine.csv", rows)
    one, two = cases.find([tmp_path / "mine.csv"])
    assert (two.id, two.class_name, two.subject, two.label, two.boxes) == ("im/a", "yes", "7", tmp_path / "m/a.png",
                                                                           ((1, 2, 3, 4.5, "yes"), (5, 6, 7, 8, "yes")))
    assert (one.id, one.class_name, one.subject, one.label, one.boxes) == ("b", None, None, None, ())


def test_a_table_that_is_not_utf_8_is_read_as_its_bytes(tmp_path):
    name = os.fsdecode(b"b\xe9.png")
    (tmp_path / "t.csv").write_bytes(b"file,class\nb\xe9.png,gl\xe4\n")
    case, = cases.find([tmp_path / "t.csv"])
    assert (case.path, case.class_name) == (tmp_path / name, os.fsdecode(b"gl\xe4"))


@pytest.mark.parametrize(("text", "said"), [
    ("name,class\na.png,yes\n", "has no column file"),
    ("", "has no column file"),
    ("file\n", "names no case"),
    ("file\na.txt\n", "is not an image by its suffix"),
    ("file,class\na.png,yes\nb.png,no\na.png,no\n", "line 4: a.png is of class no, in an earlier line of yes"),
])  # fmt: skip
def test_tables_that_cannot_be_right(text, said, tmp_path):
    write_text(tmp_path / "t.csv", text)
    with pytest.raises(UsageError, match=said):
        list(cases.find([tmp_path / "t.csv"]))


def test_what_is_no_case_is_said_and_the_others_go_on(tmp_path):
    good = touch(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to("nowhere.png")
    errors = []
    found = list(cases.find([tmp_path / "b.png", good, tmp_path / "link.png", touch(tmp_path / "x.txt")],
                            on_error=errors.append))
    assert [c.id for c in found] == ["a"]
    assert [e.what for e in errors] == ["no such file or folder", "is a dangling link", "is not an image by its suffix"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no case .looked for csv"):
        list(cases.find([tmp_path / "empty"]))
    with pytest.raises(UsageError, match="has no cases.csv"):
        list(cases.find([tmp_path / "empty"], layout="csv"))


def test_a_link_that_leads_back_is_not_followed(tmp_path):
    touch(tmp_path / "in/a/1.png")
    (tmp_path / "in/a/again").symlink_to(tmp_path / "in")
    (tmp_path / "in/b").symlink_to("a")
    (tmp_path / "in/c").symlink_to("c")
    assert [c.id for c in cases.find([tmp_path / "in"])] == ["a/1", "b/1"]
    touch(tmp_path / "two/x/1.png")
    touch(tmp_path / "two/y/1.png")
    (tmp_path / "two/x/y").symlink_to("../y")
    (tmp_path / "two/y/x").symlink_to("../x")
    assert [c.id for c in cases.find([tmp_path / "two"])] == ["x/1", "x/y/1", "y/1", "y/x/1"]


def test_columns_of_a_table_in_capitals_or_with_spaces(tmp_path):
    touch(tmp_path / "a.png")
    write_text(tmp_path / "cases.csv", "File, Label ,Subject,CLASS\na.png,b.png,p1,glioma\n")
    case, = cases.find([tmp_path])
    assert (case.label, case.subject, case.class_name) == (tmp_path / "b.png", "p1", "glioma")


@pytest.mark.parametrize(("channel", "names"), [
    ("t1ce", "T1_post p1_T1-Gd t1_ce T1_C t1_post_contrast AX_T1_SE_POST_GAD t1_ce_bias T1wCE T1+C"),
    ("t1", "c_t1 post_T1 t1_pre_contrast t1_no_contrast t1_wo_gd t1_mprage_sag T1_bias"),
    ("flair", "T2_FLAIR post_flair"), ("label", "t1_contrast_seg"),
])
def test_channels_by_name(channel, names):
    assert {name: cases.channel_of(f"{name}.nii.gz") for name in names.split()} == dict.fromkeys(names.split(), channel)


@pytest.mark.parametrize("start", ["", "p1/", "p1_"])
def test_a_t1_with_a_contrast_agent_beside_one_without(start, tmp_path):
    names = ("T1", "T1_post_bias", "T1_post", "FLAIR", "seg")
    paths = [touch(tmp_path / f"p1/{start}{name}.nii.gz") for name in names]
    other = [touch(tmp_path / f"p1/p2_{name}.nii.gz") for name in names if start == "p1_"]
    found = [(list(case.channels.values()), case.label) for case in cases.find([tmp_path])]
    assert found == [([one[0], one[2], one[3]], one[4]) for one in (paths, other) if one]


@pytest.mark.parametrize(("channel", "texts"), [
    ("t1ce", "T1wCE|t1c|T1Gd|AX T1 +C|T1 + C|T1+GD|t1 c+|C+ T1 SPGR|POST GAD AX T1|Gadovist T1|T1_post-contrast|T1 KM"),
    ("t1ce", "T1 GdDTPA|T1 postKM"),
    ("t1", "T1w|T1 C-SPINE|AX T1 PRE GAD|T1 W/O CONTRAST|T1 non-contrast|T1 without Gd|T1 POSTERIOR FOSSA|T1 cerebrum"),
])
def test_channels_by_description(channel, texts):
    assert {text: channel_in(text) for text in texts.split("|")} == dict.fromkeys(texts.split("|"), channel)
