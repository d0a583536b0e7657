from dataclasses import replace

import numpy as np
import pytest
from model_records import map_record

from mrilib.errors import CaseError, UsageError
from mrilib.inference.ensemble import typed
from mrilib.inference.segment import check_model, decode, head_box, probabilities
from mrilib.models.record import MapRecord

CHANNELS = ["t1", "flair"]
LABELS = map_record(patch=[8, 12, 12], channels=CHANNELS, scheme="brats2020", values=[0, 1, 2, 4])
FLAT = replace(LABELS, dimension=2, patch=[12, 12])
REGIONS = replace(LABELS, regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]}, paint=[2, 1, 4])


def network(record, size=1, seed=0):
    """A network of one convolution, which sees `size` voxels, or slices' pixels, each way."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    count = len(record.regions or record.values)
    kind = layers.Conv3D if record.dimension == 3 else layers.Conv2D
    image = keras.Input((*record.patch, len(record.channels) * (2 * record.context + 1)))
    x = kind(count, size, padding="same", kernel_initializer="glorot_normal", bias_initializer="glorot_normal")(image)
    return keras.Model(image, layers.Activation("sigmoid" if record.regions else "softmax",
                                                name="probabilities")(x))  # fmt: skip


def head(shape=(20, 40, 36), seed=0):
    """A bright box of noise in air, (z, y, x, 2) float32; and where it is."""
    rng = np.random.default_rng(seed)
    array = rng.normal(0, 0.01, (*shape, 2)).astype(np.float32)
    inside = tuple(slice(n // 4, n - n // 4) for n in shape)
    array[inside] += 2 + rng.normal(0, 0.3, array[inside].shape)
    return array, inside


@pytest.mark.parametrize("record", [LABELS, FLAT, REGIONS], ids=["labels", "slices", "regions"])
@pytest.mark.parametrize("shape", [(20, 40, 36), (6, 9, 50), (1, 40, 30)], ids=str)
def test_windows_change_nothing_for_a_network_that_sees_one_voxel(record, shape):
    array, inside = head(shape)
    model = network(record)
    found = probabilities([model], record, array, flips=False, overlap=0.6)
    weights, bias = (np.asarray(w) for w in model.weights)
    scores = array @ weights.reshape(2, -1) + bias
    wanted = 1 / (1 + np.exp(-scores))
    if not record.regions:
        wanted = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert found.dtype == np.float32 and found.shape == (*shape, wanted.shape[-1])
    assert found[inside] == pytest.approx(wanted[inside], abs=1e-5)


def test_each_model_is_given_its_own_array_and_windows():
    first, second = (head(seed=seed)[0] for seed in (0, 1))
    models = [network(LABELS, 3, seed=seed) for seed in (0, 1)]
    apart = [probabilities([m], LABELS, a) for m, a in zip(models, (first, second), strict=True)]
    assert probabilities(models, LABELS, (first, second)) == pytest.approx(np.mean(apart, 0), abs=1e-6)
    flat = replace(FLAT, context=1, patch=[8, 16])
    mixed = [models[0], network(flat, 3, seed=2)]
    apart = [probabilities([m], r, first) for m, r in zip(mixed, (LABELS, flat), strict=True)]
    assert probabilities(mixed, [LABELS, flat], first) == pytest.approx(np.mean(apart, 0), abs=1e-6)
    alike = probabilities(models, LABELS, first)
    assert probabilities(models, LABELS, (first, first)) == pytest.approx(alike, abs=1e-6)


def test_outside_the_head_all_is_background():
    array, inside = head((64, 64, 64))
    found = probabilities([network(LABELS)], LABELS, array)
    assert (found[0, 0, 0] == [1, 0, 0, 0]).all() and found.sum(-1) == pytest.approx(np.ones((64, 64, 64)), abs=1e-5)
    low, high = head_box(array)
    assert (low >= 6).all() and (high <= 58).all() and (low <= 16).all() and (high >= 48).all()
    assert (decode(found, LABELS)[: low[0]] == 0).all()
    empty = probabilities([network(REGIONS)], REGIONS, np.zeros((9, 9, 9, 2), np.float32))
    assert not empty.any()


def test_what_a_voxel_gets_depends_on_batches_by_rounding_at_most():  # some processors sum in another order
    array, _ = head()
    model = network(LABELS, 3)
    one = probabilities([model], LABELS, array, batch_size=1)
    for size in (3, 5):
        assert probabilities([model], LABELS, array, batch_size=size) == pytest.approx(one, abs=1e-6)


def test_inside_one_window_it_is_what_keras_predicts():
    record = replace(LABELS, patch=[20, 40, 36])
    array, inside = head()
    model = network(record, 3)
    found = probabilities([model], record, array, flips=False)
    assert found[inside] == pytest.approx(model.predict(array[None], verbose=0)[0][inside], abs=1e-6)


def test_mirror_images_are_averaged_so_that_a_mirrored_case_gives_a_mirrored_map():
    array, inside = head()
    record = replace(LABELS, patch=[20, 40, 36])
    model = network(record, 3)
    for flips, axes in ((True, (2,)), ("zyx", (0, 1, 2)), ("y", (1,))):
        plain = probabilities([model], record, array, flips=flips)
        mirrored = probabilities([model], record, np.ascontiguousarray(np.flip(array, axes[-1])), flips=flips)
        assert np.flip(mirrored, axes[-1])[inside] == pytest.approx(plain[inside], abs=1e-5)
    alone = probabilities([model], record, array, flips=False)
    other = probabilities([model], record, np.ascontiguousarray(array[:, :, ::-1]), flips=False)[:, :, ::-1]
    both = probabilities([model], record, array, flips=True)
    assert both[inside] == pytest.approx((alone + other)[inside] / 2, abs=1e-5)
    assert abs(alone - other)[inside].max() > 1e-3


def test_neighbouring_slices_are_channels_and_the_outermost_stand_twice():
    record = replace(FLAT, context=1, values=[0, 1, 2, 3, 4, 5], scheme="")
    model = network(record)
    model.set_weights([np.eye(6, dtype=np.float32)[None, None] * 3, np.zeros(6, np.float32)])
    array = np.full((3, 14, 14, 2), -1, np.float32)
    array[:, 3:11, 3:11] = np.arange(6).reshape(3, 1, 1, 2)  # channels 0 1, 2 3, 4 5 of three slices
    found = np.log(probabilities([model], record, array, flips=False)[:, 7, 7]) / 3
    found -= found[:, :1]
    assert found == pytest.approx(np.array([[0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 2, 3]]), abs=1e-4)


def test_several_models_are_averaged():
    array, inside = head()
    models = [network(LABELS, 3, seed) for seed in (0, 1)]
    each = [probabilities([m], LABELS, array) for m in models]
    assert probabilities(models, LABELS, array)[inside] == pytest.approx(np.mean(each, 0)[inside], abs=1e-6)


def test_labels_are_the_likeliest_and_regions_are_painted_in_order():
    p = np.array([[[[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]]], np.float32)
    assert decode(p, LABELS).tolist() == [[[0, 4]]] and decode(p, LABELS).dtype == np.uint8
    regions = np.array([[[[0.9, 0.6, 0.7], [0.9, 0.6, 0.2], [0.6, 0.5, 0.1], [0.1, 0.1, 0.1]]]], np.float32)
    assert decode(regions, REGIONS).tolist() == [[[4, 1, 2, 0]]]
    strict = replace(REGIONS, postprocess={"threshold": {"WT": 0.8, "ET": 0.75}})
    assert decode(regions, strict).tolist() == [[[1, 1, 0, 0]]]


def test_the_threshold_of_a_binary_model_is_that_of_its_probability():
    record = replace(LABELS, values=[0, 1], scheme="binary", postprocess={"threshold": {"tumour": 0.3}})
    p = np.random.default_rng(0).random((4, 5, 6), np.float32)
    assert np.array_equal(decode(np.stack([1 - p, p], -1), record), p > 0.3)


def test_wrong_input_and_settings_are_refused():
    array, _ = head()
    model = network(LABELS)
    check_model(model, LABELS, "m.h5")
    with pytest.raises(CaseError, match="its record says"):
        check_model(model, replace(LABELS, patch=[8, 8, 8]), "m.h5")
    with pytest.raises(CaseError, match="the model takes"):
        probabilities([model], LABELS, array[..., :1])
    for wrong in ({"overlap": 1}, {"overlap": -0.1}, {"flips": "xq"}):
        with pytest.raises(UsageError):
            probabilities([model], LABELS, array, **wrong)


@pytest.mark.parametrize(("change", "said"), [
    ({"patch": [8, 8]}, "dimension and patch"), ({"values": [1, 2]}, "background first"), ({"scheme": "x"}, "unknown"),
    ({"regions": {"WT": [1]}}, "paint"), ({"context": 1}, "context"), ({"channels": []}, "channels"),
    ({"values": [0, 3]}, "label 3 is not in scheme"), ({"spacing": [0, 1, 1]}, "spacing"),
])  # fmt: skip
def test_a_record_that_cannot_be_is_refused(change, said):
    typed({"a.h5": LABELS.to_dict()}, MapRecord)
    near = {**LABELS.to_dict(), "spacing": [1.0, 0.94, 0.94]}  # the medians of two folds
    typed({"a.h5": near, "b.h5": {**near, "spacing": [1.0, 0.9375, 0.9375]}}, MapRecord)
    with pytest.raises(CaseError, match=said):
        typed({"a.h5": {**LABELS.to_dict(), **change}}, MapRecord)
