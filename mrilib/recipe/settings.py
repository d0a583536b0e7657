"""The settings of noise removal and normalisation, and their steps. Only light imports: `--help` needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrilib import recipe
from mrilib.config import Setting, Settings, described, fields_of, setting
from mrilib.errors import UsageError
from mrilib.images.registry import BIAS, DENOISERS, EDGES, LEARNERS, NORMALIZERS, STEPS

if TYPE_CHECKING:
    from mrilib.recipe import Step

NO_METHOD = "none"


@described
class DenoiseSettings(Settings):
    """How noise is removed."""

    method: str = setting("nlm", "Method of noise removal.", choices=tuple(DENOISERS), section="noise removal")
    sigma: float | None = setting(None, "Standard deviation of the noise, for all methods but median and gaussian.",
                                  above=0, shown="estimated", section="noise removal")
    noise: str | None = setting(None, "Distribution of the noise for nlm: rician for a scanner's magnitude images.",
                                choices=("rician", "gaussian"), shown="rician", section="noise removal")
    varying: bool | None = setting(None, "Let nlm follow noise whose level varies slowly across the image.", off="even",
                                   shown="varying, unless --sigma", section="noise removal")
    radius: int | None = setting(None, "Half width of the median filter, in voxels.", low=1, shown="1",
                                 section="noise removal")
    width: float | None = setting(None, "Spatial width of gaussian and bilateral, in mm.", above=0, unit="mm",
                                  shown="1 voxel; bilateral 1.2 voxels", section="noise removal")

    def steps(self) -> list[Step]:
        """The step that removes the noise. Raises UsageError for settings that have no effect."""
        if self.varying and self.sigma:
            raise UsageError("--varying has no effect beside --sigma, which is one for the whole image")
        varying = self.sigma is None if self.method == "nlm" and self.varying is None else self.varying
        return [recipe.Step(self.method, recipe.complete(self.method, {
            "sigma": self.sigma, "noise": self.noise, "varying": varying, "radius": self.radius, "width": self.width,
        }))]  # fmt: skip


@described
class NormalizeSettings(Settings):
    """How images are brought to one geometry and one scale of intensities. Lengths of axes are in array order."""

    grey: bool = setting(False, "Convert colours, such as those of a photographed screen, to one channel.",
                         section="geometry")
    align: str | None = setting(None, "Resample all channels to the grid of the first: by rigid registration, or by "
                                "their headers.", choices=("rigid", "headers"), section="geometry")
    reorient: str | None = setting(None, "Reorient volumes to RAS or another such code.", metavar="CODE",
                                   section="geometry")
    brain: bool = setting(False, "Strip the skull: set all voxels outside the brain to 0.", section="geometry")
    crop: bool = setting(False, "Crop to the head, or to the stripped brain.", section="geometry")
    margin: float | None = setting(None, "Margin that --crop leaves around the head, in mm.", low=0, unit="mm",
                                   shown="0", section="geometry")
    spacing: tuple[float, ...] | None = setting(None, "Resample to this voxel spacing, in mm.", axes=True, above=0,
                                                unit="mm", section="geometry")
    size: tuple[int, ...] | None = setting(None, "Bring to this number of voxels, with the aspect kept.", axes=True,
                                           low=1, unit="voxels", section="geometry")
    fit: str | None = setting(None, "How --size is reached: scale and pad, scale and crop, or keep the scale.",
                              choices=("pad", "crop", "keep"), shown="pad", section="geometry")
    bias: str | None = setting(None, "Correct the bias field.", choices=tuple(BIAS), section="intensity")
    method: str = setting("zscore", "Method of intensity normalisation.", choices=(*NORMALIZERS, NO_METHOD),
                          section="intensity")
    region: str | None = setting(None, "Region in which intensities are measured.", choices=("image", "foreground"),
                                 shown="foreground; minmax and percentile image", section="intensity")
    peak: str | None = setting(None, "Peak of white matter for whitestripe: the last in T1, the largest in T2 and "
                               "FLAIR.", choices=("last", "largest"), shown="last", section="intensity")
    low: float | None = setting(None, "Lower percentile.", low=0, high=100, shown="1", section="intensity")
    high: float | None = setting(None, "Upper percentile.", low=0, high=100, shown="99", section="intensity")
    clip: bool | None = setting(None, "Clip values beyond the percentiles.", off="no-clip", shown="clip",
                                section="intensity")
    tissue: str | None = setting(None, "Tissue whose mean the method tissue sets to 1: white matter, grey matter or "
                                 "fluid.", choices=("wm", "gm", "csf"), shown="wm", section="intensity")
    edges: str | None = setting(None, "Add the strength of edges as a channel.", choices=tuple(EDGES),
                                section="intensity")

    def steps(self) -> list[Step]:
        """The steps in their order. Raises UsageError for settings that have no effect, and when no step is left."""
        for name, value, other, needs in (("margin", self.margin, "crop", self.crop), ("fit", self.fit, "size",
                                                                                       self.size)):  # fmt: skip
            if value is not None and not needs:
                raise UsageError(f"--{name} has no effect without --{other}")
        size, spacing = list(self.size or ()), list(self.spacing or ())
        chain = [  # name, whether it is asked for, parameters
            ("grey", self.grey, {}),
            ("align", self.align, {"method": self.align}),
            ("reorient", self.reorient, {"orientation": (self.reorient or "").upper()}),
            ("brain", self.brain, {}),
            ("crop", self.crop, {"margin": self.margin}),
            ("spacing", spacing, {"spacing": spacing}),
            ("pad", size and self.fit == "keep", {"size": size}),
            ("resize", size and self.fit != "keep", {"size": size, "fit": self.fit}),
            (self.bias, self.bias, {}),
            (self.method, self.method != NO_METHOD, self._scaling()),
            (self.edges, self.edges, {}),
        ]
        asked = [(name, parameters) for name, wanted, parameters in chain if wanted]
        if not asked:
            raise UsageError("nothing to do with --method none", remedy="see --help for the steps")
        return [recipe.Step(name, recipe.complete(name, parameters)) for name, parameters in asked]

    def _scaling(self) -> dict:
        """The parameters of the method of intensity normalisation."""
        parameters = {name: getattr(self, name) for name in ("region", "peak", "low", "high", "clip", "tissue")}
        if self.method == NO_METHOD:
            if useless := [f"--{name}" for name, value in parameters.items() if value is not None]:
                raise UsageError(f"{useless[0]} has no effect with --method none")
            return {}
        filled = recipe.complete(self.method, parameters)
        if filled.get("low", 0) >= filled.get("high", 1):
            raise UsageError("--low and --high are not in order")
        return parameters


def check_learning(method: str, learn: object, split: object, fold: int | None) -> None:
    """Raise UsageError for a method that learns and has nothing to learn from, and the other way round."""
    if learn is None:
        if method in LEARNERS:
            raise UsageError(f"--method {method} learns from other cases",
                             remedy="name them with --learn, or what has learned with --like")
        if split is not None or fold is not None:
            raise UsageError(f"--{'fold' if split is None else 'split'} has no effect without --learn")
    elif method not in LEARNERS:
        raise UsageError(f"--learn has no effect on {method}", remedy=f"{' and '.join(LEARNERS)} learn")


def steps_of(asked: Sequence) -> list[Step]:
    """Steps from names, (name, parameters) pairs, {"step": name, …} mappings or Steps, with their defaults filled in.

    Raises UsageError, naming it, for an unknown step and for a parameter of a wrong type or range.
    """
    if isinstance(asked, str):
        raise UsageError(f"{asked!r} is text", where="steps", remedy='give a list of steps, such as ["n4", "zscore"]')
    return [each if isinstance(each, recipe.Step) else _step(each) for each in asked]


def _step(asked) -> Step:
    if isinstance(asked, str):
        name, parameters = asked, {}
    elif isinstance(asked, dict):
        parameters = dict(asked)
        name = parameters.pop("step", None)
    else:
        name, parameters = asked
    if name not in STEPS:
        raise UsageError(f"unknown step {name!r}", remedy=f"one of {' '.join(STEPS)}")
    checked = {key: _checked(name, key, value) for key, value in parameters.items()}
    return recipe.Step(name, recipe.complete(name, checked))


def _checked(step: str, name: str, value):
    """A parameter checked as the setting of the same name is."""
    described: dict[str, Setting] = {s.name: s for cls in (NormalizeSettings, DenoiseSettings) for s in fields_of(cls)}
    if name not in described or value is None or (step, name) == ("align", "method"):
        return value
    converted = described[name].convert(value)
    return list(converted) if isinstance(converted, tuple) else converted
