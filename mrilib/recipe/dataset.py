"""The prepared data set on disk: cases run through steps and written below a root, each with its record."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrilib import cases as case_files
from mrilib import store
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Image
from mrilib.images.io import files
from mrilib.recipe.definition import Recipe
from mrilib.recipe.execution import apply, check_origin, label_on, moved_boxes, read

NAMES = ("subject", "class", "scheme", "part")  # statements that do not change the files of a case


def prepare_case(case, steps, out: Path, suffix: str | None, recipe_hash: str, force: bool = False,
                 beside: dict[str, Path] | None = None) -> tuple[Path, list[str]]:
    """Read one case, run it through the steps, write it below `out` with its record; returns (path to print, doubts).

    doubts: lines in which these steps say what the user should look at. One file stays one file; a case of several
    channel files becomes a folder of as many. suffix None: `.tif` for 2D, `.nii.gz` for volumes. The record is written
    last and makes the case complete. Label maps and boxes move along with the geometry. A complete output of the same
    recipe and inputs is kept unless force; where only the class, the subject or the scheme has another name now, only
    its record is rewritten.
    beside: folders for further images, float32, named as the outputs: "residual", what the steps removed, before less
    after, of steps that leave the grid and the channels alone; "field", what the bias step divided by, on the grid of
    that step.
    """
    beside = beside or {}
    sources, stated = [store.stamp(p) for p in input_files(case)], as_given(case)
    record = None if force else finished(case.id, out, sources, recipe_hash)
    if record and _but_for_names(record, stated) and all(
            (folder / name).is_file() for what, folder in beside.items() for name in record.get(what, ["."])):
        if record.get("given") != stated:
            _rename(case, record, stated, out)
        return out / record["path"], _doubts(record, steps)
    check_origin(case)
    before = source_record(case)
    image, rest, measured = read(case, steps, separate=not beside)
    fields: list[Image] | None = [] if "field" in beside else None
    if isinstance(image, Image):
        native = image.grid
        result, more = apply(rest, image, fields)
        grid, label = result.grid, label_on(case, native, result.grid, steps)
        measured += more
    else:
        result, native, label = image, next(iter(image.values())).grid, files.read_label(case)
        grid = native
    record = {
        "source": sources,
        "given": stated,
        **before,
        "native_grid": before.get("native_grid") or native.as_dict(),
        "measured": [*before.get("measured", []), *measured],
    }
    boxes = moved_boxes(case.boxes, native, grid)
    if "residual" in beside:
        lost = Image(image.array.astype(np.float32) - result.array, result.grid, result.channels)
        record["residual"] = _write_beside(case, lost, beside["residual"], suffix, recipe_hash)
    if fields:
        record["field"] = _write_beside(case, fields[0], beside["field"], suffix, recipe_hash)
    path = write_case(replace(case, boxes=boxes), result, label, out, suffix, recipe_hash, record)
    return path, _doubts(record, steps)


def _doubts(record: dict, steps) -> list[str]:
    names = {step.step for step in steps}
    return [each["doubt"] for each in record["measured"] if "doubt" in each and each["step"] in names]


def _rename(case, record: dict, stated: dict, out: Path) -> None:
    """Give the record of a complete case the names that the case has now."""
    files.read_label(case)  # refuses numbers that the scheme of now lacks
    names = record["case"] | {name: stated.get(name) for name in NAMES}
    record |= {"case": {k: v for k, v in names.items() if v}, "given": stated}
    store.write_json(store.record_path(out, case.id), record)


def _write_beside(case, image: Image, folder: Path, suffix: str | None, recipe_hash: str) -> list[str]:
    """Write an image under the name of a case, a file for each channel of a volume; the names below the folder.

    Because of the hash in their headers they are not taken for original cases.
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
    values = {"channels": list(case.channels), "held": list(case.file_channels),
              "boxes": [list(box) for box in case.boxes], "subject": case.subject, "class": case.class_name,
              "scheme": case.scheme, "part": case.part}
    return {name: value for name, value in values.items() if value}


def _but_for_names(record: dict, stated: dict) -> bool:
    """Whether a case is stated as in its record, but for names on which no voxel and no box depends."""
    one, other = ({k: v for k, v in values.items() if k not in NAMES} for values in (record.get("given", {}), stated))
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
    several = len(names) > 1 and (dimension == 3 or not case.file_channels and len(case.channels) > 1)
    if several:
        first, own = out / case.id, Path(case.id).name
        apart = {} if case.file_channels or "image" in case.channels else case.channels  # these have names of their own
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
    noted = {"subject": case.subject, "class": case.class_name, "boxes": [list(box) for box in case.boxes],
             "scheme": case.scheme, "part": case.part}
    if several or names != ("image",) and case.channels.keys() == set(names):
        noted["channels"] = {n: path.relative_to(out).as_posix() for n, path in place.items()}
    if label is not None:
        name = first.with_name(f"{case_files.stem_of(first)}_mask{suffix}") if not several else (
            first / f"{case_files.stem_of(case.label) if apart else f'{own}-seg'}{suffix}")
        parts[name] = label
        noted["label"] = name.relative_to(out).as_posix()
    outputs = {}
    for target, part in parts.items():
        _refuse_source(case, target)
        with store.whole(target) as temporary:
            files.write(temporary, part, recipe_hash=recipe_hash)
        outputs[target.relative_to(out).as_posix()] = target.stat().st_size
    with contextlib.suppress(CaseError):  # no record yet, or a damaged one
        for name in store.read_json(store.record_path(out, case.id)).get("outputs", {}).keys() - outputs.keys():
            (out / name).unlink(missing_ok=True)  # of the same case with other channels: it would look like a case
    store.write_json(store.record_path(out, case.id), {
        "case": {k: v for k, v in noted.items() if v},
        "path": first.relative_to(out).as_posix(),
        **record,
        "outputs": outputs,
        "recipe": recipe_hash,
    })  # fmt: skip
    return first


def _refuse_source(case, target: Path) -> None:
    """Raise CaseError for an output that is a link to a file of the input, which would be overwritten."""
    if target.is_symlink() and any(target.samefile(path) for path in input_files(case) if target.exists()):
        raise CaseError("its output is a link to the input", where=target, remedy="remove the link")


def input_files(case) -> list[Path]:
    """All files of a case: its channels in order, slices in order, then its label map."""
    return [*case.image_files, *case.label_files]


def source_record(case) -> dict:
    """The facts of a case that go into the record of its output: content hash, native grid, measurements and, of an
    augmented copy, its draw. A prepared case has them in its own record; an original case is hashed now.
    """
    if case.record:
        return {k: case.record[k] for k in ("content", "native_grid", "measured", "augmented") if k in case.record}
    return {"content": store.content_hash(case.image_files)}


class Root:
    """The output folder of a run: a root of the recipe of its first case, and of that only."""

    def __init__(self, folder: Path, *, force: bool = False, dry_run: bool = False):
        self.folder, self.force, self.dry_run = folder, force, dry_run
        self.recipe: Recipe | None = None
        self.made = False  # whether this run made the folder
        self._names: dict[str, Path] = {}

    def take(self, recipe: Recipe, case) -> None:
        """Open the folder with the recipe of the first case. Raises CaseError for a case of another recipe.

        Raises UsageError for a folder of another recipe (force replaces it) or one that holds other things.
        """
        if self.recipe is None:
            if not self.dry_run:
                self.made = not self.folder.exists()
                self._open(recipe)
            self.recipe = recipe
        elif recipe.hash != self.recipe.hash:
            raise CaseError("has another recipe than the first case", where=case.path,
                            remedy="give cases of one recipe at a time")

    def _open(self, recipe: Recipe) -> None:
        mark = self.folder / "recipe.json"
        if mark.is_file():
            old = Recipe.load(mark)
            if old.hash == recipe.hash and old.augmentation == recipe.augmentation:
                return
            if not self.force:
                before, now = (" ".join([*map(str, r.steps), *(f"{k}={v}" for k, v in r.augmentation.items())])
                               or "cases as given" for r in (old, recipe))
                raise UsageError(f"holds cases of another recipe: {before}; now {now}", where=self.folder,
                                 remedy="--force replaces them, or choose another folder with -o")
        elif self.folder.is_dir() and any(not p.name.startswith(".") for p in self.folder.iterdir()):
            raise UsageError("is not empty and not an output of this suite", where=self.folder,
                             remedy="choose another folder with -o")
        store.write_json(mark, recipe.as_dict())

    def claim(self, case, case_id: str | None = None) -> None:
        """Reserve the output name of a case. Raises CaseError when another case of this run, or recipe.json, has it."""
        case_id = case_id or case.id
        refuse_mark(case_id, case.path)
        if case_id.split("/")[0] == ".." or self._names.get(case_id, case.path) != case.path:
            other = self._names.get(case_id, "a place outside the output")
            raise CaseError(f"would be written over {other} (both are {case_id})", where=case.path,
                            remedy="name them apart, or give --root")
        self._names[case_id] = case.path

    def take_back(self) -> None:
        """Remove the folder if this run created it and nothing was written, so that wrong use leaves nothing behind."""
        if self.made and [p.name for p in self.folder.iterdir()] == ["recipe.json"]:
            (self.folder / "recipe.json").unlink()
            self.folder.rmdir()


def refuse_mark(case_id: str, where: Path) -> None:
    """Raise CaseError for a case whose record would be the recipe.json of the output."""
    if case_id.split("/")[-1] == "recipe":
        raise CaseError("its record would be called recipe.json, which marks a whole folder", where=where,
                        remedy="rename it")
