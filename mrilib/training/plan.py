"""The geometry of a segmentation network, planned from the data and the memory, where it is not given.

After nnU-Net's fingerprint (Isensee et al. 2021): spacing is the median, the patch as much of the median volume as
memory allows, its levels as many as leave 4 voxels or more, axes that are three times coarser halved later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrilib.errors import UsageError
from mrilib.training.segment_settings import SegmentSettings

COARSE = 3.0  # an axis this many times coarser than the finest makes a volume anisotropic
SMALLEST = 4  # voxels along an axis at the coarsest level, at least
THIN = 24  # a volume with fewer voxels along an axis is worked on slice by slice
LARGEST_PATCH = {2: 320, 3: 128}  # voxels along an axis, at most
BATCH = {2: 8, 3: 2}
FEW = 8  # training cases: batch statistics of fewer heads do not transfer (docs/experiments/segmentation.md)
CONTEXT = 1  # neighbouring slices each side that a 2D network sees of a volume
LARGEST_CPU_PATCH = 300_000  # voxels of a 3D patch on a CPU, at most: more would leave too few steps
LEVELS = {2: 6, 3: 5}
ACTIVATIONS = 14  # float32 values that a training step keeps for each voxel and filter of the first level (measured)


def spacing_of(spacings: Sequence[tuple[float, ...]], stated: bool = True) -> tuple[float, ...] | None:
    """The spacing (mm, array order) that all cases are to be brought to, or None when they agree within 1 %.

    stated: False where the spacing is not known (slice stacks), which cannot differ then.
    """
    every = np.asarray(spacings, float)
    if not stated or (np.abs(every / np.median(every, 0) - 1) < 0.01).all():
        return None
    return tuple(float(v) for v in np.round(np.median(every, 0), 4))


def complete(settings: SegmentSettings, sizes: Sequence[tuple[int, ...]], spacing: Sequence[float], *, memory: float,
             gpu: bool) -> SegmentSettings:  # fmt: skip
    """The settings with dimension, patch, levels, stem, depth, width, norm and batch filled in.

    sizes: (z, y, x) of the prepared training volumes, z = 1 for pictures. spacing: mm, (z, y, x), of all of them.
    memory: bytes that a training step may take. gpu: a GPU: 32 filters at the first level, and 3D where it fits.
    Raises UsageError for a patch that does not fit the network.
    """
    middle = np.median(np.asarray(sizes), 0)
    dimension = settings.dimension or _dimension(settings, middle, spacing, gpu)
    if dimension == 3 and middle[0] < SMALLEST * 2:
        raise UsageError(f"volumes of {middle[0]:g} slices are too thin for a 3D network", remedy="--dimension 2")
    stem = settings.stem or (2 if dimension == 2 and not gpu and settings.backbone is None else 1)
    width = settings.width or (1.0 if settings.backbone else 32 if gpu else 16)
    batch_norm = settings.backbone is not None or dimension == 2 and len(sizes) >= FEW
    norm = settings.norm or ("batch" if batch_norm else "instance")
    most = settings.levels or LEVELS[dimension] - (stem > 1)
    batch = settings.batch_size or BATCH[dimension]
    stated = settings.patch
    if stated and len(stated) == 1:
        stated *= dimension
    side, mm = middle[-dimension:], np.asarray(spacing, float)[-dimension:]
    room = memory / batch / (ACTIVATIONS * 4 * max(width, 8)) * stem**dimension
    if dimension == 3 and not gpu:
        room = min(room, LARGEST_CPU_PATCH)
    for levels in range(most, 1, -1):  # as many as there is room for, unless they are given
        patch = stated or _patch(side, mm, dimension, levels, stem, settings, room)
        if settings.levels or settings.backbone or all(max(s) > 1 for s in _strides(patch, mm, levels, stem)):
            break
    if settings.backbone is None:
        strides_of(patch, mm, levels, stem)
    context = settings.context
    if context is None:
        context = CONTEXT if dimension == 2 and middle[0] > 2 * CONTEXT else 0
    return replace(settings, dimension=dimension, context=context, width=width, norm=norm, batch_size=batch,
                   patch=tuple(int(v) for v in patch),
                   **({} if settings.backbone else {"levels": levels, "depth": settings.depth or 2, "stem": stem}))


def _dimension(settings: SegmentSettings, middle, spacing, gpu: bool) -> int:
    """3 on a GPU for volumes of about cubic voxels and shape; on a CPU slices learn far more in the same minutes."""
    if settings.backbone is not None or settings.context or (settings.stem or 1) > 1 or not gpu:
        return 2
    thick = middle.max() / middle.min() > COARSE  # few slices for their size: their true distance may not be stated
    if middle.min() < THIN or thick or max(spacing) / min(spacing) > COARSE:
        return 2
    return 3


def _patch(side, mm, dimension: int, levels: int, stem: int, settings: SegmentSettings, voxels: float) -> list[int]:
    """The patch: about the median volume, made smaller along its longest axis (in mm) until so many voxels remain."""
    wanted = np.minimum(side, LARGEST_PATCH[dimension])
    if settings.backbone is not None:
        step = np.full(dimension, 32)
    else:
        step = np.prod(_strides(wanted, mm, levels, stem), axis=0, dtype=int) * stem
    patch = np.maximum(np.rint(wanted / step), 1) * step
    while patch.prod() > voxels and (patch > step).any():
        longest = int(np.argmax(np.where(patch > step, patch * mm, -1)))
        patch[longest] -= step[longest]
    return [int(v) for v in patch]


def _strides(size, mm, levels: int, stem: int) -> list[tuple[int, ...]]:
    """How much coarser each level is: axes are halved while they keep SMALLEST voxels and are not the coarser ones."""
    size, mm, strides = np.ceil(np.asarray(size, float) / stem), np.asarray(mm, float) * stem, []
    for _ in range(levels - 1):
        halve = (size / 2 >= SMALLEST) & (mm < COARSE * mm.min() * 0.999)
        strides.append(tuple(int(v) for v in np.where(halve, 2, 1)))
        size, mm = np.ceil(size / strides[-1]), mm * strides[-1]
    return strides


def strides_of(patch, mm, levels: int, stem: int) -> list[tuple[int, ...]]:
    """The strides of the levels of a patch (see models.unet); levels that would halve nothing are an error."""
    strides = _strides(patch, mm, levels, stem)
    if any(max(s) == 1 for s in strides):
        most = sum(max(s) > 1 for s in strides) + 1
        raise UsageError(f"a patch of {'x'.join(map(str, patch[::-1]))} voxels has no room for {levels} levels",
                         remedy=f"--levels {most}, or a larger --patch" if most > 1 else "a larger --patch")
    return strides


def describe(settings: SegmentSettings, spacing) -> str:
    """The plan in a line, sizes in x,y,z order."""
    s = settings
    net = f"{s.backbone} of width {s.width:g} as encoder" if s.backbone else (
        f"{'residual' if s.residual else 'plain'} U-Net of {s.levels} levels, {s.width:g} filters at the first, "
        f"depth {s.depth}" + f", {s.stem} times coarser than the image" * (s.stem > 1))
    context = f" with {s.context} slice{'s' * (s.context > 1)} each side" if s.context else ""
    return (f"{s.dimension}D, {net}, {s.norm} norm, patch {','.join(map(str, s.patch[::-1]))}{context} at "
            f"{','.join(f'{v:g}' for v in tuple(spacing)[::-1])} mm, batch {s.batch_size}")
