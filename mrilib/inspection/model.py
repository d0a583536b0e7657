"""What the record of a model file says, as (name, text) lines."""

from __future__ import annotations

from collections import Counter

from mrilib import tasks
from mrilib.inspection.summary import counted
from mrilib.recipe import Recipe


def describe(record: dict) -> list[tuple[str, str]]:
    """What a model's record says: what its task says of inputs and outputs, how it was prepared and trained."""
    training = record.get("training", {})
    steps = Recipe.from_dict(record["recipe"]).steps if record.get("recipe") else ()
    name = record.get("task", "")
    lines = [
        ("task", name or "not said"),
        *(tasks.get(name).describe(record) if name in tasks.TASKS else ()),
        ("channels", ", ".join(record.get("channels", ()))),
        ("recipe", " | ".join(map(str, steps)) or "as given"),
        ("network", _settings(record.get("architecture", {}))),
        ("settings", _settings(record.get("settings", {}))),
    ]
    cases_of = Counter(case.get("part") for case in training.get("cases", {}).values())
    for part, counts in training.get("counts", {}).items():
        if sum(counts.values()):
            lines.append((part, f"{cases_of[part] or sum(counts.values())} cases: {counted(Counter(counts))}"))
    if curve := training.get("curve"):
        lines.append(("last epoch", _metrics(curve[-1])))
    if validation := training.get("validation"):
        metrics = {key.removeprefix("validation_"): value for key, value in validation.items()}
        lines.append(("validation", f"epoch {training.get('best_epoch')}: {_metrics(metrics)}"))
    for key in ("split", "versions"):
        values = {name: value for name, value in training.get(key, {}).items() if value is not None}
        lines.append((key, ", ".join(f"{name} {value}" for name, value in values.items())))
    lines.append(("made by", record.get("made_by", "not said")))
    return [(name, text) for name, text in lines if text]


def _settings(values: dict) -> str:
    """The settings that are set, numbers in as many digits as a person reads."""
    return ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in values.items() if value is not None and value is not False)


def _metrics(values: dict) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in values.items())
