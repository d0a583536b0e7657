"""The rules of the house, read off the tree: imports, packages, help, options, reasons."""

import ast
import configparser
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
TOOLS = sorted(p.stem.replace("_", "-") for p in (ROOT / "tools").glob("mri_*.py"))
HEAVY = {"tensorflow", "keras", "SimpleITK", "sklearn", "numpy", "scipy", "rich", "tqdm", "h5py", "PIL", "tifffile",
         "numba"}

# What each part of mrilib may import from the others (itself, errors, config and results always).
ALLOWED = {
    "errors": set(),
    "config": set(),
    "results": set(),
    "targets": set(),
    "store": {"targets"},
    "tables": set(),
    "labels": set(),
    "cases": {"labels", "store", "tables"},
    "images": {"labels", "cases", "store", "parallel"},
    "duplicates": {"cases", "images", "parallel", "store"},
    "splits": {"cases", "duplicates", "leaks", "store", "sources", "tables"},
    "phantom": {"labels", "images", "store"},
    "recipe": {"labels", "cases", "images", "store", "tables", "parallel", "targets"},
    "sources": {"cases", "unused"},
    "preparation": {"sources", "cases", "images", "recipe", "splits", "models", "targets"},
    "unused": {"cases", "images", "labels", "store"},
    "evaluation": {"labels", "cases", "images", "store", "tables", "config", "parallel", "splits", "unused"},
    "drawing": {"labels", "cases", "images", "evaluation", "recipe", "store", "sources", "tables", "targets"},
    "reporting": {"cases", "images", "evaluation", "drawing", "inspection", "models", "sources", "store", "tables"},
    "leaks": {"cases", "duplicates"},
    "inspection": {"labels", "cases", "images", "recipe", "duplicates", "leaks", "parallel", "store", "unused", "tasks",
                   "models", "gpu"},
    "stderr": set(),
    "parallel": {"stderr", "store"},
    "gpu": {"parallel", "stderr"},
    "models": {"gpu", "labels", "store", "targets"},
    "inference": {"labels", "parallel", "splits", "targets", "models", "gpu", "evaluation", "recipe", "images", "cases",
                  "store"},
    "tasks": {"labels", "sources", "splits", "parallel", "targets", "training", "inference", "models", "gpu",
              "evaluation", "recipe", "images", "cases", "store"},
    "tuning": {"cases", "images", "recipe", "preparation", "splits", "parallel", "store", "targets", "evaluation",
               "gpu", "training", "tasks"},
    "training": {"labels", "duplicates", "splits", "parallel", "targets", "inference", "models", "gpu", "evaluation",
                 "recipe", "images", "cases", "store"},
}
LEARNING = {"gpu", "models", "inference", "training", "tasks"}


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path):
    """(module, whether at the top of the file) of every import of a source file, `from a import b` also as a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(ast.walk(ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node in top) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module, node in top
            yield from ((f"{node.module}.{name.name}", node in top) for name in node.names)


def part(path):
    return path.relative_to(ROOT / "mrilib").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [p for p in sources("mrilib") if p.parent.name != "mrilib" or p.name != "__init__.py"],
                         ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path):
    mine = part(path)
    assert mine in ALLOWED, f"give mrilib.{mine} its place in ALLOWED"
    for module, _ in imports(path):
        names = module.split(".")
        if names[0] == "mrilib" and len(names) > 1 and names[1] != "__version__":
            assert names[1] in {mine, "errors", "config", "results", *ALLOWED[mine]}, f"{mine} imports {module}"
        assert names[0] not in ("click", "mri_tools"), f"the library imports {module}"
        if names[0] == "tensorflow":
            assert mine == "gpu", f"{module} outside mrilib/gpu"
        if names[0] == "keras":
            assert mine in LEARNING, f"{module} in mrilib/{mine}"


@pytest.mark.parametrize("path", sources("tools"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_tools_import_heavy_things_late(path):
    for module, top in imports(path):
        assert not (top and module.split(".")[0] in HEAVY), f"{module} at the top"


def test_files_stay_short():
    long = {p.name: n for p in sources("mrilib") + sources("tools") + sources("tests")
            if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


def test_packages_are_those_of_the_tree():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    tree = set()
    for top, name in (("mrilib", "mrilib"), ("tools", "mri_tools")):
        for init in (ROOT / top).rglob("__init__.py"):
            tree.add(".".join([name, *init.parent.relative_to(ROOT / top).parts]))
    assert listed == tree
    scripts = setup["options.entry_points"]["console_scripts"].split("\n")
    assert sorted(s.split("=")[0].strip() for s in scripts if s) == TOOLS


def help_of(tool):
    env = {**os.environ, "COLUMNS": "80", "PYTHONUTF8": "1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second run does not compile
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([BIN / tool, "--help"], capture_output=True, encoding="utf-8", env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, cpu


@pytest.mark.parametrize("tool", TOOLS)
def test_help_is_quick(tool):
    help_of(tool)  # the first one may have to compile
    assert min(help_of(tool)[1] for _ in range(5)) <= 0.2  # aim 0.15; a shared machine measures 0.12 to 0.17


def test_help_loads_no_module_that_only_work_needs():
    code = "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]; print(*sorted(sys.modules))"
    modules = [f"mri_tools.{tool.replace('-', '_')}" for tool in TOOLS]
    loaded = subprocess.run([sys.executable, "-c", code, *modules], check=True, capture_output=True, text=True).stdout
    assert not {"numpy", "logging", "json", "csv", "hashlib", "subprocess", "mrilib.cases.case"} & set(loaded.split())


@pytest.mark.parametrize("tool", TOOLS)
def test_documentation_shows_the_real_help(tool):
    shown = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert f"```\n$ {tool} --help\n{help_of(tool)[0]}```" in shown, "make docs writes it anew"
    assert f"| `{tool}` |" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_layout():
    from mrilib.cases import LAYOUTS, explain

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(f"| `{name}` | {explain(name)} |" for name in LAYOUTS) in readme


def commands():
    import importlib

    for tool in TOOLS:
        yield tool, importlib.import_module(f"mri_tools.{tool.replace('-', '_')}").main


def test_every_option_says_what_it_does_and_is_the_same_everywhere():
    import click

    shared = {"output": "o", "jobs": "j", "null": "0", "quiet": "q", "verbose": "v", "model": "m"}
    seen = {}
    for tool, command in commands():
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert option.help, f"{tool} {option.opts} has no help"
            long = next((o for o in option.opts if o.startswith("--")), None)
            assert long, f"{tool} {option.opts} has no long name"
            name = long.lstrip("-")
            if name in shared:
                assert f"-{shared[name]}" in option.opts, f"{tool} {long} lacks -{shared[name]}"
            if name in ("force", "seed", "device", "dry-run", "layout", "json", "config", "root", "jobs", "null"):
                if (tool, name) == ("mri-inspect", "device"):
                    continue  # asks what there is, chooses nothing
                text = (option.help, str(option.default), tuple(option.opts))
                assert seen.setdefault(name, text) == text, f"{tool} {long} differs"


def test_every_dependency_has_its_reason():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"] + "".join(setup["options.extras_require"].values())
    names = {line.split(">")[0].split("[")[0].strip() for line in wanted.split("\n") if line.strip()}
    reasons = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert not [name for name in names if f"| {name} |" not in reasons]
