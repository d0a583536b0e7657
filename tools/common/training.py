"""What mri-train does around the fit: who trains and who validates, the output, the bar, the summary."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from mri_tools.cli.output import complain, program, progress, say, write
from mrilib.errors import CaseError, UsageError
from mrilib.targets import is_direct

VALIDATION = 0.15  # part of the cases, where something needs validation and nothing was said


def task_of(cases, task: str) -> str:
    """The task asked for, or that the cases are for. Raises UsageError when they cannot be trained on for it."""
    classed = any(case.class_name is not None for case in cases)
    labelled = any(case.label is not None for case in cases)
    if task == "auto":
        task = "segment" if labelled and not classed else "classify"
    if task == "classify" and not classed:
        raise UsageError("no case has a class", remedy="put images into a folder for each class, or give a CSV with "
                         "the columns file and class")
    if task == "segment" and not labelled:
        raise UsageError("no case has a label map", remedy="put label maps beside the images; mri-inspect shows what "
                         "is found")
    return task


def check_output(output: Path, resume: bool = False) -> None:
    """Raises UsageError for a model file that cannot be written."""
    from mrilib.models.file import SUFFIXES

    if output.suffix not in SUFFIXES and (output.suffix or not is_direct(output)):
        raise UsageError("a model file ends with .h5 or .keras", where=output, remedy="choose another name with -o")
    if resume and is_direct(output):
        raise UsageError("--resume has no effect on what is no file: no checkpoint can lie beside it", where=output,
                         remedy="name a file with -o")


def check_size(shape, wanted: list[int] | None) -> None:
    """Raises UsageError when images of shape (n, y, x, channel) are not of the size (y, x) that --size names."""
    if wanted and list(shape[1:3]) != wanted:
        asked = wanted[::-1]
        raise UsageError(f"the images are {shape[2]} x {shape[1]}, not {' x '.join(map(str, asked))}",
                         remedy=f"bring them to that size first: mri-normalize --size {','.join(map(str, asked))}")


def parts(cases, failed: list, split: Path | None, fold: int | None, validation: float | None, settings,
          threads: int | None, rows: dict | None = None) -> tuple[dict, dict]:
    """The part of each case id that takes part (train, validation), and where the split is from, for the record.

    failed: takes the errors of cases that are damaged and so have no row in the split. threads: see grouped. rows: by
    case id, of a split that is yet to be written.
    """
    from mrilib import splits

    wants = settings.patience is not None or settings.schedule == "plateau"
    fraction = validation if validation is not None else VALIDATION if wants else 0.0
    if split is None:
        if fold is not None:
            raise UsageError("--fold needs --split", remedy="mri-split --folds 5 makes one")
        if given := splits.given_parts(cases):
            return _given_parts(cases, given, validation, fraction, settings.seed, threads)
        return _own_parts(cases, fraction, settings.seed, threads)
    from mrilib.store import content_hash

    content = None if rows else content_hash([split])
    rows = rows or splits.read(split)
    if fold is None and any(row.part == "validation" for row in rows.values()):
        if validation is not None:
            raise UsageError("--validation has no effect: the split has validation cases already", where=split,
                             remedy="leave it out")
        fraction = 0.0
    known = {case.id: case for case in cases}
    copies = _copies([case for case in cases if case.id not in rows], rows, split, failed)
    classes = {case.id: case.class_name for case in cases}
    chosen = splits.parts(list(rows.values()), fold=fold, validation=fraction, seed=settings.seed, classes=classes)
    if fold is None and fraction:
        pool = [known[i] for i in chosen["train"] if i in known]
        inner = splits.make(pool, [rows[c.id].group for c in pool], validation=fraction, test=0, seed=settings.seed)
        chosen |= {part: [row.case for row in inner if row.part == part] for part in ("train", "validation")}
    part_of = {i: part for part in ("train", "validation") for i in chosen[part]}
    if missing := sorted(set(part_of) - set(known)):
        say(f"{len(missing)} case{'s' * (len(missing) > 1)} of {split} not among the input, the first {missing[0]}")
    part_of |= {i: "train" for i, of in copies.items() if part_of.get(of) == "train"}
    origin = {"file": split.name, "content": content, "fold": fold, "validation": fraction}
    return {i: part for i, part in part_of.items() if i in known}, origin


def _copies(cases, rows: dict, split: Path, failed: list) -> dict[str, str]:
    """What each of these cases, which have no row, is a copy of: mri-augment's have none, but what they were made of.

    Damaged ones, which mri-split left out, are named and left out here, too. Raises UsageError for any other.
    """
    from mrilib.duplicates import fingerprint
    from mrilib.recipe import source_record

    found = {case.id: source_record(case).get("augmented", {}).get("of") for case in cases}
    strange = sorted((case for case in cases if found[case.id] not in rows), key=lambda case: case.id)
    for i, case in enumerate(strange):
        try:
            fingerprint(case)
        except CaseError as error:
            failed.append(error)
            complain(error if error.where else f"{case.path}: {error}", error)
            continue
        raise UsageError(f"has no row for {case.id}" + (f" and {len(strange) - i - 1} more" if strange[i + 1:] else ""),
                         where=split, remedy="make the split from these cases: mri-split")
    return found


def _own_parts(cases, fraction: float, seed: int, threads: int | None) -> tuple[dict, dict]:
    """Without a split: all cases train, or a part that shares no subject and no picture with the rest validates."""
    if not fraction:
        say(f"no --split: all {len(cases)} cases train, none is held out")
        return {case.id: "train" for case in cases}, {"made": "all", "validation": 0.0}
    from mrilib import splits

    rows = splits.make(*grouped(cases, threads), validation=fraction, test=0, seed=seed)
    part_of = {row.case: row.part for row in rows}
    held = sum(part == "validation" for part in part_of.values())
    groups = len({row.group for row in rows})
    say(f"no --split: made one of {groups} groups (subjects and near-duplicates kept together): "
        f"{len(part_of) - held} train, {held} validation")
    return part_of, {"made": "groups", "validation": fraction, "seed": seed, "groups": groups}


def _given_parts(cases, given: dict[str, str], validation: float | None, fraction: float, seed: int,
                 threads: int | None) -> tuple[dict, dict]:  # fmt: skip
    """The train and validation parts that the data set states, and never its test part. What leaks is said first.

    Raises UsageError for a fraction of validation cases where the data set states them.
    """
    from mrilib import splits

    if validation is not None and "validation" in given.values():
        raise UsageError("--validation has no effect: the data set states its validation part",
                         remedy="leave it out, or make another split: mri-split --given ignore")
    every, copies = compared(cases, threads)
    group = splits.grouping(every, copies)
    found = splits.leaks(every, given, group, copies)
    if found.lines:
        say(f"the given split leaks: {'; '.join(found.lines)}")
        say(f"the {len(found.cases)} cases concerned are trained on all the same; mri-split excludes them: "
            "mri-split DATA -o split.csv, then --split split.csv")
    part_of = {name: part for name, part in given.items() if part != "test"}
    if fraction and "validation" not in part_of.values():
        pool = [(case, name) for case, name in zip(every, group, strict=True) if case.id in part_of]
        inner = splits.make([case for case, _ in pool], [name for _, name in pool], validation=fraction, test=0,
                            seed=seed)
        part_of = {row.case: row.part for row in inner}
    counts = Counter(part_of.values())
    say(f"no --split: the given split: {counts['train']} cases train, {counts['validation'] or 'none'} validate, "
        f"{len(cases) - len(part_of)} are left out")
    made = fraction if "validation" not in given.values() else 0.0
    return part_of, {"made": "given", "validation": made, "seed": seed}


def compared(cases, threads: int | None) -> tuple[list, list]:
    """(the cases, damaged ones behind the others; their copies)."""
    from mrilib import duplicates
    from mrilib.parallel import cores

    readable, copies = duplicates.find(cases, min(threads or cores(), cores()))
    known = {case.id for case in readable}
    return [*readable, *(case for case in cases if case.id not in known)], copies


def grouped(cases, threads: int | None) -> tuple[list, list[str]]:
    """The cases and the group of each: subjects and near-duplicates stay together. A damaged one, behind the others,
    is its own group: it is named when it is read. threads: cores that may be used, None for all."""
    from mrilib import splits

    every, copies = compared(cases, threads)
    return every, splits.grouping(every, copies)


def complete(settings, part_of: dict, cases):
    """The settings with their defaults, checked against what is there to train on."""
    from mrilib.training.classify_settings import complete as fill
    from mrilib.training.settings import check_class_weights

    found = list(part_of.values())
    done = fill(settings, validated="validation" in found, cases=found.count("train"))
    names = {case.class_name for case in cases if case.id in part_of} - {None}
    if unknown := sorted({case.class_name for case in cases} - names - {None}):
        say(f"the model will not know {' '.join(unknown)}: all cases of that class are in the test part")
    check_class_weights(done.class_weights, sorted(names))
    check_weights(done)
    return done


def check_held(settings, count: int, tune: bool = False) -> None:
    """Raises UsageError when validation is needed and none of its cases, of which `count` could be read, is left."""
    if not count and (tune or settings.patience is not None or settings.schedule == "plateau"):
        raise UsageError("no case is left to validate with", remedy="mend those named above, or choose others")


def check_weights(settings) -> None:
    """Raises UsageError that says where ImageNet weights are missing, before any work is done."""
    if settings.weights == "imagenet":
        from mrilib.models.applications import check_imagenet

        check_imagenet(settings.backbone, settings.width or 1.0)


def describe(cases, part_of: dict, settings, output: Path) -> None:
    """The lines of --dry-run: each case with its part and class, then the settings."""
    for case in cases:
        truth = f"label={case.label}" if case.class_name is None else f"class={case.class_name}"
        write(f"{case.id}: {case.path} {truth} {part_of.get(case.id, 'left out')}\n")
    for name, value in settings.as_dict().items():
        if value is not None:
            write(f"--{name.replace('_', '-')}: {value}\n")
    write(f"-> {output}\n")


def is_done(output: Path, run: dict, force: bool) -> bool:
    """Whether the model file is there and of this very run. Raises UsageError when it is of another one."""
    if force or is_direct(output) or not output.exists():
        return False
    from mrilib.errors import CaseError
    from mrilib.models.file import read_record
    from mrilib.training.checkpoint import difference

    try:
        before = read_record(output).get("run", {})
    except CaseError as error:
        raise UsageError("exists and is no model of this suite", where=output,
                         remedy="choose another name with -o") from error
    if changed := difference(before, run):
        raise UsageError(f"is a model of another run: {changed}", where=output,
                         remedy="--force replaces it, or choose another name with -o")
    return True


def checkpoint_of(output: Path, run: dict, resume: bool, force: bool) -> Path | None:
    """Where the checkpoint of a model file lies; a line about what is found there. None beside a device or a pipe.

    Raises UsageError when the run is to go on from a checkpoint of another one; force starts anew then.
    """
    from mrilib.training import checkpoint

    if is_direct(output):
        return None
    path = output.with_name(f"{output.name}.checkpoint")
    if not path.exists():
        if resume:
            say(f"no checkpoint {path}: training from the beginning")
    elif not resume:
        say(f"{path} of an unfinished run is replaced (--resume would have gone on)")
    else:
        try:
            checkpoint.read(path, run)
        except UsageError as error:
            if not force:
                raise
            say(f"{error.where}: {error.what}: training from the beginning")
            path.unlink()
    return path


def curve_of(output: Path, asked: Path | None) -> Path | None:
    """Where the table of epochs goes: as asked, else beside the model file; None beside a device or a pipe."""
    return asked or (None if is_direct(output) else output.with_suffix(".curve.csv"))


def size_of(output: Path) -> str:
    """How large a finished model file is, in words; nothing of one that went into a device or a pipe."""
    return "" if is_direct(output) else f" ({output.stat().st_size / 1e6:.1f} MB)"


def save(output: Path, model, record: dict, origin: dict, checkpoint: Path | None) -> None:
    """Write the model file; then the checkpoint has done its service."""
    from mrilib.models import file

    record["training"]["split"] = origin
    record["made_by"] = program()
    file.save(model, output, record)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)


class Curve:
    """The table of the epochs: a file is written anew after each, a device or a pipe gets it at the end."""

    def __init__(self, path: Path | None):
        self.path, self.rows = path, []

    def write(self, rows: list[dict]) -> None:
        self.rows = rows
        if self.path is not None and not is_direct(self.path):
            self._put()

    def end(self) -> None:
        if self.path is not None and is_direct(self.path):
            self._put()

    def _put(self) -> None:
        from mrilib.store import write_text

        names = list(dict.fromkeys(name for row in self.rows for name in row))  # not every epoch is validated
        lines = [",".join(names)] + [",".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in self.rows]
        write_text(self.path, "\n".join(lines) + "\n")

    def __str__(self) -> str:
        return "" if self.path is None else f", {self.path}"


class Watch:
    """Follows a fit: a bar over all steps, the curve file after each epoch, a summary at the end."""

    def __init__(self, settings, data, curve: Path | None):
        self.settings, self.data, self.curve = settings, data, Curve(curve)
        steps = -(-len(data.places("train")) // settings.batch_size)
        self.bar = progress("training", settings.epochs * steps, unit="step")
        self.began, self.first = time.monotonic(), 0

    def __enter__(self):
        self.bar.__enter__()
        return self

    def __exit__(self, kind, *what):
        self.bar.__exit__(kind, *what)
        if kind is None:
            self.curve.end()

    def __call__(self, event: str, state, logs: dict | None) -> None:
        if event == "step":
            self.bar.step()
        elif event == "resume":
            self.first = state.epoch
            self.bar.step(state.step)
            say(f"going on after epoch {state.epoch} of {self.settings.epochs}")
        else:
            found = f", validation {100 * logs['validation_accuracy']:.1f} %" if "validation_accuracy" in logs else ""
            self.bar.note(f"epoch {state.epoch} of {self.settings.epochs}: loss {logs['loss']:.3f}{found}")
            self.curve.write(state.curve)

    def summary(self, model, record: dict, output: Path) -> None:
        """What came out, on one screen."""
        known, s = record["training"], self.settings
        for part, counts in known["counts"].items():
            if total := sum(counts.values()):
                say(f"{part:10} {total} cases: {', '.join(f'{name} {n}' for name, n in counts.items())}")
        start = f"started from {s.weights}" if s.weights else "from scratch"
        width = f" of width {s.width:g}" if s.width != 1 else ""
        say(f"{'network':10} {s.backbone}{width}, {model.count_params() / 1e6:.2f} million weights, {start}")
        seconds = time.monotonic() - self.began
        if not known["curve"]:
            say(f"{'epochs':10} none: the head was fitted to the features of the given weights in {seconds:.0f} s")
        else:
            last = known["curve"][-1]
            say(f"{'epochs':10} {last['epoch']} of {s.epochs}, {last['epoch'] - self.first} now in {seconds:.0f} s; "
                f"last loss {last['loss']:.3f}, accuracy while training {100 * last['accuracy']:.1f} %")
        if held := known["validation"]:
            say(f"{'kept':10} epoch {known['best_epoch']}: validation accuracy "
                f"{100 * held['validation_accuracy']:.1f} %, balanced "
                f"{100 * held['validation_balanced_accuracy']:.1f} %, loss {held['validation_loss']:.3f}")
        say(f"{'written':10} {output}{size_of(output)}{self.curve if known['curve'] else ''}")
