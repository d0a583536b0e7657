"""A network as it is trained, with its loss and its record."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Network:
    """What a task builds. model: the network that is trained. kept: the network that the model file holds; it shares
    the weights of `model` (without deep supervision, with probabilities). loss: of each output of `model`. record: what
    the model file records of the network, JSON values. loss_weights: of several outputs. metrics: of Keras."""

    model: object
    kept: object
    loss: object
    record: dict
    loss_weights: list[float] | None = None
    metrics: list = field(default_factory=list)
