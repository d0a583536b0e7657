"""Intensity normalisation."""

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


def grey(image: Image, *, mask=None) -> tuple[Image, dict]:
    """Turn a picture with the channels red, green, blue into one channel: its luminance (ITU-R BT.601).

    Any other image is returned as it is; named sequences are never mixed. Measured: nothing.
    """
    if image.channels != COLOURS:
        return image, {}
    return Image(luminance(finite(image)), image.grid), {}


def zscore(image: Image, *, mask=None, region: str = "foreground") -> tuple[Image, dict]:
    """Shift and scale each channel so that its region has mean 0 and standard deviation 1.

    image: (z, y, x[, c]) or (y, x[, c]). region: where intensities are measured: "image", or "foreground", the voxels
    that at least half of the channels show above the air. A mask, bool on the grid, replaces the region. Voxels outside
    the region are shifted and scaled alike. Measured, a list with one value per channel: mean, sd.
    Raises CaseError for NaN, infinity, an empty region, and a region with a single value.
    """

    def scale(values):
        mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return mean, sd, {"mean": mean, "sd": sd}

    return _each_channel(image, mask, region, scale)


def minmax(image: Image, *, mask=None, region: str = "image") -> tuple[Image, dict]:
    """Shift and scale each channel so that its region runs from 0 to 1; voxels outside it may lie beyond.

    Arguments and errors as in zscore. Measured, for each channel: low, high.
    """

    def scale(values):
        low, high = float(values.min()), float(values.max())
        return low, high - low, {"low": low, "high": high}

    return _each_channel(image, mask, region, scale)


def percentile(image: Image, *, mask=None, region: str = "image", low: float = 1, high: float = 99,
               clip: bool = True) -> tuple[Image, dict]:  # fmt: skip
    """Shift and scale each channel so that the low and high percentiles of its region become 0 and 1.

    low, high: percent, linear between ranks as in numpy. clip: set values beyond them to 0 and 1. Other arguments and
    errors as in zscore. Measured, for each channel: low and high, the values at the percentiles.
    """
    check_percentiles(low, high)

    def scale(values):
        bottom, top = (float(v) for v in np.percentile(values, (low, high)))
        return bottom, top - bottom, {"low": bottom, "high": top}

    return _each_channel(image, mask, region, scale, clip)


def robust(image: Image, *, mask=None, region: str = "foreground") -> tuple[Image, dict]:
    """Shift and scale each channel so that its region has median 0 and the quartiles of a standard normal distribution.

    Unlike zscore, the result does not depend on a few very bright or dark voxels. Arguments and errors as in zscore.
    Measured, for each channel: median, iqr (the distance of the quartiles).
    """

    def scale(values):
        low, middle, high = (float(v) for v in np.percentile(values, (25, 50, 75)))
        return middle, (high - low) / NORMAL_IQR, {"median": middle, "iqr": high - low}

    return _each_channel(image, mask, region, scale)


def whitestripe(image: Image, *, mask=None, region: str = "foreground", peak: str = "last",
                width: float = 5) -> tuple[Image, dict]:  # fmt: skip
    """Shift and scale each channel by the values around the white-matter peak of its histogram (Shinohara et al. 2014).

    peak: "last", the brightest peak that stands out, for T1; "largest", for T2 and FLAIR. width: percent of the region
    on each side of the peak. The values within are the stripe; its mean becomes 0 and its standard deviation 1. Works
    best on a skull-stripped brain. Other arguments and errors as in zscore. Measured, for each channel: peak, mean, sd.
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
    """(value - shift) / width for every channel; scale(values) returns shift, width and what is measured."""
    array = finite(image)
    result = np.empty_like(array, np.float32)  # of the same layout, so that a channel stays in one piece
    measured: dict[str, list] = {}
    for i, (place, values) in enumerate(by_region(image, array, mask, region)):
        shift, width, values_measured = scale(values)
        check_width(width, shift, values, place)
        np.subtract(array[..., i], np.float32(shift), out=result[..., i])
        result[..., i] *= np.float32(1 / width)
        if clip:
            np.clip(result[..., i], 0, 1, out=result[..., i])
        for key, value in values_measured.items():
            measured.setdefault(key, []).append(value)
    return image.with_array(result.reshape(image.array.shape)), measured


def by_region(image: Image, array: np.ndarray, mask, region: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield for each channel the name of its region, for error messages, and its values there, flat.

    array: the values of the image, finite, with a channel axis. mask and region as in zscore; all channels share the
    voxels of the region. Raises CaseError for a region without a voxel, UsageError for an unknown region.
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
    """Raise UsageError for percentiles that are not in order within 0 to 100."""
    if not 0 <= low < high <= 100:
        raise UsageError(f"percentiles {low:g} and {high:g} are not in order within 0 to 100")


def check_width(width: float, around: float, values: np.ndarray, place: str) -> None:
    """Raise CaseError when the values are so much alike that their width is only rounding.

    around: the value that the message names.
    """
    if not width > 1e-6 * max(abs(around), float(np.abs(values).max()), 1e-30):
        share = "all" if values.min() == values.max() else "nearly all"
        raise CaseError(f"{place}: {share} values are {around:g}", remedy="leave this case out")


def _head(array: np.ndarray) -> np.ndarray | None:
    """The voxels that at least half of the channels show above the air (see geometry.above_air); None without any.

    One mask for all channels: a channel with noisy air or a bright scalp is measured where the others are."""
    count = sum(above_air(array[..., i]).astype(np.uint8) for i in range(array.shape[-1]))
    head = 2 * count >= array.shape[-1]
    return head if head.any() else None
