"""Alignment of channels to the grid of the first one: by their headers, or by rigid registration."""

from __future__ import annotations

import numpy as np

from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.resampling import resample
from mrilib.images.steps.geometry import spacing

METHODS = ("rigid", "headers")
STEP = 2.0  # mm: smallest voxels that registration uses
LEVELS = ((4, 4.0), (2, 2.0), (1, 1.0))  # shrinking and smoothing (mm) from coarse to fine
SHARE = 0.3  # share of the voxels that mutual information is computed from
LEAST = 2.0  # smallest voxel sides of the first channel: a corner that moves less is within the error of registration
BINS = 32


def align(image: Image, *, mask=None, method: str = "rigid") -> tuple[Image, dict]:
    """Align the channels of one image; see `together`, which takes channels on any grids."""
    if not image.has_channels:
        return image, {"moved": []}
    names = image.channels or tuple(f"c{i}" for i in range(image.array.shape[-1]))
    parts = {n: Image(np.ascontiguousarray(image.array[..., i]), image.grid) for i, n in enumerate(names)}
    result, measured = together(parts, method=method)
    return result.with_array(result.array, channels=image.channels), measured


def together(images: dict[str, Image], *, method: str = "rigid") -> tuple[Image, dict]:
    """Combine channels on grids of their own into one image on the grid of the first channel.

    method: "headers" resamples every channel at the place that its header gives. "rigid" first registers each channel
    to the first: it maximises their mutual information (Mattes 2003) over rotation and shift, and keeps the place of
    the header if the result is no better, or less than LEAST voxels away. Resampling as in resample. Measured: moved,
    for each channel but the first {"channel", "turn" (degrees), "shift" (mm)}, both 0 if it was not moved.
    Raises CaseError for NaN, empty images, and channels that differ in dimension.
    """
    if method not in METHODS:
        raise UsageError(f"unknown method of alignment {method}", remedy=f"choose from {' '.join(METHODS)}")
    (_, first), *others = images.items()
    channels, moved = [first.array], []
    for name, image in others:
        if image.grid.dimension != first.grid.dimension:
            raise CaseError(f"channel {name} has {image.grid.dimension} axes, the first {first.grid.dimension}")
        turn, shift, grid = register(first, image) if method == "rigid" else (0.0, 0.0, image.grid)
        channels.append(resample(Image(image.array, grid), first.grid).array)
        moved.append({"channel": name, "turn": round(turn, 4), "shift": round(shift, 4)})
    array = np.moveaxis(np.stack([np.asarray(c, np.float32) for c in channels]), 0, -1)
    return Image(array, first.grid, tuple(images)), {"moved": moved}


def register(fixed: Image, moving: Image) -> tuple[float, float, Grid]:
    """Register one channel rigidly to another: (rotation in degrees, shift of the centre in mm, grid of `moving`).

    Returns the unchanged grid if registration finds no better place. One thread and a fixed seed: every run gives the
    same result.
    """
    import SimpleITK as sitk

    from mrilib.images.io.itk import to_itk

    def seen(image):
        small, _ = spacing(Image(image.array.astype(np.float32), image.grid),
                           spacing=np.maximum(STEP, image.grid.spacing).tolist())
        return to_itk(small)

    still, other = seen(fixed), seen(moving)
    n = fixed.grid.dimension
    start = sitk.Euler3DTransform() if n == 3 else sitk.Euler2DTransform()
    middle = fixed.grid.to_world((np.asarray(fixed.grid.size) - 1) / 2)
    start.SetCenter(middle[::-1].tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SHARE if n == 3 else 1.0, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(learningRate=2.0, minStep=0.02, numberOfIterations=200,
                                                    relaxationFactor=0.7, gradientMagnitudeTolerance=1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([k for k, _ in LEVELS])
    method.SetSmoothingSigmasPerLevel([s for _, s in LEVELS])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetInitialTransform(start, inPlace=True)
    try:
        before = method.MetricEvaluate(still, other)
        method.Execute(still, other)
        after = method.MetricEvaluate(still, other)
    except RuntimeError as error:
        raise CaseError("cannot be registered: its channels do not overlap enough",
                        remedy="--align headers trusts the headers") from error
    turned = np.asarray(start.GetMatrix()).reshape(n, n)[::-1, ::-1]
    offset = np.asarray(start.GetTranslation())[::-1]
    angle = np.arccos(np.clip((np.trace(turned) - (n - 2)) / 2, -1, 1))
    place = (np.asarray(moving.grid.origin) - middle - offset) @ turned + middle
    grid = Grid.of(moving.grid.size, moving.grid.spacing, tuple(place), turned.T @ np.asarray(moving.grid.direction))
    corners = np.stack(np.meshgrid(*[(0, s - 1) for s in moving.grid.size], indexing="ij"), -1)
    far = np.linalg.norm(grid.to_world(corners) - moving.grid.to_world(corners), axis=-1).max()
    if not after < before or far < LEAST * min(fixed.grid.spacing):
        return 0.0, 0.0, moving.grid
    return float(np.degrees(angle)), float(np.linalg.norm(offset)), grid
