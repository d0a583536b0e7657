"""The settings of prediction, those that all tasks share first. `--help` imports this module: no heavy imports."""

from __future__ import annotations

from pathlib import Path

from mrilib.config import Settings, described, setting

PRECISIONS = ("auto", "off", "float16", "bfloat16")
BOX_FORMATS = ("csv", "coco", "yolo")
MAP_SUFFIXES = (".nii.gz", ".nii", ".mha", ".png", ".tif")


@described
class PredictSettings(Settings):
    """How models are applied, whatever their task. A setting that is None gets its default from the task."""

    flips: bool = setting(True, "Average each image with its left-right mirror image.", off="--no-flips")
    as_is: bool = setting(False, "Take the images as they are, whatever the recipe of the model.", section="input")
    batch_size: int | None = setting(None, "Number of images or patches in a batch.", low=1, shown="16, or by size",
                                     section="machine")
    device: str = setting("auto", "Device that computes.", metavar="auto|cpu|gpu[:N]", section="machine", option=False)
    threads: int | None = setting(None, "Threads of the network on the CPU.", low=1, shown="all cores",
                                  section="machine")


@described
class TableSettings(PredictSettings):
    """The settings of a task whose predictions are the rows of a table."""

    json: bool = setting(False, "Write the table as JSON.", section="output", option=False)


@described
class ClassifyPredictSettings(TableSettings):
    """The settings of predicting classes."""

    explain: Path | None = setting(None, "Also write where the model looked (Grad-CAM) over each image, as "
                                   "DIR/CASE.png.", metavar="DIR", section="output")


@described
class BoxPredictSettings(TableSettings):
    """The settings of predicting boxes."""

    flip_axes: str | None = setting(None, "Axes to mirror along, in all combinations.", metavar="x|y|xy", shown="x")
    min_score: float | None = setting(None, "Leave out boxes of a lower score.", low=0, below=1, section="output",
                                      shown="that of the model")
    explain: Path | None = setting(None, "Also write the scores of all places over each image, as DIR/CASE.png.",
                                   metavar="DIR", section="output")
    nms_overlap: float = setting(0.5, "Intersection over union from which two boxes of a class are one.", above=0,
                                 below=1, section="output")
    format: str = setting("csv", "csv: a table, a row for each box. coco: a JSON list of COCO results, whose "
                          "image_id is the case. yolo: a text for each case in the folder -o, with the scores.",
                          choices=BOX_FORMATS, section="output")
    soft_nms: bool = setting(False, "Lower the scores of boxes that overlap a surer one instead of leaving them out.",
                             section="output")


@described
class MapPredictSettings(PredictSettings):
    """The settings of predicting label maps."""

    overlap: float = setting(0.5, "Fraction of a patch that the next patch covers again.", low=0, high=0.9)
    flip_axes: str | None = setting(None, "Axes to mirror along, in all combinations.", metavar="x|xy|xyz", shown="x")
    mixed_precision: str = setting("auto", "Precision of the network. auto: half precision where the device computes "
                                   "it fast.", choices=PRECISIONS, section="machine")
    keep_largest: bool = setting(False, "Keep only the largest connected component.", section="output")
    min_volume: tuple[str, ...] = setting((), "Remove smaller connected components of each region, or of this label or "
                                          "region.", metavar="[PART=]MM3", section="output")
    fill_holes: bool = setting(False, "Fill holes.", section="output")
    no_postprocess: bool = setting(False, "Leave out the post-processing that the model file holds. --keep-largest, "
                                   "--min-volume and --fill-holes add to it.", section="output")
    scheme: str | None = setting(None, "Write the label values of this scheme.", metavar="NAME|1=a,2=b",
                                 shown="the scheme of the model", section="output")
    suffix: str = setting(".nii.gz", "File format of the label maps.", choices=MAP_SUFFIXES, section="output")
    boxes: bool = setting(False, "Write a table of boxes instead of label maps: one around each connected component of "
                          "all labels, its score their mean probability there.", section="output")
    merge: float = setting(0.0, "With --boxes: join components at most this far apart.", low=0, unit="mm",
                           section="output")
    smallest: float = setting(0.0, "With --boxes: leave out boxes of smaller components.", low=0, unit="mm2, mm3",
                              section="output")
    probabilities: Path | None = setting(None, "Also write the probabilities of each label or region, float32, as "
                                         "DIR/CASE/NAME.", metavar="DIR", section="output")
    force: bool = setting(False, "Replace what another run left in the output.", section="output", option=False)
