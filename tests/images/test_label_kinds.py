"""Label maps as other tools store them: palettes, opacity, segments of 3D Slicer, one-hot channels."""

import logging

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Picture

from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files, itk, label_maps

NUMBERS = np.array([[0, 1, 2], [2, 0, 3]], np.uint8)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * 756
TILTED = np.array([[0.8, 0, -0.6], [0, 1, 0], [0.6, 0, 0.8]])
GRID = Grid.of((9, 8, 10), (2.0, 1.0, 0.5), (57.0, -3.0, 2.0), TILTED)


def label(path, grid=None, **more):
    return files.read_label(Case("p", path.parent, {}, label=path, **more), grid).array


def palette(path, numbers=NUMBERS, colours=VOC, **options):
    picture = Picture.frombytes("P", numbers.shape[::-1], numbers.tobytes())
    picture.putpalette(colours)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.gif", "a.bmp", "a.tif"])
def test_the_indices_of_a_palette_of_colours_are_the_labels(name, tmp_path):
    path = palette(tmp_path / name)
    assert np.array_equal(label(path), NUMBERS)
    assert files.read(path).channels == ("red", "green", "blue")  # as an image it stays a picture in colour


def test_a_palette_with_a_transparent_colour_keeps_its_indices(tmp_path):
    assert np.array_equal(label(palette(tmp_path / "a.png", transparency=0)), NUMBERS)
    assert np.array_equal(label(palette(tmp_path / "b.png", transparency=bytes([0, 90, 90, 90]))), NUMBERS)


def test_a_grey_palette_only_compresses_grey_values(tmp_path):
    grey = np.array([[0, 1, 4], [4, 2, 0]], np.uint8)
    Picture.fromarray(grey).save(tmp_path / "a.gif", optimize=True)  # stored as indices into the greys 0 1 2 4
    assert np.array_equal(label(tmp_path / "a.gif"), grey)
    inverted = palette(tmp_path / "b.png", (NUMBERS == 0).astype(np.uint8), [255, 255, 255, 0, 0, 0] + [0] * 762)
    assert np.array_equal(label(inverted), NUMBERS > 0)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_not_scaled_to_eight(bits, tmp_path):
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    numbers = NUMBERS.clip(0, (1 << bits) - 1)
    rows = b""
    for row in numbers:
        text = "".join(f"{v:0{bits}b}" for v in row)
        rows += b"\0" + int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, bits, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(label(tmp_path / "a.png"), numbers)
    assert files.read(tmp_path / "a.png").array.max() == int(numbers.max()) * 255 // ((1 << bits) - 1)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif"])
def test_one_bit_is_nought_and_one(name, tmp_path):
    Picture.fromarray(NUMBERS > 0).save(tmp_path / name)
    assert np.array_equal(label(tmp_path / name), NUMBERS > 0)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("colours", [1, 3])
def test_opacity_does_not_change_a_number(name, colours, tmp_path):
    opacity = np.where(NUMBERS > 0, 100, 0).astype(np.uint8)
    array = np.stack([*[NUMBERS] * colours, opacity], -1)
    Picture.fromarray(array).save(tmp_path / name, **({"lossless": True, "exact": True} if "webp" in name else {}))
    assert np.array_equal(label(tmp_path / name), NUMBERS)


def test_colours_without_a_palette_are_no_numbers(tmp_path):
    palette(tmp_path / "a.png")
    Picture.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "b.png")
    with pytest.raises(CaseError, match="b.png: is no label map: it holds 3 channels.*save one number for each"):
        label(tmp_path / "b.png")


def test_lossy_pictures_keep_no_numbers_whatever_their_suffix(tmp_path):
    numbers = np.repeat(np.repeat(NUMBERS, 40, 0), 40, 1) * 20
    for name, kind in (("a.jfif", "JPEG"), ("a.jpe", "JPEG"), ("a.webp", "WEBP"), ("b.png", "JPEG")):
        Picture.fromarray(numbers).save(tmp_path / name, kind)
        with pytest.raises(CaseError, match="does not keep its numbers"):
            label(tmp_path / name)
    Picture.fromarray(numbers).save(tmp_path / "whole.webp", lossless=True)
    assert np.array_equal(label(tmp_path / "whole.webp"), numbers)


@pytest.mark.parametrize("name", ["a.webp", "a.WEBP", "a.jfif", "a.jpe"])
def test_webp_and_jfif_are_pictures(name, tmp_path):
    grey = np.add.outer(np.arange(60), np.arange(50)).astype(np.uint8)
    Picture.fromarray(grey).save(tmp_path / name, "WEBP" if "webp" in name.lower() else "JPEG", quality=95)
    image = files.read(tmp_path / name)
    assert image.array.shape == grey.shape and np.abs(image.array.astype(int) - grey).mean() < 2
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:120])
    with pytest.raises(CaseError):
        files.read(tmp_path / name)


def segmentation(path, array, grid, segments):
    """Save as 3D Slicer does. segments: name -> (layer, number), or None for Slicer before 4.11."""
    image = itk.to_itk(Image(array, grid))
    for i, (name, place) in enumerate(segments.items()):
        header = {"ID": f"Segment_{i + 1}", "Name": name, "Extent": "0 1 0 1 0 1"}
        if place:
            header |= {"Layer": str(place[0]), "LabelValue": str(place[1])}
        for key, value in header.items():
            image.SetMetaData(f"Segment{i}_{key}", value)
    image.SetMetaData("Segmentation_ContainedRepresentationNames", "Binary labelmap|Closed surface|")
    sitk.WriteImage(image, str(path), True)
    return path


def blob(at=slice(2, 6)):
    array = np.zeros(GRID.size, np.uint8)
    array[at, 3:5, 2:9] = 1
    array[at, 5, 4:6] = 2
    return array


def box(array):
    low, high = (np.argwhere(array).min(0), np.argwhere(array).max(0) + 1)
    return array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], GRID.moved(low, high - low)


TWO = {"oedema": (0, 1), "core": (0, 2)}


@pytest.mark.parametrize("at", [slice(2, 6), slice(4, 5), slice(0, 9), slice(0, 1), slice(8, 9)])
def test_a_segmentation_cut_to_its_segments_lies_where_its_header_says(at, tmp_path):
    path = segmentation(tmp_path / "Segmentation.seg.nrrd", *box(blob(at)), TWO)
    assert np.array_equal(label(path, GRID), blob(at))
    files.write(tmp_path / "image.nii.gz", Image(blob().astype(np.float32), GRID))
    case = Case("p", tmp_path, {"image": tmp_path / "image.nii.gz"}, label=path)
    assert np.array_equal(files.read_label(case).array, blob(at))  # without a grid: that of its image


def test_a_segmentation_on_another_grid_is_placed_by_world_space(tmp_path):
    array, grid = box(blob())
    fine = Grid.of([2 * n for n in grid.size], [s / 2 for s in grid.spacing],
                   tuple(grid.to_world((-0.25, -0.25, -0.25))), grid.direction)
    path = segmentation(tmp_path / "fine.seg.nrrd", array.repeat(2, 0).repeat(2, 1).repeat(2, 2), fine, TWO)
    assert np.array_equal(label(path, GRID), blob())
    turned = Grid.of(grid.size, grid.spacing, tuple(grid.to_world([n - 1 for n in grid.size])),
                     -np.asarray(grid.direction))
    path = segmentation(tmp_path / "turned.seg.nrrd", array[::-1, ::-1, ::-1], turned, TWO)
    assert np.array_equal(label(path, GRID), blob())


def test_an_empty_segmentation_is_background(tmp_path):
    one = Grid.of((1, 1, 1), GRID.spacing, GRID.origin, GRID.direction)
    path = segmentation(tmp_path / "a.seg.nrrd", np.zeros((1, 1, 1), np.uint8), one, TWO)
    assert not label(path, GRID).any()


def test_a_segment_outside_its_image_is_an_error(tmp_path):
    array, grid = box(blob())
    path = segmentation(tmp_path / "a.seg.nrrd", array, grid.moved((0, 0, 4), grid.size), TWO)
    with pytest.raises(CaseError, match=r"a.seg.nrrd: \d+ % of its voxels lie outside its image"):
        label(path, GRID)


def test_one_slice_of_a_segmentation_belongs_to_one_slice(tmp_path):
    flat = Grid.of((1, 8, 10), GRID.spacing, GRID.origin, GRID.direction)
    numbers = blob()[3:4]
    path = segmentation(tmp_path / "a.seg.nrrd", numbers[:, 3:6, 2:9], flat.moved((0, 3, 2), (1, 3, 7)), TWO)
    assert np.array_equal(label(path, flat.flattened()), numbers[0])


@pytest.mark.parametrize("at", [slice(2, 6), slice(4, 5)])
@pytest.mark.parametrize(("places", "numbers"), [
    (((0, 1), (1, 2)), (1, 2)), (((1, 3), (0, 2)), (3, 2)), (((0, 1), (1, 1)), (1, 2)), ((None, None), (1, 2)),
])  # fmt: skip
def test_layers_become_the_numbers_of_their_segments(places, numbers, at, tmp_path):
    array, grid = box(blob(at))
    layers = np.zeros((*array.shape, 3), np.uint8)
    for i, place in enumerate(places):
        layer, value = place or (i, 1)
        layers[array == i + 1, layer] = value
    names = dict(zip(("oedema", "core"), places, strict=True))
    if None in places:
        names["empty"] = None
    path = segmentation(tmp_path / "a.seg.nrrd", layers, grid, names)
    want = np.array([0, *numbers], np.uint8)[blob(at)]
    assert np.array_equal(label(path, GRID), want)


def test_a_scheme_numbers_segments_by_name(tmp_path):
    parts = {"Edema": (0, 1), "enhancing tumor": (0, 2)}
    path = segmentation(tmp_path / "a.seg.nrrd", *box(blob()), parts)
    assert np.array_equal(label(path, GRID, scheme="brats2020"), np.array([0, 2, 4], np.uint8)[blob()])
    path = segmentation(tmp_path / "b.seg.nrrd", *box(blob()), {"Segment_1": (0, 1), "Segment_2": (0, 2)})
    assert np.array_equal(label(path, GRID, scheme="brats2020"), blob())


def test_segments_that_overlap_are_an_error(tmp_path):
    layers = np.zeros((*GRID.size, 2), np.uint8)
    layers[2:5, 2:5, 2:5, 0] = layers[4:7, 4:7, 4:7, 1] = 1
    path = segmentation(tmp_path / "a.seg.nrrd", layers, GRID, {"whole": (0, 1), "core": (1, 1)})
    with pytest.raises(CaseError, match="its segments whole and core overlap in 1 voxels .a voxel has one label"):
        label(path, GRID)


def one_hot(numbers):
    return np.eye(3, dtype=np.float32)[numbers]


def nifti(path, array):
    """array: (x, y, z, channel) or channels first."""
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(array.T), isVector=False), str(path))
    return path


@pytest.mark.parametrize("full", [1, 255])
def test_one_hot_channels_become_their_number_with_a_message(full, tmp_path, caplog):
    numbers, grid = blob(), Grid.of(GRID.size)
    label_maps.say.cache_clear()
    with caplog.at_level(logging.WARNING, "mrilib"):
        path = nifti(tmp_path / "last.nii.gz", one_hot(numbers).transpose(2, 1, 0, 3) * full)
        assert np.array_equal(label(path, grid), numbers) and np.array_equal(label(path), numbers)
    assert [r.message for r in caplog.records] == [
        f"{path}: holds 3 one-hot channels: the number of the channel is taken as the label"]
    path = nifti(tmp_path / "first.nii.gz", one_hot(numbers).transpose(3, 2, 1, 0) * full)
    assert np.array_equal(label(path, grid), numbers)
    path = nifti(tmp_path / "single.nii.gz", np.float32(numbers.T[None]))
    assert np.array_equal(label(path, grid), numbers)


@pytest.mark.parametrize("change", ["shared", "none", "half"])
def test_channels_that_are_not_one_hot_are_a_clear_error(change, tmp_path):
    array = one_hot(blob()).transpose(2, 1, 0, 3)
    array[0, 0, 0] = {"shared": (1, 1, 0), "none": (0, 0, 0), "half": (0.5, 0.5, 0)}[change]
    path = nifti(tmp_path / "a.nii.gz", array)
    for grid in (None, Grid.of(GRID.size)):
        with pytest.raises(CaseError, match="a.nii.gz: is no label map: it holds 3 channels, which are not one-hot"):
            label(path, grid)
