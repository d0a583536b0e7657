"""The loops of the intensity transforms on (z, y, x, channel) float32; a picture has z = 1.

There are two passes over memory: planes(), where a plane stays in the cache from the curve to the ghosts along y, and
columns(), where a block of columns along z does. The parts of a pass do not depend on each other.
"""

from __future__ import annotations

import math

import numpy as np

from mrilib.images.compiled import inner, loop

F32, I32, U32 = np.float32, np.int32, np.uint32
ZERO, ONE = F32(0), F32(1)


@loop
def statistics(array, low, high, total, start, stop):
    """Write lowest and highest value and sum of each channel in each plane into (z, c) float32, float32, float64."""
    nz, ny, nx, nc = array.shape
    for z in range(start, stop):
        for k in range(nc):
            low[z, k], high[z, k], total[z, k] = np.inf, -np.inf, 0
        for y in range(ny):
            for k in range(nc):
                least, most, sum_ = low[z, k], high[z, k], F32(0)
                for x in range(nx):
                    value = array[z, y, x, k]
                    least = min(least, value)
                    most = max(most, value)
                    sum_ += value
                low[z, k], high[z, k] = least, most
                total[z, k] += sum_


@inner
def _banded(source, weights, i, line):
    """line = sum over k of weights[i, k] * source[i + k - r]; source (n, b), weights (n, 2 r + 1), 0 outside."""
    wide, last = weights.shape[1], source.shape[0] - 1
    r = wide // 2
    line[:] = 0
    for k in range(0, wide, 4):  # four rows at once: the sum is written to the cache a quarter as often
        w0, w1 = weights[i, k], weights[i, k + 1] if k + 1 < wide else ZERO
        w2, w3 = weights[i, k + 2] if k + 2 < wide else ZERO, weights[i, k + 3] if k + 3 < wide else ZERO
        if w0 == 0 and w1 == 0 and w2 == 0 and w3 == 0:
            continue
        at = i + k - r
        s0, s1 = source[min(max(at, 0), last)], source[min(max(at + 1, 0), last)]
        s2, s3 = source[min(max(at + 2, 0), last)], source[min(max(at + 3, 0), last)]
        for x in range(line.size):
            line[x] += w0 * s0[x] + w1 * s1[x] + w2 * s2[x] + w3 * s3[x]


@inner
def _ghosted(source, count, share, i, line):
    """line = (1 - share) source[i] + share / (count - 1) of each other of `count` places n / count apart."""
    n = source.shape[0]
    one, each = ONE - share, share / F32(count - 1)
    own = source[i]
    for x in range(line.size):
        line[x] = one * own[x]
    for m in range(1, count):
        other = source[(i + m * n // count) % n]
        for x in range(line.size):
            line[x] += each * other[x]


@inner
def _ghosted_row(source, count, share, step, line):
    """_ghosted along a row of x and channel, (n * step,)."""
    n = source.size
    one, each = ONE - share, share / F32(count - 1)
    for i in range(n):
        line[i] = one * source[i]
    for m in range(1, count):
        off = m * (n // step) // count * step
        front, back, late, early = line[: n - off], line[n - off :], source[off:], source[:off]
        for i in range(front.size):
            front[i] += each * late[i]
        for i in range(back.size):
            back[i] += each * early[i]


@loop
def planes(source, result, step, table, low, scale, controls, fz, wz, fy, wy, across, reach, down, ghosts_x, ghosts_y,
           share, start, stop):
    """result = source after a curve, a bias field, and a band matrix along x and along y, each with its ghosts.

    source, result: (z, y, x * step) float32 with `step` channels; they may be one array. table: (step, m) float32, the
    curve at m even steps from low (step,), with `scale` (step,) steps per unit, less low; empty without a curve.
    controls: (kz, ky, x * step) float32, the field as a B-spline along z and y with bases f. and w.; empty without.
    across: (a multiple of four, x * step), a row for each place in a band of 2 reach + 1, then zeros; down:
    (y, 2 r + 1); both empty without. ghosts_x, ghosts_y: number of ghosts.
    """
    nz, ny, n = source.shape
    toned, bent, wide = table.size > 0, controls.size > 0, across.shape[0]
    last, flat = I32(table.shape[1] - 2), table.reshape(-1)
    lowest, steps, begin = np.empty(n, F32), np.empty(n, F32), np.empty(n, I32)
    if toned:
        for i in range(n):
            k = i % step
            lowest[i], steps[i], begin[i] = low[k], scale[k], k * table.shape[1]
    points, gain = np.empty(controls.shape[1:], F32), np.ones(n, F32)
    row, plain, padded = np.empty(n, F32), np.empty(n, F32), np.zeros(n + wide * step, F32)
    inside = padded[reach * step : reach * step + n]
    first = np.empty((ny if down.size or ghosts_y else 0, n), F32)
    second = np.empty((ny if down.size and ghosts_y else 0, n), F32)
    for z in range(start, stop):
        output = result[z]
        if bent:
            points[:] = 0
            for k in range(4):
                points += wz[z, k] * controls[fz[z] + k]
        into = first if down.size or ghosts_y else output
        for y in range(ny):
            row[:] = source[z, y]
            line = plain if ghosts_x else into[y]
            value = inside if wide else line
            if bent:
                p0, p1, p2, p3 = points[fy[y]], points[fy[y] + 1], points[fy[y] + 2], points[fy[y] + 3]
                w0, w1, w2, w3 = wy[y, 0], wy[y, 1], wy[y, 2], wy[y, 3]
                for i in range(n):
                    gain[i] = w0 * p0[i] + w1 * p1[i] + w2 * p2[i] + w3 * p3[i]
            if toned:
                for i in range(n):
                    place = (row[i] - lowest[i]) * steps[i]
                    cell = min(max(I32(place), I32(0)), last)
                    at = U32(begin[i] + cell)
                    value[i] = (flat[at] + (place - F32(cell)) * (flat[at + U32(1)] - flat[at])) * gain[i] + lowest[i]
            else:
                value[:] = row
            if wide:
                line[:] = 0
                for k in range(0, wide, 4):
                    v0, v1, v2, v3 = across[k], across[k + 1], across[k + 2], across[k + 3]
                    s0, s1 = padded[k * step : k * step + n], padded[(k + 1) * step : (k + 1) * step + n]
                    s2, s3 = padded[(k + 2) * step : (k + 2) * step + n], padded[(k + 3) * step : (k + 3) * step + n]
                    for i in range(n):
                        line[i] += v0[i] * s0[i] + v1[i] * s1[i] + v2[i] * s2[i] + v3[i] * s3[i]
            if ghosts_x:
                _ghosted_row(plain, ghosts_x, share, step, into[y])
        if down.size:
            into = second if ghosts_y else output
            for y in range(ny):
                _banded(first, down, y, into[y])
        if ghosts_y:
            for y in range(ny):
                _ghosted(second if down.size else first, ghosts_y, share, y, output[y])


@inner
def _mixed(value):
    """32 well-mixed bits of a counter (lowbias32 of C. Wellons). Each cast keeps numba from 64 bits."""
    value = U32(value ^ U32(value >> U32(16)))
    value = U32(value * U32(0x7FEB352D))
    value = U32(value ^ U32(value >> U32(15)))
    value = U32(value * U32(0x846CA68B))
    return U32(value ^ U32(value >> U32(16)))


@inner
def _radius(bits):
    """sqrt(-2 ln u) of u in (0, 1) made of 24 bits, the logarithm as a series good to 1e-7."""
    u = (F32(I32(bits >> U32(8))) + F32(0.5)) * F32(2**-24)
    raw = F32(u).view(I32)
    exponent = I32(I32(raw - I32(0x3F3504F3)) >> I32(23))
    part = I32(raw - I32(exponent << I32(23))).view(F32)  # 0.707 .. 1.414
    s = (part - ONE) / (part + ONE)
    t = s * s
    log = F32(2) * s * (ONE + t * (F32(1 / 3) + t * (F32(0.2) + t * F32(1 / 7))))
    return math.sqrt(F32(-2) * (log + F32(exponent) * F32(0.6931471806)))


@inner
def _cosine(turn):
    """cos(2 pi turn) for a turn of -0.5 .. 0.5, good to 4e-6."""
    z = F32(6.283185307) * (F32(0.25) - abs(turn))
    t = z * z
    return z * (ONE + t * (F32(-1 / 6) + t * (F32(1 / 120) + t * (F32(-1 / 5040) + t * F32(1 / 362880)))))


@inner
def _normal(first, second, count, base, seed):
    """Pairs of independent standard normal values (Box and Muller 1958) into first and second, 0 .. count."""
    for i in range(count):
        bits = _mixed(U32(U32(base + U32(i)) ^ seed))
        radius = _radius(bits)
        turn = F32(I32(_mixed(U32(bits ^ U32(0x9E3779B9)))) >> I32(8)) * F32(2**-24)
        before = turn - F32(0.25)
        before = before + ONE if before < F32(-0.5) else before
        first[i] = radius * _cosine(turn)
        second[i] = radius * _cosine(before)


@loop
def columns(source, result, block, band, ghosts, share, seeds, deviations, low, start, stop):
    """result = source after a band matrix along z, its ghosts, and noise; start .. stop counts blocks of whole voxels.

    source, result: (z, y * x * channel) float32, which may be one array. band: (z, 2 r + 1), empty without. ghosts:
    number of ghosts. deviations: (2, channel) float32 of Rician noise (the magnitude of a complex image, above the
    value of air, low (channel,)) and of Gaussian noise; 0 without. The noise of a voxel depends only on its place and
    seeds (2,) uint32.
    """
    nz, n = source.shape
    nc = low.size
    first = np.empty((nz if band.size or ghosts else 0, block), F32)
    second, third = np.empty((nz if band.size and ghosts else 0, block), F32), np.empty((2, block), F32)
    sd, floor = np.empty((2, block), F32), np.empty(block, F32)
    for i in range(block):
        sd[0, i], sd[1, i], floor[i] = deviations[0, i % nc], deviations[1, i % nc], low[i % nc]
    rician, gaussian = deviations[0].max() > 0, deviations[1].max() > 0
    for part in range(start, stop):
        b0 = part * block
        b1 = min(b0 + block, n)
        size = b1 - b0
        half = (size + 1) // 2
        first_rows, second_rows = first[:, :size], second[:, :size]
        one, two = third[0], third[1]
        if band.size or ghosts:
            for z in range(nz):  # copied side by side, because rows of a volume may share cache lines
                first_rows[z] = source[z, b0:b1]
            if band.size and ghosts:
                for z in range(nz):
                    _banded(first_rows, band, z, second_rows[z])
        for z in range(nz):
            line = result[z, b0:b1]
            if ghosts:
                _ghosted(second_rows if band.size else first_rows, ghosts, share, z, line)
            elif band.size:
                _banded(first_rows, band, z, line)
            else:
                line[:] = source[z, b0:b1]
            place = U32(z * n + b0)
            if rician:
                _normal(one, two, size, place, seeds[0])
                for i in range(size):
                    signal, quiet = line[i] - floor[i] + sd[0, i] * one[i], sd[0, i] * two[i]
                    line[i] = math.sqrt(signal * signal + quiet * quiet) + floor[i]
            if gaussian:
                _normal(one, two, half, place, seeds[1])
                for i in range(half):
                    line[i] += sd[1, i] * one[i]
                rest = line[half:]
                for i in range(rest.size):
                    rest[i] += sd[1, half + i] * two[i]
