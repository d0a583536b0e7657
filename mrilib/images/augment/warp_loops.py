"""The loops that resample an image and its label map together: the position of each voxel is computed once.

Arrays are (z, y, x, channel); a picture has z = 1. A position is inside up to half a voxel beyond the outermost
centres, where the border voxel repeats, as in ITK.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from mrilib.images.compiled import inner, loop

ONE, HALF = np.float32(1), np.float32(0.5)
COMMON = (1, 3, 4)  # numbers of channels that have a loop of their own


@inner
def _outside(a, b, c, nz, ny, nx):
    return not (a >= -0.5 and b >= -0.5 and c >= -0.5 and a < nz - 0.5 and b < ny - 0.5 and c < nx - 0.5)


@inner
def _linear(source, result, cz, cy, cx, z, y, beyond, nc):
    nz, ny, nx = source.shape[0], source.shape[1], source.shape[2]
    for x in range(result.shape[2]):
        a, b, c = cz[x], cy[x], cx[x]
        if _outside(a, b, c, nz, ny, nx):
            for k in range(nc):
                result[z, y, x, k] = beyond[k]
            continue
        fa, fb, fc = math.floor(a), math.floor(b), math.floor(c)
        i, j, l = int(fa), int(fb), int(fc)  # noqa: E741
        u, v, w = np.float32(a - fa), np.float32(b - fb), np.float32(c - fc)
        i1, j1, l1 = min(i + 1, nz - 1), min(j + 1, ny - 1), min(l + 1, nx - 1)
        i, j, l = max(i, 0), max(j, 0), max(l, 0)  # noqa: E741
        w00, w01, w10, w11 = (ONE - u) * (ONE - v), (ONE - u) * v, u * (ONE - v), u * v
        t = ONE - w
        for k in range(nc):
            result[z, y, x, k] = (
                w00 * (t * source[i, j, l, k] + w * source[i, j, l1, k])
                + w01 * (t * source[i, j1, l, k] + w * source[i, j1, l1, k])
                + w10 * (t * source[i1, j, l, k] + w * source[i1, j, l1, k])
                + w11 * (t * source[i1, j1, l, k] + w * source[i1, j1, l1, k]))


@inner
def _bilinear(source, result, cy, cx, y, beyond, nc):
    ny, nx = source.shape[1], source.shape[2]
    for x in range(result.shape[2]):
        b, c = cy[x], cx[x]
        if _outside(0.0, b, c, 1, ny, nx):
            for k in range(nc):
                result[0, y, x, k] = beyond[k]
            continue
        fb, fc = math.floor(b), math.floor(c)
        j, l = int(fb), int(fc)  # noqa: E741
        v, w = np.float32(b - fb), np.float32(c - fc)
        j1, l1 = min(j + 1, ny - 1), min(l + 1, nx - 1)
        j, l = max(j, 0), max(l, 0)  # noqa: E741
        t = ONE - w
        for k in range(nc):
            result[0, y, x, k] = ((ONE - v) * (t * source[0, j, l, k] + w * source[0, j, l1, k])
                                  + v * (t * source[0, j1, l, k] + w * source[0, j1, l1, k]))


@inner
def _cubic_weights(t, weights):
    weights[0] = ((-HALF * t + ONE) * t - HALF) * t
    weights[1] = (np.float32(1.5) * t - np.float32(2.5)) * t * t + ONE
    weights[2] = ((-np.float32(1.5) * t + np.float32(2)) * t + HALF) * t
    weights[3] = (HALF * t - HALF) * t * t


@inner
def _cubic(source, result, cz, cy, cx, z, y, beyond, low, high, nc):
    nz, ny, nx = source.shape[0], source.shape[1], source.shape[2]
    wz, wy, wx = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    total = np.empty(nc, np.float32)
    for x in range(result.shape[2]):
        a, b, c = cz[x], cy[x], cx[x]
        if _outside(a, b, c, nz, ny, nx):
            for k in range(nc):
                result[z, y, x, k] = beyond[k]
            continue
        fa, fb, fc = math.floor(a), math.floor(b), math.floor(c)
        i, j, l = int(fa), int(fb), int(fc)  # noqa: E741
        _cubic_weights(np.float32(a - fa), wz)
        _cubic_weights(np.float32(b - fb), wy)
        _cubic_weights(np.float32(c - fc), wx)
        total[:] = 0
        for p in range(4):
            if nz == 1 and p != 1:
                continue
            ip = min(max(i + p - 1, 0), nz - 1)
            for q in range(4):
                jq = min(max(j + q - 1, 0), ny - 1)
                wpq = (ONE if nz == 1 else wz[p]) * wy[q]
                for r in range(4):
                    weight = wpq * wx[r]
                    lr = min(max(l + r - 1, 0), nx - 1)
                    for k in range(nc):
                        total[k] += weight * source[ip, jq, lr, k]
        for k in range(nc):
            result[z, y, x, k] = min(max(total[k], low[k]), high[k])


@inner
def _nearest(label, moved, cz, cy, cx, z, y):
    nz, ny, nx = label.shape
    for x in range(moved.shape[2]):
        a, b, c = math.floor(cz[x] + 0.5), math.floor(cy[x] + 0.5), math.floor(cx[x] + 0.5)
        inside = a >= 0 and b >= 0 and c >= 0 and a < nz and b < ny and c < nx
        moved[z, y, x] = label[int(a), int(b), int(c)] if inside else 0


@inner
def _smooth(label, moved, cz, cy, cx, z, y, names, shares):
    """The label with the largest share under linear interpolation; the lowest number of equal shares."""
    nz, ny, nx = label.shape
    for x in range(moved.shape[2]):
        a, b, c = cz[x], cy[x], cx[x]
        if _outside(a, b, c, nz, ny, nx):
            moved[z, y, x] = 0
            continue
        fa, fb, fc = math.floor(a), math.floor(b), math.floor(c)
        count = 0
        for corner in range(8):
            p, q, r = corner >> 2, corner >> 1 & 1, corner & 1
            weight = ((a - fa if p else 1 - a + fa) * (b - fb if q else 1 - b + fb) * (c - fc if r else 1 - c + fc))
            value = label[min(max(int(fa) + p, 0), nz - 1), min(max(int(fb) + q, 0), ny - 1),
                          min(max(int(fc) + r, 0), nx - 1)]
            at = 0
            while at < count and names[at] != value:
                at += 1
            if at == count:
                names[at], shares[at] = value, 0.0
                count += 1
            shares[at] += weight
        best = 0
        for at in range(1, count):
            ahead = shares[at] - shares[best]
            if ahead > 1e-9 or (ahead > -1e-9 and names[at] < names[best]):
                best = at
        moved[z, y, x] = names[best]


@cache
def warp_loop(kernel: str, smooth: bool, channels: int):
    """The loop for one kind of interpolation, compiled on first use.

    kernel: of the image, linear, bilinear (of a picture) or cubic. smooth: interpolation of the label map. channels:
    number that the loop is compiled for; 0: any.
    """
    cubic, bilinear = kernel == "cubic", kernel == "bilinear"

    @loop
    def warp(source, result, label, moved, matrix, controls, fz, wz, fy, wy, fx, wx, beyond, low, high,
             start, stop):
        """Fill the planes start .. stop of `result` and `moved`.

        source, result: (z, y, x, c) float32, c may be 0. label, moved: (z, y, x), of no voxels when there is none.
        matrix: (4, 4) from the index of the result to that of the source, homogeneous. controls: (kz, ky, kx, 3)
        float32, displacement of the source index in voxels as a B-spline, of no points when there is none; f., w.: its
        basis along each axis. beyond, low, high: (c,) value outside, bounds of cubic interpolation.
        """
        nz, ny, nx, nc = result.shape
        if moved.size:
            nz, ny, nx = moved.shape
        cz, cy, cx = np.empty(nx), np.empty(nx), np.empty(nx)
        names, shares = np.empty(8, moved.dtype), np.empty(8)
        count, elastic = channels if channels else nc, controls.size > 0
        projective = matrix[3, 0] != 0 or matrix[3, 1] != 0 or matrix[3, 2] != 0
        plane = np.empty(controls.shape[1:], np.float32)
        row = np.empty(controls.shape[2:], np.float32)
        for z in range(start, stop):
            if elastic:
                plane[:] = 0
                for k in range(4):
                    plane += wz[z, k] * controls[fz[z] + k]
            for y in range(ny):
                bz = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 3]
                by = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 3]
                bx = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 3]
                sz, sy, sx = matrix[0, 2], matrix[1, 2], matrix[2, 2]
                for x in range(nx):
                    cz[x], cy[x], cx[x] = bz + sz * x, by + sy * x, bx + sx * x
                if projective:
                    base = matrix[3, 0] * z + matrix[3, 1] * y + matrix[3, 3]
                    for x in range(nx):
                        far = 1 / (base + matrix[3, 2] * x)
                        cz[x] *= far
                        cy[x] *= far
                        cx[x] *= far
                if elastic:
                    row[:] = 0
                    for k in range(4):
                        row += wy[y, k] * plane[fy[y] + k]
                    x = 0
                    while x < nx:  # by cells of the B-spline, which share their four control points
                        cell = fx[x]
                        end = x + 1
                        while end < nx and fx[end] == cell:
                            end += 1
                        for axis in range(3):
                            k0, k1 = row[cell, axis], row[cell + 1, axis]
                            k2, k3 = row[cell + 2, axis], row[cell + 3, axis]
                            line = cz if axis == 0 else cy if axis == 1 else cx
                            for i in range(x, end):
                                line[i] += k0 * wx[i, 0] + k1 * wx[i, 1] + k2 * wx[i, 2] + k3 * wx[i, 3]
                        x = end
                if cubic:
                    _cubic(source, result, cz, cy, cx, z, y, beyond, low, high, count)
                elif bilinear:
                    _bilinear(source, result, cy, cx, y, beyond, count)
                else:
                    _linear(source, result, cz, cy, cx, z, y, beyond, count)
                if moved.size:
                    if smooth:
                        _smooth(label, moved, cz, cy, cx, z, y, names, shares)
                    else:
                        _nearest(label, moved, cz, cy, cx, z, y)

    return warp
