"""What one case holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrilib import duplicates
from mrilib.cases import PICTURES, Case, suffix_of
from mrilib.errors import CaseError
from mrilib.images.grid import Grid
from mrilib.images.io import files
from mrilib.store import csv_text


@dataclass(frozen=True)
class Facts:
    """What one case holds.

    size: voxels in x,y[,z] order. spacing: mm, the same order; empty for a picture or stack with pixels of 1 mm, which
    is what a picture has that does not state them. stored_as: the type of its values. low, median, high: of the
    values. labels: number of the label map -> voxels, the background too. orientation: where x, y and z point.
    own_grids: the grid of each channel where they differ; size and the like are then of the first. fingerprint: what
    copies are recognised by, None where it was not asked for.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    stored_as: str
    channels: tuple[str, ...]
    low: float
    median: float
    high: float
    labels: dict[int, int]
    orientation: str
    own_grids: tuple[str, ...]
    fingerprint: duplicates.Fingerprint | None

    @property
    def voxel(self) -> float | None:
        """The size of a voxel in mm3, of a pixel in mm2; None where it is not stated."""
        return float(np.prod(self.spacing)) if self.spacing else None


def facts_of(case: Case, copies: bool = True) -> Facts:
    """Read a case and note what it holds. copies: take its fingerprint, too.

    Raises CaseError for a damaged file, NaN, and label numbers that the scheme of the label map lacks.
    """
    images = files.read_channels(case)
    first = image = next(iter(images.values()))
    own_grids: list[str] = []
    if all(one.grid.same_as(first.grid) for one in images.values()):
        image = files.stacked(images, case.path)
        array = image.by_channel()
    else:
        own_grids = [_grid_text(name, one.grid) for name, one in images.items()]
        array = np.concatenate([one.array.ravel() for one in images.values()])
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CaseError("holds NaN or infinite values", where=case.path, remedy="mend the file it comes from")
    labels: dict[int, int] = {}
    if (label := files.read_label(case, None if own_grids else image.grid)) is not None:
        counts = np.bincount(label.array.ravel(), minlength=256)
        labels = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    channels = tuple(images) if own_grids else image.channels or tuple(case.channels)
    spacing = image.grid.spacing[::-1]
    is_picture = suffix_of(case.image_files[0]) in PICTURES
    if is_picture and set(spacing) == {1.0}:
        spacing = ()
    fingerprint = duplicates.fingerprint(case, first) if copies else None
    return Facts(image.grid.size[::-1], spacing, array.dtype.name, channels, *low_median_high(array), labels,
                 "" if is_picture else orientation(image.grid), tuple(own_grids), fingerprint)


def low_median_high(array: np.ndarray) -> tuple[float, float, float]:
    """The least, the median and the greatest value."""
    if array.dtype == np.uint8 and array.size:
        from PIL import Image as Picture

        counts = np.cumsum(Picture.fromarray(np.ascontiguousarray(array).reshape(-1, 1)).histogram())  # one fast pass
        low, one, other, high = np.searchsorted(counts, [1, (array.size + 1) // 2, array.size // 2 + 1, array.size])
        return float(low), (int(one) + int(other)) / 2, float(high)
    return float(array.min()), float(np.median(array)), float(array.max())


def orientation(grid: Grid) -> str:
    """Where the axes x, y, z of a volume point, as letters of Left, Right, Anterior, Posterior, Superior, Inferior,
    and how far the most oblique of them is turned from that; empty for a 2D grid.
    """
    if grid.dimension != 3:
        return ""
    axes = np.asarray(grid.direction)[::-1, ::-1]  # columns: x, y, z; rows: to left, posterior, superior
    nearest = np.abs(axes).argmax(0)
    letters = "".join(("LPS" if axes[row, i] > 0 else "RAI")[row] for i, row in enumerate(nearest))
    turn = np.degrees(np.arccos(np.clip(np.abs(axes).max(0), 0, 1))).max()
    return f"{letters} oblique by {turn:.0f} degrees" if turn >= 0.5 else letters


def _grid_text(name: str, grid: Grid) -> str:
    size, spacing = (" x ".join(f"{v:.3g}" for v in values[::-1]) for values in (grid.size, grid.spacing))
    return f"{name} {size} of {spacing} mm {orientation(grid)}".rstrip()


def rows(cases: list[Case], facts: list[Facts]) -> list[dict]:
    """What each case holds, as plain values."""
    return [{"case": case.id, "subject": case.subject, "class": case.class_name, "part": case.part,
             "layout": case.layout, "size": list(one.size), "spacing": list(one.spacing),
             "orientation": one.orientation, "type": one.stored_as, "channels": list(one.channels), "low": one.low,
             "median": one.median, "high": one.high, "scheme": case.scheme, "labels": one.labels,
             "boxes": len(case.boxes)}
            for case, one in zip(cases, facts, strict=True)]  # fmt: skip


def table(cases: list[Case], facts: list[Facts]) -> str:
    """What each case holds, as CSV."""
    lines = rows(cases, facts)
    return csv_text([lines[0] if lines else ["case"], *([_cell(value) for value in line.values()] for line in lines)])


def _cell(value) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}:{count}" for key, count in value.items())
    if isinstance(value, list):
        return " ".join(_cell(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
