"""Label maps: a network that gives each voxel a label."""

from __future__ import annotations

from mrilib.errors import UsageError
from mrilib.tasks.task import Task, named


class Segment(Task):
    """Find structures, such as a tumour and its parts, in images or volumes."""

    name = "segment"
    title = "label maps"
    settings = named("mrilib.training.segment_settings:SegmentSettings")
    prediction = named("mrilib.inference.settings:MapPredictSettings")
    predictor = "mrilib.inference.maps:MapPredictor"
    record = "mrilib.models.record:MapRecord"
    any_geometry = True
    scorer = "mrilib.evaluation.maps:MapScorer"
    scoring = named("mrilib.evaluation.settings:MapSettings")

    def misfit(self, cases) -> UsageError | None:
        if any(case.label is not None for case in cases):
            return None
        return UsageError("no case has a label map", remedy="put label maps beside the images; mri-inspect shows what "
                          "is found")

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
