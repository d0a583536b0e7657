"""The folders that tests/pipelines.txt works on, made by code below the folder given."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def head(seed: int, height: int = 72, width: int = 64) -> np.ndarray:
    """A bright ellipse with a random pattern on black, (y, x) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = (x / 0.7) ** 2 + (y / 0.8) ** 2 < 1
    waves = sum(np.sin(rng.uniform(3, 9) * x + rng.uniform(3, 9) * y + rng.uniform(0, 6)) for _ in range(4))
    return (inside * (120 + 25 * waves) + rng.integers(0, 6, (height, width))).clip(0, 255).astype(np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def cut(path: Path, share: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def volume(path: Path, seed: int) -> None:
    import SimpleITK as sitk

    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.stack([head(seed + i) for i in range(12)]).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 0.9, 3.0))
    sitk.WriteImage(image, str(path))


def make(root: Path) -> None:
    for i, name in enumerate(("yes/a1.png", "yes/a2.jpg", "yes/a3.tif", "no/b1.png", "no/b2.bmp", "no/b10.jpg")):
        save(root / "in" / name, head(i))
    save(root / "in/no/deep.png", head(9).astype(np.uint16) * 200)
    save(root / "in/no/colour.png", np.repeat(head(8)[..., None], 3, -1))
    for name in ("plain.png", "with space.png", "quo'te\".png", "ümläut 脳.png"):
        save(root / "odd" / name, head(len(name)))
    save(root / "twins/yes/Y92.png", head(1))
    save(root / "twins/yes/Y92.jpg", head(2))
    for i in range(24):
        save(root / f"many/{'yes' if i % 2 else 'no'}/{i:03d}.png", head(i, 200, 180))
    bad = root / "bad"
    for i, name in enumerate(("cut.png", "cut.jpg", "cut.bmp", "good1.png", "good2.jpg", "cut.tif", "cut.gif")):
        save(bad / name, head(i))
        if name.startswith("cut"):
            cut(bad / name)
    volume(bad / "cut.nii.gz", 1)
    cut(bad / "cut.nii.gz", 0.8)
    (bad / "empty.png").touch()
    (bad / "text.png").write_text("not a picture\n")
    volume(root / "mixed/scan.nii.gz", 3)
    save(root / "mixed/slice.png", head(5))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
