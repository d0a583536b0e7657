"""Boxes as YOLO, COCO, Pascal VOC, LabelMe and the VGG Image Annotator write them, and what may be wrong with them."""

import json
import math
import re

import numpy as np
import pytest
from pipeline_data import save

from mrilib import cases

WIDTH, HEIGHT = 200, 100


def picture(path, width=WIDTH, height=HEIGHT):
    save(path, np.zeros((height, width), np.uint8))


def found_in(path):
    """id -> case of a folder in which nothing is wrong."""
    return {case.id: case for case in cases.find([path])}


def boxes_in(path):
    return {name: case.boxes for name, case in found_in(path).items()}


def with_errors(path):
    errors = []
    found = [case.id for case in cases.find([path], on_error=errors.append)]
    return found, [str(error) for error in errors]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")


def test_yolo(tmp_path):
    for name in ("00054_145", "00054_164", "00056_110"):
        picture(tmp_path / f"images/{name}.png")
    write(tmp_path / "labels/00054_145.txt", "1 0.5 0.25 0.2 0.5\n0 0.1 0.5 0.2 1.0\n")
    write(tmp_path / "labels/00054_164.txt", "")
    found = found_in(tmp_path)
    assert {k: (c.subject, c.boxes) for k, c in found.items()} == {
        "images/00054_145": ("00054", ((80, 0, 120, 50, "1"), (0, 0, 40, 100, "0"))),
        "images/00054_164": ("00054", ())}  # an image without a text is left out, an empty text is a negative
    assert {c.layout for c in found.values()} == {"yolo"}
    assert len(found_in(tmp_path / "images")["00054_145"].boxes) == 2  # its texts lie beside the folder given
    (tmp_path / "data.yaml").write_text("path: here\nnames:\n  0: glioma\n  1: other kind\n")
    picture(tmp_path / "images/x.png")
    write(tmp_path / "labels/x.txt", "")
    found = found_in(tmp_path)
    assert found["images/00054_145"].boxes[0][4] == "other kind" and found["images/x"].subject is None


@pytest.mark.parametrize("names, lines, kind", [
    ("glioma\n", "0 0.5 0.25 0.2 0.5\n", "glioma"),
    ("glioma\r\nother\r\n\r\n", "1 0.5 0.25 0.2 0.5\r\n", "other"),
    ("﻿glioma\n", "﻿0 0.5 0.25 0.2 0.5", "glioma"),
    ("glioma\n", "0,0.5,0.25,0.2,0.5\n", "glioma"),
    ("glioma\n", "0, 0.5, 0.25, 0.2, 0.5,\n", "glioma"),
    ("glioma\n", "0\t0.5\t0.25\t0.2\t0.5\n\n", "glioma"),
    ("glioma\n", "0.000 5e-1 0.25 .2 0.5\n", "glioma"),
    ("glioma\n", "brain tumour 0.5 0.25 0.2 0.5\n", "brain tumour"),
    ("glioma\n", "0 0.4 0.0 0.6 0.1 0.6 0.5 0.5 0.2\n", "glioma"),
])  # fmt: skip
@pytest.mark.parametrize("place", ["labels", "Labels", "images", "annotations"])
def test_rows_of_yolo_as_programs_write_them(names, lines, kind, place, tmp_path):
    for name in ("scan 1.png", "scan 2.png"):
        picture(tmp_path / "images" / name)
        write(tmp_path / place / f"{name[:-4]}.txt", lines)
    write(tmp_path / place / "classes.txt", names)
    left = []
    found = list(cases.find([tmp_path], on_unused=left.append))
    assert [case.layout for case in found] == ["yolo", "yolo"] and left[0].others == ()
    for case in found:
        (*box, name), = case.boxes
        assert np.allclose(box, (80, 0, 120, 50)) and name == kind


@pytest.mark.parametrize("lines, what", [
    ("0 1.5 0.5 0.1 0.1\n", "x.txt, line 1: a box of YOLO lies in 0 to 1"),
    ("0 80 10 20 20\n", "x.txt, line 1: a box of YOLO lies in 0 to 1"),
    ("0 .1 .1 .2 .2 .3\n", "x.txt, line 1: is no line `class cx cy w h`"),
    ("0 .5 .5 .2 .2\n3 .5 .5 .2 .2\n", "x.txt, line 2: class 3 has no name in"),
    ("-1 .5 .5 .2 .2\n", "x.txt, line 1: class -1 is no whole number from 0"),
    ("0 .5 .5 0 .2\n", "x.txt, line 1: the box is empty"),
    ("0 .95 .5 .4 .2\n", "lies outside the image of 200 x 100 pixels"),
    ("0 .1 .1 .9 .7\n", "(give the centre, width and height, if these are corners)"),
    ("0 nan .5 .4 .2\n", "x.txt, line 1: is no line `class cx cy w h`"),
    ("0 .5 .5 -.2 .2\n", "x.txt, line 1: the box has a width or height below 0"),
    ("0.5 .5 .5 .2 .2\n", "x.txt, line 1: class 0.5 is no whole number from 0"),
    ("0 .5 .5 .2\n", "x.txt, line 1: is no line `class cx cy w h`"),
])  # fmt: skip
def test_wrong_rows_of_yolo_are_errors_of_their_case(lines, what, tmp_path):
    for name in "abx":
        picture(tmp_path / f"images/{name}.png")
        write(tmp_path / f"labels/{name}.txt", lines if name == "x" else "0 .5 .5 .2 .2\n")
    write(tmp_path / "classes.txt", "glioma\nother\n")
    found, errors = with_errors(tmp_path)
    assert found == ["images/a", "images/b"] and len(errors) == 1 and what in errors[0]


@pytest.mark.parametrize("yaml", ["names: [glioma, other]", "names: {0: glioma, 1: other}",
                                  "names:\n- glioma\n- other\n",
                                  "names:\r\n  0: glioma\r\n  1: 'other'\r\n", "names:\n  1: other\n  0: glioma\n"])
def test_class_names_of_a_yaml(yaml, tmp_path):
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", "0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n")
    write(tmp_path / "data.yaml", f"nc: 2\n{yaml}")
    assert [box[4] for box in boxes_in(tmp_path)["images/a"]] == ["glioma", "other"]


def coco(names="ab", **image):
    return {"images": [{"id": n, "file_name": f"{name}.png", **image} for n, name in enumerate(names, 1)],
            "annotations": [{"id": 9, "image_id": 1, "category_id": 5, "bbox": [2, 3, 4.5, 5]}],
            "categories": [{"id": 5, "name": "glioma"}]}


def test_coco(tmp_path):
    for name in "ab":
        picture(tmp_path / f"train/{name}.png")
    write(tmp_path / "train/_annotations.coco.json", coco("abcdef"))
    found, errors = with_errors(tmp_path)
    assert found == ["train/a", "train/b"]
    assert len(errors) == 1 and "has annotations of 4 images that are not there: c.png, d.png, e.png …" in errors[0]
    known = coco(width=WIDTH, height=HEIGHT)
    write(tmp_path / "train/_annotations.coco.json", known)
    assert boxes_in(tmp_path) == {"train/a": ((2, 3, 6.5, 8, "glioma"),), "train/b": ()}
    known["annotations"][0].update(iscrowd=1)
    known["images"][0]["id"] = known["images"][0]["id"] = "1"
    known["images"][0]["file_name"] = "C:\\data\\a.png"
    (tmp_path / "train/_annotations.coco.json").unlink()
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/x.json").write_text(json.dumps(known), encoding="utf-16")
    assert boxes_in(tmp_path) == {"train/a": ((2, 3, 6.5, 8, "glioma", "crowd"),), "train/b": ()}


@pytest.mark.parametrize("outline, box", [
    ([[10, 20, 30, 20, 30, 50]], (10, 20, 30, 50)),
    ([[10, 20, 30, 20, 30, 50], [60, 5, 70, 5, 70, 9]], (10, 5, 70, 50)),
    ({"size": [100, 200], "counts": [1020, 30, 70, 30, 100 * 200 - 1150]}, (10, 20, 12, 50)),
    ({"size": [100, 200], "counts": [1090, 20, 100 * 200 - 1110]}, (10, 0, 12, 100)),
])
def test_coco_without_boxes_is_read_from_its_outlines(outline, box, tmp_path):
    picture(tmp_path / "a.png")
    known = coco("a")
    known["annotations"] = [{"image_id": 1, "category_id": 5, "segmentation": outline}]
    write(tmp_path / "coco.json", known)
    assert boxes_in(tmp_path) == {"a": ((*box, "glioma"),)}


@pytest.mark.parametrize("change, what", [
    ({"bbox": None}, "annotation 9: has neither a bbox of four numbers nor a segmentation"),
    ({"bbox": [1, 2, 3]}, "annotation 9: has neither"),
    ({"bbox": ["left", 2, 3, 4]}, "annotation 9: has neither"),
    ({"bbox": {"x": 1, "y": 2}}, "annotation 9: has neither"),
    ({"bbox": None, "segmentation": {"size": [9, 9], "counts": "52U:"}}, "annotation 9: has neither"),
    ({"category_id": 77}, "annotation 9: has category 77, the categories are 5 glioma, 8 other"),
    ({"category_id": None}, "annotation 9: has no category_id, the categories are 5 glioma, 8 other"),
])  # fmt: skip
def test_what_is_wrong_with_a_coco_annotation_is_an_error_of_its_case(change, what, tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    known = coco("ab")
    known["categories"].append({"id": 8, "name": "other"})
    known["annotations"][0].update(change)
    write(tmp_path / "coco.json", known)
    found, errors = with_errors(tmp_path)
    assert found == ["b"] and len(errors) == 1 and what in errors[0]


def test_coco_of_other_images_is_an_error_of_each_case(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    known = coco(width=2 * WIDTH, height=2 * HEIGHT)
    known["images"][1].update(width=WIDTH, height=HEIGHT)
    write(tmp_path / "coco.json", known)
    found, errors = with_errors(tmp_path)
    assert found == ["b"]
    assert errors == [f"{tmp_path}/a.png: is 200 x 100 pixels, its boxes in {tmp_path}/coco.json are of an image of "
                      "400 x 200 (scale the boxes as the image was scaled, or give the image that was annotated)"]


BOXES = {  # a box that cannot be right -> what is said of it; x y width height
    (150, 20, 80, 30): "box 150 20 230 50 in .* lies outside the image of 200 x 100 pixels",
    (10, 20, 30, 100): "box 10 20 40 120 in .* lies outside the image",
    (-20, 20, 60, 30): "box -20 20 40 50 in .* lies outside the image",
    (300, 20, 30, 30): "box 300 20 330 50 in .* lies outside the image",
    (10, 20, 0, 30): "box 10 20 10 50 in .* is empty: it has no area",
    (40, 20, -30, 30): "box 40 20 10 50 in .*: its (corners are in the wrong order|width or its height is below 0)",
    (0.1, 0.2, 0.3, 0.4): "box 0.1 0.2 0.4 0.6 in .* is not larger than a pixel: its numbers seem to be shares",
    (math.nan, 20, 30, 30): "box nan 20 nan 50 in .* is empty|is a rect without the numbers",
    (math.inf, 20, 30, 30): "box inf 20 inf 50 in .* is empty|is a rect without the numbers",
}


def as_coco(path, box):
    known = coco("a")
    known["annotations"][0]["bbox"] = box
    write(path / "coco.json", known)


def as_voc(path, box, name="a", size=(WIDTH, HEIGHT)):
    x, y, w, h = box
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (x, y, x + w, y + h), strict=True)
    write(path / f"{name}.xml", f"""<annotation><folder>x</folder><filename>{name}.png</filename>
        <size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>
        <object><name>glioma</name><difficult>0</difficult><bndbox>
        {"".join(f"<{key}>{value}</{key}>" for key, value in corners)}</bndbox></object></annotation>""")


def as_via(path, box):
    shape = {"name": "rect", **dict(zip(("x", "y", "width", "height"), box, strict=True))}
    write(path / "via.json", {"a.png1234": {"filename": "a.png", "size": 1234, "file_attributes": {}, "regions": [
        {"shape_attributes": shape, "region_attributes": {"class": "glioma"}}]}})


def as_csv(path, box):
    x, y, w, h = box
    write(path / "cases.csv", f"file,x0,y0,x1,y1,class\na.png,{x},{y},{x + w},{y + h},glioma\n")


@pytest.mark.parametrize("make", [as_coco, as_voc, as_via, as_csv])
def test_a_box_outside_its_image_is_an_error_of_the_case(make, tmp_path):
    picture(tmp_path / "a.png")
    make(tmp_path, (10, 20, 30, 30))
    assert boxes_in(tmp_path) == {"a": ((10, 20, 40, 50, "glioma"),)}
    make(tmp_path, (-0.5, 20, 30, 80.5))  # by rounding
    assert boxes_in(tmp_path) == {"a": ((0, 20, 29.5, 100, "glioma"),)}
    for box, what in BOXES.items():
        make(tmp_path, box)
        found, errors = with_errors(tmp_path)
        assert found == [] and len(errors) == 1
        assert re.search(what, errors[0]), errors[0]


def test_voc(tmp_path):
    for name in ("a", "b c", "none"):
        picture(tmp_path / f"JPEGImages/{name}.png")
    for name in ("a", "b c"):
        as_voc(tmp_path / "Annotations", (10, 20, 30, 30), name)
    text = (tmp_path / "Annotations/b c.xml").read_text()
    text = text.replace("<difficult>0", "<difficult>1").replace("b c.png", "old name.png")
    (tmp_path / "Annotations/b c.xml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    left = []
    found = {case.id: case for case in cases.find([tmp_path], on_unused=left.append)}
    assert {name: case.boxes for name, case in found.items()} == {
        "JPEGImages/a": ((10, 20, 40, 50, "glioma"),), "JPEGImages/b c": ((10, 20, 40, 50, "glioma", "ignore"),)}
    assert {case.layout for case in found.values()} == {"voc"} and left[0].others == ()
    assert left[0].unannotated == (tmp_path / "JPEGImages/none.png",) and left[0].images == ()
    as_voc(tmp_path / "Annotations", (10, 20, 30, 30), "a", (400, 200))
    as_voc(tmp_path / "Annotations", (10, 20, 30, 30), "gone")
    found, errors = with_errors(tmp_path)
    assert found == ["JPEGImages/b c"]
    assert "has annotations of 1 image that is not there: gone.png" in errors[0] and "of 400 x 200" in errors[1]
    as_voc(tmp_path / "Annotations", (10, 20, 30, 30), "a", (0, 0))  # not stated
    (tmp_path / "Annotations/gone.xml").unlink()
    assert len(boxes_in(tmp_path)) == 2


def test_labelme(tmp_path):
    shapes = [{"label": "glioma", "shape_type": "rectangle", "points": [[40, 50], [10, 20]]},
              {"label": "glioma", "points": [[60, 10], [70, 30], [65, 40]]},
              {"label": "other", "shape_type": "circle", "points": [[100, 50], [103, 54]]}]
    picture(tmp_path / "img/a b.png")
    picture(tmp_path / "img/empty.png")
    write(tmp_path / "img/a b.json", {"version": "5.5.0", "shapes": shapes, "imagePath": "..\\img\\a b.png",
                                      "imageData": "QUJD", "imageHeight": HEIGHT, "imageWidth": WIDTH})
    found = found_in(tmp_path)
    assert {name: case.boxes for name, case in found.items()} == {
        "img/a b": ((10, 20, 40, 50, "glioma"), (60, 10, 70, 40, "glioma"), (95, 45, 105, 55, "other"))}
    assert {case.layout for case in found.values()} == {"labelme"}
    write(tmp_path / "img/empty.json", {"shapes": [{"label": "x", "shape_type": "point", "points": [[1, 2]]}],
                                        "imagePath": "empty.png"})
    found, errors = with_errors(tmp_path)
    assert found == ["img/a b"] and "empty.json, shape 1: is a point, which is no box" in errors[0]


VIA = {"rect": ({"x": 10, "y": 20, "width": 30, "height": 40}, (10, 20, 40, 60)),
       "circle": ({"cx": 50, "cy": 40, "r": 10}, (40, 30, 60, 50)),
       "ellipse": ({"cx": 50, "cy": 40, "rx": 20, "ry": 10}, (30, 30, 70, 50)),
       "polygon": ({"all_points_x": [10, 30, 20], "all_points_y": [5, 6, 25]}, (10, 5, 30, 25)),
       "polyline": ({"all_points_x": [10, 30, 20], "all_points_y": [5, 6, 27]}, (10, 5, 30, 27))}


@pytest.mark.parametrize("kind", ["json", "project", "numbered", "csv", "utf-16"])
def test_via(kind, tmp_path):
    regions = [({"name": name, **shape}, {"kind of it": {"solid": True, "cystic": False}, "Tumour": "glioma"})
               for name, (shape, _) in VIA.items()]
    picture(tmp_path / "images/a b.png")
    picture(tmp_path / "images/bare.png")
    if kind in ("csv", "utf-16"):
        rows = [f'a b.png,1,"{{}}",{len(regions)},{n},' + ",".join('"' + json.dumps(part).replace('"', '""') + '"'
                                                                   for part in region)
                for n, region in enumerate(regions)]
        text = ("filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
                "region_attributes\r\n" + "\r\n".join([*rows, 'bare.png,1,"{}",0,0,"{}","{}"']) + "\r\n")
        (tmp_path / "via.csv").write_bytes(text.encode("utf-8-sig" if kind == "csv" else "utf-16"))
    else:
        listed = [{"shape_attributes": shape, "region_attributes": attributes} for shape, attributes in regions]
        known = {"a b.png1": {"filename": "a b.png", "size": 1,
                              "regions": listed if kind != "numbered" else dict(enumerate(listed))},
                 "bare.png1": {"filename": "bare.png", "size": 1, "regions": []}}
        write(tmp_path / "via_region_data.json",
              {"_via_settings": {}, "_via_img_metadata": known} if kind == "project" else known)
    left = []
    found = {case.id: case for case in cases.find([tmp_path], on_unused=left.append)}
    assert {name: case.boxes for name, case in found.items()} == {
        "images/a b": tuple((*box, "glioma") for _, box in VIA.values()), "images/bare": ()}
    assert {case.layout for case in found.values()} == {"via"} and left[0].others == ()


def test_via_of_version_3(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "via_project.json", {
        "project": {"pname": "x"}, "config": {}, "attribute": {"1": {"aname": "class", "options": {"0": "glioma"}}},
        "file": {"1": {"fid": "1", "fname": "a.png", "src": "a.png"}}, "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"1_x": {"vid": "1", "z": [], "xy": [2, 10, 20, 30, 40], "av": {"1": "0"}},
                     "1_y": {"vid": "1", "z": [], "xy": [7, 10, 5, 30, 6, 20, 25], "av": {"1": "0"}}}})
    assert boxes_in(tmp_path) == {"a": ((10, 20, 40, 60, "glioma"), (10, 5, 30, 25, "glioma"))}


def test_a_region_that_is_no_box_is_an_error_of_its_case(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    shapes = {"a": {"name": "point", "cx": 3, "cy": 4}, "b": {"name": "rect", "x": 1, "y": 1, "width": 5, "height": 5}}
    write(tmp_path / "via.json", {name: {"filename": f"{name}.png", "regions": [{"shape_attributes": shape}]}
                                  for name, shape in shapes.items()})
    found, errors = with_errors(tmp_path)
    assert found == ["b"] and "a.png, region 1: is a point without the numbers that make a box" in errors[0]


@pytest.mark.parametrize("line", ["{}", "{} 1", "JPEGImages/{}.png", "/home/me/VOC/JPEGImages/{}.png", "{}.jpg"])
def test_lists_of_names_are_a_given_split(line, tmp_path):
    for name in "abcd":
        picture(tmp_path / f"JPEGImages/{name}.png")
        as_voc(tmp_path / "Annotations", (10, 20, 30, 30), name)
    for part, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        write(tmp_path / f"ImageSets/Main/{part}.txt", "".join(line.format(name) + "\r\n" for name in names))
    left = []
    found = list(cases.find([tmp_path], on_unused=left.append))
    assert [case.part for case in found] == ["train", "train", "validation", "test"] and left[0].others == ()
