"""The one thing that Keras 3 leaves to its backend: a gradient with respect to a tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def gradient(function: Callable, values: np.ndarray) -> np.ndarray:
    """Gradient of sum(function(values)) with respect to `values`: float32 array of the same shape.

    function maps one tensor to one tensor, by Keras operations only.
    """
    import tensorflow as tf

    values = tf.convert_to_tensor(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(function(values))
    return np.asarray(tape.gradient(total, values), np.float32)
