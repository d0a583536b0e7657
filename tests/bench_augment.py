"""Augmentation, own and peers, interleaved in one run: medians of clock and processor time, and ratios.

    python tests/bench_augment.py                        own figures
    PEERS=other/bin/python python tests/bench_augment.py   and those of TorchIO, MONAI and batchgeneratorsv2, as far
                                                           as that Python has them (it may be this one)

Every figure is one case from the draw to the result in memory: four channels and a label map of 128 x 128 x 128, or a
slice of 256 x 256 with three channels and a label map. The first call of each, which compiles, is shown apart.
"""

import os
import statistics
import subprocess
import sys
import time

VOLUME, SLICE = (128, 128, 128, 4), (256, 256, 3)
ROUNDS = 7
TURN, SIZE = 15.0, 0.1


def arrays(shape):
    """A head of nested shells with grain, (*shape) float32, and its label map (uint8)."""
    import numpy as np

    at = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape[:-1]], indexing="ij"), -1)
    radius = np.sqrt((at**2).sum(-1))
    grain = np.random.default_rng(0).normal(0, 0.05, shape)
    array = np.where(radius < 0.85, 1 + 0.5 * np.cos(9 * radius), 0)[..., None] * (1 + grain)
    return array.astype(np.float32), (np.digitize(radius, (0.2, 0.3, 0.4)) % 3).astype(np.uint8)


def own() -> dict:
    """name of a task: a function that does it once."""
    from mrilib.images.augment import draw as augment
    from mrilib.images.augment import transforms
    from mrilib.images.grid import Grid

    moving = {"rotate": TURN, "scale": SIZE}
    sets = {"flip": {"flip": "lr@1"}, "affine": moving,
            "affine + elastic": {**moving, "elastic": "0:8", "elastic_width": 25},
            "affine, cubic": {**moving, "interpolation": "cubic"},
            "affine, labels smooth": {**moving, "labels": "smooth"},
            "bias field": {"bias": 0.4}, "blur": {"blur": "1:2"},
            "noise": {"noise": "0.1:0.1"}, "gamma": {"gamma": 0.3}, "low resolution": {"low_resolution": "1:2"},
            "ghosting": {"ghosting": "0.5:0.5"},
            "all of value": {"contrast": 0.3, "brightness": 0.3, "gamma": 0.3, "inverse_gamma": 0.3, "histogram": 0.5,
                             "bias": 0.4, "blur": "1:2", "low_resolution": "1:2", "ghosting": "0.3:0.3",
                             "sharpen": "0.5:0.5", "noise": "0.1:0.1", "rician": "0.1:0.1", "cutout": "0.2:0.2"},
            "preset light": "light", "preset medium": "medium", "preset heavy": "heavy"}  # fmt: skip
    found, count = {}, iter(range(10**9))
    for place, shape in (("volume", VOLUME), ("slice", SLICE)):
        array, label = arrays(shape)
        grid = Grid.of(label.shape)
        for name, given in sets.items():
            chosen = transforms.settings(given)

            def once(chosen=chosen, array=array, label=label, grid=grid):
                drawn = augment.draw(chosen, augment.generator(0, "case", next(count)), grid)
                augment.apply_pair(array, label, drawn, grid.spacing)

            found[f"{place}: {name}"] = once
    return found


def torchio() -> dict:
    import torch
    import torchio as tio

    found = {}
    for place, shape in (("volume", VOLUME), ("slice", SLICE)):
        array, label = arrays(shape)
        image, mask = torch.from_numpy(array).movedim(-1, 0), torch.from_numpy(label)[None]
        if place == "slice":
            image, mask = image[:, :, :, None], mask[..., None]
        subject = tio.Subject(image=tio.ScalarImage(tensor=image.contiguous()), label=tio.LabelMap(tensor=mask))
        turn = (0, 0, 0, 0, -TURN, TURN) if place == "slice" else TURN
        scale = (1 - SIZE, 1 + SIZE, 1 - SIZE, 1 + SIZE, 1, 1) if place == "slice" else SIZE
        affine = tio.RandomAffine(degrees=turn, scales=scale)
        points, most = ((7, 7, 5), (8, 8, 0)) if place == "slice" else (7, 8)
        made = {"flip": tio.RandomFlip(axes=0, flip_probability=1), "affine": affine,
                "affine + elastic": tio.Compose([affine, tio.RandomElasticDeformation(points, most)]),
                "bias field": tio.RandomBiasField(), "blur": tio.RandomBlur((1, 2)), "noise": tio.RandomNoise(std=0.1),
                "gamma": tio.RandomGamma((-0.3, 0.3)), "ghosting": tio.RandomGhosting()}  # fmt: skip
        for name, transform in made.items():
            found[f"{place}: {name}"] = lambda transform=transform, subject=subject: transform(subject)
    return found


def monai() -> dict:
    import monai.transforms as mt
    import torch

    found = {}
    for place, shape in (("volume", VOLUME), ("slice", SLICE)):
        array, label = arrays(shape)
        data = {"image": torch.from_numpy(array).movedim(-1, 0).contiguous(), "label": torch.from_numpy(label)[None]}
        n = label.ndim
        both = {"keys": ("image", "label"), "prob": 1.0, "mode": ("bilinear", "nearest"), "padding_mode": "zeros",
                "rotate_range": [TURN * 3.14159 / 180] * (3 if n == 3 else 1), "scale_range": [SIZE] * n}  # fmt: skip
        elastic = (mt.Rand3DElasticd(sigma_range=(5, 8), magnitude_range=(50, 150), **both) if n == 3
                   else mt.Rand2DElasticd(spacing=25, magnitude_range=(1, 3), **both))  # fmt: skip
        made = {"flip": mt.RandFlipd(("image", "label"), prob=1.0, spatial_axis=0), "affine": mt.RandAffined(**both),
                "affine + elastic": elastic, "bias field": mt.RandBiasFieldd("image", prob=1.0),
                "blur": mt.RandGaussianSmoothd("image", (1, 2), (1, 2), (1, 2), prob=1.0),
                "noise": mt.RandGaussianNoised("image", prob=1.0, std=0.1),
                "gamma": mt.RandAdjustContrastd("image", prob=1.0, gamma=(0.7, 1.3))}  # fmt: skip
        for name, transform in made.items():
            found[f"{place}: {name}"] = lambda transform=transform, data=data: transform(dict(data))
    return found


def batchgeneratorsv2() -> dict:
    import torch
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

    found = {}
    for place, shape in (("volume", VOLUME), ("slice", SLICE)):
        array, label = arrays(shape)
        image = torch.from_numpy(array).movedim(-1, 0).contiguous()
        data = {"image": image, "segmentation": torch.from_numpy(label)[None].short()}
        most = TURN * 3.14159 / 180
        moving = {"patch_size": label.shape, "patch_center_dist_from_border": 0, "random_crop": False, "p_rotation": 1,
                  "rotation": (-most, most), "p_scaling": 1, "scaling": (1 - SIZE, 1 + SIZE)}  # fmt: skip
        made = {"flip": MirrorTransform(tuple(range(label.ndim))), "affine": SpatialTransform(**moving),
                "affine + elastic": SpatialTransform(**moving, p_elastic_deform=1),
                "blur": GaussianBlurTransform((1, 2)), "noise": GaussianNoiseTransform((0.1, 0.1)),
                "gamma": GammaTransform((0.7, 1.3), 0, False, 1, 1),
                "low resolution": SimulateLowResolutionTransform((0.5, 1), False, True, ())}  # fmt: skip
        for name, transform in made.items():
            found[f"{place}: {name}"] = lambda transform=transform, data=data: transform(**data)
    return found


def serve(who: str) -> None:
    """In a process of its own: the names of the tasks on a line, then for each name read the two times of one run."""
    import warnings

    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        tasks = globals()[who]()
    except ImportError as error:
        print(f"{who}: left out, {error}", file=sys.stderr)
        return
    print("\t".join(tasks), file=answers, flush=True)
    for line in sys.stdin:
        before, start = time.process_time(), time.perf_counter()
        tasks[line.rstrip("\n")]()
        print(time.perf_counter() - start, time.process_time() - before, file=answers, flush=True)


def main() -> None:
    peers = os.environ.get("PEERS")
    sides, tasks = {}, {}
    for who in ("own", *(("torchio", "monai", "batchgeneratorsv2") if peers else ())):
        process = subprocess.Popen([sys.executable if who == "own" else peers, __file__, who], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if names := process.stdout.readline().rstrip("\n"):
            sides[who], tasks[who] = process, names.split("\t")

    def once(who, task):
        sides[who].stdin.write(task + "\n")
        sides[who].stdin.flush()
        return tuple(map(float, sides[who].stdout.readline().split()))

    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians of {ROUNDS}: ms on the clock / of processor "
          "time, (first call); peers with times as long on the clock as own")
    for task in tasks["own"]:
        having = [who for who in sides if task in tasks[who]]
        first = {who: once(who, task) for who in having}
        runs: dict[str, list] = {who: [] for who in having}
        for _ in range(ROUNDS):
            for who in having:
                runs[who].append(once(who, task))
        middle = {who: [1e3 * statistics.median(v) for v in zip(*runs[who], strict=True)] for who in having}
        text = [f"own {middle['own'][0]:7.1f} / {middle['own'][1]:7.1f} ({1e3 * first['own'][0]:.0f})"]
        text += [f"{who} {middle[who][0]:7.1f} / {middle[who][1]:7.1f} = {middle[who][0] / middle['own'][0]:5.1f} x"
                 for who in having[1:]]
        print(f"{task:32s} " + "   ".join(text), flush=True)
    for process in sides.values():
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) > 1 else main()
