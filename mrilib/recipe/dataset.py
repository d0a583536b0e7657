"""The prepared data set on disk: cases run through steps and written below a root, each with its record."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrilib import cases as case_files
from mrilib import store
from mrilib.errors import CaseError
from mrilib.images.grid import Image
from mrilib.images.io import files
from mrilib.recipe.definition import Recipe
from mrilib.recipe.execution import apply, label_on, moved_boxes, read

NAMES = ("subject", "class", "scheme", "part")  # what is said of a case and changes nothing in its files


def check_origin(case) -> None:
    """Refuse a prepared file that was copied away from its recipe, for it would be prepared twice, and a label map
    that was predicted, for it is no image.

    Raises CaseError when a header's recipe hash is not that of the recipe.json of the case's root, and when the case's
    record tells of a model.
    """
    if "model" in store.of_case(case.root, case.id):
        raise CaseError("is a label map that mri-predict wrote", where=case.path, remedy="give the images")
    expected = None
    for path in case.image_files:
        found = files.read_recipe_hash(path)
        if not found:
            continue
        expected = Recipe.of_root(case.root).hash if expected is None else expected
        if found != expected:
            state = "not of the recipe.json of its folder" if expected else "parted from its recipe.json"
            raise CaseError(f"was prepared by this suite (recipe {found}) and is {state}", where=path,
                            remedy="copy the whole folder with its recipe.json, or start from the images as given")


def prepare_case(case, steps, out: Path, suffix: str | None, recipe_hash: str, force: bool = False,
            beside: dict[str, Path] | None = None) -> Path:  # fmt: skip
    """Read one case, run it through the steps, write it below `out` with its record; returns the path to print.

    One file stays one file; a case of several channel files becomes a folder of as many. suffix None: `.tif`
    for 2D, `.nii.gz` for volumes. The record is written last and makes the case complete. Label maps and boxes
    move along with the geometry. A complete output of the same recipe and inputs is kept unless force; where only
    the class, the subject or the scheme has another name by now, its record alone is written anew.
    beside: folders for what else is wanted, float32, named as the outputs: "residual", what the steps took away,
    before less after, of steps that leave the grid and the channels alone; "field", what the bias step divided by,
    on the grid of that step.
    """
    beside = beside or {}
    sources, given = [store.stamp(p) for p in input_files(case)], as_given(case)
    if not force and (record := finished(case.id, out, sources, recipe_hash)) and _but_for_names(record, given) and all(
            (folder / name).is_file() for what, folder in beside.items() for name in record.get(what, ["."])):
        if record.get("given") != given:
            files.read_label(case)  # refuses numbers that the scheme of now lacks
            known = record["case"] | {name: given.get(name) for name in NAMES}
            record |= {"case": {k: v for k, v in known.items() if v}, "given": given}
            store.write_json(store.record_path(out, case.id), record)
        return out / record["path"]
    check_origin(case)
    before = source_record(case)
    image, rest, measured = read(case, steps, separate=not beside)
    fields: list[Image] | None = [] if "field" in beside else None
    if isinstance(image, Image):
        native = image.grid
        made, more = apply(rest, image, fields)
        grid, label = made.grid, label_on(case, native, made.grid, steps)
        measured += more
    else:
        made, native, label = image, next(iter(image.values())).grid, files.read_label(case)
        grid = native
    record = {
        "source": sources,
        "given": given,
        **before,
        "native_grid": before.get("native_grid") or native.as_dict(),
        "measured": [*before.get("measured", []), *measured],
    }
    boxes = moved_boxes(case.boxes, native, grid)
    if "residual" in beside:
        lost = Image(image.array.astype(np.float32) - made.array, made.grid, made.channels)
        record["residual"] = _write_beside(case, lost, beside["residual"], suffix, recipe_hash)
    if fields:
        record["field"] = _write_beside(case, fields[0], beside["field"], suffix, recipe_hash)
    return write_case(replace(case, boxes=boxes), made, label, out, suffix, recipe_hash, record)


def _write_beside(case, image: Image, folder: Path, suffix: str | None, recipe_hash: str) -> list[str]:
    """Write an image under the name of a case, a file for each channel of a volume; the names below the folder.

    The hash in their headers keeps them from being taken for cases as given.
    """
    suffix = suffix if suffix not in (None, ".png") else ".tif" if image.grid.dimension == 2 else ".nii.gz"
    whole = {"": image}
    if image.has_channels and image.grid.dimension == 3:
        whole = {f"-{n}": Image(image.array[..., i], image.grid) for i, n in enumerate(image.channels)}
    for name, part in whole.items():
        with store.whole(folder / f"{case.id}{name}{suffix}") as temporary:
            files.write(temporary, part, recipe_hash=recipe_hash)
    return [f"{case.id}{name}{suffix}" for name in whole]


def as_given(case) -> dict:
    """What is said of a case beside its files, as a record keeps it: its channels, and what they are in the file;
    boxes in pixels as given; subject, class and scheme. What is empty is left out."""
    told = {"channels": list(case.channels), "held": list(case.held), "boxes": [list(box) for box in case.boxes],
            "subject": case.subject, "class": case.class_name, "scheme": case.scheme, "part": case.part}
    return {name: value for name, value in told.items() if value}


def _but_for_names(record: dict, given: dict) -> bool:
    """Whether a case is what its record was given, but for names on which no voxel and no box depends."""
    one, other = ({k: v for k, v in told.items() if k not in NAMES} for told in (record.get("given", {}), given))
    return one == other


def finished(case_id: str, out: Path, sources: list[dict], recipe_hash: str) -> dict | None:
    """The record of a case's complete output of this recipe and these inputs; None when there is none."""
    path = store.record_path(out, case_id)
    if not path.is_file():
        return None
    record = store.read_json(path)
    return record if store.is_complete(record, out, sources, recipe_hash) else None


def write_case(case, image: Image | dict[str, Image], label: Image | None, out: Path, suffix: str | None,
               recipe_hash: str, record: dict) -> Path:  # fmt: skip
    """Write a case below `out`: its image, its label map, and last its record; returns the path to print.

    image: one, or {channel: image} where channels lie on grids of their own. The id, subject, class and boxes are
    those of `case`. record: what else is to be noted. suffix as in prepare_case.
    """
    apart_grids = not isinstance(image, Image)
    dimension = (next(iter(image.values())) if apart_grids else image).grid.dimension
    suffix = suffix or (".tif" if dimension == 2 else ".nii.gz")
    names = tuple(image) if apart_grids else image.channels or tuple(case.channels)[:1]
    several = len(names) > 1 and (dimension == 3 or not case.held and len(case.channels) > 1)
    if several:
        first, own = out / case.id, Path(case.id).name
        apart = {} if case.held or "image" in case.channels else case.channels  # these have names of their own
        stems = {n: case_files.stem_of(apart[n]) if n in apart else f"{own}-{n}" for n in names}
        place = {n: first / f"{stem}{suffix}" for n, stem in stems.items()}
        if not apart_grids:
            arrays = image.by_channel()
            image = {n: Image(arrays[..., i], image.grid) for i, n in enumerate(names)}
        parts = {place[n]: image[n] for n in names}
    else:
        first = out / f"{case.id}{suffix}"
        place = dict.fromkeys(names, first)
        parts = {first: image}
    known = {"subject": case.subject, "class": case.class_name, "boxes": [list(box) for box in case.boxes],
             "scheme": case.scheme, "part": case.part}
    if several or names != ("image",) and case.channels.keys() == set(names):
        known["channels"] = {n: path.relative_to(out).as_posix() for n, path in place.items()}
    if label is not None:
        name = first.with_name(f"{case_files.stem_of(first)}_mask{suffix}") if not several else (
            first / f"{case_files.stem_of(case.label) if apart else f'{own}-seg'}{suffix}")
        parts[name] = label
        known["label"] = name.relative_to(out).as_posix()
    outputs = {}
    for target, part in parts.items():
        with store.whole(target) as temporary:
            files.write(temporary, part, recipe_hash=recipe_hash)
        outputs[target.relative_to(out).as_posix()] = target.stat().st_size
    with contextlib.suppress(CaseError):  # no record yet, or a damaged one
        for name in store.read_json(store.record_path(out, case.id)).get("outputs", {}).keys() - outputs.keys():
            (out / name).unlink(missing_ok=True)  # of the same case with other channels: it would pass for a case
    store.write_json(store.record_path(out, case.id), {
        "case": {k: v for k, v in known.items() if v},
        "path": first.relative_to(out).as_posix(),
        **record,
        "outputs": outputs,
        "recipe": recipe_hash,
    })  # fmt: skip
    return first


def input_files(case) -> list[Path]:
    """All files of a case: its channels in order, slices in order, then its label map."""
    return [*case.image_files, *case.label_files]


def source_record(case) -> dict:
    """What a case brings along from where it was first given: content hash, native grid, what was measured and,
    of an augmented copy, what was drawn.

    A prepared case hands on what its own record says; a case as given is hashed now.
    """
    if record := store.of_case(case.root, case.id):
        return {k: record[k] for k in ("content", "native_grid", "measured", "augmented") if k in record}
    return {"content": store.content_hash(case.image_files)}
