"""Cases, the units of prediction, and how they are found in a folder."""

from importlib import import_module
from typing import TYPE_CHECKING

from mrilib.cases.layouts import LAYOUTS, explain
from mrilib.cases.names import (
    CHANNELS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    PICTURES,
    VOLUMES,
    channel_of,
    stem_of,
    suffix_of,
)

if TYPE_CHECKING:
    from mrilib.cases.case import Case, Reading, of_file, recipe_root
    from mrilib.cases.finding import find, unite
    from mrilib.cases.unused import Unused

__all__ = ["CHANNELS", "LAYOUTS", "MASK_ENDINGS", "MASK_FOLDERS", "PICTURES", "VOLUMES", "Case", "Reading",
           "Unused", "channel_of", "explain", "find", "of_file", "recipe_root", "stem_of", "suffix_of", "unite"]
_ROOM_OF = {"Case": "case", "Reading": "case", "of_file": "case", "recipe_root": "case", "find": "finding",
            "unite": "finding", "Unused": "unused"}  # imported when used: --help needs none of them


def __getattr__(name: str):
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
