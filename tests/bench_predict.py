"""What mri-predict costs around the network: whole cases of 240x240x155x4, from a cold start, and in a row.

    python tests/bench_predict.py [3d|2d ...]     a line a measurement; ratios within one run count, not seconds
"""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

BIN = Path(sys.executable).parent
SIZE = (155, 240, 240)
CASES = int(os.environ.get("CASES", "10"))


def tree_memory(pid: int) -> int:
    """Resident memory of a process and all below it, in MiB, from /proc."""
    parents, sizes = {}, {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = entry.read_text().rsplit(")", 1)
        except OSError:
            continue
        own, fields = int(name.split(" ")[0]), fields.split()
        parents[own], sizes[own] = int(fields[1]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") >> 20

    def below(one):
        return one == pid or (one in parents and below(parents[one]))

    return sum(size for one, size in sizes.items() if below(one))


def predict(*words) -> tuple[float, list[float], int, float]:
    """(seconds of the whole command, seconds at which each result came out, most memory in MiB, seconds of CPU)."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([BIN / "mri-predict", *map(str, words)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    most, done = [0], []

    def watch():
        while process.poll() is None:
            most[0] = max(most[0], tree_memory(process.pid))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in process.stdout:
        done.append(time.perf_counter() - start)
    watcher.join()
    if process.returncode:
        raise SystemExit(f"mri-predict ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, done, most[0], cpu


def cases(folder: Path, count: int) -> None:
    """Heads of four channels, int16, in the middle of 240x240x155: one made, the others shifted copies."""
    from mrilib import phantom
    from mrilib.images.grid import Grid, Image
    from mrilib.images.io import files

    images, _ = phantom.volume(0, 0, True, (150, 180, 145))
    for i in range(count):
        for ending, name in (("t1n", "t1"), ("t1c", "t1ce"), ("t2w", "t2"), ("t2f", "flair")):
            array = np.zeros(SIZE, np.int16)
            array[2:152, 30 + i : 210 + i, 48:193] = np.where(images[name] > 60, images[name], 0)  # skull-stripped air
            path = folder / f"C{i:02d}" / f"C{i:02d}-{ending}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, Image(array, Grid.of(SIZE)))


def model(path: Path, kind: str) -> None:
    from mrilib import gpu

    gpu.setup("cpu", mixed="off", seed=0)
    from mrilib.models import file
    from mrilib.models.unet import unet
    from mrilib.recipe import Recipe, Step

    patch = {"3d": [64, 64, 64], "3d96": [96, 96, 96], "2d": [224, 192]}[kind]
    flat = len(patch) == 2  # as it is planned on a CPU: with neighbours, at half size
    record = {"task": "segment", "dimension": len(patch), "context": int(flat), "patch": patch, "spacing": None,
              "channels": ["t1", "t1ce", "t2", "flair"], "scheme": "brats2023", "values": [0, 1, 2, 3],
              "regions": None, "postprocess": {},
              "recipe": Recipe((Step("zscore", {"region": "foreground"}),)).as_dict()}  # fmt: skip
    file.save(unet((*patch, 12 if flat else 4), 4, levels=5 if flat else 4, width=16, stem=1 + flat,
                   norm="batch" if flat else "instance"), path, record)  # fmt: skip


def nothing(path: Path, _kind: str) -> None:
    """A network that costs next to nothing: what is left is the road around it."""
    from mrilib import gpu

    gpu.setup("cpu", mixed="off", seed=0)
    import keras

    from mrilib.models import file
    from mrilib.recipe import Recipe, Step

    image = keras.Input((64, 64, 64, 4))
    made = keras.Model(image, keras.layers.Activation("softmax", name="probabilities")(image))
    file.save(made, path, {"task": "segment", "dimension": 3, "context": 0, "patch": [64, 64, 64], "spacing": None,
                           "channels": ["t1", "t1ce", "t2", "flair"], "scheme": "brats2023", "values": [0, 1, 2, 3],
                           "regions": None, "postprocess": {},
                           "recipe": Recipe((Step("zscore", {"region": "foreground"}),)).as_dict()})  # fmt: skip


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {CASES} cases of 240x240x155x4, int16 .nii.gz")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases(folder / "in", CASES)
        for kind in sys.argv[1:] or ("nothing", "3d", "3d96", "2d"):
            path = folder / f"{kind}.h5"
            make = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench_predict as b; "
            call = f"b.{'nothing' if kind == 'nothing' else 'model'}(b.Path({str(path)!r}), {kind!r})"
            subprocess.run([sys.executable, "-c", make + call], check=True, stderr=subprocess.DEVNULL)
            for options in ((), ("--no-flips",)):
                words = ("-m", path, *options, "--force", "-o", folder / "out")
                alone, _, memory, cpu = predict(*words, folder / "in" / "C00")
                title = " ".join((kind, *options))
                print(f"{title:20s} one case, cold {alone:6.1f} s, {cpu:6.1f} s CPU, {memory} MiB", flush=True)
                if CASES > 1:
                    whole, done, memory, cpu = predict(*words, folder / "in")
                    each = (done[-1] - done[0]) / (len(done) - 1)
                    print(f"{title:20s} {len(done)} cases {whole:6.1f} s, {each:.1f} s each, "
                          f"{cpu / len(done):.1f} s CPU, {memory} MiB", flush=True)


if __name__ == "__main__":
    main()
