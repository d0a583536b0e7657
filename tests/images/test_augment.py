"""Augmentation in memory: exact or equal to a reference, repeatable, and refused when it makes no sense."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_data import head

from mrilib.errors import UsageError
from mrilib.images.augment import affine, transforms, warp
from mrilib.images.augment import draw as augment
from mrilib.images.grid import Grid, Image
from mrilib.images.steps.foreground import border

FULL = {"flip": "lr,ud", "rotate": 30, "shear": 8, "scale": "0.8:1.25", "shift": "10%", "blur": 1, "contrast": 0.3,
        "brightness": 0.3, "gamma": 0.4, "noise": 0.05}  # fmt: skip
SPATIAL = transforms.settings({name: FULL[name] for name in affine.SPATIAL if name in FULL})


def apply(image, drawn, label=False):
    """An image, or a label map, after a draw."""
    array = np.asarray(image.by_channel(), np.float32)
    changed, moved = augment.apply_pair(array, image.array if label else None, drawn, image.grid.spacing)
    return image.with_array(moved if label else changed.reshape(image.array.shape))


def picture(shape=(40, 50), spacing=None, channels=0):
    array = np.random.default_rng(1).random((*shape, channels) if channels else shape).astype(np.float32)
    return Image(array, Grid.of(shape, spacing), tuple(f"c{i}" for i in range(channels)))


@pytest.mark.parametrize("shape", [(40, 50), (9, 20, 30)])
def test_what_changes_nothing_gives_back_the_input(shape):
    image = picture(shape, channels=2)
    n = len(shape)
    still = {"rotate": [0.0] * len(affine.planes(n)), "shear": [0.0] * (n * (n - 1)), "scale": 1.0, "shift": [0.0] * n}
    for drawn in ({}, still):
        made = apply(image, drawn)
        assert np.array_equal(made.array, image.array) and made.grid == image.grid
        assert made.array is not image.array
    assert np.array_equal(augment.apply_pair(image.array, None, {}, (1,) * n)[0], image.array)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_those_of_numpy(turns):
    square, volume = picture((33, 33)), picture((5, 24, 24))
    drawn = {"rotate": [90.0 * turns]}
    assert np.array_equal(apply(square, drawn).array, np.rot90(square.array, turns))
    assert np.array_equal(apply(volume, {"rotate": [0, 0, 90.0 * turns]}).array,
                          np.rot90(volume.array, turns, axes=(1, 2)))
    cube = picture((12, 12, 12))
    assert np.array_equal(apply(cube, {"rotate": [90.0 * turns, 0, 0]}).array,
                          np.rot90(cube.array, turns, axes=(0, 1)))


def test_flips_and_whole_shifts_only_move_values():
    image, volume = picture(), picture((4, 6, 8), (3, 1, 1))
    assert np.array_equal(apply(image, {"flip": ["lr"]}).array, image.array[:, ::-1])
    assert np.array_equal(apply(image, {"flip": ["ud"]}).array, image.array[::-1])
    assert np.array_equal(apply(volume, {"flip": ["lr", "ud", "ap"]}).array, volume.array[::-1, ::-1, ::-1])
    moved = apply(image, {"shift": [3.0, -5.0]}).array
    assert np.array_equal(moved[3:, :-5], image.array[:-3, 5:])
    assert (moved[:3] == border(image.array).min()).all()


@pytest.mark.parametrize("spacing", [(1, 1), (2.5, 0.8)])
def test_an_affine_agrees_with_simpleitk_in_the_world(spacing):
    import SimpleITK as sitk

    from mrilib.images.io.itk import to_itk

    image = picture((60, 70), spacing)
    drawn = {"rotate": [17.0], "shear": [4.0, -7.0], "scale": 1.12, "shift": [4.3, -2.1], "flip": ["lr"]}
    forward = affine.world_matrix(drawn, 2)
    centre = image.grid.to_world(np.subtract(image.grid.size, 1) / 2)
    back = np.linalg.inv(forward)
    transform = sitk.AffineTransform(back[::-1, ::-1].ravel().tolist(), (-back @ drawn["shift"])[::-1].tolist(),
                                     centre[::-1].tolist())
    itk = to_itk(image)
    outside = float(border(image.array).min())
    theirs = sitk.GetArrayFromImage(sitk.Resample(itk, itk, transform, sitk.sitkLinear, outside))
    mine = apply(image, drawn).array
    assert np.abs(mine - theirs).max() < 1e-4
    labels = image.with_array((image.array * 5).astype(np.uint8))
    theirs = sitk.GetArrayFromImage(sitk.Resample(to_itk(labels), itk, transform, sitk.sitkNearestNeighbor, 0))
    assert np.array_equal(apply(labels, drawn, label=True).array, theirs)


def test_volumes_turn_in_millimetres():
    y, x = np.mgrid[-30:31, -30:31]
    ball = np.stack([(x**2 + y**2 + (5 * z) ** 2 < 20**2) for z in range(-6, 7)]).astype(np.float32)
    image = Image(ball, Grid.of(ball.shape, (5.0, 1.0, 1.0)))
    turned = apply(image, {"rotate": [35.0, -20.0, 10.0]}).array  # a ball stays a ball
    assert 2 * ((turned > 0.5) & (ball > 0.5)).sum() / ((turned > 0.5).sum() + ball.sum()) > 0.95


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_labels_get_no_new_values_and_stay_on_their_objects(seed):
    labels = np.zeros((48, 60), np.int16)
    labels[10:30, 15:40], labels[15:22, 20:33] = 2, 4
    image = Image((labels * 50).astype(np.float32), Grid.of(labels.shape, (1.5, 0.7)))
    drawn = augment.draw(SPATIAL, np.random.default_rng(seed), image.grid)
    moved = apply(image.with_array(labels), drawn, label=True)
    assert set(np.unique(moved.array)) <= {0, 2, 4} and moved.array.dtype == np.int16
    values = apply(image, drawn).array
    assert ((values > 50) == (moved.array > 0)).mean() > 0.99


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_boxes_hold_all_of_their_object(seed):
    labels = np.zeros((48, 60), np.uint8)
    labels[10:30, 15:40] = 1
    grid = Grid.of(labels.shape, (1.5, 0.7))
    drawn = augment.draw(SPATIAL, np.random.default_rng(seed), grid)
    rows, columns = np.nonzero(apply(Image(labels, grid), drawn, label=True).array)
    boxes = warp.boxes([(15, 10, 40, 30, "tumour")], drawn, grid)
    if rows.size:
        x0, y0, x1, y1, kind = boxes[0]
        assert kind == "tumour"
        assert x0 <= columns.min() and columns.max() + 1 <= x1
        assert y0 <= rows.min() and rows.max() + 1 <= y1


def test_boxes_of_flips_are_exact():
    grid = Grid.of((48, 60))
    assert warp.boxes([(15, 10, 40, 30, "a")], {"flip": ["lr"]}, grid) == [[20, 10, 45, 30, "a"]]
    assert warp.boxes([(15.5, 10, 40, 30)], {"gamma": 2.0}, grid) == [[15.5, 10, 40, 30]]
    assert warp.boxes([(0, 0, 5, 5)], {"shift": [-10.0, 0.0]}, grid) == []


def test_a_draw_depends_on_seed_case_and_copy_alone():
    chosen, grid = transforms.settings(FULL), Grid.of((40, 50))

    def drawn(*key):
        return augment.draw(chosen, augment.generator(*key), grid)

    assert drawn(0, "yes/a", 1) == drawn(0, "yes/a", 1)
    others = [drawn(1, "yes/a", 1), drawn(0, "yes/b", 1), drawn(0, "yes/a", 2)]
    assert all(other != drawn(0, "yes/a", 1) for other in others)
    assert json.loads(json.dumps(drawn(0, "yes/a", 1))) == drawn(0, "yes/a", 1)


def test_setting_one_transform_leaves_the_draws_of_the_others():
    grid = Grid.of((40, 50))
    both = augment.draw(transforms.settings(FULL), augment.generator(3, "a", 1), grid)
    alone = augment.draw(transforms.settings({"gamma": FULL["gamma"]}), augment.generator(3, "a", 1), grid)
    assert alone == {"gamma": both["gamma"]}


def test_draws_keep_to_their_ranges_and_probabilities():
    grid = Grid.of((100, 200), (2.0, 1.0))
    chosen = transforms.settings({"rotate": "5:15@0.3", "scale": 0.2, "shift": "10%", "noise": 0.1, "flip": "ud@0.25"})
    drawn = [augment.draw(chosen, augment.generator(0, "a", i), grid) for i in range(2000)]
    angles = [d["rotate"][0] for d in drawn if "rotate" in d]
    assert 0.26 < len(angles) / 2000 < 0.34 and min(angles) >= 5 and max(angles) <= 15
    scales = np.array([d["scale"] for d in drawn])
    assert 0.8 <= scales.min() < 0.82 and 1.18 < scales.max() <= 1.2
    shifts = np.abs([d["shift"] for d in drawn])
    assert 19 < shifts[:, 0].max() <= 20 and 19 < shifts[:, 1].max() <= 20  # a tenth of 200 mm, both ways
    assert min(d["noise"] for d in drawn) >= 0 and 0.21 < sum("flip" in d for d in drawn) / 2000 < 0.29


def test_intensities_do_what_they_say():
    image = picture((60, 60))
    array, low = image.array, image.array.min()
    assert np.allclose(apply(image, {"brightness": 1.5}).array, (array - low) * 1.5 + low, atol=1e-5)
    flat = apply(image, {"contrast": 0.5}).array
    assert np.isclose(flat.mean(), array.mean(), atol=1e-4) and np.isclose(flat.std(), array.std() / 2, rtol=0.02)
    strong = apply(image, {"contrast": 3.0}).array
    assert strong.min() >= low and strong.max() <= array.max()
    dark = apply(image, {"gamma": 2.0}).array
    assert (dark <= array + 1e-5).mean() > 0.98 and np.isclose(dark.min(), low)
    noisy = apply(Image(head(1).astype(np.float32), Grid.of((72, 64))), {"noise": 0.1, "seed": 5}).array
    spread = np.percentile(head(1), 99.5) - head(1).min()
    assert np.isclose((noisy - head(1)).std(), 0.1 * spread, rtol=0.05)
    from scipy.ndimage import gaussian_filter

    wide = Image(array, Grid.of(array.shape, (2.0, 1.0)))
    assert np.allclose(apply(wide, {"blur": 2.0}).array,
                       gaussian_filter(array, (1, 2), mode="nearest", truncate=3), atol=1e-6)


def test_channels_move_together():
    image, drawn = picture((40, 50), channels=3), {"rotate": [20.0], "gamma": 1.2}
    made = apply(image, drawn)
    assert made.channels == image.channels
    alone = apply(Image(np.ascontiguousarray(image.array[..., 1]), image.grid), drawn)
    assert np.allclose(made.array[..., 1], alone.array, atol=1e-6)
    assert np.array_equal(augment.apply_pair(image.array, None, drawn, (1, 1))[0], made.array)


@pytest.mark.parametrize("shape", [(40, 50), (9, 30, 24)])
def test_an_image_and_its_label_map_move_as_one(shape):
    image, spacing = picture(shape, channels=2), (1.5, 0.7, 0.9)[-len(shape):]
    label = (image.array[..., 0] > 0.5).astype(np.uint8) * 4
    chosen = transforms.settings({**{n: v for n, v in FULL.items() if n in affine.SPATIAL}, "gamma": 0.3})
    for copy in range(5):
        grid = Grid.of(shape, spacing)
        drawn = augment.draw(chosen, augment.generator(0, "a", copy), grid)
        array, moved = augment.apply_pair(image.array, label, drawn, spacing)
        assert np.array_equal(array, augment.apply_pair(image.array, None, drawn, spacing)[0])
        assert np.array_equal(moved, apply(Image(label, grid), drawn, label=True).array)
        assert moved.dtype == np.uint8 and set(np.unique(moved)) == {0, 4}
        alone, nothing = augment.apply_pair(image.array, None, drawn, spacing)
        assert nothing is None and np.array_equal(alone, array)
    same, unmoved = augment.apply_pair(image.array, label, {}, spacing)
    assert np.array_equal(same, image.array) and np.array_equal(unmoved, label) and unmoved is not label
    with pytest.raises(ValueError, match="does not lie on"):
        augment.apply_pair(image.array, label[:-1], {}, spacing)


@pytest.mark.parametrize("preset", list(transforms.PRESETS))
def test_presets_are_settings_and_come_back_from_their_text(preset, tmp_path):
    chosen = transforms.settings(preset)
    assert transforms.settings(chosen.as_dict()) == chosen and bool(chosen) == (preset != "none")
    (tmp_path / "a.json").write_text(json.dumps(chosen.as_dict()))
    (tmp_path / "a.toml").write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in chosen.as_dict().items()))
    assert transforms.settings(tmp_path / "a.json") == transforms.settings(str(tmp_path / "a.toml")) == chosen
    made = apply(picture(), augment.draw(chosen, augment.generator(0, "a", 1), picture().grid))
    assert np.isfinite(made.array).all()


def test_a_file_may_start_from_a_preset_and_take_something_out(tmp_path):
    (tmp_path / "a.toml").write_text('preset = "medium"\nrotate = "none"\nscale = [0.5, 2.0]\n')
    chosen = transforms.settings(tmp_path / "a.toml")
    assert "rotate" not in chosen.ranges and chosen.ranges["scale"].high == 2 and "shear" in chosen.ranges


def test_words_are_settings_too():
    chosen = transforms.settings("rotate=15 flip=lr,ud scale=0.9:1.1@0.5 interpolation=cubic")
    same = {"rotate": 15, "flip": "lr,ud", "scale": "0.9:1.1@0.5", "interpolation": "cubic"}
    assert chosen == transforms.settings(same)
    assert transforms.settings(chosen.as_dict()) == chosen
    assert transforms.settings({"low-resolution": 2}).ranges["low_resolution"] == transforms.Range(1, 2)


@pytest.mark.parametrize(("wrong", "says"), [
    ({"rotate": 0}, "does nothing"), ({"scale": "1:1"}, "does nothing"), ({"noise": "0:0"}, "does nothing"),
    ({"rotate": "15@0"}, "probability"), ({"rotate": "15@2"}, "probability"), ({"flip": "lr@0"}, "probability"),
    ({"shear": 90}, "beyond"), ({"scale": "0:1.2"}, "beyond"), ({"scale": 1.1}, "beyond"),
    ({"gamma": "-1:2"}, "beyond"),
    ({"noise": "-0.1:0.1"}, "beyond"), ({"rotate": "9:3"}, "high to low"), ({"rotate": -5}, "below 0"),
    ({"rotate": "x"}, "neither"), ({"rotate": "1:2:3"}, "neither"), ({"rotate": "nan"}, "neither"),
    ({"rotate": True}, "neither"), ({"scale": "inf"}, "neither"), ({"rotate": "5%"}, "may be given in %"),
    ({"flip": "xy"}, "unknown"), ({"twirl": 3}, "unknown transform"), ({"preset": "mild"}, "unknown preset"),
    ("mild", "unknown augmentation"), ("rotate=", "unknown augmentation"), ("rotate=15 twirl=3", "unknown transform"),
    ({"cutout": 0}, "does nothing"), ({"low_resolution": "1:1"}, "does nothing"), ({"dropout": 0}, "does nothing"),
    ({"dropout": 1.5}, "whole number"), ({"labels": "round"}, "unknown"), ({"elastic_width": 9}, "without elastic"),
    ({"gamma": 0.2, "labels": "smooth"}, "nothing moves"), ({"bias": -1}, "below 0"), ({"ghosting": 1}, "beyond"),
    ("nowhere.toml", "cannot be read"),
])  # fmt: skip
def test_senseless_settings_are_refused(wrong, says):
    with pytest.raises(UsageError, match=says):
        transforms.settings(wrong)


def test_a_picture_has_no_third_axis_and_no_nan():
    with pytest.raises(UsageError, match="volumes"):
        augment.draw(transforms.settings({"flip": "ap"}), augment.generator(0, "a", 1), Grid.of((4, 5)))


def test_it_is_quick_enough_for_training():
    import time

    chosen, grid = transforms.settings("heavy"), Grid.of((224, 224))
    array = np.repeat(np.repeat(head(1, 224, 224), 1, 0)[..., None], 1, -1).astype(np.float32)
    best = 1e9
    for _ in range(3):  # processor time, the best of three: other work on the machine does not count
        start = time.process_time()
        for i in range(60):
            augment.apply_pair(array, None, augment.draw(chosen, augment.generator(0, "a", i), grid), (1.0, 1.0))
        best = min(best, (time.process_time() - start) / 60)
    assert best < 1 / 200
