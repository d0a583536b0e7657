"""The fit loop: batches made on the fly, a learning rate for each step, validation, early stop, checkpoints.

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
from mrilib.images.steps.foreground import outline
from mrilib.training import checkpoint, sampling
from mrilib.training.checkpoint import State
from mrilib.training.schedules import rate
from mrilib.training.settings import TrainSettings

CLIP = 1e-7
RESTARTS = tuple(round(10 * 1.3**i) for i in range(60))  # steps after which the average of weights begins anew


class Batches(keras.utils.PyDataset):
    """Batches of one epoch after another; `epoch` says which. Each image depends on (seed, epoch, case, copy) only."""

    def __init__(self, images, truth, ids, settings: TrainSettings, augment: Callable | None, spacing, workers=1):
        super().__init__(workers=workers)
        self.images, self.truth, self.ids, self.settings = images, truth, ids, settings
        self.augment, self.spacing = augment, spacing
        self.classes, self.heads = truth.argmax(1), {}
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Draw the order of an epoch (from 0)."""
        self.epoch = epoch
        members = sampling.order(self.classes, self.settings.sampling, self.settings.seed, epoch)
        self.members = sampling.batches(members, self.settings.batch_size)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (batch, y, x, channel) float32 and one-hot classes (batch, class) float32."""
        members = self.members[index]
        seed, epoch, places = self.settings.seed, self.epoch, [i for i, _ in members]
        images = self.images[places] if self.augment is None else np.stack([
            self.augment(self.images[i], None, sampling.chance_of(seed, epoch, self.ids[i], copy), self.spacing,
                         self._head(i))[0] for i, copy in members])
        return sampling.mixed(images, self.truth[places], self.settings, epoch, index)

    def _head(self, i: int) -> np.ndarray:
        """The outline of the head in an image, looked for once: augmentation keeps it in view, as mri-augment does."""
        if i not in self.heads:
            self.heads[i] = outline(self.images[i])
        return self.heads[i]


@dataclass(frozen=True)
class Judge:
    """How a model is validated: look(model) gives figures by name. key: the one that tells the better model. more:
    whether more of it is better. every: epochs from one validation to the next. seconds: that a look may be expected
    to take. looks: how many a budget keeps time for at its end, what comes after training counted as such."""

    look: Callable
    key: str
    more: bool = False
    every: int = 1
    seconds: float = 0.0
    looks: int = 1

    def better(self, value: float, best: float | None) -> bool:
        return best is None or (value > best if self.more else value < best)


class Clock:
    """How much of a run's budget of seconds is used, the time for a last validation and for writing kept back."""

    def __init__(self, budget: float, used: float):
        self.budget, self.began = budget, time.monotonic() - used
        self.keep(0.0)

    def keep(self, seconds: float) -> None:
        """Keep so many seconds back, and some more."""
        self.reserve = 0.01 * self.budget + max(0.01 * self.budget, 1.2 * seconds)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def part(self) -> float:
        return self.seconds / max(self.budget - self.reserve, 1e-9)


class Epochs(keras.callbacks.Callback):
    """What happens between steps and epochs: learning rate, progress, validation, early stop, checkpoint."""

    def __init__(self, batches, settings, state: State, judge: Judge | None, save: Callable, watch: Callable,
                 clock: Clock | None = None):
        super().__init__()
        self.batches, self.settings, self.state, self.judge = batches, settings, state, judge
        self.save, self.watch, self.clock = save, watch, clock
        self.per_epoch = len(batches)

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.begin(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        s, step = self.settings, self.state.step
        warmup = s.warmup * self.per_epoch
        if self.clock is None:
            found = rate(s.schedule, step, base=s.learning_rate, total=s.epochs * self.per_epoch, warmup=warmup,
                         drops=self.state.drops)  # fmt: skip
        else:
            found = rate(s.schedule, self.clock.part * 1000, base=s.learning_rate, total=1001)
            found *= min(1.0, (step + 1) / warmup) if warmup else 1.0
        self.model.optimizer.learning_rate = found

    def on_train_batch_end(self, batch, logs=None):
        self.state.step += 1
        self._restart()
        self.watch("step", self.state, logs)
        if self.clock is not None and self.clock.part >= 1:
            self.model.stop_training = True  # Keras ends the epoch here, too

    def _restart(self) -> None:
        """Begin the average of weights anew, ever more seldom until it spans what was asked for: in a run of no more
        steps than that it would be the weights before training for the better part. Of such a run it is the last
        quarter: with the last half a run of 150 steps lost 0.08 of Dice by it (docs/experiments/segmentation.md)."""
        s = self.settings
        if s.average and self.state.step in RESTARTS and self.state.step <= 2 * s.average * self.per_epoch:
            for mean, variable in zip(averages(self.model), self.model.trainable_variables, strict=True):
                mean.assign(variable)

    def on_epoch_end(self, epoch, logs=None):
        s, state = self.settings, self.state
        if not math.isfinite(logs["loss"]):
            raise MachineError(f"the loss is {logs['loss']} after epoch {epoch + 1}: training went astray",
                               remedy="a lower --learning-rate, or --mixed-precision off")
        row = {"epoch": epoch + 1, "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
               "loss": float(logs["loss"])} | ({"accuracy": float(logs["accuracy"])} if "accuracy" in logs else {})
        state.epoch = epoch + 1
        last = self.model.stop_training or state.epoch == s.epochs
        if self.judge is not None and (last or state.epoch % self.judge.every == 0):
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
        raw = swap(self.model, s)
        row |= self.judge.look(self.model)
        better = self.judge.better(row[self.judge.key], state.best)
        state.wait = 0 if better else state.wait + self.judge.every
        state.since_drop = 0 if better else state.since_drop + self.judge.every
        if better:
            state.best, state.best_epoch = row[self.judge.key], state.epoch
            if s.patience is not None:
                state.best_weights = arrays(self.model.weights)
        restore(self.model, raw)
        if s.schedule == "plateau" and state.since_drop >= plateau_patience(s):
            state.drops, state.since_drop = state.drops + 1, 0
        state.stopped = s.patience is not None and state.wait >= s.patience
        if self.clock is not None:
            self.clock.keep(self.judge.looks * (time.monotonic() - began))
            if self.clock.part >= 1:  # a step more would be one to validate again
                self.model.stop_training = True


def plateau_patience(settings) -> int:
    """Epochs without a better validation loss before the learning rate drops: half of what stops the training."""
    return max(1, (settings.patience or 10) // 2)


def judge(model, images: np.ndarray, truth: np.ndarray, batch_size: int) -> dict[str, float]:
    """Cross-entropy (nats), accuracy and balanced accuracy of a model on images with one-hot truth (n, class)."""
    predicted = model.predict(images, batch_size=batch_size, verbose=0)
    right = predicted.argmax(1) == truth.argmax(1)
    of_class = [right[truth[:, i] > 0].mean() for i in range(truth.shape[1]) if (truth[:, i] > 0).any()]
    loss = -np.log(np.clip((predicted * truth).sum(1), CLIP, 1)).mean()
    return {"validation_loss": float(loss), "validation_accuracy": float(right.mean()),
            "validation_balanced_accuracy": float(np.mean(of_class))}  # fmt: skip


def arrays(variables) -> list[np.ndarray]:
    """The values of variables, as arrays of their own."""
    return [np.array(v) for v in variables]


def averages(model) -> list:
    """The averaged weights that the optimizer keeps, in the order of model.trainable_variables."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return optimizer._model_variables_moving_average  # Keras' own SwapEMAWeights reads them here, too


def swap(model, settings) -> list[np.ndarray] | None:
    """Put the averaged weights in place, if there are such; returns those that were there."""
    if not settings.average:
        return None
    raw = arrays(model.trainable_variables)
    for variable, mean in zip(model.trainable_variables, averages(model), strict=True):
        variable.assign(mean)
    return raw


def restore(model, raw: list[np.ndarray] | None) -> None:
    """Put back what swap() returned."""
    if raw is not None:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)


def optimizer(settings, per_epoch: int):
    """The Keras optimizer of the settings. Biases and the scales of normalisation do not decay."""
    reach = settings.average * per_epoch
    common = {"learning_rate": settings.learning_rate, "clipnorm": settings.clip or None,
              "weight_decay": settings.weight_decay, "use_ema": settings.average > 0,
              "ema_momentum": max(0.0, 1 - 1 / reach) if reach else 0.99}  # fmt: skip
    if settings.optimizer == "sgd":
        made = keras.optimizers.SGD(momentum=settings.momentum, nesterov=settings.momentum > 0, **common)
    else:
        made = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[settings.optimizer](**common)
    if settings.weight_decay:
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made


def fit(model, batches, judge: Judge | None, settings, *, path: Path | None, resume: bool, run: dict,
        watch: Callable, used: float = 0.0) -> State:
    """Train a compiled model, its optimizer built, to the end and leave it with the weights to keep.

    Returns the state of the run. batches: a PyDataset with begin(epoch). judge: None without validation. path: of
    the checkpoint, None for none. run: what a checkpoint must agree with. used: seconds of a budget that are gone
    already. watch(event, state, logs) is called after each "step" and "epoch". Raises UsageError when the checkpoint
    is of another run, MachineError when the loss is no number or a budget was used up before the first step.
    """
    state = State()
    if resume and path is not None and path.exists():
        state, kept = checkpoint.read(path, run)
        for name, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
            for variable, value in zip(variables, kept[name], strict=True):
                variable.assign(value)
        watch("resume", state, None)

    def save():
        if path is not None:
            known = {"model": arrays(model.variables), "optimizer": arrays(model.optimizer.variables)}
            checkpoint.write(path, state, known, run)

    budget = getattr(settings, "budget", None)
    clock = None if budget is None else Clock(budget, state.seconds + used)
    if clock is not None and judge is not None:
        clock.keep(judge.looks * judge.seconds)
    if clock is not None and clock.part >= 1 and not state.step:
        spent = f"preparing took {used:.0f} s" + (f", validation takes {clock.reserve:.0f} s" if judge else "")
        raise MachineError(f"the budget of {budget:g} s was gone before the first step: {spent}",
                           remedy="a longer --budget; what is prepared is kept in the --cache")
    end = state.epoch + 1_000_000 if settings.epochs is None else settings.epochs  # 0: the head start was all
    if clock is not None and clock.part >= 1:
        end = state.epoch
    if state.epoch < end and not state.stopped:
        model.fit(batches, epochs=end, initial_epoch=state.epoch, verbose=0, shuffle=False,
                  callbacks=[Epochs(batches, settings, state, judge, save, watch, clock)])
    elif state.epoch:
        swap(model, settings)  # which Keras does at the end of fit
    if state.best_weights is not None:
        for variable, value in zip(model.weights, state.best_weights, strict=True):
            variable.assign(value)
    return state
