"""The next trial of a search, by Optuna from the trials that are there. Optuna is imported only here."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence

from mrilib.errors import MachineError
from mrilib.tuning.space import Dimension, grid

STARTUP = 8  # random trials before the others are learned from


def suggest(dimensions: Sequence[Dimension], kind: str, seed: int, number: int, finished: Sequence[tuple[dict, float]],
            running: Sequence[dict]) -> dict[str, str] | None:
    """The parameters of a trial, each as text; None when a grid has no more.

    number: of the trial; 0 has the settings as they are: only what is fixed. finished: (parameters, value, higher is
    better) of trials. running: parameters of trials that others work on. `random` and `grid` depend on seed and number
    alone.
    """
    fixed = {d.name: d.values[0] for d in dimensions if len(d.values) == 1}
    free = [d for d in dimensions if d.name not in fixed]
    if number == 0 or not free:
        return fixed if number == 0 else None
    if kind == "grid":
        combinations = grid(free)
        random.Random(seed).shuffle(combinations)
        return {**fixed, **combinations[number - 1]} if number <= len(combinations) else None
    optuna = _optuna()
    distributions = {d.name: _distribution(optuna, d) for d in free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize", sampler=_sampler(optuna, kind, seed * 100_003 + number))
        for parameters, value in finished:
            study.add_trial(_trial(optuna, parameters, distributions, value))
        for parameters in running:
            study.add_trial(_trial(optuna, parameters, distributions, None))
        values = study.ask(distributions).params
    return {**fixed, **{d.name: _text(d, values[d.name]) for d in free}}


def importance(dimensions: Sequence[Dimension], finished: Sequence[tuple[dict, float]]) -> dict[str, float]:
    """The share of each dimension in what makes a good trial (PED-ANOVA, Watanabe et al. 2023), the largest first.

    Only trials with all dimensions count; empty where fewer than four are left.
    """
    optuna = _optuna()
    free = [d for d in dimensions if len(d.values) != 1]
    distributions = {d.name: _distribution(optuna, d) for d in free}
    complete = [(parameters, value) for parameters, value in finished if set(distributions) <= set(parameters)]
    if len(complete) < 4 or not free:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize")
        for parameters, value in complete:
            study.add_trial(_trial(optuna, parameters, distributions, value))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _optuna():
    try:
        import optuna
    except ImportError as error:
        raise MachineError("a search needs Optuna, which is not installed",
                           remedy="pip install 'mri-suite[tune]'; --compare works without it") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _sampler(optuna, kind: str, seed: int):
    if kind == "random":
        return optuna.samplers.RandomSampler(seed)
    if kind == "gp":
        try:
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP)
        except ImportError as error:
            raise MachineError("--sampler gp needs PyTorch, which is not installed",
                               remedy="pip install torch, or another --sampler") from error
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True,
                                      constant_liar=True)


def _distribution(optuna, dimension: Dimension):
    d = dimension
    if d.values:
        return optuna.distributions.CategoricalDistribution(d.values)
    if d.whole:
        return optuna.distributions.IntDistribution(int(d.low), int(d.high), log=d.log)
    return optuna.distributions.FloatDistribution(d.low, d.high, log=d.log)


def _trial(optuna, parameters: dict[str, str], distributions: dict, value: float | None):
    own = {name: distribution for name, distribution in distributions.items() if name in parameters}
    values = {name: parameters[name] if hasattr(own[name], "choices") else
              int(parameters[name]) if isinstance(own[name], optuna.distributions.IntDistribution) else
              float(parameters[name]) for name in own}
    state = optuna.trial.TrialState
    return optuna.trial.create_trial(params=values, distributions=own, value=value,
                                     state=state.RUNNING if value is None else state.COMPLETE)


def _text(dimension: Dimension, value) -> str:
    return str(value) if dimension.values or dimension.whole else f"{value:.4g}"
