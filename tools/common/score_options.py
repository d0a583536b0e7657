"""The options of mri-score in groups: what a score is made of, and what is done with it."""

from __future__ import annotations

from pathlib import Path

import click

from mri_tools.cli import options

FILE = click.Path(path_type=Path)


class Region(click.ParamType):
    """A union of labels: NAME=1+2+4."""

    name = "NAME=1+2"

    def convert(self, value, param, ctx):
        if isinstance(value, (tuple, list)):  # from --config
            return value[0], tuple(value[1])
        name, _, numbers = str(value).partition("=")
        parts = numbers.split("+")
        if not name.strip() or not all(p.strip().isdigit() and 0 < int(p) < 256 for p in parts):
            self.fail(f"{value!r} is not NAME=1+2+4", param, ctx)
        return name.strip(), tuple(int(p) for p in parts)


class Words(click.ParamType):
    """Words joined by commas."""

    name = "NAME,…"

    def convert(self, value, param, ctx):
        return tuple(value) if isinstance(value, (tuple, list)) else tuple(w for w in str(value).split(",") if w)


truth = options.several(
    click.option("-r", "--reference", type=FILE,
                 help="The truth: a folder of cases with their classes, label maps or boxes, or a CSV of them."),
    options.layout,
    options.channels,
    options.as_,
    options.fix,
    options.split,
    options.part,
    click.option("-m", "--model", "models", multiple=True, type=FILE,
                 help="Look in this model's record for cases that it saw."),
)

rules = options.several(
    options.scheme,
    click.option("--predicted-scheme", metavar="SCHEME",
                 help="Of predictions whose record does not say.  [default: the reference's]"),
    click.option("--region", "regions", multiple=True, type=Region(),
                 help="Score this union of labels, instead of the scheme's regions; repeat it for more."),
    click.option("--labels", "each_label", is_flag=True, help="Score each label as well as the regions."),
    click.option("--metrics", type=Words(), help="Only these figures.  [default: all that there are]"),
    click.option("--hd95", type=click.Choice(["directed", "pooled"]), default="directed", show_default=True,
                 help="Larger percentile of the two directions, surface elements weighted by area (surface-distance); "
                      "or percentile of both together, border voxels (MedPy). hd and assd follow it."),
    click.option("--tolerance", "tolerances", multiple=True, type=click.FloatRange(0), default=(1.0,),
                 show_default=True, help="Of the surface Dice (nsd), in mm; repeat it for more."),
    click.option("--lesion-dilation", type=click.IntRange(0, 50), default=3, show_default=True,
                 help="Voxels by which lesions grow before those that meet are one (BraTS: glioma 3, meningioma and "
                      "metastases 1)."),
    click.option("--lesion-connectivity", type=click.Choice(["26", "18", "6"]), default="26", show_default=True,
                 help="Neighbours that make one lesion."),
    click.option("--lesion-volume", type=click.FloatRange(0), default=50.0, show_default=True,
                 help="Lesions up to so many mm3 are left out (BraTS: metastases 2)."),
    click.option("--lesion-penalty", type=click.FloatRange(0), default=374.0, show_default=True,
                 help="Distance in mm of a lesion missed or made up."),
    click.option("--empty", type=click.Choice(["worst", "skip", "nan"]), default="worst", show_default=True,
                 help="A part that both lack is perfect and one that either lacks gets the worst value (distance: "
                      "the image's diagonal); or is left out; or is undefined, as is its mean."),
    click.option("--allow-missing", is_flag=True,
                 help="Leave cases without a prediction out of the figures; else, and in ranks, they count as wrong."),
    click.option("--positive", metavar="CLASS", help="Of two classes the one to be found.  [default: yes, tumour, …]"),
)

statistics = options.several(
    click.option("--level", type=click.FloatRange(0, 100, True, True), default=95, show_default=True,
                 help="Of the intervals, in percent."),
    click.option("--resamples", type=click.IntRange(100), default=2000, show_default=True, help="Of the bootstrap."),
    options.seed,
    click.option("--group-by", type=FILE, help="CSV case,<column>…: figures for each value of each column as well."),
    click.option("--rank-by", type=Words(), metavar="NAME,…",
                 help="Figures by which several submissions are ranked.  [default: dice,hd95 of label maps; accuracy,"
                      "roc_auc of classes; ap50,froc of boxes]"),
)

results = options.several(
    options.output_file("Table of figures."),
    click.option("--per-case", type=options.FileToWrite(), help="CSV with a row for each case."),
    click.option("--fail-under", multiple=True, metavar="METRIC=VALUE", help="Exit 1 when a figure is lower."),
    options.json_,
    click.option("--check", is_flag=True, help="Only tell whether a submission is complete and well formed."),
    click.option("--like", type=FILE, help="Cases that --check compares with; their truth is not needed."),
    options.dry_run,
    options.jobs,
    options.common,
)
