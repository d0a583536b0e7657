"""The recipe: what was done, what is still to do, and that a chain in memory equals the chain through files."""

from dataclasses import replace
from importlib import import_module
from inspect import signature

import numpy as np
import pytest
from pipeline_data import head, save

from mrilib import cases, phantom, recipe
from mrilib import store as records
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.images.registry import LEARNERS, MASKS, STEPS
from mrilib.recipe import Recipe, Step
from mrilib.recipe.execution import learn, look

MEDIAN = Step("median", {"radius": 1})
SIZE = Step("resize", {"size": [32], "fit": "pad"})
SCALE = Step("zscore", {"region": "image"})


def case_at(path, **more):
    save(path, head(3))
    found = next(cases.find([path.parent]))
    return replace(found, **more)


def test_the_hash_names_the_steps_and_nothing_else():
    one = Recipe((MEDIAN, SIZE), "a 1")
    assert one.hash == Recipe((MEDIAN, SIZE), "b 2", {"seed": 3}).hash and len(one.hash) == 16
    assert len({one.hash, Recipe((SIZE, MEDIAN)).hash, Recipe((MEDIAN,)).hash,
                Recipe((MEDIAN, Step("resize", {"size": [33], "fit": "pad"}))).hash}) == 4  # fmt: skip
    assert Recipe().hash == ""


def test_a_recipe_survives_its_file(tmp_path):
    mine = Recipe((MEDIAN, Step("zscore", {"region": "image"}, {"x": [1.5]})), "mri-x 1", {"seed": 1})
    records.write_json(tmp_path / "recipe.json", mine.as_dict())
    assert Recipe.of_root(tmp_path) == mine
    assert Recipe.of_root(tmp_path / "elsewhere") == Recipe()


@pytest.mark.parametrize("spoil", [{"format": 2}, {"steps": [{"step": "n5", "version": 1, "parameters": {}}]},
                                   {"steps": [{"step": "median"}]}, {"steps": None}])
def test_a_recipe_of_another_kind_is_refused(spoil):
    with pytest.raises(CaseError):
        Recipe.from_dict({**Recipe((MEDIAN,)).as_dict(), **spoil}, where="recipe.json")


def test_what_remains_to_be_done():
    whole = Recipe((MEDIAN, SIZE, SCALE))
    assert whole.remaining(Recipe()) == (MEDIAN, SIZE, SCALE)
    assert whole.remaining(Recipe((MEDIAN,))) == (SIZE, SCALE)
    assert whole.remaining(whole) == ()
    with pytest.raises(UsageError, match=r"step 1 is resize\(size=\[32\], fit=pad\), the model's is median"):
        whole.remaining(Recipe((SIZE,)))
    with pytest.raises(UsageError, match="further"):
        Recipe((MEDIAN,)).remaining(whole)


def test_a_chain_in_memory_equals_the_chain_through_files(tmp_path):
    for i, name in enumerate(("a.png", "b.png")):
        save(tmp_path / "in/yes" / name, head(i))
    steps = (MEDIAN, SIZE, SCALE)
    found = list(cases.find([tmp_path / "in"]))
    in_memory = [recipe.apply(steps, files.read_case(c))[0] for c in found]
    for number, step in enumerate(steps):
        have = Recipe(steps[: number + 1])
        out = tmp_path / f"out{number}"
        records.write_json(out / "recipe.json", have.as_dict())
        for c in found:
            recipe.prepare_case(c, (step,), out, None, have.hash)
        found = list(cases.find([out]))
    for c, expected in zip(found, in_memory, strict=True):
        got = files.read_case(c)
        assert np.array_equal(got.array, expected.array) and got.grid.same_as(expected.grid, 1e-9)
        record = records.read_json(records.record_path(c.root, c.id))
        assert [m["step"] for m in record["measured"]] == ["median", "resize", "zscore"]
        assert record["native_grid"]["size"] == [72, 64] and c.class_name == "yes"
        assert record["content"] == records.content_hash([tmp_path / "in" / f"{c.id}.png"])


def test_a_lone_channel_keeps_its_name(tmp_path):
    case = case_at(tmp_path / "in/a.png")
    assert recipe.read(case, ())[0].channels == ()  # of unknown sequence
    named = replace(case, channels={"flair": case.path})
    path, _ = recipe.prepare_case(named, (Step("sobel"),), tmp_path / "out", None, "h")
    assert files.read(path).channels == ("flair", "flair-sobel")


def test_label_map_and_boxes_move_along(tmp_path):
    mask = np.zeros((72, 64), np.uint8)
    mask[20:40, 10:30] = 3
    save(tmp_path / "in/a_mask.png", mask)
    case = case_at(tmp_path / "in/a.png", boxes=((10, 20, 30, 40, "x"),))
    assert case.label is not None
    path, _ = recipe.prepare_case(case, (Step("resize", {"size": [144], "fit": "pad"}),), tmp_path / "out", None, "h")
    record = records.read_json(tmp_path / "out/a.json")
    x0, y0, x1, y1, kind = record["case"]["boxes"][0]
    assert np.allclose((x0, y0, x1, y1), (28, 40, 68, 80), atol=1e-6) and kind == "x"  # twice as large, 8 padded
    rows, columns = np.nonzero(files.read(tmp_path / "out" / record["case"]["label"]).array)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (40, 80, 28, 68)
    assert path == tmp_path / "out/a.tif"


def test_finished_work_is_kept_until_its_input_or_recipe_changes(tmp_path):
    case, out = case_at(tmp_path / "in/a.png"), tmp_path / "out"
    path, _ = recipe.prepare_case(case, (MEDIAN,), out, None, "h")
    first = path.stat().st_mtime_ns
    recipe.prepare_case(case, (MEDIAN,), out, None, "h")
    assert path.stat().st_mtime_ns == first
    recipe.prepare_case(case, (MEDIAN,), out, None, "other")
    assert (second := path.stat().st_mtime_ns) > first
    save(tmp_path / "in/a.png", head(8))
    recipe.prepare_case(case, (MEDIAN,), out, None, "other")
    assert path.stat().st_mtime_ns > second


def test_what_is_said_of_a_case_is_mended_when_it_is_prepared_again(tmp_path):
    mask = np.zeros((72, 64), np.uint8)
    mask[20:40, 10:30] = 3
    save(tmp_path / "in/a_mask.png", mask)
    case, out = case_at(tmp_path / "in/a.png", class_name="no", boxes=((10, 20, 30, 40, "x"),)), tmp_path / "out"
    steps = (Step("resize", {"size": [144], "fit": "pad"}),)

    def again(**more):
        path, _ = recipe.prepare_case(replace(case, **more), steps, out, None, "h")
        return path.stat().st_mtime_ns, records.read_json(out / "a.json")["case"]

    first, known = again()
    assert known["class"] == "no" and "scheme" not in known
    kept, known = again(class_name="yes", subject="p1", scheme="brats2023")
    assert kept == first and (known["class"], known["subject"], known["scheme"]) == ("yes", "p1", "brats2023")
    assert known["label"] == "a_mask.tif" and again(class_name=None)[1].get("class") is None
    with pytest.raises(CaseError, match="brats2020"):
        again(scheme="brats2020")  # which has no 3
    made, known = again(boxes=((0, 20, 30, 40, "x"),))
    assert made > first and np.allclose(known["boxes"][0][:4], (8, 40, 68, 80), atol=1e-6)


def test_other_channels_of_a_case_take_the_place_of_the_first(tmp_path):
    volume = np.stack([head(i) for i in range(4)])
    (tmp_path / "in/c").mkdir(parents=True)
    for name in ("t1", "flair"):
        files.write(tmp_path / f"in/c/c-{name}.nii.gz", Image(volume, Grid.of(volume.shape)))
    (both,), (one,) = (list(cases.find([tmp_path / "in"], cases.Reading(channels=c))) for c in ((), ("flair",)))
    out = tmp_path / "out"
    recipe.prepare_case(both, (MEDIAN,), out, None, "h")
    assert recipe.prepare_case(one, (MEDIAN,), out, None, "h")[0] == out / "c.nii.gz"
    assert [p.name for p in out.rglob("*.nii.gz")] == ["c.nii.gz"]


@pytest.mark.parametrize("suffix", [".tif", ".png", ".nii.gz", ".nii", ".mha"])
def test_a_prepared_file_without_its_recipe_is_refused(tmp_path, suffix):
    mine = Recipe((MEDIAN,))
    records.write_json(tmp_path / "out/recipe.json", mine.as_dict())
    path, _ = recipe.prepare_case(case_at(tmp_path / "in/a.png"), mine.steps, tmp_path / "out", suffix, mine.hash)
    recipe.check_origin(next(cases.find([tmp_path / "out"])))
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CaseError, match=r"parted from its recipe\.json"):
        recipe.check_origin(next(cases.find([tmp_path / "stray"])))


def test_a_label_map_that_was_predicted_is_no_image(tmp_path):
    case = case_at(tmp_path / "a.png")
    (tmp_path / "a.json").write_text('["some other JSON, such as outlines"]')
    assert records.of_case(case.root, case.id) == {}
    recipe.check_origin(case)
    records.write_json(tmp_path / "a.json", {"model": ["x"], "scheme": "binary"})
    records.write_json(tmp_path / "recipe.json", {"format": 1, "steps": [], "prediction": {}})
    with pytest.raises(CaseError, match=r"a.png: is a label map that mri-predict wrote"):
        recipe.check_origin(case)


@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_of_the_registry_is_a_pure_function_of_plain_parameters(name, tmp_path):
    import json

    module, function = STEPS[name].split(":")
    step = getattr(import_module(module), function)
    assert step.__doc__ and "mask" in signature(step).parameters
    given = {"resize": {"size": [20, 24]}, "pad": {"size": [90, 30]}, "spacing": {"spacing": [2.0, 1.5]},
             "nyul": {"region": "image", "low": 0, "high": 98}, "histogram": {"region": "image"}}.get(name, {})
    image = Image(head(2), Grid.of((72, 64), (1.0, 1.2)))
    if name in MASKS:
        image = Image(phantom.volume(1, 1, size=(48, 56, 48))[0]["t1"], Grid.of((48, 56, 48)))
    before = image.array.copy()
    mine = Step(name, given)
    if name in LEARNERS:
        case = case_at(tmp_path / "a.png")
        mine = learn(mine, [look(case, (MEDIAN,), mine), look(case, (), mine)])
        assert mine.learned and str(mine) != str(learn(mine, [look(case, (), mine)]))
    first, measured = recipe.apply((mine,), image)
    second, _ = recipe.apply((mine,), image)
    assert np.array_equal(image.array, before) and np.array_equal(first.array, second.array)
    assert first.array.shape == first.grid.size + first.array.shape[first.grid.dimension :]
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
