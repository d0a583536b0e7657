"""Means over blocks of voxels, and the way back from blocks to voxels."""

from __future__ import annotations

import numpy as np


def block_means(array: np.ndarray, block) -> np.ndarray:
    """The mean of each block, float32; block: voxels along each axis. An incomplete last block is left out."""
    count = [n // k for n, k in zip(array.shape, block, strict=True)]
    cut = array[tuple(slice(0, n * k) for n, k in zip(count, block, strict=True))]
    parted = cut.reshape([part for pair in zip(count, block, strict=True) for part in pair])
    return parted.mean(tuple(range(1, 2 * len(count), 2)), dtype=np.float32)


def stretched(small: np.ndarray, block, size, before=0) -> np.ndarray:
    """Interpolate values of blocks at each voxel of an array of `size`: linear between the middles of the blocks.

    small: float32, one value per block. before: voxels before the first block, for each axis or for all. Beyond the
    outermost middles the values are constant.
    """
    result = small
    for axis, (n, k, start) in enumerate(zip(size, block, np.broadcast_to(before, len(block)), strict=True)):
        place = (np.arange(n) - start + 0.5) / k - 0.5
        rows = np.stack([np.interp(place, np.arange(small.shape[axis]), row) for row in np.eye(small.shape[axis])], 1)
        result = np.moveaxis(np.tensordot(rows.astype(np.float32), result, (1, axis)), 0, axis)
    return result
