"""Finding the cases of folders, files and tables."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mrilib.cases.case import Case, Reading, Search, of_file, recipe_root
from mrilib.cases.given import part_folders, part_of, person
from mrilib.cases.layouts import LAYOUTS, explain, function
from mrilib.cases.layouts.annotated import leave_unannotated
from mrilib.cases.layouts.brats import missing_channels
from mrilib.cases.layouts.classes import with_classes
from mrilib.cases.layouts.label_maps import without_label_maps
from mrilib.cases.layouts.tables import in_csv
from mrilib.cases.names import (
    COLOURS,
    PICTURES,
    channel_of,
    stem_of,
    suffix_of,
)
from mrilib.cases.unused import Unused, unused_of
from mrilib.errors import CaseError, UsageError
from mrilib.store import of_case


def find(paths: Iterable[Path], layout: str | Reading | None = None, root: Path | None = None,
         on_error: Callable[[CaseError], object] | None = None,
         on_unused: Callable[[Unused], None] | None = None) -> Iterator[Case]:
    """Yield the cases below each path: a folder, a file or a CSV of cases. The cases of a folder are sorted.

    layout: a name of LAYOUTS, a Reading, or None to detect the layout. root: the folder that ids start from. Default:
    the folder of the nearest recipe.json; else the folder given, or its parent if the folder is itself one case; else,
    for a file, the current folder if the name is relative and below it, or the folder of the file. on_error takes the
    errors of single cases; without it the first one is raised. on_unused takes the files of each folder that no case
    uses. Raises UsageError for a folder without a case and for a wrong table.
    """
    def fail(error):
        if on_error is None:
            raise error
        on_error(error)

    reading = layout if isinstance(layout, Reading) else Reading(layout)
    raw: list[Case] = []
    searches: list[tuple[Search, list[Path]]] = []
    for path in map(Path, paths):
        try:
            if path.is_dir():
                search, files = _search(path, reading, root, fail)
                searches.append((search, files))
                raw += _in_folder(search, files, on_unused)
            elif not path.exists():
                what = "is a dangling link" if path.is_symlink() else "no such file or folder"
                raise CaseError(what, where=path, remedy="check the name")
            elif path.suffix.lower() == ".csv":
                raw += in_csv(path, root or recipe_root(path) or path.parent, fail)
            else:
                raw.append(of_file(path, root))
        except CaseError as error:
            fail(error)
    by_root = defaultdict(list)
    for case in raw:
        by_root[case.root].append(case)
    cases = [case for members in by_root.values() for case in unite(members, reading, fail)]
    if reading.boxes_from is not None:
        cases = _with_boxes(cases, reading.boxes_from, [search for search, _ in searches], fail)
    if on_unused is not None:
        for search, files in searches:
            on_unused(unused_of(search, files, [*raw, *cases]))
    yield from cases


def unite(cases: list[Case], reading: Reading, fail: Callable[[CaseError], object]) -> list[Case]:
    """Complete the cases of one root: make ids unique, read records, name channels, parts and classes."""
    # A file that is named twice is one case. Two DICOM studies of one folder have the same path and are two cases.
    cases = list({(case.path, *case.image_files): case for case in cases}.values())
    for _ in range(2):  # twice: the new id of Y92.jpg may be the old id of Y92.jpg.png
        count = Counter(case.id for case in cases)
        cases = [replace(c, id=_with_suffix(c)) if count[c.id] > 1 else c for c in cases]
    wrong = {} if reading.channels else missing_channels(cases)
    complete = []
    for case in cases:
        try:
            if case.id in wrong:
                raise wrong[case.id]
            complete.append(_as_read(_with_record(case), reading))
        except CaseError as error:
            fail(error)
    folders = part_folders(case.id for case in complete)
    if folders:
        complete = [replace(case, part=case.part or part_of(case.id, folders),
                            subject=person(case.id, case.subject, folders)) for case in complete]
    seen = reading.layout in (None, "classes")
    return with_classes(complete, folders, sure=reading.layout == "classes") if seen else complete


def _with_boxes(cases: list[Case], boxes_from, searches: list[Search], fail) -> list[Case]:
    """The cases with other boxes. Those that have none known are left out, as images without an annotation."""
    changed_cases = []
    for case in cases:
        try:
            changed = boxes_from(case)
        except CaseError as error:
            fail(error)
            continue
        if changed is not None:
            changed_cases.append(changed)
        for search in searches if changed is None else ():
            search.unannotated.update(case.image_files)
    return changed_cases


def _with_suffix(case: Case) -> str:
    name = case.path.name
    return case.id if case.id.split("/")[-1] == name else f"{case.id}{name[len(stem_of(name)):]}"


def _search(folder: Path, reading: Reading, root: Path | None, fail) -> tuple[Search, list[Path]]:
    """The search of a folder, and its images in sorted order."""
    images, others = [], []
    for path in _files(folder, fail):
        if suffix_of(path):
            images.append(path)
        elif path.is_file():  # not a pipe: opening one would block
            others.append(path)
    stated = root or recipe_root(folder)
    wrong: list[CaseError] = []
    search = Search(folder, stated or folder, reading, lambda error: (wrong.append(error), fail(error)),
                    free=stated is None, others=tuple(others), wrong=wrong)
    return search, sorted(images, key=lambda p: p.relative_to(folder).parts)


def _in_folder(search: Search, files: list[Path], on_unused) -> list[Case]:
    cases: list[Case] = []
    left, names = files, LAYOUTS if search.reading.layout is None else (search.reading.layout,)
    for name in names:
        if name == "plain" and search.reading.layout is None:
            left = without_label_maps(search, _without_strays(left, cases, search), alone=not cases)
            left = leave_unannotated(search, left)
        more, left = function(name)(search, left)
        cases += more
    if not cases and not search.wrong:
        if on_unused is not None:
            on_unused(unused_of(search, files, []))
        looked = "; ".join(f"{name}: {explain(name)}" for name in names)
        raise UsageError("holds no case", where=search.folder, remedy=f"looked for {looked}")
    return sorted(cases, key=lambda case: case.id.split("/"))


def _without_strays(files: list[Path], cases: list[Case], search: Search) -> list[Path]:
    """Leave out the images that are no cases, such as a logo or an atlas beside a data set: fewer than the files of the
    cases, and either pictures beside volumes or files in a folder above those of the cases."""
    used = [path for case in cases for path in (*case.image_files, *case.label_files)]
    if len(files) >= len(used) or (search.root / "recipe.json").is_file():
        return files
    folders = {path.parent for path in used}
    above = {parent for folder in folders for parent in folder.parents} - folders
    volumes = not any(suffix_of(path) in PICTURES for path in used)

    def is_stray(path):
        return path.parent in above or (volumes and suffix_of(path) in PICTURES)

    return [path for path in files if not is_stray(path) or channel_of(path) not in (None, "label")]


def _files(folder: Path, fail, way: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files below a folder in sorted order, without hidden ones. way: the real paths of the folders around
    it. A link to one of these folders or to a parent of one is not followed, because it is a loop."""
    way = (*way, Path(os.path.realpath(folder)))
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        fail(CaseError(f"cannot be opened: {error.strerror}", where=folder, remedy="check its permissions"))
        return
    for path in inside:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            target = os.path.realpath(path) if path.is_symlink() else None
            if target is None or not any(passed.is_relative_to(target) for passed in way):
                yield from _files(path, fail, way)
        else:
            yield path


def _with_record(case: Case) -> Case:
    """Complete a prepared case from its record. Other cases stay unchanged."""
    record = of_case(case.root, case.id)
    if not record:
        return case
    values = record.get("case", {})
    label, channels = values.get("label"), values.get("channels")
    if channels:
        channels = {name: Path(case.root) / place for name, place in channels.items()}
        one = len(channels) > 1 and len(set(channels.values())) == 1
        case = replace(case, channels=channels, file_channels=tuple(channels) if one else ())
    return replace(
        case,
        subject=case.subject or values.get("subject"),
        class_name=values.get("class"),
        part=values.get("part") or case.part,
        label=Path(case.root) / label if label else case.label,
        boxes=tuple(tuple(box) for box in values.get("boxes", ())),
        scheme=values.get("scheme") or record.get("scheme") or case.scheme,  # the latter of a predicted label map
        layout="prepared",
        record=record,
    )


def _as_read(case: Case, reading: Reading) -> Case:
    """Name or choose the channels of a case by Reading.channels, and set the scheme of the user.

    Raises CaseError if the case lacks a channel.
    """
    if reading.scheme or reading.fix != case.fix:  # a copy of each of many cases takes time
        case = replace(case, scheme=reading.scheme or case.scheme, fix=reading.fix)
    wanted, have = reading.channels, tuple(case.channels)
    if not wanted or wanted == have:
        return case
    if set(wanted) <= set(have):
        return replace(case, channels={name: case.channels[name] for name in wanted})
    first = case.channels[have[0]]
    if have == ("image",):
        files = case.slices.get("image")
        slices = {**dict.fromkeys(wanted, files), **case.slices} if files else case.slices
        file_channels = wanted if len(wanted) > 1 else ()
        return replace(case, channels=dict.fromkeys(wanted, first), file_channels=file_channels, slices=slices)
    if case.file_channels == COLOURS and len(wanted) == len(have):
        again = dict(zip(have, wanted, strict=True))
        return replace(case, channels=dict.fromkeys(wanted, first), file_channels=wanted,
                       slices={again.get(name, name): files for name, files in case.slices.items()})
    raise CaseError(f"has channels {' '.join(have)}, not {' '.join(wanted)}", where=case.path,
                    remedy="name others with --channels")
