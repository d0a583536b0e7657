"""Boxes from label maps."""

import numpy as np
import pytest
from pipeline_data import save

from mrilib import cases
from mrilib.cases import Reading
from mrilib.errors import UsageError
from mrilib.images import boxes
from mrilib.images.boxes import FromLabels


def label_map(*boxes_, size=(40, 60), value=1):
    array = np.zeros(size, np.uint8)
    for x0, y0, x1, y1 in boxes_:
        array[y0:y1, x0:x1] = value
    return array


def test_each_connected_component_is_a_box():
    one, other = (3, 5, 10, 9), (20, 5, 26, 30)
    assert boxes.of_label_map(label_map(one, other)) == [one, other]
    assert boxes.of_label_map(label_map()) == []
    assert boxes.of_label_map(label_map((0, 0, 60, 40))) == [(0, 0, 60, 40)]
    assert boxes.of_label_map(label_map((3, 3, 4, 4), (4, 4, 5, 5))) == [(3, 3, 5, 5)]  # corners touch
    two = label_map(one) + label_map((10, 5, 12, 9), value=3)  # labels side by side are one tumour
    assert boxes.of_label_map(two) == [(3, 5, 12, 9)]


@pytest.mark.parametrize("spacing, merge, count", [((1, 1), 0, 3), ((1, 1), 3.9, 3), ((1, 1), 4, 2), ((1, 1), 10, 1),
                                                   ((1, 0.5), 2, 2), ((2, 2), 7, 3), ((2, 2), 8, 2)])
def test_components_within_a_distance_are_one_box(spacing, merge, count):
    label = label_map((2, 2, 6, 6), (9, 2, 12, 6), (21, 2, 25, 6))  # 4 and 10 pixels from centre to centre
    found = boxes.of_label_map(label, spacing, merge)
    assert len(found) == count
    assert found[0] == ((2, 2, 6, 6) if count == 3 else (2, 2, 12, 6) if count == 2 else (2, 2, 25, 6))


def test_small_components_are_left_out_after_they_are_joined():
    label = label_map((2, 2, 4, 4), (5, 2, 7, 4), (30, 2, 32, 4))  # 4 pixels each
    assert boxes.of_label_map(label, smallest=4) == [(2, 2, 4, 4), (5, 2, 7, 4), (30, 2, 32, 4)]
    assert boxes.of_label_map(label, smallest=5) == []
    assert boxes.of_label_map(label, merge=2, smallest=5) == [(2, 2, 7, 4)]
    assert boxes.of_label_map(label, (0.5, 0.5), smallest=1.5) == []


def test_cases_are_read_with_the_boxes_of_their_label_maps(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "none", "bare"):
        save(tmp_path / f"set/images/{name}.png", rng.integers(0, 255, (40, 60)).astype(np.uint8))
    save(tmp_path / "set/masks/a.png", label_map((3, 5, 10, 9), (20, 5, 26, 30)))
    save(tmp_path / "set/masks/b.png", label_map((1, 1, 2, 2), value=255))
    save(tmp_path / "set/masks/none.png", label_map())
    left = []
    found = {case.id: case.boxes for case in cases.find([tmp_path], Reading(boxes_from=FromLabels(smallest=2)),
                                                        on_unused=left.append)}
    assert found == {"set/images/a": ((3, 5, 10, 9, None), (20, 5, 26, 30, None)), "set/images/b": (),
                     "set/images/none": ()}
    assert [path.stem for path in left[0].unannotated] == ["bare"] and left[0].images == ()


def test_the_table_of_a_data_set_and_its_label_maps_agree(tmp_path):
    for name, box in (("a", (3, 5, 10, 9)), ("b", (20, 5, 26, 30))):
        save(tmp_path / f"images/{name}.png", np.full((40, 60), 9, np.uint8))
        save(tmp_path / f"masks/{name}.png", label_map(box))
    (tmp_path / "cases.csv").write_text("file,class,x0,y0,x1,y1\nimages/a.png,glioma,3,5,10,9\n"
                                        "images/b.png,other,20,5,26,30\n")
    assert [case.boxes for case in cases.find([tmp_path])] == [
        case.boxes for case in cases.find([tmp_path], Reading(boxes_from=FromLabels()))]


def test_boxes_of_a_volume_have_slices_too(tmp_path):
    import SimpleITK as sitk

    label = np.zeros((8, 9, 10), np.uint8)
    label[2:4, 3:6, 1:3] = 1
    label[7, 8, 9] = 2
    for name in ("p-t1", "p-seg"):
        path = tmp_path / f"p/{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(label), str(path))
    read = [case.boxes for case in cases.find([tmp_path], Reading(boxes_from=FromLabels(smallest=2)))]
    assert read == [((1, 3, 3, 6, None, "", 2, 4),)]
    assert boxes.of_label_map(label, (1, 1, 1), merge=9) == [(1, 3, 10, 9, 2, 8)]


def test_what_has_no_boxes():
    with pytest.raises(UsageError, match="merge: -1 is below 0"):
        FromLabels(merge=-1)
