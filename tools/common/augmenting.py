"""What mri-augment does around the library: which changes, which cases, the run over them, the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from click.core import ParameterSource

from mri_tools.cli import stream
from mri_tools.cli.output import give_results, program, say, write
from mri_tools.common import convert
from mrilib import __version__
from mrilib.errors import CaseError, UsageError
from mrilib.parallel import cores, ordered


def chosen(changes: dict, preset: str | None, settings: str | None, replay: str | None, *, copies, keep_originals,
           seed_given, show: bool, preview: str | None) -> dict:
    """What is to be drawn from, {"settings"}, or what was drawn before, {"drawn"}; with show, it is printed.

    Raises UsageError for options that contradict each other and when nothing would be changed.
    """
    from mrilib.images.augment import draw as augment

    changes = {name: value for name, value in changes.items() if value is not None}
    if replay:
        others = {"--preset": preset, "--settings": settings, "--copies": copies, "--show": show, "--preview": preview,
                  "--keep-originals": keep_originals, "--seed": seed_given == ParameterSource.COMMANDLINE,
                  **{f"--{name}": value for name, value in changes.items()}}  # fmt: skip
        if given := [name.replace("_", "-") for name, value in others.items() if value]:
            raise UsageError(f"{given[0]} has no effect with --replay, which does again what the table says")
        from mrilib.recipe import augmented
        from mrilib.store import content_hash

        return {"drawn": augmented.read(Path(replay)), "table": content_hash([Path(replay)])}
    if preview and (copies or keep_originals):
        raise UsageError(f"{'--copies' if copies else '--keep-originals'} has no effect with --preview",
                         remedy="it shows twelve copies")
    if show and not (changes or preset or settings):
        write(_listing(augment.MEANING, augment.PRESETS))
        return {}
    if preset and settings:
        raise UsageError("--preset and --settings are both sets to start from", remedy="give one of them")
    start = {"preset": preset} if preset else augment.read(Path(settings)) if settings else {}
    made = augment.settings({**start, **changes})
    if not made:
        raise UsageError("nothing would be changed", remedy="give a change such as --rotate 15, or --preset medium")
    if show:
        import json

        write("".join(f"{name} = {json.dumps(text)}\n" for name, text in made.as_dict().items()))
    return {"settings": made.as_dict()}


def _listing(meaning: dict[str, str], presets: dict[str, dict]) -> str:
    """Every change there is, as comments of a settings file, with what the sets make of it."""
    lines = []
    for name, text in meaning.items():
        sets = "  ".join(f"{preset} {given[name]}" for preset, given in presets.items() if name in given)
        lines.append(f"# {name}: {text}" + (f"  [{sets}]" if sets else "") + "\n")
    return "".join(lines)


def wanted(split: Path | None, fold: int | None) -> Callable | None:
    """Whether a case is for training: a function of its id, which raises CaseError for one the split does not know.

    With a fold, all but that fold are for training; its validation cases are chosen later, by mri-train.
    """
    if split is None:
        if fold is not None:
            raise UsageError("--fold has no effect without --split")
        return None
    from mrilib import splits

    rows = splits.read(split)
    parts = splits.parts(list(rows.values()), fold=fold)
    training = set(parts["train"]) | (set(parts["validation"]) if fold is not None else set())

    def keep(case) -> bool:
        if case.id not in rows:
            raise CaseError(f"{case.id} is not in {split}", where=case.path, remedy="split these cases first")
        return case.id in training

    return keep


def augment(paths, drawn_from: dict, output: Path, *, copies: int, keep_originals: bool, keep: Callable | None,
            suffix, seed, null, root, layout, jobs, force, dry_run) -> int:
    """Write the copies of every case below `output` and then their table; returns the exit code."""
    from mrilib.recipe import augmented
    from mrilib.store import write_text

    convert.refuse_output_in_input(paths, output)
    numbers = [*([0] if keep_originals else []), *range(1, copies + 1)]
    plan = {**drawn_from, "seed": seed, "copies": numbers} if "settings" in drawn_from else drawn_from
    state = _Output(output, plan, force, dry_run)
    left_out = 0

    def calls():
        nonlocal left_out
        for case in stream.each(paths, null=null, root=root, layout=layout,
                                on_unused=stream.in_full if dry_run else stream.briefly):
            if isinstance(case, CaseError):
                yield None, case
                continue
            try:
                if keep is not None and not keep(case):
                    left_out += 1
                    continue
                mine = state.plan_of(case)
                if not mine:
                    left_out += 1
                    continue
                recipe = state.open(case)
                for copy in mine.get("copies", mine.get("drawn")):
                    convert.claim(state.targets, replace(case, id=augmented.copy_id(case.id, copy)), output)
            except CaseError as error:
                yield case, error
                continue
            yield case, (case, mine, output, suffix, recipe, force)

    if dry_run:
        code = give_results(_listed(calls(), output), "dry run")
    else:
        try:
            code = give_results(_flat(ordered("mrilib.recipe.augmented:make", calls(), jobs or cores())), "copies")
        except UsageError:
            state.take_back()
            raise
        if state.recipe is not None:
            write_text(output / augmented.TABLE, augmented.table(output))
    if left_out:
        say(f"{left_out} cases left out: " + ("not for training" if keep else "not in the table"))
    return code


class _Output:
    """The output folder of a run: opened as a root of the first case's recipe, and of that only."""

    def __init__(self, folder: Path, plan: dict, force: bool, dry_run: bool):
        self.folder, self.plan, self.force, self.dry_run = folder, plan, force, dry_run
        self.recipe, self.new = None, False
        self.targets: dict[str, Path] = {}
        self.recipe_of = lru_cache(maxsize=64)(self._recipe_of)

    def _recipe_of(self, root):
        from mrilib.recipe import Recipe

        return Recipe.of_root(root)

    def plan_of(self, case) -> dict:
        """The plan for one case; empty when a table is replayed that has no copy of it."""
        if "drawn" not in self.plan:
            return self.plan
        drawn = self.plan["drawn"].get(case.id)
        return {"drawn": drawn} if drawn else {}

    def open(self, case) -> str:
        """The hash of the case's recipe. Raises CaseError when it is not that of the first case."""
        have = self.recipe_of(case.root)
        if self.recipe is None:
            convert.refuse_output_in_input([case.root] if have.steps else [], self.folder)
            how = {"replay": self.plan["table"]} if "table" in self.plan else self.plan
            mine = replace(have, made_by=f"{program()} {__version__}", augmentation=how)
            if not self.dry_run:
                self._clear(mine)
                self.new = not self.folder.exists()
                convert.open_output(self.folder, mine, self.force)
            self.recipe = have
        elif have.hash != self.recipe.hash:
            raise CaseError("has another recipe than the first case", where=case.path,
                            remedy="give cases of one recipe at a time")
        return have.hash

    def take_back(self) -> None:
        """Remove the folder again if this run made it and nothing was written: wrong use leaves nothing behind."""
        if self.new and [p.name for p in self.folder.iterdir()] == ["recipe.json"]:
            (self.folder / "recipe.json").unlink()
            self.folder.rmdir()

    def _clear(self, mine) -> None:
        """With --force, take away the copies of other settings: training would take them for its own."""
        from mrilib.recipe import augmented

        if self.force and (self.folder / "recipe.json").is_file():
            old = self._recipe_of(self.folder)
            if (old.hash, old.augmentation) != (mine.hash, mine.augmentation):
                augmented.remove(self.folder)


def _flat(results) -> Iterator:
    for case, result in results:
        if isinstance(result, list):
            yield from ((case, path) for path in result)
        else:
            yield case, result


def _listed(calls, output: Path) -> Iterator:
    for case, arguments in calls:
        if isinstance(arguments, CaseError):
            yield case, arguments
            continue
        for copy in arguments[1].get("copies", arguments[1].get("drawn")):
            yield case, f"{convert.describe(case, output)}{'_aug' * bool(copy)}{copy or ''}"
