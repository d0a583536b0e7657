"""Cases: what one prediction is made for, and how they are found in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A 2D image, a volume, or a folder with a volume for each channel.

    id: path below root without suffix, '/' between parts. channels: name -> file, in order ("image" alone for
    a case of one file whose sequence is not known). label: label map file. class_name: category.
    boxes: ((x0, y0, x1, y1, class), ...) in native pixels.
    """

    id: str
    root: Path
    channels: dict[str, Path]
    subject: str | None = None
    label: Path | None = None
    class_name: str | None = None
    boxes: tuple = field(default=())
