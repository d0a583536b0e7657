"""Prediction of classes: the probability of each, and where the classifier looked.

The latter is Grad-CAM (Selvaraju et al. 2017), as HiResCAM, over the image on its native grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrilib import targets
from mrilib.errors import UsageError
from mrilib.images.grid import Grid
from mrilib.inference.ensemble import of_model
from mrilib.inference.heat import on_native, overlay, write_overlay
from mrilib.inference.predictor import Predictor
from mrilib.inference.prepare import Prepared


class ClassPredictor(Predictor):
    """A table of classes; with settings.explain a picture of each case as well."""

    def __init__(self, task, models, settings, out: Path | None = None):
        super().__init__(task, models, settings, out)
        self.folder = settings.explain
        if self.folder is not None:
            targets.check_folder(self.folder)

    def arguments(self, case, steps: tuple, others: tuple) -> tuple:
        *first, _, check, others = super().arguments(case, steps, others)
        return *first, self.folder is not None, check, others

    def forward(self, prepared: Sequence[Prepared]) -> list:
        """The probabilities of each case; with `explain`, and the heat map of the likeliest class."""
        vectors = super().forward(prepared)
        if self.folder is None:
            return vectors
        networks = self.models.build(self)
        return [(vector, explain(networks, one.array, int(vector.argmax()), one.grid, one.native.grid))
                for vector, one in zip(vectors, prepared, strict=True)]

    def write(self, case, prepared: Prepared, values) -> dict:
        if self.folder is None:
            return super().write(case, prepared, values)
        vector, heat = values
        row = super().write(case, prepared, vector)
        write_overlay(self.folder / f"{case.id}.png", overlay(prepared.native, heat))
        return row


def grad_cam(model, array: np.ndarray, index: int) -> np.ndarray:
    """How much each place speaks for class `index`: float32 (y, x), 0 to 1, of the size of the head's finest map.

    array: prepared image, float32 (y, x, channel). Every feature map that the head takes counts: gradient of the
    class' score before softmax times activation, summed over channels, what speaks for the class alone. This is
    Grad-CAM in the form of HiResCAM (Draelos & Carin 2020): the same where a head takes means, and true as well
    where it compares the sides, whose gradients would cancel in Grad-CAM's mean. Scaled to its own largest
    value; all 0 when nothing speaks for the class. Raises UsageError for a network without our head.
    """
    import keras

    from mrilib.gpu.gradients import gradient
    from mrilib.models.backbones import head_inputs

    try:
        maps, score = head_inputs(model), model.get_layer("logits").output
    except ValueError as error:
        raise UsageError("this network cannot be explained: it has no layers pool and logits") from error
    values = keras.tree.flatten(keras.Model(model.input, maps)(array[None]))
    head = keras.Model(maps, score)
    finest = max((tuple(value.shape[1:3]) for value in values), key=np.prod)
    heat = np.zeros(finest, np.float32)
    for i, value in enumerate(values):
        before, after = values[:i], values[i + 1 :]
        slope = gradient(lambda x, before=before, after=after: head([*before, x, *after])[:, index], value)
        share = (np.asarray(value, np.float32) * slope).sum(-1)[0]  # of the score
        heat += _spread(share * share.size, finest)  # by area
    heat = np.maximum(heat, 0)
    return heat / heat.max() if heat.max() > 0 else heat


def _spread(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (y, x) on a finer grid of the same outline, linear between the middles of its cells; float32."""
    for axis, n in enumerate(size):
        count = values.shape[axis]
        places = (np.arange(n) + 0.5) * count / n - 0.5
        values = np.apply_along_axis(lambda row, places=places: np.interp(places, np.arange(len(row)), row), axis,
                                     values)  # fmt: skip
    return values.astype(np.float32)


def explain(models: Sequence, array: np.ndarray | tuple, index: int, grid: Grid, native: Grid) -> np.ndarray:
    """The mean Grad-CAM of several models on the native grid: float32 (y, x), 0 outside the prepared image.

    array: of all models, or one for each. grid: where it lies; each value of a feature map stands at the middle of
    the pixels it covers.
    """
    total = np.zeros(native.size, np.float64)
    for place, model in enumerate(models):
        total += on_native(grad_cam(model, of_model(array, place), index), grid, native)
    return (total / len(models)).astype(np.float32)
