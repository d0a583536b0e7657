"""What mri-train does for label maps: what their numbers mean, volumes on disk, the plan, the fit of each fold."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from mri_tools.cli.output import complain, describe, emit, program, progress, say
from mri_tools.common import training
from mrilib import __version__
from mrilib.errors import CaseError, UsageError
from mrilib.parallel import cores, ordered
from mrilib.targets import is_direct

MEMORY_SHARE = 0.25  # of the machine's memory that planning counts on unless said
GIB = 1 << 30
BEGAN = time.monotonic()  # a budget is for the whole command


def run(cases, failed, settings, output: Path, *, split, fold, validation, folds, scheme, cache, memory, device, mixed,
        threads, curve, resume, force, dry_run, tune) -> int:  # fmt: skip
    """Train on label maps and print each model's name; returns the exit code."""
    from mrilib import gpu, splits
    from mrilib.store import content_hash
    from mrilib.training import segment_settings

    if folds and (split or fold is not None):
        raise UsageError("--folds makes its own split", remedy="leave out --split and --fold")
    if folds and is_direct(output):
        raise UsageError("--folds writes a file for each fold", where=output, remedy="name a file with -o")
    if folds and settings.budget:
        settings = replace(settings, budget=settings.budget / folds)
    runs = []
    if folds:
        split = output.with_name(f"{output.stem}-split.csv")
        test = {name for name, part in splits.given_parts(cases).items() if part == "test"}
        if test:
            say(f"the given split: {len(test)} test cases are left out, the others make the folds")
            cases = [case for case in cases if case.id not in test]
        rows = splits.make(*training.grouped(cases, threads), folds=folds, seed=settings.seed)
        by_id = {row.case: row for row in rows}
        for number in range(folds):
            runs.append((_of_fold(output, number),
                         *training.parts(cases, failed, split, number, validation, settings, threads, by_id)))
    else:
        runs.append((output, *training.parts(cases, failed, split, fold, validation, settings, threads)))
    settings = segment_settings.complete(settings, validated="validation" in runs[0][1].values())
    training.check_weights(settings)
    if tune and "validation" not in runs[0][1].values():
        raise UsageError("--tune-postprocess needs validation cases", remedy="--validation 0.15")
    if dry_run:
        for name, parts, _ in runs:
            training.describe(cases, parts, settings, name)
        return 1 if failed else 0
    gpu.setup(device, mixed=mixed, threads=threads)  # what it lacks is told before hours of preparing
    if folds:
        _write_split(split, splits.write(rows), [name for name, *_ in runs], force)
        if (left := _of_fold(output, folds)).exists():
            say(f"{left} is of a run of more folds and not replaced: it belongs to no fold of {split}")
        for *_, origin in runs:
            origin["content"] = content_hash([split])
    own = cache is None
    if own:  # a device or a pipe has nothing beside it
        cache = (Path(tempfile.mkdtemp(prefix="mri-train-")) if is_direct(output) else
                 output.with_name(f"{output.name}.cache"))
    used = [c for c in cases if any(c.id in parts for _, parts, _ in runs)]
    held = [c for c in cases if c.id not in runs[0][1]] if fold is not None else []
    prepared = Prepared(used, held, settings, cache, scheme, threads)
    share = (time.monotonic() - BEGAN) / len(runs)  # of what all of them needed, so that each trains as long
    for number, (name, parts, origin) in enumerate(runs):
        _fit(prepared, settings, name, parts, origin, memory=memory, device=device, mixed=mixed, threads=threads,
             curve=_of_fold(curve, number) if folds and curve else curve, resume=resume, force=force, tune=tune,
             began=time.monotonic() - share)
        emit(name)
    if own:
        shutil.rmtree(cache, ignore_errors=True)
    return 1 if failed or prepared.failed else 0


def _write_split(path: Path, text: str, models: list[Path], force: bool) -> None:
    """Write the split of a cross-validation. Raises UsageError where models are there that another split parted."""
    from mrilib.store import write_text

    other = path.exists() and path.read_bytes() != text.encode("utf-8", "surrogateescape")
    if other and not force and (known := [model for model in models if model.exists()]):
        raise UsageError(f"is another split, that of {known[0]}", where=path,
                         remedy="--force replaces both, or choose another name with -o")
    write_text(path, text)


def _of_fold(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-fold{number}{path.suffix}")


def _fit(prepared, settings, output, parts, origin, *, memory, device, mixed, threads, curve, resume, force, tune,
         began) -> None:  # fmt: skip
    """One model. began: when its time began."""
    from mrilib import gpu
    from mrilib.training import plan, segment
    from mrilib.training.settings import DEPTHWISE

    data = prepared.data(parts)
    training.check_held(settings, len(data.of("validation")), tune)
    setup = gpu.setup(device, mixed=mixed, threads=threads, seed=settings.seed,
                      depthwise=settings.backbone in DEPTHWISE and settings.weights is None)
    say(setup.line)
    planned = plan.complete(settings, [v.size for v in data.of("train")], data.spacing,
                            memory=(memory or _memory()) * GIB, wide=setup.device != "cpu")
    say(f"plan: {plan.describe(planned, data.spacing)}")
    described = segment.describe(data, planned, setup)
    asked = {**described, "tune_postprocess": True} if tune else described  # which a checkpoint knows nothing of
    if training.is_done(output, asked, force):
        say(f"{output} is of this very run: kept")
        return
    checkpoint = training.checkpoint_of(output, described, resume, force)
    with Watch(planned, training.curve_of(output, curve)) as watch:
        model, record = segment.fit(data, planned, setup, checkpoint=checkpoint, resume=resume, watch=watch, tune=tune,
                                    used=time.monotonic() - began)
    took = record["training"].pop("seconds")  # not in the file, whose bytes are the same however often a run was broken
    if tune:
        record["postprocess"], lines = segment.tune_postprocess(model, record, data.of("validation"))
        for line in lines or ["none helps on the validation cases"]:
            say(f"post-processing: {line}")
    training.save(output, model, {**record, "run": asked}, origin, checkpoint)
    watch.summary(model, record, took, output)


class Prepared:
    """The cases of a training, looked at and prepared on disk: scheme, label values, recipe, folders of the cache."""

    def __init__(self, cases, held, settings, cache: Path, scheme: str | None, threads: int | None):
        """held: cases of the other folds' training. Spacing and label numbers are of all, so that folds agree."""
        from mrilib.recipe import Recipe
        from mrilib.training import segment
        from mrilib.training.data import one_recipe

        self.cache, self.failed, self.jobs = cache, [], min(threads or cores(), cores())
        given = one_recipe(cases)
        steps = own_steps(given)
        self.recipe = Recipe(given.steps + steps, f"{program()} {__version__}" if steps else given.made_by)
        if steps:
            say(f"images as given: each goes through {', '.join(map(str, steps))}, here and in mri-predict")
        looks = self._each("look", "mrilib.training.volumes:look", [(c, (c, steps)) for c in [*cases, *held]])
        self.scheme = scheme_of([c for c, _ in looks], [numbers for _, (*_, numbers) in looks], scheme)
        self.values = self.scheme.values
        segment.check_outputs(segment.Data([], [], self.scheme, self.values, self.recipe), settings)
        channels = looks[0][1][1]
        self.spacing, self.stated = planned_spacing(looks, settings.spacing)
        if self.spacing:
            say(f"spacing: {','.join(f'{v:g}' for v in self.spacing[::-1])} mm for all")
        mine = {c.id for c in cases}
        calls = [(c, (c, steps, channels, self.spacing, self.values, cache)) for c, _ in looks if c.id in mine]
        self.folders = {c.id: name for c, name in self._each("prepare", "mrilib.training.volumes:prepare", calls)}

    def _each(self, label: str, target: str, calls) -> list:
        """(case, result) of a function over all cases side by side; a damaged one is named and left out."""
        found = []
        with progress(label, len(calls)) as bar:
            for case, result in ordered(target, calls, min(self.jobs, len(calls))):
                if isinstance(result, CaseError):
                    self.failed.append(result)
                    complain(describe(case, result), result)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    found.append((case, result))
                bar.step()
        if not found:
            raise CaseError("no case is left to train on")
        return found

    def data(self, parts: dict[str, str]):
        """The volumes of the cases that have a part."""
        from mrilib.training import segment, volumes

        names = {case_id: folder for case_id, folder in self.folders.items() if case_id in parts}
        found = volumes.load(self.cache, list(names.values()))
        data = segment.Data(found, [parts[case_id] for case_id in names], self.scheme, self.values, self.recipe,
                            self.spacing, self.stated)
        if not data.of("train"):
            raise UsageError("no case is left to train on")
        return data


def own_steps(given) -> tuple:
    """What cases still need that were never brought to a common scale: mri-normalize's own default. Nothing where their
    recipe has done such a thing."""
    from mri_tools.common.convert import used
    from mrilib.images.registry import NORMALIZERS
    from mrilib.recipe import Step

    if any(step.step in NORMALIZERS for step in given.steps):
        return ()
    return (Step("zscore", used("zscore", {})),)


def scheme_of(cases, numbers: list[list[int]], asked: str | None):
    """The label scheme of all cases: that asked for, that of their layout, else what the numbers say; in a line.

    Raises UsageError where cases come in two schemes.
    """
    from mrilib import labels

    known = {case.scheme for case in cases} if asked is None else {asked}
    if len(known) > 1:
        raise UsageError(f"label maps of several schemes: {' and '.join(sorted(k or 'one not known' for k in known))}",
                         remedy="--scheme, if one holds for all" if None in known else "train on one of them")
    found = labels.scheme(known.pop()) if None not in known else labels.of_values(v for each in numbers for v in each)
    meaning = ", ".join(f"{value} {name}" for value, name in found.labels.items())
    say(f"labels: {meaning} (scheme {found.name})" if found.name else
        f"labels: {' '.join(map(str, found.labels))}, meaning not known, each by itself (--scheme names them)")
    return found


def planned_spacing(looks, asked: tuple[float, ...] | None) -> tuple[tuple[float, ...] | None, bool]:
    """(the spacing that volumes are brought to, None where they agree or say nothing of it; whether they say it).

    asked: what is wanted of all. Raises UsageError for pictures among volumes, and for a spacing wanted of pictures.
    """
    from mrilib.inference.prepare import states_spacing
    from mrilib.training import plan

    every = [spacing for _, (spacing, *_) in looks]
    pictures = sum(len(spacing) < 3 for spacing in every)
    if 0 < pictures < len(every):
        raise UsageError(f"{pictures} of {len(every)} cases are pictures, the others volumes",
                         remedy="train on one kind")
    stated = all(states_spacing(case) for case, _ in looks)
    if asked and pictures and not stated:
        raise UsageError("--spacing has no effect on pictures, which do not say how large their pixels are",
                         remedy="leave it out")
    return asked or plan.spacing_of(every, stated), stated


def _memory() -> float:
    """GiB that planning counts on: a share of all that the machine has, so that a plan is the same every day."""
    return max(1.0, MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB)


class Watch(training.Watch):
    """Follows a fit: a bar over steps, or over the seconds of a budget; the curve file; a summary."""

    def __init__(self, settings, curve: Path | None):
        self.settings, self.curve = settings, training.Curve(curve)
        self.budget, self.told = settings.budget, 0.0
        total, unit = (int(settings.budget), "second") if settings.budget else (
            settings.epochs * settings.steps, "step")
        self.bar = progress("training", total, unit=unit)
        self.began, self.first = time.monotonic(), 0

    def __call__(self, event: str, state, logs: dict | None) -> None:
        if event == "step" and self.budget:
            now = time.monotonic() - self.began
            if now - self.told >= 1:
                self.bar.step(int(now - self.told))
                self.told += int(now - self.told)
        elif event == "step":
            self.bar.step()
        elif event == "resume":
            self.first = state.step
            self.bar.step(int(state.seconds) if self.budget else state.step)
            of = f", {state.seconds:.0f} s of the budget used" if self.budget else f" of {self.settings.epochs}"
            say(f"going on after epoch {state.epoch}{of}")
        else:
            found = f", validation Dice {logs['validation_dice']:.3f}" if "validation_dice" in logs else ""
            of = f" of {self.settings.epochs}" if self.settings.epochs else ""
            self.bar.note(f"epoch {state.epoch}{of}: loss {logs['loss']:.3f}{found}")
            self.curve.write(state.curve)

    def summary(self, model, record: dict, seconds: dict, output: Path) -> None:
        """What came out, on one screen. seconds: of this command alone, all of them and those waiting for windows."""
        known = record["training"]
        for part, counts in known["counts"].items():
            total = sum(case["part"] == part for case in known["cases"].values())
            if total:
                say(f"{part:10} {total} cases, of which hold {', '.join(f'{k} {n}' for k, n in counts.items())}")
        steps = known["steps"]
        now = steps - self.first  # the seconds are of these alone
        say(f"{'network':10} {model.count_params() / 1e6:.2f} million weights")
        each, waiting = (seconds[k] / max(now, 1) for k in ("all", "waiting_for_windows"))
        resumed = f", {now} now" if self.first else ""
        say(f"{'steps':10} {steps}{resumed} in {seconds['all']:.0f} s, {each:.2f} s each with validation, "
            f"{waiting:.3f} s of it waiting for windows; last loss {known['curve'][-1]['loss']:.3f}")
        if held := known["validation"]:
            each = ", ".join(f"{k.removeprefix('validation_dice_')} {v:.3f}" for k, v in held.items()
                             if k != "validation_dice")
            say(f"{'validation':10} epoch {known['best_epoch']}: mean Dice {held['validation_dice']:.3f} ({each})")
        say(f"{'written':10} {output}{training.size_of(output)}{self.curve}")
