"""Reading and writing: what goes in comes out, and what is not whole is named."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from pipeline_data import cut, head, save

from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk

PICTURES = ("png", "jpg", "bmp", "gif", "tif")


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def put(path, image):
    """Write with ITK, as other programs would."""
    import SimpleITK as sitk

    sitk.WriteImage(itk.to_itk(image), str(path))
    return path


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_format_gives_back_values_and_place(tmp_path_factory, data):
    n = data.draw(st.sampled_from([2, 3]))
    size = data.draw(st.lists(st.integers(2, 9), min_size=n, max_size=n))
    channels = data.draw(st.sampled_from([0, 2, 3])) if n == 2 else 0
    suffix = data.draw(st.sampled_from([".tif"] if channels else [".tif", ".nii.gz", ".nii", ".mha"] if n == 2
                                       else [".nii.gz", ".nii", ".mha"]))  # fmt: skip
    spacing = tuple(data.draw(st.sampled_from([0.3, 0.9375, 1.0, 5.5])) for _ in range(n))
    origin = tuple(data.draw(st.floats(-200, 200, width=32)) for _ in range(n))
    whole = data.draw(st.sampled_from([None, 200, 30000]))
    array = noise((*size, channels) if channels else size)
    array = array if whole is None else np.rint(array / np.abs(array).max() * whole)
    names = tuple(f"c{i}" for i in range(channels))
    image = Image(array, Grid.of(size, spacing, origin), names)
    path = tmp_path_factory.mktemp("trip") / f"image{suffix}"
    files.write(path, image, recipe_hash="0123456789abcdef")
    back = files.read(path)
    assert np.array_equal(back.array, array)
    assert back.grid.same_as(image.grid, 1e-4)
    assert back.channels == names
    assert files.read_recipe_hash(path) == "0123456789abcdef"


def test_a_png_keeps_floats_to_16_bit_and_small_integers_whole(tmp_path):
    image = Image(noise((20, 30)), Grid.of((20, 30), (0.5, 2.0)))
    files.write(tmp_path / "float.png", image, recipe_hash="abc")
    back = files.read(tmp_path / "float.png")
    assert np.abs(back.array - image.array).max() <= np.ptp(image.array) / 65535
    assert back.grid == image.grid and files.read_recipe_hash(tmp_path / "float.png") == "abc"
    files.write(tmp_path / "grey.png", image.with_array(head(1, 20, 30)))
    assert np.array_equal(files.read(tmp_path / "grey.png").array, head(1, 20, 30))
    with pytest.raises(CaseError, match=r"use --suffix \.tif"):
        files.write(tmp_path / "two.png", Image(noise((4, 5, 2)), Grid.of((4, 5)), ("a", "b")))
    with pytest.raises(CaseError, match=r"use --suffix \.nii\.gz"):
        files.write(tmp_path / "volume.tif", Image(noise((3, 4, 5)), Grid.of((3, 4, 5))))


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "CMYK"])
def test_a_grey_picture_of_any_mode_is_one_channel(tmp_path, kind):
    grey = head(5)
    if kind == "1":
        picture, want = Picture.fromarray(grey > 100), (grey > 100) * 255
    elif kind == "I;16":
        picture, want = Picture.fromarray(grey.astype(np.uint16) * 257), grey.astype(np.uint16) * 257
    elif kind == "CMYK":
        picture, want = Picture.merge("CMYK", [Picture.fromarray(255 - grey)] * 3 + [Picture.new("L", (64, 72))]), grey
    elif kind == "P":
        picture, want = Picture.fromarray(grey).convert("P"), grey
    else:
        picture, want = Picture.fromarray(grey).convert(kind), grey
    path = tmp_path / ("a.tif" if kind == "CMYK" else "a.png")
    picture.save(path)
    image = files.read(path)
    assert np.array_equal(image.array, want) and image.channels == ()


def test_what_is_transparent_is_air(tmp_path):
    for name, full, dtype in (("8.png", 255, np.uint8), ("8.tif", 255, np.uint8), ("16.tif", 65535, np.uint16)):
        array = np.full((6, 6, 4), full, dtype)
        array[:3, :, 3] = 0
        if name.endswith("png"):
            Picture.fromarray(array).save(tmp_path / name)
        else:
            import tifffile

            tifffile.imwrite(tmp_path / name, array, photometric="rgb", extrasamples=["unassalpha"])
        image = files.read(tmp_path / name)
        assert image.array.shape == (6, 6)
        assert (image.array[:3] == 0).all() and (image.array[3:] == full).all()


def test_a_png_of_16_bit_colours_keeps_its_16_bit(tmp_path):
    import SimpleITK as sitk

    grey = head(5).astype(np.uint16) * 200 + 3
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([grey] * 3, -1), isVector=True), str(tmp_path / "a.png"))
    assert np.array_equal(files.read(tmp_path / "a.png").array, grey)
    cut(tmp_path / "a.png", 0.6)
    with pytest.raises(CaseError):
        files.read(tmp_path / "a.png")


def png_with_opacity(path, grey, opacity):
    """A PNG of 16-bit grey and opacity, which neither Pillow nor ITK writes; its lines are filtered by `up`."""
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = np.stack([grey, opacity], -1).astype(">u2").view(np.uint8).reshape(len(grey), -1)
    filtered = np.diff(lines, axis=0, prepend=np.zeros((1, lines.shape[1]), np.uint8))
    head = struct.pack(">IIBBBBB", grey.shape[1], len(grey), 16, 4, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
                     + chunk(b"IDAT", zlib.compress(b"".join(b"\2" + line.tobytes() for line in filtered)))
                     + chunk(b"IEND", b""))


def test_a_png_of_16_bit_grey_and_opacity(tmp_path, caplog):
    grey = head(5).astype(np.uint16) * 200 + 3
    opacity = np.full_like(grey, 65535)
    png_with_opacity(tmp_path / "a.png", grey, opacity)
    assert np.array_equal(files.read(tmp_path / "a.png").array, grey) and not caplog.records
    opacity[:3], opacity[3] = 0, 32768
    png_with_opacity(tmp_path / "b.png", grey, opacity)
    read = files.read(tmp_path / "b.png").array
    assert read.dtype == np.uint16 and np.array_equal(read[4:], grey[4:]) and not read[:3].any()
    assert np.allclose(read[3], grey[3] / 2, atol=1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/b.png: its opacity varies: what is not opaque is laid on black (save it without an alpha channel "
        "to keep its values)"]
    numbers = (grey > 9000).astype(np.uint16) * 3
    png_with_opacity(tmp_path / "c.png", numbers, opacity)
    assert np.array_equal(files.read(tmp_path / "c.png", labels=True).array[3:], numbers[3:])
    cut(tmp_path / "a.png", 0.6)
    with pytest.raises(CaseError, match="is damaged or cut short"):
        files.read(tmp_path / "a.png")


def test_a_tiff_of_any_layout_is_read_whole_or_refused(tmp_path):
    import SimpleITK as sitk
    import tifffile

    grey, deep = head(5), head(5).astype(np.uint16) * 200
    Picture.fromarray(grey).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    Picture.fromarray(deep).save(tmp_path / "deep.tif", compression="tiff_lzw")
    tifffile.imwrite(tmp_path / "tiled.tif", np.tile(grey, (4, 4)), tile=(64, 64))
    tifffile.imwrite(tmp_path / "planes.tif", np.stack([grey, grey // 2, grey // 3]), photometric="rgb",
                     planarconfig="separate")
    assert np.array_equal(files.read(tmp_path / "lzw.tif").array, grey)
    assert np.array_equal(files.read(tmp_path / "deep.tif").array, deep)
    assert np.array_equal(files.read(tmp_path / "tiled.tif").array, np.tile(grey, (4, 4)))
    assert np.array_equal(files.read(tmp_path / "planes.tif").array, np.stack([grey, grey // 2, grey // 3], -1))
    colours = sitk.GetImageFromArray(np.stack([deep] * 3, -1), isVector=True)
    sitk.WriteImage(colours, str(tmp_path / "colours.tif"), useCompression=True)
    with pytest.raises(CaseError, match="16 bit"):
        files.read(tmp_path / "colours.tif")


def test_colours_that_differ_are_three_channels(tmp_path):
    colours = np.stack([head(1), head(2), head(3)], -1)
    save(tmp_path / "a.png", colours)
    image = files.read(tmp_path / "a.png")
    assert np.array_equal(image.array, colours) and image.channels == ("red", "green", "blue")


def test_jpeg_chroma_noise_is_no_colour(tmp_path):
    grey = np.repeat(head(1, 200, 200)[..., None], 3, -1)
    Picture.fromarray(grey).save(tmp_path / "a.jpg", quality=60)
    image = files.read(tmp_path / "a.jpg")
    assert image.array.ndim == 2 and np.abs(image.array.astype(int) - grey[..., 0]).mean() < 5


def test_white_is_zero_is_turned_over(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", 255 - head(4), photometric="miniswhite")
    assert np.argmax(files.read(tmp_path / "a.tif").array) == np.argmax(head(4))


def dicom(path, photometric=b"MONOCHROME2 "):
    image = Image(head(7).astype(np.int16), Grid.of((72, 64), (0.8, 0.9)))
    put(path, image)
    data = path.read_bytes()
    assert b"MONOCHROME2 " in data
    path.write_bytes(data.replace(b"MONOCHROME2 ", photometric))
    return image


def test_dicom_of_either_photometric_reading_shows_air_dark(tmp_path):
    plain = dicom(tmp_path / "a.dcm")
    dicom(tmp_path / "b.dcm", b"MONOCHROME1 ")
    first, second = files.read(tmp_path / "a.dcm"), files.read(tmp_path / "b.dcm")
    assert np.array_equal(first.array, plain.array) and np.allclose(first.grid.spacing, (0.8, 0.9))
    assert np.ptp(second.array + plain.array) == 0  # the other way up: ITK turns it over by itself


@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("suffix", [*PICTURES, "nii", "nii.gz", "mha", "nrrd", "dcm"])
def test_a_file_that_is_cut_short_is_an_error(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    if suffix in PICTURES:
        save(path, head(1, 200, 200))
    elif suffix == "dcm":
        dicom(path)
    else:
        put(path, Image(np.stack([head(i) for i in range(6)]).astype(np.int16), Grid.of((6, 72, 64))))
    files.read(path)
    cut(path, share)
    with pytest.raises(CaseError) as error:
        files.read(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert "No such file" not in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_spoilt_file_is_an_image_or_a_clear_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spoilt", numbered=True)
    suffix = data.draw(st.sampled_from(PICTURES))
    path = folder / f"a.{suffix}"
    save(path, head(1, 40, 30))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        files.read(path)
    except CaseError as error:
        assert error.where == path
    files.read_recipe_hash(path)


def test_what_is_no_single_picture_or_volume_says_so(tmp_path):
    frames = [Picture.fromarray(head(i)) for i in range(3)]
    for suffix in ("gif", "tif", "png"):
        frames[0].save(tmp_path / f"many.{suffix}", save_all=True, append_images=frames[1:])
        with pytest.raises(CaseError, match="animated|pages"):
            files.read(tmp_path / f"many.{suffix}")
    import SimpleITK as sitk

    four = sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), np.float32), isVector=False)
    sitk.WriteImage(four, str(tmp_path / "four.nii.gz"))
    with pytest.raises(CaseError, match="4 dimensions"):
        files.read(tmp_path / "four.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.complex64)), str(tmp_path / "complex.nii"))
    with pytest.raises(CaseError, match="complex"):
        files.read(tmp_path / "complex.nii")


def test_a_header_that_promises_a_world_is_refused_before_the_memory_is_taken(tmp_path):
    from hostile import png_header

    (tmp_path / "huge.png").write_bytes(png_header(20000, 20000))
    nifti = bytearray(put(tmp_path / "a.nii", Image(np.zeros((2, 2, 2), np.int16), Grid.of((2, 2, 2)))).read_bytes())
    struct.pack_into("<8h", nifti, 40, 3, 20000, 20000, 20000, 1, 1, 1, 1)
    (tmp_path / "huge.nii").write_bytes(nifti)
    for name in ("huge.png", "huge.nii"):
        with pytest.raises(CaseError):
            files.read(tmp_path / name)


def test_a_slice_of_a_volume_format_is_a_picture(tmp_path):
    path = put(tmp_path / "a.nii.gz", Image(noise((1, 7, 8)), Grid.of((1, 7, 8), (5.0, 1.5, 0.5))))
    image = files.read(path)
    assert image.grid.size == (7, 8) and image.grid.spacing == (1.5, 0.5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_what_is_made_of_a_slice_of_a_volume_format_lies_where_the_slice_does(suffix, tmp_path):
    import SimpleITK as sitk

    tilted = np.array([[0.8, 0, -0.6], [0, 1, 0], [0.6, 0, 0.8]])
    grid = Grid.of((1, 7, 8), (5.0, 1.5, 0.5), (57.0, -3.0, 2.0), tilted)
    image = files.read(put(tmp_path / f"a{suffix}", Image(noise((1, 7, 8)), grid)))
    own = Grid.from_dict(json.loads(json.dumps(image.grid.as_dict())))  # as a record keeps it
    files.write(tmp_path / f"map{suffix}", Image(np.eye(7, 8, dtype=np.uint8), own))
    given, made = (sitk.ReadImage(str(tmp_path / f"{name}{suffix}")) for name in ("a", "map"))
    assert made.GetSize() == given.GetSize() == (8, 7, 1) and made.GetSpacing() == given.GetSpacing()
    assert np.allclose(made.GetOrigin(), (2, -3, 57)) and np.allclose(made.GetDirection(), given.GetDirection())
    assert files.read(tmp_path / f"map{suffix}").grid == image.grid


def test_a_tiny_picture_is_read(tmp_path):
    for suffix in ("png", "tif", "bmp"):
        save(tmp_path / f"a.{suffix}", np.array([[7]], np.uint8))
        assert files.read(tmp_path / f"a.{suffix}").array.tolist() == [[7]]


def test_channels_must_share_a_grid(tmp_path):
    for name, spacing in (("t1", 1.0), ("t2", 1.0), ("flair", 2.0)):
        put(tmp_path / f"{name}.nii.gz", Image(noise((3, 4, 5)), Grid.of((3, 4, 5), (1.0, 1.0, spacing))))
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("t1", "t2", "flair")}
    image = files.read_case(Case("p", tmp_path, {k: paths[k] for k in ("t1", "t2")}))
    assert image.array.shape == (3, 4, 5, 2) and image.channels == ("t1", "t2")
    with pytest.raises(CaseError, match="channel flair lies on another grid .*5x4x3, 2,1,1 mm"):
        files.read_case(Case("p", tmp_path, paths))


@settings(deadline=None)
@given(st.lists(st.integers(-40000, 70000), min_size=1, max_size=20))
def test_storing_is_lossless_and_as_small_as_it_can_be(values):
    array = np.array(values, np.float64)
    stored = files.compact(array)
    assert np.array_equal(stored, array)
    fits = [k for k in (np.uint8, np.int16) if np.iinfo(k).min <= array.min() and array.max() <= np.iinfo(k).max]
    assert stored.dtype == (fits[0] if fits else np.float32)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".tif"])
def test_nan_in_an_image_of_any_format_is_refused(tmp_path, suffix):
    size = (6, 7) if suffix == ".tif" else (5, 6, 7)
    array = noise(size)
    array[1, 2] = np.nan
    path = tmp_path / f"a{suffix}"
    put(path, Image(array, Grid.of(size)))
    with pytest.raises(CaseError, match="holds NaN or infinite values"):
        files.read_case(Case("a", tmp_path, {"image": path}))
