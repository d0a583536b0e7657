"""Diagnosis: why a GPU is used or not, and the command that mends it. Facts are collected, then explained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from mrilib.gpu.device import cpu_flags, cpu_policy, gpu_policy
from mrilib.parallel import cores

NEEDED_DRIVER = {11: 450.80, 12: 525.60, 13: 580.65}  # oldest driver for each CUDA release (NVIDIA's release notes)
# the suite is on no package index: pip finds the extras of the installed suite only
ANEW = "pip uninstall -y tensorflow tensorflow-cpu && pip install 'mri-suite[{}]'"
NVIDIA = "0x10de"

_SCRIPT = """
import json, os
import tensorflow as tf
cards = tf.config.list_physical_devices("GPU")
facts = {"tensorflow": tf.__version__, "cuda_build": tf.test.is_built_with_cuda(),
         "cuda": tf.sysconfig.get_build_info().get("cuda_version"), "gpus": []}
for card in cards:
    details = tf.config.experimental.get_device_details(card)
    facts["gpus"].append({"name": details.get("device_name", "GPU"), "capability": details.get("compute_capability")})
if cards:
    try:
        tf.config.experimental.set_memory_growth(cards[0], True)
        with tf.device("GPU:0"):
            float(tf.reduce_sum(tf.ones((256, 256)) @ tf.ones((256, 256))))
    except Exception as error:
        facts["trial"] = str(error)
with open(3, "w") as out:
    json.dump(facts, out)
"""


def diagnose() -> list[str]:
    """Describe the devices of this machine and, if a GPU is idle, the reason and one command that mends it.

    TensorFlow is started in a child process and does not change this one. Takes some seconds.
    """
    return explain(collect())


def collect() -> dict:
    """Collect facts about this machine, as plain JSON values; explain() interprets them.

    cards: names of NVIDIA cards on the bus or known to the driver. driver: its version or None. nodes: device
    files. smi: a row of nvidia-smi for each card, or None. visible: CUDA_VISIBLE_DEVICES or None. tensorflow:
    version or None. cuda_build, cuda: what its wheel was built for. gpus: those that it finds. log: its output
    on standard error. trial: why a first computation failed. cores, flags: of the CPU.
    """
    facts = {
        "cards": _cards(), "driver": _driver(), "nodes": sorted(str(p) for p in Path("/dev").glob("nvidia[0-9]*")),
        "smi": _nvidia_smi(), "visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "tensorflow": None,
        "cuda_build": False, "cuda": None, "gpus": [], "log": "", "trial": "", "cores": cores(),
        "flags": sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}),
    }  # fmt: skip
    if facts["smi"]:
        facts["driver"] = facts["driver"] or facts["smi"][0]["driver"]
        facts["cards"] = facts["cards"] or [row["name"] for row in facts["smi"]]
    return {**facts, **_tensorflow()}


def _cards() -> list[str]:
    """Names of NVIDIA cards by the driver, else by the bus (class 03, a display controller)."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        match = re.search(r"^Model:\s*(.+)$", path.read_text(errors="replace"), re.M)
        names.append(match.group(1).strip() if match else "NVIDIA card")
    if not names:
        for vendor in sorted(Path("/sys/bus/pci/devices").glob("*/vendor")):
            kind = vendor.with_name("class")
            if vendor.read_text().strip() == NVIDIA and kind.read_text().startswith("0x03"):
                names.append(f"NVIDIA card at {vendor.parent.name}")
    return names


def _driver() -> str | None:
    path = Path("/proc/driver/nvidia/version")
    match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)", path.read_text()) if path.exists() else None
    return match.group(1) if match else None


def _nvidia_smi() -> list[dict] | None:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        ran = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    rows = [[v.strip() for v in line.split(",")] for line in ran.stdout.splitlines() if line.count(",") == 3]
    if ran.returncode or not rows:
        return None

    def number(text):
        return int(text) if text.isdigit() else None

    return [{"name": n, "driver": d, "used": number(u), "total": number(t)} for n, d, u, t in rows]


def _tensorflow() -> dict:
    """The facts that TensorFlow reports in a child process; {} if it is not installed."""
    read, wrote = os.pipe()
    try:
        child = subprocess.run(["/bin/sh", "-c", f'exec "$0" -c "$1" 3>&{wrote}', sys.executable, _SCRIPT],
                               pass_fds=[wrote], capture_output=True, text=True, timeout=180,
                               env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"})
        log = child.stderr
    except subprocess.TimeoutExpired:
        return {"log": "TensorFlow did not start within 3 minutes"}
    finally:
        os.close(wrote)
    with open(read) as file:
        answer = file.read()
    if answer:
        return {**json.loads(answer), "log": log}
    if "No module named 'tensorflow'" in log:
        return {}
    return {"tensorflow": "broken", "log": log}


def explain(facts: dict) -> list[str]:
    """Lines for the user from collect(): the CPU, each GPU, and the first obstacle.

    If the user can remove it, the last line starts with `mend: ` and holds one command.
    """
    fast = cpu_policy(set(facts["flags"])).replace("_", " ")
    lines = [f"CPU: {facts['cores']} core{'s' * (facts['cores'] != 1)}, {' '.join(facts['flags']) or 'no AVX'}; "
             f"fast precision {fast}"]
    lines += [f"GPU {i}: {_card(facts, i)}" for i in range(max(len(facts["gpus"]), len(facts["cards"])))]
    reason, command = _reason(facts)
    lines.append(reason)
    return [*lines, f"mend: {command}"] if command else lines


def _card(facts: dict, i: int) -> str:
    gpu = facts["gpus"][i] if i < len(facts["gpus"]) else None
    parts = [gpu["name"] if gpu else facts["cards"][i]]
    if gpu and gpu["capability"]:
        capability = tuple(gpu["capability"])
        parts.append(f"compute {capability[0]}.{capability[1]}, fast precision "
                     f"{gpu_policy(capability).replace('_', ' ')}")
    row = facts["smi"][i] if facts["smi"] and i < len(facts["smi"]) else None
    if row and row["total"]:
        parts.append(f"{row['used']} of {row['total']} MiB in use")
    if facts["driver"]:
        parts.append(f"driver {facts['driver']}")
    return ", ".join(parts)


def _reason(facts: dict) -> tuple[str, str | None]:
    """The first obstacle between card and network, and the command that removes it."""
    log = f"{facts['log']}\n{facts['trial']}"
    if facts["tensorflow"] is None:
        extra = "gpu" if facts["cards"] else "cpu"
        return "TensorFlow is not installed: no training, no prediction", f"pip install 'mri-suite[{extra}]'"
    if facts["tensorflow"] == "broken":
        last = (facts["log"].strip().splitlines() or ["no reason given"])[-1]
        extra = "gpu" if facts["cards"] else "cpu"
        return (f"TensorFlow does not start: {last}", ANEW.format(extra))
    if facts["gpus"]:
        if re.search(r"OUT_OF_MEMORY|out of memory|OOM|RESOURCE_EXHAUSTED|failed to allocate", log, re.I):
            return ("a GPU is found, but its memory is taken by other programs (nvidia-smi lists them)",
                    f"mri-train --device {'gpu:1' if len(facts['gpus']) > 1 else 'cpu'} ...")
        if facts["trial"]:
            return f"a GPU is found, but does not compute: {facts['trial'].splitlines()[0][:200]}", "nvidia-smi -q"
        return f"TensorFlow {facts['tensorflow']} uses {len(facts['gpus'])} GPU{'s' * (len(facts['gpus']) > 1)}", None
    if not facts["cards"] and not facts["driver"] and not facts["nodes"]:
        return "no NVIDIA GPU on this machine: networks run on the CPU", None
    if not facts["driver"]:
        return "an NVIDIA card is here, but no driver is loaded", "sudo apt install nvidia-driver"
    if not facts["nodes"] and not facts["smi"]:
        return ("the driver is there, but not its device files: a container that was started without the GPU",
                "docker run --gpus all ... (or podman run --device nvidia.com/gpu=all ...)")
    if facts["visible"] is not None and not re.match(r"\d|GPU-|MIG-", facts["visible"].strip()):
        return (f"the GPU is hidden: CUDA_VISIBLE_DEVICES is {facts['visible']!r}", "unset CUDA_VISIBLE_DEVICES")
    if not facts["cuda_build"]:
        return "this TensorFlow is a CPU-only wheel", ANEW.format("gpu")
    needed = NEEDED_DRIVER.get(_major(facts["cuda"]))
    have = float(".".join(facts["driver"].split(".")[:2]))
    if (needed and have < needed) or "driver version is insufficient" in log:
        return (f"the driver {facts['driver']} is too old for CUDA {facts['cuda']}"
                + (f", which needs {needed:.2f} or later" if needed else ""),
                "sudo apt install nvidia-driver")
    if re.search(r"Cannot dlopen some GPU libraries|Could not load dynamic library|cannot open shared object", log):
        return "the CUDA libraries that TensorFlow needs are not found", "pip install 'mri-suite[gpu]'"
    if re.search(r"OUT_OF_MEMORY|out of memory", log, re.I):
        return "the GPU has no memory left: other programs hold it (nvidia-smi lists them)", "nvidia-smi"
    if facts["visible"] is not None:
        return (f"CUDA_VISIBLE_DEVICES is {facts['visible']!r}, which names no card of this machine",
                "unset CUDA_VISIBLE_DEVICES")
    last = next((line for line in reversed(facts["log"].splitlines()) if line.strip()), "it gives no reason")
    return f"TensorFlow does not find the GPU: {last.strip()[:200]}", "nvidia-smi"


def _major(version: str | None) -> int | None:
    return int(version.split(".")[0]) if version else None
