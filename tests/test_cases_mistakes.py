"""Annotation files with the mistakes that people make: a clear line for each, and nothing lost silently.

Each row of a table is a change to a right annotation of the image a.png; b.png beside it has a right one.
"""

import json
import logging

import numpy as np
import pytest
from pipeline_data import save
from test_cases_boxes import HEIGHT, WIDTH, picture, with_errors, write

from mrilib import cases

SHARES = "its numbers seem to be shares of the image's size (multiply them by its width and height)"


def told(folder, caplog):
    """(ids of the cases, lines of errors and warnings, ids left out as unannotated)."""
    left = []
    errors = []
    with caplog.at_level(logging.WARNING, "mrilib"):
        found = {case.id: case.boxes for case in cases.find([folder], on_error=errors.append, on_unused=left.append)}
    lines = [str(error) for error in errors] + [record.getMessage() for record in caplog.records]
    return found, lines, [path.stem for one in left for path in one.unannotated]


def box_of(format_, values, kind="glioma"):
    """An annotation of one box in the terms of a format; values: x0 y0 x1 y1 as given, also no numbers."""
    x0, y0, x1, y1 = values
    if format_ == "coco":
        wide = [x1 - x0, y1 - y0] if all(isinstance(v, int | float) for v in values) else [x1, y1]
        return {"image_id": 1, "id": 1, "category_id": 5, "bbox": [x0, y0, *wide]}
    if format_ == "labelme":
        return {"label": kind, "shape_type": "rectangle", "points": [[x0, y0], [x1, y1]]}
    if format_ == "via":
        wide = [x1 - x0, y1 - y0] if all(isinstance(v, int | float) for v in values) else [x1, y1]
        shape = dict(zip(("name", "x", "y", "width", "height"), ("rect", x0, y0, *wide), strict=True))
        return {"shape_attributes": shape, "region_attributes": {"class": kind}}
    corners = zip(("xmin", "ymin", "xmax", "ymax"), values, strict=True)
    return (f"<object><name>{kind}</name><bndbox>" + "".join(f"<{key}>{value}</{key}>" for key, value in corners)
            + "</bndbox></object>")


def annotate(folder, format_, boxes_of, size=(WIDTH, HEIGHT)):
    """Write the annotations of images: name -> boxes as of box_of."""
    if format_ == "coco":
        notes = [{**box, "image_id": n} for n, boxes in enumerate(boxes_of.values(), 1) for box in boxes]
        write(folder / "coco.json", {
            "images": [{"id": n, "file_name": f"{name}.png", "width": size[0], "height": size[1]}
                       for n, name in enumerate(boxes_of, 1)],
            "annotations": notes, "categories": [{"id": 5, "name": "glioma"}]})
    elif format_ == "via":
        write(folder / "via.json", {f"{name}.png9": {"filename": f"{name}.png", "size": -1, "file_attributes": {},
                                                     "regions": boxes} for name, boxes in boxes_of.items()})
    for name, boxes in boxes_of.items():
        if format_ == "labelme":
            write(folder / f"{name}.json", {"version": "5", "shapes": boxes, "imagePath": f"{name}.png",
                                            "imageHeight": size[1], "imageWidth": size[0]})
        elif format_ == "voc":
            write(folder / f"{name}.xml", f"<annotation><filename>{name}.png</filename><size><width>{size[0]}</width>"
                                          f"<height>{size[1]}</height></size>{''.join(boxes)}</annotation>")
        elif format_ == "csv":
            rows = [",".join(map(str, box)) for box in boxes]
            with (folder / "cases.csv").open("a") as file:
                file.write("file,x0,y0,x1,y1,class\n" if file.tell() == 0 else "")
                file.writelines(f"{name}.png,{row}\n" for row in rows or [",,,,"])


def a_box(format_, values):
    return (*values, "glioma") if format_ == "csv" else box_of(format_, values)


FORMATS = ("coco", "voc", "via", "labelme", "csv")
RIGHT = (10, 20, 40, 60)
WRONG = {  # corners of a box -> what the line says, by format where they differ
    (150, 20, 250, 60): "box 150 20 250 60 in .* lies outside the image of 200 x 100 pixels",
    (300, 20, 350, 60): "lies outside the image of 200 x 100 pixels",
    (-60, 20, -10, 60): "lies outside the image of 200 x 100 pixels",
    (0.1, 0.2, 0.4, 0.9): SHARES,
    (10, 20, 10, 60): "is empty: it has no area",
    ("x", 20, 40, 60): {"coco": "has neither a bbox of four numbers", "voc": "no bndbox of four numbers: xmin 'x'",
                        "via": "is a rect without the numbers that make a box", "csv": "has a box with x0 'x'",
                        "labelme": "has no points that are pairs of numbers"},
    (float("nan"), 20, 40, 60): {"coco": "is empty: not all of it are numbers", "csv": "not all of it are numbers",
                                 "via": "without the numbers", "labelme": "no points that are pairs of numbers",
                                 "voc": "not all of it are numbers"},
    (40, 60, 10, 20): {"coco": "its width or its height is below 0", "via": "its width or its height is below 0",
                       "voc": "corners are in the wrong order", "csv": "corners are in the wrong order"},
}  # fmt: skip


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("values", WRONG, ids=str)
def test_a_wrong_box_is_one_line_and_the_other_image_goes_on(values, format_, tmp_path, caplog):
    import re

    for name in "ab":
        picture(tmp_path / f"{name}.png")
    annotate(tmp_path, format_, {"a": [a_box(format_, RIGHT), a_box(format_, values)], "b": [a_box(format_, RIGHT)]})
    found, lines, _ = told(tmp_path, caplog)
    what = WRONG[values] if isinstance(WRONG[values], str) else WRONG[values].get(format_)
    if what is None:  # two corners of a rectangle of LabelMe have no order
        assert found["a"] == ((*RIGHT, "glioma"),)
        return
    assert found == {"b": ((*RIGHT, "glioma"),)} and len(lines) == 1
    assert what in lines[0] or re.search(what, lines[0]), lines[0]
    assert f"{tmp_path}/" in lines[0] and lines[0].endswith(")")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_box_that_stands_there_twice_is_read_once_and_named(format_, tmp_path, caplog):
    picture(tmp_path / "a.png")
    annotate(tmp_path, format_, {"a": [a_box(format_, RIGHT)] * 2})
    found, lines, _ = told(tmp_path, caplog)
    assert found == {"a": ((*RIGHT, "glioma"),)}
    assert len(lines) == 1 and "1 repeated boxes in" in lines[0] and "the first 10 20 40 60" in lines[0]


@pytest.mark.parametrize("format_", FORMATS)
def test_an_image_that_is_not_there_and_one_without_an_annotation(format_, tmp_path, caplog):
    for name in ("a", "none", "bare"):
        picture(tmp_path / f"{name}.png")
    annotate(tmp_path, format_, {"a": [a_box(format_, RIGHT)], "none": [], "gone": [a_box(format_, RIGHT)]})
    found, lines, unannotated = told(tmp_path, caplog)
    if format_ == "csv":  # a table may be a reference without images; reading the image says that it is not there
        assert found == {"a": ((*RIGHT, "glioma"),), "none": (), "gone": ((*RIGHT, "glioma"),)}
        return
    assert found == {"a": ((*RIGHT, "glioma"),), "none": ()} and unannotated == ["bare"]
    assert len(lines) == 1 and "has annotations of 1 image that is not there: gone.png" in lines[0]


@pytest.mark.parametrize("format_", ["coco", "voc", "labelme"])
@pytest.mark.parametrize("size, what", [
    ((400, 200), "are of an image of 400 x 200 (scale the boxes"),
    ((HEIGHT, WIDTH), "are of an image of 100 x 200 (exchange width and height there"),
    (("wide", 100), "states the size 'wide' x '100', which is none"), ((0, 0), None), (("200", "100.0"), None),
])
def test_the_size_of_another_image(format_, size, what, tmp_path, caplog):
    picture(tmp_path / "a.png")
    annotate(tmp_path, format_, {"a": [a_box(format_, RIGHT)]}, size)
    found, lines, _ = told(tmp_path, caplog)
    if what is None:
        assert len(found["a"]) == 1 and not lines
    else:
        assert found == {} and len(lines) == 1 and what in lines[0]


@pytest.mark.parametrize("name", ["a b.png", "scan (1).png", "Gehirn größe.png", "脑 1.png", "50%.png", "a'b&c.png"])
@pytest.mark.parametrize("spelt", ["{}", "C:\\Users\\me\\{}", "/home/me/set/{}", "./{}", "file:///x/{}", " {} ",
                                   "upper", "decomposed", "quoted"])
@pytest.mark.parametrize("format_", ["coco", "via"])
def test_names_as_other_machines_write_them(format_, spelt, name, tmp_path, caplog):
    import unicodedata
    from urllib.parse import quote

    picture(tmp_path / name)
    written = {"upper": name[:-3] + "PNG", "decomposed": unicodedata.normalize("NFD", name),
               "quoted": quote(name)}.get(spelt, spelt.format(name))
    annotate(tmp_path, format_, {written[:-4]: [a_box(format_, RIGHT)]})
    text = (tmp_path / f"{format_}.json").read_text()
    (tmp_path / f"{format_}.json").write_text(text.replace(json.dumps(written[:-4] + ".png")[1:-1],
                                                           json.dumps(written)[1:-1]))
    found, lines, _ = told(tmp_path, caplog)
    assert list(found) == [name[:-4]] and len(found[name[:-4]]) == 1 and not lines


def test_one_name_in_two_folders_is_told_apart_by_its_path_or_is_an_error(tmp_path, caplog):
    for part in ("train", "val"):
        picture(tmp_path / f"set/{part}/a.png")
    annotate(tmp_path, "coco", {"D:/other/val/a": [a_box("coco", RIGHT)]})
    found, lines, unannotated = told(tmp_path, caplog)
    assert list(found) == ["set/val/a"] and not lines and unannotated == ["a"]
    annotate(tmp_path, "coco", {"a": [a_box("coco", RIGHT)]})
    found, lines, _ = told(tmp_path, caplog)
    assert found == {} and len(lines) == 1
    assert "names a.png, which may be any of 2 images" in lines[0]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", "utf-16"])
@pytest.mark.parametrize("format_", FORMATS)
def test_byte_order_marks_and_line_ends_of_windows(format_, mark, tmp_path, caplog):
    picture(tmp_path / "a.png")
    annotate(tmp_path, format_, {"a": [a_box(format_, RIGHT)]})
    path = next(path for path in tmp_path.iterdir() if path.suffix != ".png")
    text = path.read_text().replace("\n", "\r\n")
    path.write_bytes(text.encode("utf-16") if mark == "utf-16" else mark + text.encode())
    found, lines, _ = told(tmp_path, caplog)
    assert found == {"a": ((*RIGHT, "glioma"),)} and not lines


@pytest.mark.parametrize("text", ["", "  \n", "{", None])
@pytest.mark.parametrize("format_", ["coco", "voc", "via", "labelme"])
def test_a_damaged_or_empty_file_is_named_and_no_image_is_a_negative(format_, text, tmp_path, caplog):
    picture(tmp_path / "a.png")
    annotate(tmp_path, format_, {"a": [a_box(format_, RIGHT)]})
    path = next(path for path in tmp_path.iterdir() if path.suffix != ".png")
    path.write_text(path.read_text()[:-9] if text is None else text)
    found, lines, unannotated = told(tmp_path, caplog)
    if text == "{" and format_ != "voc":
        return  # nothing says that it is an annotation file
    assert found == {} and len(lines) == 1 and str(path) in lines[0]
    assert ("is an empty annotation file" if text is not None and not text.strip() else "is no ") in lines[0] or (
        "that is no JSON" in lines[0])


COCO = {  # change of a COCO file -> (images with boxes that are left, what the line says)
    "no images": (lambda c: c.pop("images"), {}, "has no images, which a COCO file has"),
    "no annotations": (lambda c: c.pop("annotations"), {}, "has no annotations, which a COCO file has"),
    "annotations no list": (lambda c: c.update(annotations={}), {}, "has dict, no list, as annotations"),
    "no file_name": (lambda c: c["images"][0].pop("file_name"), {"b": 1}, "image 1 has no file_name"),
    "no id": (lambda c: c["images"][0].pop("id"), {"b": 1}, "image 0 has no id"),
    "one id": (lambda c: c["images"][1].update(id=1), {}, "has two images of id 1: a.png and b.png"),
    "no image_id": (lambda c: c["annotations"][0].pop("image_id"), {"b": 1}, "1 annotations have no image_id: 1"),
    "other image_id": (lambda c: c["annotations"][0].update(image_id=77), {"a": 0, "b": 1},
                       "1 annotations are of images that the file does not list: 77"),
    "image ids from 0": (lambda c: [note.update(image_id=note["image_id"] - 1) for note in c["annotations"]], {},
                         "image_id of its annotations seems to be off by one: 0 is there and 2 is not"),
    "category ids from 0": (lambda c: [note.update(category_id=4) for note in c["annotations"]], {},
                            "category_id of its annotations seems to be off by one: 4 is there and 5 is not"),
    "category without name": (lambda c: c["categories"][0].pop("name"), {}, "category 5 has no name"),
    "no categories": (lambda c: c.pop("categories"), {"a": 1, "b": 1}, "has no categories, the classes of its boxes"),
    "corners": (lambda c: c["annotations"][0].update(bbox=[100, 60, 150, 90]), {"b": 1},
                "(give x y width height, if these are corners)"),
    "corners by area": (lambda c: [note.update(bbox=[10, 20, 40, 60], area=1200) for note in c["annotations"]], {},
                        "seems to hold the corners x0 y0 x1 y1"),
    "areas": (lambda c: [note.update(area=1200) for note in c["annotations"]], {"a": 1, "b": 1}, None),
    "an address": (lambda c: c["images"][0].update(file_name="https://host/x/a.png?token=1"), {"a": 1, "b": 1}, None),
    "two spellings": (lambda c: (c["categories"].append({"id": 6, "name": "Glioma "}),
                                 c["categories"].append({"id": 7, "name": "GLIOMA"}),
                                 c["annotations"][0].update(category_id=7)), {"a": 1, "b": 1},
                      "reads 'GLIOMA' of 1 boxes, 'glioma' of 1 boxes as different classes"),
    "two entries": (lambda c: c["images"].append({"id": 3, "file_name": "a.png"}), {"b": 1},
                    "has two entries in"),
    "ids as text": (lambda c: [note.update(image_id=str(note["image_id"])) for note in c["annotations"]],
                    {"a": 1, "b": 1}, None),
    "numbers as text": (lambda c: c["annotations"][0].update(bbox=["10", "20", "30", "40"]), {"a": 1, "b": 1}, None),
    "ids as 1.0": (lambda c: [note.update(image_id=float(note["image_id"])) for note in c["annotations"]],
                   {"a": 1, "b": 1}, None),
}


@pytest.mark.parametrize("name", COCO)
def test_what_is_wrong_with_a_coco_file(name, tmp_path, caplog):
    change, left, what = COCO[name]
    for image in "ab":
        picture(tmp_path / f"{image}.png")
    annotate(tmp_path, "coco", {image: [a_box("coco", RIGHT)] for image in "ab"})
    content = json.loads((tmp_path / "coco.json").read_text())
    content["annotations"][1]["id"] = 2
    change(content)
    write(tmp_path / "coco.json", content)
    found, lines, _ = told(tmp_path, caplog)
    assert {image: len(boxes) for image, boxes in found.items()} == left
    assert not lines if what is None else any(what in line for line in lines), lines


VIA = {
    "no filename": (lambda c: c["a.png9"].pop("filename"), ["b"], "entry a.png9: has no filename"),
    "no regions": (lambda c: c["a.png9"].pop("regions"), ["b"], "entry a.png9: has no regions"),
    "regions no list": (lambda c: c["a.png9"].update(regions="none"), ["b"], "has str, no list, as regions"),
    "no shape": (lambda c: c["a.png9"]["regions"][0].pop("shape_attributes"), ["b"], "region 1: has no shape_attrib"),
    "region no dict": (lambda c: c["a.png9"].update(regions=[7]), ["b"], "region 1: has no shape_attributes"),
    "point": (lambda c: c["a.png9"]["regions"][0].update(shape_attributes={"name": "point", "cx": 1, "cy": 2}), ["b"],
              "region 1: is a point without the numbers that make a box"),
    "odd polygon": (lambda c: c["a.png9"]["regions"][0].update(shape_attributes={
        "name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]}), ["b"], "is a polygon without"),
    "negative circle": (lambda c: c["a.png9"]["regions"][0].update(shape_attributes={
        "name": "circle", "cx": 50, "cy": 50, "r": -9}), ["b"], "is a circle without the numbers"),
    "circle outside": (lambda c: c["a.png9"]["regions"][0].update(shape_attributes={
        "name": "circle", "cx": 50, "cy": 50, "r": 90}), ["b"], "lies outside the image"),
    "no class": (lambda c: c["a.png9"]["regions"][0].pop("region_attributes"), ["a", "b"], None),
}


@pytest.mark.parametrize("name", VIA)
def test_what_is_wrong_with_a_via_file(name, tmp_path, caplog):
    change, left, what = VIA[name]
    for image in "ab":
        picture(tmp_path / f"{image}.png")
    annotate(tmp_path, "via", {image: [a_box("via", RIGHT)] for image in "ab"})
    content = json.loads((tmp_path / "via.json").read_text())
    change(content)
    write(tmp_path / "via.json", content)
    found, lines, _ = told(tmp_path, caplog)
    assert list(found) == left
    assert not lines if what is None else len(lines) == 1 and what in lines[0], lines


VIA_HEADER = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
VIA_ROW = '"{""name"":""rect"",""x"":10,""y"":20,""width"":30,""height"":40}","{""class"":""glioma""}"'


@pytest.mark.parametrize("rows, what", [
    (f"a.png,-1,{{}},2,0,{VIA_ROW}\n", "has 1 regions of a.png, where its region_count says 2"),
    ("a.png,-1,{},1,0,{name:rect},{}\n", "line 2: has a region that is no JSON"),
    ("a.png,-1,{},1,0,\"{}\",{}\n", "has 0 regions of a.png, where its region_count says 1"),
    (f",9,{{}},1,0,{VIA_ROW}\n", "line 2: has no filename"),
    (f"a,.png,-1,{{}},1,0,{VIA_ROW}\n", "line 2: has a region that is no JSON: the row has not as many fields"),
    ("a.png,-1,{},1\n", "line 2: has a region that is no JSON: the row has not as many fields as the header"),
    ("a.png,-1,{},none,0,7,{}\n", "line 2: has a region that is no JSON: no {…}"),
])
def test_what_is_wrong_with_a_via_table(rows, what, tmp_path, caplog):
    picture(tmp_path / "a.png")
    (tmp_path / "via.csv").write_text(VIA_HEADER + rows)
    found, lines, _ = told(tmp_path, caplog)
    assert found == {} and len(lines) == 1 and what in lines[0]


@pytest.mark.parametrize("change, what", [
    ({"shapes": None}, "has no shapes"), ({"shapes": {}}, "has dict, no list, as shapes"),
    ({"shapes": [{"label": ["x"], "points": [[1, 2], [30, 40]]}]}, "shape 1: has list, no text, as label"),
    ({"shapes": [{"label": "x", "points": ["12", [30, 40]]}]}, "shape 1: has no points that are pairs"),
    ({"shapes": [{"label": "x", "points": [[True, 2], [30, 40]]}]}, "shape 1: has no points that are pairs"),
    ({"shapes": [7]}, "shape 1: has no points"), ({"shapes": [{"label": "x"}]}, "shape 1: has no points"),
    ({"shapes": [{"label": "x", "shape_type": "circle", "points": [[9, 9]]}]}, "shape 1: has no points"),
    ({"imagePath": "gone.png"}, None), ({"imagePath": None}, None), ({"imagePath": 7}, None),
    ({"imagePath": "..\\x\\b.png"}, "has two annotation files"),
])
def test_what_is_wrong_with_a_labelme_file(change, what, tmp_path, caplog):
    for image in "ab":
        picture(tmp_path / f"{image}.png")
    annotate(tmp_path, "labelme", {"a": [a_box("labelme", (1, 2, 30, 40))], "b": [a_box("labelme", RIGHT)]})
    content = json.loads((tmp_path / "a.json").read_text())
    write(tmp_path / "a.json", {**content, **change})
    found, lines, _ = told(tmp_path, caplog)
    assert not lines and len(found) == 2 if what is None else len(lines) == 1 and what in lines[0], lines


@pytest.mark.parametrize("header, row, boxes", [
    ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.png,200,100,glioma,10,20,40,60", 1),
    ("image_path,x1,y1,x2,y2,label", "sub\\a.png,10,20,40,60,glioma", 1),
    ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.png,400,200,glioma,10,20,40,60", "of an image of 400 x 200"),
    ("file,x0,y0,x1,y1,class", "a.png,10,20,40,,glioma", "line 2: a.png has a box without y1"),
    ("file,x0,y0,x1,y1,class", "a.png,,20,40,60,glioma", "line 2: a.png has a box without x0"),
    ("file,x0,y0,x1,y1,class", "gone.png,40,20,10,60,glioma", "its corners are in the wrong order"),
])  # fmt: skip
def test_tables_of_boxes(header, row, boxes, tmp_path, caplog):
    for name in ("a", "sub/a"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    found, lines, _ = told(tmp_path / "t.csv", caplog)
    if boxes == 1:
        assert [*found.values()] == [((*RIGHT, "glioma"),)] and not lines
    else:
        assert found == {} and len(lines) == 1 and boxes in lines[0]


def test_two_bad_boxes_of_an_image_are_counted(tmp_path):
    picture(tmp_path / "a.png")
    annotate(tmp_path, "voc", {"a": [a_box("voc", (5, 5, 5, 9)), a_box("voc", (50, 5, 5, 9))]})
    found, errors = with_errors(tmp_path)
    assert found == [] and len(errors) == 1 and "; so are 1 more of its boxes" in errors[0]


def test_one_pixel_images_are_no_shares(tmp_path):
    save(tmp_path / "a.png", np.zeros((1, 9), np.uint8))
    annotate(tmp_path, "voc", {"a": [a_box("voc", (0, 0, 1, 1))]}, (9, 1))
    assert with_errors(tmp_path) == (["a"], [])


def test_annotation_files_named_for_parts_are_a_given_split(tmp_path, caplog):
    for name in "abcdef":
        picture(tmp_path / f"images/{name}.png")
    for part, names in (("train2017", "abcd"), ("val2017", "def")):
        annotate(tmp_path, "coco", {name: [a_box("coco", RIGHT)] for name in names})
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "coco.json").rename(tmp_path / f"annotations/instances_{part}.json")
    with caplog.at_level(logging.WARNING, "mrilib"):
        parts = {case.id[-1]: case.part for case in cases.find([tmp_path])}
    assert parts == {**dict.fromkeys("abc", "train"), **dict.fromkeys("def", "validation")}
    assert "1 images are listed in several parts, such as d.png" in caplog.text


@pytest.mark.parametrize("size, changed", [("own", False), (9, True), ("9", True), (None, False), (-1, False)])
def test_image_files_of_another_size_than_the_annotator_saw(size, changed, tmp_path, caplog):
    picture(tmp_path / "a.png")
    annotate(tmp_path, "via", {"a": [a_box("via", RIGHT)]})
    content = json.loads((tmp_path / "via.json").read_text())
    content["a.png9"]["size"] = (tmp_path / "a.png").stat().st_size if size == "own" else size
    write(tmp_path / "via.json", content)
    found, lines, _ = told(tmp_path, caplog)
    assert found == {"a": ((*RIGHT, "glioma"),)} and len(lines) == changed
    assert not changed or "1 of 1 image files are not as large, in bytes, as when they were annotated" in lines[0]
