"""The fit loop of every task: a learning rate for each step, validation, early stop, checkpoints.

Imports Keras: to be imported after mrilib.gpu.setup.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from mrilib.errors import MachineError
from mrilib.training import checkpoint
from mrilib.training.checkpoint import State
from mrilib.training.schedules import rate
from mrilib.training.settings import TrainSettings

RESTARTS = tuple(round(10 * 1.3**i) for i in range(60))  # steps after which the average of the weights starts again
WARMUP_MOST = 0.1  # share of a budget
NO_END = 1_000_000  # epochs, where a budget ends the training


@dataclass(frozen=True)
class Validation:
    """How a network is validated. measure(): metrics by name. monitor: the metric that tells which epoch is best.
    higher_is_better: of the monitor. seconds: expected duration of the first one. passes: number of validations that a
    budget keeps time for at its end; work after the training counts as one, too."""

    measure: Callable[[], dict[str, float]]
    monitor: str
    higher_is_better: bool = False
    seconds: float = 0.0
    passes: int = 1

    def better(self, value: float, best: float | None) -> bool:
        """Whether a value of the monitor is better than the best so far."""
        return best is None or (value > best if self.higher_is_better else value < best)


class Clock:
    """How much of a budget of seconds is used; time for a last validation and for writing is reserved."""

    def __init__(self, budget: float, used: float):
        self.budget, self.began = budget, time.monotonic() - used
        self.keep(0.0)

    def keep(self, seconds: float) -> None:
        """Reserve this time, and a margin."""
        self.reserve = 0.01 * self.budget + max(0.01 * self.budget, 1.2 * seconds)

    @property
    def seconds(self) -> float:
        """Seconds used."""
        return time.monotonic() - self.began

    @property
    def part(self) -> float:
        """Fraction of the training time that is used; 1 or more at its end."""
        return self.seconds / max(self.budget - self.reserve, 1e-9)


class Epochs(keras.callbacks.Callback):
    """What happens between steps and epochs: learning rate, progress, validation, early stop, checkpoint."""

    def __init__(self, batches, settings: TrainSettings, state: State, validation: Validation | None, save: Callable,
                 watch: Callable, clock: Clock | None = None):
        super().__init__()
        self.batches, self.settings, self.state, self.validation = batches, settings, state, validation
        self.save, self.watch, self.clock = save, watch, clock
        self.per_epoch = len(batches)

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.begin(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        s, step = self.settings, self.state.step
        warmup = s.warmup * self.per_epoch
        if self.clock is None:
            value = rate(s.schedule, step, base=s.learning_rate, total=s.epochs * self.per_epoch, warmup=warmup,
                         drops=self.state.drops)  # fmt: skip
        else:
            value = rate(s.schedule, self.clock.part * 1000, base=s.learning_rate, total=1001)
            if warmup:  # of a budget that lasts for an epoch or two only, the warmup is a share
                value *= min(1.0, max((step + 1) / warmup, self.clock.part / WARMUP_MOST))
        # set here and not by a keras LearningRateSchedule, which knows steps but neither the clock of a budget nor the
        # drops of a plateau
        self.model.optimizer.learning_rate = value

    def on_train_batch_end(self, batch, logs=None):
        self.state.step += 1
        self._restart()
        self.watch("step", self.state, logs)
        if self.clock is not None and self.clock.part >= 1:
            self.model.stop_training = True  # Keras ends the epoch here, too

    def _restart(self) -> None:
        """Start the average of the weights again, more and more seldom, until it spans the number of steps asked for.

        In a run of fewer steps it would otherwise mostly be the weights before training. In such a run the average is
        the last quarter: with the last half a run of 150 steps lost 0.08 of Dice (docs/experiments/segmentation.md).
        """
        s = self.settings
        if s.average and self.state.step in RESTARTS and self.state.step <= 2 * s.average * self.per_epoch:
            for mean, variable in zip(averages(self.model), self.model.trainable_variables, strict=True):
                mean.assign(variable)

    def on_epoch_end(self, epoch, logs=None):
        s, state = self.settings, self.state
        if not math.isfinite(logs["loss"]):
            raise MachineError(f"the loss is {logs['loss']} after epoch {epoch + 1}: the training diverged",
                               remedy="a lower --learning-rate, or --mixed-precision off")
        row = {"epoch": epoch + 1, "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
               "loss": float(logs["loss"])} | ({"accuracy": float(logs["accuracy"])} if "accuracy" in logs else {})
        state.epoch = epoch + 1
        last = self.model.stop_training or state.epoch == s.epochs
        if self.validation is not None and (last or state.epoch % s.validate_every == 0):
            self._validate(row)
        if self.clock is not None:
            state.seconds = self.clock.seconds
        state.curve.append(row)
        self.save()
        self.watch("epoch", state, row)
        if state.stopped:
            self.model.stop_training = True

    def _validate(self, row: dict) -> None:
        s, state, began = self.settings, self.state, time.monotonic()
        trained = use_averages(self.model, s)
        row |= self.validation.measure()
        value = row[self.validation.monitor]
        better = self.validation.better(value, state.best)
        state.wait = 0 if better else state.wait + s.validate_every
        state.since_drop = 0 if better else state.since_drop + s.validate_every
        if better:
            state.best, state.best_epoch = value, state.epoch
            if s.patience is not None:
                state.best_weights = arrays(self.model.weights)
        restore(self.model, trained)
        if s.schedule == "plateau" and state.since_drop >= plateau_patience(s):
            state.drops, state.since_drop = state.drops + 1, 0
        state.stopped = s.patience is not None and state.wait >= s.patience
        if self.clock is not None:
            self.clock.keep(self.validation.passes * (time.monotonic() - began))
            if self.clock.part >= 1:  # another step would need another validation
                self.model.stop_training = True


def plateau_patience(settings: TrainSettings) -> int:
    """Epochs without a better validation before the learning rate drops: half of what stops the training."""
    return max(1, (settings.patience or 10) // 2)


def arrays(variables) -> list[np.ndarray]:
    """Copies of the values of variables."""
    return [np.array(v) for v in variables]


def averages(model) -> list:
    """The averaged weights that the optimizer keeps (`use_ema`), in the order of model.trainable_variables.

    Keras has no public access to them that could also write them, as a restart must; SwapEMAWeights reads the same
    attribute.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return optimizer._model_variables_moving_average


def use_averages(model, settings: TrainSettings) -> list[np.ndarray] | None:
    """Replace the weights by their averages, if there are any; returns the weights as trained."""
    if not settings.average:
        return None
    trained = arrays(model.trainable_variables)
    for variable, mean in zip(model.trainable_variables, averages(model), strict=True):
        variable.assign(mean)
    return trained


def restore(model, trained: list[np.ndarray] | None) -> None:
    """Undo `use_averages`, which returned `trained`."""
    if trained is not None:
        for variable, value in zip(model.trainable_variables, trained, strict=True):
            variable.assign(value)


def optimizer(settings: TrainSettings, per_epoch: int):
    """The Keras optimizer of the settings. Biases and the scales of normalisation do not decay."""
    span = settings.average * per_epoch
    common = {"learning_rate": settings.learning_rate, "clipnorm": settings.clip or None,
              "weight_decay": settings.weight_decay, "use_ema": settings.average > 0,
              "ema_momentum": max(0.0, 1 - 1 / span) if span else 0.99}  # fmt: skip
    if settings.optimizer == "sgd":
        result = keras.optimizers.SGD(momentum=settings.momentum, nesterov=settings.momentum > 0, **common)
    else:
        result = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[settings.optimizer](**common)
    if settings.weight_decay:
        result.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return result


def fit(model, batches, validation: Validation | None, settings: TrainSettings, *, path: Path | None, resume: bool,
        run: dict, watch: Callable, used: float = 0.0) -> State:
    """Train a compiled model, its optimizer built, to the end and leave it with the weights to keep.

    Returns the state of the run. batches: a PyDataset with begin(epoch). validation: None without validation cases.
    path: of the checkpoint, None to write none. run: what a checkpoint must agree with. used: seconds of a budget that
    were used before. watch(event, state, logs) is called with "resume" and after each "step" and "epoch". Raises
    UsageError when the checkpoint is of another run, MachineError when the loss is no finite number or a budget was
    used up before the first step.
    """
    state = State()
    if resume and path is not None and path.exists():
        state, values = checkpoint.read(path, run)
        for name, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
            for variable, value in zip(variables, values[name], strict=True):
                variable.assign(value)
        watch("resume", state, None)

    def save():
        if path is not None:
            values = {"model": arrays(model.variables), "optimizer": arrays(model.optimizer.variables)}
            checkpoint.write(path, state, values, run)

    budget = settings.budget
    clock = None if budget is None else Clock(budget, state.seconds + used)
    if clock is not None and validation is not None:
        clock.keep(validation.passes * validation.seconds)
    if clock is not None and clock.part >= 1 and not state.step:
        spent = f"preparing took {used:.0f} s" + (f", validation takes {clock.reserve:.0f} s" if validation else "")
        raise MachineError(f"the budget of {budget:g} s was gone before the first step: {spent}",
                           remedy="a longer --budget; with --cache, prepared cases are kept")
    end = state.epoch + NO_END if settings.epochs is None else settings.epochs  # 0: only the head start
    if clock is not None and clock.part >= 1:
        end = state.epoch
    if state.epoch < end and not state.stopped:
        model.fit(batches, epochs=end, initial_epoch=state.epoch, verbose=0, shuffle=False,
                  callbacks=[Epochs(batches, settings, state, validation, save, watch, clock)])
    elif state.epoch:
        use_averages(model, settings)  # as Keras does at the end of fit
    if state.best_weights is not None:
        for variable, value in zip(model.weights, state.best_weights, strict=True):
            variable.assign(value)
    return state
