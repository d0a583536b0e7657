"""Prediction of label maps: a folder of files on the native grid of each case, each with its record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mrilib import __version__, labels, store, targets
from mrilib.errors import UsageError
from mrilib.inference import postprocess, segment
from mrilib.inference.models import Models
from mrilib.inference.predictions import Target, write
from mrilib.inference.predictor import Predictor
from mrilib.inference.prepare import Prepared
from mrilib.inference.settings import MapPredictSettings
from mrilib.models.record import MapRecord
from mrilib.parallel import cores

AHEAD = 2  # cases prepared at a time unless --jobs says more: a volume of four channels takes 0.15 GiB, its steps more
FOLDER = Path("predictions")
OF_PATCHES = ("dimension", "context", "patch")  # of a record: how patches are cut
log = logging.getLogger("mrilib")


@dataclass(frozen=True)
class Identity:
    """What decides the voxels of a prediction, beside the models and the case; it names the folder of predictions."""

    flips: str
    overlap: float
    precision: str
    as_is: bool
    scheme: str
    suffix: str
    postprocess: dict = field(default_factory=dict)


class MapPredictor(Predictor):
    """A label map of each case; a complete one of the same models and settings is kept."""

    worker = "mrilib.inference.predictions:ready"
    ahead, apart = 1, True
    batch_size = 1  # cases; the patches of one case make batches of their own

    def __init__(self, task, models: Models, settings: MapPredictSettings, out: Path | None = None):
        super().__init__(task, models, settings, out)
        if not settings.boxes and (settings.merge or settings.smallest):
            raise UsageError("--merge and --smallest have no effect without --boxes", remedy="add --boxes")
        self.folder = out or FOLDER
        for folder in self.folders:
            targets.check_folder(folder)
        if settings.probabilities is not None:
            targets.check_beside(settings.probabilities, self.folder)
        self.identity = identity_of(models, settings)
        records = list(models.records.values())
        self.spans_slices = any(record.dimension == 3 or record.context for record in records)
        alike = all(getattr(record, key) == getattr(records[0], key) for record in records for key in OF_PATCHES)
        self.records = records[0] if alike else records
        self.target: Target | None = None
        self.hashes: list[str] = []

    @property
    def gives_table(self) -> bool:
        return False

    @property
    def folders(self) -> list[Path]:
        return [self.folder, *([self.settings.probabilities] if self.settings.probabilities is not None else [])]

    @property
    def jobs(self) -> int:
        return min(cores(), AHEAD)

    def check(self, network, record: MapRecord, name: object) -> None:
        segment.check_model(network, record, name)

    def arguments(self, case, steps: tuple, others: tuple) -> tuple:
        if self.target is None:  # late, so that a run that turns out to be wrong use makes no folder
            self.hashes = self.models.hashes()
            names = [open_output(folder, {"models": self.hashes, **asdict(self.identity)}, self.settings.force)
                     for folder in self.folders]  # another run's probabilities would pass for complete by their sizes
            self.target = Target(self.folder, names[0], self.settings.suffix, self.settings.probabilities,
                                 self.settings.force)
        record = self.models.record
        return (case, steps, record.channels, record.spacing, not self.settings.as_is, self.target, others,
                self.spans_slices)

    def forward(self, prepared: Sequence[Prepared]) -> list:
        networks = self.models.build(self)
        return [segment.probabilities(networks, self.records, one.array, overlap=self.settings.overlap,
                                      flips=self.identity.flips, batch_size=self.settings.batch_size)
                for one in prepared]

    def write(self, case, prepared: Prepared, values) -> Path:
        origin = {"model": self.hashes, "seen": self.models.seen.get(prepared.content, "")}
        return write(case, prepared, values, self.models.record, self.target, settings=self.identity.postprocess,
                     scheme=self.identity.scheme, origin=origin)


def identity_of(models: Models, settings: MapPredictSettings) -> Identity:
    """What decides the voxels: settings set against the models.

    Raises UsageError for a setting without effect, and for parts or a scheme that the labels of the model lack.
    """
    record, axes = models.record, settings.flip_axes
    if axes and not settings.flips:
        raise UsageError("--flip-axes has no effect with --no-flips")
    if settings.suffix in (".png", ".tif") and record.dimension == 3:
        raise UsageError(f"--suffix {settings.suffix}: the model takes volumes, and a volume cannot be a "
                         f"{settings.suffix}", remedy="use --suffix .nii.gz")
    segment.mirrors(axes or settings.flips, record.dimension)
    if axes and "z" in axes and all(one.dimension == 2 for one in models.records.values()):
        raise UsageError("--flip-axes: z has no effect, for the network sees slice by slice", remedy="x, y or xy")
    scheme = settings.scheme or ""
    steps = postprocess_of(models, settings)
    if scheme:
        if not record.scheme:
            raise UsageError(f"--scheme {scheme}: the model's labels are numbers without names", where=models.names[0])
        labels.convert(np.zeros(1, np.uint8), labels.scheme(record.scheme), labels.scheme(scheme))
    return Identity((axes or "x") if settings.flips else "", settings.overlap, settings.mixed_precision, settings.as_is,
                    scheme, settings.suffix, steps)


def postprocess_of(models: Models, settings: MapPredictSettings) -> dict:
    """The post-processing that the model holds, and what the settings add; of a part the settings decide."""
    record, use_own = models.record, not settings.no_postprocess
    steps = dict(record.postprocess) if use_own else {}
    if use_own and any(other.postprocess != steps for other in models.records.values()):
        log.info("the models keep different post-processing; that of %s is used (or --no-postprocess)",
                 models.names[0])
    for kind in ("keep_largest", "fill_holes"):
        if getattr(settings, kind):
            steps[kind] = list(dict.fromkeys([*steps.get(kind, ()), postprocess.ALL]))
    if settings.min_volume:
        asked = _volumes(settings.min_volume, record)
        kept = {name: least for name, least in steps.get("min_volume", {}).items()
                if postprocess.scored_name(name, record) not in asked}
        steps["min_volume"] = {**kept, **asked}
    postprocess.check(steps, record)
    return steps


def _volumes(texts: Iterable[str], record: MapRecord) -> dict[str, float]:
    """--min-volume: a number for each part that is scored, PART=MM3 for one, by whichever of its names."""
    volumes: dict[str, float] = {}
    for text in sorted(texts, key=lambda text: "=" in text):  # one part's own number goes before the number of all
        name, _, number = text.rpartition("=")
        parts = [postprocess.scored_name(name, record)] if name else postprocess.scored(record)
        try:
            volumes.update(dict.fromkeys(parts, float(number)))
        except ValueError as error:
            raise UsageError(f"--min-volume {text} is not MM3 or PART=MM3") from error
    return volumes


def open_output(folder: Path, identity: dict, force: bool) -> str:
    """Make a folder the root of predictions of one identity; returns the hash that names it.

    recipe.json marks the folder, before any case. Raises UsageError for a folder of other predictions (force replaces
    them) or one that holds other things.
    """
    name = store.name_of(identity)
    mark = folder / "recipe.json"
    if mark.is_file():
        before = store.read_json(mark).get("prediction")
        if before == identity:
            return name
        if before is None:
            raise UsageError("holds prepared cases, no predictions", where=folder, remedy="choose another folder")
        if not force:
            key = next((key for key in identity if before.get(key) != identity[key]), "all")
            what = ("another model" if key == "models" else
                    f"other settings: {key} {before.get(key)!r}, now {identity.get(key)!r}")
            raise UsageError(f"holds predictions {'of' if key == 'models' else 'with'} {what}", where=folder,
                             remedy="--force replaces them, or choose another folder")
    elif folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UsageError("is not empty and not an output of this suite", where=folder, remedy="choose another folder")
    store.write_json(mark, {"format": 1, "steps": [], "made_by": f"mri-predict {__version__}", "prediction": identity})
    return name
