"""A table of boxes, of images or of volumes: what the predictors of boxes share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mrilib.errors import CaseError
from mrilib.evaluation.metrics.boxes import corners

OF_IMAGES = ("x0", "y0", "x1", "y1", "class", "score")
OF_VOLUMES = ("x0", "y0", "z0", "x1", "y1", "z1", "class", "score")


class BoxTable:
    """A predictor whose results are rows of boxes. volumes: whether they are of volumes, None before the first case."""

    volumes: bool | None = None

    @property
    def columns(self) -> list[str]:
        return list(OF_VOLUMES if self.volumes else OF_IMAGES)

    def rows(self, case, dimension: int, boxes: Iterable[Sequence], seen: str) -> list[dict]:
        """The rows of a case: one for each box, or one without numbers. dimension: of the case's image. boxes: (x0, y0,
        x1, y1, class, score[, z0, z1]). Raises CaseError for a volume after images, and the other way round."""
        if self.volumes is None:
            self.volumes = dimension == 3
        if self.volumes != (dimension == 3):
            raise CaseError("is an image, the cases before it are volumes" if self.volumes else
                            "is a volume, the cases before it are images", where=case.path,
                            remedy="predict them one after the other: a table holds one kind")
        rows = [(*(round(float(side), 2) for side in corners([box])[0]), box[4], round(float(box[5]), 6))
                for box in boxes] or [("",) * len(self.columns)]
        return [{"case": case.id, **dict(zip(self.columns, row, strict=True)), "seen": seen} for row in rows]
