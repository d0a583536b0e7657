"""Augmentation of training images, drawn anew for each image in each epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.augment import draw, transforms, warp
from mrilib.images.grid import Grid


def augmenter(augment: str | dict, kinds: int) -> Callable | None:
    """A function of (image ([z,] y, x, channel) float32, label map or None, generator, spacing in mm[, outline of the
    head, see images.augment.draw]) -> (image, label map); None when nothing would be changed.

    kinds: number of channels that differ in kind, see appearance.change. Raises UsageError for what needs several.
    """
    chosen = _chosen(augment, kinds)
    if not chosen:
        return None

    def apply(image: np.ndarray, label, rng: np.random.Generator, spacing, head: np.ndarray | None = None):
        drawn = draw.draw(chosen, rng, Grid.of(image.shape[:-1], tuple(spacing)), head)
        return draw.apply_pair(image, label, drawn, spacing, kinds)

    return apply


def box_augmenter(augment: str | dict, kinds: int) -> Callable | None:
    """As `augmenter`, a function of (image (y, x, channel), boxes [(x0, y0, x1, y1, ...)], generator, spacing, outline)
    -> (image, boxes), boxes in pixels."""
    chosen = _chosen(augment, kinds)
    if not chosen:
        return None

    def apply(image: np.ndarray, boxes, rng: np.random.Generator, spacing, head: np.ndarray | None = None):
        grid = Grid.of(image.shape[:-1], tuple(spacing))
        drawn = draw.draw(chosen, rng, grid, head)
        return draw.apply_pair(image, None, drawn, spacing, kinds)[0], warp.ellipses(boxes, drawn, grid)

    return apply


def _chosen(augment: str | dict, kinds: int) -> transforms.Settings:
    chosen = transforms.settings(augment)
    if kinds == 1 and (unused := transforms.of_several_channels(chosen)):
        raise UsageError(f"--augment: the images have one channel, and {unused} is for several", remedy="leave it out")
    return chosen
