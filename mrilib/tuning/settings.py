"""The settings of a search. Only light imports: `--help` needs them."""

from __future__ import annotations

from dataclasses import dataclass

from mrilib.config import Settings, duration, setting

SAMPLERS = ("tpe", "random", "grid", "gp")
TRIALS = 20  # without a budget
PARTS_OF_BUDGET = 30  # trainings as long as this share of a budget


@dataclass(frozen=True)
class TuneSettings(Settings):
    """How settings are searched for."""

    trials: int | None = setting(None, "Number of trials, the first with the settings as they are.", low=1,
                                 shown=f"{TRIALS}, or as many as the budget allows", section="search")
    budget: float | None = setting(None, "Time for the whole command, such as 1h, the training of the best included.",
                                   unit="seconds", low=1, parse=duration, metavar="TIME", shown="none",
                                   section="search")
    training: float | None = setting(None, "Time of one training, such as 2m, instead of its number of epochs.",
                                     unit="seconds", low=1, parse=duration, metavar="TIME",
                                     shown=f"1/{PARTS_OF_BUDGET} of the budget, where epochs are not given",
                                     section="search")
    sampler: str = setting("tpe", "How trials are chosen. tpe: by what was good so far; random; grid: every "
                           "combination; gp: Gaussian process (needs PyTorch).", choices=SAMPLERS, section="search")
    folds: int = setting(3, "Number of folds that each trial is judged on; a split with folds has its own.", low=2,
                         metavar="N", section="validation")
    prune: float = setting(0.1, "Stop a trial after a fold when it is worse than the best, case by case, with this p "
                           "of Wilcoxon's test; 0 to disable.", low=0, below=1, metavar="P", section="search")
    seed: int = setting(0, "Random seed. The same seed gives the same result.", low=0, section="machine",
                        option=False)
