"""Layouts of data sets, one file for each. A new layout is a file here and a line in LAYOUTS."""

from __future__ import annotations

from pkgutil import resolve_name

# Tried in this order. Each layout takes its files and leaves the rest to the next: layout(search, files) returns
# (cases, the other files). Its docstring is the description that users see.
LAYOUTS = {
    "csv": "mrilib.cases.layouts.tables:table",
    "prepared": "mrilib.cases.layouts.prepared:prepared",
    "nnunet": "mrilib.cases.layouts.nnunet:nnunet",
    "msd": "mrilib.cases.layouts.msd:msd",
    "bids": "mrilib.cases.layouts.bids:bids",
    "dicom": "mrilib.cases.layouts.dicom:dicom",
    "coco": "mrilib.cases.layouts.coco:coco",
    "yolo": "mrilib.cases.layouts.yolo:yolo",
    "voc": "mrilib.cases.layouts.voc:voc",
    "via": "mrilib.cases.layouts.via:via",
    "labelme": "mrilib.cases.layouts.labelme:labelme",
    "brats": "mrilib.cases.layouts.brats:brats",
    "stacks": "mrilib.cases.layouts.stacks:stacks",
    "masks": "mrilib.cases.layouts.masks:masks",
    "classes": "mrilib.cases.layouts.classes:classes",
    "plain": "mrilib.cases.layouts.plain:plain",
}


def function(name: str):
    """Return the function that finds the cases of a layout."""
    return resolve_name(LAYOUTS[name])


def explain(name: str) -> str:
    """Return a short description of a layout."""
    return function(name).__doc__.strip().split("\n")[0]
