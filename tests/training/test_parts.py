"""Schedules, sampling, settings and the checkpoint's comparison: all that needs no network."""

import math
import re
import resource
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrilib import config, labels
from mrilib.errors import MachineError, UsageError
from mrilib.recipe import Recipe
from mrilib.training import checkpoint, sampling, segment_settings, volumes
from mrilib.training.classify_settings import ClassifySettings, complete
from mrilib.training.schedules import rate


def test_schedules_follow_their_formulas():
    def run(name, **more):
        return [rate(name, step, base=2.0, total=100, **more) for step in range(100)]

    assert run("constant") == [2.0] * 100
    assert run("step") == [2.0] * 50 + [pytest.approx(0.2)] * 25 + [pytest.approx(0.02)] * 25
    assert run("plateau", drops=2) == [pytest.approx(0.02)] * 100
    half = [2 * (0.01 + 0.99 * (1 + math.cos(math.pi * s / 99)) / 2) for s in range(100)]
    assert run("cosine") == pytest.approx(half)
    warm = run("cosine", warmup=10)
    assert warm[:10] == pytest.approx([2 * (s + 1) / 10 for s in range(10)])
    assert warm[10] == pytest.approx(2.0) and warm[-1] == pytest.approx(0.02)
    assert sorted(warm[10:], reverse=True) == warm[10:]


def test_natural_sampling_shows_every_case_once_in_another_order():
    first, second = (sampling.natural(11, 5, epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == [(i, 0) for i in range(11)] and first != second
    assert first == sampling.natural(11, 5, 0) != sampling.natural(11, 6, 0)


def test_equal_sampling_equalises_the_classes():
    classes = np.array([0] * 80 + [1] * 15 + [2] * 5)
    seen = set()
    for epoch in range(8):
        drawn = sampling.equal(classes, 0, epoch)
        assert len(drawn) == len(set(drawn)) == 100
        assert sorted(np.bincount(classes[[i for i, _ in drawn]])) == [33, 33, 34]
        rare = np.bincount([i for i, _ in drawn if classes[i] == 2], minlength=100)[95:]
        assert rare.max() - rare.min() <= 1
        seen |= {i for i, _ in drawn}
    assert len(seen) > 95  # of the large class another part each time


@pytest.mark.parametrize(("n", "size"), [(0, 4), (1, 4), (17, 16), (32, 16), (33, 16), (5, 1)])
def test_batches_hold_all_and_leave_none_alone(n, size):
    found = sampling.batches(list(range(n)), size)
    assert [i for batch in found for i in batch] == list(range(n))
    sizes = [len(batch) for batch in found]
    assert not sizes or (max(sizes) <= size and max(sizes) - min(sizes) <= 1)


def test_random_numbers_depend_on_seed_epoch_case_and_copy():
    draws = {sampling.generator(*key).random() for key in
             [(0, 0, "a", 0), (1, 0, "a", 0), (0, 1, "a", 0), (0, 0, "b", 0), (0, 0, "a", 1)]}
    assert len(draws) == 5 and sampling.generator(0, 0, "a", 0).random() in draws


def test_balanced_weights_even_out_the_classes():
    weights = sampling.balanced(np.array([0] * 30 + [1] * 10))
    assert 30 * weights[0] == pytest.approx(10 * weights[1])
    assert 30 * weights[0] + 10 * weights[1] == pytest.approx(40)


def test_a_label_that_no_case_has_leaves_the_weights_of_the_others_as_they_are():
    from mrilib.training import segment
    from mrilib.training.segment_settings import SegmentSettings

    settings, scheme = SegmentSettings(loss="weighted-ce", class_weights="balanced"), labels.scheme("brats2020")
    volume = volumes.Volume("a", Path(), (1, 1, 1), (1, 1, 1), ("t1",), np.zeros(1), {0: 90_000, 1: 900, 2: 9}, "", "")
    data = segment.SegmentData([volume], ["train"], scheme, Recipe())
    found = segment.class_weights(settings, data, segment.targets(scheme, settings))
    assert found == pytest.approx([3 / 111, 30 / 111, 300 / 111, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regions = segment.targets(scheme, replace(settings, targets="regions"))
        assert segment.class_weights(settings, replace(data, volumes=[], parts=[]), regions) == [1, 1, 1]


def test_single_slices_teach_a_model_nothing_of_how_far_apart_slices_are():
    from mrilib.training import segment

    def known(size, spacing=(1, 0.5, 0.5), **more):
        volume = volumes.Volume("a", Path(), size, spacing, ("t1",), np.zeros(1), {}, "", "")
        return segment.SegmentData([volume], ["train"], labels.scheme("binary"), Recipe(), **more).known_spacing

    assert known((1, 9, 9)) == (0.5, 0.5) and known((3, 9, 9)) == (1, 0.5, 0.5)
    assert known((1, 9, 9), stated=False) is None and known((3, 9, 9), brought_to=(2, 2), stated=False) == (2, 2)


@pytest.mark.parametrize(("known", "paint"), [
    ("brats2020", [2, 1, 4]),
    ("1=a,2=b,3=c,4=d,5=e,whole=1+2+3+4+5,left=1+2,right=3+4", [5, 1, 3]),  # a whole that is neither is 5, not right
    ("1=a,2=b,3=c,whole=1+2+3,some=1+2,more=2+3", [3, 1, 2]),
])  # fmt: skip
def test_a_region_is_painted_with_a_label_of_its_own(known, paint):
    from mrilib.training import segment
    from mrilib.training.segment_settings import SegmentSettings

    assert segment.targets(labels.scheme(known), SegmentSettings(targets="regions")).paint == paint


@pytest.mark.parametrize(("given", "validated", "what"), [
    ({"freeze": True}, True, "--freeze needs --weights"),
    ({"unfreeze_from": "conv1"}, True, "--unfreeze-from needs --weights"),
    ({"head_start": True}, True, "--head-start needs --weights"),
    ({"weights": "imagenet", "freeze": True, "unfreeze_from": "x"}, True, "exclude each other"),
    ({"momentum": 0.5}, True, "--momentum has no effect on adamw"),
    ({"optimizer": "adam", "weight_decay": 0.1}, True, "is adamw"),
    ({"class_weights": "balanced"}, True, "--class-weights has no effect on --loss ce"),
    ({"loss": "weighted-ce", "class_weights": "none"}, True, "without weights is ce"),
    ({"loss": "focal", "class_weights": "balanced", "sampling": "equal"}, True, "both even out the classes"),
    ({"patience": 3}, False, "--patience needs validation"),
    ({"schedule": "plateau"}, False, "plateau needs validation"),
    ({"epochs": 2, "warmup": 2.0}, True, "leaves nothing of 2"),
    ({"epochs": 0}, True, "0 epochs train nothing"),
    ({"epochs": 0, "weights": "imagenet", "augment": "light"}, True, "--augment has no effect with --epochs 0"),
    ({"epochs": 0, "weights": "imagenet", "loss": "focal"}, True, "--loss focal has no effect with --epochs 0"),
    ({"epochs": 0, "weights": "imagenet", "mixup": 0.2}, True, "--mixup has no effect with --epochs 0"),
    ({"head": "three"}, True, "unknown head"),
    ({"backbone": "lenet5"}, True, "unknown backbone"),
])  # fmt: skip
def test_settings_without_effect_are_refused(given, validated, what):
    with pytest.raises(UsageError, match=what):
        complete(ClassifySettings(**given), validated=validated)


def test_defaults_depend_on_given_weights():
    scratch, tuned = (complete(ClassifySettings(weights=w), validated=False) for w in (None, "imagenet"))
    assert scratch.learning_rate > tuned.learning_rate and scratch.epochs > tuned.epochs
    assert (scratch.head_start, tuned.head_start) == (False, True)
    few = complete(ClassifySettings(epochs=1), validated=False)
    assert few.warmup < 1
    assert (scratch.head, tuned.head) == ("mean-max", "mirror")
    assert complete(ClassifySettings(schedule="polynomial"), validated=False).warmup == scratch.warmup
    small, large, asked, chosen = (
        complete(ClassifySettings(weights="imagenet", **more), validated=False, cases=n).epochs
        for n, more in ((100, {}), (2000, {}), (100, {"dropout": 0.0}), (100, {"epochs": 3})))  # fmt: skip
    assert small == 0 < large == asked and chosen == 3
    for more in ({"optimizer": "sgd"}, {"loss": "focal"}, {"mixup": 0.2}, {"label_smoothing": 0.0}):  # not in vain
        assert complete(ClassifySettings(weights="imagenet", **more), validated=False, cases=100).epochs == large
    assert None not in (scratch.backbone, scratch.augment, scratch.dropout, scratch.average, scratch.weight_decay)


@pytest.mark.parametrize("settings, completed", [
    (ClassifySettings, [complete(ClassifySettings(weights=weights), validated=True) for weights in (None, "imagenet")]),
    (segment_settings.SegmentSettings, [
        segment_settings.complete(segment_settings.SegmentSettings(optimizer=name), validated=True)
        for name in ("adamw", "sgd")])], ids=["classify", "segment"])  # fmt: skip
def test_help_names_the_defaults_that_are_used(settings, completed):
    for described in config.fields_of(settings):
        if described.name not in ("epochs", "batch_size", "learning_rate", "warmup", "average", "dropout", "augment",
                                  "momentum", "weight_decay", "validate_every", "foreground", "backbone", "head"):
            continue
        words = re.findall(r"[a-z][a-z-]+|\d[.\de-]*", described.shown or "")
        named = {float(word) if word[0].isdigit() else word for word in words}
        used = {getattr(done, described.name) for done in completed} - {None}
        assert used <= named, described.name


def test_a_checkpoint_of_another_run_is_refused_with_the_difference(tmp_path):
    run = {"epochs": 5, "augment": {"flip": "lr"}, "data": "ab"}
    state = checkpoint.State(epoch=2, curve=[{"loss": 0.1}], best_weights=[np.arange(3.0)])
    variables = {"model": [np.float32(1.5), np.arange(12)], "optimizer": []}
    checkpoint.write(tmp_path / "c", state, variables, run)
    back, kept = checkpoint.read(tmp_path / "c", dict(run))
    assert back.as_dict() == state.as_dict() and np.array_equal(back.best_weights[0], np.arange(3.0))
    assert np.array_equal(kept["model"][1], np.arange(12)) and kept["model"][0] == 1.5
    for change, text in (({"epochs": 6}, "epochs was 5, now 6"), ({"data": "cd"}, "data was ab, now cd"),
                         ({"augment": None}, 'augment was {"flip": "lr"}, now not set')):
        with pytest.raises(UsageError, match=text):
            checkpoint.read(tmp_path / "c", {**run, **change})


def test_a_checkpoint_that_finds_no_room_is_said_and_the_one_before_it_stays(tmp_path):
    checkpoint.write(tmp_path / "c", checkpoint.State(epoch=1), {"model": [], "optimizer": []}, {})
    known = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, known[1]))
    try:
        with pytest.raises(MachineError, match="cannot write: file too large"):
            checkpoint.write(tmp_path / "c", checkpoint.State(epoch=2), {"model": [np.zeros(300)] * 60}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, known)
    assert checkpoint.read(tmp_path / "c", {})[0].epoch == 1
