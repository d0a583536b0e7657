"""Tiny data that a network can learn: a bright square on noise, or none."""

import numpy as np


def make_data(n=24, size=24, held=True):
    """n cases of two classes; every fourth validates if held."""
    from mrilib.recipe import Recipe
    from mrilib.training.images import ImageData

    chance = np.random.default_rng(0)
    classes = np.arange(n) % 3 % 2
    images = chance.normal(size=(n, size, size, 1)).astype(np.float32)
    images[classes == 1, 6:14, 6:14] += 2
    names = [f"c{i}" for i in range(n)]
    parts = ["validation" if held and i % 4 == 0 else "train" for i in range(n)]
    targets = np.eye(2, dtype=np.float32)[classes]
    return ImageData(images, targets, ["no", "yes"], names, names, parts, ["image"], (1.0, 1.0), Recipe(), -3.0, 4.0,
                     classes)


def fit(name, data, settings, device, **more):
    """(the network that is kept, the record of its model) of a task by name."""
    from mrilib import tasks
    from mrilib.training import record, run

    task = tasks.get(name)
    network, state, metrics = run.fit_data(task, data, settings, device,
                                           run=record.description(task, data, settings, device), **more)
    return network.kept, record.of_run(task, data, settings, device, state, network, metrics, {})
