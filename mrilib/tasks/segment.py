"""Label maps: a network that gives each voxel a label."""

from __future__ import annotations

from mrilib.errors import UsageError
from mrilib.tasks.task import Task
from mrilib.training.segment_settings import SegmentSettings


class Segment(Task):
    """Find structures, such as a tumour and its parts, in images or volumes."""

    name = "segment"
    title = "label maps"
    settings = SegmentSettings

    def misfit(self, cases) -> UsageError | None:
        if any(case.label is not None for case in cases):
            return None
        return UsageError("no case has a label map", remedy="put label maps beside the images; mri-inspect shows what "
                          "is found")
