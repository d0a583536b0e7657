import numpy as np
import pytest

from mrilib.inference.models import recast


@pytest.fixture(scope="module")
def model():
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 8, 2))
    x = layers.LeakyReLU(0.01)(layers.GroupNormalization(4)(layers.Conv3D(8, 3, padding="same")(image)))
    down = layers.Conv3D(16, 3, strides=2, padding="same")(x)
    x = layers.Concatenate()([layers.Conv3DTranspose(8, 2, strides=2)(down), x])
    return keras.Model(image, layers.Activation("softmax", name="probabilities")(layers.Conv3D(3, 1)(x)))


def test_a_recast_network_gives_nearly_the_same_from_float32_weights(model):
    batch = np.random.default_rng(0).normal(size=(3, 16, 16, 8, 2)).astype(np.float32)
    other = recast(model, "mixed_bfloat16")
    assert {layer.compute_dtype for layer in other.layers[1:-1]} == {"bfloat16"}
    assert other.layers[-1].compute_dtype == "float32" and {w.dtype for w in other.weights} == {"float32"}
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    plain, mixed = model.predict_on_batch(batch), other.predict_on_batch(batch)
    assert mixed.dtype == np.float32 and mixed == pytest.approx(plain, abs=0.02) and not np.array_equal(mixed, plain)
    alone = np.concatenate([other.predict_on_batch(np.repeat(one[None], 3, 0))[:1] for one in batch])
    assert np.array_equal(alone, mixed)


def test_float32_is_the_network_itself(model):
    assert recast(model, "float32") is model
