"""The search for settings, and the comparison of given ones: trials until the number or the budget is reached, then
the training of the best on all cases."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mrilib import __version__, splits, store, tasks
from mrilib.errors import MriError, UsageError
from mrilib.results import ENDING, Silent
from mrilib.splits.stratify import Row
from mrilib.targets import check_apart
from mrilib.training import parts
from mrilib.training.output import check_output
from mrilib.training.run import Trained, Training
from mrilib.tuning import results, sampling, space
from mrilib.tuning.report import Findings, findings
from mrilib.tuning.settings import PARTS_OF_BUDGET, TRIALS, TuneSettings
from mrilib.tuning.space import Dimension
from mrilib.tuning.study import BEST, COMPLETE, FAILED, PRUNED, Study, Trial
from mrilib.tuning.trial import Ground, judge, quiet

log = logging.getLogger("mrilib")
WAIT = 1.0  # seconds between two looks whether another process has ended
MARGIN = 1.2  # on the time that the last training is expected to take
TEST = "test"


@dataclass(frozen=True)
class Plan:
    """The trials that are given beforehand: (name, parameters, seed) of each."""

    trials: tuple[tuple[str, dict[str, str], int], ...]


def tune(data, *, search: Sequence[str] = (), compare: Sequence[Path | str] = (), seeds: int = 1,
         task: str = tasks.AUTO, split: Path | str | None = None, out: Path | str | None = "best.h5",
         study: Path | str | None = None, force: bool = False, progress: Callable | None = None,
         on_error: Callable | None = None, threads: int | None = None, **settings) -> Findings:  # fmt: skip
    """Search for the settings of a training, or compare given ones; returns what was found.

    data: a folder or file, cases, or what `prepare` returns. search: texts NAME=VALUES, see mrilib.tuning.space; empty
    for the space of the task. compare: TOML files of options of mri-train instead. out: the model file of the best,
    trained on all cases; None for none. study: the folder of the trials, beside `out` by default. settings: those of
    mrilib.tuning.settings.TuneSettings. progress, on_error: see mrilib.train. Raises UsageError for a wrong setting.
    """
    from mrilib.tasks.train import cases_of

    cases = cases_of(data)
    chosen, given = tasks.detect(cases, task), TuneSettings.from_dict(settings)
    output = None if out is None else Path(out)
    folder = Path(study) if study else (output or Path("compared.h5")).with_suffix(".study")
    files = [Path(path) for path in compare]
    tuning = Tuning(chosen, cases, given, folder=folder, output=output, split=None if split is None else Path(split),
                    force=force, progress=progress, fail=on_error, fixed={"threads": threads},
                    **searched(chosen, search, None, files, seeds, given))
    return tuning.run()[0]


class Tuning:
    """A search (`dimensions`) or a comparison (`plan`) in a study folder."""

    def __init__(self, task, cases: Sequence, settings: TuneSettings, *, folder: Path, output: Path | None = None,
                 dimensions: Sequence[Dimension] = (), plan: Plan | None = None, split: Path | None = None,
                 fixed: dict | None = None, force: bool = False, began: float | None = None,
                 progress: Callable | None = None, fail: Callable | None = None):  # fmt: skip
        """task: see mrilib.tasks.task.Task. output: the model file of the best, None for none. fixed: settings of the
        machine for every training. began: time.monotonic() when the budget began to count.

        Cases of a test part, of the split or of the data set, are left out before anything is read of them. Raises
        UsageError for what cannot be, before any training.
        """
        self.began = time.monotonic() if began is None else began
        self.task, self.given, self.output, self.force = task, settings, output, force
        self.dimensions, self.plan, self.progress = list(dimensions), plan, progress or Silent
        self.failed: list = []
        self._fail = fail or (lambda error: log.warning("%s", error))
        self.study = Study(folder)
        if output is not None:
            check_output(output, False, None)
        check_apart(Path(folder), [case.root for case in cases])
        cases = [case for case in cases if task.has_reference(case)]
        self.rows, own = folds_of(cases, settings, split, self.fail)
        self.cases = [case for case in cases if case.id in own]
        numbers = sorted({row.fold for row in self.rows})
        self.order = [int(n) for n in np.random.default_rng(settings.seed).permutation(numbers)]
        training = settings.training
        searched = {d.name for d in dimensions} | {name for _, p, _ in (plan.trials if plan else ()) for name in p}
        if training is None and settings.budget is not None and not {"epochs", "budget"} & searched:
            training = settings.budget / PARTS_OF_BUDGET
        self.ground = Ground(task, self.cases, self.rows, self.order, training, Path(folder), fixed or {},
                             fail=self.fail)
        self.groups = {row.case: row.group for row in self.rows}
        self._check()

    def fail(self, error) -> None:
        """Note that a case is damaged, once."""
        if str(error) not in {str(one) for one in self.failed}:
            self.failed.append(error)
            self._fail(error)

    def _check(self) -> None:
        """Raise UsageError for parameters of which no combination can be trained."""
        if self.plan:
            for name, parameters, seed in self.plan.trials:
                try:
                    self.ground.settings(parameters, seed)
                except UsageError as error:
                    raise UsageError(error.what, where=error.where or name, remedy=error.remedy) from error
        else:
            if self.given.sampler == "grid":
                space.grid([d for d in self.dimensions if len(d.values) != 1])
            self._effective(sampling.suggest(self.dimensions, "random", self.given.seed, 0, (), ()))

    def _effective(self, parameters: dict[str, str]) -> dict[str, str]:
        return space.only_effective(parameters, lambda some: self.ground.settings(some, self.given.seed))

    @property
    def limit(self) -> int | None:
        """The number of trials, None where only the budget ends them."""
        if self.plan:
            return len(self.plan.trials)
        return TRIALS if self.given.trials is None and self.given.budget is None else self.given.trials

    def lines(self) -> list[str]:
        """What would be searched: what --dry-run prints."""
        trained = f"{self.ground.training:g} s" if self.ground.training else "its epochs"
        searched = ([f"{name}: {_joined(parameters)} seed={seed}" for name, parameters, seed in self.plan.trials]
                    if self.plan else [f"search {d}" for d in self.dimensions])
        return [f"{row.case}: fold {row.fold}" for row in self.rows] + searched + [
            f"{self.limit or 'any number of'} trials on {len(self.order)} folds, each training for {trained}",
            f"-> {self.study.folder}", *([f"-> {self.output}"] if self.output else [])]

    def run(self) -> tuple[Findings, Trained | None]:
        """Make the trials that are left, then train the best; returns what was found, and the model, None where no
        model is asked for or another process trains it."""
        self.study.open(self._about(), splits.write(self.rows), self.force)
        with self.progress("search", self.limit, "trial") as bar:
            bar.step(len(self.study.trials()))
            while True:
                claim = self.study.claim(self.limit, self._choose) if self._has_time() else None
                if claim is not None:
                    self._trial(*claim, bar)
                elif self.study.running():
                    time.sleep(WAIT)  # the trial of a process that dies is to be made again
                else:
                    break
        found = findings(self.study)
        store.write_text(self.study.folder / "results.csv", found.csv())
        if found.best is None:
            reasons = {trial.reason for trial in self.study.trials() if trial.reason}
            why = f": {sorted(reasons)[0]}" if reasons else ""
            raise UsageError(f"no trial came to its end{why}", remedy="a longer --budget, or other settings")
        return found, None if self.output is None else self._best(found)

    def _about(self) -> dict:
        """What two studies must share to be one."""
        given = self.given
        return {
            "format": 1, "task": self.task.name, "judged": self.task.judged, "seed": given.seed,
            "folds": self.order, "training": self.ground.training,
            "split": store.name_of([list(map(str, (r.case, r.group, r.fold))) for r in self.rows]),
            **({"compared": [[n, p, s] for n, p, s in self.plan.trials]} if self.plan else
               {"space": [{**asdict(d), "values": list(d.values)} for d in self.dimensions],
                "sampler": given.sampler, "prune": given.prune}),
            "made_by": f"mri-tune {__version__}",
        }  # fmt: skip

    def _choose(self, number: int, finished: Sequence[Trial], running: Sequence[dict]) -> dict | None:
        if self.plan:
            return self.plan.trials[number][1]
        parameters = sampling.suggest(self.dimensions, self.given.sampler, self.given.seed, number,
                                      results.comparable(finished), running)
        if parameters is None:
            return None
        try:
            return self._effective(parameters)
        except UsageError:
            return parameters  # the trial will fail with the reason

    def _has_time(self) -> bool:
        """Whether a trial as long as the mean of those so far, and the training of the best, fit into the budget."""
        if self.given.budget is None:
            return True
        used = time.monotonic() - self.began
        done = [trial for trial in self.study.trials() if trial.state != FAILED]
        if not done:
            return used < self.given.budget
        mean = float(np.mean([trial.seconds for trial in done]))
        last = 0.0
        if self.output is not None:
            last = MARGIN * max(trial.seconds / len(self.order) for trial in done)
        return used + mean + last < self.given.budget

    def _trial(self, number: int, parameters: dict[str, str], bar) -> None:
        name, seed = ("", self.given.seed) if self.plan is None else self.plan.trials[number][::2]
        _forget_peak()
        with self.study.alive(f"{number:04}"):
            began, values, folds, state, reason = time.monotonic(), {}, {}, COMPLETE, ""
            try:
                with quiet():
                    for judged in judge(self.ground, parameters, seed):
                        values |= judged.values
                        folds |= dict.fromkeys(judged.values, judged.fold)
                        bar.note(f"trial {number}, fold {judged.fold}")
                        if len(set(folds.values())) < len(self.order) and (reason := self._prunes(values)):
                            state = PRUNED
                            break
            except (MriError, ValueError) as error:
                if isinstance(error, ENDING) and not isinstance(error, MriError):
                    raise
                state, reason = FAILED, str(error)
            trial = Trial(number, state, parameters, seed, name, time.monotonic() - began, _peak(), reason,
                          socket.gethostname(), values, folds)
            self.study.put(trial)
        bar.step()
        mean, low, high = results.interval(values, self.groups)
        log.info("trial %d%s: %s, %s, %.0f s", number, f" ({name}, seed {seed})" if name else "",
                 f"{self.task.judged} {mean:.3f} ({low:.3f} to {high:.3f})" if values else state,
                 reason or _joined(parameters) or "the settings as they are", trial.seconds)

    def _prunes(self, values: dict[str, float]) -> str:
        """Why a trial stops: it is worse than the best so far on the cases judged by now; empty where it goes on."""
        if self.plan or not self.given.prune:
            return ""
        complete = {t.number: t.values for t in self.study.trials() if t.state == COMPLETE}
        best = results.best_of(complete)
        if best is None:
            return ""
        differences = {case: value - complete[best][case] for case, value in values.items() if case in complete[best]}
        p = results.worse(differences, self.groups)
        return f"worse than trial {best}, p {p:.3f}" if p < self.given.prune else ""

    def _best(self, found: Findings) -> Trained | None:
        """Train the best settings on all cases."""
        trial = found.best.trials[0]
        if not self.study.claim_best():
            log.info("another process trains the best")
            return None
        with self.study.alive(BEST):
            settings, picked = self.ground.settings(trial.parameters, trial.seed)
            cases = self.ground.prepared(picked)
            rows = [Row(row.case, row.subject, row.group, None, "train") for row in self.rows]
            log.info("training trial %d on all %d cases", trial.number, len(cases))
            store.write_text(self.output.with_suffix(".toml"), config_of(self.task, trial, self.ground.training))
            summary = {"study": {"trials": len(found.rows), "judged": found.judged, "folds": found.folds,
                                 "best": trial.number, "parameters": trial.parameters, "value": found.best.value,
                                 "low": found.best.low, "high": found.best.high,
                                 "corrected": [None if np.isnan(v) else v for v in found.corrected]}}  # fmt: skip
            training = Training(self.task, cases, replace(settings, validation=None), output=self.output, rows=rows,
                                force=self.force, progress=self.progress, fail=self.fail, more=summary)
            return next(iter(training.models()))


def folds_of(cases: Sequence, settings: TuneSettings, split: Path | None, fail: Callable) -> tuple[list[Row], set[str]]:
    """(the rows of the folds, the ids of their cases). Test cases take no part, and no copy of a case is in two folds.

    split: a split file with folds, or with parts, of which train and validation are divided.
    """
    if split is None:
        rows = parts.of_folds(cases, settings.folds, settings.seed, 1)
        return rows, {row.case for row in rows}
    given = {case: row for case, row in splits.read(split).items() if row.part not in (TEST, splits.EXCLUDED)
             or row.fold is not None}
    own = [case for case in cases if case.id in given]
    if missing := [case.id for case in cases if case.id not in splits.read(split)]:
        raise UsageError(f"has no row for {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""),
                         where=split, remedy="make the split from these cases: mri-split")
    if not own:
        raise UsageError("names none of the cases for training", where=split)
    if any(given[case.id].fold is not None for case in own):
        return [given[case.id] for case in own], {case.id for case in own}
    rows = splits.make(own, [given[case.id].group for case in own], folds=settings.folds, seed=settings.seed)
    return rows, {row.case for row in rows}


def config_of(task, trial: Trial, training: float | None) -> str:
    """The settings of a trial as a TOML file that `mri-train --config` reads; the preprocessing as a comment."""
    import tomli_w

    known = space.settings_of(task)
    values: dict = {"task": task.name, "seed": trial.seed}
    if training is not None and not {"epochs", "budget"} & set(trial.parameters):
        values["budget"] = f"{training:g}s"
    before = {}
    for name, text in trial.parameters.items():
        if name.partition("_")[0] in space.METHODS:
            before[name] = text
        elif (value := space.value_of(known[name], text)) is not None:
            typed = isinstance(value, bool | int | float) and known[name].parse is None
            values[space.flag(name)] = list(value)[::-1] if known[name].axes else value if typed else text
    prepared = "".join(f"# preprocessing: {space.flag(name)}={text}\n" for name, text in before.items())
    return f"# trial {trial.number} of mri-tune {__version__}\n{prepared}{tomli_w.dumps(values)}"


def plan_of(files: Sequence[Path], seeds: int, first: int, task) -> Plan:
    """The trials that compare TOML files of options of mri-train, each with several seeds. Raises UsageError."""
    named = {}
    for path in files:
        if path.stem in named:
            raise UsageError(f"two files are named {path.stem}", where=path, remedy="rename one")
        dimensions = list(space.of_file(path, task, leave=("task", "seed")))
        if several := next((d for d in dimensions if len(d.values) != 1), None):
            raise UsageError(f"{several} is more than one value", where=path, remedy="--search takes several")
        named[path.stem] = {d.name: d.values[0] for d in dimensions}
    return Plan(tuple((name, parameters, first + seed) for seed in range(seeds)
                      for name, parameters in named.items()))


def searched(task, search: Sequence[str], path: Path | None, compared: Sequence[Path], seeds: int,
             settings: TuneSettings) -> dict:  # fmt: skip
    """The dimensions or the plan of what is asked for, as keywords of Tuning; the space of the task where nothing is.

    Raises UsageError for what is no setting of the task.
    """
    if compared:
        if settings.trials is not None or settings.budget is not None:
            raise UsageError("--trials and --budget have no effect with --compare", remedy="leave them out; --training "
                             "limits each training")
        return {"plan": plan_of(compared, seeds, settings.seed, task)}
    return {"dimensions": space.of_file(path, task) if path else space.read(search or task.space, task)}


def tell(found: Findings) -> None:
    """The table as messages, line by line."""
    for line in found.text(styled=False).rstrip().split("\n"):
        log.info("%s", line)


def _joined(parameters: dict[str, str]) -> str:
    return " ".join(f"{space.flag(name)}={value}" for name, value in parameters.items())


def _forget_peak() -> None:
    """Let the system measure the memory of this process anew; it does on Linux."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        log.debug("the peak of memory is that of the whole process")


def _peak() -> int:
    """The most memory that this process held since `_forget_peak`, bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
