"""The loops of non-local denoising, compiled by numba: sliding cosine blocks, and means of similar voxels.

They work on (z, y, x) float32 by slabs along z, release the interpreter lock, and give the same bits for any number of
threads. Inner loops run over x on views that start at 0, because only those vectorise.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from mrilib.parallel import cores

CUT = 2.7  # noise deviations below which a coefficient becomes 0
WIDTH = 0.4  # noise deviations within which voxels are similar
OWN = 3.0  # weight of the guide at the voxel itself, in voxels
SLAB = 8  # slices per piece of work; at least the side of a block less one


def cosines(n: int) -> np.ndarray:
    """The orthonormal cosine transform of n values (DCT-II), a row for each frequency, float32.

    Not scipy.fft.dct, which differs in the last bit for most n: prepared files would change.
    """
    k = np.arange(n)
    table = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / (2 * n)) * np.sqrt(2 / n)
    table[0] /= np.sqrt(2)
    return np.ascontiguousarray(table, np.float32)


@njit(nogil=True, cache=True, fastmath=True)
def _forward(image, z, y, x0, width, bz, by, bx, first, second, out):
    """Coefficients of the blocks at (z, y, x0 …), a row of x for each of nz * ny * nx frequencies."""
    nz, ny, nx = bz.shape[0], by.shape[0], bx.shape[0]
    wide = width + nx - 1
    for i in range(nz):
        for j in range(ny):
            row = first[i, j, :wide]
            row[:] = 0
            for k in range(nz):
                factor, source = bz[i, k], image[z + k, y + j, x0 : x0 + wide]
                for x in range(wide):
                    row[x] += factor * source[x]
    for i in range(nz):
        for j in range(ny):
            row = second[i, j, :wide]
            row[:] = 0
            for k in range(ny):
                factor, source = by[j, k], first[i, k, :wide]
                for x in range(wide):
                    row[x] += factor * source[x]
    for i in range(nz):
        for j in range(ny):
            for f in range(nx):
                row = out[i, j, f, :width]
                row[:] = 0
                for k in range(nx):
                    factor, source = bx[f, k], second[i, j, k : k + width]
                    for x in range(width):
                        row[x] += factor * source[x]


@njit(nogil=True, cache=True, fastmath=True)
def _blocks(image, pilot, wiener, threshold, variance, total, weight, places, starts, ys, bz, by, bx):
    """Shrink the blocks that start in slices `starts` and rows `ys`; add them to total and their weights to weight."""
    nz, ny, nx = bz.shape[0], by.shape[0], bx.shape[0]
    size = image.shape[2]
    first, second = np.empty((nz, ny, size), np.float32), np.empty((nz, ny, size), np.float32)
    coefficients, guide = np.empty((nz, ny, nx, size), np.float32), np.empty((nz, ny, nx, size), np.float32)
    weight_row = np.empty(size, np.float32)
    one, none = np.float32(1), np.float32(0)
    for z in starts:
        for y in ys:
            x0 = places[z, y, 0]
            width = places[z, y, 1] - x0
            if width <= 0:
                continue
            wide = width + nx - 1
            _forward(image, z, y, x0, width, bz, by, bx, first, second, coefficients)
            weights = weight_row[:width]
            weights[:] = 0
            if wiener:
                _forward(pilot, z, y, x0, width, bz, by, bx, first, second, guide)
                for i in range(nz):
                    for j in range(ny):
                        for f in range(nx):
                            row, power = coefficients[i, j, f, :width], guide[i, j, f, :width]
                            for x in range(width):
                                gain = power[x] * power[x]
                                gain = gain / (gain + variance)
                                weights[x] += gain * gain
                                row[x] *= gain
                for x in range(width):
                    weights[x] = one / (weights[x] + np.float32(1e-3))
            else:
                for i in range(nz):
                    for j in range(ny):
                        for f in range(nx):
                            if i + j + f == 0:
                                continue  # the mean of a block is always kept
                            row = coefficients[i, j, f, :width]
                            for x in range(width):
                                keep = one if abs(row[x]) > threshold else none
                                weights[x] += keep
                                row[x] *= keep
                for x in range(width):
                    weights[x] = one / (one + weights[x])
            for i in range(nz):
                for j in range(ny):
                    line = second[i, j, :wide]
                    line[:] = 0
                    for f in range(nx):
                        row = coefficients[i, j, f, :width]
                        for x in range(width):
                            row[x] *= weights[x]
                        for k in range(nx):
                            factor, part = bx[f, k], second[i, j, k : k + width]
                            for x in range(width):
                                part[x] += factor * row[x]
            for i in range(nz):
                for j in range(ny):
                    line = first[i, j, :wide]
                    line[:] = 0
                    for k in range(ny):
                        factor, source = by[k, j], second[i, k, :wide]
                        for x in range(wide):
                            line[x] += factor * source[x]
            for i in range(nz):
                for j in range(ny):
                    line = total[z + i, y + j, x0 : x0 + wide]
                    for k in range(nz):
                        factor, source = bz[k, i], first[k, j, :wide]
                        for x in range(wide):
                            line[x] += factor * source[x]
                    for k in range(nx):
                        part = weight[z + i, y + j, x0 + k : x0 + k + width]
                        for x in range(width):
                            part[x] += weights[x]


def _reach(mask: np.ndarray, side) -> np.ndarray:
    """(z, y, 2): first and one past the last x of the blocks of `side` voxels that touch the mask."""
    size = mask.shape
    touched = mask.any(2)
    low = np.where(touched, mask.argmax(2), size[2])
    high = np.where(touched, size[2] - mask[..., ::-1].argmax(2), 0)
    rows, columns = size[0] - side[0] + 1, size[1] - side[1] + 1
    start, stop = np.full((rows, columns), size[2]), np.zeros((rows, columns), int)
    for i in range(side[0]):
        for j in range(side[1]):
            start = np.minimum(start, low[i : rows + i, j : columns + j])
            stop = np.maximum(stop, high[i : rows + i, j : columns + j])
    last = size[2] - side[2] + 1
    return np.stack([np.clip(start - side[2] + 1, 0, last), np.clip(stop, 0, last)], -1).astype(np.int64)


def shrink(image: np.ndarray, sigma: float, mask: np.ndarray, side, step=(1, 1), *, pilot=None):
    """Denoise by shrinking the cosine transform of overlapping blocks (Yaroslavsky 1996; Guleryuz 2007).

    image: (z, y, x) float32, with noise of deviation sigma. mask: voxels to denoise; the others keep their values.
    side: voxels of a block along each axis, at most those of the image. step: between blocks along z and y; along x
    blocks start at every voxel. Without a pilot, coefficients below CUT * sigma become 0. With a pilot, an image of the
    same shape, each coefficient is weighted by its power in the pilot (Wiener). Each voxel is the weighted mean of its
    blocks; sparser blocks weigh more.
    """
    tables = [cosines(n) for n in side]
    places = _reach(mask, side)
    total, weight = np.zeros_like(image), np.zeros_like(image)
    (rows, columns), (dz, dy) = places.shape[:2], step
    zs, ys = (np.unique(np.append(np.arange(0, n, d), n - 1)) for n, d in ((rows, dz), (columns, dy)))
    slabs = [part for k in range(0, rows, SLAB) if len(part := zs[(zs >= k) & (zs < k + SLAB)])]

    def work(starts):
        _blocks(image, image if pilot is None else pilot, pilot is not None, np.float32(CUT * sigma),
                np.float32(sigma**2), total, weight, places, starts, ys, *tables)  # fmt: skip

    with ThreadPoolExecutor(cores()) as pool:
        for odd in (0, 1):  # neighbouring slabs overlap: every other one first, so that threads do not meet
            list(pool.map(work, [s for s in slabs if s[0] // SLAB % 2 == odd]))
    inside = mask & (weight > 0)
    result = image.copy()
    result[inside] = total[inside] / weight[inside]
    return result


@njit(nogil=True, cache=True, fastmath=True)
def _like(image, guide, mean, spans, result, c_guide, c_mean, radius, own, start, stop):
    depth, height, size = image.shape
    total, weight = np.empty(size, np.float32), np.empty(size, np.float32)
    none, one, part = np.float32(0), np.float32(1), np.float32(1 / 16)
    for z in range(start, stop):
        for y in range(height):
            x0, x1 = spans[z, y, 0], spans[z, y, 1]
            if x1 <= x0:
                continue
            total[x0:x1] = image[z, y, x0:x1] + own * guide[z, y, x0:x1]
            weight[x0:x1] = one + own
            for zz in range(max(z - radius[0], 0), min(z + radius[0] + 1, depth)):
                for yy in range(max(y - radius[1], 0), min(y + radius[1] + 1, height)):
                    for dx in range(-radius[2], radius[2] + 1):
                        if zz == z and yy == y and dx == 0:
                            continue
                        a, b = max(x0, -dx), min(x1, size - dx)
                        if b <= a:
                            continue
                        g, h = guide[z, y, a:b], guide[zz, yy, a + dx : b + dx]
                        m, n = mean[z, y, a:b], mean[zz, yy, a + dx : b + dx]
                        values, t, w = image[zz, yy, a + dx : b + dx], total[a:b], weight[a:b]
                        for x in range(b - a):
                            p, q = g[x] - h[x], m[x] - n[x]
                            e = max(none, one - (p * p * c_guide + q * q * c_mean) * part)
                            e = e * e  # (1 - d/16)^16, nearly exp(-d)
                            e = e * e
                            e = e * e
                            e = e * e
                            t[x] += e * values[x]
                            w[x] += e
            result[z, y, x0:x1] = total[x0:x1] / weight[x0:x1]


def like_means(image: np.ndarray, guide: np.ndarray, sigma: float, mask: np.ndarray, radius) -> np.ndarray:
    """Replace every voxel by the mean of the similar ones around it (PRI-NLM, Manjon et al. 2012).

    image, guide: (z, y, x) float32, the guide denoised already. Two voxels are similar if their values in the guide,
    and the means of the guide over 3 voxels per side, differ little compared with WIDTH * sigma; this is invariant to
    rotation. mask: voxels to denoise; the others keep their values. radius: of the neighbourhood along each axis.
    """
    from scipy import ndimage

    mean = ndimage.uniform_filter(guide, [3 if r else 1 for r in radius])
    touched = mask.any(2)
    low = np.where(touched, mask.argmax(2), 0)
    high = np.where(touched, mask.shape[2] - mask[..., ::-1].argmax(2), 0)
    spans = np.stack([low, high], -1).astype(np.int64)
    scale = 1 / (4 * (WIDTH * sigma) ** 2)
    result = image.copy()

    def work(start):
        _like(image, guide, mean, spans, result, np.float32(scale), np.float32(3 * scale), np.asarray(radius),
              np.float32(OWN), start, min(start + 4, len(image)))  # fmt: skip

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(work, range(0, len(image), 4)))
    result[~mask] = image[~mask]
    return result
