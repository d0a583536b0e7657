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
        if self.augment is None:
            images, targets = self.images[places], self.targets[places]
        else:
            images, targets = map(np.stack, zip(*(
                self.augmented(i, sampling.generator(seed, epoch, self.ids[i], copy)) for i, copy in members),
                strict=True))
        return sampling.mixed(images, targets, self.settings, epoch, index)

    def augmented(self, i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """An image, changed at random, and its target."""
        return self.augment(self.images[i], None, rng, self.spacing, self._head(i))[0], self.targets[i]

    def _head(self, i: int) -> np.ndarray:
        """The outline of the head in an image, computed once: augmentation keeps it in view, as mri-augment does."""
        if i not in self.heads:
            self.heads[i] = outline(self.images[i])
        return self.heads[i]


class BoxBatches(Batches):
    """Batches whose targets are boxes (n, box, 5), x0 y0 x1 y1 in pixels and a class, -1 for none; they move with the
    image. augment: of training.augment.box_augmenter."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        images, boxes = super().__getitem__(index)
        if self.settings.mosaic:
            rng = np.random.default_rng([self.settings.seed, self.epoch, index, sampling.MIXING])
            images, boxes = sampling.mosaic(images, boxes, rng, self.settings.mosaic)
        return images, boxes

    def augmented(self, i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        boxes = self.targets[i][self.targets[i][:, 4] >= 0]
        image, moved = self.augment(self.images[i], boxes.tolist(), rng, self.spacing, self._head(i))
        target = np.zeros_like(self.targets[i])
        target[:, 4] = -1
        if moved:
            target[: len(moved)] = moved
        return image, target
