"""Typed settings: every wrong type, range or name is an error that names the setting."""

from pathlib import Path

import numpy as np
import pytest

from mrilib import config
from mrilib.config import Settings, changed, choose, described, fields_of, setting
from mrilib.errors import UsageError


@described
class Shared(Settings):
    rate: float | None = setting(None, "Learning rate.", above=0, shown="0.1")
    size: int = setting(16, "Batch size.", low=1)
    dropout: float = setting(0.0, "Dropout.", low=0, below=1)
    mode: str = setting("fast", "Mode.", choices=("fast", "slow"))
    flip: bool = setting(False, "Flip.")
    patch: tuple[int, ...] | None = setting(None, "Patch.", low=1, axes=True)
    weights: str | dict | None = setting(None, "Weights.")
    budget: float | None = setting(None, "Budget.", above=0, unit="seconds", parse=config.duration)
    cache: Path | None = setting(None, "Cache.", recorded=False)


@described
class Own(Shared):
    size: int = changed(Shared, "size", 8)
    head: str = setting("mean", "Head.")


@pytest.mark.parametrize("given, error", [
    ({"rate": -5}, "rate: -5 must be above 0"), ({"rate": 0}, "rate: 0 must be above 0"),
    ({"rate": "fast"}, "rate: 'fast' must be a number"), ({"rate": True}, "rate: True must be a number"),
    ({"rate": float("nan")}, "rate: nan must be above 0"), ({"size": 0}, "size: 0 must be 1 or more"),
    ({"size": 2.5}, "size: 2.5 must be a whole number"), ({"dropout": 1}, "dropout: 1 must be 0 or more and below 1"),
    ({"mode": "quick"}, r"unknown mode 'quick' \(one of fast slow\)"),
    ({"mode": None}, "mode: None must be given"), ({"flip": 1}, "flip: 1 must be True or False"),
    ({"patch": (4, 0)}, "patch: 0 must be 1 or more"), ({"patch": "big"}, "patch: 'big' must be a sequence"),
    ({"weights": 3}, "weights: 3 must be text or a mapping"),
    ({"budget": "5 parsecs"}, "budget: '5 parsecs' is no time"),
])  # fmt: skip
def test_a_wrong_value_names_its_setting(given, error):
    with pytest.raises(UsageError, match=error):
        Shared(**given)


def test_values_get_their_type():
    made = Shared(rate=np.float32(0.5), size=np.int64(4), patch=[8, 8], budget="1.5m", cache="here", weights={"a": 1.0})
    assert made == Shared(rate=0.5, size=4, patch=(8, 8), budget=90.0, cache=Path("here"), weights={"a": 1.0})
    assert made != Shared(rate=0.5) and repr(made).startswith("Shared(rate=0.5, size=4, dropout=0.0, mode='fast'")
    with pytest.raises(AttributeError):
        made.size = 8
    with pytest.raises(TypeError, match="Shared has no setting 'sise'"):
        Shared(sise=4)
    assert type(made.size) is int and type(made.rate) is float and Shared(patch=3).patch == (3,)
    assert "cache" not in made.as_dict() and made.as_dict()["patch"] == (8, 8)


def test_fields_describe_themselves():
    known = {s.name: s for s in fields_of(Own)}
    assert known["size"].default == 8 and known["size"].help == "Batch size." and known["size"].kinds == (int,)
    assert known["patch"].item is int and known["patch"].optional and known["rate"].flag == "--rate"


def test_a_setting_of_another_task_has_no_effect():
    assert choose(Own, {"head": "max", "rate": None}) == Own(head="max")
    with pytest.raises(UsageError, match="--head has no effect with --task shared"):
        choose(Shared, {"head": "max"}, [Own], "--task shared")
    with pytest.raises(UsageError, match="unknown setting 'hat'"):
        choose(Shared, {"hat": 1}, [Own])
