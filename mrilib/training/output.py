"""The files of a training: checks of the model file, its checkpoint, and the paths beside it."""

from __future__ import annotations

import logging
from pathlib import Path

from mrilib.errors import CaseError, UsageError
from mrilib.models.file import SUFFIXES, read_record
from mrilib.targets import is_direct
from mrilib.training import checkpoint

log = logging.getLogger("mrilib")


def check_output(output: Path, resume: bool, folds: int | None) -> None:
    """Raise UsageError for a model file that cannot be written. A device or pipe takes one model, without resuming."""
    if output.suffix not in SUFFIXES and (output.suffix or not is_direct(output)):
        raise UsageError("a model file ends with .h5 or .keras", where=output, remedy="choose another name with -o")
    if output.is_dir():
        raise UsageError("is a folder", where=output, remedy="choose another name with -o")
    if resume and is_direct(output):
        raise UsageError("--resume has no effect: a device or pipe has no checkpoint beside it", where=output,
                         remedy="name a file with -o")
    if folds and is_direct(output):
        raise UsageError("--folds writes a file for each fold", where=output, remedy="name a file with -o")


def is_done(output: Path, run: dict, force: bool) -> bool:
    """Whether the model file exists and is of the same run. Raises UsageError if it is of another run."""
    if force or is_direct(output) or not output.exists():
        return False
    try:
        before = read_record(output).get("run", {})
    except CaseError as error:
        raise UsageError("exists and is no model of this suite", where=output,
                         remedy="choose another name with -o") from error
    if changed := checkpoint.difference(before, run):
        raise UsageError(f"is a model of another run: {changed}", where=output,
                         remedy="--force replaces it, or choose another name with -o")
    return True


def checkpoint_of(output: Path, run: dict, resume: bool, force: bool) -> Path | None:
    """The path of the checkpoint of a model file, None beside a device or a pipe; a message says whether it exists.

    Raises UsageError when the run is to resume from a checkpoint of another one; with force it starts from the
    beginning then.
    """
    if is_direct(output):
        return None
    path = output.with_name(f"{output.name}.checkpoint")
    if not path.exists():
        if resume:
            log.info("no checkpoint %s: training from the beginning", path)
    elif not resume:
        log.info("%s of an unfinished run is replaced (--resume would have resumed it)", path)
    else:
        try:
            checkpoint.read(path, run)
        except UsageError as error:
            if not force:
                raise
            log.info("%s: %s: training from the beginning", error.where, error.what)
            path.unlink()
    return path


def of_fold(path: Path | None, number: int) -> Path | None:
    """The path of one fold."""
    return path and path.with_name(f"{path.stem}-fold{number}{path.suffix}")


def curve_of(output: Path | None, asked: Path | None) -> Path | None:
    """The path of the table of epochs: as asked, else beside the model file; None without one."""
    return asked or (None if output is None or is_direct(output) else output.with_suffix(".curve.csv"))


def cache_of(output: Path | None) -> Path | None:
    """The folder of prepared cases beside a model file; None without one."""
    return None if output is None or is_direct(output) else output.with_name(f"{output.name}.cache")
