"""Heads: what becomes of a backbone's feature maps before the last dense layer. Stock Keras layers only.

Each is `function(x, graph) -> (batch, feature)`; x is the last feature map, graph the keras.Model that leads to
it. The last feature map goes into a layer "pool"; every further layer's name starts with "head_".
"""

from __future__ import annotations

from mrilib.models.symmetry import asymmetry

EARLIER = 2  # feature maps of the mirror head before the last one


def mean(x, graph):
    """The mean of each channel of the last feature map."""
    from keras import layers

    return layers.GlobalAveragePooling2D(name="pool")(x)


def mean_max(x, graph):
    """Mean and maximum of each channel of the last feature map."""
    from keras import layers

    parts = [layers.GlobalAveragePooling2D(name="pool")(x), layers.GlobalMaxPooling2D(name="head_max")(x)]
    return layers.Concatenate(name="head_features")(parts)


def mirror(x, graph):
    """Mean and maximum of the last feature map, and how far it and two earlier ones differ from their mirror images.

    See models.symmetry. The earlier maps are the last of each larger size, the largest averaged over 2 x 2 first.
    """
    from keras import layers

    parts = [layers.GlobalAveragePooling2D(name="pool")(x), layers.GlobalMaxPooling2D(name="head_max")(x)]
    for i, feature in enumerate([x, *_earlier(graph)]):
        if i == EARLIER:
            feature = layers.AveragePooling2D(2, name=f"head_{i}_coarse")(feature)
        uneven = asymmetry(feature, f"head_{i}")
        parts.append(layers.GlobalAveragePooling2D(name=f"head_{i}_mean")(uneven))
        if i:
            parts.append(layers.GlobalMaxPooling2D(name=f"head_{i}_max")(uneven))
    return layers.Concatenate(name="head_features")(parts)


def _earlier(graph) -> list:
    """The last feature map of each of the two sizes (y, x) before the smallest, the smaller first."""
    maps = {}
    for layer in graph.layers:
        shape = layer.output.shape
        if len(shape) == 4 and "Padding" not in type(layer).__name__:
            maps[tuple(shape[1:3])] = layer.output
    smallest = tuple(graph.output.shape[1:3])
    sizes = sorted(size for size in maps if size[0] > smallest[0] and size[1] > smallest[1])
    return [maps[size] for size in sizes[:EARLIER]]


HEADS = {"mean": mean, "mean-max": mean_max, "mirror": mirror}
