"""Recipes: steps with their parameters, running and learning them, and the prepared data set on disk.

The names below are imported when they are used: `definition` is light, the others need NumPy.
"""

from __future__ import annotations

from importlib import import_module

_ROOMS = {
    "definition": ("FORMAT", "Recipe", "Step", "complete", "learned_name"),
    "execution": ("apply", "check_origin", "label_on", "moved_boxes", "read"),
    "dataset": ("as_given", "finished", "input_files", "prepare_case", "source_record", "write_case"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str):
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
