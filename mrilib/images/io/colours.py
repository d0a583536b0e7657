"""Colours and opacity of pictures."""

from __future__ import annotations

import numpy as np

GREY_TOLERANCE = 4.0  # mean difference between the colours, of 255, that JPEG alone makes in a grey image
GREY_CORRELATION = 0.995  # three MRI sequences stored as colours also differ little, but correlate less


def grey_if_grey(array: np.ndarray) -> np.ndarray:
    """One channel (y, x) when the colours (y, x, 3) differ by no more than compression noise, else the array itself.

    Sequences stored as colours stay separate: of 43 slices of such a data set, 16 differ less than GREY_TOLERANCE, but
    correlate at 0.52 to 0.986; grey JPEGs correlate at more than 0.999.
    """
    first = array[..., 0]
    if all(np.array_equal(first, array[..., i]) for i in (1, 2)):
        return first
    limit = GREY_TOLERANCE * (np.iinfo(array.dtype).max / 255 if array.dtype.kind in "ui" else 1 / 255)
    colours = array.astype(np.float32)
    if np.abs(colours - colours.mean(-1, keepdims=True)).mean() <= limit and _correlated(colours):
        grey = luminance(colours)
        return (np.rint(grey) if array.dtype.kind in "ui" else grey).astype(array.dtype)
    return array


def luminance(colours: np.ndarray) -> np.ndarray:
    """The brightness of colours, (..., 3) float32, by ITU-R BT.601: (...) float32."""
    return colours @ np.array([0.299, 0.587, 0.114], np.float32)


def _correlated(array: np.ndarray) -> bool:
    """Whether all pairs of the three channels, (y, x, 3), correlate as copies of one picture do."""
    flat = array.reshape(-1, 3)
    if not flat.std(0).all():
        return False  # a flat channel beside others that are not
    return bool(np.corrcoef(flat.T).min() >= GREY_CORRELATION)


def on_black(array: np.ndarray, full: int) -> np.ndarray:
    """Colours or grey (y, x, n - 1) of an integer array whose last channel is opacity, on a black background."""
    colour, opacity = array[..., :-1].astype(np.int64), array[..., -1:].astype(np.int64)
    return (colour * opacity + full // 2) // full


def visible(array: np.ndarray) -> np.ndarray:
    """Colours or grey (y, x[, n - 1]) of an array whose last channel is opacity, 0 where that is 0."""
    colour = np.where(array[..., -1:] > 0, array[..., :-1], 0).astype(array.dtype)
    return colour[..., 0] if colour.shape[-1] == 1 else colour


def inverted(array: np.ndarray) -> np.ndarray:
    """The values inverted within their range, for pictures in which low is bright."""
    if array.dtype == bool:
        return ~array
    whole = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return (whole.max() + whole.min() - whole).astype(array.dtype)
