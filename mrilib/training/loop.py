"""The fit loop: batches made on the fly, a learning rate for each step, validation, early stop, checkpoints.

Imports Keras: to be imported after mrilib.gpu.setup.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from mrilib.errors import MachineError
from mrilib.training import checkpoint, sampling
from mrilib.training.checkpoint import State
from mrilib.training.schedules import rate
from mrilib.training.settings import Settings

CLIP = 1e-7


class Batches(keras.utils.PyDataset):
    """Batches of one epoch after another; `epoch` says which. Each image depends on (seed, epoch, case, copy) only."""

    def __init__(self, images, truth, ids, settings: Settings, augment: Callable | None, workers: int = 1):
        super().__init__(workers=workers)
        self.images, self.truth, self.ids, self.settings, self.augment = images, truth, ids, settings, augment
        self.classes = truth.argmax(1)
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
        if self.augment is None:
            return self.images[[i for i, _ in members]], self.truth[[i for i, _ in members]]
        made = [self.augment(self.images[i], sampling.chance_of(self.settings.seed, self.epoch, self.ids[i], copy))
                for i, copy in members]
        return np.stack(made), self.truth[[i for i, _ in members]]


class Epochs(keras.callbacks.Callback):
    """What happens between steps and epochs: learning rate, progress, validation, early stop, checkpoint."""

    def __init__(self, batches: Batches, settings: Settings, state: State, validation, save: Callable, watch: Callable):
        super().__init__()
        self.batches, self.settings, self.state, self.validation = batches, settings, state, validation
        self.save, self.watch = save, watch
        self.per_epoch = len(batches)

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.begin(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        s = self.settings
        self.model.optimizer.learning_rate = rate(
            s.schedule, self.state.step, base=s.learning_rate, total=s.epochs * self.per_epoch,
            warmup=s.warmup * self.per_epoch, drops=self.state.drops)  # fmt: skip

    def on_train_batch_end(self, batch, logs=None):
        self.state.step += 1
        self.watch("step", self.state, logs)

    def on_epoch_end(self, epoch, logs=None):
        s, state = self.settings, self.state
        if not math.isfinite(logs["loss"]):
            raise MachineError(f"the loss is {logs['loss']} after epoch {epoch + 1}: training went astray",
                               remedy="a lower --learning-rate, or --mixed-precision off")
        row = {"epoch": epoch + 1, "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
               "loss": float(logs["loss"]), "accuracy": float(logs["accuracy"])}  # fmt: skip
        state.epoch = epoch + 1
        if self.validation is not None:
            raw = swap(self.model, s)
            row |= judge(self.model, *self.validation, s.batch_size)
            better = state.best is None or row["validation_loss"] < state.best
            state.wait = 0 if better else state.wait + 1
            state.since_drop = 0 if better else state.since_drop + 1
            if better:
                state.best, state.best_epoch = row["validation_loss"], epoch + 1
                if s.patience is not None:
                    state.best_weights = arrays(self.model.weights)
            restore(self.model, raw)
            if s.schedule == "plateau" and state.since_drop >= plateau_patience(s):
                state.drops, state.since_drop = state.drops + 1, 0
            state.stopped = s.patience is not None and state.wait >= s.patience
        state.curve.append(row)
        self.save()
        self.watch("epoch", state, row)
        if state.stopped:
            self.model.stop_training = True


def plateau_patience(settings: Settings) -> int:
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


def swap(model, settings: Settings) -> list[np.ndarray] | None:
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


def optimizer(settings: Settings, per_epoch: int):
    """The Keras optimizer of the settings. Biases and the scales of normalisation do not decay."""
    reach = settings.average * per_epoch
    common = {"learning_rate": settings.learning_rate, "clipnorm": settings.clip or None,
              "weight_decay": settings.weight_decay or None, "use_ema": settings.average > 0,
              "ema_momentum": max(0.0, 1 - 1 / reach) if reach else 0.99}  # fmt: skip
    if settings.optimizer == "sgd":
        made = keras.optimizers.SGD(momentum=settings.momentum, nesterov=settings.momentum > 0, **common)
    else:
        made = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[settings.optimizer](**common)
    if settings.weight_decay:
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made


def fit(model, batches: Batches, validation, settings: Settings, *, path: Path | None, resume: bool, run: dict,
        watch: Callable) -> State:
    """Train a compiled model, its optimizer built, to the end and leave it with the weights to keep.

    Returns the state of the run. validation: (images, one-hot truth) or None. path: of the checkpoint, None for
    none. run: what a checkpoint must agree with. watch(event, state, logs) is called after each "step" and
    "epoch". Raises UsageError when the checkpoint is of another run, MachineError when the loss is no number.
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

    if state.epoch < settings.epochs and not state.stopped:
        model.fit(batches, epochs=settings.epochs, initial_epoch=state.epoch, verbose=0, shuffle=False,
                  callbacks=[Epochs(batches, settings, state, validation, save, watch)])
    elif state.epoch:
        swap(model, settings)  # which Keras does at the end of fit
    if state.best_weights is not None:
        for variable, value in zip(model.weights, state.best_weights, strict=True):
            variable.assign(value)
    return state
