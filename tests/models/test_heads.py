import numpy as np
import pytest

from mrilib.errors import UsageError
from mrilib.models.backbones import backbone_layers, head_inputs
from mrilib.models.classifier import classifier


@pytest.mark.parametrize("name", ["mobilenet", "lenet"])
def test_the_mirror_head_sees_what_stands_on_one_side_only(name):
    import keras

    model = classifier(name, (96, 96, 1), 2, head="mirror")
    taken = head_inputs(model)
    sizes = [t.shape[1] for t in taken]
    assert len(set(sizes)) == 3 and sizes[0] == min(sizes)
    assert not any(layer.name.startswith("head_") for layer in backbone_layers(model))
    pixels = np.random.default_rng(0).normal(size=(2, 96, 96, 1)).astype(np.float32)
    uneven = np.asarray(keras.Model(model.input, model.get_layer("head_0_uneven").output)(pixels))
    last = np.asarray(keras.Model(model.input, taken[0])(pixels))
    assert np.allclose(uneven, np.abs(last - last[:, :, ::-1]), atol=1e-5)
    assert all(not layer.trainable_weights for layer in model.layers if layer.name.endswith("_mirror"))


def test_an_unknown_head_is_refused():
    with pytest.raises(UsageError, match="unknown head"):
        classifier("lenet", (32, 32, 1), 2, head="three")
