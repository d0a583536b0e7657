"""Heat maps over images: a coarse map on the native grid, and the picture of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrilib import store
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample

STRENGTH = 0.6  # how much of the picture the hottest colour covers


def on_native(heat: np.ndarray, grid: Grid, native: Grid) -> np.ndarray:
    """A coarse map (y, x) over an image on `grid`, on the native grid: float32 (y, x), 0 outside the image."""
    factor = np.array(grid.size) / np.array(heat.shape)
    wide = np.pad(heat, 1, mode="edge")  # half a cell beyond the outer middles
    spacing = tuple(s * f for s, f in zip(grid.spacing, factor, strict=True))
    coarse = grid.moved((factor - 1) / 2 - factor, wide.shape, spacing)
    inside = resample(Image(np.ones(grid.size, np.uint8), grid), native, order=0).array
    return np.where(inside > 0, resample(Image(wide, coarse), native, outside=0.0).array, 0).astype(np.float32)


def overlay(native: Image, heat: np.ndarray) -> np.ndarray:
    """The image in grey, its 1st to 99th percentile, under a red to yellow heat (y, x) of 0 to 1: uint8 (y, x, 3).

    Of several channels the first is shown.
    """
    array = native.by_channel()[..., 0].astype(np.float64)
    low, high = np.percentile(array, (1, 99))
    grey = np.clip((array - low) / max(high - low, 1e-12), 0, 1)[..., None] * 255
    colour = np.stack([np.full(heat.shape, 255.0), 255 * np.clip(2 * heat - 0.5, 0, 1), np.zeros(heat.shape)], -1)
    cover = STRENGTH * np.clip(heat, 0, 1)[..., None]
    return np.rint(grey * (1 - cover) + colour * cover).astype(np.uint8)


def write_overlay(path: Path, picture: np.ndarray) -> None:
    """Write uint8 (y, x, 3) as a PNG, whole or not at all."""
    from PIL import Image as Picture

    with store.whole(path) as temporary:
        Picture.fromarray(picture).save(temporary)
