"""Reading a DICOM series: many files, one volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image

UNEVEN = 0.02  # of the slice distance: more than a header's rounding makes
PLACE, TURN = "0020|0032", "0020|0037"  # of the first pixel, and of rows and columns


def read(paths: Sequence[Path], where: object = None) -> Image:
    """The files of one series, in order of place, as a volume (z, y, x), slope applied.

    Raises CaseError when a file is damaged or a slice is missing, turned otherwise or of another size.
    """
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(path) for path in paths])
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
        tags = [[reader.GetMetaData(i, key) for key in (PLACE, TURN)] for i in range(len(paths))]
        places, turns = (np.array([[float(v) for v in t[k].split("\\")] for t in tags]) for k in (0, 1))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CaseError(f"cannot be read as one series: {lines[-1].split('): ')[-1][:200]}", where=where,
                        remedy="convert it to NIfTI with dcm2niix and look at what that says") from error
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    if np.abs(turns - turns[0]).max() > 1e-3:
        raise CaseError("its slices are turned differently, as those of a localizer are", where=where,
                        remedy="leave this series out")
    if np.abs(steps - np.median(steps)).max() > UNEVEN * np.median(steps) or not np.median(steps):
        raise CaseError(f"its slices lie {steps.min():g} to {steps.max():g} mm apart: one is missing, or there are "
                        "several volumes in the series", where=where, remedy="complete it, or part it by volume")
    array = sitk.GetArrayFromImage(image)
    spacing, origin = image.GetSpacing()[::-1], image.GetOrigin()[::-1]
    direction = np.asarray(image.GetDirection()).reshape(3, 3)[::-1, ::-1]
    return Image(array, Grid.of(array.shape[:3], spacing, origin, direction))
