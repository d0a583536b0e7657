"""mri-predict with models that segment: the next case is prepared and the last one written while one is computed."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path

from mri_tools.cli.output import (
    ENDING,
    SOME_FAILED,
    complain,
    counted,
    describe,
    detail,
    emit,
    progress,
    say,
    wrong_use,
)
from mri_tools.common.predicting import Models, begun, calls
from mrilib import __version__
from mrilib.errors import CaseError, UsageError
from mrilib.parallel import cores, ordered

AHEAD = 2  # cases prepared at a time unless --jobs says more: a volume of four channels takes 0.15 GiB, its steps more


@dataclass(frozen=True)
class Settings:
    """What decides the voxels of a prediction, beside the models and the case."""

    flips: str
    overlap: float
    precision: str
    as_is: bool
    scheme: str
    suffix: str
    postprocess: dict = field(default_factory=dict)

    def as_dict(self, models: Models) -> dict:
        from mrilib.models.file import file_hash

        return {"models": [file_hash(path) for path in models.paths], **vars(self)}


def settings_of(models: Models, *, flips: bool, axes: str | None, overlap: float | None, precision: str | None,
                as_is: bool, scheme: str | None, suffix: str | None, stored: bool, keep_largest: bool,
                min_volume: tuple[str, ...], fill_holes: bool) -> Settings:
    """The settings of a run from its options. stored: take the post-processing that the model keeps, to which the
    options add; what they say of a part stands before what the model says of it.

    Raises UsageError for what has no effect, and for parts or a scheme that the model's labels have no place in.
    """
    import numpy as np

    from mrilib import labels
    from mrilib.inference import postprocess, segment

    record = models.record
    if axes and not flips:
        raise UsageError("--flip-axes has no effect with --no-flips")
    if suffix in (".png", ".tif") and record["dimension"] == 3:
        raise UsageError(f"--suffix {suffix}: the model takes volumes, and a volume cannot be a {suffix}",
                         remedy="use --suffix .nii.gz")
    segment.mirrors(axes or flips, record["dimension"])
    if axes and "z" in axes and all(one["dimension"] == 2 for one in models.records.values()):
        raise UsageError("--flip-axes: z has no effect, for the network sees slice by slice", remedy="x, y or xy")
    post = dict(record.get("postprocess") or {}) if stored else {}
    if any((other.get("postprocess") or {}) != post for other in models.records.values() if stored):
        say(f"the models keep different post-processing; that of {models.paths[0]} is used (or --no-postprocess)")
    for kind, asked in (("keep_largest", keep_largest), ("fill_holes", fill_holes)):
        if asked:
            post[kind] = list(dict.fromkeys([*post.get(kind, ()), postprocess.ALL]))
    if min_volume:
        asked = _volumes(min_volume, record)
        kept = {name: least for name, least in post.get("min_volume", {}).items()
                if postprocess.scored_name(name, record) not in asked}
        post["min_volume"] = {**kept, **asked}
    postprocess.check(post, record)
    if scheme:
        if not record["scheme"]:
            raise UsageError(f"--scheme {scheme}: the model's labels are numbers without names", where=models.paths[0])
        labels.convert(np.zeros(1, np.uint8), labels.scheme(record["scheme"]), labels.scheme(scheme))
    return Settings((axes or "x") if flips else "", 0.5 if overlap is None else overlap, precision or "auto", as_is,
                    scheme or "", suffix or ".nii.gz", post)


def _volumes(given: tuple[str, ...], record: dict) -> dict[str, float]:
    """--min-volume: a number for each part that is scored, PART=MM3 for one, by whichever of its names."""
    from mrilib.inference.postprocess import scored, scored_name

    found: dict[str, float] = {}
    for text in sorted(given, key=lambda text: "=" in text):  # what is said of one part stands before what is of all
        name, _, number = text.rpartition("=")
        try:
            found.update(dict.fromkeys([scored_name(name, record)] if name else scored(record), float(number)))
        except ValueError as error:
            raise UsageError(f"--min-volume {text} is not MM3 or PART=MM3") from error
    return found


def open_output(output: Path, models: Models, settings: Settings, force: bool) -> str:
    """Make a folder the root of predictions by these models and settings; returns the hash that names them.

    recipe.json marks it, before any case. Raises UsageError for a folder of others (force replaces them) or one that
    holds other things.
    """
    from mrilib.store import name_of, read_json, write_json

    mine = settings.as_dict(models)
    name = name_of(mine)
    mark = output / "recipe.json"
    if mark.is_file():
        old = read_json(mark).get("prediction")
        if old == mine:
            return name
        if old is None:
            raise UsageError("holds prepared cases, no predictions", where=output,
                             remedy="choose another folder")
        if not force:
            what = next((key for key in mine if old.get(key) != mine[key]), "all")
            raise UsageError("holds predictions of another model" if what == "models" else
                             f"holds predictions with other settings: {what} {old.get(what)!r}, now {mine.get(what)!r}",
                             where=output, remedy="--force replaces them, or choose another folder")
    elif output.is_dir() and any(not p.name.startswith(".") for p in output.iterdir()):
        raise UsageError("is not empty and not an output of this suite", where=output,
                         remedy="choose another folder")
    write_json(mark, {"format": 1, "steps": [], "made_by": f"mri-predict {__version__}", "prediction": mine})
    return name


class Network:
    """The networks of the models, built when the first case is there."""

    def __init__(self, models: Models, settings: Settings, *, device: str, threads: int | None, batch_size: int | None):
        self.models, self.settings = models, settings
        self.device, self.threads, self.batch_size = device, threads, batch_size
        self.built: list = []

    def build(self) -> list:
        if not self.built:
            from mrilib import gpu
            from mrilib.inference.precision import recast
            from mrilib.inference.segment import check_model
            from mrilib.models.file import load

            used = gpu.setup(self.device, mixed=self.settings.precision, threads=self.threads)
            say(used.line)
            for path in self.models.paths:
                with wrong_use():
                    model, record = load(path)
                    check_model(model, record, path)
                self.built.append(recast(model, used.policy))
        return self.built

    def probabilities(self, array):
        from mrilib.inference.segment import probabilities

        records = list(self.models.records.values())
        alike = all(record[key] == records[0][key] for record in records for key in ("dimension", "context", "patch"))
        return probabilities(self.build(), records[0] if alike else records, array, overlap=self.settings.overlap,
                             flips=self.settings.flips, batch_size=self.batch_size)


class Writer:
    """A thread that writes what was predicted and names it, in order, while the next case is computed.

    One case waits at most. What goes wrong with a case is said; what ends a run is raised by `put` or at the end.
    """

    def __init__(self, models: Models, settings: Settings, target, bar):
        self.models, self.settings, self.target, self.bar = models, settings, target, bar
        self.hashes = settings.as_dict(models)["models"]
        self.done = self.failed = 0
        self.error: BaseException | None = None
        self.dropped = False
        self.waiting: queue.Queue = queue.Queue(maxsize=1)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def put(self, case, result, probabilities=None) -> None:
        """A case with its path when it was complete, with what is wrong with it, or prepared with probabilities."""
        self.waiting.put((case, result, probabilities))
        if self.error is not None:
            raise self.error

    def __exit__(self, kind, error, trace):
        self.dropped = kind is not None
        self.waiting.put(None)
        self.thread.join()  # a file is being written: none is left half done
        if kind is None and self.error is not None:
            raise self.error

    def _run(self) -> None:
        while (item := self.waiting.get()) is not None:
            if self.error is not None or self.dropped:
                continue
            try:
                self._one(*item)
            except BaseException as error:  # noqa: BLE001  raised again in the main thread
                self.error = error
            del item

    def _one(self, case, result, probabilities) -> None:
        from mrilib.inference.predictions import write

        if probabilities is not None:
            try:
                if result.adapted:
                    detail(f"{case.id}: {result.adapted}")
                known = {"model": self.hashes, "seen": self.models.seen.get(result.content, "")}
                result = write(case, result, probabilities, self.models.record, self.target(),
                               settings=self.settings.postprocess, scheme=self.settings.scheme, known=known)
            except CaseError as error:
                result = error
        if isinstance(result, BaseException):
            self.failed += 1
            complain(describe(case, result), result)
        else:
            self.done += 1
            emit(result)
        self.bar.step()


def run(found, models: Models, settings: Settings, network: Network, output: Path, *, probabilities: Path | None,
        force: bool, jobs: int | None) -> int:
    """Prepare, segment and write every case, in input order; returns the exit code."""
    from mrilib.inference.predictions import Target

    if (found := begun(found)) is None:
        return SOME_FAILED
    record = models.record
    deep = any(one["dimension"] == 3 or one["context"] for one in models.records.values())
    target: Target | None = None

    def arguments(case, steps, others):
        nonlocal target
        if target is None:  # late, so that a run that turns out to be wrong use makes no folder
            name = open_output(output, models, settings, force)
            if probabilities:  # else another run's would be replaced, and this one's pass for complete by their sizes
                open_output(probabilities, models, settings, force)
            target = Target(output, name, settings.suffix, probabilities, force)
        return case, steps, record["channels"], record["spacing"], not settings.as_is, target, others, deep

    todo = calls(found, models, settings.as_is, output, arguments)
    results = ordered("mrilib.inference.predictions:ready", todo, jobs or min(cores(), AHEAD), ahead=1, apart=True)
    with progress("cases") as bar, Writer(models, settings, lambda: target, bar) as writer:
        for case, result in results:
            if isinstance(result, ENDING):
                raise result
            if isinstance(result, (BaseException, Path)):
                writer.put(case, result)
                continue
            try:
                writer.put(case, result, network.probabilities(result.array))
            except CaseError as error:
                writer.put(case, error)
            del result
    if not writer.done and not writer.failed:
        return SOME_FAILED
    return counted(writer.done, writer.failed)
