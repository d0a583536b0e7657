"""Fifty files that a tool must survive, and four good ones among them, made by code below the folder given."""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from pipeline_data import cut, head, save, volume

GOOD = ("yes/good1.png", "no/good2.jpg", "yes/good3.tif", "no/good4.bmp")


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises an image and holds next to nothing of it."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b""))


def nifti(path: Path, array: np.ndarray) -> None:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(path))


def make(root: Path) -> list[str]:
    """Write them; returns the names of the hostile ones, below root."""
    for i, name in enumerate(GOOD):
        save(root / name, head(i))
    bad = root / "yes/bad"
    bad.mkdir(parents=True)
    picture = Image.fromarray(head(1))
    for suffix in ("png", "jpg", "bmp", "tif", "gif"):
        for share in (0.02, 0.3, 0.9):
            name = bad / f"cut{int(share * 100):02d}.{suffix}"
            picture.save(name)
            cut(name, share)
    for suffix in ("png", "jpg", "bmp", "tif", "nii.gz", "nii", "dcm", "mha", "nrrd"):
        (bad / f"empty.{suffix}").touch()
    for suffix in ("png", "tif", "nii.gz", "nii", "dcm", "mha"):
        (bad / f"text.{suffix}").write_text("patient,age\n1,50\n")
    (bad / "huge.png").write_bytes(png_header(20000, 20000))
    (bad / "vast.png").write_bytes(png_header(2**31 - 1, 2**31 - 1))
    (bad / "none.png").write_bytes(png_header(0, 10))
    (bad / "noise.jpg").write_bytes(np.random.default_rng(0).bytes(5000))
    (bad / "zeros.png").write_bytes(bytes(5000))
    save(bad / "pixel.png", np.array([[7]], np.uint8))
    save(bad / "flat.png", np.full((40, 40), 9, np.uint8))
    Image.fromarray(np.full((40, 40), np.nan, np.float32)).save(bad / "nan.tif")
    spoilt = head(2).astype(np.float32)
    spoilt[3, 3] = np.inf
    Image.fromarray(spoilt).save(bad / "inf.tif")
    picture.save(bad / "animated.gif", save_all=True, append_images=[Image.fromarray(head(3))])
    picture.save(bad / "pages.tif", save_all=True, append_images=[Image.fromarray(head(3))])
    nifti(bad / "four.nii.gz", np.zeros((2, 3, 4, 5), np.float32))
    volume(bad / "cut.nii.gz", 1)
    cut(bad / "cut.nii.gz", 0.7)
    volume(bad / "cut.nii", 1)
    cut(bad / "cut.nii", 0.7)
    volume(bad / "cut.mha", 1)
    cut(bad / "cut.mha", 0.7)
    volume(bad / "cut.nrrd", 1)
    cut(bad / "cut.nrrd", 0.7)
    picture.save(bad / "really-png.mha", "PNG")
    (bad / "dangling.png").symlink_to("nowhere.png")
    (bad / "circle.png").symlink_to("circle.png")
    names = sorted(p.relative_to(root).as_posix() for p in bad.iterdir())
    (bad / "folder.png").mkdir()  # a folder with an image's name, a colour that is no RGB: both are fine
    save(bad / "folder.png/inside.png", head(4))
    Image.merge("CMYK", [picture] * 4).save(bad / "cmyk.jpg")
    return names


if __name__ == "__main__":
    print(len(make(Path(sys.argv[1]))))
