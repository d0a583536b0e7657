"""Boxes of tumours from label maps, and boxes as lines of YOLO text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrilib.cases import Case
from mrilib.errors import UsageError


@dataclass(frozen=True)
class FromLabels:
    """Read the boxes of cases from their label maps (Reading.boxes_from).

    merge: connected components at most this far apart are one box, mm. smallest: leave out boxes whose components
    cover less than this, mm2 (mm3 in volumes). Both count pixels where a picture states no spacing.
    """

    merge: float = 0.0
    smallest: float = 0.0

    def __post_init__(self):
        for name in ("merge", "smallest"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{getattr(self, name)} is below 0, or no number", where=name)

    def __call__(self, case: Case) -> Case | None:
        """The case with the boxes of its label map, each of the case's class; None for a case without a label map.
        Raises CaseError for a damaged label map."""
        from mrilib.images.io import files

        if case.label is None:
            return None
        label = files.read_label(case, None)
        boxes = of_label_map(label.array, label.grid.spacing, self.merge, self.smallest)
        named = ((*box[:4], case.class_name, *(("", *box[4:]) if len(box) > 4 else ())) for box in boxes)
        return replace(case, boxes=tuple(named))


def of_label_map(label: np.ndarray, spacing: Sequence[float] | None = None, merge: float = 0.0, smallest: float = 0.0
                 ) -> list[tuple[float, ...]]:
    """The boxes (x0, y0, x1, y1) in pixels around the connected components of a label map (y, x), labels joined; of a
    volume (z, y, x) they are (x0, y0, x1, y1, z0, z1).

    Pixels that touch at a side or a corner are connected. x1 and y1 are the ends of the last pixels: a component of one
    pixel at x = 3 reaches from 3 to 4. merge, smallest: as of FromLabels; spacing: mm, in the order of the axes, 1 by
    default. Empty for no label.
    """
    return [box for box, _ in components(label, spacing, merge, smallest)]


def components(label: np.ndarray, spacing: Sequence[float] | None = None, merge: float = 0.0, smallest: float = 0.0
               ) -> list[tuple[tuple[float, ...], np.ndarray]]:
    """The boxes of `of_label_map`, each with the pixels of its component, bool of the label map's shape."""
    from scipy import ndimage

    spacing = spacing or (1.0,) * label.ndim
    numbers, count = ndimage.label(label > 0, np.ones((3,) * label.ndim))
    numbers = _groups(numbers, count, spacing, merge)[numbers]
    sizes = np.bincount(numbers.ravel()) * float(np.prod(spacing))
    result = []
    for number, (*z, y, x) in enumerate(ndimage.find_objects(numbers), 1):
        if sizes[number] >= smallest:
            sides = (x.start, y.start, x.stop, y.stop, *(end for axis in z for end in (axis.start, axis.stop)))
            result.append((tuple(map(float, sides)), numbers == number))
    return result


def _groups(numbers: np.ndarray, count: int, spacing: Sequence[float], merge: float) -> np.ndarray:
    """The group, from 1 on, of each component, 0 first for the background. Two components are of one group where their
    nearest pixels are at most `merge` mm apart, from centre to centre."""
    from scipy import ndimage
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if count < 2 or not merge:
        return np.arange(count + 1)
    near: list[tuple[int, int]] = []
    for one in range(1, count):
        distance = ndimage.distance_transform_edt(numbers != one, sampling=spacing)
        near += [(one, int(other)) for other in np.unique(numbers[distance <= merge]) if other > one]
    rows, columns = np.array(near, int).reshape(-1, 2).T
    links = coo_matrix((np.ones(len(rows)), (rows - 1, columns - 1)), shape=(count, count))
    return np.concatenate([[0], connected_components(links, directed=False)[1] + 1])


def yolo_line(box: Sequence, width: int, height: int, *more: float) -> str:
    """`class cx cy w h`, in shares of the image's size, and further numbers, of x0 y0 x1 y1 in pixels and the number of
    the class."""
    x0, y0, x1, y1, kind = box
    numbers = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height, *more)
    return " ".join([str(int(kind)), *(f"{number:.6f}" for number in numbers)]) + "\n"
