"""Normalisation to a learned histogram: Nyúl's landmarks, and histogram matching.

Two functions belong to each step. The first (`nyul_landmarks`, `histogram_quantiles`) measures one training case; the
second (`…_standard`) combines all of them into the parameter `standard` of the step, which its recipe keeps:
{channel: values at the percentiles}.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.steps.foreground import finite
from mrilib.images.steps.intensity import by_region, check_percentiles, check_width

QUANTILES = (0, 0.1, 0.5, *range(1, 100), 99.5, 99.9, 100)  # percent, used by histogram
QUARTILES = QUANTILES.index(25), QUANTILES.index(75)
TIED = 1e-6  # share of their range within which two landmarks are equal
LONE = "image"  # name of a single channel without one


def nyul(image: Image, *, mask=None, region: str = "foreground", low: float = 1, high: float = 99,
         standard: dict) -> tuple[Image, dict]:  # fmt: skip
    """Map the landmarks of each channel to those of a standard scale (Nyúl and Udupa 1999; Nyúl et al. 2000).

    The landmarks are percentiles of the region: low, the tens between, high. The map is linear between them and
    continues beyond them with the slope of the outermost intervals. On the standard scale low is 0 and high is 1. Other
    arguments as in zscore. Measured, for each channel: low and high, its own values at these percentiles.
    Raises CaseError as zscore does, and for a channel that was not learned.
    """
    return _match(image, mask, region, _tens(low, high), (0, -1), standard)


def nyul_landmarks(image: Image, *, region: str, low: float, high: float) -> dict[str, list[float]]:
    """The landmarks of one training case, {channel: values}. Raises CaseError as nyul does."""
    return _landmarks(image, None, region, _tens(low, high), (0, -1))


def nyul_standard(landmarks: Sequence[dict]) -> dict:
    """The mean landmarks of training cases, after scaling each case to 0 at the lowest and 1 at the highest."""
    return {"standard": {name: _plain(_mean_shape(all_of, 0, -1)) for name, all_of in _by_channel(landmarks)}}


def histogram(image: Image, *, mask=None, region: str = "foreground", standard: dict) -> tuple[Image, dict]:
    """Give each channel the histogram of a reference: map its quantiles (QUANTILES) to those of the reference.

    The map is linear between quantiles; outside the range of the region it has the slope between the quartiles. The
    result has the units of the reference. Unlike nyul it removes nearly all differences between histograms, also those
    due to the size of a tumour or of the ventricles. Other arguments and errors as in nyul.
    """
    return _match(image, mask, region, QUANTILES, QUARTILES, standard)


def histogram_quantiles(image: Image, *, region: str) -> dict[str, list[float]]:
    """The quantiles of one reference case, {channel: values}. Raises CaseError as histogram does."""
    return _landmarks(image, None, region, QUANTILES, QUARTILES)


def histogram_standard(quantiles: Sequence[dict]) -> dict:
    """The quantiles of one case as they are; of several cases the mean shape at the mean position and width.

    So a case with large values has no more weight than another.
    """
    standard = {}
    for name, all_of in _by_channel(quantiles):
        low, high = (np.mean([values[q] for values in all_of]) for q in QUARTILES)
        standard[name] = _plain(low + (high - low) * _mean_shape(all_of, *QUARTILES))
    return {"standard": standard}


def _tens(low: float, high: float) -> tuple[float, ...]:
    check_percentiles(low, high)
    return (low, *(p for p in range(10, 100, 10) if low < p < high), high)


def _landmarks(image: Image, mask, region: str, percents: Sequence[float], ends: tuple[int, int]) -> dict:
    """Values at percentiles of the region, {channel: values}; the values at the two `ends` must differ."""
    array, landmarks = finite(image), {}
    for name, (place, values) in zip(_names(image), by_region(image, array, mask, region), strict=True):
        marks = [float(v) for v in np.percentile(values, percents)]
        check_width(marks[ends[1]] - marks[ends[0]], marks[ends[0]], values, place)
        landmarks[name] = marks
    return landmarks


def _match(image: Image, mask, region: str, percents, ends, standard: dict) -> tuple[Image, dict]:
    """Map the values of every channel at percentiles to those of the standard.

    Beyond the percentiles the slope is that between the two `ends` if these lie inside, else that of the outermost
    pieces.
    """
    array = finite(image)
    result = np.empty_like(array, np.float32)
    measured: dict[str, list] = {"low": [], "high": []}
    for i, (name, marks) in enumerate(_landmarks(image, mask, region, percents, ends).items()):
        target = _of_channel(standard, name, image)
        if len(target) != len(percents):
            raise CaseError(f"{len(percents)} values are to be mapped, the recipe learned {len(target)}",
                            remedy="learn it again")
        slope = None
        if ends != (0, -1):
            slope = (target[ends[1]] - target[ends[0]]) / (marks[ends[1]] - marks[ends[0]])
        _map(array[..., i], np.asarray(marks), np.asarray(target), slope, result[..., i])
        measured["low"].append(marks[0])
        measured["high"].append(marks[-1])
    return image.with_array(result.reshape(image.array.shape)), measured


def _map(channel: np.ndarray, marks: np.ndarray, target: np.ndarray, slope: float | None, out: np.ndarray) -> None:
    """Map one channel by the piecewise linear function from its landmarks to the target's; write the result to out."""
    piece = np.concatenate([[0], np.cumsum(np.diff(marks) > TIED * (marks[-1] - marks[0]))])
    x, y = (np.bincount(piece, values) / np.bincount(piece) for values in (marks, target))
    pieces = np.diff(y) / np.diff(x)
    below, above = (pieces[0], pieces[-1]) if slope is None else (slope, slope)
    room = max(x[0] - float(channel.min()), float(channel.max()) - x[-1], x[-1] - x[0])
    x = np.concatenate([[x[0] - room], x, [x[-1] + room]])
    y = np.concatenate([[y[0] - below * room], y, [y[-1] + above * room]])
    for row, mapped in zip(channel, out, strict=True):  # by slices, because np.interp works in float64
        mapped[...] = np.interp(row, x, y)


def _mean_shape(all_of: Sequence[Sequence[float]], low: int, high: int) -> np.ndarray:
    """The mean of sets of landmarks, each scaled to 0 at index low and 1 at index high."""
    values = np.asarray(all_of, float)
    return ((values - values[:, [low]]) / (values[:, [high]] - values[:, [low]])).mean(0)


def _names(image: Image) -> tuple[str, ...]:
    return image.channels or tuple(f"{LONE}{i or ''}" for i in range(image.by_channel().shape[-1]))


def _by_channel(cases: Sequence[dict]):
    """(channel, its landmarks in every case that has it), channels in order of first appearance."""
    names = list(dict.fromkeys(name for one in cases for name in one))
    return [(name, [one[name] for one in cases if name in one]) for name in names]


def _of_channel(standard: dict, name: str, image: Image) -> list[float]:
    """The standard of a channel; a single channel without a name takes that of the single channel learned."""
    if name in standard:
        return standard[name]
    if len(standard) == len(_names(image)) == 1 and LONE in (name, *standard):
        return next(iter(standard.values()))
    raise CaseError(f"channel {name} is none of those learned from ({' '.join(standard)})",
                    remedy="learn from cases that have it, or choose with --channels")


def _plain(values: np.ndarray) -> list[float]:
    return [float(f"{v:.7g}") for v in values]
