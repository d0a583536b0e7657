"""Learn the post-processing of a segmentation model on validation cases; keep what helps on held-out ones among them.

After nnU-Net's (Isensee et al. 2021), which keeps the largest component where that raises the mean Dice of its
cross-validation; here for each part that is scored, in turn: threshold, smallest volume of a component, largest
component only, holes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mrilib.inference.postprocess import components_of, holes_of, parts_of, scored
from mrilib.inference.segment import decode
from mrilib.models.record import MapRecord

THRESHOLDS = (0.5, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)  # the default comes first
VOLUMES = (0.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)  # mm3
FOLDS = 5
FEWEST = 4  # cases; of fewer nothing can be learned
LEAST_GAIN = 0.0005  # of mean Dice; less is not worth a setting


@dataclass(frozen=True)
class Choice:
    """The post-processing of one part."""

    threshold: float = 0.5
    min_volume: float = 0.0
    keep_largest: bool = False
    fill_holes: bool = False


CANDIDATES = {"threshold": THRESHOLDS, "min_volume": VOLUMES, "keep_largest": (False, True),
              "fill_holes": (False, True)}  # fmt: skip


@dataclass(frozen=True)
class Components:
    """The connected components of one part in one case at one threshold: volume (mm3), voxels, correct voxels; and the
    voxels, and the correct ones, that filling holes would add. true: voxels of the part in the reference."""

    volume: np.ndarray
    voxels: np.ndarray
    right: np.ndarray
    hole: np.ndarray
    hole_right: np.ndarray
    true: int

    def dice(self, choice: Choice) -> float:
        """Of the part after the choice; both empty 1, one empty 0."""
        keep = self.volume >= choice.min_volume
        if choice.keep_largest and len(keep):
            keep &= np.arange(len(keep)) == self.volume.argmax()
        right, predicted = self.right[keep].sum(), self.voxels[keep].sum()
        if choice.fill_holes:
            right, predicted = right + self.hole_right[keep].sum(), predicted + self.hole[keep].sum()
        return 2 * float(right) / float(predicted + self.true) if predicted + self.true else 1.0


@dataclass
class Tuning:
    """Takes validation cases one by one, keeping their components and not their voxels, then gives settings."""

    record: MapRecord
    cases: list[dict[str, dict[float, Components]]] = field(default_factory=list)

    def add(self, probabilities: np.ndarray, reference: np.ndarray, spacing: Sequence[float]) -> None:
        """One case: probabilities (z, y, x, k) as the model gives them, its true label map (z, y, x) in the
        model's numbers, and the spacing (mm) of both."""
        parts = parts_of(self.record)
        plain = decode(probabilities, replace(self.record, postprocess={}))
        by_part = {}
        for name in scored(self.record):
            inside = np.isin(reference, parts[name])
            by_part[name] = {t: components(self._mask(name, t, probabilities, plain, parts), inside, spacing)
                             for t in self._thresholds()}  # fmt: skip
        self.cases.append(by_part)

    def _thresholds(self) -> tuple[float, ...]:
        """Those that can be tried: of regions, and of one label against the background."""
        return THRESHOLDS if self.record.regions or len(self.record.values) == 2 else THRESHOLDS[:1]

    def _mask(self, name: str, threshold: float, probabilities, plain, parts) -> np.ndarray:
        if threshold == THRESHOLDS[0]:
            return np.isin(plain, parts[name])
        if not self.record.regions:
            return probabilities[..., 1] > threshold
        mask = probabilities[..., list(self.record.regions).index(name)] > threshold
        for numbers in self.record.regions.values():  # what is painted as a part of a region belongs to it
            if set(numbers) < set(parts[name]):
                mask |= np.isin(plain, numbers)
        return mask

    def settings(self) -> tuple[dict, list[str]]:
        """Settings for the record's "postprocess", and a line for each that was kept: what it gains.

        Part by part and kind by kind, the value with the best mean Dice is taken, the first of equals. It is
        kept when held-out cases gain by it too: over folds, by more than one standard error.
        """
        result: dict = {}
        lines = []
        for name in scored(self.record) if len(self.cases) >= FEWEST else ():
            choice = Choice()
            for kind, values in CANDIDATES.items():
                values = self._thresholds() if kind == "threshold" else values
                value, gain = self._better(name, choice, kind, values)
                if value == values[0]:
                    continue
                choice = replace(choice, **{kind: value})
                if kind in ("threshold", "min_volume"):
                    result.setdefault(kind, {})[name] = value
                else:
                    result.setdefault(kind, []).append(name)
                lines.append(f"{name}: {kind.replace('_', ' ')}{'' if value is True else f' {value:g}'} gains "
                             f"{gain:.4f} Dice on held-out cases")
        return result, lines

    def _better(self, name: str, choice: Choice, kind: str, values: Sequence) -> tuple[object, float]:
        """The value that helps and by how much on held-out cases; the first, the default, when none does."""
        scores = np.array([[case[name][c.threshold].dice(c) for case in self.cases]
                           for c in (replace(choice, **{kind: value}) for value in values)])  # (value, case)
        count = scores.shape[1]
        gains = np.zeros(count)
        for fold in range(min(FOLDS, count)):
            out = np.arange(count) % FOLDS == fold
            chosen = scores[:, ~out].mean(1).argmax()
            gains[out] = scores[chosen, out] - scores[0, out]
        best = int(scores.mean(1).argmax())
        gain, error = gains.mean(), gains.std(ddof=1) / np.sqrt(count)
        return (values[best], float(gain)) if gain > max(error, LEAST_GAIN) else (values[0], 0.0)


def components(mask: np.ndarray, reference: np.ndarray, spacing: Sequence[float]) -> Components:
    """The connected components of a mask, (z, y, x) bool, against the reference."""
    from scipy import ndimage

    numbers, voxels = components_of(mask)
    right = np.bincount(numbers[reference], minlength=len(voxels))
    hole, hole_right = np.zeros_like(voxels), np.zeros_like(voxels)
    for i, box in enumerate(ndimage.find_objects(numbers), 1):
        if voxels[i] < 3 ** mask.ndim - 1 and mask.shape[0] > 1 or box is None:
            continue  # too small to hold anything
        alone = numbers[box] == i
        inside = holes_of(alone)
        hole[i], hole_right[i] = inside.sum(), (inside & reference[box]).sum()
    voxel = float(np.prod(spacing))
    return Components(voxels[1:] * voxel, voxels[1:], right[1:], hole[1:], hole_right[1:], int(reference.sum()))


def tune(cases, record: MapRecord) -> tuple[dict, list[str]]:
    """Tuning over (probabilities, reference, spacing) of each case: (settings, a line for each that was kept)."""
    tuning = Tuning(record)
    for case in cases:
        tuning.add(*case)
    return tuning.settings()
