"""Where the voxels of an array lie in the world."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Size, spacing (mm), origin (mm) and direction of an image, all in array order: (z, y, x) or (y, x).

    direction: a tuple of rows; direction[i][j] is the world component i of a step along array axis j. World axes are in
    reversed order too (z, y, x of ITK's LPS), so an axis-aligned image has the identity.
    volume: the 3D grid of a volume with a single slice, kept with the 2D grid of that slice. It places the slice in the
    head, is written to volume formats, and is not compared by same_as.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]
    volume: Grid | None = field(default=None, compare=False)

    @classmethod
    def of(cls, size, spacing=None, origin=None, direction=None, volume=None) -> Grid:
        """A grid of this size; by default with spacing 1 mm, origin 0 and axis-aligned."""
        n = len(size)
        direction = np.eye(n) if direction is None else np.asarray(direction, float).reshape(n, n)
        return cls(
            tuple(int(s) for s in size),
            tuple(float(s) for s in (spacing or (1.0,) * n)),
            tuple(float(s) for s in (origin or (0.0,) * n)),
            tuple(tuple(float(v) for v in row) for row in direction),
            volume,
        )

    @property
    def dimension(self) -> int:
        return len(self.size)

    def matrix(self) -> np.ndarray:
        """(n, n) matrix from array index to world offset in mm: world = origin + matrix @ index."""
        return np.asarray(self.direction) @ np.diag(self.spacing)

    def to_world(self, index) -> np.ndarray:
        """World position (mm) of array indices, shape (..., n), fractions allowed."""
        return np.asarray(index, float) @ self.matrix().T + np.asarray(self.origin)

    def to_index(self, world) -> np.ndarray:
        """Array index (fractions kept) of world positions in mm, shape (..., n)."""
        return (np.asarray(world, float) - np.asarray(self.origin)) @ np.linalg.inv(self.matrix()).T

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether two grids have the same size, and every corner at the same place within `tolerance` mm."""
        if self.size != other.size:
            return False
        corners = np.stack(np.meshgrid(*[(0, s - 1) for s in self.size], indexing="ij"), -1)
        return bool(np.abs(self.to_world(corners) - other.to_world(corners)).max() <= tolerance)

    def moved(self, start, size, spacing=None) -> Grid:
        """The grid whose first voxel lies at array index `start` (fractions allowed) of this one."""
        return Grid.of(size, spacing or self.spacing, tuple(self.to_world(start)), self.direction)

    def flattened(self) -> Grid:
        """The 2D grid of the slice of a volume with one slice, which keeps the 3D grid; any other grid itself."""
        if self.dimension != 3 or self.size[0] != 1:
            return self
        direction = np.asarray(self.direction)[1:, 1:]
        if not np.allclose(direction @ direction.T, np.eye(2), atol=1e-3):
            direction = np.eye(2)  # a tilted slice: its plane is its world
        return Grid.of(self.size[1:], self.spacing[1:], self.origin[1:], direction, self)

    def as_dict(self) -> dict:
        return {"size": list(self.size), "spacing": list(self.spacing), "origin": list(self.origin),
                "direction": [list(row) for row in self.direction],
                **({"volume": self.volume.as_dict()} if self.volume else {})}

    @classmethod
    def from_dict(cls, record: dict) -> Grid:
        volume = cls.from_dict(record["volume"]) if "volume" in record else None
        return cls.of(record["size"], tuple(record["spacing"]), tuple(record["origin"]), record["direction"], volume)


@dataclass(frozen=True)
class Image:
    """An array and its grid. array: (z, y, x[, channel]) or (y, x[, channel]), any real type.

    channels: names along the last axis, in order; without that axis, the name of the single channel, or empty if it is
    not known.
    """

    array: np.ndarray
    grid: Grid
    channels: tuple[str, ...] = field(default=())

    def __post_init__(self):
        extra = self.array.ndim - self.grid.dimension
        if extra not in (0, 1) or self.array.shape[: self.grid.dimension] != self.grid.size:
            raise ValueError(f"array {self.array.shape} does not lie on a grid of {self.grid.size}")

    @property
    def has_channels(self) -> bool:
        return self.array.ndim > self.grid.dimension

    def by_channel(self) -> np.ndarray:
        """The array with a channel axis, added with length 1 if the image has none; a view."""
        return self.array if self.has_channels else self.array[..., None]

    def with_array(self, array, grid: Grid | None = None, channels: tuple[str, ...] | None = None) -> Image:
        """The same image with other values, on `grid` if that is given."""
        return Image(array, grid or self.grid, self.channels if channels is None else channels)
