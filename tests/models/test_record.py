"""Typed records of model files: what is read comes out the same, and what cannot be right is named."""

import pytest

from mrilib.errors import CaseError, UsageError
from mrilib.inference.ensemble import typed
from mrilib.models.record import ClassRecord, ImageRecord, MapRecord

CLASSES = {"task": "classify", "classes": ["no", "yes"], "channels": ["image"], "shape": [32, 32, 1],
           "recipe": {"format": 1, "steps": []}}  # fmt: skip
MAPS = {"task": "segment", "dimension": 2, "context": 1, "patch": [32, 32], "channels": ["t1", "flair"],
        "spacing": [1.0, 1.0, 1.0], "scheme": "brats2023", "values": [0, 1, 2, 3], "regions": None, "paint": None,
        "recipe": {"format": 1, "steps": []}}  # fmt: skip


@pytest.mark.parametrize(("kind", "record"), [
    (ClassRecord, {**CLASSES, "format": 1, "run": {"seed": 0}, "training": {"cases": {"a": {"part": "train"}}},
                   "settings": {}, "architecture": {}, "spacing": None}),
    (MapRecord, {**MAPS, "format": 1, "postprocess": {}, "training": {}, "settings": {}, "architecture": {}}),
])  # fmt: skip
def test_a_record_comes_back_as_it_was(kind, record):
    assert kind.from_dict(record).to_dict() == record


@pytest.mark.parametrize(("kind", "record", "change", "said"), [
    (ClassRecord, CLASSES, {"classes": ["a", "a"]}, "classes are not two or more names"),
    (ClassRecord, CLASSES, {"classes": "ab"}, "classes are not two or more names"),
    (ClassRecord, CLASSES, {"shape": [1, 2]}, "channels and shape"),
    (ClassRecord, CLASSES, {"shape": ["x", 1, 1]}, "channels and shape"),
    (ClassRecord, CLASSES, {"shape": [True, 32, 1]}, "channels and shape"),
    (ClassRecord, CLASSES, {"channels": ["a", "b"]}, "channels and shape"),
    (ClassRecord, CLASSES, {"channels": "a"}, "channels and shape"),
    (ClassRecord, CLASSES, {"recipe": None}, "recipe"),
    (ClassRecord, CLASSES, {"training": []}, "training"),
    (ImageRecord, CLASSES, {"channels": [1]}, "channels are not names"),
    (MapRecord, MAPS, {"dimension": 3}, "dimension and patch"),
    (MapRecord, MAPS, {"patch": [32, 0]}, "dimension and patch"),
    (MapRecord, MAPS, {"context": -1}, "context"),
    (MapRecord, MAPS, {"dimension": 3, "patch": [32, 32, 32]}, "no context of slices"),
    (MapRecord, MAPS, {"spacing": [1.0, 0, 1.0]}, "spacing"),
    (MapRecord, MAPS, {"values": [1, 2]}, "values"),
    (MapRecord, MAPS, {"values": [0, 1, 1]}, "values"),
    (MapRecord, MAPS, {"regions": {"WT": [1, 2, 3]}, "paint": []}, "regions and paint"),
    (MapRecord, MAPS, {"regions": {}, "paint": []}, "regions and paint"),
    (MapRecord, MAPS, {"scheme": "nothing"}, "scheme"),
    (MapRecord, MAPS, {"postprocess": []}, "postprocess"),
])  # fmt: skip
def test_a_record_that_cannot_be_right_is_refused(kind, record, change, said):
    with pytest.raises(CaseError, match=f"m.h5: its record is damaged: .*{said}"):
        kind.from_dict({**record, **change}, where="m.h5")


@pytest.mark.parametrize(("kind", "record"), [(ClassRecord, CLASSES), (MapRecord, MAPS)])
def test_a_missing_key_is_named(kind, record):
    for key in record.keys() - {"task", "paint"}:
        with pytest.raises(CaseError, match=f"its record lacks {key}"):
            kind.from_dict({name: value for name, value in record.items() if name != key})


@pytest.mark.parametrize(("kind", "record", "change", "said"), [
    (ClassRecord, CLASSES, {"classes": ["no", "maybe"]}, "its classes is no maybe, not no yes"),
    (ClassRecord, CLASSES, {"channels": ["t1"]}, "its channels is t1, not image"),
    (ClassRecord, CLASSES, {"shape": [64, 64, 1]}, "its shape is 64 64 1"),
    (ClassRecord, CLASSES, {"recipe": {"format": 1, "steps": [{"step": "zscore", "parameters": {}}]}}, "zscore"),
    (MapRecord, MAPS, {"scheme": "brats2020", "values": [0, 1, 2, 4]}, "its scheme is brats2020"),
    (MapRecord, MAPS, {"spacing": None}, "its spacing is None"),
    (MapRecord, MAPS, {"regions": {"WT": [1, 2, 3]}, "paint": [2]}, "painted"),
])  # fmt: skip
def test_models_that_were_trained_otherwise_are_not_averaged(kind, record, change, said):
    typed({"a.h5": record, "b.h5": dict(record)}, kind)
    with pytest.raises(UsageError, match=f"b.h5: cannot be averaged with a.h5: .*{said}"):
        typed({"a.h5": record, "b.h5": {**record, **change}}, kind)


def test_nearly_equal_spacings_and_other_patches_are_averaged():
    typed({"a": MAPS, "b": {**MAPS, "spacing": [1.0, 1.005, 1.0], "patch": [64, 64], "context": 0}}, MapRecord)
