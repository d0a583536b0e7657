"""Prediction of boxes by a segmentation model: a table of those around the components of its label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.boxes import components
from mrilib.inference import native
from mrilib.inference.box_table import BoxTable
from mrilib.inference.maps import MapPredictor
from mrilib.inference.models import Models
from mrilib.inference.predictions import label_map_of
from mrilib.inference.prepare import Prepared
from mrilib.inference.settings import MapPredictSettings

OF_FILES = ("suffix", "scheme", "probabilities", "force")  # settings of label maps as files


class MapBoxPredictor(BoxTable, MapPredictor):
    """A table of boxes, several rows of a case, or one without numbers where its label map is empty."""

    gives_table, as_list = True, False

    def __init__(self, task, models: Models, settings: MapPredictSettings, out: Path | None = None):
        defaults = MapPredictSettings()
        for name in OF_FILES:
            if getattr(settings, name) != getattr(defaults, name):
                raise UsageError(f"--{name} has no effect with --boxes", remedy="leave it out")
        super().__init__(task, models, settings, out)
        self.folder = None

    @property
    def folders(self) -> list[Path]:
        return []

    def arguments(self, case, steps: tuple, others: tuple) -> tuple:
        record = self.models.record
        return case, steps, record.channels, record.spacing, not self.settings.as_is, None, others, self.spans_slices

    def write(self, case, prepared: Prepared, values: np.ndarray) -> list[dict]:
        there, settings, record = prepared.native_grid, self.settings, self.models.record
        label_map, values, wanted = label_map_of(prepared, values, record, self.identity.postprocess)
        boxes = []
        if label_map.any():
            sure = foreground(list(native.each_output(values, prepared.grid, there, wanted)), bool(record.regions))
            boxes = [(*sides[:4], "", sure[voxels].mean(), *sides[4:])
                     for sides, voxels in components(label_map, there.spacing, settings.merge, settings.smallest)]
        return self.rows(case, there.dimension, sorted(boxes, key=lambda box: -box[5]),
                         self.models.seen.get(prepared.content, ""))


def foreground(outputs: Sequence[np.ndarray], regions: bool) -> np.ndarray:
    """The probability of any label, ([z,] y, x), of regions, or of labels with the background first."""
    return np.max(outputs, 0) if regions else 1 - outputs[0]
