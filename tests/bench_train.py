"""Step and patch time of the issue's network: 3D U-Net, base 16, 4 levels, 4 channels, two windows of 64 x 64 x 64.

    python tests/bench_train.py                      own alone
    PEERS=other/bin/python python tests/bench_train.py    beside the same network in PyTorch, when that has it

Each precision in a process of its own, in turn with its peer's; medians of 5 steps after two.
"""

import os
import subprocess
import sys

OWN = """
import sys, time, statistics
import numpy as np
from mrilib import gpu
gpu.setup("cpu", mixed=sys.argv[1], seed=0)
import keras
from mrilib.models import unet, voxel_losses
from mrilib.models.logits import with_logits
model = unet.unet((64, 64, 64, 4), 4, levels=4, width=16)
trained = with_logits(model)
trained.compile(keras.optimizers.AdamW(1e-3), loss=voxel_losses.make("dice+ce", exclusive=True), jit_compile=False)
rng = np.random.default_rng(0)
x = rng.normal(size=(2, 64, 64, 64, 4)).astype("f")
y = np.eye(4, dtype="f")[rng.integers(0, 4, (2, 64, 64, 64))]
def timed(work, n=5):
    work(), work()
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
print(timed(lambda: trained.train_on_batch(x, y)), timed(lambda: model.predict_on_batch(x[:1])))
"""
PEER = """
import sys, time, statistics
import torch
from torch import nn
class Block(nn.Sequential):
    def __init__(self, i, o, stride=1, more=True):
        def conv(a, b, s):
            return [nn.Conv3d(a, b, 3, s, 1, bias=False), nn.InstanceNorm3d(b, affine=True), nn.LeakyReLU(0.01)]
        super().__init__(*conv(i, o, stride), *(conv(o, o, 1) if more else []))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        w = [16, 32, 64, 128]
        self.down = nn.ModuleList([Block(4, 16)] + [Block(a, b, 2) for a, b in zip(w, w[1:])])
        self.up = nn.ModuleList([nn.ConvTranspose3d(b, a, 2, 2, bias=False) for a, b in zip(w, w[1:])][::-1])
        self.dec = nn.ModuleList([Block(2 * a, a, more=False) for a in w[:3]][::-1])
        self.end = nn.Conv3d(16, 4, 1)
    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        for up, block in zip(self.up, self.dec):
            x = block(torch.cat([up(x), skips.pop()], 1))
        return self.end(x)
model = Net()
optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
half = sys.argv[1] == "bfloat16"
x, y = torch.randn(2, 4, 64, 64, 64), torch.randint(0, 4, (2, 64, 64, 64))
def step():
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        z = model(x)
    z = z.float()
    p, t = z.softmax(1), nn.functional.one_hot(y, 4).movedim(-1, 1).float()
    dice = (2 * (p * t).sum((0, 2, 3, 4)) + 1) / ((p + t).sum((0, 2, 3, 4)) + 1)
    (nn.functional.cross_entropy(z, y) + 1 - dice[1:].mean()).backward()
    optimizer.step()
def predict():
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        model.eval()(x[:1])
    model.train()
def timed(work, n=5):
    work(), work()
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
print(timed(step), timed(predict))
"""


def measure(python: str, code: str, precision: str) -> tuple[float, float] | None:
    ran = subprocess.run([python, "-c", code, precision], capture_output=True, text=True)
    return tuple(map(float, ran.stdout.split()[-2:])) if ran.returncode == 0 else None


def main() -> None:
    peers = os.environ.get("PEERS")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds, median of 5")
    for precision in ("off", "bfloat16"):
        own = measure(sys.executable, OWN, precision)
        peer = measure(peers, PEER, precision) if peers else None
        for name, mine, theirs in zip(("training step, 2 x 64^3", "one patch of 64^3"), own, peer or (None, None),
                                      strict=True):  # fmt: skip
            beside = f"  PyTorch {theirs:.3f}  own / PyTorch {mine / theirs:.2f}" if theirs else ""
            print(f"{name:26s} {'float32' if precision == 'off' else precision:9s} own {mine:.3f}{beside}", flush=True)


if __name__ == "__main__":
    main()
