"""How an image differs from its mirror image, as stock Keras layers.

A head is about the same left and right and a tumour is not: |map - map mirrored left to right| shows what stands on
one side only. Images should be cropped to the head, whose middle is then the mirror.
"""

from __future__ import annotations

MIRROR = "_mirror"  # how the names of the fixed layers end: they depend on the image's width and never learn


def asymmetry(x, name: str):
    """|x - x mirrored left to right| of a map (batch, y, x, channel), the same shape.

    No stock layer turns a map round; a dense layer along x whose fixed kernel is the reversed identity does.
    """
    import numpy as np
    from keras import layers

    width = x.shape[2]
    turn = layers.Dense(width, use_bias=False, trainable=False, name=f"{name}{MIRROR}")
    across = turn(layers.Permute((1, 3, 2), name=f"{name}_across")(x))
    turn.set_weights([np.eye(width, dtype=np.float32)[::-1].copy()])
    other = layers.Permute((1, 3, 2), name=f"{name}_back")(across)
    return layers.Subtract(name=f"{name}_uneven")([layers.Maximum(name=f"{name}_more")([x, other]),
                                                   layers.Minimum(name=f"{name}_less")([x, other])])
