"""Intensity normalisation by the mean of one tissue."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Image
from mrilib.images.steps.foreground import finite
from mrilib.images.steps.intensity import by_region, check_width

TISSUES = ("csf", "gm", "wm")
ORDERS = {"t2": ("wm", "gm", "csf"), "flair": ("csf", "wm", "gm")}  # from dark to bright; others as T1
GUIDE = "t1"  # the channel in which the tissue is looked for, where there is one
BINS = 1024
TAILS = (0.1, 99.9)  # percentiles that values are cut to before they are classed
SETTLED = 1e-5  # change of the centres, of the range of values, at which the classes stand
ROUNDS = 200


def tissue(image: Image, *, mask=None, region: str = "foreground", tissue: str = "wm") -> tuple[Image, dict]:
    """Divide each channel by the mean of a tissue; nothing is shifted (FCM of Reinhold et al. 2019).

    Fuzzy c-means (Bezdek 1981, exponent 2) divides the region into three classes by intensity: csf, gm and wm, from
    dark to bright in T1. If there is a channel t1, its classes hold for all channels, as in the package
    intensity-normalization. Otherwise each channel has its own classes, ordered as in t2 (wm, gm, csf) or flair (csf,
    wm, gm) if that is its name, else as in T1. The mean is weighted by membership. Meant for skull-stripped brains: fat
    and skin would be among the classes. region, mask and errors as in zscore. Measured, for each channel: mean, of the
    tissue. Raises CaseError also for a mean that is not above 0, as after a z-score.
    """
    if tissue not in TISSUES:
        raise UsageError(f"unknown tissue {tissue}", remedy=f"choose from {' '.join(TISSUES)}")
    array = finite(image)
    names = image.channels or ("",) * array.shape[-1]
    places, values = zip(*by_region(image, array, mask, region), strict=True)
    guide = names.index(GUIDE) if GUIDE in names else None
    share = None if guide is None else membership(values[guide], TISSUES.index(tissue), places[guide])
    result, means = np.empty_like(array, np.float32), []
    for i, name in enumerate(names):
        if guide is None:
            share = membership(values[i], ORDERS.get(name, TISSUES).index(tissue), places[i])
        means.append(float(np.average(values[i], weights=share)))
        if not means[-1] > 0:
            raise CaseError(f"{places[i]}: the mean of {tissue} is {means[-1]:g}, not above 0",
                            remedy="give images as scanned, without a z-score")
        np.multiply(array[..., i], np.float32(1 / means[-1]), out=result[..., i])
    return image.with_array(result.reshape(image.array.shape)), {"mean": means}


def membership(values: np.ndarray, place: int, where: str = "image") -> np.ndarray:
    """The membership of each value, (n,), in one of three classes, 0 the darkest: float64 from 0 to 1.

    Fuzzy c-means on a histogram of BINS bins. Raises CaseError, naming `where`, for values that are all alike.
    """
    low, high = (float(v) for v in np.percentile(values, TAILS))
    check_width(high - low, low, values, where)
    index = np.clip((values - low) * (BINS / (high - low)), 0, BINS - 1).astype(np.intp)
    counts = np.bincount(index, minlength=BINS)
    level = (np.arange(BINS) + 0.5) / BINS
    centres = np.interp((1 / 6, 1 / 2, 5 / 6), np.cumsum(counts) / counts.sum(), level)
    for _ in range(ROUNDS):
        share = _shares(level, centres)
        weight = counts * share**2
        before, centres = centres, (weight @ level) / weight.sum(1)
        if np.abs(centres - before).max() < SETTLED:
            break
    return _shares(level, np.sort(centres))[place][index]


def _shares(level: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Memberships (class, bin), which sum to 1; nearness is one over the squared distance."""
    near = 1 / np.maximum((level - centres[:, None]) ** 2, 1e-12)
    return near / near.sum(0)
