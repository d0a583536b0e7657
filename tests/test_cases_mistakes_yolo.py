"""YOLO texts and names of classes with the mistakes that people make: a clear line for each, nothing lost silently."""

import pytest
from test_cases_boxes import picture, write
from test_cases_mistakes import told


def yolo(folder, lines, names=None, other="0 .5 .5 .2 .2\n"):
    for image in "ab":
        picture(folder / f"images/{image}.png")
    write(folder / "labels/a.txt", lines)
    write(folder / "labels/b.txt", other)
    if names is not None:
        write(folder / ("data.yaml" if "names" in names or "nc" in names else "labels/classes.txt"), names)


@pytest.mark.parametrize("lines, names, left, what", [
    ("1 .5 .5 .2 .2\n2 .3 .3 .1 .1\n", "glioma\nother\n", {"images/b": 1}, "line 2: class 2 has no name in"),
    ("0 0,5 0,5 0,2 0,2\n", None, {"images/a": 1, "images/b": 1}, None),
    ("0 .5 .5 .2 .2\n0 .5 .5 .2 .2\n", None, {"images/a": 1, "images/b": 1}, "1 repeated boxes in"),
    ("0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n", None, {"images/a": 2, "images/b": 1}, "is of 2 classes: 0, 1; all are kept"),
    ("0 80 50 20 20\n", None, {"images/b": 1}, "(divide pixels by the width and the height of the image)"),
    ("0 .5 .5 .2 .2\n", "", {"images/a": 1, "images/b": 1}, "classes.txt: names no class"),
    ("0 .5 .5 .2 .2\n", "names: [glioma\n", {"images/a": 1, "images/b": 1}, "has no list of names that can be read"),
    ("0 .5 .5 .2 .2\n", "nc: 2\nnames: [glioma]\n", {"images/a": 1, "images/b": 1}, "nc is 2, but 1 classes"),
    ("0 .5 .5 .2 .2\n", "names: ['no', yes]  # two\n", {"images/a": 1, "images/b": 1}, None),
    ("1 .5 .5 .2 .2\n", "nc: 1\n", {"images/b": 1}, "class 1 has no name in"),
    ("0 .5 .5\n", None, {"images/b": 1}, "line 1: is no line `class cx cy w h`"),
    ("", None, {"images/a": 0, "images/b": 1}, None), ("\r\n \r\n", None, {"images/a": 0, "images/b": 1}, None),
])  # fmt: skip
def test_what_is_wrong_with_yolo_texts(lines, names, left, what, tmp_path, caplog):
    yolo(tmp_path, lines, names)
    found, told_lines, _ = told(tmp_path, caplog)
    assert {image: len(boxes) for image, boxes in found.items()} == left
    assert not told_lines if what is None else len(told_lines) == 1 and what in told_lines[0], told_lines


def test_class_numbers_of_yolo_that_count_from_one_are_one_line(tmp_path, caplog):
    yolo(tmp_path, "1 .5 .5 .2 .2\n2 .3 .3 .1 .1\n", "glioma\nother\n", "2 .5 .5 .2 .2\n")
    found, lines, _ = told(tmp_path, caplog)
    assert found == {} and len(lines) == 1
    assert "its class numbers are 1 to 2, while" in lines[0] and "names 0 to 1" in lines[0]
    assert "none of its 2 label files is used (subtract 1" in lines[0]


def test_texts_of_yolo_without_an_image_and_images_without_a_text(tmp_path, caplog):
    yolo(tmp_path, "0 .5 .5 .2 .2\n")
    write(tmp_path / "labels/gone.txt", "0 .5 .5 .2 .2\n")
    write(tmp_path / "labels/notes.txt", "made by two readers\n")
    picture(tmp_path / "images/bare.png")
    picture(tmp_path / "more/bare2.png")
    found, lines, unannotated = told(tmp_path, caplog)
    assert list(found) == ["images/a", "images/b"] and unannotated == ["bare", "bare2"]
    assert len(lines) == 1 and "has annotations of 1 image that is not there: labels/gone.txt" in lines[0]


def test_two_files_that_name_the_classes_differently(tmp_path, caplog):
    yolo(tmp_path, "1 .5 .5 .2 .2\n", "glioma\nother\n")
    write(tmp_path / "data.yaml", "names: [glioma, other]\n")
    found, lines, _ = told(tmp_path, caplog)
    assert found["images/a"][0][4] == "other" and not lines
    write(tmp_path / "data.yaml", "names: [other, glioma]\n")
    found, lines, _ = told(tmp_path, caplog)
    assert found["images/a"][0][4] == "other" and len(lines) == 1
    assert "data.yaml: class 0 is other there and glioma in" in lines[0] and "classes.txt, whose names" in lines[0]
