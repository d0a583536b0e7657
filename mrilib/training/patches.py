"""Patches of prepared volumes: which are sampled, cut out, augmented and put into batches. Imports Keras.

Every patch depends on (seed, epoch, its number) alone, whichever thread makes it, and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from mrilib.errors import UsageError
from mrilib.training import sampling
from mrilib.training.segment import Targets
from mrilib.training.segment_settings import SegmentSettings
from mrilib.training.volumes import Volume

AHEAD = 2  # batches that are made before they are asked for
JITTER = 0.25  # of the patch: how far from its centre the sampled voxel may lie
TRIES = 100  # draws of a voxel that is not ignored, before a labelled one or the background is taken


class Patches(keras.utils.PyDataset):
    """Batches of patches, `steps` an epoch. waited: seconds that the training waited for patches."""

    def __init__(self, volumes: Sequence[Volume], settings: SegmentSettings, targets: Targets, shapes: list,
                 augment: Callable | None, threads: int = 1):  # fmt: skip
        """shapes: ([z,] y, x) of each output of the network, the finest first. threads: that make patches ahead of the
        training; they run numpy and compiled kernels, which release the interpreter lock."""
        super().__init__()
        self.volumes, self.settings, self.augment = volumes, settings, augment
        self.table, self.shapes = targets.table, shapes
        self.flat = settings.dimension == 2
        self.sampler = PatchSampler(volumes, settings, len(self.table) - targets.masked, targets.masked)
        outside = self.sampler.labels if targets.masked else 0  # ignored, where there is such a label
        self.outside = np.full(1, outside, np.uint8)
        self.epoch, self.waited = 0, 0.0
        self.ahead, self.pool = {}, ThreadPoolExecutor(threads)

    def begin(self, epoch: int) -> None:
        """Set which epoch comes next (from 0)."""
        self.epoch = epoch
        self.ahead.clear()

    def close(self) -> None:
        """Stop the threads: no more patches are needed."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def __len__(self) -> int:
        return self.settings.steps

    @property
    def smallest(self) -> int:
        """The number of patches of the smallest batch."""
        return self.settings.batch_size

    def __getitem__(self, index: int):
        """Images (batch, [z,] y, x, channel) float32 and the targets of each output, (batch, ..., output) float32."""
        size = self.settings.batch_size
        for number in range(index * size, min((index + 1 + AHEAD) * size, len(self) * size)):
            if number not in self.ahead:
                self.ahead[number] = self.pool.submit(self.patch, self.epoch, number)
        began = time.monotonic()
        patches = [self.ahead.pop(number).result() for number in range(index * size, (index + 1) * size)]
        self.waited += time.monotonic() - began
        labels = np.stack([label for _, label in patches])
        images = np.stack([image for image, _ in patches])
        images, targets = sampling.mixed(images, self.table[labels], self.settings, self.epoch, index)
        each = tuple(_coarser(targets, shape) for shape in self.shapes)
        return images, each if len(each) > 1 else each[0]  # a tuple: TensorFlow takes no list

    def patch(self, epoch: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """One augmented patch: ([z,] y, x, channel) float32, and ([z,] y, x) uint8 indices into the label values.

        It shows a part of the head, so no shift is drawn to keep the head in view, as with a whole image.
        """
        rng = np.random.default_rng([self.settings.seed, epoch, number])
        case, centre = self.sampler.draw(rng)
        volume, s = self.volumes[case], self.settings
        size = np.array((1, *s.patch) if self.flat else s.patch)
        jitter = np.rint(rng.uniform(-JITTER, JITTER, 3) * size).astype(int)
        start = _within(centre + jitter - size // 2, size, np.array(volume.size), centre)
        image = cut(volume.image(), start, size, volume.air, s.context or 0)
        label = cut(volume.label()[..., None], start, size, self.outside)[..., 0]
        if self.flat:
            image, label = image[0], label[0]
        if self.augment is not None:
            image, label = self.augment(image, label, rng, volume.spacing[-label.ndim :])
        return image, label


class PatchSampler:
    """Draws the voxel that the next patch is to show, by the sampling of the settings."""

    def __init__(self, volumes: Sequence[Volume], settings: SegmentSettings, labels: int, masked: bool = False):
        """labels: number of label values, the background included. masked: some voxels are to be ignored."""
        self.volumes, self.settings, self.labels, self.masked = volumes, settings, labels, masked
        self.flat = settings.dimension == 2
        self.places = [volume.places(in_slices=self.flat) for volume in volumes]
        self.every = self._probabilities([v.size[0] if self.flat else 1 for v in volumes])
        self.of_label = {}
        for value in range(labels):
            weights = [value in each and (len(np.unique(each[value][:, 0])) if self.flat else 1)
                       for each in self.places]  # fmt: skip
            if any(weights):
                self.of_label[value] = self._probabilities(weights)
        self.tumour = [value for value in self.of_label if value]
        if not self.tumour:
            raise UsageError("no training case has a labelled voxel", remedy="are these the right label maps?")

    @staticmethod
    def _probabilities(weights) -> np.ndarray:
        weights = np.asarray(weights, float)
        return weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """(index of the case, voxel (z, y, x)). uniform: any voxel, all cases equally often, in 2D all slices;
        foreground: in a fraction of the patches a voxel of a label, each label equally often; equal: of each label or
        the background equally often. Never a voxel that is to be ignored."""
        s = self.settings
        if s.sampling == "equal":
            value = list(self.of_label)[rng.integers(len(self.of_label))]
        elif s.sampling == "foreground" and rng.random() < s.foreground:
            value = self.tumour[rng.integers(len(self.tumour))]
        else:
            for _ in range(TRIES if self.masked else 1):
                case = int(rng.choice(len(self.every), p=self.every))
                voxel = rng.integers(0, self.volumes[case].size)
                if not self.masked or self.volumes[case].label()[tuple(voxel)] < self.labels:
                    return case, voxel
            value = list(self.of_label)[rng.integers(len(self.of_label))]
        case = int(rng.choice(len(self.every), p=self.of_label[value]))
        places = self.places[case][value]
        return case, places[rng.integers(len(places))].astype(int)


def _within(start, size, volume, centre) -> np.ndarray:
    """The start of a patch of `size`, moved as little as possible so that the patch lies in the volume and holds
    `centre`; along an axis where the patch is larger, so that it holds the whole volume."""
    low, high = np.minimum(0, volume - size), np.maximum(0, volume - size)
    start = np.clip(start, low, high)
    return np.clip(start, centre - size + 1, centre)


def cut(array: np.ndarray, start, patch, air: np.ndarray, context: int = 0) -> np.ndarray:
    """The patch of an array (z, y, x, channel) from `start`, air outside; float32 unless the array holds integers.

    context: number of neighbouring slices on each side that become channels, first to last; edge slices repeat.
    """
    if context:
        z = np.clip(start[0] + np.arange(-context, context + 1), 0, array.shape[0] - 1)
        return np.concatenate([cut(array[i : i + 1], (0, *start[1:]), patch, air) for i in z], -1)
    low, high = np.maximum(start, 0), np.minimum(np.add(start, patch), array.shape[:3])
    kind = array.dtype if array.dtype.kind == "u" else np.float32
    part = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if part.shape[:3] == tuple(patch):
        return np.asarray(part, kind)
    result = np.empty((*patch, array.shape[-1]), kind)
    result[:] = air
    result[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))] = part
    return result


def _coarser(targets: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Targets (batch, [z,] y, x, output) at every k-th voxel, the middle of each block, so that `shape` is left."""
    steps = [a // b for a, b in zip(targets.shape[1:-1], shape, strict=True)]
    return targets[(slice(None), *(slice(step // 2, None, step) for step in steps))]
