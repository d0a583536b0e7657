"""Label maps in files set against each other: read, checked, brought to one scheme, measured."""

from __future__ import annotations

import contextlib
import filecmp
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from mrilib import labels
from mrilib.cases import VOLUMES, Case, suffix_of
from mrilib.errors import CaseError, MriError
from mrilib.evaluation import foreign
from mrilib.evaluation.foreign import Member
from mrilib.evaluation.metrics import overlap, segmentation
from mrilib.evaluation.metrics.boxes import corners
from mrilib.evaluation.tables import SEEN
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.labels import Scheme

MOST_LABELS = 64  # a map with more different numbers is an image
SAME = 0.01  # mm that the corners of one grid may be apart
OTHER_SCHEME = "give its numbers, or name those of the predictions with --predicted-scheme"


@dataclass(frozen=True)
class Rules:
    """How label maps are scored. parts: name -> values, of `scheme`, the reference's. predicted: the scheme of
    predictions whose record does not tell it; None for the reference's. guessed: the scheme is that of the values in
    some label maps of the reference, and another of them may hold more."""

    scheme: Scheme
    parts: dict[str, tuple[int, ...]]
    predicted: Scheme | None = None
    settings: segmentation.Settings = field(default_factory=segmentation.Settings)
    guessed: bool = False


def parts_of(scheme: Scheme, each_label: bool = False) -> dict[str, tuple[int, ...]]:
    """What is scored: the regions, with `each_label` the labels too; where there are no regions the labels."""
    return {**scheme.regions, **scheme.single} if each_label else dict(scheme.parts)


def in_scheme(parts: dict[str, tuple[int, ...]], want: Scheme, have: Scheme) -> dict[str, tuple[int, ...]]:
    """The numbers that another scheme has for the same parts; a single label of its own stands for the whole tumour.

    Raises CaseError for a part that it has no numbers for.
    """
    if have.values == want.values and have.labels == want.labels:
        return parts
    if not want.name and all(number in have.values for numbers in parts.values() for number in numbers):
        return parts  # of the reference only numbers are known: they mean what the prediction says
    available, wanted = parts_of(have, each_label=True), parts_of(want, each_label=True)
    for scheme, its in ((have, available), (want, wanted)):
        if len(scheme.labels) == 1:
            its.setdefault(labels.WHOLE, tuple(scheme.labels))
    if len(want.labels) == 1 and labels.WHOLE in available:
        available.setdefault(next(iter(want.labels.values())), available[labels.WHOLE])
    number = {name: value for value, name in have.labels.items()}
    for name, values in parts.items():  # a region of the user has the names of its labels
        if set(wanted.get(name, ())) != set(values):
            available.pop(name, None)  # whatever else the other scheme calls so
        values_there = [next((n for n in (w, *labels.NEAR.get(w, ())) if n in number), None)
                        for w in (want.labels.get(value) for value in values)]
        if all(values_there):
            available.setdefault(name, tuple(dict.fromkeys(number[n] for n in values_there)))
    if lacking := [name for name in parts if name not in available]:
        numbers = "+".join(map(str, parts[lacking[0]]))
        raise CaseError(f"its scheme {have} has no {lacking[0]}, which scheme {want} of the reference has ({numbers})",
                        remedy="name the prediction's scheme with --predicted-scheme")
    return {name: available[name] for name in parts}


def _labels(image: Image, where: object) -> Image:
    if image.has_channels:
        raise CaseError(f"is no label map: it holds {image.array.shape[-1]} channels", where=where)
    return image.with_array(files.whole_numbers(image.array, where))


def reference_of(case: Case, itself: bool) -> Image:
    """The label map of a case of the reference; itself: its image is the label map."""
    path = case.path if itself else case.label
    if not case.slices and not case.file_channels and suffix_of(path) in (".nii", ".nii.gz"):
        return _labels(foreign.read(path, fix=case.fix), path)  # unpacks once
    if itself:
        return _labels(files.read_case(case), path)
    return files.read_label(replace(case, scheme=None))  # the rules of the run say which numbers may be there


def values_in(case: Case, itself: bool) -> list[int]:
    """The values that occur in the label map of a case of the reference."""
    return _values_of(reference_of(case, itself), case)


def _values_of(reference: Image, case: Case) -> list[int]:
    """Raises CaseError for more values than a label map has."""
    values = np.flatnonzero(overlap.numbers_of(reference.array)).tolist()
    if len(values) > MOST_LABELS:
        raise CaseError(f"holds {len(values)} different numbers: an image, no label map", where=case.path,
                        remedy="is the reference the folder of the label maps?")
    return values


@dataclass(frozen=True)
class Scored:
    """One prediction of one case. parts: metrics of each, as from segmentation.measure; those of a missing prediction
    if there is an error. seen: as in tables.Values. same_file: the file has the bytes of the reference's label map.
    """

    parts: dict[str, dict]
    error: CaseError | None = None
    seen: str = ""
    same_file: bool = False


def score(case: Case, itself: bool, paths: list[Path | Member | None], rules: Rules) -> list[Scored] | set[int]:
    """Several predictions of one case, each on its own; None stands for a missing one.

    Returns the values in the reference instead, where these tell that its scheme was guessed wrong.
    Raises CaseError when the reference is wrong.
    """
    reference = reference_of(case, itself)
    if rules.guessed and not {*(values := _values_of(reference, case))} <= {*rules.scheme.values}:
        return set(values)
    labels.check(np.flatnonzero(overlap.numbers_of(reference.array)), rules.scheme, case.path)
    truth = case.path if itself else case.label
    references = [reference] if itself else [reference, *_on_image(case, reference.grid)]
    return [_one(references, path, rules, truth, case) for path in paths]


def _on_image(case: Case, own: Grid) -> list[Image]:
    """The label map on the grid of its image, as training brings it there; none where that is its own grid, where it
    does not cover that grid, and where the image cannot be read, which scoring can do without."""
    path = next(iter(case.channels.values()))
    if case.slices or suffix_of(path) not in VOLUMES:
        return []
    with contextlib.suppress(CaseError):
        grid = foreign.grid(path, case.fix)
        if not grid.same_as(own, SAME):
            return [files.read_label(replace(case, scheme=None), grid)]
    return []


def _one(references: list[Image], path: Path | Member | None, rules: Rules, truth: Path, case: Case) -> Scored:
    """references: the label map on each grid that the prediction may lie on, its own first."""
    def nothing():
        return segmentation.missing(rules.parts, references[0].array, references[0].grid.spacing, rules.settings)

    if path is None:
        return Scored(nothing())
    try:
        native = _recorded_grid(case)
        likes = [one.grid for one in references] + ([native] if native else [])
        record = foreign.record(path)
        have = _scheme_of(path, record, rules)
        prediction = _labels(foreign.read(path, likes, case.fix, have.name), path)
        reference = next((one for one in references if prediction.grid.same_as(one.grid, SAME)), references[0])
        if native and prediction.grid.same_as(native, SAME) and not reference.grid.same_as(native, SAME):
            raise CaseError("lies on the grid that the case was first given on, its reference on one that it was "
                            "prepared to", where=path, remedy="give the cases as given as the reference")
        check_grid(prediction.grid, reference.grid, path)
        labels.check(np.flatnonzero(overlap.numbers_of(prediction.array)), have, path, OTHER_SCHEME)
        ignored = _ignored(prediction.array, reference.array, have, rules.scheme, path)
        predicted_parts = in_scheme(rules.parts, rules.scheme, have)
        measured = segmentation.measure(prediction.array, reference.array, reference.grid.spacing, rules.parts,
                                        predicted_parts, rules.settings, ignored)
        seen = record.get("seen")
        same = isinstance(path, Path) and truth.is_file() and filecmp.cmp(path, truth, shallow=False)
        return Scored(measured, None, seen if seen in SEEN else "", same)
    except MriError as error:
        return Scored(nothing(), error.as_kind(CaseError, path))


def _scheme_of(path: Path | Member, record: dict, rules: Rules) -> Scheme:
    """The scheme of a prediction: what its record says, what the user says, what a dataset.json beside it says, or the
    reference's."""
    scheme = record.get("scheme")
    if not scheme and rules.predicted is not None:
        return rules.predicted
    if isinstance(path, Path):
        scheme = scheme or foreign.dataset_scheme(path.parent)
    else:
        scheme = scheme or foreign.dataset_scheme(PurePosixPath(path.name).parent, path.archive)
    return labels.scheme(str(scheme)) if scheme else rules.scheme


def _ignored(prediction: np.ndarray, reference: np.ndarray, have: Scheme, want: Scheme, path) -> np.ndarray | None:
    """The voxels that the reference's scheme leaves out; None without any.

    Raises CaseError for a prediction that leaves out a voxel which the reference labels.
    """
    ignored = None if want.ignore is None else reference == want.ignore
    if have.ignore is not None:
        left = (prediction == have.ignore) if ignored is None else (prediction == have.ignore) & ~ignored
        if count := int(np.count_nonzero(left)):
            raise CaseError(f"leaves {count} voxels that the reference labels without a label ({have.ignore} is "
                            "ignore)", where=path, remedy="predict a label, or 0, for every voxel")
    return ignored if ignored is not None and ignored.any() else None


def well_formed(case: Case, path: Path | Member, scheme: Scheme | None) -> None:
    """Raise CaseError unless a file is a label map on the grid of a case, and of the scheme, if one is known."""
    grid = grid_of(case)
    image = _labels(foreign.read(path, [grid], case.fix), path)
    check_grid(image.grid, grid, path)
    scheme_there = _scheme_of(path, foreign.record(path), Rules(labels.Scheme("", {}), {}, scheme))
    numbers = np.flatnonzero(overlap.numbers_of(image.array))
    if scheme_there.labels:
        labels.check(numbers, scheme_there, path, OTHER_SCHEME)
    elif len(numbers) > MOST_LABELS:
        raise CaseError(f"holds {len(numbers)} different numbers: an image, no label map", where=path)


def boxes_within(case: Case, boxes: list[tuple]) -> None:
    """Raise CaseError unless boxes (x0, y0, x1, y1, class, score[, z0, z1]) lie within the image of a case, in its
    pixels, and are of a volume where this is one."""
    try:
        *depth, high, wide = grid_of(case).size
    except MriError as error:
        raise CaseError(f"its boxes cannot be checked: the image {error.what}", where=case.id,
                        remedy="give the images by --like") from error
    size = (wide, high, *depth)
    for box in boxes:
        sides = corners([box])[0]
        if len(sides) != 2 * len(size):
            is_volume, has = ("a volume", "no z0 and z1") if depth else ("an image", "z0 and z1")
            raise CaseError(f"is {is_volume}, and its boxes have {has}", where=case.id)
        if min(sides) < -1 or (sides[len(size) :] > np.add(size, 1)).any():  # by a pixel, as roundings go
            raise CaseError(f"a box reaches out of the image: {','.join(f'{v:g}' for v in sides)} of "
                            f"{' x '.join(map(str, size))} pixels", where=case.id,
                            remedy="x0,y0,x1,y1 are pixels of the image as given, its upper left corner 0,0")


def _recorded_grid(case: Case) -> Grid | None:
    """The native grid that the record of a case tells; None without one."""
    native = case.record.get("native_grid")
    return Grid.from_dict(native) if native else None


def grid_of(case: Case) -> Grid:
    """The native grid of a case: what its record says, else that of its image."""
    if native := _recorded_grid(case):
        return native
    if case.slices:
        return files.read_case(case).grid
    path = next(iter(case.channels.values()))
    return foreign.grid(path, case.fix) if suffix_of(path) in VOLUMES else foreign.read(path, fix=case.fix).grid


def check_grid(have: Grid, want: Grid, where: object) -> None:
    """Raise CaseError that says in what a grid differs from the reference's."""
    if have.same_as(want, SAME):
        return
    def text(values):
        return ",".join(f"{v:g}" for v in np.round(values[::-1], 4))

    if have.size != want.size:
        how = f"size {text(have.size)} and {text(want.size)}"
    elif not np.allclose(have.spacing, want.spacing, rtol=1e-4):
        how = f"spacing {text(have.spacing)} and {text(want.spacing)} mm"
    elif not np.allclose(have.direction, want.direction, atol=1e-3):
        how = "direction (flipped or turned axes)"
    else:
        how = f"origin {text(have.origin)} and {text(want.origin)} mm"
    raise CaseError(f"grid differs from the reference's: {how}", where=where,
                    remedy="give predictions on the case's own grid")
