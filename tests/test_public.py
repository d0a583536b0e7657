"""The public functions of mrilib: there, light to import, typed and described."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mrilib

ROOT = Path(mrilib.__file__).parent


@pytest.mark.parametrize("name", mrilib.PUBLIC)
def test_a_public_function_is_typed_and_described(name):
    function = getattr(mrilib, name)
    assert inspect.isfunction(function) and name in dir(mrilib)
    assert inspect.getdoc(function).endswith(".")
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert not [p.name for p in keywords if p.annotation is p.empty]
    assert not (ROOT / name).is_dir() or not (ROOT / name / "__init__.py").exists(), "a package would hide the function"
    assert not (ROOT / f"{name}.py").exists(), "a module would hide the function"


def test_importing_the_library_imports_nothing_heavy():
    heavy = ("numpy", "tensorflow", "keras", "SimpleITK", "scipy", "click", "matplotlib", "mrilib.cases")
    child = f"import sys, mrilib; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mrilib.nothing
