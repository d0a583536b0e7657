"""Bringing intensities to a common scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Image
from mrilib.images.io.colours import luminance
from mrilib.images.steps.foreground import finite
from mrilib.images.steps.geometry import above_air

PEAK_BINS, PEAK_SMOOTH = 256, 8.0  # whitestripe: its histogram, and the deviation in bins that it is smoothed with
STANDS_OUT = 0.2  # whitestripe: of the highest peak, what a peak must reach
NORMAL_IQR = 1.349  # distance of the quartiles of a normal distribution of deviation 1
REGIONS = ("image", "foreground")


def grey(image: Image, *, mask=None, rng=None) -> tuple[Image, dict]:
    """One channel, the luminance (ITU-R BT.601), of a picture in colours red, green, blue, as of a photographed screen.

    Other images come back as they are: sequences with names of their own are never mixed. Measured: nothing.
    """
    if image.channels != COLOURS:
        return image, {}
    return Image(luminance(finite(image)), image.grid), {}


def zscore(image: Image, *, mask=None, rng=None, region: str = "foreground") -> tuple[Image, dict]:
    """Shift and scale so that the region has mean 0 and standard deviation 1; voxels outside it go along.

    image: (z, y, x[, c]) or (y, x[, c]); each channel alone. region: "image", or "foreground", what at least half
    of the channels show above the air; a mask, bool on the grid, takes its place. Measured, a list with a value a
    channel: mean, sd. Raises CaseError for NaN, infinity, an empty region or one of a single value.
    """

    def scale(values):
        mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return mean, sd, {"mean": mean, "sd": sd}

    return _each_channel(image, mask, region, scale)


def minmax(image: Image, *, mask=None, rng=None, region: str = "image") -> tuple[Image, dict]:
    """Shift and scale so that the region runs from 0 to 1; voxels outside it may lie beyond.

    Arguments and errors as in zscore. Measured, for each channel: low, high.
    """

    def scale(values):
        low, high = float(values.min()), float(values.max())
        return low, high - low, {"low": low, "high": high}

    return _each_channel(image, mask, region, scale)


def percentile(image: Image, *, mask=None, rng=None, region: str = "image", low: float = 1, high: float = 99,
               clip: bool = True) -> tuple[Image, dict]:  # fmt: skip
    """Shift and scale so that the low and high percentiles of the region become 0 and 1.

    low, high: percent, linear between ranks as numpy's. clip: cut what lies beyond to 0 and 1. The rest as in
    zscore. Measured, for each channel: low, high, the values at the percentiles.
    """
    check_percentiles(low, high)

    def scale(values):
        bottom, top = (float(v) for v in np.percentile(values, (low, high)))
        return bottom, top - bottom, {"low": bottom, "high": top}

    return _each_channel(image, mask, region, scale, clip)


def robust(image: Image, *, mask=None, rng=None, region: str = "foreground") -> tuple[Image, dict]:
    """Shift and scale so that the region has median 0 and quartiles as far apart as those of a deviation of 1.

    Like zscore, but a few very bright or dark voxels change nothing. Arguments and errors as there. Measured, for
    each channel: median, iqr (the distance of the quartiles).
    """

    def scale(values):
        low, middle, high = (float(v) for v in np.percentile(values, (25, 50, 75)))
        return middle, (high - low) / NORMAL_IQR, {"median": middle, "iqr": high - low}

    return _each_channel(image, mask, region, scale)


def whitestripe(image: Image, *, mask=None, rng=None, region: str = "foreground", peak: str = "last",
                width: float = 5) -> tuple[Image, dict]:  # fmt: skip
    """Shift and scale by the values around a peak of the histogram, that of white matter (Shinohara et al. 2014).

    peak: "last", the brightest that stands out, as of T1; "largest", as of T2 and FLAIR. width: how many percent of
    the region on each side of the peak are the stripe, whose mean becomes 0 and whose deviation 1. The rest as in
    zscore; best on the brain alone. Measured, for each channel: peak, mean, sd.
    """
    if peak not in ("last", "largest"):
        raise UsageError(f"unknown peak {peak}", remedy="choose from last largest")

    def scale(values):
        from scipy.ndimage import gaussian_filter1d

        low, high = (float(v) for v in np.percentile(values, (0.1, 99.9)))
        if not high > low:
            return low, 0.0, {}
        counts, edges = np.histogram(values, PEAK_BINS, (low, high))
        smooth = gaussian_filter1d(counts.astype(float), PEAK_SMOOTH)
        tops = [i for i in range(1, PEAK_BINS - 1) if smooth[i - 1] < smooth[i] >= smooth[i + 1]]
        tops = [i for i in tops if smooth[i] >= STANDS_OUT * smooth.max()] or [int(smooth.argmax())]
        place = tops[-1] if peak == "last" else max(tops, key=smooth.__getitem__)
        top = float(edges[place] + edges[place + 1]) / 2
        rank = 100 * float((values < top).mean())
        ends = np.percentile(values, np.clip((rank - width, rank + width), 0, 100))
        stripe = values[(values >= ends[0]) & (values <= ends[1])]
        mean, sd = float(stripe.mean(dtype=np.float64)), float(stripe.std(dtype=np.float64))
        return mean, sd, {"peak": top, "mean": mean, "sd": sd}

    return _each_channel(image, mask, region, scale)


def _each_channel(image: Image, mask, region: str, scale: Callable, clip: bool = False) -> tuple[Image, dict]:
    """(value - shift) / width for every channel, where scale(values) gives shift, width and what to note."""
    array = finite(image)
    result = np.empty_like(array, np.float32)  # of the same layout, so that a channel stays in one piece
    measured: dict[str, list] = {}
    for i, (place, values) in enumerate(by_region(image, array, mask, region)):
        shift, width, noted = scale(values)
        check_width(width, shift, values, place)
        np.subtract(array[..., i], np.float32(shift), out=result[..., i])
        result[..., i] *= np.float32(1 / width)
        if clip:
            np.clip(result[..., i], 0, 1, out=result[..., i])
        for key, value in noted.items():
            measured.setdefault(key, []).append(value)
    return image.with_array(result.reshape(image.array.shape)), measured


def by_region(image: Image, array: np.ndarray, mask, region: str) -> Iterator[tuple[str, np.ndarray]]:
    """For each channel in turn: the place it is measured in, for errors, and its values there, flat.

    array: of the image, finite, with a channel axis. mask and region as in zscore; the same voxels in all channels.
    Raises CaseError where there is no voxel, UsageError for a region of another name.
    """
    if region not in REGIONS:
        raise UsageError(f"unknown region {region}", remedy=f"choose from {' '.join(REGIONS)}")
    inside = _head(array) if region == "foreground" and mask is None else mask
    for i in range(array.shape[-1]):
        place = f"channel {image.channels[i]}, " if image.channels else ""
        place += region if mask is None else "mask"
        values = array[..., i].ravel() if inside is None else array[..., i][inside]
        if values.size == 0:
            raise CaseError(f"{place}: no voxel in it", remedy="leave this case out")
        yield place, values


def check_percentiles(low: float, high: float) -> None:
    """Raises UsageError for percentiles that are none or not in order."""
    if not 0 <= low < high <= 100:
        raise UsageError(f"percentiles {low:g} and {high:g} are not in order within 0 to 100")


def check_width(width: float, around: float, values: np.ndarray, place: str) -> None:
    """Raises CaseError when values are so much alike that their width is no scale to divide by.

    A deviation that is only rounding of equal values is none. around: what to call the value of all.
    """
    if not width > 1e-6 * max(abs(around), float(np.abs(values).max()), 1e-30):
        share = "all" if values.min() == values.max() else "nearly all"
        raise CaseError(f"{place}: {share} values are {around:g}", remedy="leave this case out")


def _head(array: np.ndarray) -> np.ndarray | None:
    """What at least half of the channels show above the air (see geometry.above_air), one mask for all, so that a
    channel whose air is noisy or whose scalp is bright is measured where the others are; None where there is none."""
    count = sum(above_air(array[..., i]).astype(np.uint8) for i in range(array.shape[-1]))
    head = 2 * count >= array.shape[-1]
    return head if head.any() else None
