"""What the issue of speed asks: start-up, preparing and scoring, measured on the executables; medians of several runs.

    make bench            prints one line a measurement, own figures only: compare within one run
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from pipeline_data import head

BIN = Path(sys.executable).parent
REPEATS = 5


def run(*words) -> tuple[float, float]:
    """Seconds on the clock and of CPU of one command, its results thrown away."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([BIN / words[0], *map(str, words[1:])], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def line(name: str, runs: list[tuple[float, float]], per: str = "") -> None:
    wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
    spread = f"{min(w for w, _ in runs):.2f} to {max(w for w, _ in runs):.2f}"
    print(f"{name:42s} {wall:7.2f} s ({spread})  {cpu:7.2f} s CPU  {per and per.format(wall)}", flush=True)


def tree_memory(pid: int) -> int:
    """Resident memory of a process and its children, in MiB, from /proc."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = entry.read_text().rsplit(")", 1)
        except OSError:
            continue
        own = int(name.split(" ")[0])
        if own == pid or int(fields.split()[1]) == pid:
            total += int(fields.split()[21]) * resource.getpagesize() >> 20
    return total


def images(folder: Path, count: int) -> None:
    for i in range(count):
        path = folder / f"{'yes' if i % 2 else 'no'}/{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(head(i % 40, 512, 512)).save(path)


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; median of {REPEATS}")
    for tool in sorted(p.name for p in BIN.glob("mri-*")):
        line(f"{tool} --help", [run(tool, "--help") for _ in range(REPEATS)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 2, 5000)
        score = np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.3, 5000), 0.01, 0.99)
        (folder / "reference.csv").write_text("file,class\n" + "".join(
            f"{'yes' if t else 'no'}/{i}.png,{'yes' if t else 'no'}\n" for i, t in enumerate(truth)))
        (folder / "predictions.csv").write_text("case,class,p_no,p_yes,seen\n" + "".join(
            f"{'yes' if t else 'no'}/{i},{'yes' if p > 0.5 else 'no'},{1 - p:.6f},{p:.6f},\n"
            for i, (t, p) in enumerate(zip(truth, score, strict=True))))
        words = ("mri-score", folder / "predictions.csv", "--reference", folder / "reference.csv")
        line("mri-score, 5000 rows", [run(*words) for _ in range(REPEATS)])

        count = int(os.environ.get("IMAGES", "600"))
        images(folder / "in", count)
        for options in ((), ("--crop", "--size", "224"), ("--crop", "--size", "224", "--method", "percentile")):
            runs = []
            for i in range(3):
                runs.append(run("mri-normalize", folder / "in", *options, "-o", folder / f"out{len(options)}{i}"))
            line(f"mri-normalize {' '.join(options)}, {count} of 512x512", runs)
            print(f"{'':42s} {count / statistics.median(w for w, _ in runs):7.0f} images/s")
        process = subprocess.Popen([BIN / "mri-normalize", folder / "in", "-o", folder / "memory"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        seen: list[int] = []
        watch = threading.Thread(target=process.wait)
        watch.start()
        while watch.is_alive():
            seen.append(tree_memory(process.pid))
            time.sleep(0.2)
        half = len(seen) // 2
        print(f"{'mri-normalize, memory of all processes':42s} {max(seen[:half]):7d} MiB in the first half, "
              f"{max(seen[half:])} in the second")


if __name__ == "__main__":
    main()
