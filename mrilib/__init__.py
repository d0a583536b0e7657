"""Brain-MRI tumour work: from scans as they come to a scored prediction, usable from Python.

    import mrilib as mri

    cases = mri.find("scans/")
    data = mri.prepare(cases, ["n4", "crop", "zscore"], out="normalized/")

Each function is imported when it is first used. Messages go to the logger `mrilib`.
"""

from importlib import import_module

__version__ = "0.1.0"

# name -> where it is; a new public function is one line here
PUBLIC = {
    "find": "mrilib.preparation",
    "denoise": "mrilib.preparation",
    "normalize": "mrilib.preparation",
    "augment": "mrilib.preparation",
    "prepare": "mrilib.preparation",
    "split": "mrilib.splits.divide",
    "train": "mrilib.tasks.train",
    "tune": "mrilib.tuning.run",
    "predict": "mrilib.tasks.predicting",
    "score": "mrilib.tasks.scoring",
    "load_model": "mrilib.tasks.predicting",
    "inspect": "mrilib.inspection",
    "view": "mrilib.drawing",
    "report": "mrilib.reporting",
}
__all__ = ["__version__", *PUBLIC]


def __getattr__(name: str):
    if name not in PUBLIC:
        raise AttributeError(f"module 'mrilib' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
