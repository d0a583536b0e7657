"""The recipe: the ordered steps, with parameters and what they learned, that made a set of cases."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name

import numpy as np

from mrilib import cases as case_files
from mrilib import store as records
from mrilib.errors import CaseError, UsageError
from mrilib.images.grid import Image
from mrilib.images.io import files
from mrilib.images.registry import BIAS, DENOISERS, STEPS
from mrilib.images.steps.bias import divided

FORMAT = 1
NAMES = ("subject", "class", "scheme", "part")  # what is said of a case and changes nothing in its files


@dataclass(frozen=True)
class Step:
    """One step by its registry name, with its parameters and whatever it learned from training cases."""

    step: str
    parameters: dict = field(default_factory=dict)
    learned: dict = field(default_factory=dict)
    version: int = 1

    def as_dict(self) -> dict:
        return {"step": self.step, "version": self.version, "parameters": self.parameters, "learned": self.learned}

    def __str__(self) -> str:
        inside = [f"{k}={v}" for k, v in self.parameters.items() if v is not None]
        if self.learned:
            inside.append(f"learned {learned_name(self.learned)}")
        return f"{self.step}({', '.join(inside)})"


@dataclass(frozen=True)
class Recipe:
    """Steps in order; no steps means the cases are as given.

    augmentation: how the copies among the cases were made; beside the steps, not one of them: prediction never
    repeats it, and it is no part of the hash.
    """

    steps: tuple[Step, ...] = ()
    made_by: str = ""
    augmentation: dict = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """16 hex digits that name the steps, whoever made them; empty for no steps."""
        if not self.steps:
            return ""
        return records.name_of([s.as_dict() for s in self.steps])

    def as_dict(self) -> dict:
        more = {"augmentation": self.augmentation} if self.augmentation else {}
        return {"format": FORMAT, "steps": [s.as_dict() for s in self.steps], "made_by": self.made_by, **more}

    @classmethod
    def from_dict(cls, record: dict, where: object = None) -> Recipe:
        """Raises CaseError for a record of another format or with steps this version does not know."""
        if record.get("format") != FORMAT:
            raise CaseError(f"recipe of format {record.get('format')}; this version reads {FORMAT}", where=where)
        try:
            steps = tuple(Step(s["step"], s["parameters"], s.get("learned", {}), s["version"]) for s in record["steps"])
        except (KeyError, TypeError) as error:
            raise CaseError(f"not a recipe: {error} is missing", where=where) from error
        for step in steps:
            if step.step not in STEPS or step.version != 1:
                raise CaseError(f"step {step.step} version {step.version} is not known here", where=where,
                                remedy="use the version of the suite that made it")
        return cls(steps, record.get("made_by", ""), record.get("augmentation", {}))

    @classmethod
    def load(cls, path: Path) -> Recipe:
        return cls.from_dict(records.read_json(path), where=path)

    @classmethod
    def of_root(cls, root: Path) -> Recipe:
        """The recipe of the cases of a root; no steps ("as given") when the root has no recipe.json."""
        path = Path(root) / "recipe.json"
        return cls.load(path) if path.is_file() else cls()

    def then(self, steps: tuple[Step, ...], made_by: str) -> Recipe:
        return Recipe(self.steps + tuple(steps), made_by, self.augmentation)

    def remaining(self, have: Recipe) -> tuple[Step, ...]:
        """The steps still to do on cases that have been through `have`.

        Raises UsageError, naming the first difference, when `have` is not a beginning of this recipe.
        """
        for place, (mine, theirs) in enumerate(zip(self.steps, have.steps, strict=False), 1):
            if mine.as_dict() != theirs.as_dict():
                raise UsageError(f"prepared otherwise: step {place} is {theirs}, the model's is {mine}",
                                 remedy="prepare the data as given again, or --as-is")
        if len(have.steps) > len(self.steps):
            more = ", ".join(str(s) for s in have.steps[len(self.steps) :])
            wants = "data as given" if not self.steps else f"data that ends with {self.steps[-1]}"
            raise UsageError(f"prepared further than the model's training data: {more}; it wants {wants}",
                             remedy="give the data of the earlier stage, or --as-is")
        return self.steps[len(have.steps) :]


def learned_name(learned: dict) -> str:
    """Eight hex digits for what a step learned, which is too long to show; other cases teach other digits."""
    return hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()[:8]


def apply(steps, image: Image, fields: list | None = None) -> tuple[Image, list[dict]]:
    """Run an image through steps; returns it with what each step measured, in order.

    Between steps the values are what a file would hold (float32, or the same integers), so that a chain in
    memory equals the chain through files. fields: takes the bias field, an Image, of each step that divides by one.
    """
    measured = []
    for step in steps:
        if fields is not None and step.step in BIAS:
            field, seen = resolve_name(f"{STEPS[step.step]}_field")(image, **step.parameters, **step.learned)
            fields.append(field)
            image = divided(image, field)
        else:
            image, seen = resolve_name(STEPS[step.step])(image, **step.parameters, **step.learned)
        image = image.with_array(files.compact(image.array))
        measured.append({"step": step.step, **seen})
    return image, measured


def read(case, steps, separate: bool = False) -> tuple[Image | dict[str, Image], tuple[Step, ...], list[dict]]:
    """Read a case as far as its grids ask for: (image, steps still to do, what those done measured).

    Channels that lie on one grid become one image, no step done; a lone channel keeps its name. Others go through
    the steps before `align` each alone, if those denoise or take away bias, and through `align`. separate: without
    `align` they are given as {name: image}, done.
    Raises CaseError, naming the grids, when they can be neither.
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
        images[name], seen = apply(steps[:alone], images[name])
        measured += [{"channel": name, **one} for one in seen]
    if alone == len(steps):
        return images, (), measured
    from mrilib.images.steps.align import together

    made, seen = together(images, **steps[alone].parameters)
    made = made.with_array(files.compact(made.array))
    return made, steps[alone + 1 :], [*measured, {"step": "align", **seen}]


def check_origin(case) -> None:
    """Refuse a prepared file that was copied away from its recipe, for it would be prepared twice, and a label map
    that was predicted, for it is no image.

    Raises CaseError when a header's recipe hash is not that of the recipe.json of the case's root, and when the case's
    record tells of a model.
    """
    if "model" in records.of_case(case.root, case.id):
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


def prepare(case, steps, out: Path, suffix: str | None, recipe_hash: str, force: bool = False,
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
    sources, given = [records.stamp(p) for p in input_files(case)], as_given(case)
    if not force and (record := finished(case.id, out, sources, recipe_hash)) and _but_for_names(record, given) and all(
            (folder / name).is_file() for what, folder in beside.items() for name in record.get(what, ["."])):
        if record.get("given") != given:
            files.read_label(case)  # refuses numbers that the scheme of now lacks
            known = record["case"] | {name: given.get(name) for name in NAMES}
            record |= {"case": {k: v for k, v in known.items() if v}, "given": given}
            records.write_json(records.record_path(out, case.id), record)
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


def label_on(case, native, grid, steps) -> Image | None:
    """The label map of a case on the grid that its image was brought to.

    Raises CaseError where channels were registered and the label map lies on another grid than the first of them:
    which of them it belongs to, and so how it has moved, is not said anywhere.
    """
    from mrilib.images.steps.geometry import resample

    label = files.read_label(case)
    if label is None:
        return None
    if not label.grid.same_as(native):
        if any(step.step == "align" and step.parameters.get("method") == "rigid" for step in steps):
            raise CaseError("lies on another grid than the first channel, so it cannot follow the registration",
                            where=case.label, remedy="--align headers, or put it on the first channel's grid")
        label = files.read_label(case, native)
    return resample(label, grid, order=0)


def _write_beside(case, image: Image, folder: Path, suffix: str | None, recipe_hash: str) -> list[str]:
    """Write an image under the name of a case, a file for each channel of a volume; the names below the folder.

    The hash in their headers keeps them from being taken for cases as given.
    """
    suffix = suffix if suffix not in (None, ".png") else ".tif" if image.grid.dimension == 2 else ".nii.gz"
    whole = {"": image}
    if image.has_channels and image.grid.dimension == 3:
        whole = {f"-{n}": Image(image.array[..., i], image.grid) for i, n in enumerate(image.channels)}
    for name, part in whole.items():
        with records.whole(folder / f"{case.id}{name}{suffix}") as temporary:
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
    path = records.record_path(out, case_id)
    if not path.is_file():
        return None
    record = records.read_json(path)
    return record if records.is_complete(record, out, sources, recipe_hash) else None


def write_case(case, image: Image | dict[str, Image], label: Image | None, out: Path, suffix: str | None,
               recipe_hash: str, record: dict) -> Path:  # fmt: skip
    """Write a case below `out`: its image, its label map, and last its record; returns the path to print.

    image: one, or {channel: image} where channels lie on grids of their own. The id, subject, class and boxes are
    those of `case`. record: what else is to be noted. suffix as in prepare.
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
        with records.whole(target) as temporary:
            files.write(temporary, part, recipe_hash=recipe_hash)
        outputs[target.relative_to(out).as_posix()] = target.stat().st_size
    with contextlib.suppress(CaseError):  # no record yet, or a damaged one
        for name in records.read_json(records.record_path(out, case.id)).get("outputs", {}).keys() - outputs.keys():
            (out / name).unlink(missing_ok=True)  # of the same case with other channels: it would pass for a case
    records.write_json(records.record_path(out, case.id), {
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
    if record := records.of_case(case.root, case.id):
        return {k: record[k] for k in ("content", "native_grid", "measured", "augmented") if k in record}
    return {"content": records.content_hash(case.image_files)}


def moved_boxes(boxes, before, after) -> list[list]:
    """Boxes (x0, y0, x1, y1, class) in pixels of one 2D grid, in pixels of another, clipped to it."""
    moved = []
    for x0, y0, x1, y1, *rest in boxes:
        corners = np.array([[y, x] for y in (y0, y1) for x in (x0, x1)]) - 0.5  # pixel edges to centres
        new = after.to_index(before.to_world(corners)) + 0.5
        low, high = new.min(0).clip(0, after.size), new.max(0).clip(0, after.size)
        if (high > low).all():
            moved.append([float(low[1]), float(low[0]), float(high[1]), float(high[0]), *rest])
    return moved
