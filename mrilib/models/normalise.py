"""Normalisation between convolutions, by name."""

from __future__ import annotations

NORMS = ("instance", "group", "batch")
GROUPS = 8
MOMENTUM = 0.9  # of batch normalisation: Keras' 0.99 would not settle within the few steps of a small set


def normalise(x, norm: str, name: str):
    """x (batch, ..., channel) normalised: each channel of each case, GROUPS groups of channels of each case, or each
    channel over the batch (which prediction takes as it stood at the end of training)."""
    from keras import layers

    if norm == "batch":
        return layers.BatchNormalization(momentum=MOMENTUM, name=name)(x)
    return layers.GroupNormalization(-1 if norm == "instance" else min(GROUPS, x.shape[-1]), epsilon=1e-5, name=name)(x)
