"""Label maps: a network that gives each voxel a label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrilib.errors import UsageError
from mrilib.tasks.task import Task, named, note

if TYPE_CHECKING:
    from mrilib.inference.settings import MapPredictSettings
    from mrilib.training.network import Network
    from mrilib.training.segment_settings import SegmentSettings

MEMORY_SHARE = 0.25  # of the machine's memory that planning counts on by default
GIB = 1 << 30
SUPERVISION = 0.5  # weight of a coarser output, relative to the next finer one


class Segment(Task):
    """Find structures, such as a tumour and its parts, in images or volumes."""

    name = "segment"
    title = "label maps"
    settings = named("mrilib.training.segment_settings:SegmentSettings")
    prediction = named("mrilib.inference.settings:MapPredictSettings")
    predictor = "mrilib.inference.maps:MapPredictor"
    record = "mrilib.models.record:MapRecord"
    monitor = headline = "validation_dice"
    higher_is_better = True
    remedy = "a smaller --batch-size, --patch or --width"
    judged = "mean Dice of each case"
    space = ("loss=dice+ce,dice+focal,ce", "learning-rate=3e-4:1e-2:log", "augment=light,medium,heavy",
             "sampling=foreground,uniform")
    scorer = "mrilib.evaluation.maps:MapScorer"
    scoring = named("mrilib.evaluation.settings:MapSettings")

    def predictor_of(self, settings: MapPredictSettings) -> str:
        return "mrilib.inference.map_boxes:MapBoxPredictor" if settings.boxes else self.predictor

    def misfit(self, cases: Sequence) -> UsageError | None:
        if any(case.label is not None for case in cases):
            return None
        return UsageError("no case has a label map", remedy="put label maps beside the images; mri-inspect shows what "
                          "is found")

    def has_reference(self, case) -> bool:
        return case.label is not None

    def complete(self, given: SegmentSettings, *, validated: bool, cases: Sequence) -> SegmentSettings:
        from mrilib.training import segment_settings

        return segment_settings.complete(given, validated=validated)

    def needs_validation(self, settings: SegmentSettings) -> bool:
        return super().needs_validation(settings) or settings.tune_postprocess

    def in_float32(self, settings: SegmentSettings) -> bool:
        return super().in_float32(settings) and settings.weights is None

    def load(self, cases: Sequence, others: Sequence, settings: SegmentSettings, context):
        from mrilib.training.prepared import Prepared

        return Prepared(cases, others, settings, cache=settings.cache or context.cache, jobs=context.jobs,
                        progress=context.progress, fail=context.fail)  # fmt: skip

    def plan(self, settings: SegmentSettings, data, setup) -> SegmentSettings:
        from mrilib.training import plan

        planned = plan.complete(settings, [v.size for v in data.of("train")], data.spacing,
                                memory=(settings.memory or _memory()) * GIB, gpu=setup.device != "cpu")
        note("plan: %s", plan.describe(planned, data.spacing))
        return planned

    def network(self, data, settings: SegmentSettings) -> Network:
        from mrilib.models import unet
        from mrilib.models.logits import with_logits
        from mrilib.training import segment
        from mrilib.training.network import Network

        s, train = settings, data.of("train")
        wanted = segment.targets(data.scheme, s)
        loss = segment.loss(s, wanted, segment.class_weights(s, data, wanted))
        low, high = segment.pixel_range(train) if s.backbone else (None, None)
        shape = (*s.patch, len(data.channels) * (2 * s.context + 1))
        model = segment.build(s, shape, wanted.outputs, data.spacing, wanted.regions is None, low, high)
        kept, model = unet.without_supervision(model), with_logits(model)
        spacing = data.known_spacing
        record = {
            "dimension": s.dimension, "context": s.context, "patch": list(s.patch),
            "spacing": spacing and list(spacing), "scheme": str(data.scheme) if data.scheme.name else "",
            "values": list(data.values), "regions": wanted.regions, "paint": wanted.paint, "postprocess": {},
            "architecture": {"backbone": s.backbone, "width": s.width, "levels": s.levels, "depth": s.depth,
                             "stem": s.stem, "residual": s.residual, "norm": s.norm, "low": low, "high": high},
        }  # fmt: skip
        outputs = len(model.outputs)
        if outputs == 1:
            return Network(model, kept, loss, record)
        each = [SUPERVISION**i for i in range(outputs)]
        return Network(model, kept, [loss] * outputs, record, [weight / sum(each) for weight in each])

    def batches(self, data, settings: SegmentSettings, setup, network: Network):
        from mrilib.training import segment
        from mrilib.training.augment import augmenter
        from mrilib.training.patches import Patches

        shapes = [tuple(output.shape[1:-1]) for output in network.model.outputs]
        return Patches(data.of("train"), settings, segment.targets(data.scheme, settings), shapes,
                       augmenter(settings.augment, len(data.channels)), threads=max(1, setup.threads))

    def validation(self, network: Network, data, settings: SegmentSettings):
        from mrilib.models.record import MapRecord
        from mrilib.training import segment
        from mrilib.training.fit import Validation

        volumes = data.of("validation")
        if not volumes:
            return None
        record = MapRecord.from_dict({"task": self.name, "channels": data.channels, "recipe": {}, **network.record})
        seconds = segment.validation_seconds(network.kept, record, volumes) if settings.budget else 0.0
        return Validation(lambda: segment.whole_volumes(network.kept, record, volumes), self.monitor,
                          self.higher_is_better, seconds, passes=2 if settings.tune_postprocess else 1)

    def judge(self, network, record: dict, data, settings: SegmentSettings) -> dict[str, float]:
        from mrilib.models.record import MapRecord
        from mrilib.training.segment import dice_of

        typed = MapRecord.from_dict(record)
        dice = {volume.id: dice_of(network, typed, volume) for volume in data.of("validation")}
        return {case: sum(each.values()) / len(each) for case, each in dice.items()}

    def metrics_text(self, metrics: dict[str, float]) -> str:
        each = ", ".join(f"{name.removeprefix('validation_dice_')} {value:.3f}" for name, value in metrics.items()
                         if name != "validation_dice")
        return f"mean Dice {metrics['validation_dice']:.3f} ({each})"

    def identity(self, data) -> dict:
        return {"scheme": str(data.scheme), "values": list(data.values)}

    def finish(self, network: Network, data, settings: SegmentSettings, record: dict) -> None:
        from mrilib.models.record import MapRecord
        from mrilib.training.segment import tune_postprocess

        if settings.tune_postprocess:
            typed = MapRecord.from_dict(record)
            record["postprocess"], lines = tune_postprocess(network.kept, typed, data.of("validation"))
            for line in lines or ["none helps on the validation cases"]:
                note("post-processing: %s", line)

    def finishing(self, settings: SegmentSettings) -> dict:
        return {"tune_postprocess": True} if settings.tune_postprocess else {}

    def describe(self, record: dict) -> list[tuple[str, str]]:
        from mrilib import labels as schemes

        scheme = schemes.scheme(record["scheme"]).labels if record.get("scheme") else {}
        values = ", ".join(f"{value} {scheme.get(value, '')}".strip() for value in record.get("values", ())[1:])
        regions = ", ".join(f"{name} ({' '.join(map(str, labels))})"
                            for name, labels in (record.get("regions") or {}).items())
        spacing = ",".join(f"{mm:g}" for mm in (record.get("spacing") or ())[::-1])
        patch = " x ".join(map(str, record.get("patch", ())[::-1])) + f" voxels in {record.get('dimension')}D"
        context = f", slices on each side: {record['context']}" if record.get("context") else ""
        postprocess = ", ".join(f"{kind} {what}" for kind, what in (record.get("postprocess") or {}).items())
        return [("labels", f"{values} (scheme {record.get('scheme') or 'not known'})"), ("regions learned", regions),
                ("patch", patch + context + (f", at {spacing} mm" if spacing else "")),
                ("post-processing", postprocess)]


def _memory() -> float:
    """GiB that planning counts on: a share of the memory of the machine, not of what is free, so that a plan is the
    same every day."""
    return max(1.0, MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB)
