"""Which prediction belongs to which case of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mrilib.cases import CHANNELS, suffix_of
from mrilib.errors import UsageError

WORDS = ("mask", "seg", "label", "labels", "pred", "prediction", "predicted", "segmentation", "trans", "output",
         *CHANNELS)
ENDINGS = (*(f"{mark}{word}" for word in WORDS for mark in "-_."), "_0000")
REMEDY = "is it the right reference, and the folder that the ids are counted from?"


def pair(predicted: Iterable[str], reference: Iterable[str]) -> dict[str, str]:
    """Predicted id -> reference id of all predictions, as `pair_some` pairs them.

    Raises UsageError, listing what is left over, unless each prediction has a reference of its own.
    """
    predicted, reference = list(predicted), list(reference)
    pairs = _pairs(predicted, reference)
    if len(pairs) == len(predicted):
        return pairs
    left = [name for name in predicted if name not in pairs]
    unused = [name for name in reference if name not in {*pairs.values()}]
    raise UsageError(f"{len(left)} prediction{'s are' if left[1:] else ' is'} of no case in the reference: "
                     f"{some(left)}; cases without prediction: {some(unused)}", remedy=REMEDY)


def pair_some(predicted: Iterable[str], reference: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Predicted id -> reference id, and the predictions left over.

    Pairs by id, else by the last part of the id, else by that without suffix and known endings: the first of the three
    that pairs most. Raises UsageError, listing both sides, when none pairs any.
    """
    predicted, reference = list(predicted), list(reference)
    pairs = _pairs(predicted, reference)
    if predicted and not pairs:
        raise UsageError(f"no prediction is of a case in the reference; predictions: {some(predicted)}; cases: "
                         f"{some(reference)}", remedy=REMEDY)
    return pairs, [name for name in predicted if name not in pairs]


def _pairs(predicted: list[str], reference: list[str]) -> dict[str, str]:
    best: dict[str, str] = {}
    for key in (str, _last, _stem):
        keys, reference_keys = list(map(key, predicted)), list(map(key, reference))
        count, reference_count = Counter(keys), Counter(reference_keys)
        of_key = {k: name for k, name in zip(reference_keys, reference, strict=True) if reference_count[k] == 1}
        pairs = {name: of_key[k] for k, name in zip(keys, predicted, strict=True) if count[k] == 1 and k in of_key}
        best = pairs if len(pairs) > len(best) else best
        if len(best) == len(predicted):
            break
    return best


def _last(name: str) -> str:
    return name.split("/")[-1]


def _stem(name: str) -> str:
    last = _last(name)
    last = last[: len(last) - len(suffix_of(last))] if suffix_of(last) else last
    while ending := next((e for e in ENDINGS if last.lower().endswith(e) and len(last) > len(e)), ""):
        last = last[: -len(ending)]  # several: MONAI saves the label map of p0_flair as p0_flair_seg
    return last


def some(names: list[str], most: int = 10) -> str:
    """The first names of a list and how many more there are, for a message."""
    return (", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")) or "none"
