"""What turns cases into cases shares: the output folder and its recipe, and the run over all of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mri_tools.cli import stream
from mri_tools.cli.output import give_results, say
from mrilib import __version__
from mrilib.cases import Case
from mrilib.errors import CaseError, UsageError
from mrilib.parallel import cores, ordered


def convert(paths, steps, output, *, program, suffix, null, root, layout, jobs, force, dry_run,
            **beside) -> int:  # fmt: skip
    """Run every case through `steps` into `output`; returns the exit code.

    steps: a list, or a function that gives those for the cases of a root, from the root and its recipe.
    beside: residual or field, a folder for each, None where not wanted; see mrilib.recipe.prepare_case.
    """
    from mrilib.recipe import Recipe

    beside = {what: folder for what, folder in beside.items() if folder is not None}
    refuse_output_in_input(paths, output)
    for folder in beside.values():
        refuse_beside(paths, folder, output)
    found = stream.each(paths, null=null, root=root, layout=layout,
                        on_unused=stream.in_full if dry_run else stream.briefly)
    recipe = None
    targets: dict[str, Path] = {}

    @lru_cache(maxsize=64)
    def of_root(root):
        """What the cases of a root have been through, and the steps to do."""
        have = Recipe.of_root(root)
        return have, tuple(steps(root, have) if callable(steps) else steps)

    def calls():
        nonlocal recipe
        for case in found:
            if isinstance(case, CaseError):
                yield None, case
                continue
            try:
                have, todo = of_root(case.root)
                mine = have.then(todo, f"{program} {__version__}")
                if recipe is None:
                    refuse_output_in_input([case.root] if have.steps else [], output)
                    if not dry_run:
                        open_output(output, mine, force)
                    recipe = mine
                elif mine.hash != recipe.hash:
                    raise CaseError("has another recipe than the first case", where=case.path,
                                    remedy="give cases of one recipe at a time")
                claim(targets, case, output)
            except CaseError as error:
                yield case, error
                continue
            yield case, (case, todo, output, suffix, recipe.hash, force, beside)

    if dry_run:
        listed = ((c, a if isinstance(a, CaseError) else describe(c, output)) for c, a in calls())
        return give_results(listed, "dry run")
    made = ordered("mrilib.recipe:prepare_case", calls(), jobs or cores())
    return give_results(_with_doubts(made, output, lambda case: of_root(case.root)[1]), "cases")


def _with_doubts(results, output: Path, steps_of):
    """(case, result) as they come; what a step of this run noted as doubtful is said before its case's result."""
    from mrilib.store import read_json, record_path

    for case, result in results:
        if isinstance(result, Path):
            done = {step.step for step in steps_of(case)}
            for seen in read_json(record_path(output, case.id))["measured"]:
                if "doubt" in seen and seen["step"] in done:
                    say(f"{case.path}: {seen['doubt']}")
        yield case, result


def refuse_output_in_input(paths, output: Path) -> None:
    """Raises UsageError when the output is, or lies in, a folder given as input: it would be read next time."""
    for path in paths:
        if path != stream.STDIN and path.is_dir() and output.resolve().is_relative_to(path.resolve()):
            raise UsageError("lies in the input", where=output, remedy="choose another folder")


def refuse_beside(paths, folder: Path, output: Path) -> None:
    """Raises UsageError for a folder of what is wanted beside the output that lies in the input or in the output."""
    refuse_output_in_input(paths, folder)
    if folder.resolve().is_relative_to(output.resolve()):
        raise UsageError("lies in the output, where it would pass for a case", where=folder,
                         remedy="choose another folder")


def open_output(output: Path, recipe, force: bool) -> None:
    """Make the output a root of this recipe: recipe.json first, before any case.

    Raises UsageError for a folder of another recipe (force replaces it) or one that holds other things.
    """
    from mrilib.recipe import Recipe
    from mrilib.store import write_json

    mark = output / "recipe.json"
    if mark.is_file():
        old = Recipe.load(mark)
        if old.hash == recipe.hash and old.augmentation == recipe.augmentation:
            return
        if not force:
            theirs, mine = (" ".join([*map(str, r.steps), *(f"{k}={v}" for k, v in r.augmentation.items())])
                            or "cases as given" for r in (old, recipe))
            raise UsageError(f"holds cases of another recipe: {theirs}; now {mine}", where=output,
                             remedy="--force replaces them, or choose another folder with -o")
    elif output.is_dir() and any(not p.name.startswith(".") for p in output.iterdir()):
        raise UsageError("is not empty and not an output of this suite", where=output,
                         remedy="choose another folder with -o")
    write_json(mark, recipe.as_dict())


def refuse_mark(case: Case) -> None:
    """Raise CaseError for a case whose record would be the recipe.json of the output."""
    if case.id.split("/")[-1] == "recipe":
        raise CaseError("its record would be called recipe.json, which marks a whole folder", where=case.path,
                        remedy="rename it")


def claim(targets: dict[str, Path], case: Case, output: Path) -> None:
    """Note the output name of a case; raises CaseError when another case of this run, or recipe.json, has it."""
    refuse_mark(case)
    if case.id.split("/")[0] == ".." or case.id in targets and targets[case.id] != case.path:
        other = targets.get(case.id, "a place outside the output")
        raise CaseError(f"would be written over {other} (both are {case.id})", where=case.path,
                        remedy="name them apart, or give --root")
    targets[case.id] = case.path


def describe(case: Case, output: Path) -> str:
    """One line of --dry-run: the case, its channels (those of one source together), label map and output."""
    sources: dict[Path, list[str]] = {}
    for name, path in case.channels.items():
        sources.setdefault(path, []).append(name)
    channels = " ".join(f"{','.join(names)}={path}" for path, names in sources.items())
    channels += f" ({len(case.image_files)} files)" if len(case.image_files) > len(sources) else ""
    label = f" label={case.label}" if case.label else ""
    label += f" scheme={case.scheme}" if case.label and case.scheme else ""
    label += f" subject={case.subject}" if case.subject else ""
    kind = f" class={case.class_name}" if case.class_name else ""
    return f"{case.id}: {channels}{label}{kind} -> {output / case.id}"
