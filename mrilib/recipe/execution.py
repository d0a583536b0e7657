"""Running an image through steps, and learning the parameters of a step from training cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pkgutil import resolve_name

import numpy as np

from mrilib import store
from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.io import files
from mrilib.images.registry import BIAS, DENOISERS, LEARNERS, STEPS
from mrilib.images.steps.bias import divided
from mrilib.recipe.definition import Recipe, Step


def apply(steps, image: Image, fields: list | None = None) -> tuple[Image, list[dict]]:
    """Run an image through steps; returns it with what each step measured, in order.

    Between steps the values are what a file would hold (float32, or the same integers), so that a chain in
    memory equals the chain through files. fields: takes the bias field, an Image, of each step that divides by one.
    """
    measured = []
    for step in steps:
        if fields is not None and step.step in BIAS:
            field, values = resolve_name(f"{STEPS[step.step]}_field")(image, **step.parameters, **step.learned)
            fields.append(field)
            image = divided(image, field)
        else:
            image, values = resolve_name(STEPS[step.step])(image, **step.parameters, **step.learned)
        image = image.with_array(files.compact(image.array))
        measured.append({"step": step.step, **values})
    return image, measured


def read(case, steps, separate: bool = False) -> tuple[Image | dict[str, Image], tuple[Step, ...], list[dict]]:
    """Read a case and bring its channels to one grid: (image, steps still to do, measurements of the steps done).

    Channels on one grid become one image, and no step is done; a single channel keeps its name. Channels on grids of
    their own go one by one through the steps before `align`, if these denoise or correct bias, and then through
    `align`. separate: without `align`, return them as {name: image}, with all steps done. Raises CaseError, naming the
    grids, when neither is possible.
    """
    steps = tuple(steps)
    images = files.read_channels(case)
    first = next(iter(images.values()))
    if len(images) == 1:
        if not first.has_channels and tuple(case.channels) != ("image",):
            first = first.with_array(first.array, channels=tuple(case.channels)[:1])
        return first, steps, []
    if all(image.grid.same_as(first.grid) for image in images.values()):
        return files.stacked(images, case.id), steps, []
    alone = next((i for i, step in enumerate(steps) if step.step == "align"), len(steps))
    if any(step.step not in (*DENOISERS, *BIAS) for step in steps[:alone]) or (alone == len(steps) and not separate):
        return files.stacked(images, case.id), steps, []  # says which grids differ
    measured: list[dict] = []
    for name in images:
        images[name], values = apply(steps[:alone], images[name])
        measured += [{"channel": name, **one} for one in values]
    if alone == len(steps):
        return images, (), measured
    from mrilib.images.steps.align import together

    aligned, values = together(images, **steps[alone].parameters)
    aligned = aligned.with_array(files.compact(aligned.array))
    return aligned, steps[alone + 1 :], [*measured, {"step": "align", **values}]


def check_origin(case) -> None:
    """Refuse a prepared file that was copied away from its recipe, because it would be prepared twice, and a predicted
    label map, because it is no image.

    Raises CaseError when a header's recipe hash is not that of the recipe.json of the case's root, and when the case's
    record names a model.
    """
    if "model" in store.of_case(case.root, case.id):  # read anew: it may have been written since the case was found
        raise CaseError("is a label map that mri-predict wrote", where=case.path, remedy="give the images")
    expected = None
    for path in case.image_files:
        own = files.read_recipe_hash(path)
        if not own:
            continue
        expected = Recipe.of_root(case.root).hash if expected is None else expected
        if own != expected:
            state = "not of the recipe.json of its folder" if expected else "parted from its recipe.json"
            raise CaseError(f"was prepared by this suite (recipe {own}) and is {state}", where=path,
                            remedy="copy the whole folder with its recipe.json, or start from the images as given")


def label_on(case, native, grid, steps) -> Image | None:
    """The label map of a case on the grid of its prepared image; None without one.

    Raises CaseError where channels were registered and the label map lies on another grid than the first of them: it is
    unknown to which channel it belongs, and so how it moved.
    """
    from mrilib.images.resampling import resample

    label = files.read_label(case)
    if label is None:
        return None
    if not label.grid.same_as(native):
        if any(step.step == "align" and step.parameters.get("method") == "rigid" for step in steps):
            raise CaseError("lies on another grid than the first channel, so it cannot follow the registration",
                            where=case.label, remedy="--align headers, or put it on the first channel's grid")
        label = files.read_label(case, native)
    return resample(label, grid, order=0)


def moved_boxes(boxes, before, after) -> list[list]:
    """Boxes (x0, y0, x1, y1, class, ...) in pixels of one 2D grid, in pixels of another, clipped to it. On 3D grids
    each ends with z0 and z1, behind the class and one more value."""
    moved = []
    for x0, y0, x1, y1, *rest in boxes:
        depth = rest[2:]
        ends = np.array(list(product(*([depth] if depth else []), (y0, y1), (x0, x1)))) - 0.5  # pixel edges to centres
        new = after.to_index(before.to_world(ends)) + 0.5
        low, high = new.min(0).clip(0, after.size), new.max(0).clip(0, after.size)
        if (high > low).all():
            sides = (low[-1], low[-2], high[-1], high[-2])
            moved.append([*map(float, sides), *rest[:2], *((float(low[0]), float(high[0])) if depth else ())])
    return moved


def look(case, steps: Sequence[Step], step: Step) -> dict:
    """What `step` measures in one training case after the steps before it. Raises CaseError as they do."""
    check_origin(case)
    image, rest, _ = read(case, steps)
    image, _ = apply(rest, image)
    return resolve_name(LEARNERS[step.step][0])(image, **step.parameters)


def learn(step: Step, seen: Sequence[dict]) -> Step:
    """The step with what it learned from the measurements of all training cases."""
    return replace(step, learned=resolve_name(LEARNERS[step.step][1])(seen))
