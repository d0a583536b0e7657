"""Time and validation: a budget holds the last one, and the record tells what the network that is kept came to."""

import numpy as np
import pytest
from fitting import fit as fit_task
from segment_data import volumes


@pytest.mark.parametrize("every", [1, 100])
def test_a_budget_holds_its_last_validation(device, every, monkeypatch):
    import keras

    from mrilib.training import fit
    from mrilib.training.segment_settings import SegmentSettings, complete

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            now[0] += 0.01
            return np.ones((2, 1)), np.ones((2, 1))

        def begin(self, epoch):
            pass

    now = [0.0]
    monkeypatch.setattr(fit.time, "monotonic", lambda: now[0])  # seconds pass with steps and validations only

    def measure():
        now[0] += 1.5
        return {"validation_dice": 0.5}

    s = complete(SegmentSettings(budget=4, average=0, validate_every=every), validated=True)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(fit.optimizer(s, 5), loss="mse", jit_compile=False)
    validation = fit.Validation(measure, "validation_dice", higher_is_better=True, seconds=1.5)
    state = fit.fit(model, Batches(), validation, s, path=None, resume=False, run={}, watch=lambda *_: None)
    assert 2 < now[0] <= 4
    assert "validation_dice" in state.curve[-1]


def test_the_warmup_of_a_budget_ends_though_its_first_epoch_does_not(device, monkeypatch):
    import keras

    from mrilib.training import fit
    from mrilib.training.segment_settings import SegmentSettings, complete

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1000

        def __getitem__(self, index):
            return np.ones((2, 1)), np.ones((2, 1))

        def begin(self, epoch):
            pass

    now, rates = [0.0], []
    monkeypatch.setattr(fit.time, "monotonic", lambda: now[0])

    def watch(event, state, logs):
        if event == "step":
            now[0] += 0.1
            rates.append(float(model.optimizer.learning_rate))

    s = complete(SegmentSettings(budget=10, average=0, warmup=1.0, learning_rate=0.01), validated=False)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(fit.optimizer(s, 1000), loss="mse", jit_compile=False)
    fit.fit(model, Batches(), None, s, path=None, resume=False, run={}, watch=watch)
    assert 90 < len(rates) < 105 and rates[0] < 0.001
    assert 0.009 < max(rates[:15]) <= 0.01 and rates[-1] < 0.0005


@pytest.mark.parametrize("more", [{"patience": 2}, {}])
def test_the_record_tells_the_validation_of_its_network(tmp_path, device, more):
    from mrilib.labels import scheme
    from mrilib.models.record import MapRecord
    from mrilib.recipe import Recipe
    from mrilib.training import plan, segment
    from mrilib.training.segment_settings import SegmentSettings, complete

    parts = ["train", "train", "validation", "validation"]
    data = segment.SegmentData(volumes(tmp_path, 4), parts, scheme("1=one,2=two"), Recipe())
    given = SegmentSettings(epochs=3, dimension=3, patch=(8, 8, 8), width=4, levels=2, steps=2, warmup=0, average=1.0,
                            learning_rate=0.03, augment="none", batch_size=2, validate_every=1, **more)  # fmt: skip
    settings = plan.complete(complete(given, validated=True), [v.size for v in data.of("train")], data.spacing,
                             memory=1 << 30, gpu=False)  # fmt: skip
    model, record = fit_task("segment", data, settings, device)
    known, held, record = record["training"], data.of("validation"), MapRecord.from_dict(record)
    assert segment.whole_volumes(model, record, held) == known["validation"]
    assert known["validation"]["validation_dice"] == known["curve"][known["best_epoch"] - 1]["validation_dice"]
    assert 0 < segment.validation_seconds(model, record, held) < segment.validation_seconds(model, record, held * 50)
