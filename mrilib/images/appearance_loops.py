"""The loops that change values: (z, y, x, channel) float32, a picture has z = 1."""

from __future__ import annotations

import math

import numpy as np

from mrilib.images.compiled import inner, loop

F32, I32, U32 = np.float32, np.int32, np.uint32
ZERO, ONE = F32(0), F32(1)


@loop
def statistics(array, low, high, total, start, stop):
    """Lowest and highest value and sum of each channel in each plane: into (z, c) float32, float32, float64."""
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


@loop
def tone(source, result, table, low, scale, air, controls, fz, wz, fy, wy, fx, wx, start, stop):
    """result = a curve of source, times a smooth field above `air`. source and result may be one array.

    table: (c, m) float32, the curve at m even steps from low (c,), `scale` (c,) steps per unit. controls: (kz, ky, kx)
    float32 of the field as a B-spline, of no points when there is none; f., w.: its basis along each axis.
    """
    nz, ny, nx, nc = source.shape
    n, last, flat = nx * nc, I32(table.shape[1] - 2), table.reshape(-1)
    bent = controls.size > 0
    plane = np.empty(controls.shape[1:], F32)
    row = np.empty(controls.shape[2:], F32)
    lowest, steps, floor, gain = np.empty(n, F32), np.empty(n, F32), np.empty(n, F32), np.ones(n, F32)
    begin, weights = np.empty(n, I32), np.empty((4, n), F32)
    for i in range(n):
        k = i % nc
        lowest[i], steps[i], floor[i], begin[i] = low[k], scale[k], air[k], k * table.shape[1]
        weights[:, i] = wx[i // nc]
    for z in range(start, stop):
        if bent:
            plane[:] = 0
            for k in range(4):
                plane += wz[z, k] * controls[fz[z] + k]
        for y in range(ny):
            if bent:
                row[:] = 0
                for k in range(4):
                    row += wy[y, k] * plane[fy[y] + k]
                x = 0
                while x < nx:  # a cell of the B-spline at a time: within it the four control points stay the same
                    cell, end = fx[x], x + 1
                    while end < nx and fx[end] == cell:
                        end += 1
                    k0, k1, k2, k3 = row[cell], row[cell + 1], row[cell + 2], row[cell + 3]
                    part, wide = gain[x * nc : end * nc], weights[:, x * nc : end * nc]
                    for i in range(part.size):
                        part[i] = k0 * wide[0, i] + k1 * wide[1, i] + k2 * wide[2, i] + k3 * wide[3, i]
                    x = end
            given, line = source[z, y].reshape(n), result[z, y].reshape(n)
            for i in range(n):
                place = (given[i] - lowest[i]) * steps[i]
                step = min(max(I32(place), I32(0)), last)
                at = U32(begin[i] + step)
                value = flat[at] + (place - F32(step)) * (flat[at + U32(1)] - flat[at])
                line[i] = (value - floor[i]) * gain[i] + floor[i]


@loop
def along(source, result, weights, block, start, stop):
    """result[a, i] = sum over k of weights[i, k] * source[a, i + k - r]: a band matrix along the middle axis.

    source, result: (a, n, b) float32. weights: (n, 2 r + 1), 0 where the place lies outside. b is worked off in blocks;
    start .. stop counts pairs of a and block.
    """
    na, n, nb = source.shape
    blocks = (nb + block - 1) // block
    wide, last = weights.shape[1], n - 1
    r = wide // 2
    for part in range(start, stop):
        a, b0 = part // blocks, part % blocks * block
        b1 = min(b0 + block, nb)
        for i in range(n):
            line = result[a, i, b0:b1]
            line[:] = 0
            for k in range(0, wide, 4):  # four rows at once: the sum is written to the cache a quarter as often
                w0, w1 = weights[i, k], weights[i, k + 1] if k + 1 < wide else ZERO
                w2, w3 = weights[i, k + 2] if k + 2 < wide else ZERO, weights[i, k + 3] if k + 3 < wide else ZERO
                if w0 == 0 and w1 == 0 and w2 == 0 and w3 == 0:
                    continue
                at = i + k - r
                s0, s1 = source[a, min(max(at, 0), last), b0:b1], source[a, min(max(at + 1, 0), last), b0:b1]
                s2, s3 = source[a, min(max(at + 2, 0), last), b0:b1], source[a, min(max(at + 3, 0), last), b0:b1]
                for x in range(line.size):
                    line[x] += w0 * s0[x] + w1 * s1[x] + w2 * s2[x] + w3 * s3[x]


@loop
def along_rows(source, result, weights, r, step, start, stop):
    """The same along the rows: source, result (rows, n * step), r known.

    weights: (a multiple of four, n * step), each weight `step` times; the first 2 r + 1 count, the rest are 0.
    """
    rows, n = source.shape
    wide = weights.shape[0]
    given = np.zeros(n + wide * step, F32)
    inside = given[r * step : r * step + n]
    for row in range(start, stop):
        inside[:] = source[row]
        line = result[row]
        line[:] = 0
        for k in range(0, wide, 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            s0, s1 = given[k * step : k * step + n], given[(k + 1) * step : (k + 1) * step + n]
            s2, s3 = given[(k + 2) * step : (k + 2) * step + n], given[(k + 3) * step : (k + 3) * step + n]
            for i in range(n):
                line[i] += w0[i] * s0[i] + w1[i] * s1[i] + w2[i] * s2[i] + w3[i] * s3[i]


@loop
def ghosts(source, result, count, share, start, stop):
    """result = (1 - share) source + share / (count - 1) of each copy displaced by n / count along the middle axis.

    source, result: (a, n, b). start .. stop counts pairs of a and place along the axis.
    """
    na, n, nb = source.shape
    one, each = ONE - share, share / F32(count - 1)
    for part in range(start, stop):
        a, i = part // n, part % n
        line = result[a, i]
        line[:] = one * source[a, i]
        for m in range(1, count):
            line += each * source[a, (i + m * n // count) % n]


@loop
def ghosts_rows(source, result, step, count, share, start, stop):
    """The same along the rows: source, result (rows, n * step)."""
    rows, length = source.shape
    one, each = ONE - share, share / F32(count - 1)
    for row in range(start, stop):
        line, given = result[row], source[row]
        for i in range(length):
            line[i] = one * given[i]
        for m in range(1, count):
            off = m * (length // step) // count * step
            front, back = line[: length - off], line[length - off :]
            late, early = given[off:], given[:off]
            for i in range(front.size):
                front[i] += each * late[i]
            for i in range(back.size):
                back[i] += each * early[i]


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
def sharpened(source, result, amount, start, stop):
    """result = source + amount of its difference from the mean of the direct neighbours; two arrays."""
    nz, ny, nx, nc = source.shape
    n = nx * nc
    here, around = F32(1 + amount), F32(amount / (6 if nz > 1 else 4))
    for z in range(start, stop):
        over, under = source[max(z - 1, 0)], source[min(z + 1, nz - 1)]
        for y in range(ny):
            line, given = result[z, y].reshape(n), source[z, y].reshape(n)
            up, down = source[z, max(y - 1, 0)].reshape(n), source[z, min(y + 1, ny - 1)].reshape(n)
            first, last = given[: n - nc], given[nc:]
            for i in range(n):
                line[i] = here * given[i] - around * (up[i] + down[i])
            to_left, to_right = line[: n - nc], line[nc:]
            for i in range(n - nc):
                to_right[i] -= around * first[i]
            for i in range(n - nc):
                to_left[i] -= around * last[i]
            for k in range(nc):
                line[k] -= around * given[k]
                line[n - nc + k] -= around * given[n - nc + k]
            if nz > 1:
                above, below = over[y].reshape(n), under[y].reshape(n)
                for i in range(n):
                    line[i] -= around * (above[i] + below[i])


@loop
def grain(array, seed, deviation, rician, air, start, stop):
    """Add noise in place: Gaussian, or Rician (of the magnitude of a complex image) above the value of air.

    deviation, air: (c,) float32. The noise of a voxel depends on its place and the seed (uint32) alone.
    """
    nz, ny, nx, nc = array.shape
    n = nx * nc
    half = n if rician else (n + 1) // 2
    first, second, sd, floor = np.empty(n, F32), np.empty(n, F32), np.empty(n, F32), np.empty(n, F32)
    for i in range(n):
        sd[i], floor[i] = deviation[i % nc], air[i % nc]
    for z in range(start, stop):
        for y in range(ny):
            line = array[z, y].reshape(n)
            _normal(first, second, half, U32((z * ny + y) * n), seed)
            if rician:
                for i in range(n):
                    signal, quiet = line[i] - floor[i] + sd[i] * first[i], sd[i] * second[i]
                    line[i] = math.sqrt(signal * signal + quiet * quiet) + floor[i]
            else:
                for i in range(half):
                    line[i] += sd[i] * first[i]
                for i in range(n - half):
                    line[half + i] += sd[half + i] * second[i]
