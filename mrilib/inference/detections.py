"""Prediction of boxes: a row of a table for each, in pixels of the native grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mrilib import store, targets
from mrilib.errors import CaseError, UsageError
from mrilib.images.boxes import yolo_line
from mrilib.inference import boxes, ensemble, slices
from mrilib.inference.box_table import BoxTable
from mrilib.inference.heat import on_native, overlay, write_overlay
from mrilib.inference.predictor import Predictor
from mrilib.inference.prepare import Prepared
from mrilib.models.record import ModelRecord
from mrilib.recipe import moved_boxes

FOLDER = Path("predictions")  # of texts
BATCH = 4  # images: a batch is filled up, so that a single image waits for the others of its batch
AXES = {"x": 2, "y": 1}  # of a batch


class BoxPredictor(BoxTable, Predictor):
    """A table of boxes: several rows of a case, or one without numbers where a case has no box. With the format yolo a
    text for each case. A volume goes through slice by slice."""

    worker = "mrilib.inference.slices:prepare"

    def __init__(self, task, models, settings, out=None):
        self.settings = settings
        super().__init__(task, models, settings, out)
        if settings.format == "yolo":
            self.folder = out or FOLDER
            targets.check_folder(self.folder)
        if settings.explain is not None:
            targets.check_folder(settings.explain)
        if settings.json and settings.format != "csv":
            raise UsageError(f"--json has no effect with --format {settings.format}", remedy="leave it out")
        self.axes = mirrors(settings)
        least = min(record.min_score for record in models.records.values())
        self.least = least if settings.min_score is None else settings.min_score

    @property
    def batch_size(self) -> int:
        return self.settings.batch_size or BATCH

    @property
    def gives_table(self) -> bool:
        return self.settings.format != "yolo"

    @property
    def as_list(self) -> bool:
        return self.settings.json or self.settings.format == "coco"

    @property
    def folders(self) -> list[Path]:
        return [*super().folders, *([self.settings.explain] if self.settings.explain is not None else [])]

    def arguments(self, case, steps: tuple, others: tuple) -> tuple:
        *first, _, check, others = super().arguments(case, steps, others)
        return *first, self.settings.explain is not None, check, others

    def as_json(self, row: dict) -> list[dict]:
        if self.settings.json:
            return super().as_json(row)
        if row["x0"] == "":
            return []
        names = self.models.record.classes
        x0, y0, x1, y1 = (row[side] for side in ("x0", "y0", "x1", "y1"))
        kind = {"category_id": names.index(row["class"]) + 1, "category_name": row["class"]} if names else {
            "category_id": 1}
        return [{"image_id": row["case"], **kind,
                 "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)], "score": row["score"]}]

    def check(self, network, record: ModelRecord, name: object) -> None:
        ensemble.check_shapes(network, tuple(record.shape), self.task.outputs(record), name)

    def forward(self, prepared: Sequence[Prepared]) -> list:
        """Of each case, for its image or each slice: (boxes (n, 6) in pixels of the prepared image, surest first; the
        scores (y, x) of each model's cells)."""
        groups = [slices.images_of(one) for one in prepared]
        results = iter(self._results([image for group in groups for image in group]))
        return [[next(results) for _ in group] for group in groups]

    def _results(self, images: Sequence[Prepared]) -> list[tuple]:
        """(boxes, scores of each model's cells) of each image, batch by batch."""
        networks, records = self.models.build(self), list(self.models.records.values())
        results: list = []
        for first in range(0, len(images), self.batch_size):
            some = images[first : first + self.batch_size]
            cells = [self._cells(network, record, [ensemble.of_model(one.array, place) for one in some])
                     for place, (network, record) in enumerate(zip(networks, records, strict=True))]
            results += [self._joined(one, records) for one in zip(*cells, strict=True)]
        return results

    def _joined(self, values: Sequence[np.ndarray], records: Sequence) -> tuple[np.ndarray, list[np.ndarray]]:
        """The boxes and the scores of one case from what each model gave for its cells."""
        s, floor = self.settings, min(boxes.FLOOR, self.least or boxes.FLOOR)
        lists = [boxes.suppress(boxes.decode(one, record.shape, record.stride, floor), s.nms_overlap, s.soft_nms, floor)
                 for one, record in zip(values, records, strict=True)]
        maps = [boxes.scores(one, record.shape, record.stride) for one, record in zip(values, records, strict=True)]
        return lists[0] if len(lists) == 1 else boxes.fuse(lists, s.nms_overlap), maps

    def _cells(self, network, record, arrays: list[np.ndarray]) -> np.ndarray:
        """What a model gives for each cell of some images, the mean over mirror images."""
        batch = np.zeros((self.batch_size, *arrays[0].shape), np.float32)
        batch[: len(arrays)] = arrays
        total = ensemble.run(network, batch)
        for axes in self.axes:
            flipped = ensemble.run(network, np.ascontiguousarray(np.flip(batch, axes)))
            for axis in axes:
                flipped = boxes.mirrored(flipped, record.shape, record.stride, axis)
            total = total + flipped
        values = total[: len(arrays)] / (1 + len(self.axes))
        if not np.isfinite(values).all():
            raise CaseError("the model gives no number for it")
        return values

    def write(self, case, prepared: Prepared, values) -> list[dict] | Path:
        seen = self.models.seen.get(prepared.content, "")
        if isinstance(prepared, slices.PreparedSlices):
            return self.rows(case, 3, self._of_volume(case, prepared, values), seen)
        found, maps = values[0]
        if self.settings.explain is not None:
            self._explain(case, prepared, maps)
        kept = [box.tolist() for box in found if box[5] >= self.least]
        native = moved_boxes(kept, prepared.grid, prepared.native_grid)
        if not self.gives_table:
            height, width = prepared.native_grid.size
            path = self.folder / f"{case.id}.txt"
            store.write_text(path, "".join(yolo_line(box[:5], width, height, box[5]) for box in native))
            return path
        return self.rows(case, 2, self._named(native), seen)

    def _named(self, boxes: Iterable[Sequence]) -> list[tuple]:
        """Boxes with the name of their class in place of its number."""
        names = self.models.record.classes or [""]
        return [(*box[:4], names[int(box[4])], *box[5:]) for box in boxes]

    def _of_volume(self, case, prepared: slices.PreparedSlices, values: Sequence) -> list[tuple]:
        """The boxes of a volume in voxels of its native grid. Raises CaseError for what images alone can have."""
        if self.settings.format != "csv" or self.settings.explain is not None:
            option = "--explain" if self.settings.explain is not None else f"--format {self.settings.format}"
            raise CaseError(f"is a volume, and {option} is for images", where=case.path, remedy="leave it out")
        each = []
        for (place, image), (found, _) in zip(prepared.slices, values, strict=True):
            kept = [box.tolist() for box in found if box[5] >= self.least]
            each.append((place, moved_boxes(kept, image.grid, image.native_grid)))
        return self._named(moved_boxes(slices.joined(each), prepared.grid, prepared.native_grid))

    def _explain(self, case, prepared: Prepared, maps: Sequence[np.ndarray]) -> None:
        heat = np.mean([on_native(one, prepared.grid, prepared.native_grid) for one in maps], 0)
        write_overlay(self.settings.explain / f"{case.id}.png", overlay(prepared.native, heat))


def mirrors(settings) -> list[tuple[int, ...]]:
    """The axes of a batch to mirror along together, for each further pass. Raises UsageError for axes that an image
    lacks, or without effect."""
    axes = settings.flip_axes
    if axes is not None and not settings.flips:
        raise UsageError("--flip-axes has no effect with --no-flips")
    if not settings.flips:
        return []
    if axes is not None and (not axes or len(set(axes)) < len(axes) or set(axes) - set(AXES)):
        raise UsageError(f"--flip-axes {axes}: an image has the axes x and y", remedy="x, y or xy")
    places = [AXES[axis] for axis in axes or "x"]
    return [tuple(place for i, place in enumerate(places) if code >> i & 1) for code in range(1, 1 << len(places))]
