"""Small volumes that a network can learn: bright boxes of two labels on noise."""

import numpy as np


def arrays(number: int, size=(12, 20, 16), empty=False):
    """(z, y, x, 2) float32 and (z, y, x) uint8 of 0, 1 and 2; channel 0 is above 5 where there is a label."""
    rng = np.random.default_rng(number)
    image = rng.normal(0, 0.5, (*size, 2)).astype(np.float32)
    label = np.zeros(size, np.uint8)
    if not empty:
        z, y, x = rng.integers(1, np.array(size) - 8)
        label[z : z + 6, y : y + 7, x : x + 7] = 1
        label[z + 1 : z + 4, y + 2 : y + 5, x + 2 : x + 5] = 2
        image[..., 0] += 10 * (label > 0)
        image[..., 1] += 10 * (label > 1)
    return image, label


def write(folder, number: int, spacing=(1.0, 1.0, 1.0), **more):
    """A case of BraTS 2020's naming below `folder`. spacing: mm, (z, y, x)."""
    from mrilib.images.grid import Grid, Image
    from mrilib.images.io.files import write as write_image

    image, label = arrays(number, **more)
    name = f"BraTS20_Training_{number:03d}"
    (folder / name).mkdir(parents=True)
    for i, channel in enumerate(("t1ce", "flair")):
        write_image(folder / name / f"{name}_{channel}.nii.gz", Image(image[..., i], Grid.of(label.shape, spacing)))
    write_image(folder / name / f"{name}_seg.nii.gz", Image(label, Grid.of(label.shape, spacing)))


def volumes(folder, count: int, **more):
    """Volumes as training has them, prepared below `folder`."""
    from mrilib.cases import find
    from mrilib.training import volumes as prepared

    for i in range(count):
        write(folder / "in", i, **more)
    names = [prepared.prepare(case, (), ["t1ce", "flair"], None, [0, 1, 2], folder / "cache")
             for case in find([folder / "in"])]
    return prepared.load(folder / "cache", names)
