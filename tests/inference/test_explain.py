import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.images.grid import Grid, Image
from mrilib.inference.classes import explain, grad_cam
from mrilib.inference.heat import overlay, write_overlay


@pytest.fixture(scope="module")
def bright():
    """A network whose class 1 is told by bright pixels: a feature map that copies every 8th part of the image."""
    import keras
    from keras import layers

    image = keras.Input((64, 64, 1), name="image")
    x = layers.AveragePooling2D(8)(image)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(2, name="logits", kernel_initializer=keras.initializers.Constant([[-1.0, 1.0]]))(x)
    return keras.Model(image, layers.Activation("softmax", name="probabilities")(x))


def spot():
    array = np.zeros((64, 64, 1), np.float32)
    array[8:16, 40:48] = 1
    return array


def test_the_heat_is_where_the_class_is_seen(bright):
    heat = grad_cam(bright, spot(), 1)
    assert heat.shape == (8, 8) and heat[1, 5] == 1 and heat.sum() == pytest.approx(1)
    assert not grad_cam(bright, spot(), 0).any()


def test_with_one_dense_layer_it_equals_the_class_activation_map():
    import keras

    from mrilib.models.backbones import backbone_layers
    from mrilib.models.classifier import classifier

    model = classifier("lenet", (64, 64, 1), 3)
    array = np.random.default_rng(0).normal(size=(64, 64, 1)).astype(np.float32)
    features = np.asarray(keras.Model(model.input, backbone_layers(model)[-1].output)(array[None]))[0]
    expected = np.maximum(features @ np.asarray(model.get_layer("logits").kernel)[:, 2], 0)  # Zhou et al. 2016
    assert grad_cam(model, array, 2) == pytest.approx(expected / max(expected.max(), 1e-12), abs=1e-5)


def test_a_head_that_compares_the_sides_points_at_the_side_that_differs():
    import keras
    from keras import layers

    from mrilib.models.heads import mirror

    image = keras.Input((64, 64, 1), name="image")
    fine = layers.AveragePooling2D(4)(image)
    middle = layers.AveragePooling2D(2)(fine)
    last = layers.AveragePooling2D(2)(middle)
    x = mirror(last, keras.Model(image, last))
    score = layers.Dense(2, name="logits", kernel_initializer="ones")(x)
    heat = grad_cam(keras.Model(image, score), spot() + 1, 1)
    assert heat.shape == (16, 16)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 1 <= y <= 4 and 9 <= x <= 12 and heat[:, :8].max() < 0.5  # the spot is at 2-3, 10-11


def test_the_heat_lies_at_its_place_on_the_native_grid(bright):
    grid = Grid.of((64, 64), (2.0, 2.0), (10.0, 20.0))  # mm
    native = Grid.of((200, 300), (1.0, 1.0))
    heat = explain([bright, bright], spot(), 1, grid, native)
    assert heat.shape == native.size and heat.max() == pytest.approx(1, abs=0.05)
    middle = np.argwhere(heat > 0.9).mean(0)
    assert middle == pytest.approx(grid.to_world([11.5, 43.5]), abs=1)  # native voxels are world millimetres here
    assert not heat[:9].any() and not heat[:, :19].any() and not heat[140:].any()


def test_a_network_without_its_head_is_refused(bright):
    import keras

    with pytest.raises(UsageError, match="no layers pool and logits"):
        grad_cam(keras.Model(bright.input, bright.layers[1].output), spot(), 0)


def test_the_overlay_is_grey_without_heat_and_coloured_with_it(tmp_path):
    from PIL import Image as Picture

    native = Image(np.tile(np.arange(50, dtype=np.int16), (40, 1)), Grid.of((40, 50)))
    heat = np.zeros((40, 50), np.float32)
    heat[:20] = 1
    picture = overlay(native, heat)
    assert (picture[30] == picture[30, :, :1]).all() and picture[30, -1, 0] == 255
    assert (picture[5, :, 0] > picture[5, :, 2]).all()
    write_overlay(tmp_path / "deep" / "x.png", picture)
    assert np.array_equal(np.asarray(Picture.open(tmp_path / "deep" / "x.png")), picture)
