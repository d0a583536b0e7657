"""What a convolution does: image, kernel and response side by side, a row for each kernel."""

from __future__ import annotations

import numpy as np

from mrilib.drawing import montage
from mrilib.drawing.montage import INK, PAPER, Tile
from mrilib.errors import UsageError
from mrilib.images.grid import Grid, Image

KERNELS = {"sobel": "1 0 -1;2 0 -2;1 0 -1", "sobel-y": "1 2 1;0 0 0;-1 -2 -1", "laplacian": "0 1 0;1 -4 1;0 1 0",
           "gaussian": ".0625 .125 .0625;.125 .25 .125;.0625 .125 .0625", "sharpen": "0 -1 0;-1 5 -1;0 -1 0",
           "mean": ".111 .111 .111;.111 .111 .111;.111 .111 .111"}
COLUMNS = 3
WIDEST = 15  # rows and columns of a kernel


def kernels_of(text: str) -> dict[str, np.ndarray]:
    """Kernels by name: names of KERNELS or rows of weights such as "1 0 -1;2 0 -2;1 0 -1", with commas between kernels.

    Raises UsageError for an unknown name, a row of another length, an even or too large size, and for none.
    """
    kernels = {}
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            rows = [[float(value) for value in row.split()] for row in KERNELS.get(name, name).split(";")]
        except ValueError as error:
            raise UsageError(f"--filters: unknown kernel {name}",
                             remedy=f"known: {' '.join(KERNELS)}; or weights: \"1 0 -1;2 0 -2;1 0 -1\"") from error
        sizes = {len(rows), *map(len, rows)}
        if len({len(row) for row in rows}) > 1 or not all(size % 2 and size <= WIDEST for size in sizes):
            raise UsageError(f"--filters: {name} has rows of different or even length, or more than {WIDEST} weights",
                             remedy="give an odd number of rows and columns")
        if not np.isfinite(rows).all():
            raise UsageError(f"--filters: {name} has a weight that is no number", remedy="give finite weights")
        kernels[name] = np.array(rows)
    if not kernels:
        raise UsageError("--filters names no kernel", remedy=f"known: {' '.join(KERNELS)}")
    return kernels


def response(array: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The sum of weights times grey values around each pixel of a (y, x) image, edges repeated; float32.

    The kernel is not flipped, as in a convolution layer of a network.
    """
    from scipy.ndimage import correlate

    return correlate(array.astype(np.float32), kernel.astype(np.float32), mode="nearest")


def tiles(case_id: str, image: Image, kernels: dict[str, np.ndarray], size: int, place: int | None = None
          ) -> list[Tile]:
    """Image, kernel and response of each kernel, as tiles of size x size pixels. place: the slice of a volume, by
    default the middle one; of several channels the first is shown."""
    array, grid = image.by_channel()[..., 0], image.grid
    if grid.dimension == 3:
        array = array[array.shape[0] // 2 if place is None else place]
        grid = Grid.of(grid.size[1:], grid.spacing[1:])
    plain = Image(np.nan_to_num(array.astype(np.float32)), grid)
    shown = []
    for name, kernel in kernels.items():
        sums = response(plain.array, kernel)
        shown += [Tile(montage.picture(plain, size), (case_id,)), Tile(_kernel(kernel, size), (f"kernel {name}",)),
                  Tile(montage.picture(plain.with_array(sums), size),
                       (f"response {sums.min():.4g} to {sums.max():.4g}",))]
    return shown


def _kernel(kernel: np.ndarray, size: int) -> np.ndarray:
    """A kernel as a grid of its weights, (size, size, 3) uint8: positive ones orange, negative ones blue."""
    from PIL import Image as Picture
    from PIL import ImageDraw, ImageFont

    sheet = Picture.new("RGB", (size, size), PAPER)
    draw, step = ImageDraw.Draw(sheet), size / max(kernel.shape)
    font, largest = ImageFont.load_default(max(6, int(step / 4))), np.abs(kernel).max() or 1
    for (row, column), weight in np.ndenumerate(kernel):
        share = abs(weight) / largest
        full = np.array((213, 94, 0) if weight > 0 else (0, 114, 178))
        fill = tuple(np.rint(share * full + (1 - share) * np.array(PAPER)).astype(int).tolist())
        corner = column * step, row * step
        draw.rectangle((*corner, corner[0] + step - 1, corner[1] + step - 1), fill=fill, outline=INK)
        draw.text((corner[0] + step / 2, corner[1] + step / 2), f"{weight:g}", fill=INK, font=font, anchor="mm")
    return np.asarray(sheet)
