"""A model in memory: its record, its network, and prediction with it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from mrilib.models import file


class Model:
    """What `mrilib.train` and `mrilib.load_model` return.

    record: what the file says of the model (see mrilib.models.record). path: its file, None before it was saved.
    """

    def __init__(self, record: dict, *, path: str | Path | None = None, network=None):
        self.record = record
        self.path = None if path is None else Path(path)
        if network is not None:
            self.keras_model = network

    @cached_property
    def keras_model(self):
        """The Keras network, which gives probabilities; read from the file at the first use."""
        from mrilib import gpu

        gpu.setup("auto", mixed="off")
        return file.load(self.path)[0]

    def predict(self, cases, out: str | Path | None = None, **settings):
        """Apply the model to cases; see mrilib.predict."""
        from mrilib.tasks.predicting import predict

        return predict(self, cases, out, **settings)

    def save(self, path: str | Path) -> Path:
        """Write the model file (.h5 or .keras); returns its path."""
        file.save(self.keras_model, Path(path), self.record)
        self.path = Path(path)
        return self.path


def load_model(path: str | Path) -> Model:
    """The model in a file; its network is read when it is used. Raises CaseError for a file that is no model."""
    from mrilib.models import safety

    record = file.read_record(Path(path))
    safety.check(Path(path))
    return Model(record, path=path)
