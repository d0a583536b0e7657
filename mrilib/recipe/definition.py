"""The recipe of a set of cases: the ordered steps, with their parameters and what they learned."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from pkgutil import resolve_name

from mrilib import store
from mrilib.errors import CaseError, UsageError
from mrilib.images.registry import STEPS

FORMAT = 1


@dataclass(frozen=True)
class Step:
    """One step by its registry name, with its parameters and whatever it learned from training cases."""

    step: str
    parameters: dict = field(default_factory=dict)
    learned: dict = field(default_factory=dict)
    version: int = 1

    def as_dict(self) -> dict:
        return {"step": self.step, "version": self.version, "parameters": self.parameters, "learned": self.learned}

    def __str__(self) -> str:
        inside = [f"{k}={v}" for k, v in self.parameters.items() if v is not None]
        if self.learned:
            inside.append(f"learned {learned_name(self.learned)}")
        return f"{self.step}({', '.join(inside)})"


@dataclass(frozen=True)
class Recipe:
    """Steps in order; no steps means the cases are as given.

    augmentation: how the copies among the cases were made; beside the steps, not one of them: prediction never
    repeats it, and it is no part of the hash.
    """

    steps: tuple[Step, ...] = ()
    made_by: str = ""
    augmentation: dict = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """16 hex digits that name the steps, whoever made them; empty for no steps."""
        if not self.steps:
            return ""
        return store.name_of([s.as_dict() for s in self.steps])

    def as_dict(self) -> dict:
        more = {"augmentation": self.augmentation} if self.augmentation else {}
        return {"format": FORMAT, "steps": [s.as_dict() for s in self.steps], "made_by": self.made_by, **more}

    @classmethod
    def from_dict(cls, record: dict, where: object = None) -> Recipe:
        """Raises CaseError for a record of another format or with steps this version does not know."""
        if record.get("format") != FORMAT:
            raise CaseError(f"recipe of format {record.get('format')}; this version reads {FORMAT}", where=where)
        try:
            steps = tuple(Step(s["step"], s["parameters"], s.get("learned", {}), s["version"]) for s in record["steps"])
        except (KeyError, TypeError) as error:
            raise CaseError(f"not a recipe: {error} is missing", where=where) from error
        for step in steps:
            if step.step not in STEPS or step.version != 1:
                raise CaseError(f"step {step.step} version {step.version} is not known here", where=where,
                                remedy="use the version of the suite that made it")
        return cls(steps, record.get("made_by", ""), record.get("augmentation", {}))

    @classmethod
    def load(cls, path: Path) -> Recipe:
        return cls.from_dict(store.read_json(path), where=path)

    @classmethod
    def of_root(cls, root: Path) -> Recipe:
        """The recipe of the cases of a root; no steps ("as given") when the root has no recipe.json."""
        path = Path(root) / "recipe.json"
        return cls.load(path) if path.is_file() else cls()

    @classmethod
    def at(cls, path: Path) -> Recipe:
        """The recipe in a recipe.json or in the folder that holds one. Raises UsageError where there is none."""
        if path.is_dir():
            if not (path / "recipe.json").is_file():
                raise UsageError("holds no recipe.json", where=path, remedy="give a folder that this suite prepared")
            path = path / "recipe.json"
        try:
            return cls.load(path)
        except CaseError as error:
            raise error.as_kind(UsageError, path) from error

    def then(self, steps: tuple[Step, ...], made_by: str) -> Recipe:
        return Recipe(self.steps + tuple(steps), made_by, self.augmentation)

    def remaining(self, done: Recipe) -> tuple[Step, ...]:
        """The steps still to do on cases that have been through the recipe `done`.

        Raises UsageError, naming the first difference, when `done` is not a beginning of this recipe.
        """
        for place, (own, other) in enumerate(zip(self.steps, done.steps, strict=False), 1):
            if own.as_dict() != other.as_dict():
                raise UsageError(f"prepared otherwise: step {place} is {other}, the model's is {own}",
                                 remedy="prepare the data as given again, or --as-is")
        if len(done.steps) > len(self.steps):
            more = ", ".join(str(s) for s in done.steps[len(self.steps) :])
            wants = "data as given" if not self.steps else f"data that ends with {self.steps[-1]}"
            raise UsageError(f"prepared further than the model's training data: {more}; it wants {wants}",
                             remedy="give the data of the earlier stage, or --as-is")
        return self.steps[len(done.steps) :]


def learned_name(learned: dict) -> str:
    """Eight hex digits that stand for what a step learned, which is too long to show."""
    return hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()[:8]


def complete(name: str, options: dict) -> dict:
    """All parameters of a step by its name, except what it learns: the options, with its defaults filled in.

    The full set goes into the recipe, so that a later default does not change what an old recipe means; 2.0 is
    written as 2, so that both are one recipe. Raises UsageError for an option that this step does not have, for
    it would do nothing, and for one that is no finite number.
    """
    from inspect import Parameter, signature

    parameters = {
        p.name: p.default
        for p in signature(resolve_name(STEPS[name])).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in ("mask", "rng", "standard")
    }
    options = {key: value for key, value in options.items() if value is not None}
    if strange := [key for key in options if key not in parameters]:
        own = ", ".join(f"--{key}" for key in parameters) or "none"
        raise UsageError(f"--{strange[0]} has no effect on {name}", remedy=f"its own options: {own}")
    missing = [key for key, value in {**parameters, **options}.items() if value is Parameter.empty]
    if missing:
        raise UsageError(f"{name} needs --{missing[0]}")
    for key, value in options.items():
        if not all(isfinite(v) for v in (value if isinstance(value, list) else [value]) if isinstance(v, float)):
            raise UsageError(f"--{key} {value} is not a number")
    return {key: _plain(value) for key, value in {**parameters, **options}.items()}


def _plain(value):
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
