"""Metrics lesion by lesion, as the organisers of BraTS define them from 2023 on.

Lesions of the reference that touch once dilated are one lesion. A component of the prediction belongs to every lesion
whose dilation it touches; the components of one lesion are compared with it together. Lesions of at most `min_volume`
are left out. A component of any size that touches no lesion is made up, with Dice 0 and the penalty as distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrilib.evaluation.metrics import surface
from mrilib.images.steps.foreground import box_of

RANKS = {26: 3, 18: 2, 6: 1}  # neighbours in space -> how many axes of a step may change


@dataclass(frozen=True)
class Settings:
    """dilation: voxels. connectivity: 26, 18 or 6 neighbours make one component (8, 8 or 4 in a picture).
    min_volume: mm3 (in 2D mm2), lesions up to it are left out. penalty: mm, the distance of what has no counterpart.
    The defaults are those of adult glioma (BraTS-GLI 2023)."""

    dilation: int = 3
    connectivity: int = 26
    min_volume: float = 50.0
    penalty: float = 374.0


def lesion_wise(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float],
                settings: Settings = Settings(), whole: float | None = None) -> dict[str, float]:
    """lesion_dice, lesion_hd95 (mm), lesion_f1 and the numbers of lesions found, missed and made up.

    prediction, reference: uint8 masks of 0 and 1, (z, y, x) or (y, x), of one shape. whole: their directed hd95 if
    already measured, which a single lesion then takes. With no lesion on either side the Dice is 1, the distance 0 and
    F1 1. F1 is 2 found / (2 found + missed + made up).
    """
    from scipy.ndimage import generate_binary_structure, label

    box = box_of(prediction, reference)
    pad = settings.dilation
    prediction, reference = (np.pad(mask[box], pad).astype(bool) for mask in (prediction, reference))
    joined = generate_binary_structure(reference.ndim, min(RANKS[settings.connectivity], reference.ndim))
    wide, lesions = label(dilated(reference, settings.dilation), joined)
    component, components = label(prediction, joined)
    voxel = float(np.prod(spacing))
    touching = _table(wide, component, prediction, lesions, components)[1:, 1:] > 0
    shared = _table(wide, component, reference & prediction, lesions, components)[1:, 1:]
    sizes = np.bincount(wide[reference], minlength=lesions + 1)[1:]
    volumes = np.bincount(component[prediction], minlength=components + 1)[1:]
    made_up = int((~touching.any(0)).sum())
    counted = [i for i in range(lesions) if sizes[i] * voxel > settings.min_volume]
    dices, distances = [], []
    for i in counted:
        touched = touching[i]
        dices.append(2 * float(shared[i, touched].sum()) / float(sizes[i] + volumes[touched].sum()))
        if not touched.any():
            distances.append(settings.penalty)
        elif whole is not None and lesions == 1 and touched.all():
            distances.append(whole)
        else:
            mask, lesion = np.isin(component, np.flatnonzero(touched) + 1), (wide == i + 1) & reference
            near = box_of(mask, lesion)
            apart = surface.between(mask[near].astype(np.uint8), lesion[near].astype(np.uint8), spacing)
            distances.append(surface.percentile(apart, 95))
    detected = sum(bool(touching[i].any()) for i in counted)
    number = len(counted) + made_up
    return {
        "lesion_dice": sum(dices) / number if number else 1.0,
        "lesion_hd95": (sum(distances) + settings.penalty * made_up) / number if number else 0.0,
        "lesion_f1": 2 * detected / (detected + number) if number else 1.0,
        "lesions_found": float(detected),
        "lesions_missed": float(len(counted) - detected),
        "lesions_made_up": float(made_up),
    }


def _table(wide: np.ndarray, component: np.ndarray, where: np.ndarray, lesions: int, components: int) -> np.ndarray:
    """Voxels by (lesion, component) where a mask is True: (lesions + 1, components + 1)."""
    both = wide[where].astype(np.int64) * (components + 1) + component[where]
    return np.bincount(both, minlength=(lesions + 1) * (components + 1)).reshape(lesions + 1, components + 1)


def dilated(mask: np.ndarray, times: int) -> np.ndarray:
    """A bool mask dilated `times` times by its neighbours across faces and edges (18; in 2D, 4).

    The same as scipy's binary_dilation in a quarter of the time.
    """
    for _ in range(times):
        grown = mask.copy()
        if mask.ndim == 2:
            for axis in (0, 1):
                _spread(mask, grown, axis)
        else:
            along = mask.copy()
            _spread(mask, along, 2)
            grown |= along
            _spread(along, grown, 1)
            _spread(along, grown, 0)
            across = mask.copy()
            _spread(mask, across, 1)
            _spread(across, grown, 0)
        mask = grown
    return mask


def _spread(mask: np.ndarray, onto: np.ndarray, axis: int) -> None:
    """Add a mask, moved by one voxel either way along an axis, to another."""
    ahead = (*(slice(None),) * axis, slice(1, None))
    behind = (*(slice(None),) * axis, slice(None, -1))
    onto[ahead] |= mask[behind]
    onto[behind] |= mask[ahead]
