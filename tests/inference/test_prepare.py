import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_records import map_record

from mrilib import recipe
from mrilib.cases import Case, find
from mrilib.cases.names import COLOURS
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.inference.prepare import (
    array_of,
    is_picture,
    prepare,
    prepare_volume,
    remaining_steps,
    states_spacing,
    upright,
)
from mrilib.models.record import ImageRecord
from mrilib.recipe import Recipe, Step

MEDIAN, RESIZE, ZSCORE = Step("median", {"radius": 1}), Step("resize", {"size": [32, 32]}), Step("zscore", {})
RECORD = ImageRecord(task="classify", recipe=Recipe((MEDIAN, RESIZE, ZSCORE)).as_dict(), channels=["image"],
                     shape=[32, 32, 1])  # fmt: skip


@pytest.fixture
def raw(tmp_path):
    from PIL import Image as Picture

    folder = tmp_path / "raw"
    folder.mkdir()
    for i in range(3):
        values = np.random.default_rng(i).integers(0, 256, (40, 50), dtype=np.uint8)
        Picture.fromarray(values).save(folder / f"c{i}.png")
    return folder


def through(folder, steps, out):
    """A folder taken through steps on disk, as a tool does it."""
    mine = Recipe.of_root(folder).then(steps, "test")
    out.mkdir()
    (out / "recipe.json").write_text(json.dumps(mine.as_dict()))
    for case in find([folder]):
        recipe.prepare_case(case, steps, out, None, mine.hash)
    return out


def ready(folder):
    steps = remaining_steps(RECORD, folder)
    return [prepare(case, steps, RECORD.channels, RECORD.shape) for case in find([folder])]


def test_raw_half_prepared_and_prepared_cases_come_out_the_same(raw, tmp_path):
    half = through(raw, (MEDIAN,), tmp_path / "half")
    whole = through(half, (RESIZE, ZSCORE), tmp_path / "whole")
    assert [len(remaining_steps(RECORD, f)) for f in (raw, half, whole)] == [3, 2, 0]
    for a, b, c in zip(ready(raw), ready(half), ready(whole), strict=True):
        assert a.array.shape == (32, 32, 1) and a.array.dtype == np.float32
        assert np.array_equal(a.array, b.array) and np.array_equal(a.array, c.array)
        assert a.content == b.content == c.content


def test_another_recipe_is_refused_with_the_difference_unless_as_is(raw, tmp_path):
    other = through(raw, (RESIZE,), tmp_path / "other")
    with pytest.raises(UsageError, match=r"other: prepared otherwise: step 1 is resize.*the model's is median"):
        remaining_steps(RECORD, other)
    further = through(through(raw, (MEDIAN, RESIZE), tmp_path / "a"), (ZSCORE, ZSCORE), tmp_path / "b")
    with pytest.raises(UsageError, match="further than the model's training data: zscore"):
        remaining_steps(RECORD, further)
    assert remaining_steps(RECORD, other, as_is=True) == ()


def test_a_model_of_images_as_given_takes_only_those(raw, tmp_path):
    plain = replace(RECORD, recipe=Recipe().as_dict())
    assert remaining_steps(plain, raw) == ()
    with pytest.raises(UsageError, match="wants data as given"):
        remaining_steps(plain, through(raw, (MEDIAN,), tmp_path / "half"))


def test_an_image_of_another_size_or_dimension_is_refused(raw):
    case = next(find([raw]))
    with pytest.raises(CaseError, match="50 x 40, 1 channel after preparing; the model takes 32 x 32"):
        prepare(case, (), ["image"], [32, 32, 1])
    with pytest.raises(CaseError, match="volume"):
        array_of(case, Image(np.zeros((4, 5, 6)), Grid.of((4, 5, 6))), ["image"])
    with pytest.raises(CaseError, match="not finite"):
        array_of(case, Image(np.full((4, 5), np.nan), Grid.of((4, 5))), ["image"])


def image(*channels):
    values = np.arange(2 * 3 * len(channels), dtype=np.float32).reshape(2, 3, -1)
    return Image(values, Grid.of((2, 3)), channels) if len(channels) > 1 else Image(values[..., 0], Grid.of((2, 3)))


CASE = Case("c", None, {"image": None})


def test_channels_are_brought_to_the_models_order():
    given = image("t1", "t2", "flair")
    array, said = array_of(CASE, given, ["flair", "t1", "t2"])
    assert np.array_equal(array, given.array[..., [2, 0, 1]]) and said


def test_missing_channels_are_named_and_how_to_choose_among_too_many():
    case = Case("c", None, {"t1": Path("/d/t1.nii"), "t2": Path("/d/t2.nii")})
    with pytest.raises(CaseError, match=r"trained on t2 \(choose them with --channels t2\)"):
        array_of(case, image("t1", "t2"), ["t2"])
    with pytest.raises(CaseError, match=r"t1 t2; the model was trained on t1 t2 flair \(no flair\)"):
        array_of(case, image("t1", "t2"), ["t1", "t2", "flair"])


def test_colour_becomes_grey_and_grey_becomes_colour_and_both_are_said():
    colour = image("red", "green", "blue")
    grey, said = array_of(CASE, colour, ["image"])
    assert grey[..., 0] == pytest.approx(colour.array @ [0.299, 0.587, 0.114], abs=1e-5) and "grey" in said
    wide, said = array_of(CASE, image("image"), ["red", "green", "blue"])
    assert wide.shape == (2, 3, 3) and np.array_equal(wide[..., 0], wide[..., 2]) and "colour" in said


def test_a_model_for_label_maps_takes_colour_for_grey_only_where_the_grey_has_no_name(tmp_path):
    for name, array in (("grey", image("image")), ("rgb", image("red", "green", "blue"))):
        files.write(tmp_path / f"{name}.tif", array)
    grey, colour = find([tmp_path])
    assert prepare_volume(colour, (), ["image"]).adapted and prepare_volume(grey, (), COLOURS).adapted
    with pytest.raises(CaseError, match=r"has channels red green blue; the model was trained on flair \(no flair\)"):
        prepare_volume(colour, (), ["flair"])
    with pytest.raises(CaseError, match="has channels flair; the model was trained on red green blue"):
        prepare_volume(replace(grey, channels={"flair": grey.path}), (), COLOURS)


def test_the_native_image_is_the_one_as_given_or_brought_back_to_its_grid(raw, tmp_path):
    case = next(find([raw]))
    given = files.read_case(case)
    assert np.array_equal(prepare(case, (RESIZE,), ["image"], native=True).native.array, given.array)
    whole = through(raw, (RESIZE,), tmp_path / "whole")
    back = prepare(next(find([whole])), (), ["image"], native=True).native
    assert back.grid.same_as(given.grid)
    assert prepare(case, (), ["image"]).native is None


def test_every_volume_comes_out_upright_with_each_voxel_at_its_place_in_the_world():
    from itertools import permutations, product

    rng = np.random.default_rng(0)
    tilt = np.array([[0.98, -0.199, 0], [0.199, 0.98, 0], [0, 0, 1]])  # 11 degrees
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        direction = tilt @ np.eye(3)[:, order] * signs
        grid = Grid.of((4, 5, 6), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0), direction)
        values = rng.normal(size=(4, 5, 6, 2))
        made = upright(Image(values, grid, ("a", "b")))
        assert np.allclose(np.asarray(made.grid.direction), tilt, atol=1e-9)
        index = np.stack(np.indices(made.grid.size), -1)
        there = np.rint(grid.to_index(made.grid.to_world(index))).astype(int)
        assert np.array_equal(made.array, values[tuple(np.moveaxis(there, -1, 0))])
        assert upright(made).grid == made.grid


def test_each_model_of_an_ensemble_gets_the_case_by_its_own_recipe(raw):
    case = next(find([raw]))
    standard, ranged = (RESIZE, ZSCORE), (RESIZE, Step("minmax", {}))
    both = prepare(case, standard, ["image"], others=[ranged]).array
    apart = [prepare(case, steps, ["image"]).array for steps in (standard, ranged)]
    assert len(both) == 2 and all(map(np.array_equal, both, apart))
    with pytest.raises(CaseError, match="on different grids .apply each model alone"):
        prepare(case, standard, ["image"], others=[(ZSCORE,)])


def test_a_volume_is_resampled_to_the_models_spacing_and_keeps_its_native_grid(tmp_path):
    values = np.random.default_rng(0).normal(size=(8, 20, 24)).astype(np.float32)
    grid = Grid.of((8, 20, 24), (4.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.diag([1, -1, 1]))
    files.write(tmp_path / "v.nii.gz", Image(values, grid))
    case = next(find([tmp_path]))
    plain = prepare_volume(case, (), ["flair"])
    assert plain.array.shape == (8, 20, 24, 1) and np.array_equal(plain.array[..., 0], values[:, ::-1])
    assert plain.native_grid.same_as(grid) and plain.grid.direction[1][1] == 1 and len(plain.content) == 64
    assert prepare_volume(case, (), ["flair"], [2.0, 2.0, 2.0]).array.shape == (16, 10, 12, 1)
    assert prepare_volume(case, (), ["flair"], [2.0, 2.0]).array.shape == (8, 10, 12, 1)
    assert prepare_volume(case, (), ["flair"], [4.0, 1.004, 1.0]).array.shape == (8, 20, 24, 1)
    with pytest.raises(CaseError, match="no flair t1"):
        prepare_volume(case, (), ["flair", "t1"])
    picture = tmp_path / "p"
    picture.mkdir()
    files.write(picture / "p.tif", Image(values[0], Grid.of((20, 24))))
    assert prepare_volume(next(find([picture])), (), ["image"], [2.0, 2.0]).array.shape == (1, 20, 24, 1)


def test_a_model_for_label_maps_accepts_another_size_and_crop_but_no_other_values(raw, tmp_path):
    scale, size = Step("zscore", {"region": "foreground"}), Step("pad", {"size": [60, 60]})
    spacing = Step("spacing", {"spacing": [1.0, 1.0]})
    record = map_record(recipe=Recipe((Step("crop", {"margin": 0}), spacing, scale)).as_dict())
    sized = through(raw, (size, scale), tmp_path / "sized")
    assert remaining_steps(record, sized) == (spacing,)
    assert remaining_steps(record, through(raw, (size,), tmp_path / "raw-sized")) == (spacing, scale)
    with pytest.raises(UsageError, match="prepared otherwise: step 1 is pad"):
        remaining_steps(replace(RECORD, recipe=record.recipe), sized)
    with pytest.raises(UsageError, match="prepared otherwise: step 1 is median"):  # but for sizes and crops
        remaining_steps(record, through(raw, (size, MEDIAN, scale), tmp_path / "smooth"))
    with pytest.raises(UsageError, match="prepared further than the model's training data: median"):
        remaining_steps(record, through(raw, (size, scale, MEDIAN), tmp_path / "further"))


def test_pictures_of_another_size_are_refused_and_volumes_are_not(raw, tmp_path):
    scale = Step("zscore", {"region": "image"})
    record = map_record(recipe=Recipe((Step("resize", {"size": [16, 16]}), scale)).as_dict())
    sized = through(raw, (RESIZE, scale), tmp_path / "sized")
    pictures = is_picture(next(find([sized])))
    assert pictures and not is_picture(next(find([raw])))
    with pytest.raises(UsageError, match=r"sized: prepared otherwise: step 1 is resize\(size=\[32, 32\]"):
        remaining_steps(record, sized, pictures=pictures)
    (tmp_path / "v").mkdir()
    files.write(tmp_path / "v/v.nii.gz", Image(np.random.default_rng(0).normal(size=(4, 40, 50)), Grid.of((4, 40, 50))))
    volumes = through(tmp_path / "v", (Step("resize", {"size": [4, 32, 32]}), scale), tmp_path / "volumes")
    known = replace(record, spacing=[1.0, 1.0, 1.0])
    assert remaining_steps(known, volumes, pictures=is_picture(next(find([volumes])))) == ()


def test_the_one_slice_of_a_volume_keeps_its_spacing_when_it_is_prepared_to_a_picture(raw, tmp_path):
    scale, spacing = Step("zscore", {"region": "image"}), Step("spacing", {"spacing": [2.0, 2.0]})
    (tmp_path / "v").mkdir()
    files.write(tmp_path / "v/v.nii.gz", Image(np.random.default_rng(0).normal(size=(1, 40, 50)), Grid.of((1, 40, 50))))
    pictures, slices = (next(find([through(folder, (spacing, scale), tmp_path / name)]))
                        for folder, name in ((raw, "pictures"), (tmp_path / "v", "slices")))
    assert slices.path.suffix == pictures.path.suffix == ".tif"
    assert [states_spacing(case) for case in (slices, pictures, next(find([raw])))] == [True, False, False]
    record = map_record(recipe=Recipe((scale,)).as_dict(), spacing=[1.0, 1.0])
    assert remaining_steps(record, slices.root, pictures=is_picture(slices)) == ()
    assert prepare_volume(slices, (), ["image"], record.spacing).array.shape == (1, 40, 50, 1)


def test_where_no_spacing_is_known_another_one_is_refused(raw, tmp_path):
    """As of pictures and stacks of them: nothing would bring them back to the scale that the model knows."""
    scale, spacing = Step("zscore", {"region": "image"}), Step("spacing", {"spacing": [2.0, 2.0]})
    coarse = through(raw, (spacing, scale), tmp_path / "coarse")
    record = map_record(recipe=Recipe((scale,)).as_dict())
    with pytest.raises(UsageError, match="coarse: prepared otherwise: step 1 is spacing"):
        remaining_steps(record, coarse)
    with pytest.raises(UsageError, match="coarse: prepared otherwise: step 1 is spacing"):
        remaining_steps(replace(record, spacing=[1.0, 1.0]), coarse, pictures=True)
    assert remaining_steps(replace(record, spacing=[1.0, 1.0]), coarse) == ()
    own = replace(record, recipe=Recipe((spacing, scale)).as_dict())
    assert remaining_steps(own, through(raw, (scale,), tmp_path / "fine")) == (spacing,)
