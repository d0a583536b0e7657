"""Batches of images in memory, augmented as they are needed. Imports Keras."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from mrilib.images.steps.foreground import outline
from mrilib.training import sampling
from mrilib.training.settings import TrainSettings


class Batches(keras.utils.PyDataset):
    """The batches of one epoch after another. Each image depends on (seed, epoch, case, copy) only."""

    def __init__(self, images: np.ndarray, targets: np.ndarray, ids: list[str], settings: TrainSettings,
                 augment: Callable | None, spacing, *, groups: np.ndarray | None = None, workers: int = 1):  # fmt: skip
        """images: (n, y, x, channel). targets: (n, output). groups: (n,) class of each case, where an epoch shows every
        class equally often; None: every case once."""
        super().__init__(workers=workers)
        self.images, self.targets, self.ids, self.settings = images, targets, ids, settings
        self.augment, self.spacing, self.groups, self.heads = augment, spacing, groups, {}
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Draw the order of an epoch (from 0)."""
        self.epoch, seed = epoch, self.settings.seed
        members = (sampling.natural(len(self.images), seed, epoch) if self.groups is None else
                   sampling.equal(self.groups, seed, epoch))
        self.members = sampling.batches(members, self.settings.batch_size)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def smallest(self) -> int:
        """The number of cases of the smallest batch."""
        return len(self.members[-1])

    def close(self) -> None:
        """Release what the batches hold beside the images."""
        self.heads.clear()

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (batch, y, x, channel) float32 and targets (batch, output) float32."""
        members = self.members[index]
        seed, epoch, places = self.settings.seed, self.epoch, [i for i, _ in members]
        images = self.images[places] if self.augment is None else np.stack([
            self.augment(self.images[i], None, sampling.generator(seed, epoch, self.ids[i], copy), self.spacing,
                         self._head(i))[0] for i, copy in members])
        return sampling.mixed(images, self.targets[places], self.settings, epoch, index)

    def _head(self, i: int) -> np.ndarray:
        """The outline of the head in an image, computed once: augmentation keeps it in view, as mri-augment does."""
        if i not in self.heads:
            self.heads[i] = outline(self.images[i])
        return self.heads[i]
