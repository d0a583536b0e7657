"""Label maps as files: what is complete already, from probabilities to the file on the native grid, its record."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrilib import labels, store
from mrilib.cases import PICTURES, VOLUMES
from mrilib.errors import CaseError
from mrilib.images.grid import Grid, Image
from mrilib.images.io import files
from mrilib.inference import native, postprocess
from mrilib.inference.prepare import Prepared, prepare_volume
from mrilib.inference.segment import output_names
from mrilib.models.record import MapRecord
from mrilib.recipe import as_given


@dataclass(frozen=True)
class Target:
    """Where predictions go and what makes them complete.

    out: their folder. hash: names models and settings. suffix: of the label maps. probabilities: folder of those,
    or None. force: replace what is there.
    """

    out: Path
    hash: str
    suffix: str = ".nii.gz"
    probabilities: Path | None = None
    force: bool = False


def ready(case, steps: Sequence, channels: Sequence[str], spacing, check: bool, target: Target | None,
          others: Sequence[Sequence], deep: bool) -> Path | Prepared:
    """The case's label map when it is complete already, else the case prepared (see prepare_volume).

    target: None where no label map is written. deep: whether a network sees several slices at once. Raises CaseError,
    before any network runs, for a volume whose label map is to be a picture, and for a picture where a network is deep.
    """
    if target is not None and not target.force and (path := finished(case, target)):
        return path
    prepared = prepare_volume(case, steps, channels, spacing, check, others)
    if target is not None and prepared.native_grid.dimension == 3 and target.suffix in PICTURES:
        raise CaseError(f"is a volume, and a volume cannot be a {target.suffix}", where=case.path,
                        remedy="use --suffix .nii.gz")
    grid = prepared.native_grid
    if deep and grid.dimension == 2 and grid.volume is None:
        raise CaseError("is a picture; this model takes volumes", where=case.path, remedy="give it the whole stack")
    return prepared


def finished(case, target: Target) -> Path | None:
    """The complete label map of a case from these models and settings; None when there is none."""
    path = store.record_path(target.out, case.id)
    if not path.is_file():
        return None
    record = store.read_json(path)
    if not store.is_complete(record, target.out, sources(case), target.hash) or record.get("given") != picked(case):
        return None
    if target.probabilities is not None:
        folder, sizes = (target.probabilities / case.id).absolute(), record.get("probabilities", {})
        if not sizes or any(Path(name).parent != folder for name in sizes) or not store.have_sizes(folder, sizes):
            return None
    return target.out / record["path"]


def sources(case) -> list[dict]:
    """What tells whether the images of a case changed; a prediction does not depend on its label map."""
    return [store.stamp(path) for path in case.image_files]


def picked(case) -> dict:
    """Which channels of its files a case is, in order, and what those files hold (see recipe.as_given)."""
    return {name: value for name, value in as_given(case).items() if name in ("channels", "held")}


def write(case, prepared: Prepared, probabilities: np.ndarray, record: MapRecord, target: Target, *,
          settings: Mapping, scheme: str = "", origin: Mapping) -> Path:
    """Write the prediction of a case, its record last; returns the path of the label map.

    probabilities: float32 (z, y, x, k) as segment.probabilities gives them. settings: of the post-processing, in
    place of the record's. scheme: that the label map is written in; "" is the model's. origin: what else the record
    says (model, seen). Raises CaseError for probabilities that are no numbers.
    """
    label_map, values, wanted = label_map_of(prepared, probabilities, record, settings)
    grid, there = prepared.grid, prepared.native_grid
    if scheme and scheme != record.scheme:
        label_map = labels.convert(label_map, labels.scheme(record.scheme), labels.scheme(scheme))
    extra = {}
    if target.probabilities is not None:
        extra["probabilities"] = _write_probabilities(case, values, grid, there, wanted, target)
    path = target.out / f"{case.id}{target.suffix}"
    with store.whole(path) as temporary:
        files.write(temporary, Image(label_map, there))
    _remove_former(case, path, extra.get("probabilities", ()), target)
    store.write_json(store.record_path(target.out, case.id), {
        **({"case": {"subject": case.subject}} if case.subject else {}),
        "path": path.relative_to(target.out).as_posix(),
        "source": sources(case),
        "given": picked(case),
        "content": prepared.content,
        "native_grid": there.as_dict(),
        **origin,
        "scheme": scheme or record.scheme,
        **extra,
        "outputs": {path.relative_to(target.out).as_posix(): path.stat().st_size},
        "recipe": target.hash,
    })  # fmt: skip
    return path


def label_map_of(prepared: Prepared, probabilities: np.ndarray, record: MapRecord, settings: Mapping
                 ) -> tuple[np.ndarray, np.ndarray, MapRecord]:
    """(label map on the native grid, probabilities on the prepared grid, the record with these settings of the
    post-processing) of a case. Raises CaseError for probabilities that are no numbers."""
    values = probabilities[0] if prepared.grid.dimension == 2 else probabilities
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise CaseError("the model gives no number for it")
    wanted, there = replace(record, postprocess=dict(settings)), prepared.native_grid
    label_map = native.label_map(values, prepared.grid, there, wanted)
    return postprocess.apply(label_map, there.spacing, settings, record), values, wanted


def _remove_former(case, path: Path, probabilities: Collection[str], target: Target) -> None:
    """Remove what other settings made of a case: its map in another format, probabilities of other labels."""
    with contextlib.suppress(CaseError):  # no record yet, or a damaged one
        former = store.read_json(store.record_path(target.out, case.id))
        for name in former.get("outputs", {}):
            if target.out / name != path:
                (target.out / name).unlink(missing_ok=True)
        for name in former.get("probabilities", {}) if probabilities else ():
            if name not in probabilities and Path(name).parent == (target.probabilities / case.id).absolute():
                Path(name).unlink(missing_ok=True)


def _write_probabilities(case, values, grid: Grid, there: Grid, record: MapRecord, target: Target) -> dict[str, int]:
    """One image for each output, DIR/ID/NAME.nii.gz; returns path -> size."""
    sizes, suffix = {}, target.suffix if target.suffix in VOLUMES else ".nii.gz"
    for names, array in zip(output_names(record), native.each_output(values, grid, there, record), strict=True):
        name = "background" if names[0] == "0" else names[0].replace("/", "_")
        path = (target.probabilities / case.id / f"{name}{suffix}").absolute()
        with store.whole(path) as temporary:
            files.write(temporary, Image(array, there), as_stored=True)
        sizes[str(path)] = path.stat().st_size
    return sizes
