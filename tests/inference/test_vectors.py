import numpy as np
import pytest
from model_records import map_record

from mrilib.errors import CaseError
from mrilib.inference.ensemble import check_shapes, mean_vectors, vectors
from mrilib.inference.models import seen_by

ARRAYS = list(np.random.default_rng(0).normal(size=(11, 32, 32, 1)).astype(np.float32))


@pytest.fixture(scope="module")
def models():
    import keras

    from mrilib.models.classifier import classifier

    keras.utils.set_random_seed(0)
    return [classifier(name, (32, 32, 1), 2) for name in ("lenet", "small")]


def test_a_probability_does_not_depend_on_what_it_came_with(models):
    whole = vectors(models[1], ARRAYS, batch_size=4)
    assert whole.shape == (11, 2) and whole.dtype == np.float32
    assert whole.sum(-1) == pytest.approx(np.ones(11), abs=1e-6)
    order = np.random.default_rng(1).permutation(11)
    shuffled = vectors(models[1], [ARRAYS[i] for i in order[:7]], batch_size=4)
    assert np.array_equal(shuffled, whole[order[:7]])


def test_it_is_what_keras_predicts(models):
    assert vectors(models[0], ARRAYS) == pytest.approx(models[0].predict(np.array(ARRAYS), verbose=0), abs=1e-6)


def test_no_image_gives_no_row(models):
    assert vectors(models[0], []).shape == (0, 2)


def test_flips_average_the_image_with_its_mirror_image(models):
    plain = vectors(models[0], ARRAYS)
    mirrored = vectors(models[0], [a[:, ::-1] for a in ARRAYS])
    assert vectors(models[0], ARRAYS, flips=True) == pytest.approx((plain + mirrored) / 2, abs=1e-7)
    assert abs(plain - mirrored).max() > 1e-4


def test_several_models_are_averaged(models):
    each = [vectors(model, ARRAYS) for model in models]
    assert mean_vectors(models, ARRAYS) == pytest.approx(np.mean(each, 0), abs=1e-7)
    darker = [array - 1 for array in ARRAYS]
    each[1] = vectors(models[1], darker)  # each model its own array
    assert mean_vectors(models, list(zip(ARRAYS, darker, strict=True))) == pytest.approx(np.mean(each, 0), abs=1e-7)


def test_a_network_that_is_not_what_its_record_says_is_refused(models):
    check_shapes(models[0], (32, 32, 1), (2,), "m.h5")
    for taken, given in (((32, 32, 1), (3,)), ((64, 32, 1), (2,))):
        with pytest.raises(CaseError, match="its record says"):
            check_shapes(models[0], taken, given, "m.h5")


def test_a_case_that_any_model_trained_on_was_trained_on():
    def record(**parts):
        cases = {name: {"content": name, "part": part} for name, part in parts.items()}
        return map_record(training={"cases": cases} if cases else {})

    seen = seen_by([record(a="validation", b="train"), record(a="train", b="validation", c="validation"), record()])
    assert seen == {"a": "train", "b": "train", "c": "validation"}
