"""Reports about a fit: progress, the file of the curve, and a summary at the end."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from mrilib.store import write_text
from mrilib.targets import is_direct
from mrilib.training.checkpoint import State
from mrilib.training.settings import TrainSettings

log = logging.getLogger("mrilib")


class Watch:
    """Follows a fit: progress over steps, or over the seconds of a budget; the curve file after each epoch."""

    def __init__(self, settings: TrainSettings, curve: Path | None, progress: Callable, headline: str = ""):
        """curve: CSV of the epochs, None to write none. progress(label, total, unit): a context
        manager with step(n) and note(text). headline: the metric that the progress shows."""
        self.settings, self.curve, self.headline, self.rows = settings, curve, headline, []
        self.progress, self.bar, self.opened = progress, None, contextlib.ExitStack()
        self.budget, self.reported, self.waited = settings.budget, 0, 0.0
        self.began, self.first_step, self.first_epoch = time.monotonic(), 0, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        self.opened.close()
        if kind is None and self.curve is not None and is_direct(self.curve):
            self._write()  # a device or a pipe takes the table once

    def __call__(self, event: str, state: State | None, logs: dict | None) -> None:
        if event == "begin":
            total = int(self.budget) if self.budget else self.settings.epochs * logs["steps"]
            self.bar = self.opened.enter_context(
                self.progress("training", total, "second" if self.budget else "step"))
        elif event == "end":
            self.waited = logs["waited"]
        elif event == "step":
            self._step()
        elif event == "resume":
            self.first_step, self.first_epoch = state.step, state.epoch
            self.bar.step(int(state.seconds) if self.budget else state.step)
            of = f", {state.seconds:.0f} s of the budget used" if self.budget else f" of {self.settings.epochs}"
            log.info("resuming after epoch %d%s", state.epoch, of)
        else:
            metric = f", {self.headline.replace('_', ' ')} {logs[self.headline]:.3f}" if self.headline in logs else ""
            of = f" of {self.settings.epochs}" if self.settings.epochs else ""
            self.bar.note(f"epoch {state.epoch}{of}: loss {logs['loss']:.3f}{metric}")
            self.rows = state.curve
            if self.curve is not None and not is_direct(self.curve):
                self._write()

    def _step(self) -> None:
        if not self.budget:
            self.bar.step()
        elif (seconds := int(time.monotonic() - self.began) - self.reported) > 0:
            self.bar.step(seconds)
            self.reported += seconds

    def _write(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))  # not every epoch is validated
        lines = [",".join(names)] + [",".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in self.rows]
        write_text(self.curve, "\n".join(lines) + "\n")

    def summary(self, task, data, model, record: dict, output: Path | None) -> None:
        """Log the results, on one screen."""
        training, s, seconds = record["training"], self.settings, time.monotonic() - self.began
        for part in ("train", "validation"):
            if data.count(part):
                log.info("%-10s %s", part, data.summary(part))
        start = f"started from {s.weights}" if s.weights else "from scratch"
        name = f"{s.backbone}{f' of width {s.width:g}' if s.width != 1 else ''}, " if s.backbone else ""
        log.info("%-10s %s%.2f million weights, %s", "network", name, model.count_params() / 1e6, start)
        if not training["curve"]:
            log.info("%-10s none: the head was fitted to the features of the given weights in %.0f s", "epochs",
                     seconds)
        else:
            last, steps = training["curve"][-1], training["steps"]
            now = steps - self.first_step
            of = f" of {s.epochs}" if s.epochs else ""
            waiting = f" ({self.waited / max(now, 1):.3f} s waiting for batches)" if self.waited else ""
            log.info("%-10s %d%s, %d now: %d of %d steps in %.0f s, %.2f s each%s; last loss %.3f", "epochs",
                     last["epoch"], of, last["epoch"] - self.first_epoch, now, steps, seconds,
                     seconds / max(now, 1), waiting, last["loss"])
        if metrics := training["validation"]:
            log.info("%-10s epoch %d: %s", "validation", training["best_epoch"], task.metrics_text(metrics))
        if output is not None:
            curve = f", {self.curve}" if training["curve"] and self.curve else ""
            size = "" if is_direct(output) else f" ({output.stat().st_size / 1e6:.1f} MB)"
            log.info("%-10s %s%s%s", "written", output, size, curve)
