"""Copies are found whatever was done to them, and different heads are not taken for copies."""

import numpy as np
import pytest
from PIL import Image as Picture
from pipeline_data import head

from mrilib import cases, duplicates
from mrilib.errors import CaseError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight different heads, and copies of the first with what the web does to images."""
    folder = tmp_path_factory.mktemp("copies")
    for i in range(8):
        Picture.fromarray(head(100 + i, 220, 190)).save(folder / f"head{i}.png")
    picture = Picture.open(folder / "head0.png")
    (folder / "bytes.png").write_bytes((folder / "head0.png").read_bytes())
    picture.save(folder / "pixels.bmp")
    picture.save(folder / "jpeg.jpg", quality=40)
    picture.resize((320, 370)).save(folder / "larger.png")
    picture.transpose(Picture.Transpose.FLIP_LEFT_RIGHT).save(folder / "mirrored.png")
    picture.convert("RGB").save(folder / "colour.png")
    wide = Picture.new("L", (400, 300))
    wide.paste(picture, (150, 40))
    wide.save(folder / "on a wide page.png")
    brighter = np.clip(np.asarray(picture) * 1.3, 0, 255).astype(np.uint8)
    Picture.fromarray(brighter).save(folder / "brighter.png")
    return folder


@pytest.fixture(scope="module")
def prints(folder):
    found = list(cases.find([folder], layout="plain"))
    return [c.id for c in found], [duplicates.fingerprint(c) for c in found]


def test_copies_are_found_and_told_apart_from_other_heads(prints):
    ids, made = prints
    linked = {frozenset((ids[i], ids[j])): kind for i, j, kind in duplicates.pairs(made)}
    exact = {"bytes", "pixels", "colour", "head0"}  # the first of them stands for all
    assert {pair for pair, kind in linked.items() if kind == "exact"} == {frozenset(("bytes", n)) for n in exact - {
        "bytes"}}
    for name in ("jpeg", "larger", "mirrored", "on a wide page", "brighter"):
        assert linked[frozenset(("bytes", name))] == "near", name
    group = dict(zip(ids, duplicates.groups(len(ids), duplicates.pairs(made)), strict=True))
    assert len({group[name] for name in ids if not name.startswith("head")} | {group["head0"]}) == 1
    assert len({group[f"head{i}"] for i in range(8)}) == 8


def test_exact_alone_and_limits(prints):
    ids, made = prints
    exact = duplicates.pairs(made, near=False)
    assert [kind for *_, kind in exact] == ["exact"] * 3
    assert len(duplicates.pairs(made, 0)) < len(duplicates.pairs(made)) < len(duplicates.pairs(made, 64, -1.1))
    alone = len(made) - 3
    assert len(duplicates.pairs(made, 64, -1.1)) == 3 + alone * (alone - 1) // 2
    assert duplicates.pairs([]) == [] == duplicates.pairs(made[:1])


def test_rows_in_portions_give_the_same_pairs(prints, monkeypatch):
    whole = duplicates.pairs(prints[1])
    monkeypatch.setattr(duplicates, "ROWS", 3)
    assert duplicates.pairs(prints[1]) == whole


def test_groups_are_connected_components():
    assert duplicates.groups(6, [(0, 3, "near"), (4, 3, "exact"), (1, 5)]).tolist() == [0, 1, 2, 0, 0, 1]
    assert duplicates.groups(3, []).tolist() == [0, 1, 2]
    assert duplicates.groups(0, []).tolist() == []


@pytest.mark.parametrize("array", [
    np.zeros((40, 30), np.uint8), np.full((1, 1), 7, np.uint8), np.full((3, 600), 9, np.uint8),
    np.eye(3, 700, dtype=np.uint8) * 255, np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40,
])  # fmt: skip
def test_pictures_without_a_head_have_fingerprints_too(array, tmp_path):
    Picture.fromarray(array).save(tmp_path / "a.png")
    made = duplicates.fingerprint(cases.of_file(tmp_path / "a.png"))
    assert made.hashes.shape == (2, 64) and np.isfinite(made.thumbnail).all()
    assert duplicates.pairs([made, made]) == [(0, 1, "exact")]


def test_volumes_by_content_alone(tmp_path):
    import SimpleITK as sitk

    stack = np.stack([head(i, 60, 50) for i in range(9)]).astype(np.int16)
    for name, array, spacing in (("a", stack, 1.0), ("same", stack, 2.0), ("noisy", stack + 1, 1.0),
                                 ("other", stack[::-1] // 2, 1.0), ("another", np.roll(stack, 4, 0), 1.0)):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing((1.0, 1.0, spacing))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    found = {c.id: duplicates.fingerprint(c) for c in cases.find([tmp_path], layout="plain")}

    def kind(one, two):
        return [k for *_, k in duplicates.pairs([found[one], found[two]])]

    assert kind("a", "same") == ["exact"]
    assert kind("a", "noisy") == []
    assert kind("a", "another") == []


def test_images_of_two_persons_are_copies_only_when_equal(tmp_path):
    for name, array in (("a", head(1, 60, 50)), ("same", head(1, 60, 50)), ("near", head(1, 60, 50) // 2),
                        ("black", np.zeros((9, 9))), ("night", np.zeros((9, 9)))):
        Picture.fromarray(array.astype(np.uint8)).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in ("a", "same", "near", "black", "night")]
    made = [duplicates.fingerprint(cases.of_file(path)) for path in paths]
    assert duplicates.pairs(made) == [(0, 1, "exact"), (0, 2, "near"), (3, 4, "exact")]
    assert duplicates.pairs(made, subjects=["p"] * 5) == duplicates.pairs(made)
    assert duplicates.pairs(made, subjects=["p", "q", "r", "s", "t"]) == [(0, 1, "exact")]
    assert duplicates.pairs(made, subjects=["p", "q", None, "s", "s"]) == duplicates.pairs(made)


def test_damaged_images_are_errors_of_their_case(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(CaseError, match="is not an image"):
        duplicates.fingerprint(cases.of_file(tmp_path / "a.png"))


def test_the_search_finds_what_comparing_every_pair_finds(monkeypatch):
    rng = np.random.default_rng(0)
    originals = rng.random((12, 64)) < 0.5, rng.normal(size=(12, 32, 32)).astype(np.float32)
    prints = []
    for i in range(90):
        hashes, thumbnail = originals[0][i % 12].copy(), originals[1][i % 12].copy()
        hashes[rng.integers(0, 64, rng.integers(0, 9))] ^= True  # up to 8 bits, so pairs differ by up to 16
        thumbnail += rng.normal(size=(32, 32)) * rng.uniform(0, 0.5)
        thumbnail -= thumbnail.mean()
        thumbnail /= np.linalg.norm(thumbnail)
        views = (hashes, rng.random(64) < 0.5)
        if i % 3 == 0:
            views, thumbnail = views[::-1], np.ascontiguousarray(thumbnail[:, ::-1])
        prints.append(duplicates.Fingerprint(str(i), f"p{i}", np.array(views), thumbnail))

    def linked(i, j):
        one, other = prints[i], prints[j]
        return any((one.hashes[0] != other.hashes[view]).sum() <= duplicates.DISTANCE
                   and (one.thumbnail * other.thumbnail[:, :: 1 - 2 * view]).sum() >= duplicates.CORRELATION
                   for view in (0, 1))  # fmt: skip

    expected = [(i, j, "near") for i in range(90) for j in range(i + 1, 90) if linked(i, j)]
    assert len(expected) > 100
    assert duplicates.pairs(prints) == expected
    monkeypatch.setattr(duplicates, "PAIRS", 5)
    assert duplicates.pairs(prints) == expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(300, 290), (600, 512), (40, 30, 3)])
def test_an_image_that_has_been_read_is_not_read_again(kind, shape, tmp_path):
    from mrilib.images.grid import Grid, Image
    from mrilib.images.io import files

    array = (np.random.default_rng(1).random(shape) * 250).astype(kind)
    files.write(tmp_path / "a.tif", Image(array, Grid.of(shape[:2]), ("a", "b", "c")[: len(shape) // 3 * 3]))
    case = cases.of_file(tmp_path / "a.tif")
    alone, given = duplicates.fingerprint(case), duplicates.fingerprint(case, files.read_case(case))
    assert (alone.content, alone.pixels, alone.blank) == (given.content, given.pixels, given.blank)
    assert np.array_equal(alone.hashes, given.hashes) and np.array_equal(alone.thumbnail, given.thumbnail)
    block = -(-max(shape) // 256)  # the small picture is the mean over blocks, whatever the type
    grey = array.reshape(*shape[:2], -1).mean(-1, dtype=np.float64)
    height, width = (n // block * block for n in shape[:2])
    expected = grey[:height, :width].reshape(height // block, block, width // block, block).mean((1, 3))
    assert np.allclose(duplicates._smaller(array.reshape(*shape[:2], -1)), expected, rtol=1e-5)
