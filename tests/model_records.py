"""Records of small models for tests."""

from mrilib.models.record import MapRecord

EMPTY = {"format": 1, "steps": []}


def map_record(**values) -> MapRecord:
    """The record of a model for label maps, with these values."""
    return MapRecord(**{"task": "segment", "channels": ["image"], "recipe": EMPTY, "dimension": 3, "context": 0,
                        "patch": [8, 8, 8], "scheme": "", "values": [0, 1], "regions": None, "spacing": None,
                        **values})  # fmt: skip
