"""The network, targets and validation of label maps: what tasks.segment needs beside the fit loop."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mrilib.errors import UsageError
from mrilib.labels import Scheme
from mrilib.models.record import MapRecord
from mrilib.recipe import Recipe
from mrilib.training import plan
from mrilib.training.segment_settings import SegmentSettings
from mrilib.training.settings import check_class_weights
from mrilib.training.volumes import Volume

PIXELS = (0.5, 99.5)  # percentiles of the head's values that become -1 and 1 for a backbone
SAMPLE = 2000  # voxels of each case that these are measured on


@dataclass
class SegmentData:
    """Volumes, their parts (train, validation), the label scheme, and the recipe that a model will follow.

    brought_to: spacing that they were resampled to (see inference.prepare.prepare_volume); None: they have their own.
    stated: whether they state their spacing, as pictures and stacks of them do not.
    """

    volumes: list[Volume]
    parts: list[str]
    scheme: Scheme
    recipe: Recipe
    brought_to: tuple[float, ...] | None = None
    stated: bool = True

    @property
    def values(self) -> tuple[int, ...]:
        """The label values in order, the background first."""
        return self.scheme.values

    @property
    def channels(self) -> list[str]:
        """Names of the channels, in order."""
        return list(self.volumes[0].channels)

    def of(self, part: str) -> list[Volume]:
        """The volumes of a part."""
        return [volume for volume, its_part in zip(self.volumes, self.parts, strict=True) if its_part == part]

    def count(self, part: str) -> int:
        """The number of cases of a part."""
        return self.parts.count(part)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The median spacing, mm, (z, y, x)."""
        return tuple(float(v) for v in np.median([v.spacing for v in self.volumes], 0))

    @property
    def known_spacing(self) -> tuple[float, ...] | None:
        """The spacing that the model takes (see inference.prepare.prepare_volume), None where it is unknown. Single
        slices do not state the distance of slices, so that only the two numbers of their plane are known."""
        if self.brought_to or not self.stated or plan.spacing_of([v.spacing for v in self.volumes]) is not None:
            return self.brought_to
        return self.spacing[1:] if all(v.size[0] == 1 for v in self.volumes) else self.spacing

    @property
    def hash(self) -> str:
        """16 hex digits that name the cases with their contents, label maps and parts, the scheme and the recipe."""
        digest = hashlib.sha256(repr((self.recipe.hash, str(self.scheme), self.values)).encode())
        for volume, part in zip(self.volumes, self.parts, strict=True):
            row = (volume.id, volume.content, volume.label_content, volume.size, part)
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    @property
    def cases(self) -> dict[str, dict[str, str]]:
        """Content and part of each case, by id, for the record of a model."""
        return {v.id: {"content": v.content, "part": part} for v, part in zip(self.volumes, self.parts, strict=True)}

    def counts(self, part: str) -> dict[str, int]:
        """How many cases of a part hold each label."""
        volumes = self.of(part)
        return {self.scheme.labels.get(value, str(value)): sum(i in v.counts for v in volumes)
                for i, value in enumerate(self.values) if i}  # fmt: skip

    def summary(self, part: str) -> str:
        """The cases of a part in words."""
        counts = ", ".join(f"{name} {n}" for name, n in self.counts(part).items())
        return f"{self.count(part)} cases, of which hold {counts}"


@dataclass(frozen=True)
class Targets:
    """What the network is to give. table: (label, output) float32, one more row where voxels are ignored and then one
    more column, the weight of a voxel. regions: name -> label values, None for labels. paint: the value that decoding
    gives each region. names: of the outputs."""

    table: np.ndarray
    regions: dict[str, list[int]] | None
    paint: list[int] | None
    names: list[str]

    @property
    def outputs(self) -> int:
        """The number of outputs of the network."""
        return len(self.names)

    @property
    def masked(self) -> bool:
        """Whether the last column of the table is a weight."""
        return self.table.shape[1] > self.outputs


def targets(scheme: Scheme, settings: SegmentSettings) -> Targets:
    """The targets of labels (one output each, the background first) or of regions.

    Regions go from the largest to the smallest, each painted with a label that it has and the smaller ones lack, else
    that the next one lacks. Raises UsageError when a scheme has no regions to train on.
    """
    regions = paint = None
    if settings.targets == "labels":
        table = np.eye(len(scheme.values), dtype=np.float32)
    else:
        regions, paint = _regions(scheme)
        table = np.array([[float(v in regions[name]) for name in regions] for v in scheme.values], np.float32)
    if scheme.ignore is not None:
        table = np.pad(np.pad(table, ((0, 0), (0, 1)), constant_values=1.0), ((0, 1), (0, 0)))
    names = list(regions or ["background", *(scheme.labels.get(v, str(v)) for v in scheme.values[1:])])
    return Targets(table, regions, paint, names)


def _regions(scheme: Scheme) -> tuple[dict[str, list[int]], list[int]]:
    regions = {name: [v for v in values if v in scheme.values] for name, values in scheme.regions.items()}
    regions = dict(sorted(((n, v) for n, v in regions.items() if v), key=lambda item: -len(item[1])))
    if not regions:
        raise UsageError(f"the label scheme {scheme} has no regions", remedy="--targets labels, or name --scheme")
    names, paint = list(regions), []
    for place, name in enumerate(names, 1):
        smaller = names[place:]
        own = ([v for v in regions[name] if not any(v in regions[other] for other in smaller)]
               or [v for v in regions[name] if v not in regions[smaller[0]]])
        if not own:
            raise UsageError(f"region {name} holds no label that {smaller[0]} lacks", remedy="--targets labels")
        paint.append(own[0])
    return regions, paint


def check_outputs(scheme: Scheme, settings: SegmentSettings) -> None:
    """Raise UsageError for targets or class weights that the label scheme lacks."""
    check_class_weights(settings.class_weights, targets(scheme, settings).names, "outputs")


def build(settings: SegmentSettings, shape, outputs: int, spacing, exclusive: bool, low, high):
    """The network of complete settings."""
    from mrilib.models import unet

    s = settings
    common = {"activation": "softmax" if exclusive else "sigmoid", "norm": s.norm, "dropout": s.dropout,
              "deep_supervision": s.deep_supervision}  # fmt: skip
    if s.backbone is not None:
        return unet.backbone_unet(s.backbone, shape, outputs, width=s.width, weights=s.weights, low=low, high=high,
                                  **common)
    strides = plan.strides_of(s.patch, spacing[-s.dimension :], s.levels, s.stem)
    model = unet.unet(shape, outputs, levels=s.levels, width=int(s.width), depth=s.depth, residual=s.residual,
                      strides=strides, stem=s.stem, **common)
    if s.weights is not None:
        from mrilib.models.weights import UNET, load_weights

        load_weights(model, s.weights, backbone=None, width=s.width, **{name: getattr(s, name) for name in UNET})
    return model


def loss(settings: SegmentSettings, wanted: Targets, class_weights: Sequence[float] | None) -> Callable:
    """The loss of a batch, with an axis of length 1, because Keras shares a loss among devices only along an axis."""
    from mrilib.models import voxel_losses

    of_batch = voxel_losses.make(settings.loss, exclusive=wanted.regions is None, class_weights=class_weights)

    def whole(target, predicted):
        return of_batch(target, predicted)[None]

    def masked(target, predicted):
        """The loss of the voxels that are not ignored: only they are given to it. 0 where there is none."""
        from keras import ops

        places = ops.nonzero(ops.reshape(target[..., -1], (-1,)) > 0.5)[0]
        target, predicted = (ops.take(ops.reshape(t, (-1, t.shape[-1])), places, axis=0)[None]
                             for t in (target[..., :-1], predicted))  # fmt: skip
        return ops.cond(ops.size(places) > 0, lambda: whole(target, predicted), lambda: ops.zeros((1,), "float32"))

    return masked if wanted.masked else whole


def whole_volumes(model, record: MapRecord, volumes: Sequence[Volume]) -> dict[str, float]:
    """Mean Dice of whole validation volumes on their prepared grid: of each label or region, and over these."""
    each = [dice_of(model, record, volume) for volume in volumes]
    means = {f"validation_dice_{name}": float(np.mean([dice[name] for dice in each])) for name in each[0]}
    return {"validation_dice": float(np.mean(list(means.values()))), **means}


def dice_of(model, record: MapRecord, volume: Volume) -> dict[str, float]:
    """Dice of each label or region of a whole volume on its prepared grid; of empty ones see metrics.overlap."""
    from mrilib.evaluation.metrics import overlap
    from mrilib.inference import segment

    regions = record.regions or dict.fromkeys(str(v) for v in record.values[1:])
    parts = {name: tuple(values or (int(name),)) for name, values in regions.items()}
    reference, ignored = _reference(volume, record)
    predicted = segment.decode(segment.probabilities([model], record, np.asarray(volume.image(), np.float32)), record)
    predicted[ignored] = 0
    return {name: overlap.metrics(*four)["dice"] for name, four in overlap.counts(predicted, reference, parts).items()}


def _reference(volume: Volume, record: MapRecord) -> tuple[np.ndarray, np.ndarray]:
    """The label map of a volume, and where it is to be ignored (background there)."""
    label = volume.label()
    return np.array([*record.values, 0], np.uint8)[label], np.asarray(label) == len(record.values)


def validation_seconds(model, record: MapRecord, volumes: Sequence[Volume]) -> float:
    """About how long whole_volumes() takes: as long for each voxel as for those of the smallest volume."""
    from mrilib.inference import segment

    small = min(volumes, key=lambda v: np.prod(v.size))
    patch = segment.patch_of(record)
    first = [max(0, (n - w) // 2) for n, w in zip(small.size, patch, strict=True)]
    middle = tuple(slice(a, a + w) for a, w in zip(first, patch, strict=True))
    segment.probabilities([model], record, np.asarray(small.image()[middle], np.float32))  # the first time is slower
    began = time.monotonic()
    whole_volumes(model, record, [small])
    return (time.monotonic() - began) * float(sum(np.prod(v.size) for v in volumes) / np.prod(small.size))


def tune_postprocess(model, record: MapRecord, volumes: Sequence[Volume]) -> tuple[dict, list[str]]:
    """The post-processing that helps on whole validation volumes: settings for the record, and a line for each."""
    from mrilib.inference import segment, tune

    def predicted():
        for volume in volumes:
            reference, ignored = _reference(volume, record)
            each = segment.probabilities([model], record, np.asarray(volume.image(), np.float32))
            if ignored.any():
                each[ignored] = 0 if record.regions else np.eye(each.shape[-1], dtype=each.dtype)[0]
            yield each, reference, volume.spacing

    return tune.tune(predicted(), record)


def class_weights(settings: SegmentSettings, data: SegmentData, wanted: Targets) -> list[float] | None:
    """The weight of each output, or None. balanced: one over the square root of its voxels, 1 on average (a plain
    inverse would make a tumour of 0.5 % weigh 200 times) and for what no training case has. Raises UsageError for
    names that are not the outputs'."""
    weights = settings.class_weights
    if weights in ("none", None):
        return None
    if weights == "balanced":
        counts = [sum(v.counts.get(i, 0) for v in data.of("train")) for i in range(len(data.values))]
        voxels = np.array(counts, float) @ wanted.table[: len(data.values), : wanted.outputs]
        each = 1 / np.sqrt(np.maximum(voxels, 1))
        return np.where(voxels, each / each[voxels > 0].mean(), 1).tolist() if voxels.any() else [1.0] * len(voxels)
    check_class_weights(weights, wanted.names, "outputs")
    return [float(weights[name]) for name in wanted.names]


def pixel_range(volumes: Sequence[Volume]) -> tuple[float, float]:
    """The values of the training images that become -1 and 1: PIXELS percentiles of voxels that are not air."""
    values = []
    for volume in volumes:
        array = volume.image().reshape(-1, len(volume.channels))
        sample = np.asarray(array[:: max(1, len(array) // SAMPLE)], np.float32)
        values.append(sample[(sample > volume.air).any(-1)].ravel())
    low, high = np.percentile(np.concatenate(values), PIXELS)
    if not high > low:
        raise UsageError("all training images are empty: every voxel has one value")
    return float(low), float(high)
