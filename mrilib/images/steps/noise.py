"""How much noise an image holds, and what the magnitude image of a scanner makes of noise (Rician)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mrilib.images.steps.blocks import means, stretched
from mrilib.images.steps.foreground import foreground

ENOUGH = 64  # voxels of foreground that an estimate of noise needs; with fewer, the whole image serves
NOISES = ("rician", "gaussian")
HIGH = 20.0  # signal to noise ratio from which Rician noise is Gaussian with a shift of sigma^2 / 2A
FLAT_SHARE = 0.5  # the noise is looked for in this share of the foreground, where the image is flattest
MANY = 5000  # voxels that are flat, for seeing how the noise varies
REACH = 15.0  # mm: over which the noise is taken for even
VARIES = 1.3  # 95th over 5th percentile of the noise's deviation, from which it is taken for uneven
PLANES = 1.5  # slices thicker than this many in-plane voxels are looked at each alone


def noise_level(array: np.ndarray) -> float:
    """The standard deviation of the noise of one channel, (y, x) or (z, y, x) float32, finite.

    The second difference along both last axes (Immerkaer 1996) takes away what is flat or a slope; the median
    of its size over the foreground (Donoho 1995) bears with edges. In-plane only, so that thick slices do not
    pass for noise. Of white noise; what interpolation or JPEG has smoothed is underestimated. 0 for an image
    smaller than 3 voxels in either axis.
    """
    if min(array.shape[-2:]) < 3:
        return 0.0
    rows = array[..., :-2, :] - 2 * array[..., 1:-1, :] + array[..., 2:, :]
    both = np.abs(rows[..., :-2] - 2 * rows[..., 1:-1] + rows[..., 2:])
    inside = foreground(array)[..., 1:-1, 1:-1]
    values = both[inside] if inside.sum() >= ENOUGH else both
    return float(np.median(values)) / (0.6745 * 6)


def level(array: np.ndarray, spacing, noise: str = "rician") -> float:
    """The standard deviation of the noise of one channel, (y, x) or (z, y, x) float32, finite, where it is flattest.

    As noise_level, with the difference along z as well unless slices are thick, over the foreground less its rim
    and the half where the smoothed image is steepest; so fewer edges pass for noise. noise "rician": that of a
    magnitude image, whose spread is smaller where the signal is weak, is given as that of its real part. Within
    3 % on an averaged T1 head and made T2 and FLAIR of it, with noise of 1 to 9 % of the brightest voxel; no clean
    background is needed. spacing: mm, array order. Falls back on noise_level where too few voxels are left.
    """
    flattest = _flattest(array, spacing)
    if flattest is None:
        return noise_level(array)
    size, flat, smooth = flattest
    found = float(np.median(size[flat])) / 0.6745
    if noise != "rician" or not found:
        return found
    middle, sigma = float(np.median(smooth[flat])), found
    _, means, spreads = _rician()
    for _ in range(6):  # the correction hangs on sigma itself; it settles in a few rounds
        ratio = middle / sigma
        sigma = found / (float(np.interp(ratio, means, spreads)) if ratio < means[-1] else 1.0)
    return sigma


def unevenness(array: np.ndarray, spacing) -> tuple[np.ndarray | None, float]:
    """How the noise varies over a channel, such as with the coils' distance: (field, spread).

    field: the deviation beside its median, float32 of the array's shape; None where it varies by less than VARIES or
    too little can be seen. spread: 95th over 5th percentile of it in the foreground, 1 where nothing can be seen. The
    logarithm of what `level` looks at, its mean over about REACH mm, as wide as noise fields are and wider than tissues
    (after Manjon et al. 2010). array, spacing: as for level.
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
        return ndimage.gaussian_filter(means(values, block), wide, mode="constant")

    logs = np.log(size, where=flat, out=np.zeros_like(size))
    middle = np.float32(logs[flat].mean(dtype=np.float64))
    field = around(np.where(flat, logs - middle, 0)) / (around(flat.astype(np.float32)) + np.float32(1e-6))
    field = stretched(field, block, array.shape, np.subtract(array.shape, size.shape) / 2)
    low, half, high = np.exp(np.percentile(field[foreground(array)], (5, 50, 95)))
    spread = float(high / low)
    return (np.exp(field) / np.float32(half) if spread >= VARIES else None), spread


def _flattest(array: np.ndarray, spacing) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(size, flat, smooth) of a channel less its rim: the noise's size voxel by voxel, of deviation 1 for white noise
    of 1; where the foreground is flattest, bool; the image smoothed. None where that is too little."""
    from scipy import ndimage

    axes = [a for a in range(array.ndim) if array.shape[a] >= 5 and spacing[a] <= PLANES * min(spacing)]
    if len(axes) < 2:
        return None
    difference = array
    for axis in axes:
        low, mid, high = (np.arange(array.shape[axis] - 2) + k for k in range(3))
        part = [slice(None)] * array.ndim
        cut = [tuple(part[:axis] + [slice(i[0], i[-1] + 1)] + part[axis + 1 :]) for i in (low, mid, high)]
        difference = difference[cut[0]] - 2 * difference[cut[1]] + difference[cut[2]]
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
    """Signal, mean and spread of the magnitude, all in units of sigma (Koay and Basser 2006)."""
    from scipy.special import i0e, i1e

    signal = np.linspace(0, HIGH, 4001)
    half = signal * signal / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * half) * i0e(half) + 2 * half * i1e(half))
    return signal, mean, np.sqrt(np.maximum(signal * signal + 2 - mean**2, 0))


def without_bias(mean: np.ndarray, sigma: float) -> np.ndarray:
    """The signal whose Rician magnitude has this mean: float32, any shape; means below that of air are 0."""
    signal, means, _ = _rician()
    ratio = mean * np.float32(1 / sigma)
    weak = ratio < means[-1]
    result = np.empty_like(mean, np.float32)
    strong = ratio[~weak]
    result[~weak] = (strong - 0.5 / strong) * np.float32(sigma)
    result[weak] = np.interp(ratio[weak], means, signal) * sigma
    return result
