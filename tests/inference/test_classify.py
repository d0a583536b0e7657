import numpy as np
import pytest

from mrilib.errors import CaseError, UsageError
from mrilib.inference.classify import average, check_model, predict
from mrilib.inference.ensemble import check_records, seen_by

RECORD = {"task": "classify", "classes": ["no", "yes"], "channels": ["image"], "shape": [32, 32, 1],
          "recipe": {"format": 1, "steps": []}}  # fmt: skip
ARRAYS = list(np.random.default_rng(0).normal(size=(11, 32, 32, 1)).astype(np.float32))


@pytest.fixture(scope="module")
def models():
    import keras

    from mrilib.models.classifier import classifier

    keras.utils.set_random_seed(0)
    return [classifier(name, (32, 32, 1), 2) for name in ("lenet", "small")]


def test_a_probability_does_not_depend_on_what_it_came_with(models):
    whole = predict(models[1], RECORD, ARRAYS, batch_size=4)
    assert whole.shape == (11, 2) and whole.dtype == np.float32
    assert whole.sum(-1) == pytest.approx(np.ones(11), abs=1e-6)
    order = np.random.default_rng(1).permutation(11)
    shuffled = predict(models[1], RECORD, [ARRAYS[i] for i in order[:7]], batch_size=4)
    assert np.array_equal(shuffled, whole[order[:7]])


def test_it_is_what_keras_predicts(models):
    assert predict(models[0], RECORD, ARRAYS) == pytest.approx(models[0].predict(np.array(ARRAYS), verbose=0), abs=1e-6)


def test_no_image_gives_no_row(models):
    assert predict(models[0], RECORD, []).shape == (0, 2)


def test_flips_average_the_image_with_its_mirror_image(models):
    plain = predict(models[0], RECORD, ARRAYS)
    mirrored = predict(models[0], RECORD, [a[:, ::-1] for a in ARRAYS])
    assert predict(models[0], RECORD, ARRAYS, flips=True) == pytest.approx((plain + mirrored) / 2, abs=1e-7)
    assert abs(plain - mirrored).max() > 1e-4


def test_several_models_are_averaged(models):
    each = [predict(model, RECORD, ARRAYS) for model in models]
    assert average(models, RECORD, ARRAYS) == pytest.approx(np.mean(each, 0), abs=1e-7)
    darker = [array - 1 for array in ARRAYS]
    each[1] = predict(models[1], RECORD, darker)  # each model its own array
    assert average(models, RECORD, list(zip(ARRAYS, darker, strict=True))) == pytest.approx(np.mean(each, 0), abs=1e-7)


def test_a_network_that_is_not_what_its_record_says_is_refused(models):
    check_model(models[0], RECORD, "m.h5")
    for wrong in ({"classes": ["a", "b", "c"]}, {"shape": [64, 32, 1]}):
        with pytest.raises(CaseError, match="its record says"):
            check_model(models[0], {**RECORD, **wrong}, "m.h5")


@pytest.mark.parametrize(("change", "said"), [
    ({"classes": ["no", "maybe"]}, "its classes is no maybe, not no yes"),
    ({"channels": ["t1"]}, "its channels is t1, not image"),
    ({"shape": [64, 64, 1]}, "its shape is 64 64 1"),
    ({"recipe": {"format": 1, "steps": [{"step": "zscore", "version": 1, "parameters": {}, "learned": {}}]}}, "zscore"),
])  # fmt: skip
def test_models_that_were_trained_otherwise_are_not_averaged(change, said):
    assert check_records({"a.h5": RECORD, "b.h5": dict(RECORD)}) is RECORD
    with pytest.raises(UsageError, match=f"b.h5: cannot be averaged with a.h5: .*{said}"):
        check_records({"a.h5": RECORD, "b.h5": {**RECORD, **change}})


@pytest.mark.parametrize(("change", "said"), [
    ({"task": "detect"}, "cannot apply"), ({"classes": ["a", "a"]}, "damaged"), ({"shape": [1, 2]}, "damaged"),
    ({"channels": ["a", "b"]}, "damaged"), ({"classes": "ab"}, "damaged"), ({"shape": ["x", 1, 1]}, "damaged"),
])  # fmt: skip
def test_a_record_that_cannot_be_is_refused(change, said):
    with pytest.raises(CaseError, match=said):
        check_records({"a.h5": {**RECORD, **change}})
    with pytest.raises(CaseError, match="b.h5: is a model to segment, not to classify"):
        check_records({"a.h5": RECORD, "b.h5": {**RECORD, "task": "segment"}})
    with pytest.raises(CaseError, match="lacks classes"):
        check_records({"a.h5": {k: v for k, v in RECORD.items() if k != "classes"}})


def test_a_case_that_any_model_trained_on_was_trained_on():
    def record(**parts):
        return {"training": {"cases": {name: {"content": name, "part": part} for name, part in parts.items()}}}

    seen = seen_by([record(a="validation", b="train"), record(a="train", b="validation", c="validation"), {}])
    assert seen == {"a": "train", "b": "train", "c": "validation"}
