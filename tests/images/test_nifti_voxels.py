"""Voxels of NIfTI files: as ITK reads them, whatever header is before them; NaN is found, wrong suffixes are named."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from pipeline_data import cut

from mrilib.cases import Case
from mrilib.errors import CaseError
from mrilib.images.grid import Grid
from mrilib.images.io import files, itk

CODES = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int8": 256, "uint16": 512, "uint32": 768,
         "int64": 1024, "uint64": 1280}


def raw_nifti(array, order="<", version=1, offset=None, slope=(1.0, 0.0)):
    """The bytes of a NIfTI file with voxels (x, y, z) from byte `offset`, as FreeSurfer 8 and AFNI write them."""
    offset = offset or (352 if version == 1 else 544)
    head, dims = bytearray(offset), (array.ndim, *array.shape, *[1] * (7 - array.ndim))
    kind = (CODES[array.dtype.name], array.dtype.itemsize * 8)
    if version == 1:
        struct.pack_into(f"{order}i", head, 0, 348)
        struct.pack_into(f"{order}8h", head, 40, *dims)
        struct.pack_into(f"{order}2h", head, 70, *kind)
        struct.pack_into(f"{order}8f", head, 76, *[1.0] * 8)
        struct.pack_into(f"{order}3f", head, 108, offset, *slope)
        head[344:348] = b"n+1\0"
    else:
        struct.pack_into(f"{order}i", head, 0, 540)
        head[4:12] = b"n+2\0\r\n\x1a\n"
        struct.pack_into(f"{order}2h", head, 12, *kind)
        struct.pack_into(f"{order}8q", head, 16, *dims)
        struct.pack_into(f"{order}8d", head, 104, *[1.0] * 8)
        struct.pack_into(f"{order}q2d", head, 168, offset, *slope)
    first = 348 if version == 1 else 540
    if offset >= first + 12:
        head[first] = 1
        struct.pack_into(f"{order}2i", head, first + 4, offset - first - 4, 6)
    return bytes(head) + array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("slope", [(1.0, 0.0), (0.0137, -3.3), (1.0, 2.5), (float("nan"), 0.0)])
@pytest.mark.parametrize("kind", [*CODES])
def test_a_nifti_file_is_read_as_itk_reads_it(kind, slope, order, tmp_path):
    rng, kind = np.random.default_rng(0), np.dtype(kind)
    array = rng.normal(size=(7, 5, 3)).astype(kind)
    if kind.kind in "iu":
        array = rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, array.shape, kind)
    for offset in (352, 496):
        (path := tmp_path / "a.nii").write_bytes(raw_nifti(array, order, 1, offset, slope))
        image, other = files.read(path), itk.from_itk(sitk.ReadImage(str(path)))
        assert np.array_equal(image.array, other.array) and image.array.dtype == other.array.dtype
        assert image.grid == other.grid
        (path := tmp_path / "b.nii").write_bytes(raw_nifti(array, order, 2, offset + 192, slope))  # ITK cannot
        assert np.allclose(files.read(path).array, image.array, rtol=1e-5, atol=1e-5)  # its slope is float64


def test_a_fourth_axis_is_channels_as_itk_has_it(tmp_path):
    for shape in ((7, 5, 3, 2), (7, 5, 1, 4), (7, 5, 3, 1), (7, 5, 3, 1, 1)):
        array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
        (path := tmp_path / "a.nii").write_bytes(raw_nifti(array))
        image, other = files.read(path, several=True), itk.from_itk(sitk.ReadImage(str(path)))
        assert np.array_equal(image.array, other.array) and image.channels == other.channels
        assert image.grid == other.grid
    for shape in ((7, 5), (7, 5, 3, 1, 2)):
        (path := tmp_path / "a.nii").write_bytes(raw_nifti(np.zeros(shape, np.int16)))
        if len(shape) == 2:
            assert files.read(path).grid == itk.from_itk(sitk.ReadImage(str(path))).grid
        else:
            with pytest.raises(CaseError, match="5 dimensions"):
                files.read(path, several=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("order", "version", "offset"), [
    ("<", 1, 352), ("<", 1, 368), ("<", 1, 496), (">", 1, 352), (">", 1, 496), ("<", 1, 20000), ("<", 2, 544),
    (">", 2, 688), ("<", 1, 357),
])  # fmt: skip
def test_nan_in_a_nifti_file_is_refused_though_itk_reads_nought(order, version, offset, kind, suffix, bad, tmp_path):
    array = np.ones((7, 5, 3), kind)
    path, pack = tmp_path / f"v{suffix}", gzip.compress if suffix == ".nii.gz" else bytes
    path.write_bytes(pack(raw_nifti(array, order, version, offset)))
    if offset % 16 == 0:
        assert (files.read(path).array == 1).all()
    for place in ((0, 0, 0), (3, 2, 1), (6, 4, 2)):
        wrong = array.copy()
        wrong[place] = bad
        path.write_bytes(pack(raw_nifti(wrong, order, version, offset)))
        if order == "<" and version == 1 and offset % 16 == 0:  # this is why it must be looked for
            assert np.isfinite(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))).all()
        with pytest.raises(CaseError, match="NaN or infinite"):
            files.read(path)


def test_nan_far_behind_a_long_extension_is_found(tmp_path):
    array = np.ones((128, 128, 70), np.float64)  # more than one block of reading
    array[-1, -1, -1] = np.nan
    (tmp_path / "a.nii").write_bytes(raw_nifti(array, offset=4 << 20))
    with pytest.raises(CaseError, match="NaN or infinite"):
        files.read(tmp_path / "a.nii")


@pytest.mark.parametrize("slope", [(2.0, np.nan), (1.0, np.inf), (1.0, np.nan), (1e36, 0.0)])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_a_slope_that_makes_nan_or_infinity_is_refused(tmp_path, slope, kind):
    array = np.full((7, 5, 3), 30000, kind)
    (tmp_path / "a.nii").write_bytes(raw_nifti(array, slope=slope))
    with pytest.raises(CaseError, match="a.nii: holds NaN or infinite values"):
        files.read_case(Case("a", tmp_path, {"image": tmp_path / "a.nii"}))


def test_a_slope_of_nan_or_nought_scales_nothing(tmp_path):
    array = np.arange(105, dtype=np.int16).reshape(7, 5, 3)
    for slope in ((np.nan, np.nan), (0.0, 0.0), (np.nan, 0.0), (np.inf, 0.0)):
        (tmp_path / "a.nii").write_bytes(raw_nifti(array, slope=slope))
        assert np.array_equal(files.read(tmp_path / "a.nii").array, array.T)


@pytest.mark.parametrize("read", ["files", "foreign"])
def test_a_nifti_file_with_the_wrong_suffix_is_to_be_renamed(tmp_path, read):
    from mrilib.evaluation import foreign

    reader = files.read if read == "files" else foreign.read
    plain = raw_nifti(np.ones((5, 4, 3), np.float32))
    packed = gzip.compress(plain)
    (tmp_path / "a.nii").write_bytes(packed)
    (tmp_path / "a.nii.gz").write_bytes(plain)
    (tmp_path / "b.NII.GZ").write_bytes(plain)
    for name, said in (("a.nii", r"a.nii: is compressed by gzip, .* .rename it to a.nii.gz"),
                       ("a.nii.gz", r"a.nii.gz: is not compressed, .* .rename it to a.nii\W*$"),
                       ("b.NII.GZ", r"rename it to b.NII\W*$")):
        with pytest.raises(CaseError, match=said):
            reader(tmp_path / name)
    cut(tmp_path / "a.nii.gz", 0.1)
    with pytest.raises(CaseError, match="damaged|cut short|cannot be read"):
        reader(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_stranger_s_file_is_read_within_the_bounds_of_its_reference(version, suffix, tmp_path):
    from mrilib.evaluation import foreign

    array, pack = np.arange(105, dtype=np.uint8).reshape(7, 5, 3), gzip.compress if suffix == ".nii.gz" else bytes
    (path := tmp_path / f"a{suffix}").write_bytes(pack(raw_nifti(array, version=version)))
    like = foreign.grid(path)
    assert like.size == (3, 5, 7) and like.same_as(files.read(path).grid)
    assert np.array_equal(foreign.read(path, [like]).array, array.T)
    with pytest.raises(CaseError, match="grid differs from the reference's: size 7,5,3 and 7,5,4"):
        foreign.read(path, [Grid.of((4, 5, 7))])
    path.write_bytes(pack(raw_nifti(array, version=version) + b"more"))
    with pytest.raises(CaseError, match="holds more than its header says"):
        foreign.read(path, [like])
    path.write_bytes(pack(raw_nifti(array, version=version, offset=(1 << 20) + 16)))
    with pytest.raises(CaseError, match="is too large"):
        foreign.read(path, [like])
