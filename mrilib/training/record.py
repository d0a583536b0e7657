"""What a model file records of its training, and the description by which two runs are compared."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mrilib import __version__
from mrilib.gpu import Setup
from mrilib.store import content_hash
from mrilib.training.checkpoint import State
from mrilib.training.settings import IMAGENET, TrainSettings


def description(task, data, settings: TrainSettings, setup: Setup) -> dict:
    """Everything that the result of a run depends on, flat: settings, data, precision, threads, versions."""
    return {"task": task.name, **portable(settings), "channels": list(data.channels), "data": data.hash,
            **task.identity(data), "device": kind_of(setup), "devices": setup.replicas, "precision": setup.policy,
            "threads": setup.threads, **{f"version of {k}": v for k, v in versions().items()}}  # fmt: skip


def portable(settings: TrainSettings) -> dict:
    """The settings in a form that does not depend on the machine: a file of weights by its name and content."""
    values = settings.as_dict()
    if settings.weights not in (None, IMAGENET):
        values["weights"] = f"{Path(settings.weights).name} (SHA-256 {content_hash([Path(settings.weights)])})"
    return values


def of_run(task, data, settings: TrainSettings, setup: Setup, state: State, network, metrics: dict | None,
           origin: dict) -> dict:  # fmt: skip
    """The record of a model file, except `run`. metrics: of the validation cases, with the weights that are kept.
    origin: where the split is from."""
    return {
        "task": task.name, "channels": list(data.channels), "recipe": data.recipe.as_dict(),
        "settings": portable(settings), **network.record, "made_by": "mri-train",
        "training": {
            "cases": data.cases,
            "counts": {part: data.counts(part) for part in ("train", "validation")},
            "seed": settings.seed, "curve": state.curve, "best_epoch": kept_epoch(state), "steps": state.step,
            "validation": metrics, "split": origin, "versions": versions(),
            "device": {"kind": kind_of(setup), "precision": setup.policy, "threads": setup.threads,
                       "replicas": setup.replicas},
        },
    }  # fmt: skip


def kept_epoch(state: State) -> int:
    """The epoch whose weights are kept."""
    return state.best_epoch if state.best_weights is not None else state.epoch


def kind_of(setup: Setup) -> str:
    """cpu or gpu."""
    return setup.device.split(":")[0]


def versions() -> dict[str, str]:
    """Versions of the suite and of the packages that compute."""
    import keras

    return {"mri-suite": __version__, "keras": version("keras"), "numpy": version("numpy"),
            keras.backend.backend(): _backend_version()}  # fmt: skip


def _backend_version() -> str:
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow_cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
