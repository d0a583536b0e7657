"""Estimates of noise, and the Rician distribution of magnitude images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mrilib.images.steps.blocks import block_means, stretched
from mrilib.images.steps.foreground import foreground

ENOUGH = 64  # voxels of foreground that an estimate of noise needs; with fewer, the whole image serves
NOISES = ("rician", "gaussian")
HIGH = 20.0  # signal to noise ratio from which Rician noise is Gaussian with a shift of sigma^2 / 2A
FLAT_SHARE = 0.5  # share of the foreground, where the image is flattest, in which noise is measured
MANY = 5000  # flat voxels that an estimate of the inhomogeneity needs
REACH = 15.0  # mm over which the noise is taken as constant
VARIES = 1.3  # 95th over 5th percentile of the deviation, from which the noise counts as inhomogeneous
PLANES = 1.5  # slices thicker than this many in-plane voxels are measured separately


def noise_level(array: np.ndarray) -> float:
    """The standard deviation of the noise of one channel, (y, x) or (z, y, x) float32, finite.

    The second difference along both last axes (Immerkaer 1996) removes constants and slopes; the median of its
    magnitude over the foreground (Donoho 1995) is robust to edges. In-plane only, so that steps between thick slices
    are not taken for noise. Assumes white noise: noise smoothed by interpolation or JPEG is underestimated. Returns 0
    for an image smaller than 3 voxels in either axis.
    """
    if min(array.shape[-2:]) < 3:
        return 0.0
    rows = array[..., :-2, :] - 2 * array[..., 1:-1, :] + array[..., 2:, :]
    both = np.abs(rows[..., :-2] - 2 * rows[..., 1:-1] + rows[..., 2:])
    inside = foreground(array)[..., 1:-1, 1:-1]
    values = both[inside] if inside.sum() >= ENOUGH else both
    return float(np.median(values)) / (0.6745 * 6)


def level(array: np.ndarray, spacing, noise: str = "rician") -> float:
    """The standard deviation of the noise of one channel, (y, x) or (z, y, x) float32, finite, in its flattest part.

    Like noise_level, but with the difference along z as well unless slices are thick, and without the rim of the
    foreground and the half where the smoothed image is steepest: fewer edges are taken for noise. noise "rician": a
    magnitude image has less spread where the signal is weak; the result is the deviation of its real part. The error is
    within 3 % on an averaged T1 head, and T2 and FLAIR made from it, with noise of 1 to 9 % of the brightest voxel. No
    clean background is needed. spacing: mm, array order. Too few voxels: returns noise_level.
    """
    flattest = _flattest(array, spacing)
    if flattest is None:
        return noise_level(array)
    size, flat, smooth = flattest
    deviation = float(np.median(size[flat])) / 0.6745
    if noise != "rician" or not deviation:
        return deviation
    middle, sigma = float(np.median(smooth[flat])), deviation
    _, magnitudes, spreads = _rician()
    for _ in range(6):  # the correction depends on sigma itself; a few rounds suffice
        ratio = middle / sigma
        sigma = deviation / (float(np.interp(ratio, magnitudes, spreads)) if ratio < magnitudes[-1] else 1.0)
    return sigma


def inhomogeneity(array: np.ndarray, spacing) -> tuple[np.ndarray | None, float]:
    """How the noise varies across a channel, for example with the distance from the coils: (field, spread).

    field: the deviation of the noise relative to its median, float32 of the shape of the array; None if it varies by
    less than VARIES or cannot be measured. spread: its 95th over its 5th percentile in the foreground; 1 if it cannot
    be measured. The field is the exponential of the mean logarithm of the magnitudes that `level` uses, over about
    REACH mm: as wide as noise fields, wider than tissues (after Manjon et al. 2010). array, spacing: as for level.
    """
    from scipy import ndimage

    flattest = _flattest(array, spacing)
    if flattest is None:
        return None, 1.0
    size, flat, _ = flattest
    flat &= size > 0
    if flat.sum() < MANY:
        return None, 1.0
    block = [min(max(int(round(0.5 * REACH / s)), 1), n) for s, n in zip(spacing, size.shape, strict=True)]
    wide = [REACH / (s * k) for s, k in zip(spacing, block, strict=True)]

    def around(values):
        return ndimage.gaussian_filter(block_means(values, block), wide, mode="constant")

    logs = np.log(size, where=flat, out=np.zeros_like(size))
    middle = np.float32(logs[flat].mean(dtype=np.float64))
    field = around(np.where(flat, logs - middle, 0)) / (around(flat.astype(np.float32)) + np.float32(1e-6))
    field = stretched(field, block, array.shape, np.subtract(array.shape, size.shape) / 2)
    low, half, high = np.exp(np.percentile(field[foreground(array)], (5, 50, 95)))
    spread = float(high / low)
    return (np.exp(field) / np.float32(half) if spread >= VARIES else None), spread


def _flattest(array: np.ndarray, spacing) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(size, flat, smooth) of a channel without its rim; None if too few voxels are left.

    size: magnitude of the noise in each voxel, with deviation 1 for white noise of deviation 1. flat: bool, the
    flattest part of the foreground. smooth: the smoothed image."""
    from scipy import ndimage

    axes = [a for a in range(array.ndim) if array.shape[a] >= 5 and spacing[a] <= PLANES * min(spacing)]
    if len(axes) < 2:
        return None
    difference = array
    for axis in axes:
        rows = np.moveaxis(difference, axis, 0)
        difference = np.moveaxis(rows[:-2] - 2 * rows[1:-1] + rows[2:], 0, axis)
    inner = tuple(slice(1, -1) if a in axes else slice(None) for a in range(array.ndim))
    shape = ndimage.generate_binary_structure(array.ndim, 1)
    for axis in set(range(array.ndim)) - set(axes):
        shape[tuple(slice(None) if a != axis else slice(0, None, 2) for a in range(array.ndim))] = False
    inside = ndimage.binary_erosion(foreground(array), shape, iterations=2)[inner]
    if inside.sum() < ENOUGH:
        return None
    smooth = ndimage.gaussian_filter(array, [1.5 if a in axes else 0 for a in range(array.ndim)])
    steep = sum(np.gradient(smooth, axis=a) ** 2 for a in axes)[inner]
    flat = inside & (steep <= np.quantile(steep[inside], FLAT_SHARE))
    return np.abs(difference) * np.float32(6.0 ** (-len(axes) / 2)), flat, smooth[inner]


@lru_cache(maxsize=1)
def _rician() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal, mean and standard deviation of the magnitude, in units of sigma (Koay and Basser 2006)."""
    from scipy.special import i0e, i1e

    signal = np.linspace(0, HIGH, 4001)
    half = signal * signal / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * half) * i0e(half) + 2 * half * i1e(half))
    return signal, mean, np.sqrt(np.maximum(signal * signal + 2 - mean**2, 0))


def without_bias(mean: np.ndarray, sigma: float) -> np.ndarray:
    """The signal whose Rician magnitude has this mean: float32, any shape; 0 for means below that of air."""
    signal, magnitudes, _ = _rician()
    ratio = mean * np.float32(1 / sigma)
    weak = ratio < magnitudes[-1]
    result = np.empty_like(mean, np.float32)
    strong = ratio[~weak]
    result[~weak] = (strong - 0.5 / strong) * np.float32(sigma)
    result[weak] = np.interp(ratio[weak], magnitudes, signal) * sigma
    return result
