"""Train a network for label maps: prepared volumes on disk in, a network with its record out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.gpu import Setup, memory
from mrilib.labels import Scheme
from mrilib.recipe import Recipe
from mrilib.training import plan
from mrilib.training.classify import augmenter, portable, versions
from mrilib.training.segment_settings import SegmentSettings
from mrilib.training.settings import check_class_weights
from mrilib.training.volumes import Volume

PIXELS = (0.5, 99.5)  # percentiles of the head's values that become -1 and 1 for a backbone
SAMPLE = 2000  # voxels of each case that these are measured on
SUPERVISION = 0.5  # how much a coarser output weighs beside the one before


@dataclass
class Data:
    """Volumes, their parts (train, validation), what their numbers mean, and the recipe that a model will follow.

    brought_to: spacing that they were brought to (see inference.prepare.prepare_volume); None: they are as given.
    stated: whether they say what spacing they have, as pictures and stacks of them do not.
    """

    volumes: list[Volume]
    parts: list[str]
    scheme: Scheme
    values: tuple[int, ...]
    recipe: Recipe
    brought_to: tuple[float, ...] | None = None
    stated: bool = True

    def of(self, part: str) -> list[Volume]:
        return [volume for volume, mine in zip(self.volumes, self.parts, strict=True) if mine == part]

    @property
    def spacing(self) -> tuple[float, ...]:
        """The median spacing, mm, (z, y, x)."""
        return tuple(float(v) for v in np.median([v.spacing for v in self.volumes], 0))

    @property
    def known_spacing(self) -> tuple[float, ...] | None:
        """The spacing that a model of them takes (see inference.prepare.prepare_volume), None where it is not known.
        Single slices do not say how far apart slices are, and teach the two numbers of their own plane."""
        if self.brought_to or not self.stated or plan.spacing_of([v.spacing for v in self.volumes]) is not None:
            return self.brought_to
        return self.spacing[1:] if all(v.size[0] == 1 for v in self.volumes) else self.spacing

    @property
    def hash(self) -> str:
        """16 hex digits that name the cases with their contents, label maps and parts, the scheme and the recipe."""
        digest = hashlib.sha256(repr((self.recipe.hash, str(self.scheme), self.values)).encode())
        for volume, part in zip(self.volumes, self.parts, strict=True):
            known = (volume.id, volume.content, volume.label_content, volume.size, part)
            digest.update(repr(known).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


def targets(data: Data, settings: SegmentSettings) -> tuple[np.ndarray, dict | None, list[int] | None]:
    """The (label, output) table of what the network is to give, the regions, and the number each is painted with.

    Labels: one output each, the background first. Regions: from the largest to the smallest, each painted with a
    label that it has and the smaller ones lack, else that the next one lacks. Raises UsageError when a scheme has no
    regions to train on.
    """
    if settings.targets == "labels":
        return np.eye(len(data.values), dtype=np.float32), None, None
    regions = {name: [v for v in numbers if v in data.values] for name, numbers in data.scheme.regions.items()}
    regions = dict(sorted(((n, v) for n, v in regions.items() if v), key=lambda item: -len(item[1])))
    if not regions:
        raise UsageError(f"the label scheme {data.scheme} has no regions", remedy="--targets labels, or name --scheme")
    names, paint = list(regions), []
    for place, name in enumerate(names, 1):
        smaller = names[place:]
        own = ([v for v in regions[name] if not any(v in regions[other] for other in smaller)]
               or [v for v in regions[name] if v not in regions[smaller[0]]])
        if not own:
            raise UsageError(f"region {name} holds no label that {smaller[0]} lacks", remedy="--targets labels")
        paint.append(own[0])
    table = np.array([[float(v in regions[name]) for name in names] for v in data.values], np.float32)
    return table, regions, paint


def output_names(data: Data, regions) -> list[str]:
    """What the network's outputs go by: regions, or labels with the background first."""
    return list(regions or ["background", *(data.scheme.labels.get(v, str(v)) for v in data.values[1:])])


def check_outputs(data: Data, settings: SegmentSettings) -> None:
    """Raises UsageError for targets or class weights that the label scheme has not; data needs no volumes for it."""
    check_class_weights(settings.class_weights, output_names(data, targets(data, settings)[1]), "outputs")


def describe(data: Data, settings: SegmentSettings, setup: Setup) -> dict:
    """What decides the result of a run, flat: settings, data, precision, threads, versions."""
    return {**portable(settings), "channels": list(data.volumes[0].channels), "data": data.hash,
            "scheme": str(data.scheme), "values": list(data.values), "device": setup.device.split(":")[0],
            "devices": setup.replicas, "precision": setup.policy, "threads": setup.threads,
            **{f"version of {k}": v for k, v in versions().items()}}  # fmt: skip


def fit(data: Data, settings: SegmentSettings, setup: Setup, *, checkpoint: Path | None = None, resume: bool = False,
        watch: Callable = lambda event, state, logs: None, used: float = 0.0,
        tune: bool = False) -> tuple[object, dict]:  # fmt: skip
    """A trained network and the record for its model file, all but its split.

    settings: complete and planned ones. setup, checkpoint, resume, watch: as in training.classify.fit. used: seconds
    of the budget that preparing took. tune: keep time of the budget for tune_postprocess, too. Raises UsageError for
    settings that do not fit the data.
    """
    from mrilib.models import unet, voxel_losses
    from mrilib.models.logits import with_logits
    from mrilib.training import loop
    from mrilib.training.windows import Windows

    table, regions, paint = targets(data, settings)
    train, held = data.of("train"), data.of("validation")
    s = settings
    if setup.replicas > s.batch_size:
        raise UsageError(f"a batch of {s.batch_size} cannot be shared by {setup.replicas} devices",
                         remedy="a larger --batch-size, or --device with one")
    weights = class_weights(settings, data, table, regions)
    of_batch = voxel_losses.make(s.loss, exclusive=regions is None, class_weights=weights)

    def loss(truth, predicted):
        return of_batch(truth, predicted)[None]  # Keras shares a loss among devices only where it has an axis

    channels = list(train[0].channels)
    augment = augmenter(s.augment, len(channels))
    shape = (*s.patch, len(channels) * (2 * s.context + 1))
    low, high = pixel_range(train) if s.backbone else (None, None)
    began = time.monotonic()
    with memory.enough("a smaller --batch-size, --patch or --width"):
        with setup.scope():
            model = build(settings, shape, table.shape[1], data.spacing, regions is None, low, high)
            plain, model = unet.without_supervision(model), with_logits(model)
        shapes = [tuple(end.shape[1:-1]) for end in unet.outputs_of(model)]
        windows = Windows(train, settings, table, shapes, augment, threads=max(1, setup.threads))
        with setup.scope():
            each = SUPERVISION ** np.arange(len(shapes))
            more = {"loss_weights": (each / each.sum()).tolist()} if len(shapes) > 1 else {}
            model.compile(loop.optimizer(settings, s.steps), loss=[loss] * len(shapes) if more else loss,
                          jit_compile=False, **more)
            model.optimizer.build(model.trainable_variables)
        spacing = data.known_spacing
        record = {
            "task": "segment", "dimension": s.dimension, "context": s.context, "patch": list(s.patch),
            "channels": channels, "spacing": spacing and list(spacing),
            "scheme": str(data.scheme) if data.scheme.name else "", "values": list(data.values), "regions": regions,
            "paint": paint, "postprocess": {}, "recipe": data.recipe.as_dict(), "settings": portable(settings),
            "architecture": {"backbone": s.backbone, "width": s.width, "levels": s.levels, "depth": s.depth,
                             "stem": s.stem, "residual": s.residual, "norm": s.norm, "low": low, "high": high},
        }  # fmt: skip
        judge = None
        if held:
            judge = loop.Judge(lambda _: whole_volumes(plain, record, held), "validation_dice", more=True,
                               every=s.validate_every, looks=2 if tune else 1,
                               seconds=validation_seconds(plain, record, held) if s.budget else 0.0)
        state = loop.fit(model, windows, judge, settings, path=checkpoint, resume=resume,
                         run=describe(data, settings, setup), watch=watch,
                         used=used + time.monotonic() - began)
        windows.close()
        kept = state.best_epoch if state.best_weights is not None else state.epoch
        final = {k: v for k, v in state.curve[kept - 1].items() if k.startswith("validation_dice")}
        if held and not final:  # its budget had ended when a run was resumed, which was killed between validations
            final = whole_volumes(plain, record, held)
    record["training"] = {
        "cases": {v.id: {"content": v.content, "part": part} for v, part in zip(data.volumes, data.parts, strict=True)},
        "counts": {part: counts(data, part) for part in ("train", "validation")},
        "seed": s.seed, "curve": state.curve, "best_epoch": kept, "validation": final or None, "steps": state.step,
        "seconds": {"all": round(time.monotonic() - began, 1), "waiting_for_windows": round(windows.waited, 1)},
        "device": {"kind": setup.device.split(":")[0], "precision": setup.policy, "threads": setup.threads,
                   "replicas": setup.replicas},
        "versions": versions(),
    }  # fmt: skip
    return plain, record


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
    return unet.unet(shape, outputs, levels=s.levels, width=int(s.width), depth=s.depth, residual=s.residual,
                     strides=strides, stem=s.stem, **common)


def whole_volumes(model, record: dict, volumes: Sequence[Volume]) -> dict[str, float]:
    """Mean Dice of whole validation volumes on their prepared grid: of each label or region, and over these."""
    from mrilib.evaluation.metrics import overlap
    from mrilib.inference import segment

    known = dict.fromkeys(str(v) for v in record["values"][1:]) if not record["regions"] else record["regions"]
    parts = {name: tuple(numbers or (int(name),)) for name, numbers in known.items()}
    found: dict[str, list[float]] = {name: [] for name in parts}
    values = np.array(record["values"], np.uint8)
    for volume in volumes:
        array = np.asarray(volume.image(), np.float32)
        predicted = segment.decode(segment.probabilities([model], record, array), record)
        for name, four in overlap.counts(predicted, values[volume.label()], parts).items():
            found[name].append(float(overlap.dice(*four[:3])))
    means = {f"validation_dice_{name}": float(np.mean(each)) for name, each in found.items()}
    return {"validation_dice": float(np.mean(list(means.values()))), **means}


def validation_seconds(model, record: dict, volumes: Sequence[Volume]) -> float:
    """About how long whole_volumes() takes: as long for each voxel as for those of the smallest volume."""
    from mrilib.inference import segment

    small = min(volumes, key=lambda v: np.prod(v.size))
    first = [max(0, (n - w) // 2) for n, w in zip(small.size, segment.window_of(record), strict=True)]
    middle = tuple(slice(a, a + w) for a, w in zip(first, segment.window_of(record), strict=True))
    segment.probabilities([model], record, np.asarray(small.image()[middle], np.float32))  # the first time is slower
    began = time.monotonic()
    whole_volumes(model, record, [small])
    return (time.monotonic() - began) * float(sum(np.prod(v.size) for v in volumes) / np.prod(small.size))


def tune_postprocess(model, record: dict, volumes: Sequence[Volume]) -> tuple[dict, list[str]]:
    """The post-processing that helps on whole validation volumes: settings for the record, and a line for each."""
    from mrilib.inference import segment, tune

    values = np.array(record["values"], np.uint8)
    return tune.tune(((segment.probabilities([model], record, np.asarray(v.image(), np.float32)), values[v.label()],
                       v.spacing) for v in volumes), record)  # fmt: skip


def class_weights(settings: SegmentSettings, data: Data, table: np.ndarray, regions) -> list[float] | None:
    """The weight of each output, or None. balanced: one over the square root of its voxels, 1 on average (a plain
    inverse would make a tumour of 0.5 % weigh 200 times) and for what no training case has. Raises UsageError for
    names that are not the outputs'."""
    wanted = settings.class_weights
    if wanted in ("none", None):
        return None
    if wanted == "balanced":
        counted = [sum(v.counts.get(i, 0) for v in data.of("train")) for i in range(len(data.values))]
        voxels = np.array(counted, float) @ table
        each = 1 / np.sqrt(np.maximum(voxels, 1))
        return np.where(voxels, each / each[voxels > 0].mean(), 1).tolist() if voxels.any() else [1.0] * len(voxels)
    names = output_names(data, regions)
    check_class_weights(wanted, names, "outputs")
    return [float(wanted[name]) for name in names]


def pixel_range(volumes: Sequence[Volume]) -> tuple[float, float]:
    """The values of the training images that become -1 and 1: PIXELS percentiles of voxels that are not air."""
    values = []
    for volume in volumes:
        array = volume.image().reshape(-1, len(volume.channels))
        some = np.asarray(array[:: max(1, len(array) // SAMPLE)], np.float32)
        values.append(some[(some > volume.air).any(-1)].ravel())
    low, high = np.percentile(np.concatenate(values), PIXELS)
    if not high > low:
        raise UsageError("all training images are empty: every voxel has one value")
    return float(low), float(high)


def counts(data: Data, part: str) -> dict[str, int]:
    """How many cases of a part hold each label."""
    volumes = data.of(part)
    return {data.scheme.labels.get(value, str(value)): sum(i in v.counts for v in volumes)
            for i, value in enumerate(data.values) if i}  # fmt: skip
