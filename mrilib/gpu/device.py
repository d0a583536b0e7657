"""Start TensorFlow on the device asked for, without its messages. Must run before anything imports keras."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from mrilib import stderr
from mrilib.errors import MachineError, UsageError
from mrilib.parallel import cores

PRECISIONS = ("auto", "off", "float16", "bfloat16")
# Lines that TensorFlow's libraries write to descriptor 2 when they start; other lines are kept.
CHATTER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl::"
                     r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] |(INFO|WARNING|ERROR):tensorflow:"
                     r"|To enable the following instructions: |Skipping registering GPU devices")
# Keras imports these where they are installed, for wrappers and plots: 30 % of the time to load TensorFlow.
UNUSED_BY_KERAS = ("sklearn", "matplotlib", "pandas")
INSTALL = "pip install 'mri-suite[cpu]', or 'mri-suite[gpu]' for an NVIDIA GPU"


@dataclass(frozen=True)
class Setup:
    """Device of a run. line: one sentence for the user. policy: Keras dtype policy. replicas: copies of the model."""

    line: str
    device: str
    policy: str
    threads: int
    replicas: int
    strategy: object = None

    def scope(self):
        """A context in which models must be built and compiled, so that every replica gets its copy."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()


def setup(device: str = "auto", *, mixed: str = "auto", threads: int | None = None, seed: int | None = None,
          replicas: int = 1, depthwise: bool = False) -> Setup:
    """Import TensorFlow without its messages and set device, precision, number of threads and random seed.

    device: cpu; gpu (all that are visible, a MirroredStrategy when there are several); gpu:N (that one); auto
    (the first GPU, else the CPU). mixed: auto takes what the device does fast (bfloat16 on a CPU with
    avx512_bf16 or amx and on GPUs from compute capability 8.0, float16 on those from 7.0), off is float32.
    threads: default the cores this process may use. seed: None leaves chance alone. replicas: copies of the
    model on the CPU, to try on one machine what several devices do. depthwise: the network is one of depthwise
    convolutions, which no CPU does faster in bfloat16 (measured: MobileNet 19 ms an image in float32, 24 in it).
    Raises MachineError when TensorFlow or the GPU asked for is not there, UsageError for what cannot be right.
    """
    kind, index = _parse(device)
    if mixed not in PRECISIONS:
        raise UsageError(f"precision {mixed} is not known", remedy=f"one of {' '.join(PRECISIONS)}")
    if replicas > 1 and kind != "cpu":
        raise UsageError("several replicas on one device are for the CPU only")
    tf = quiet_tensorflow()
    threads = threads or cores()
    cards = tf.config.list_physical_devices("GPU") if kind != "cpu" else []
    if kind == "gpu":
        if not cards:
            raise MachineError("TensorFlow finds no GPU here", remedy="mri-inspect --device says why; or --device cpu")
        if index is not None and index >= len(cards):
            raise MachineError(f"there is no GPU {index}: {len(cards)} found, counted from 0",
                               remedy="choose another --device")
    chosen = cards if device == "gpu" else cards[index or 0 : (index or 0) + 1]
    try:
        _once(tf, chosen, threads, replicas)
    except RuntimeError as error:
        raise MachineError(f"TensorFlow was already started with other settings in this process: {error}",
                           remedy="call setup first, in a fresh process") from error
    policy, reason = _policy(tf, mixed, chosen, depthwise)
    import keras

    keras.config.set_dtype_policy(policy)
    if seed is not None:
        keras.utils.set_random_seed(seed)
        if not chosen:  # on a GPU some gradients (depthwise convolution) have no deterministic kernel and would fail
            tf.config.experimental.enable_op_determinism()
    copies = len(chosen) or replicas
    strategy = None
    if copies > 1:
        kind_of = "GPU" if chosen else "CPU"
        with stderr.silenced(CHATTER):
            strategy = tf.distribute.MirroredStrategy([f"{kind_of}:{i}" for i in range(copies)])
    line = f"{_describe(tf, chosen, index, threads, replicas)}, {reason}"
    if kind == "auto" and not chosen and nvidia_present():
        line += "; an NVIDIA GPU is here but not used: mri-inspect --device says why"
    name = "cpu" if not chosen else "gpu" if copies > 1 else f"gpu:{index or 0}"
    return Setup(line, name, policy, threads, copies, strategy)


def quiet_tensorflow():
    """Import tensorflow without output on standard error. Raises MachineError if it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow enables it only with AVX-512; elsewhere a step without it takes two to three times as long
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "keras" in sys.modules and "tensorflow" not in sys.modules:
        raise MachineError("keras was imported before mrilib.gpu.setup", remedy="call setup first")
    with stderr.silenced(CHATTER) as said:
        try:
            with hidden(*UNUSED_BY_KERAS):
                import tensorflow as tf
        except ImportError as error:
            if error.name == "tensorflow":
                raise MachineError("TensorFlow is not installed", remedy=INSTALL) from error
            raise MachineError(f"TensorFlow cannot be loaded: {error} {said()}".strip(), remedy=INSTALL) from error
        import logging

        import absl.logging

        absl.logging.set_verbosity("error")
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        tf.config.list_physical_devices()
    return tf


@contextlib.contextmanager
def hidden(*packages: str):
    """A context in which importing these packages raises ImportError, unless they are imported already."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def nvidia_present() -> bool:
    """Whether there is an NVIDIA card or driver, used or not."""
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def cpu_policy(flags: set[str]) -> str:
    """The fast precision of a CPU with these feature flags."""
    return "mixed_bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"


def gpu_policy(capability: tuple[int, int] | None) -> str:
    """The fast precision of a GPU of this compute capability (major, minor)."""
    if capability is None or capability < (7, 0):
        return "float32"
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


def cpu_flags(text: str | None = None) -> set[str]:
    """The CPU feature flags in /proc/cpuinfo (or in a given text); none without that file."""
    if text is None:
        path = Path("/proc/cpuinfo")
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.M)
    return set(found.group(1).split()) if found else set()


def _parse(device: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(auto|cpu|gpu)(?::(\d+))?", device)
    if not match or (match[2] is not None and match[1] != "gpu"):
        raise UsageError(f"device {device} is not known", remedy="auto, cpu, gpu or gpu:N")
    return match[1], None if match[2] is None else int(match[2])


def _once(tf, chosen, threads: int, replicas: int) -> None:
    """Set what can only be set before the first operation. Raises RuntimeError if it was set to other values."""
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    between = max(1, replicas)
    if tf.config.threading.get_inter_op_parallelism_threads() != between:
        tf.config.threading.set_inter_op_parallelism_threads(between)
    tf.config.set_visible_devices(chosen, "GPU")
    for card in chosen:
        tf.config.experimental.set_memory_growth(card, True)
    if replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * replicas
        if tf.config.get_logical_device_configuration(cpu) != parts:
            tf.config.set_logical_device_configuration(cpu, parts)
    with stderr.silenced(CHATTER):
        tf.constant(0.0) + 1.0  # creates the devices now, while their output on standard error is caught


def _policy(tf, mixed: str, chosen, depthwise: bool) -> tuple[str, str]:
    if mixed == "off":
        return "float32", "float32"
    if mixed != "auto":
        if mixed == "float16" and not chosen:
            raise UsageError("a CPU computes float16 slowly", remedy="--mixed-precision bfloat16, or auto")
        return f"mixed_{mixed}", f"mixed {mixed} as asked"
    if not chosen:
        policy = "float32" if depthwise else cpu_policy(cpu_flags())
        why = "the CPU does it fast" if policy != "float32" else "the CPU has no faster one for this network"
    else:
        capability = [_capability(tf, card) for card in chosen]
        policy = gpu_policy(None if None in capability else min(capability))
        why = "the GPU does it fast" if policy != "float32" else "the GPU has no faster one"
    return policy, f"{policy.replace('_', ' ')} ({why})"


def _capability(tf, card) -> tuple[int, int] | None:
    return tf.config.experimental.get_device_details(card).get("compute_capability")


def _describe(tf, chosen, index: int | None, threads: int, replicas: int) -> str:
    if not chosen:
        copies = f" as {replicas} devices" if replicas > 1 else ""
        return f"device cpu{copies}, {threads} thread{'s' * (threads > 1)}"
    names = [tf.config.experimental.get_device_details(c).get("device_name", "GPU") for c in chosen]
    if len(chosen) > 1:
        return f"device gpu, {len(chosen)} side by side ({', '.join(names)}), memory as needed"
    return f"device gpu:{index or 0} ({names[0]}), memory as needed"
