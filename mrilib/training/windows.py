"""Windows of prepared volumes: which are drawn, cut out, augmented and put into batches.

Every window depends on (seed, epoch, its number) alone, whatever thread makes it, and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from mrilib.errors import UsageError
from mrilib.training import sampling
from mrilib.training.segment_settings import SegmentSettings
from mrilib.training.volumes import Volume

AHEAD = 2  # batches that are made before they are asked for
JITTER = 0.25  # of the window: how far off its middle the chosen voxel may lie


class Windows(keras.utils.PyDataset):
    """Batches of windows, `steps` an epoch; `epoch` says which. waited: seconds that a step had to wait for one."""

    def __init__(self, volumes: Sequence[Volume], settings: SegmentSettings, targets: np.ndarray, shapes: list,
                 augment: Callable | None, threads: int = 1):  # fmt: skip
        """targets: (label, output) float32 table of what the network should give at each label. shapes: ([z,] y, x) of
        each output of the network, the finest first. threads: that make windows ahead of the step; they wait for
        nothing but numpy and compiled kernels, which let each other run."""
        super().__init__()
        self.volumes, self.settings, self.augment = volumes, settings, augment
        self.targets, self.shapes = targets, shapes
        self.flat = settings.dimension == 2
        self.chances = Chances(volumes, settings, len(targets))
        self.epoch, self.waited = 0, 0.0
        self.ahead, self.pool = {}, ThreadPoolExecutor(threads)

    def begin(self, epoch: int) -> None:
        """Which epoch comes next (from 0)."""
        self.epoch = epoch
        self.ahead.clear()

    def close(self) -> None:
        """No more windows are wanted."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, index: int):
        """Images (batch, [z,] y, x, channel) float32 and the targets of each output, (batch, ..., output) float32."""
        size = self.settings.batch_size
        for number in range(index * size, min((index + 1 + AHEAD) * size, len(self) * size)):
            if number not in self.ahead:
                self.ahead[number] = self.pool.submit(self.window, self.epoch, number)
        began = time.monotonic()
        made = [self.ahead.pop(number).result() for number in range(index * size, (index + 1) * size)]
        self.waited += time.monotonic() - began
        labels = np.stack([label for _, label in made])
        images = np.stack([image for image, _ in made])
        images, truth = sampling.mixed(images, self.targets[labels], self.settings, self.epoch, index)
        each = tuple(_coarser(truth, shape) for shape in self.shapes)
        return images, each if len(each) > 1 else each[0]  # a tuple: TensorFlow takes no list

    def window(self, epoch: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """One augmented window: ([z,] y, x, channel) float32, and ([z,] y, x) uint8 places in the label numbers.

        It shows a part of the head, so no shift is drawn to keep the head in view, as that of a whole image is.
        """
        rng = np.random.default_rng([self.settings.seed, epoch, number])
        case, centre = self.chances.draw(rng)
        volume, s = self.volumes[case], self.settings
        patch = np.array((1, *s.patch) if self.flat else s.patch)
        jitter = np.rint(rng.uniform(-JITTER, JITTER, 3) * patch).astype(int)
        start = _within(centre + jitter - patch // 2, patch, np.array(volume.size), centre)
        image = cut(volume.image(), start, patch, volume.air, s.context or 0)
        label = cut(volume.label()[..., None], start, patch, np.zeros(1, np.uint8))[..., 0]
        if self.flat:
            image, label = image[0], label[0]
        if self.augment is not None:
            image, label = self.augment(image, label, rng, volume.spacing[-label.ndim :])
        return image, label


class Chances:
    """Which voxel the next window is to show: the sampling by its name."""

    def __init__(self, volumes: Sequence[Volume], settings: SegmentSettings, labels: int):
        self.volumes, self.settings = volumes, settings
        self.flat = settings.dimension == 2
        self.places = [volume.places(in_slices=self.flat) for volume in volumes]
        self.every = self._shares([v.size[0] if self.flat else 1 for v in volumes])
        self.of_label = {}
        for value in range(labels):
            known = [value in each and (len(np.unique(each[value][:, 0])) if self.flat else 1) for each in self.places]
            if any(known):
                self.of_label[value] = self._shares(known)
        self.tumour = [value for value in self.of_label if value]
        if not self.tumour:
            raise UsageError("no training case has a labelled voxel", remedy="are these the right label maps?")

    @staticmethod
    def _shares(weights) -> np.ndarray:
        weights = np.asarray(weights, float)
        return weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """(place of the case, voxel (z, y, x)). uniform: any voxel, cases alike, in 2D slices alike; foreground: in a
        part of the windows a voxel of a label, each label of the set equally often; equal: the background is one."""
        s = self.settings
        if s.sampling == "equal":
            value = list(self.of_label)[rng.integers(len(self.of_label))]
        elif s.sampling == "foreground" and rng.random() < s.foreground:
            value = self.tumour[rng.integers(len(self.tumour))]
        else:
            case = int(rng.choice(len(self.every), p=self.every))
            return case, rng.integers(0, self.volumes[case].size)
        case = int(rng.choice(len(self.every), p=self.of_label[value]))
        places = self.places[case][value]
        return case, places[rng.integers(len(places))].astype(int)


def _within(start, patch, size, centre) -> np.ndarray:
    """A start that holds `centre`, and lies in the volume where the window fits in; where it does not, any that
    holds the whole volume, its own kept as far as it can be."""
    low, high = np.minimum(0, size - patch), np.maximum(0, size - patch)
    start = np.clip(start, low, high)
    return np.clip(start, centre - patch + 1, centre)


def cut(array: np.ndarray, start, patch, air: np.ndarray, context: int = 0) -> np.ndarray:
    """The window of an array (z, y, x, channel) from `start`, air outside; float32 unless whole numbers.

    context: that many slices each side follow as channels, from the first to the last; edge slices repeat.
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


def _coarser(truth: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Truth (batch, [z,] y, x, output) at every k-th voxel, from the middle of each block, so that `shape` is left."""
    steps = [a // b for a, b in zip(truth.shape[1:-1], shape, strict=True)]
    return truth[(slice(None), *(slice(step // 2, None, step) for step in steps))]
