"""Synthetic heads with and without a tumour, in 2D and 3D: labelled data for demos and tests.

A head is a warped ellipsoid of scalp, skull, fluid, folded cortex, white matter, deep nuclei and ventricles, each
tissue with the brightness of its sequence. A tumour is a lumpy core with an enhancing rim and oedema that fades out.
Bias field and Rician noise are added. A head depends on the seed and its number alone. Phantoms are not anatomy: a
model trained on them is of no use for people.

How hard the default slices are, learned from numbers 0 to 399 and tested on 1000 to 1399 (95 % interval over those
400 heads), all prepared by `mri-normalize --crop --method percentile --size 96`, every choice made on the former:

    constant guess                                        50 %
    threshold on the brightest pixel                      50.0 % (44.8 to 55.0)
    logistic regression on 32x32 pixels                   55.5 % (50.5 to 60.2); unprepared 58.0 % (53.2 to 63.0)
    mri-train --epochs 20 --learning-rate 0.002           84.0 % (80.3 to 87.3), 63 s of CPU time
    mri-train --epochs 40 --learning-rate 0.002           93.3 % (90.8 to 95.5), 113 s; with --seed 1 96.0 %
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrilib.errors import UsageError
from mrilib.images.grid import Grid, Image

CHANNELS = ("t1", "t1ce", "t2", "flair")
AIR, SCALP, SKULL, FLUID, GREY, WHITE, NUCLEI, NECROSIS, OEDEMA, ENHANCING = range(10)
# brightness of air, scalp, skull, fluid, grey, white, nuclei, necrosis, oedema, enhancing rim
LOOKS = {
    "t1": (0.00, 0.85, 0.10, 0.16, 0.48, 0.68, 0.55, 0.28, 0.44, 0.46),
    "t1ce": (0.00, 0.88, 0.12, 0.16, 0.48, 0.66, 0.56, 0.26, 0.46, 0.92),
    "t2": (0.00, 0.62, 0.08, 0.92, 0.58, 0.40, 0.46, 0.80, 0.74, 0.60),
    "flair": (0.00, 0.60, 0.09, 0.14, 0.56, 0.44, 0.50, 0.42, 0.82, 0.66),
}
LABELS = {NECROSIS: 1, OEDEMA: 2, ENHANCING: 3}  # the brats2023 scheme
CLASSES = ("healthy", "tumour")
HEAD_MM = 200.0  # about the length of a head with the margin around it


def _smooth(rng, size, length: float) -> np.ndarray:
    """Smooth noise, mean 0, standard deviation 1, float32 of `size`. length: wavelength as a fraction of the image."""
    from scipy import ndimage

    knots = [max(int(np.ceil(2 / length)) + 3, 4)] * len(size)
    coarse = rng.standard_normal(knots).astype(np.float32)
    places = np.meshgrid(*(np.linspace(1, k - 2, s) for k, s in zip(knots, size, strict=True)), indexing="ij")
    field = ndimage.map_coordinates(coarse, places, order=3 if len(size) == 2 else 1, mode="nearest")
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def _coordinates(rng, size) -> np.ndarray:
    """Position of each voxel in the head, (axes, *size), randomly rotated, scaled and warped. The skin has radius 1."""
    axes = [np.linspace(-1, 1, s, dtype=np.float32) * s / max(size) for s in size]
    place = np.stack(np.meshgrid(*axes, indexing="ij"))
    n = len(size)
    turn = np.eye(n)
    for i in range(n):
        for j in range(i + 1, n):
            angle = np.deg2rad(rng.normal(0, 6))
            spin = np.eye(n)
            spin[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
            turn = spin @ turn
    extent = np.array([rng.uniform(0.80, 0.92), rng.uniform(0.66, 0.76)][-n:] if n == 2 else
                      [rng.uniform(0.75, 0.85), rng.uniform(0.82, 0.92), rng.uniform(0.66, 0.76)])
    extent *= min(1.0, 0.96 * float((np.asarray(size) / max(size) / extent).min()))  # the whole head is inside
    shift = rng.normal(0, 0.015, n)
    place = np.tensordot(turn.astype(np.float32), place - shift.reshape(-1, *[1] * n).astype(np.float32), 1)
    place = place / extent.reshape(-1, *[1] * n).astype(np.float32)
    return place + np.stack([0.02 * _smooth(rng, size, 0.5) for _ in range(n)])


def _tissues(rng, size) -> tuple[np.ndarray, np.ndarray]:
    """A head without a tumour: tissue of each voxel (uint8), and the distance from the centre (1 at the skin)."""
    place = _coordinates(rng, size)
    n = len(size)
    radius = np.sqrt((place**2).sum(0))
    tissue = np.full(size, AIR, np.uint8)
    scalp, skull, fluid = rng.uniform(0.03, 0.09), rng.uniform(0.04, 0.07), rng.uniform(0.01, 0.04)
    tissue[radius < 1] = SCALP
    tissue[radius < 1 - scalp] = SKULL
    inner = 1 - scalp - skull
    tissue[radius < inner] = FLUID
    folds = np.abs(_smooth(rng, size, 0.09))
    brain = radius + 0.05 * (folds < 0.25) * (radius > 0.55 * inner) < inner - fluid
    tissue[brain] = GREY
    depth = rng.uniform(0.07, 0.11)
    tissue[brain & (radius + 0.05 * _smooth(rng, size, 0.12) < inner - fluid - depth)] = WHITE
    up, side = place[-2], np.abs(place[-1] - rng.normal(0, 0.015))
    below = place[0] if n == 3 else 0.0
    gap = brain & (side < rng.uniform(0.004, 0.012)) & (np.abs(up) > 0.35)
    for sign in (-1, 1):  # the sides differ a little, so that asymmetry alone is no proof of a tumour
        wide, long = rng.uniform(0.04, 0.11), rng.uniform(0.18, 0.34)
        x, y = place[-1] * sign - rng.uniform(0.08, 0.14), up + rng.normal(0.02, 0.03)
        ventricle = ((x - 0.25 * y * y) / wide) ** 2 + (y / long) ** 2 + (below / 0.22) ** 2 < 1
        nuclei = ((place[-1] * sign - rng.uniform(0.24, 0.3)) / rng.uniform(0.08, 0.13)) ** 2 + (
            (up - rng.normal(0, 0.04)) / rng.uniform(0.12, 0.2)) ** 2 + (below / 0.25) ** 2 < 1
        tissue[brain & nuclei] = NUCLEI
        tissue[brain & ventricle] = FLUID
    tissue[gap] = FLUID
    return tissue, np.where(brain, radius, 2.0).astype(np.float32)


def _grow_tumour(rng, tissue: np.ndarray, depth: np.ndarray) -> None:
    """Put a tumour into the tissue, in place: necrosis, an enhancing rim, oedema around it; in the brain only."""
    size = tissue.shape
    choices = np.flatnonzero((depth < 0.62) & (depth > 0.2))
    middle = np.array(np.unravel_index(rng.choice(choices), size))
    index = np.stack(np.meshgrid(*(np.arange(s, dtype=np.float32) for s in size), indexing="ij"))
    stretch = rng.uniform(0.8, 1.25, len(size))
    offset = (index - middle.reshape(-1, *[1] * len(size))) / (max(size) * stretch.reshape(-1, *[1] * len(size)))
    distance = np.sqrt((offset**2).sum(0)) * (1 + 0.18 * _smooth(rng, size, 0.12))
    radius = rng.uniform(0.05, 0.13)
    rim = rng.uniform(0.15, 0.45) * radius
    brain = np.isin(tissue, (GREY, WHITE, NUCLEI))
    spread = radius * rng.uniform(1.1, 1.9)
    reach = distance * np.where(tissue == WHITE, 1.0, 1.35)  # oedema follows the white matter
    tissue[brain & (reach < spread)] = OEDEMA
    inside = (depth < 1.5) & (distance < radius)
    tissue[inside] = ENHANCING
    tissue[inside & (distance < radius - rim)] = NECROSIS


def _paste_tumour(rng, tissue: np.ndarray, depth: np.ndarray, shape: np.ndarray) -> None:
    """Put a tumour of a given shape into the tissue, in place, randomly flipped and scaled, in the brain only.

    shape: (z, y, x) of brats2023 numbers in voxels of 1 mm. Raises UsageError for one without a tumour.
    """
    from scipy import ndimage

    found = ndimage.find_objects((shape > 0).astype(np.uint8))
    if not found:
        raise UsageError("a shape holds no tumour", remedy="leave its label map out of --shapes")
    shape = shape[found[0]]
    shape = np.flip(shape, [axis for axis in range(shape.ndim) if rng.random() < 0.5])
    scale = max(tissue.shape) / HEAD_MM * rng.uniform(0.75, 1.25)
    shape = ndimage.zoom(shape, [max(scale, 1 / n) for n in shape.shape], order=0)
    choices = np.flatnonzero((depth < 0.62) & (depth > 0.2))
    middle = np.array(np.unravel_index(rng.choice(choices), tissue.shape))
    low = middle - np.array(shape.shape) // 2
    here = tuple(slice(max(a, 0), min(a + n, m)) for a, n, m in zip(low, shape.shape, tissue.shape, strict=True))
    there = tuple(slice(h.start - a, h.stop - a) for h, a in zip(here, low, strict=True))
    part, room = shape[there], tissue[here]
    brain = depth[here] < 1.5
    for kind, value in LABELS.items():
        room[brain & (part == value)] = kind


def _picture(rng, tissue: np.ndarray, channel: str, noise: float, contrast: float = 0.08) -> np.ndarray:
    """The image of a tissue map in a sequence, float32 of about 0 to 1, with texture, bias field and Rician noise."""
    from scipy import ndimage

    looks = np.array(LOOKS[channel], np.float32)
    looks = looks * rng.normal(1, contrast, looks.size).clip(1 - 2.5 * contrast, 1 + 2.5 * contrast).astype(np.float32)
    image = ndimage.gaussian_filter(looks[tissue], rng.uniform(0.4, 0.9))
    image *= 1 + 0.06 * _smooth(rng, tissue.shape, 0.05) + 0.04 * _smooth(rng, tissue.shape, 0.02)
    image *= np.exp(rng.uniform(0.05, 0.25) * _smooth(rng, tissue.shape, 0.9))
    sigma = noise * rng.uniform(0.5, 1.5)
    real, imaginary = (sigma * rng.standard_normal(tissue.shape, np.float32) for _ in range(2))
    return np.sqrt((image + real) ** 2 + imaginary**2)


def _spots(rng, image: np.ndarray, depth: np.ndarray) -> None:
    """Add bright vessels and dark calcifications, in place, with and without a tumour: a bright spot is no proof."""
    choices = np.flatnonzero(depth < 0.75)
    for _ in range(rng.poisson(5)):
        middle = np.unravel_index(rng.choice(choices), image.shape)
        reach = tuple(slice(max(m - 6, 0), m + 7) for m in middle)
        near = np.stack(np.meshgrid(*(np.arange(s.start, min(s.stop, n)) - m for s, m, n in
                                      zip(reach, middle, image.shape, strict=True)), indexing="ij"))
        spot = np.exp(-(near**2).sum(0) / (2 * rng.uniform(0.8, 2.6) ** 2))
        image[reach] += (rng.uniform(-0.3, 0.5) * spot).astype(np.float32)


def head(seed: int, number: int, size, tumour: bool, shape: np.ndarray | None = None):
    """(tissue, depth, rng for the pictures) of one head. size: voxels in array order, 2 or 3 axes, at least 32 each.

    shape: of its tumour, (z, y, x) of brats2023 numbers in voxels of 1 mm; None grows one.
    """
    if min(size) < 32:
        raise UsageError(f"a head of {'x'.join(map(str, size))} voxels is too small",
                         remedy="use at least 32 along each axis")
    rng = np.random.default_rng([seed, number, len(size)])
    tissue, depth = _tissues(rng, size)
    if tumour and shape is not None:
        _paste_tumour(rng, tissue, depth, shape)
    elif tumour:
        _grow_tumour(rng, tissue, depth)
    return tissue, depth, rng


def slice2d(seed: int, number: int, tumour: bool, size=None, noise: float = 0.04) -> tuple[np.ndarray, np.ndarray]:
    """One slice and its label map: (y, x) uint8 each, the labels of the brats2023 scheme.

    size: (y, x), random and about 200 by default. noise: standard deviation as a fraction of the brightest tissue.
    """
    start = np.random.default_rng([seed, number, 9])
    size = tuple(size) if size is not None else tuple(int(v) for v in start.integers(168, 257, 2))
    channel = ("t1ce", "flair", "t2")[int(start.choice(3, p=(0.5, 0.3, 0.2)))]
    tissue, depth, rng = head(seed, number, size, tumour)
    image = _picture(rng, tissue, channel, noise)
    _spots(rng, image, depth)
    top = np.percentile(image, 99.7) * start.uniform(0.95, 1.2)
    image = (np.clip(image / top, 0, 1) ** start.uniform(0.8, 1.25) * 255).astype(np.uint8)
    return image, labels(tissue)


def volume(seed: int, number: int, tumour: bool = True, size=(96, 112, 96), noise: float = 0.04,
           contrast: float = 0.08, shape: np.ndarray | None = None):  # fmt: skip
    """Four channels {name: (z, y, x) int16} and the label map (uint8, brats2023 scheme) of one head.

    contrast: relative standard deviation of the brightness of each tissue between heads. shape: see `head`.
    """
    tissue, _, rng = head(seed, number, size, tumour, shape)
    images = {c: (_picture(rng, tissue, c, noise, contrast) * 800).astype(np.int16) for c in CHANNELS}
    return images, labels(tissue)


def labels(tissue: np.ndarray) -> np.ndarray:
    """The label map (uint8) of a tissue map."""
    table = np.zeros(10, np.uint8)
    for kind, value in LABELS.items():
        table[kind] = value
    return table[tissue]


def write_slice(out: Path, seed: int, number: int, tumour: bool, size, noise: float) -> Path:
    """Write slice `number` as PNG into the folder of its class; returns its path."""
    from PIL import Image as Picture

    from mrilib.store import whole

    path = Path(out) / CLASSES[tumour] / f"phantom{number:05d}.png"
    with whole(path) as temporary:
        Picture.fromarray(slice2d(seed, number, tumour, size, noise)[0]).save(temporary)
    return path


def write_boxed(out: Path, seed: int, number: int, tumour: bool, size, noise: float) -> Path:
    """Write slice `number` as PNG into images/ and the box around its tumour as YOLO text into labels/, an empty text
    for a head without one; returns the path of the image."""
    from PIL import Image as Picture

    from mrilib.images.boxes import yolo_line
    from mrilib.store import whole, write_text

    name = f"phantom{number:05d}"
    image, label = slice2d(seed, number, tumour, size, noise)
    write_text(Path(out) / "data.yaml", f"names: [{CLASSES[True]}]\n")
    y, x = np.nonzero(label)
    line = yolo_line((x.min(), y.min(), x.max() + 1, y.max() + 1, 0), *label.shape[::-1]) if y.size else ""
    write_text(Path(out) / "labels" / f"{name}.txt", line)
    path = Path(out) / "images" / f"{name}.png"
    with whole(path) as temporary:
        Picture.fromarray(image).save(temporary)
    return path


def write_volume(out: Path, seed: int, number: int, tumour: bool, size, noise: float, contrast: float = 0.08,
                 shape=None) -> Path:  # fmt: skip
    """Write volume `number` with its label map as a folder named as in BraTS 2023; return the folder.

    shape: (case, scheme) of the label map that gives the tumour its shape, resampled to 1 mm.
    """
    from mrilib import labels as schemes
    from mrilib.images.io.files import read_label, write
    from mrilib.images.resampling import resample
    from mrilib.store import whole

    name = f"Phantom-{number:05d}-000"
    if shape is not None:
        case, scheme = shape
        given = read_label(case)
        size_mm = [max(round(n * mm), 1) for n, mm in zip(given.grid.size, given.grid.spacing, strict=True)]
        made = resample(given, given.grid.moved((0, 0, 0), size_mm, (1.0, 1.0, 1.0)), order=0).array
        shape = schemes.convert(made, schemes.scheme(scheme), schemes.SCHEMES["brats2023"])
    images, label = volume(seed, number, tumour, size or (96, 112, 96), noise, contrast, shape)
    endings = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
    for ending, array in [("seg", label), *((endings[c], a) for c, a in images.items())]:
        with whole(Path(out) / name / f"{name}-{ending}.nii.gz") as temporary:
            write(temporary, Image(array, Grid.of(array.shape)))
    return Path(out) / name
