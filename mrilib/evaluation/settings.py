"""The settings of scoring: those of every score, and those of label maps, classes and boxes."""

from __future__ import annotations

from mrilib.config import Settings, described, setting
from mrilib.errors import UsageError

POSITIVE = ("yes", "tumour", "tumor", "positive", "1", "malignant")


def words(text: str) -> tuple[str, ...]:
    """Words from text with commas between them."""
    return tuple(word for word in text.split(",") if word)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers from text with commas between them. Raises UsageError."""
    try:
        return tuple(map(float, words(text)))
    except ValueError as error:
        raise UsageError(f"{text!r} holds something else than numbers") from error


def region(text: str) -> tuple[str, tuple[int, ...]]:
    """Name and label values of `NAME=1+2+4`. Raises UsageError."""
    name, _, values = str(text).partition("=")
    parts = values.split("+")
    if not name.strip() or not all(part.strip().isdigit() and 0 < int(part) < 256 for part in parts):
        raise UsageError(f"{text!r} is not NAME=1+2+4", where="region")
    return name.strip(), tuple(int(part) for part in parts)


@described
class ScoreSettings(Settings):
    """Settings of every score."""

    allow_missing: bool = setting(False, "Leave cases without a prediction out of the metrics. By default, and always "
                                  "in ranks, they count as wrong.", section="metrics")
    level: float = setting(95.0, "Level of the confidence intervals in percent.", unit="%", above=0, below=100,
                           section="statistics")
    resamples: int = setting(2000, "Number of bootstrap resamples.", low=100, section="statistics")
    seed: int = setting(0, "Random seed. The same seed gives the same result.", low=0, section="statistics")
    rank_by: tuple[str, ...] | None = setting(
        None, "Metrics by which several submissions are ranked.", parse=words, metavar="NAME,…", section="statistics",
        shown="dice,hd95 of label maps; accuracy,roc_auc of classes; ap50,froc of boxes")


@described
class MapSettings(ScoreSettings):
    """Settings of the score of label maps."""

    scheme: str | None = setting(
        None, "What the values of the label maps mean: a known scheme or your own, such as "
        "1=necrotic,2=oedema,4=enhancing.", metavar="NAME|1=a,2=b", section="metrics", shown="as the layout says")
    predicted_scheme: str | None = setting(None, "Label scheme of predictions whose record does not tell it.",
                                           metavar="SCHEME", section="metrics", shown="the reference's")
    region: tuple[str, ...] | dict | None = setting(
        None, "Score this union of labels instead of the regions of the scheme. May be repeated.", metavar="NAME=1+2",
        section="metrics")
    labels: bool = setting(False, "Score each label in addition to the regions.", section="metrics")
    metrics: tuple[str, ...] | None = setting(None, "Compute only these metrics.", parse=words, metavar="NAME,…",
                                              section="metrics", shown="all")
    hd95: str = setting(
        "directed", "directed: the larger percentile of the two directions, surface elements weighted by area "
        "(surface-distance). pooled: percentile of both directions together, border voxels (MedPy). hd and assd "
        "follow this setting.", choices=("directed", "pooled"), section="metrics")
    tolerance: tuple[float, ...] = setting((1.0,), "Tolerance of the surface Dice (nsd) in mm. May be repeated.",
                                           unit="mm", low=0, section="metrics")
    lesion_dilation: int = setting(
        3, "Number of voxels by which lesions grow before those that touch are merged (BraTS: glioma 3, meningioma and "
        "metastases 1).", low=0, high=50, section="metrics")
    lesion_connectivity: int = setting(26, "Neighbours that make one lesion: 6, 18 or 26.", low=6, high=26,
                                       metavar="6|18|26", section="metrics")
    lesion_volume: float = setting(50.0, "Leave out lesions up to this volume in mm3 (BraTS: metastases 2).",
                                   unit="mm3", low=0, section="metrics")
    lesion_penalty: float = setting(374.0, "Distance in mm of a missed or false lesion.", unit="mm", low=0,
                                    section="metrics")
    empty: str = setting(
        "worst", "Score of a part that is empty. worst: perfect where both maps lack the part, the worst value where "
        "one does (distance: the diagonal of the image). skip: the case is left out. nan: undefined, as is the mean.",
        choices=("worst", "skip", "nan"), section="metrics")

    def __post_init__(self):
        super().__post_init__()
        if self.lesion_connectivity not in (6, 18, 26):
            raise UsageError(f"{self.lesion_connectivity} must be 6, 18 or 26", where="lesion_connectivity")
        if isinstance(self.region, tuple):
            object.__setattr__(self, "region", dict(map(region, self.region)) or None)

    def measured(self):
        """What is measured of each pair, as segmentation.Settings. Raises UsageError for an unknown metric."""
        from dataclasses import replace

        from mrilib.evaluation.metrics import lesions, segmentation

        lesion = lesions.Settings(self.lesion_dilation, self.lesion_connectivity, self.lesion_volume,
                                  self.lesion_penalty)
        settings = segmentation.Settings(self.empty, self.hd95, self.tolerance, True, lesion)
        if not self.metrics:
            return settings
        if unknown := [name for name in self.metrics if name not in settings.metrics]:
            raise UsageError(f"--metrics {unknown[0]}: unknown metric", remedy=f"known: {' '.join(settings.metrics)}")
        distances = any(name in ("hd95", "hd", "assd") or name.startswith("nsd_") for name in self.metrics)
        return replace(settings, surfaces=distances,
                       lesions=lesion if any(name.startswith("lesion") for name in self.metrics) else None)


@described
class ClassSettings(ScoreSettings):
    """Settings of the score of classes."""

    positive: str | None = setting(None, "Of two classes, the positive one.", metavar="CLASS", section="metrics",
                                   shown="yes, tumour, …")


@described
class BoxSettings(ScoreSettings):
    """Settings of the score of boxes."""

    sizes: tuple[float, ...] = setting(
        (32.0, 96.0), "Bounds of small, medium and large lesions: sides of squares of their area, as COCO has them.",
        unit="pixels", above=0, parse=numbers, metavar="A,B", section="metrics")

    def __post_init__(self):
        super().__post_init__()
        if len(self.sizes) != 2 or not self.sizes[0] < self.sizes[1]:
            raise UsageError(f"{','.join(map('{:g}'.format, self.sizes))} must be two numbers, the smaller one first",
                             where="sizes")
