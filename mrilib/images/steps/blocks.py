"""Means over blocks of voxels, and what was found on them brought back to the voxels."""

from __future__ import annotations

import numpy as np


def means(array: np.ndarray, block) -> np.ndarray:
    """The mean of each block of so many voxels along each axis, float32; what is left at the far ends is left out."""
    count = [n // k for n, k in zip(array.shape, block, strict=True)]
    cut = array[tuple(slice(0, n * k) for n, k in zip(count, block, strict=True))]
    parted = cut.reshape([part for pair in zip(count, block, strict=True) for part in pair])
    return parted.mean(tuple(range(1, 2 * len(count), 2)), dtype=np.float32)


def stretched(small: np.ndarray, block, size, before=0) -> np.ndarray:
    """Values of blocks at each voxel of an array of `size`: linear between their middles, flat beyond the outermost.

    small: float32. before: voxels that lie before the first block, of each axis or of all.
    """
    result = small
    for axis, (n, k, start) in enumerate(zip(size, block, np.broadcast_to(before, len(block)), strict=True)):
        place = (np.arange(n) - start + 0.5) / k - 0.5
        rows = np.stack([np.interp(place, np.arange(small.shape[axis]), row) for row in np.eye(small.shape[axis])], 1)
        result = np.moveaxis(np.tensordot(rows.astype(np.float32), result, (1, axis)), 0, axis)
    return result
