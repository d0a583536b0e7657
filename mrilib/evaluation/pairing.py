"""Which prediction belongs to which case of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mrilib.cases import CHANNELS, suffix_of
from mrilib.errors import UsageError

WORDS = ("mask", "seg", "label", "labels", "pred", "prediction", "predicted", "segmentation", "trans", "output",
         *CHANNELS)
ENDINGS = (*(f"{mark}{word}" for word in WORDS for mark in "-_."), "_0000")


def pair(predicted: Iterable[str], reference: Iterable[str]) -> dict[str, str]:
    """Predicted id -> reference id: by id, else by the last part of it, else by that less suffix and known endings.

    Of these the first that gives each prediction a reference of its own. Raises UsageError, listing what is left
    over, when none does.
    """
    predicted, reference = list(predicted), list(reference)
    for key in (str, _last, _stem):
        count = Counter(map(key, reference))
        of_key = {key(name): name for name in reference if count[key(name)] == 1}
        keys = [key(name) for name in predicted]
        if len(set(keys)) == len(keys) and of_key.keys() >= set(keys):
            return {name: of_key[k] for name, k in zip(predicted, keys, strict=True)}
    left = [name for name in predicted if name not in set(reference)]
    unused = [name for name in reference if name not in set(predicted)]
    raise UsageError(f"{len(left)} prediction{'s are' if left[1:] else ' is'} of no case in the reference: "
                     f"{some(left)}; cases without prediction: {some(unused)}",
                     remedy="is it the right reference, and the folder that the ids are counted from?")


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


def pair_known(predicted: Iterable[str], reference: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Predicted id -> reference id for all that can be told, as `pair` tells them, and the predictions left over.

    Of the three ways the first that pairs most. Raises UsageError, listing both sides, when none pairs any.
    """
    predicted, reference, best = list(predicted), list(reference), {}
    for key in (str, _last, _stem):
        count, reference_count = Counter(map(key, predicted)), Counter(map(key, reference))
        of_key = {key(name): name for name in reference if reference_count[key(name)] == 1}
        found = {n: of_key[key(n)] for n in predicted if count[key(n)] == 1 and key(n) in of_key}
        if len(found) > len(best):
            best = found
    if predicted and not best:
        raise UsageError(f"no prediction is of a case in the reference; predictions: {some(predicted)}; cases: "
                         f"{some(reference)}", remedy="is it the right reference, and the folder that the ids are "
                         "counted from?")
    return best, [name for name in predicted if name not in best]
