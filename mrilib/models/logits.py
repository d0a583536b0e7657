"""The network that is trained: the one that is kept, without the last activation."""

from __future__ import annotations


def with_logits(model):
    """The layers of a model of this suite, giving logits in place of probabilities, output by output.

    The losses of this package take logits, the model file keeps the model with probabilities. Both share all weights.
    """
    import keras

    logits = [model.get_layer(name).input for name in model.output_names]
    return keras.Model(model.input, logits if len(logits) > 1 else logits[0], name=model.name)
